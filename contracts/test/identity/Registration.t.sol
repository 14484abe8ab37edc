// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IIdentityRegistry} from "../../src/interfaces/IIdentityRegistry.sol";
import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";
import {Vm} from "../support/Vm.sol";

/// @dev A contract that knows nothing of ERC-721.
contract WithoutReceiverHook {}

/// @dev A contract that refuses tokens, with words.
contract RefusingReceiver {
    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        revert("no tokens here");
    }
}

contract RegistrationTest is RegistryTest {
    string private constant WITH_ENTRIES = "register(string,(string,bytes)[])";

    function test_ids_count_up_from_zero() public {
        assertEq(_register(alice), 0, "first id");
        assertEq(_register(bob, "ipfs://b"), 1, "second id");
        assertEq(_register(alice), 2, "third id");
        assertEq(identity.balanceOf(alice), 2, "agents of alice");
        assertEq(identity.ownerOf(1), bob, "owner of 1");
    }

    function test_a_new_agent_is_paid_at_its_registrant() public {
        uint256 agentId = _register(alice, "ipfs://a");

        assertEq(identity.getAgentWallet(agentId), alice, "wallet");
        assertEq(identity.getMetadata(agentId, "agentWallet"), abi.encodePacked(alice), "wallet bytes");
        assertEq(identity.tokenURI(agentId), "ipfs://a", "URI");
    }

    function test_logs_of_register() public {
        watchLogs();
        _register(alice);

        assertLogged(
            address(identity),
            Expected.list(
                Expected.transfer(address(0), alice, 0),
                Expected.registered(0, "", alice),
                Expected.walletSet(0, alice)
            )
        );
    }

    function test_logs_of_register_with_uri() public {
        watchLogs();
        _register(alice, "ipfs://a");

        assertLogged(address(identity), _logsOfRegistration("ipfs://a"));
    }

    function test_logs_of_register_with_empty_uri_include_the_update() public {
        watchLogs();
        _register(alice, "");

        assertLogged(address(identity), _logsOfRegistration(""));
    }

    function test_logs_of_register_with_entries() public {
        IIdentityRegistry.MetadataEntry[] memory entries = _entries("name", "first", "name", "last");
        watchLogs();
        vm.prank(alice);
        identity.register("ipfs://a", entries);

        assertLogged(
            address(identity),
            Expected.join(
                _logsOfRegistration("ipfs://a"),
                Expected.list(
                    Expected.metadataSet(0, "name", "first"), Expected.metadataSet(0, "name", "last")
                )
            )
        );
        assertEq(identity.getMetadata(0, "name"), "last", "the last entry of a key stays");
    }

    function test_the_wallet_key_is_reserved_at_registration() public {
        bytes memory call = abi.encodeWithSignature(WITH_ENTRIES, "", _entries("a", "1", "agentWallet", "2"));

        assertReverts(alice, address(identity), call, Errors.reason("reserved key"));
        assertReverts(alice, address(identity), _read("ownerOf(uint256)", 0), Errors.nonexistentToken(0));
    }

    function test_the_reservation_is_exact() public {
        IIdentityRegistry.MetadataEntry[] memory entries = _entries("AgentWallet", "1", "agentWallet ", "2");
        vm.prank(alice);
        uint256 agentId = identity.register("", entries);

        assertEq(identity.getMetadata(agentId, "AgentWallet"), "1", "another case is another key");
        assertEq(identity.getAgentWallet(agentId), alice, "wallet");
    }

    function test_the_receiver_is_asked_before_the_keys_are_looked_at() public {
        address stranger = address(new WithoutReceiverHook());
        bytes memory call = abi.encodeWithSignature(WITH_ENTRIES, "", _entries("a", "1", "agentWallet", "2"));

        assertReverts(stranger, address(identity), call, Errors.invalidReceiver(stranger));
    }

    function test_a_contract_without_the_hook_cannot_register() public {
        address stranger = address(new WithoutReceiverHook());

        assertReverts(
            stranger,
            address(identity),
            abi.encodeWithSignature("register()"),
            Errors.invalidReceiver(stranger)
        );
        assertReverts(
            stranger,
            address(identity),
            abi.encodeWithSignature("register(string)", ""),
            Errors.invalidReceiver(stranger)
        );
    }

    function test_a_refusing_receiver_is_heard() public {
        address stranger = address(new RefusingReceiver());

        assertReverts(
            stranger,
            address(identity),
            abi.encodeWithSignature("register()"),
            Errors.reason("no tokens here")
        );
    }

    function test_a_smart_wallet_registers() public {
        address wallet = vm.deployCode("SmartWallet.sol:SmartWallet", abi.encode(alice));
        bytes memory call = abi.encodeWithSignature("register(string)", "ipfs://w");
        assertSucceeds(
            alice, wallet, abi.encodeWithSignature("execute(address,bytes)", address(identity), call)
        );

        assertEq(identity.ownerOf(0), wallet, "owner");
        assertEq(identity.getAgentWallet(0), wallet, "wallet");
    }

    function test_token_facts() public view {
        assertEq(identity.name(), "AgentIdentity", "name");
        assertEq(identity.symbol(), "AGENT", "symbol");
        assertTrue(identity.supportsInterface(0x01ffc9a7), "ERC-165");
        assertTrue(identity.supportsInterface(0x80ac58cd), "ERC-721");
        assertTrue(identity.supportsInterface(0x5b5e139f), "ERC-721 metadata");
        assertTrue(identity.supportsInterface(0x49064906), "ERC-4906");
        assertFalse(identity.supportsInterface(0x780e9d63), "ERC-721 enumerable");
        assertFalse(identity.supportsInterface(0xffffffff), "the invalid id");
    }

    function test_unknown_agents() public {
        _register(alice);

        assertEq(identity.getMetadata(1, "name"), "", "metadata");
        assertEq(identity.getAgentWallet(1), address(0), "wallet");
        assertReverts(alice, address(identity), _read("ownerOf(uint256)", 1), Errors.nonexistentToken(1));
        assertReverts(alice, address(identity), _read("tokenURI(uint256)", 1), Errors.nonexistentToken(1));
        assertReverts(alice, address(identity), _read("getApproved(uint256)", 1), Errors.nonexistentToken(1));
        assertReverts(
            alice,
            address(identity),
            abi.encodeCall(IIdentityRegistry.isAuthorizedOrOwner, (alice, 1)),
            Errors.nonexistentToken(1)
        );
    }

    function test_functions_that_do_not_exist() public {
        _register(alice);

        assertReverts(alice, address(identity), _read("agentURI(uint256)", 0), "");
        assertReverts(alice, address(identity), _read("burn(uint256)", 0), "");
        assertReverts(alice, address(identity), abi.encodeWithSignature("totalSupply()"), "");
        assertReverts(alice, address(identity), abi.encodeWithSignature("DOMAIN_SEPARATOR()"), "");
    }

    /// @dev Any bytes pass through: NUL, broken UTF-8, more than a word.
    function testFuzz_strings_and_bytes_come_back_unchanged(
        address owner,
        bytes calldata uri,
        bytes calldata key,
        bytes calldata value
    ) public {
        vm.assume(owner != address(0) && owner.code.length == 0);
        vm.assume(keccak256(key) != keccak256("agentWallet"));
        IIdentityRegistry.MetadataEntry[] memory entries = new IIdentityRegistry.MetadataEntry[](1);
        entries[0] = IIdentityRegistry.MetadataEntry(string(key), value);
        vm.prank(owner);
        uint256 agentId = identity.register(string(uri), entries);

        assertEq(identity.ownerOf(agentId), owner, "owner");
        assertEq(bytes(identity.tokenURI(agentId)), uri, "URI");
        assertEq(identity.getMetadata(agentId, string(key)), value, "metadata");
    }

    function _logsOfRegistration(string memory uri) private view returns (Vm.Log[] memory) {
        return Expected.list(
            Expected.transfer(address(0), alice, 0),
            Expected.metadataUpdate(0),
            Expected.registered(0, uri, alice),
            Expected.walletSet(0, alice)
        );
    }

    function _read(string memory signature, uint256 agentId) private pure returns (bytes memory) {
        return abi.encodeWithSignature(signature, agentId);
    }

    function _entries(string memory key1, bytes memory value1, string memory key2, bytes memory value2)
        private
        pure
        returns (IIdentityRegistry.MetadataEntry[] memory entries)
    {
        entries = new IIdentityRegistry.MetadataEntry[](2);
        entries[0] = IIdentityRegistry.MetadataEntry(key1, value1);
        entries[1] = IIdentityRegistry.MetadataEntry(key2, value2);
    }
}
