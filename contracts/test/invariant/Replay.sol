// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Expected} from "../support/Expected.sol";
import {Vm} from "../support/Vm.sol";

/// @title What a reader makes of the identity registry's logs.
/// @dev Holds the three rules that re-entrant registration asks for:
/// - take the owner from `Transfer` only;
/// - take the URI of `Registered` only when `MetadataUpdate` of that agent is the log right before it: without
///   it the agent was registered without a URI, and one that the receiver hook set holds;
/// - ignore the wallet log of a registration when another log of that agent's wallet came before it in the
///   same transaction.
contract Replay {
    struct Agent {
        address owner;
        string uri;
        bytes wallet;
        uint256 walletTransaction;
    }

    uint256 public announced;
    mapping(uint256 agentId => Agent) private _agents;

    function agent(uint256 agentId)
        external
        view
        returns (address owner, string memory uri, bytes memory wallet)
    {
        Agent storage state = _agents[agentId];
        return (state.owner, state.uri, state.wallet);
    }

    /// @dev The logs of one transaction, in order; `transaction` counts up from 1.
    function read(Vm.Log[] calldata logs, uint256 transaction) external {
        for (uint256 i = 0; i < logs.length; i++) {
            bytes32 topic = logs[i].topics[0];
            if (topic == Expected.TRANSFER) {
                _agents[uint256(logs[i].topics[3])].owner = address(uint160(uint256(logs[i].topics[2])));
            } else if (topic == Expected.URI_UPDATED) {
                _agents[uint256(logs[i].topics[1])].uri = abi.decode(logs[i].data, (string));
            } else if (topic == Expected.REGISTERED) {
                announced++;
                if (logs[i - 1].topics[0] != Expected.METADATA_UPDATE) continue;
                _agents[uint256(logs[i].topics[1])].uri = abi.decode(logs[i].data, (string));
            } else if (topic == Expected.METADATA_SET && logs[i].topics[2] == keccak256("agentWallet")) {
                (, bytes memory wallet) = abi.decode(logs[i].data, (string, bytes));
                bool isRegistration = i > 0 && logs[i - 1].topics[0] == Expected.REGISTERED;
                _setWallet(_agents[uint256(logs[i].topics[1])], wallet, transaction, isRegistration);
            }
        }
    }

    function _setWallet(Agent storage state, bytes memory wallet, uint256 transaction, bool isRegistration)
        private
    {
        if (isRegistration && state.walletTransaction == transaction) return;
        state.wallet = wallet;
        state.walletTransaction = transaction;
    }
}
