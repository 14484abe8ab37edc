// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {OwnableUpgradeable} from "@openzeppelin/contracts-upgradeable/access/OwnableUpgradeable.sol";
import {UUPSUpgradeable} from "@openzeppelin/contracts-upgradeable/proxy/utils/UUPSUpgradeable.sol";

import {IVersioned} from "../interfaces/IVersioned.sol";

/// @title What the three registries share: code behind an ERC-1967 proxy that its owner may replace.
/// @dev The contract owner is set by `UUPSPlaceholder`, which every proxy runs first, as version 1. The
/// registries initialise as version 2. All state is in ERC-7201 namespaces, except slot 0 (`IdentityLinked`).
abstract contract UpgradeableRegistry is OwnableUpgradeable, UUPSUpgradeable, IVersioned {
    /// @dev The implementation itself can never be initialised, only a proxy in front of it.
    constructor() {
        _disableInitializers();
    }

    /// @inheritdoc IVersioned
    function getVersion() external pure virtual returns (string memory) {
        return "2.0.0";
    }

    /// @dev Only the contract owner upgrades, at once and to anything that speaks UUPS.
    function _authorizeUpgrade(address) internal override onlyOwner {}
}
