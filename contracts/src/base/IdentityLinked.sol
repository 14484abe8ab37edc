// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IIdentityLinked} from "../interfaces/IIdentityLinked.sol";
import {IIdentityRegistry} from "../interfaces/IIdentityRegistry.sol";
import {UpgradeableRegistry} from "./UpgradeableRegistry.sol";

/// @title A registry about the agents of one identity registry.
abstract contract IdentityLinked is UpgradeableRegistry, IIdentityLinked {
    /// @dev Slot 0 of the proxy, as in the deployed contracts. Declare nothing before it.
    IIdentityRegistry private _identityRegistry;

    /// @inheritdoc IIdentityLinked
    function initialize(address identityRegistry_) external reinitializer(2) onlyOwner {
        require(identityRegistry_ != address(0), "bad identity");

        _identityRegistry = IIdentityRegistry(identityRegistry_);
    }

    /// @inheritdoc IIdentityLinked
    function getIdentityRegistry() external view returns (address) {
        return address(_identityRegistry);
    }

    /// @dev Reverts with the identity registry's `ERC721NonexistentToken` when there is no such agent.
    function _isManager(address account, uint256 agentId) internal view returns (bool) {
        return _identityRegistry.isAuthorizedOrOwner(account, agentId);
    }
}
