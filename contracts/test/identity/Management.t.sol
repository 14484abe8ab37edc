// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IIdentityRegistry} from "../../src/interfaces/IIdentityRegistry.sol";
import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

contract ManagementTest is RegistryTest {
    function setUp() public override {
        super.setUp();
        _register(alice, "ipfs://old");
    }

    function test_setAgentURI_logs_update_then_uri() public {
        watchLogs();
        vm.prank(alice);
        identity.setAgentURI(0, "ipfs://new");

        assertLogged(
            address(identity),
            Expected.list(Expected.metadataUpdate(0), Expected.uriUpdated(0, "ipfs://new", alice))
        );
        assertEq(identity.tokenURI(0), "ipfs://new", "URI");
    }

    function test_setAgentURI_takes_an_empty_uri() public {
        vm.prank(alice);
        identity.setAgentURI(0, "");

        assertEq(identity.tokenURI(0), "", "URI");
    }

    function test_setAgentURI_names_the_operator_who_sent_it() public {
        vm.prank(alice);
        identity.setApprovalForAll(bob, true);
        watchLogs();
        vm.prank(bob);
        identity.setAgentURI(0, "ipfs://b");

        assertLogged(
            address(identity),
            Expected.list(Expected.metadataUpdate(0), Expected.uriUpdated(0, "ipfs://b", bob))
        );
    }

    function test_setAgentURI_reverts_in_order() public {
        bytes memory known = abi.encodeCall(IIdentityRegistry.setAgentURI, (0, "x"));
        bytes memory unknown = abi.encodeCall(IIdentityRegistry.setAgentURI, (1, "x"));

        assertReverts(bob, address(identity), unknown, Errors.nonexistentToken(1));
        assertReverts(bob, address(identity), known, Errors.reason("Not authorized"));
    }

    function test_setMetadata_logs_and_stores() public {
        watchLogs();
        vm.prank(alice);
        identity.setMetadata(0, "name", "A");

        assertLogged(address(identity), Expected.list(Expected.metadataSet(0, "name", "A")));
        assertEq(identity.getMetadata(0, "name"), "A", "value");
    }

    function test_setMetadata_with_no_bytes_clears() public {
        vm.prank(alice);
        identity.setMetadata(0, "name", "A");
        watchLogs();
        vm.prank(alice);
        identity.setMetadata(0, "name", "");

        assertLogged(address(identity), Expected.list(Expected.metadataSet(0, "name", "")));
        assertEq(identity.getMetadata(0, "name"), "", "value");
    }

    function test_setMetadata_reverts_in_order() public {
        bytes memory unknown = abi.encodeCall(IIdentityRegistry.setMetadata, (1, "agentWallet", "x"));
        bytes memory reserved = abi.encodeCall(IIdentityRegistry.setMetadata, (0, "agentWallet", "x"));

        assertReverts(bob, address(identity), unknown, Errors.nonexistentToken(1));
        assertReverts(bob, address(identity), reserved, Errors.reason("Not authorized"));
        assertReverts(alice, address(identity), reserved, Errors.reason("reserved key"));
    }

    function test_unsetAgentWallet_logs_and_clears() public {
        watchLogs();
        vm.prank(alice);
        identity.unsetAgentWallet(0);

        assertLogged(address(identity), Expected.list(Expected.walletCleared(0)));
        assertEq(identity.getAgentWallet(0), address(0), "wallet");
        assertEq(identity.getMetadata(0, "agentWallet"), "", "wallet bytes");
    }

    function test_unsetAgentWallet_reverts_in_order() public {
        bytes memory unknown = abi.encodeCall(IIdentityRegistry.unsetAgentWallet, (1));
        bytes memory known = abi.encodeCall(IIdentityRegistry.unsetAgentWallet, (0));

        assertReverts(bob, address(identity), unknown, Errors.nonexistentToken(1));
        assertReverts(bob, address(identity), known, Errors.reason("Not authorized"));
    }

    function test_who_manages_an_agent() public {
        vm.prank(alice);
        identity.setApprovalForAll(bob, true);
        vm.prank(alice);
        identity.approve(carol, 0);

        assertTrue(identity.isAuthorizedOrOwner(alice, 0), "owner");
        assertTrue(identity.isAuthorizedOrOwner(bob, 0), "operator");
        assertTrue(identity.isAuthorizedOrOwner(carol, 0), "approved");
        assertFalse(identity.isAuthorizedOrOwner(admin, 0), "the registry's own owner");
        assertFalse(identity.isAuthorizedOrOwner(address(0), 0), "nobody");
    }
}
