// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title A registry about the agents of one identity registry.
interface IIdentityLinked {
    /// @notice Bind the registry to its agents. For the contract owner, once.
    /// @dev Version 2 of the proxy: version 1 was the placeholder, which set the contract owner.
    /// Reverts, in this order: `InvalidInitialization()`; `OwnableUnauthorizedAccount`; "bad identity".
    /// @param identityRegistry_ The identity registry's proxy; not zero.
    function initialize(address identityRegistry_) external;

    /// @notice The identity registry whose agents this registry is about.
    /// @return The address of that registry's proxy; zero before `initialize`.
    function getIdentityRegistry() external view returns (address);
}
