// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {RegistryTest} from "../support/RegistryTest.sol";
import {ReputationActions} from "./ReputationActions.sol";

contract ReputationInvariants is RegistryTest {
    ReputationActions private _actions;
    address[] private _anybody;

    function setUp() public override {
        super.setUp();
        _register(alice);
        _register(alice);
        _actions = new ReputationActions(reputation);
    }

    /// @dev Tells forge what to call.
    function targetContracts() external view returns (address[] memory) {
        return _one(address(_actions));
    }

    /// @dev Indexes are 1..n for each pair, and records change only by being revoked.
    function invariant_records_stay() public view {
        for (uint256 i = 0; i < 10; i++) {
            (uint256 agentId, address client) = _pair(i);
            ReputationActions.Rating[] memory want = _actions.ratings(agentId, client);
            assertEq(reputation.getLastIndex(agentId, client), want.length, "last index");
            for (uint256 j = 0; j < want.length; j++) {
                (int128 value, uint8 decimals,,, bool isRevoked) =
                    reputation.readFeedback(agentId, client, uint64(j + 1));
                assertEq(value, want[j].value, "value");
                assertEq(decimals, want[j].decimals, "decimals");
                assertTrue(isRevoked == want[j].isRevoked, "revoked");
            }
        }
    }

    /// @dev Responses add up from records to clients to agents.
    function invariant_responses_add_up() public view {
        uint256[2] memory ofAgent;
        for (uint256 i = 0; i < 10; i++) {
            (uint256 agentId, address client) = _pair(i);
            ReputationActions.Rating[] memory want = _actions.ratings(agentId, client);
            uint256 ofClient;
            for (uint256 j = 0; j < want.length; j++) {
                uint64 got = reputation.getResponseCount(agentId, client, uint64(j + 1), _anybody);
                assertEq(got, want[j].responses, "of a record");
                ofClient += got;
            }
            assertEq(reputation.getResponseCount(agentId, client, 0, _anybody), ofClient, "of a client");
            ofAgent[agentId] += ofClient;
        }
        assertEq(reputation.getResponseCount(0, address(0), 0, _anybody), ofAgent[0], "of agent 0");
        assertEq(reputation.getResponseCount(1, address(0), 0, _anybody), ofAgent[1], "of agent 1");
    }

    /// @dev A client is listed once, from its first rating on, and a summary counts what is not revoked.
    function invariant_clients_and_counts() public view {
        for (uint256 agentId = 0; agentId < 2; agentId++) {
            uint256 live;
            uint256 clients;
            for (uint256 who = 0; who < 5; who++) {
                ReputationActions.Rating[] memory want = _actions.ratings(agentId, _actions.client(who));
                if (want.length > 0) clients++;
                for (uint256 j = 0; j < want.length; j++) {
                    if (!want[j].isRevoked) live++;
                }
            }
            address[] memory listed = reputation.getClients(agentId);
            assertEq(listed.length, clients, "clients");
            if (clients == 0) continue;
            (uint64 count,,) = reputation.getSummary(agentId, listed, "", "");
            assertEq(count, live, "count");
        }
    }

    function _pair(uint256 i) private view returns (uint256 agentId, address client) {
        return (i / 5, _actions.client(i % 5));
    }
}
