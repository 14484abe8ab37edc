// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {RegistryTest} from "../support/RegistryTest.sol";

/// @dev Where things lie, for whoever reads the registries through proofs or from archives.
contract StorageTest is RegistryTest {
    bytes32 private constant IDENTITY = 0xa040f782729de4970518741823ec1276cbcd41a0c7493f62d173341566a04e00;
    bytes32 private constant REPUTATION = 0xa03d7693f2b3746b2d03f163c788147b71aa82854399a21fdf4de143ba778300;
    bytes32 private constant VALIDATION = 0x21543a2dd0df813994fbf82c69c61d1aafcdce183d68d2ef40068bdce1481100;

    function test_namespaces() public pure {
        assertEq(_erc7201("erc8004.identity.registry"), IDENTITY, "identity");
        assertEq(_erc7201("erc8004.reputation.registry.2"), REPUTATION, "reputation");
        assertEq(_erc7201("erc8004.validation.registry"), VALIDATION, "validation");
    }

    function test_slot_zero() public view {
        bytes32 agents = bytes32(uint256(uint160(address(identity))));

        assertEq(vm.load(address(identity), 0), 0, "identity");
        assertEq(vm.load(address(reputation), 0), agents, "reputation");
        assertEq(vm.load(address(validation), 0), agents, "validation");
    }

    function test_identity() public {
        _register(alice);
        _register(bob);
        bytes32 ofAgent = _at(bytes32(uint256(1)), _word(IDENTITY, 1));
        bytes32 wallet = keccak256(abi.encodePacked("agentWallet", ofAgent));

        assertEq(vm.load(address(identity), IDENTITY), bytes32(uint256(2)), "next id");
        assertEq(
            vm.load(address(identity), wallet),
            bytes32(uint256(uint160(bob)) << 96 | 40),
            "20 bytes, in place"
        );
    }

    function test_reputation() public {
        _register(alice);
        _rate(bob, 0, -7, 3, "t", "u");
        vm.prank(bob);
        reputation.revokeFeedback(0, 1);
        vm.prank(carol);
        reputation.appendResponse(0, bob, 1, "x", 0);
        bytes32 record = _at(_index(1), _ofClient(0));

        uint256 packed = uint256(1) << 136 | uint256(3) << 128 | uint256(type(uint128).max - 6);
        _holds(record, packed, "value, decimals, revoked");
        _holds(_word(record, 1), uint256(bytes32("t")) | 2, "tag1");
        _holds(_word(record, 2), uint256(bytes32("u")) | 2, "tag2");
        _holds(_ofClient(1), 1, "lastIndex");
        _holds(_at(_account(carol), _at(_index(1), _ofClient(2))), 1, "responseCount");
        _holds(_at(_index(1), _ofClient(3)), 1, "number of responders");
        _holds(_at(_account(carol), _at(_index(1), _ofClient(4))), 1, "responderExists");
        _holds(_at(0, _word(REPUTATION, 5)), 1, "number of clients");
        _holds(_ofClient(6), 1, "clientExists");
    }

    function test_validation() public {
        _register(alice);
        vm.prank(alice);
        validation.validationRequest(bob, 0, "", "hash");

        assertEq(
            vm.load(address(validation), _at("hash", VALIDATION)), _account(bob), "validator of a record"
        );
        assertEq(
            vm.load(address(validation), _at(0, _word(VALIDATION, 1))), _index(1), "requests of an agent"
        );
        assertEq(
            vm.load(address(validation), _at(_account(bob), _word(VALIDATION, 2))),
            _index(1),
            "requests of a validator"
        );
    }

    function _holds(bytes32 slot, uint256 value, string memory what) private view {
        assertEq(vm.load(address(reputation), slot), bytes32(value), what);
    }

    /// @dev Word `i` of the reputation namespace, at agent 0 and client bob.
    function _ofClient(uint256 i) private view returns (bytes32) {
        return _at(_account(bob), _at(0, _word(REPUTATION, i)));
    }

    function _at(bytes32 key, bytes32 slot) private pure returns (bytes32) {
        return keccak256(abi.encode(key, slot));
    }

    function _word(bytes32 slot, uint256 i) private pure returns (bytes32) {
        return bytes32(uint256(slot) + i);
    }

    function _account(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }

    function _index(uint256 i) private pure returns (bytes32) {
        return bytes32(i);
    }

    function _erc7201(string memory name) private pure returns (bytes32) {
        return keccak256(abi.encode(uint256(keccak256(bytes(name))) - 1)) & ~bytes32(uint256(0xff));
    }
}
