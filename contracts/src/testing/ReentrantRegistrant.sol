// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";

import {IIdentityRegistry} from "../interfaces/IIdentityRegistry.sol";

/// @title A registrant that changes its agent while the agent is being registered.
/// @notice For tests and the devnet. The mint calls the receiver hook before the registry has logged
/// `Registered` and the wallet; whatever the hook does is logged first and contradicted afterwards. A
/// reader who replays the logs naively ends up with another state than the registry's.
contract ReentrantRegistrant is IERC721Receiver {
    /// @notice What the receiver hook does with the agent that is being minted.
    enum Trap {
        /// Nothing.
        None,
        /// Set its URI: `URIUpdated` with the true URI, then `Registered` with an empty one.
        SetURI,
        /// Clear its wallet: the wallet's log follows, though there is none.
        UnsetWallet,
        /// Move it to `recipient`: `Registered` then names somebody who no longer owns it.
        Move,
        /// Register another agent first: its `Registered` comes before that of the smaller id.
        RegisterAnother
    }

    /// @dev Armed for one mint; the hook disarms it.
    Trap private _trap;
    string private _uri;
    address private _recipient;

    /// @notice Register an agent without a URI, with a trap in the receiver hook.
    /// @param registry The identity registry.
    /// @param trap What the hook does.
    /// @param uri The URI for `Trap.SetURI`.
    /// @param recipient Who gets the agent for `Trap.Move`.
    /// @return agentId The agent the trap was for.
    function register(IIdentityRegistry registry, Trap trap, string calldata uri, address recipient)
        external
        returns (uint256 agentId)
    {
        (_trap, _uri, _recipient) = (trap, uri, recipient);

        return registry.register();
    }

    /// @notice Register an agent with a URI, with a trap in the receiver hook.
    /// @dev The registry sets `agentURI` after the hook, also when it is empty: then `Registered` has an empty
    /// URI, as without one, but it holds. Only the `MetadataUpdate` right before it tells the two apart.
    /// @param registry The identity registry.
    /// @param agentURI The URI to register with; may be empty.
    /// @param trap What the hook does.
    /// @param uri The URI for `Trap.SetURI`.
    /// @param recipient Who gets the agent for `Trap.Move`.
    /// @return agentId The agent the trap was for.
    function registerWithURI(
        IIdentityRegistry registry,
        string calldata agentURI,
        Trap trap,
        string calldata uri,
        address recipient
    ) external returns (uint256 agentId) {
        (_trap, _uri, _recipient) = (trap, uri, recipient);

        return registry.register(agentURI);
    }

    /// @inheritdoc IERC721Receiver
    function onERC721Received(address, address, uint256 agentId, bytes calldata) external returns (bytes4) {
        Trap trap = _trap;
        _trap = Trap.None;

        if (trap == Trap.SetURI) {
            IIdentityRegistry(msg.sender).setAgentURI(agentId, _uri);
        } else if (trap == Trap.UnsetWallet) {
            IIdentityRegistry(msg.sender).unsetAgentWallet(agentId);
        } else if (trap == Trap.Move) {
            IERC721(msg.sender).transferFrom(address(this), _recipient, agentId);
        } else if (trap == Trap.RegisterAnother) {
            IIdentityRegistry(msg.sender).register();
        }

        return IERC721Receiver.onERC721Received.selector;
    }
}
