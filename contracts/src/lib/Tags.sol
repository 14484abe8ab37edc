// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Filtering by a tag, byte by byte.
library Tags {
    /// @dev The filter that every tag passes. No string is known to hash to it.
    bytes32 internal constant ANY = 0;

    /// @dev A filter for one tag; the empty string makes `ANY`, so records without a tag cannot be selected.
    function filter(string calldata tag) internal pure returns (bytes32) {
        return bytes(tag).length == 0 ? ANY : keccak256(bytes(tag));
    }

    /// @dev Whether a stored tag passes a filter.
    function matches(string storage tag, bytes32 wanted) internal view returns (bool) {
        return wanted == ANY || keccak256(bytes(tag)) == wanted;
    }
}
