// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

/// @dev The devnet's contract wallet, apart from the registries.
contract SmartWalletTest is RegistryTest {
    uint256 private constant KEY = 0xa11e7;
    bytes32 private constant DIGEST = keccak256("message");

    address private _owner;
    address private _wallet;

    function setUp() public override {
        super.setUp();
        _owner = vm.addr(KEY);
        _wallet = vm.deployCode("SmartWallet.sol:SmartWallet", abi.encode(_owner));
    }

    function test_signs_as_its_owner() public {
        assertEq(_isValid(_sign(KEY, DIGEST)), bytes32(bytes4(0x1626ba7e)), "the owner");
        assertEq(_isValid(_sign(KEY + 1, DIGEST)), bytes32(bytes4(0xffffffff)), "somebody else");
        assertEq(_isValid("nonsense"), bytes32(bytes4(0xffffffff)), "nonsense");
    }

    function test_acts_for_its_owner_only() public {
        bytes memory call = _execute(abi.encodeWithSignature("register()"));

        assertReverts(bob, _wallet, call, abi.encodeWithSignature("NotOwner(address)", bob));
        assertSucceeds(_owner, _wallet, call);
        assertEq(identity.ownerOf(0), _wallet, "owner");
    }

    function test_passes_on_what_the_target_reverts_with() public {
        bytes memory call = _execute(abi.encodeWithSignature("tokenURI(uint256)", 5));

        assertReverts(_owner, _wallet, call, Errors.nonexistentToken(5));
    }

    function _execute(bytes memory call) private view returns (bytes memory) {
        return abi.encodeWithSignature("execute(address,bytes)", address(identity), call);
    }

    function _isValid(bytes memory signature) private returns (bytes32) {
        bytes memory call = abi.encodeWithSignature("isValidSignature(bytes32,bytes)", DIGEST, signature);
        return abi.decode(assertSucceeds(bob, _wallet, call), (bytes32));
    }
}
