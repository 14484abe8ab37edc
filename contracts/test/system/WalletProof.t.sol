// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {TestBase} from "../support/TestBase.sol";

/// @dev Deploys what it was told to, or fails.
contract Factory {
    function make(bytes32 salt, bytes memory creationCode) external returns (address made) {
        assembly ("memory-safe") {
            made := create2(0, add(creationCode, 0x20), mload(creationCode), salt)
        }
        require(made != address(0), "nothing made");
    }
}

/// @dev Whether a wallet that may not be deployed yet accepts a signature. The answer is left as code.
contract WalletProofTest is TestBase {
    bytes32 private constant SUFFIX = 0x6492649264926492649264926492649264926492649264926492649264926492;
    bytes32 private constant DIGEST = keccak256("what was signed");
    uint256 private constant KEY = 0xa11e7;

    Factory private _factory;
    bytes private _code;
    address private _wallet;

    function setUp() public {
        _factory = new Factory();
        _code = bytes.concat(vm.getCode("SmartWallet.sol:SmartWallet"), abi.encode(vm.addr(KEY)));
        bytes32 hash =
            keccak256(abi.encodePacked(bytes1(0xff), address(_factory), bytes32(0), keccak256(_code)));
        _wallet = address(uint160(uint256(hash)));
    }

    function test_a_wallet_to_come_is_deployed_and_asked() public {
        assertEq(_answer(_wallet, _proof(KEY, bytes32(0))), 1, "its owner");
    }

    function test_another_signer_is_not_believed() public {
        assertEq(_answer(_wallet, _proof(KEY + 1, bytes32(0))), 0, "another key");
    }

    function test_another_wallet_may_be_deployed_but_is_not_the_one_asked_about() public {
        assertEq(_answer(_wallet, _proof(KEY, bytes32(uint256(1)))), 0, "another salt");
    }

    function test_a_wallet_that_is_there_is_asked_as_it_is() public {
        _factory.make(bytes32(0), _code);

        assertEq(_answer(_wallet, _proof(KEY, bytes32(0))), 1, "its owner");
        assertEq(_answer(_wallet, _proof(KEY + 1, bytes32(0))), 0, "another key");
    }

    function test_without_the_suffix_there_is_nothing_to_prove() public {
        assertEq(_answer(_wallet, ""), 0, "empty");
        assertEq(_answer(_wallet, abi.encode(uint256(1))), 0, "no suffix");
    }

    function _proof(uint256 key, bytes32 salt) private view returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, DIGEST);
        bytes memory call = abi.encodeCall(Factory.make, (salt, _code));
        return bytes.concat(abi.encode(address(_factory), call, abi.encodePacked(r, s, v)), SUFFIX);
    }

    function _answer(address wallet, bytes memory proof) private returns (uint256) {
        address left = vm.deployCode("WalletProof.sol:WalletProof", abi.encode(wallet, DIGEST, proof));
        assertEq(left.code.length, 1, "one byte");
        return uint8(left.code[0]);
    }
}
