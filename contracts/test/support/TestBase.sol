// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Vm} from "./Vm.sol";

/// @title Assertions, and calls that must fail.
abstract contract TestBase {
    /// @dev An assertion did not hold; both sides ABI-encoded.
    error NotEqual(string what, bytes got, bytes want);
    /// @dev A call succeeded that must not.
    error DidNotRevert(bytes call);

    /// @dev Tells forge that this is a test contract.
    bool public constant IS_TEST = true;

    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    function assertTrue(bool condition, string memory what) internal pure {
        if (!condition) revert NotEqual(what, abi.encode(false), abi.encode(true));
    }

    function assertFalse(bool condition, string memory what) internal pure {
        if (condition) revert NotEqual(what, abi.encode(true), abi.encode(false));
    }

    function assertEq(uint256 got, uint256 want, string memory what) internal pure {
        if (got != want) revert NotEqual(what, abi.encode(got), abi.encode(want));
    }

    function assertEq(int256 got, int256 want, string memory what) internal pure {
        if (got != want) revert NotEqual(what, abi.encode(got), abi.encode(want));
    }

    function assertEq(address got, address want, string memory what) internal pure {
        if (got != want) revert NotEqual(what, abi.encode(got), abi.encode(want));
    }

    function assertEq(bytes32 got, bytes32 want, string memory what) internal pure {
        if (got != want) revert NotEqual(what, abi.encode(got), abi.encode(want));
    }

    function assertEq(bytes memory got, bytes memory want, string memory what) internal pure {
        if (keccak256(got) != keccak256(want)) revert NotEqual(what, got, want);
    }

    function assertEq(string memory got, string memory want, string memory what) internal pure {
        assertEq(bytes(got), bytes(want), what);
    }

    /// @dev `call` must fail with exactly these bytes when `caller` sends it.
    function assertReverts(address caller, address target, bytes memory call, bytes memory want) internal {
        vm.prank(caller);
        (bool success, bytes memory got) = target.call(call);
        if (success) revert DidNotRevert(call);
        assertEq(got, want, "revert data");
    }

    /// @dev `call` must succeed when `caller` sends it.
    function assertSucceeds(address caller, address target, bytes memory call)
        internal
        returns (bytes memory result)
    {
        bool success;
        vm.prank(caller);
        (success, result) = target.call(call);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    /// @dev The logs since the last look, compared one by one; all must come from `emitter`.
    function assertLogged(address emitter, Vm.Log[] memory want) internal {
        Vm.Log[] memory got = vm.getRecordedLogs();
        assertEq(got.length, want.length, "number of logs");
        for (uint256 i = 0; i < want.length; i++) {
            assertEq(got[i].emitter, emitter, "emitter");
            assertEq(abi.encode(got[i].topics), abi.encode(want[i].topics), "topics");
            assertEq(got[i].data, want[i].data, "log data");
        }
    }

    /// @dev Start looking: forget the logs so far.
    function watchLogs() internal {
        vm.recordLogs();
        vm.getRecordedLogs();
    }

    /// @dev A fuzzed number folded into `low..high`.
    function bound(uint256 x, uint256 low, uint256 high) internal pure returns (uint256) {
        return x >= low && x <= high ? x : low + x % (high - low + 1);
    }

    /// @dev An address named by a word.
    function actor(string memory name) internal pure returns (address) {
        return address(uint160(uint256(keccak256(bytes(name)))));
    }
}
