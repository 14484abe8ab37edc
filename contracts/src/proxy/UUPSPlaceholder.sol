// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";

import {IVersioned} from "../interfaces/IVersioned.sol";

/// @title The first code behind every registry's proxy: it has an owner, who may upgrade, and nothing else.
/// @notice A proxy's address must not depend on the registry behind it, so proxies start here, as version 1,
/// and are upgraded to their registry, as version 2.
/// @dev Initialise in the proxy's constructor, or in the transaction that places it: the first caller of
/// `initialize` names the owner.
contract UUPSPlaceholder is OwnableUpgradeable, UUPSUpgradeable, IVersioned {
    /// @dev The placeholder itself can never be initialised, only a proxy in front of it.
    constructor() {
        _disableInitializers();
    }

    /// @notice Name the contract owner, once. Logs `OwnershipTransferred`, then `Initialized(1)`.
    /// @param contractOwner Who may upgrade the proxy and initialise the registry; not zero.
    function initialize(address contractOwner) external initializer {
        __Ownable_init(contractOwner);
    }

    /// @inheritdoc IVersioned
    function getVersion() external pure returns (string memory) {
        return "1.0.0";
    }

    /// @dev Only the contract owner upgrades.
    function _authorizeUpgrade(address) internal override onlyOwner {}
}
