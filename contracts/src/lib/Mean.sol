// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title The mean of values of different precision, shown with the most frequent precision.
library Mean {
    /// @dev The largest precision, and the one at which values are summed.
    uint8 internal constant MAX_DECIMALS = 18;

    /// @dev Values seen so far.
    /// @param sum Their sum at `MAX_DECIMALS`. 2^64 values of 1e56 stay below 2^255.
    /// @param count How many there are.
    /// @param perDecimals How many there are of each precision.
    struct Accumulator {
        int256 sum;
        uint64 count;
        uint64[MAX_DECIMALS + 1] perDecimals;
    }

    /// @dev Take in one value.
    /// @param value The value, scaled by `10 ** decimals`; within ±1e38.
    /// @param decimals How many digits of `value` follow the point; at most `MAX_DECIMALS`.
    function add(Accumulator memory self, int128 value, uint8 decimals) internal pure {
        self.sum += int256(value) * _scale(decimals);
        self.count++;
        self.perDecimals[decimals]++;
    }

    /// @dev The mean, and its precision. Both divisions truncate toward zero, and the last cast keeps the low
    /// 128 bits whatever the value: the deployed contract does, and readers compare with it bit by bit.
    function result(Accumulator memory self) internal pure returns (int128 mean, uint8 decimals) {
        if (self.count == 0) return (0, 0);

        decimals = _mostFrequent(self.perDecimals);
        mean = int128(self.sum / int256(uint256(self.count)) / _scale(decimals));
    }

    /// @dev The precision seen most often; of several, the smallest.
    function _mostFrequent(uint64[MAX_DECIMALS + 1] memory perDecimals) private pure returns (uint8 mode) {
        for (uint8 decimals = 1; decimals <= MAX_DECIMALS; decimals++) {
            if (perDecimals[decimals] > perDecimals[mode]) mode = decimals;
        }
    }

    /// @dev What takes a value of `decimals` to `MAX_DECIMALS`.
    function _scale(uint8 decimals) private pure returns (int256) {
        return int256(10 ** uint256(MAX_DECIMALS - decimals));
    }
}
