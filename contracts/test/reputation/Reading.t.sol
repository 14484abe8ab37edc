// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

contract ReadingTest is RegistryTest {
    /// @dev What `readAllFeedback` returns.
    struct Page {
        address[] clients;
        uint64[] indexes;
        int128[] values;
        uint8[] decimals;
        string[] tag1s;
        string[] tag2s;
        bool[] revoked;
    }

    address[] private _nobody;

    /// @dev carol 1: 30/1 a x; bob 1: 10/0 a x; bob 2: 20/2 b y, revoked; carol 2: 40/3 without tags.
    function setUp() public override {
        super.setUp();
        _register(alice);
        _rate(carol, 0, 30, 1, "a", "x");
        _rate(bob, 0, 10, 0, "a", "x");
        _rate(bob, 0, 20, 2, "b", "y");
        _rate(carol, 0, 40, 3);
        vm.prank(bob);
        reputation.revokeFeedback(0, 2);
    }

    function test_clients_in_the_order_of_their_first_rating() public view {
        assertEq(abi.encode(reputation.getClients(0)), abi.encode(_two(carol, bob)), "clients");
        assertEq(reputation.getClients(1).length, 0, "clients of an unknown agent");
    }

    function test_readFeedback_reverts_in_order() public {
        _refused(abi.encodeCall(reputation.readFeedback, (0, bob, 0)), "index must be > 0");
        _refused(abi.encodeCall(reputation.readFeedback, (0, bob, 3)), "index out of bounds");
        _refused(abi.encodeCall(reputation.readFeedback, (7, bob, 1)), "index out of bounds");
    }

    function test_readAllFeedback_of_everybody() public view {
        Page memory page = _all(_nobody, "", "", false);

        _is(page, 0, carol, 1, 30);
        _is(page, 1, carol, 2, 40);
        _is(page, 2, bob, 1, 10);
        assertEq(page.clients.length, 3, "length");
        assertEq(page.decimals[1], 3, "decimals");
        assertEq(page.tag1s[0], "a", "tag1");
        assertEq(page.tag2s[2], "x", "tag2");
    }

    function test_readAllFeedback_with_revoked_ratings() public view {
        Page memory page = _all(_nobody, "", "", true);

        assertEq(page.clients.length, 4, "length");
        _is(page, 3, bob, 2, 20);
        assertTrue(page.revoked[3], "the revoked one");
        assertFalse(page.revoked[2], "another one");
    }

    function test_readAllFeedback_in_the_order_of_the_list() public view {
        Page memory page = _all(_two(bob, carol), "", "", false);

        _is(page, 0, bob, 1, 10);
        _is(page, 1, carol, 1, 30);
        _is(page, 2, carol, 2, 40);
    }

    function test_readAllFeedback_by_tag() public view {
        assertEq(_all(_nobody, "a", "", true).clients.length, 2, "tag1");
        assertEq(_all(_nobody, "", "y", true).clients.length, 1, "tag2");
        assertEq(_all(_nobody, "a", "y", true).clients.length, 0, "both");
        assertEq(_all(_nobody, "b", "", false).clients.length, 0, "revoked");
    }

    function test_readAllFeedback_arrays_are_of_one_length() public view {
        Page memory page = _all(_nobody, "a", "x", false);

        assertEq(page.clients.length, 2, "clients");
        assertEq(page.indexes.length, 2, "indexes");
        assertEq(page.values.length, 2, "values");
        assertEq(page.decimals.length, 2, "decimals");
        assertEq(page.tag1s.length, 2, "tag1s");
        assertEq(page.tag2s.length, 2, "tag2s");
        assertEq(page.revoked.length, 2, "revoked");
    }

    function test_readAllFeedback_repeats_and_strangers() public view {
        assertEq(_all(_two(bob, bob), "", "", true).clients.length, 4, "a client listed twice");
        assertEq(_all(_one(alice), "", "", true).clients.length, 0, "a stranger");
    }

    /// @dev Responses: dave 2 and alice 1 to carol's first, dave 1 to carol's second, alice 1 to bob's first.
    function test_getResponseCount() public {
        address dave = actor("dave");
        _respond(dave, carol, 1);
        _respond(dave, carol, 1);
        _respond(alice, carol, 1);
        _respond(dave, carol, 2);
        _respond(alice, bob, 1);

        _counts(carol, 1, _nobody, 3);
        _counts(carol, 1, _one(dave), 2);
        _counts(carol, 1, _two(dave, dave), 4);
        _counts(carol, 2, _nobody, 1);
        _counts(carol, 0, _nobody, 4);
        _counts(carol, 0, _one(alice), 1);
        _counts(address(0), 0, _nobody, 5);
        _counts(address(0), 0, _one(dave), 3);
        _counts(address(0), 7, _nobody, 5);
        _counts(carol, 7, _nobody, 0);
        _counts(dave, 0, _nobody, 0);
    }

    function _all(address[] memory clients, string memory tag1, string memory tag2, bool includeRevoked)
        private
        view
        returns (Page memory page)
    {
        (page.clients, page.indexes, page.values, page.decimals, page.tag1s, page.tag2s, page.revoked) =
            reputation.readAllFeedback(0, clients, tag1, tag2, includeRevoked);
    }

    function _is(Page memory page, uint256 i, address client, uint64 index, int128 value) private pure {
        assertEq(page.clients[i], client, "client");
        assertEq(page.indexes[i], index, "index");
        assertEq(page.values[i], value, "value");
    }

    function _respond(address responder, address client, uint64 index) private {
        vm.prank(responder);
        reputation.appendResponse(0, client, index, "ipfs://r", 0);
    }

    function _counts(address client, uint64 index, address[] memory responders, uint64 want) private view {
        assertEq(reputation.getResponseCount(0, client, index, responders), want, "responses");
    }

    function _refused(bytes memory call, string memory why) private {
        assertReverts(bob, address(reputation), call, Errors.reason(why));
    }
}
