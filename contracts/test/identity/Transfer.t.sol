// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";
import {Vm} from "../support/Vm.sol";

contract TransferTest is RegistryTest {
    function setUp() public override {
        super.setUp();
        _register(alice, "ipfs://a");
    }

    function test_the_wallet_is_cleared_before_the_transfer_is_logged() public {
        watchLogs();
        _transfer(alice, bob, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, bob));
        assertEq(identity.getAgentWallet(0), address(0), "wallet");
        assertEq(identity.ownerOf(0), bob, "owner");
    }

    function test_also_when_no_wallet_is_set() public {
        vm.prank(alice);
        identity.unsetAgentWallet(0);
        watchLogs();
        _transfer(alice, bob, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, bob));
    }

    function test_also_from_an_owner_to_itself() public {
        watchLogs();
        _transfer(alice, alice, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, alice));
        assertEq(identity.getAgentWallet(0), address(0), "wallet");
    }

    function test_also_in_a_safe_transfer() public {
        watchLogs();
        vm.prank(alice);
        identity.safeTransferFrom(alice, bob, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, bob));
    }

    function test_also_when_an_operator_sends_it() public {
        vm.prank(alice);
        identity.setApprovalForAll(carol, true);
        watchLogs();
        vm.prank(carol);
        identity.transferFrom(alice, bob, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, bob));
    }

    function test_uri_and_metadata_survive_and_pass_to_the_new_owner() public {
        vm.prank(alice);
        identity.setMetadata(0, "name", "A");
        _transfer(alice, bob, 0);

        assertEq(identity.tokenURI(0), "ipfs://a", "URI");
        assertEq(identity.getMetadata(0, "name"), "A", "metadata");
        assertFalse(identity.isAuthorizedOrOwner(alice, 0), "the old owner");
        vm.prank(bob);
        identity.setMetadata(0, "name", "B");
        assertEq(identity.getMetadata(0, "name"), "B", "metadata of the new owner");
    }

    /// @dev The logs of the transfer hold no `Approval`: the first test compares all of them.
    function test_the_approval_is_cleared_in_silence() public {
        vm.prank(alice);
        identity.approve(carol, 0);
        watchLogs();
        _transfer(alice, bob, 0);

        assertLogged(address(identity), _logsOfTransfer(alice, bob));
        assertEq(identity.getApproved(0), address(0), "approved");
        assertFalse(identity.isAuthorizedOrOwner(carol, 0), "the approved address");
    }

    function test_operators_belong_to_an_owner_not_to_an_agent() public {
        vm.prank(alice);
        identity.setApprovalForAll(carol, true);
        _transfer(alice, bob, 0);
        assertFalse(identity.isAuthorizedOrOwner(carol, 0), "after selling");

        _transfer(bob, alice, 0);
        assertTrue(identity.isAuthorizedOrOwner(carol, 0), "after buying back");
    }

    function test_refused_transfers_change_nothing() public {
        address target = address(identity);
        bytes memory fromAlice = abi.encodeCall(IERC721.transferFrom, (alice, bob, 0));
        bytes memory fromBob = abi.encodeCall(IERC721.transferFrom, (bob, carol, 0));
        bytes memory toNobody = abi.encodeCall(IERC721.transferFrom, (alice, address(0), 0));
        bytes memory unknown = abi.encodeCall(IERC721.transferFrom, (alice, bob, 7));

        assertReverts(bob, target, fromAlice, Errors.insufficientApproval(bob, 0));
        assertReverts(alice, target, fromBob, Errors.incorrectOwner(bob, 0, alice));
        assertReverts(alice, target, toNobody, Errors.invalidReceiver(address(0)));
        assertReverts(alice, target, unknown, Errors.nonexistentToken(7));
        assertEq(identity.getAgentWallet(0), alice, "wallet");
    }

    function testFuzz_every_hand_over_clears_the_wallet(address[4] calldata owners) public {
        address from = alice;
        for (uint256 i = 0; i < owners.length; i++) {
            vm.assume(owners[i] != address(0));
            _transfer(from, owners[i], 0);
            from = owners[i];

            assertEq(identity.ownerOf(0), from, "owner");
            assertEq(identity.getMetadata(0, "agentWallet"), "", "wallet");
        }
    }

    function _logsOfTransfer(address from, address to) private pure returns (Vm.Log[] memory) {
        return Expected.list(Expected.walletCleared(0), Expected.transfer(from, to, 0));
    }
}
