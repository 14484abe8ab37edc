// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title A registry that names the version of its code.
interface IVersioned {
    /// @notice The version of the code behind the proxy.
    /// @dev A constant of the code. It need not change with every edit: to know what runs, read the
    /// implementation address in the ERC-1967 slot.
    /// @return Three numbers with points, such as "2.0.0".
    function getVersion() external pure returns (string memory);
}
