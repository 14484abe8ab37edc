// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

contract ValidationTest is RegistryTest {
    bytes32 private constant HASH = keccak256("work");

    address[] private _anybody;

    function setUp() public override {
        super.setUp();
        _register(alice);
    }

    function test_request_logs_and_lists() public {
        watchLogs();
        vm.prank(alice);
        validation.validationRequest(bob, 0, "ipfs://q", HASH);

        assertLogged(address(validation), Expected.list(Expected.validationRequest(bob, 0, "ipfs://q", HASH)));
        assertEq(abi.encode(validation.getAgentValidations(0)), abi.encode(_hashes(HASH)), "of the agent");
        assertEq(
            abi.encode(validation.getValidatorRequests(bob)), abi.encode(_hashes(HASH)), "of the validator"
        );
        _stands(0, 0, "", block.timestamp);
    }

    function test_request_reverts_in_order() public {
        _request(bob, HASH);

        _refused(carol, _requestCall(address(0), 1, HASH), Errors.reason("bad validator"));
        _refused(carol, _requestCall(bob, 1, HASH), Errors.reason("exists"));
        _refused(carol, _requestCall(bob, 1, "new"), Errors.nonexistentToken(1));
        _refused(carol, _requestCall(bob, 0, "new"), Errors.reason("Not authorized"));
    }

    function test_a_hash_belongs_to_whoever_uses_it_first() public {
        _register(carol);
        vm.prank(carol);
        validation.validationRequest(carol, 1, "", HASH);

        _refused(alice, _requestCall(bob, 0, HASH), Errors.reason("exists"));
    }

    function test_the_zero_hash_is_taken_once() public {
        _request(bob, 0);

        _refused(alice, _requestCall(bob, 0, 0), Errors.reason("exists"));
    }

    function test_the_owner_may_be_the_validator() public {
        _request(alice, HASH);
        _answer(alice, 100, "");

        _summarises(_anybody, "", 1, 100);
    }

    function test_response_logs_and_stores() public {
        _request(bob, HASH);
        vm.warp(block.timestamp + 60);
        watchLogs();
        vm.prank(bob);
        validation.validationResponse(HASH, 70, "ipfs://r", bytes32("r"), "soft");

        assertLogged(
            address(validation),
            Expected.list(Expected.validationResponse(bob, 0, HASH, 70, "ipfs://r", bytes32("r"), "soft"))
        );
        _stands(70, bytes32("r"), "soft", block.timestamp);
    }

    function test_response_reverts_in_order() public {
        _request(bob, HASH);

        _refused(carol, _answerCall("other", 101), Errors.reason("unknown"));
        _refused(carol, _answerCall(HASH, 101), Errors.reason("not validator"));
        _refused(bob, _answerCall(HASH, 101), Errors.reason("resp>100"));
        assertSucceeds(bob, address(validation), _answerCall(HASH, 100));
    }

    function test_a_later_answer_may_be_lower_and_replaces_everything() public {
        _request(bob, HASH);
        vm.prank(bob);
        validation.validationResponse(HASH, 100, "", bytes32("r"), "soft");
        _answer(bob, 0, "");

        _stands(0, 0, "", block.timestamp);
        _summarises(_anybody, "", 1, 0);
    }

    function test_the_status_of_an_unknown_request_is_refused() public {
        _refused(bob, abi.encodeCall(validation.getValidationStatus, (HASH)), Errors.reason("unknown"));
    }

    function test_requests_stay_with_an_agent_that_is_sold() public {
        _request(bob, HASH);
        _transfer(alice, carol, 0);
        _answer(bob, 50, "");

        _summarises(_anybody, "", 1, 50);
        _refused(alice, _requestCall(bob, 0, "new"), Errors.reason("Not authorized"));
    }

    /// @dev The reference's vector.
    function test_only_the_last_tag_matches() public {
        _request(bob, HASH);
        _summarises(_anybody, "", 0, 0);
        _answer(bob, 100, "soft");
        _answer(bob, 33, "hard");

        _summarises(_anybody, "soft", 0, 0);
        _summarises(_anybody, "hard", 1, 33);
        _summarises(_anybody, "", 1, 33);
    }

    function test_summary_rounds_down_over_the_listed_validators() public {
        _answered(bob, "1", 100);
        _answered(bob, "2", 33);
        _answered(carol, "3", 0);
        _request(carol, "pending");

        _summarises(_anybody, "", 3, 44);
        _summarises(_one(bob), "", 2, 66);
        _summarises(_two(bob, bob), "", 2, 66);
        _summarises(_two(bob, carol), "", 3, 44);
        _summarises(_one(alice), "", 0, 0);
    }

    function test_a_tag_may_look_like_a_hash() public {
        string memory tag = "0x0000000000000000000000000000000000000000000000000000000000000001";
        _request(bob, HASH);
        _answer(bob, 100, tag);

        _summarises(_anybody, tag, 1, 100);
    }

    function testFuzz_summary_equals_the_model(uint8[] memory responses, uint256 shape) public {
        uint256 sum;
        uint64 count;
        for (uint256 i = 0; i < responses.length && i < 24; i++) {
            bool isBobs = (shape >> (2 * i)) & 1 == 1;
            bool isTagged = (shape >> (2 * i)) & 2 == 2;
            bytes32 hash = bytes32(i);
            uint8 response = responses[i] % 101;
            _request(isBobs ? bob : carol, hash);
            vm.prank(isBobs ? bob : carol);
            validation.validationResponse(hash, response, "", 0, isTagged ? "t" : "u");
            if (!isBobs || !isTagged) continue;
            sum += response;
            count++;
        }

        _summarises(_one(bob), "t", count, count == 0 ? 0 : uint8(sum / count));
    }

    function _request(address validator, bytes32 hash) private {
        vm.prank(alice);
        validation.validationRequest(validator, 0, "", hash);
    }

    function _answer(address validator, uint8 response, string memory tag) private {
        vm.prank(validator);
        validation.validationResponse(HASH, response, "", 0, tag);
    }

    function _answered(address validator, bytes32 hash, uint8 response) private {
        _request(validator, hash);
        assertSucceeds(validator, address(validation), _answerCall(hash, response));
    }

    function _requestCall(address validator, uint256 agentId, bytes32 hash)
        private
        view
        returns (bytes memory)
    {
        return abi.encodeCall(validation.validationRequest, (validator, agentId, "", hash));
    }

    function _answerCall(bytes32 hash, uint8 response) private view returns (bytes memory) {
        return abi.encodeCall(validation.validationResponse, (hash, response, "", 0, ""));
    }

    function _refused(address caller, bytes memory call, bytes memory why) private {
        assertReverts(caller, address(validation), call, why);
    }

    function _stands(uint8 response, bytes32 hash, string memory tag, uint256 lastUpdate) private view {
        (
            address validator,
            uint256 agentId,
            uint8 gotResponse,
            bytes32 gotHash,
            string memory gotTag,
            uint256 at
        ) = validation.getValidationStatus(HASH);
        assertEq(validator, bob, "validator");
        assertEq(agentId, 0, "agent");
        assertEq(gotResponse, response, "response");
        assertEq(gotHash, hash, "response hash");
        assertEq(gotTag, tag, "tag");
        assertEq(at, lastUpdate, "last update");
    }

    function _summarises(address[] memory validators, string memory tag, uint64 count, uint8 average)
        private
        view
    {
        (uint64 gotCount, uint8 gotAverage) = validation.getSummary(0, validators, tag);
        assertEq(gotCount, count, "count");
        assertEq(gotAverage, average, "average");
    }

    function _hashes(bytes32 hash) private pure returns (bytes32[] memory list) {
        list = new bytes32[](1);
        list[0] = hash;
    }
}
