// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

contract SummaryTest is RegistryTest {
    /// @dev One rating.
    struct Rating {
        int128 value;
        uint8 decimals;
    }

    function setUp() public override {
        super.setUp();
        _register(alice);
    }

    // The reference's table, in its order.

    function test_plain_mean() public {
        _given(80, 0);
        _given(90, 0);
        _given(100, 0);
        _summarises(3, 90, 0);
    }

    function test_the_smaller_of_two_equally_frequent_precisions_then_the_more_frequent() public {
        _given(9977, 2);
        _given(50, 0);
        _summarises(2, 74, 0);
        _given(1, 2);
        _summarises(3, 4992, 2);
    }

    function test_truncation_is_toward_zero() public {
        _given(-1, 0);
        _given(0, 0);
        _summarises(2, 0, 0);
    }

    function test_truncation_is_toward_zero_with_decimals() public {
        _given(-32, 1);
        _given(-33, 1);
        _summarises(2, -32, 1);
    }

    function test_a_low_precision_majority_erases_the_fraction() public {
        _given(1, 0);
        _given(1, 0);
        _given(500000000000000000, 18);
        _summarises(3, 0, 0);
    }

    function test_the_last_cast_wraps() public {
        _given(1e38, 0);
        _given(1, 18);
        _given(1, 18);
        _summarises(3, -886533759346574857640019685980940970, 18);
    }

    function test_a_client_listed_twice_counts_twice() public {
        _given(80, 0);
        _summarises(_two(bob, bob), "", "", 2, 80, 0);
    }

    function test_nothing_matches() public {
        _summarises(0, 0, 0);
        _summarises(_one(carol), "", "", 0, 0, 0);
        _given(80, 0);
        _summarises(_one(bob), "other", "", 0, 0, 0);
        (uint64 count,,) = reputation.getSummary(99, _one(bob), "", "");
        assertEq(count, 0, "an unknown agent");
    }

    function test_an_empty_list_of_clients_is_refused() public {
        bytes memory call = abi.encodeCall(reputation.getSummary, (0, new address[](0), "", ""));

        assertReverts(bob, address(reputation), call, Errors.reason("clientAddresses required"));
    }

    // What else the rules say.

    function test_both_divisions_truncate_toward_zero() public {
        _given(-1, 18);
        _given(-2, 18);
        _summarises(2, -1, 18);
        _given(-19, 1);
        _given(-19, 1);
        _given(-19, 1);
        _summarises(5, -11, 1);
    }

    function test_tags_filter_by_exact_bytes() public {
        _rate(bob, 0, 10, 0, "a", "x");
        _rate(bob, 0, 20, 0, "a", "y");
        _rate(bob, 0, 60, 0, "A", "x");
        _rate(carol, 0, 100, 0, "", "x");

        _summarises(_one(bob), "a", "", 2, 15, 0);
        _summarises(_one(bob), "", "x", 2, 35, 0);
        _summarises(_one(bob), "a", "y", 1, 20, 0);
        _summarises(_two(bob, carol), "", "x", 3, 56, 0);
        _summarises(_two(bob, carol), "", "", 4, 47, 0);
    }

    function test_revoked_ratings_do_not_count() public {
        _given(10, 0);
        _given(90, 2);
        _given(50, 0);
        vm.prank(bob);
        reputation.revokeFeedback(0, 2);

        _summarises(2, 30, 0);
    }

    function testFuzz_summary_equals_the_model(Rating[] memory ratings, uint256 revoked) public {
        uint256 length = ratings.length > 12 ? 12 : ratings.length;
        bool[] memory counts = new bool[](length);
        for (uint256 i = 0; i < length; i++) {
            ratings[i].value = int128(ratings[i].value % (1e38 + 1));
            ratings[i].decimals %= 19;
            _given(ratings[i].value, ratings[i].decimals);
            counts[i] = (revoked >> i) & 3 != 0;
            if (counts[i]) continue;
            vm.prank(bob);
            reputation.revokeFeedback(0, uint64(i + 1));
        }

        (uint64 count, int128 value, uint8 decimals) = _model(ratings, counts);
        _summarises(count, value, decimals);
    }

    /// @dev Few precisions, so that ties and majorities are frequent.
    function testFuzz_summary_of_few_precisions(Rating[8] memory ratings, uint8 least) public {
        bool[] memory counts = new bool[](8);
        Rating[] memory all = new Rating[](8);
        for (uint256 i = 0; i < 8; i++) {
            all[i] = Rating(int128(ratings[i].value % 1000), least % 17 + ratings[i].decimals % 3);
            counts[i] = true;
            _given(all[i].value, all[i].decimals);
        }

        (uint64 count, int128 value, uint8 decimals) = _model(all, counts);
        _summarises(count, value, decimals);
    }

    /// @dev The algorithm told another way: magnitudes and signs apart, the mode by counting all pairs, the
    /// wrap by hand.
    function _model(Rating[] memory ratings, bool[] memory counts)
        private
        pure
        returns (uint64 count, int128 value, uint8 decimals)
    {
        uint256 positive;
        uint256 negative;
        uint256 best;
        for (uint256 i = 0; i < counts.length; i++) {
            if (!counts[i]) continue;
            count++;
            int256 v = ratings[i].value;
            if (v >= 0) positive += uint256(v) * 10 ** (18 - ratings[i].decimals);
            else negative += uint256(-v) * 10 ** (18 - ratings[i].decimals);
            uint256 alike;
            for (uint256 j = 0; j < counts.length; j++) {
                if (counts[j] && ratings[j].decimals == ratings[i].decimals) alike++;
            }
            if (alike < best || (alike == best && ratings[i].decimals >= decimals)) continue;
            (best, decimals) = (alike, ratings[i].decimals);
        }
        if (count == 0) return (0, 0, 0);

        uint256 magnitude = positive > negative ? positive - negative : negative - positive;
        magnitude = magnitude / count / 10 ** (18 - decimals);
        uint256 low = magnitude & type(uint128).max;
        if (negative > positive && low > 0) low = 2 ** 128 - low;
        value = low < 2 ** 127 ? int128(uint128(low)) : -int128(uint128(2 ** 128 - low - 1)) - 1;
    }

    function _given(int128 value, uint8 decimals) private {
        _rate(bob, 0, value, decimals);
    }

    function _summarises(uint64 count, int128 value, uint8 decimals) private view {
        _summarises(_one(bob), "", "", count, value, decimals);
    }

    function _summarises(
        address[] memory clients,
        string memory tag1,
        string memory tag2,
        uint64 count,
        int128 value,
        uint8 decimals
    ) private view {
        (uint64 gotCount, int128 gotValue, uint8 gotDecimals) = reputation.getSummary(0, clients, tag1, tag2);
        assertEq(gotCount, count, "count");
        assertEq(gotValue, value, "summaryValue");
        assertEq(gotDecimals, decimals, "summaryValueDecimals");
    }
}
