// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IReputationRegistry} from "../../src/interfaces/IReputationRegistry.sol";
import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";
import {Vm} from "../support/Vm.sol";

contract FeedbackTest is RegistryTest {
    function setUp() public override {
        super.setUp();
        _register(alice);
    }

    function test_indexes_count_up_from_one_for_each_client() public {
        assertEq(reputation.getLastIndex(0, bob), 0, "before");
        _rate(bob, 0, 1, 0);
        _rate(bob, 0, 2, 0);
        _rate(carol, 0, 3, 0);

        assertEq(reputation.getLastIndex(0, bob), 2, "bob");
        assertEq(reputation.getLastIndex(0, carol), 1, "carol");
    }

    function test_giveFeedback_log() public {
        watchLogs();
        vm.prank(bob);
        reputation.giveFeedback(0, 9977, 2, "uptime", "day", "https://a.example", "ipfs://f", bytes32("h"));

        Vm.Log[] memory logs = vm.getRecordedLogs();
        assertEq(logs.length, 1, "number of logs");
        assertEq(logs[0].emitter, address(reputation), "emitter");
        assertEq(abi.encode(logs[0].topics), abi.encode(_topics("uptime")), "topics");
        assertEq(
            logs[0].data,
            abi.encode(
                uint64(1),
                int128(9977),
                uint8(2),
                "uptime",
                "day",
                "https://a.example",
                "ipfs://f",
                bytes32("h")
            ),
            "data"
        );
    }

    /// @dev The reference's vector: index 2, value -7, 3 decimals, tag1 `t`, the rest empty.
    function test_giveFeedback_log_word_by_word() public {
        _rate(bob, 0, 1, 0);
        watchLogs();
        _rate(bob, 0, -7, 3, "t", "");

        Vm.Log memory log = vm.getRecordedLogs()[0];
        assertEq(log.topics[3], 0xcac1bb71f0a97c8ac94ca9546b43178a9ad254c7b757ac07433aa6df35cd8089, "topic3");
        assertEq(log.data.length, 416, "length");
        uint256[13] memory words = abi.decode(log.data, (uint256[13]));
        assertEq(words[0], 2, "index");
        assertEq(words[1], uint256(int256(-7)), "value, sign-extended");
        assertEq(words[2], 3, "decimals");
        assertEq(words[3], 0x100, "offset of tag1");
        assertEq(words[4], 0x140, "offset of tag2");
        assertEq(words[5], 0x160, "offset of endpoint");
        assertEq(words[6], 0x180, "offset of URI");
        assertEq(words[7], 0, "hash");
        assertEq(words[8], 1, "length of tag1");
        assertEq(bytes32(words[9]), bytes32("t"), "tag1");
        assertEq(words[10] + words[11] + words[12], 0, "lengths of the empty strings");
    }

    function test_giveFeedback_reverts_in_order() public {
        int128 tooLarge = 1e38 + 1;

        _refused(bob, _give(1, tooLarge, 19), Errors.reason("too many decimals"));
        _refused(bob, _give(1, tooLarge, 18), Errors.reason("value too large"));
        _refused(bob, _give(1, 1, 18), Errors.nonexistentToken(1));
        _refused(alice, _give(0, 1, 18), Errors.reason("Self-feedback not allowed"));
        _refused(alice, _give(0, tooLarge, 18), Errors.reason("value too large"));
    }

    function test_the_range_of_values() public {
        _rate(bob, 0, 1e38, 0);
        _rate(bob, 0, -1e38, 18);
        _rate(bob, 0, 0, 0);

        _refused(bob, _give(0, 1e38 + 1, 0), Errors.reason("value too large"));
        _refused(bob, _give(0, -1e38 - 1, 0), Errors.reason("value too large"));
        _refused(bob, _give(0, type(int128).max, 0), Errors.reason("value too large"));
        _refused(bob, _give(0, type(int128).min, 0), Errors.reason("value too large"));
    }

    function test_self_feedback_is_judged_at_that_moment() public {
        _rate(bob, 0, 100, 0);
        _transfer(alice, bob, 0);

        _refused(bob, _give(0, 1, 0), Errors.reason("Self-feedback not allowed"));
        _rate(alice, 0, 1, 0);
        assertEq(reputation.getLastIndex(0, bob), 1, "feedback stays when the client buys the agent");
    }

    function test_revokeFeedback_logs_and_keeps_the_record() public {
        _rate(bob, 0, 5, 1, "a", "b");
        watchLogs();
        vm.prank(bob);
        reputation.revokeFeedback(0, 1);

        assertLogged(address(reputation), Expected.list(Expected.feedbackRevoked(0, bob, 1)));
        (int128 value,,,, bool isRevoked) = reputation.readFeedback(0, bob, 1);
        assertTrue(isRevoked, "revoked");
        assertEq(value, 5, "value");
        assertEq(reputation.getLastIndex(0, bob), 1, "index");
        assertEq(abi.encode(reputation.getClients(0)), abi.encode(_one(bob)), "clients");
    }

    function test_revokeFeedback_reverts_in_order() public {
        _rate(bob, 0, 5, 1);
        vm.prank(bob);
        reputation.revokeFeedback(0, 1);

        _refused(bob, abi.encodeCall(reputation.revokeFeedback, (0, 0)), Errors.reason("index must be > 0"));
        _refused(bob, abi.encodeCall(reputation.revokeFeedback, (0, 2)), Errors.reason("index out of bounds"));
        _refused(bob, abi.encodeCall(reputation.revokeFeedback, (0, 1)), Errors.reason("Already revoked"));
        _refused(
            carol, abi.encodeCall(reputation.revokeFeedback, (0, 1)), Errors.reason("index out of bounds")
        );
        _refused(bob, abi.encodeCall(reputation.revokeFeedback, (9, 1)), Errors.reason("index out of bounds"));
    }

    function test_appendResponse_log() public {
        _rate(bob, 0, 5, 1);
        watchLogs();
        vm.prank(carol);
        reputation.appendResponse(0, bob, 1, "ipfs://r", bytes32("h"));

        assertLogged(
            address(reputation),
            Expected.list(Expected.responseAppended(0, bob, 1, carol, "ipfs://r", bytes32("h")))
        );
    }

    function test_appendResponse_reverts_in_order() public {
        _rate(bob, 0, 5, 1);

        _refused(carol, _respond(0, ""), Errors.reason("index must be > 0"));
        _refused(carol, _respond(2, ""), Errors.reason("Empty URI"));
        _refused(carol, _respond(2, "x"), Errors.reason("index out of bounds"));
    }

    function test_revoked_feedback_is_answered_too() public {
        _rate(bob, 0, 5, 1);
        vm.prank(bob);
        reputation.revokeFeedback(0, 1);
        assertSucceeds(carol, address(reputation), _respond(1, "ipfs://r"));

        assertEq(reputation.getResponseCount(0, bob, 1, new address[](0)), 1, "responses");
    }

    /// @dev Any bytes pass through: NUL, broken UTF-8, more than a word.
    function testFuzz_feedback_comes_back_unchanged(
        int128 value,
        uint8 decimals,
        bytes calldata tag1,
        bytes calldata tag2
    ) public {
        value = int128(value % (1e38 + 1));
        decimals = decimals % 19;
        _rate(bob, 0, value, decimals, string(tag1), string(tag2));

        (int128 gotValue, uint8 gotDecimals, string memory gotTag1, string memory gotTag2, bool isRevoked) =
            reputation.readFeedback(0, bob, 1);
        assertEq(gotValue, value, "value");
        assertEq(gotDecimals, decimals, "decimals");
        assertEq(bytes(gotTag1), tag1, "tag1");
        assertEq(bytes(gotTag2), tag2, "tag2");
        assertFalse(isRevoked, "revoked");
    }

    function _give(uint256 agentId, int128 value, uint8 decimals) private pure returns (bytes memory) {
        return abi.encodeCall(IReputationRegistry.giveFeedback, (agentId, value, decimals, "", "", "", "", 0));
    }

    function _respond(uint64 index, string memory uri) private view returns (bytes memory) {
        return abi.encodeCall(IReputationRegistry.appendResponse, (0, bob, index, uri, 0));
    }

    function _refused(address caller, bytes memory call, bytes memory why) private {
        assertReverts(caller, address(reputation), call, why);
    }

    function _topics(string memory tag1) private view returns (bytes32[] memory topics) {
        topics = new bytes32[](4);
        topics[0] = Expected.NEW_FEEDBACK;
        topics[2] = bytes32(uint256(uint160(bob)));
        topics[3] = keccak256(bytes(tag1));
    }
}
