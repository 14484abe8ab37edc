// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IReputation} from "../support/RegistryTest.sol";
import {TestBase} from "../support/TestBase.sol";

/// @title What the fuzzer may do to the reputation registry, with a simple account of it.
/// @dev The agents 0 and 1 exist; five clients rate them, and the same five respond.
contract ReputationActions is TestBase {
    struct Rating {
        int128 value;
        uint8 decimals;
        bool isRevoked;
        uint64 responses;
    }

    IReputation private immutable _reputation;
    mapping(uint256 agentId => mapping(address client => Rating[])) private _ratings;

    constructor(IReputation reputation) {
        _reputation = reputation;
    }

    function rate(uint256 agentId, uint256 who, int128 value, uint8 decimals) external {
        Rating memory rating = Rating(int128(value % (1e38 + 1)), decimals % 19, false, 0);
        vm.prank(client(who));
        _reputation.giveFeedback(agentId % 2, rating.value, rating.decimals, "", "", "", "", 0);
        _ratings[agentId % 2][client(who)].push(rating);
    }

    function revoke(uint256 agentId, uint256 who, uint256 index) external {
        Rating[] storage all = _ratings[agentId % 2][client(who)];
        vm.assume(all.length > 0);
        index %= all.length;
        vm.prank(client(who));
        (bool success,) = address(_reputation)
            .call(abi.encodeCall(_reputation.revokeFeedback, (agentId % 2, uint64(index + 1))));
        assertTrue(success != all[index].isRevoked, "revoked exactly once");
        all[index].isRevoked = true;
    }

    function respond(uint256 agentId, uint256 who, uint256 index, uint256 responder) external {
        Rating[] storage all = _ratings[agentId % 2][client(who)];
        vm.assume(all.length > 0);
        index %= all.length;
        vm.prank(client(responder));
        _reputation.appendResponse(agentId % 2, client(who), uint64(index + 1), "x", 0);
        all[index].responses++;
    }

    function ratings(uint256 agentId, address who) external view returns (Rating[] memory) {
        return _ratings[agentId][who];
    }

    function client(uint256 who) public pure returns (address) {
        return address(uint160(0x2000 + who % 5));
    }
}
