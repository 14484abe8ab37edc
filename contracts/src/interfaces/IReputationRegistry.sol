// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title ERC-8004 Reputation Registry: feedback that anyone gives on agents.
/// @notice A record is named by (agent, client, index). Indexes count up from 1 for each pair of agent and
/// client. A record is never changed or removed; its client may revoke it, for good.
/// @dev Kept in storage: value, decimals, both tags, the revocation, and how often each responder
/// answered. Endpoint, URI and hash of a feedback, and all of a response, are in the logs only.
interface IReputationRegistry {
    /// @notice A client rated an agent. Fields are as in `giveFeedback`.
    /// @param agentId The rated agent.
    /// @param clientAddress Who rated.
    /// @param feedbackIndex 1 for the client's first rating of this agent, then one more each time.
    /// @param value The rating, scaled by `10 ** valueDecimals`.
    /// @param valueDecimals How many digits of `value` follow the point.
    /// @param indexedTag1 `tag1` again; the topic holds only its keccak256.
    /// @param tag1 What was rated.
    /// @param tag2 More of the same.
    /// @param endpoint Which of the agent's endpoints was used.
    /// @param feedbackURI Where more about the feedback is.
    /// @param feedbackHash keccak256 of what is there.
    event NewFeedback(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        int128 value,
        uint8 valueDecimals,
        string indexed indexedTag1,
        string tag1,
        string tag2,
        string endpoint,
        string feedbackURI,
        bytes32 feedbackHash
    );

    /// @notice A client took a rating back.
    /// @param agentId The rated agent.
    /// @param clientAddress Who had rated.
    /// @param feedbackIndex Which of the client's ratings of this agent.
    event FeedbackRevoked(
        uint256 indexed agentId, address indexed clientAddress, uint64 indexed feedbackIndex
    );

    /// @notice Someone answered a rating.
    /// @param agentId The rated agent.
    /// @param clientAddress Who had rated.
    /// @param feedbackIndex Which of the client's ratings of this agent.
    /// @param responder Who answered: anyone, not only the agent.
    /// @param responseURI Where the response is; not empty.
    /// @param responseHash keccak256 of what is there.
    event ResponseAppended(
        uint256 indexed agentId,
        address indexed clientAddress,
        uint64 feedbackIndex,
        address indexed responder,
        string responseURI,
        bytes32 responseHash
    );

    /// @notice Record the caller's rating of an agent.
    /// @dev Refused are those who manage the agent at this moment. Its wallet, or a second account of its
    /// owner, is not refused.
    /// Reverts, in this order: "too many decimals"; "value too large"; the identity registry's
    /// `ERC721NonexistentToken`; "Self-feedback not allowed".
    /// @param agentId The rated agent. The first agent of a registry is 0.
    /// @param value The rating, scaled by `10 ** valueDecimals`; within ±1e38. Its unit follows from `tag1`.
    /// @param valueDecimals How many digits of `value` follow the point; at most 18.
    /// @param tag1 What was rated; any string, compared byte by byte; empty for none.
    /// @param tag2 More of the same.
    /// @param endpoint Which of the agent's endpoints was used; may be empty.
    /// @param feedbackURI Where more about the feedback is; may be empty.
    /// @param feedbackHash keccak256 of what is there; zero where the URI names its content already.
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external;

    /// @notice Take back one of the caller's own ratings. It keeps its index and cannot be put back.
    /// @dev Reverts, in this order: "index must be > 0"; "index out of bounds"; "Already revoked".
    /// @param agentId The rated agent.
    /// @param feedbackIndex Which of the caller's ratings of this agent; from 1.
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external;

    /// @notice Answer a rating. For anyone, any number of times, also when the rating is revoked.
    /// @dev Reverts, in this order: "index must be > 0"; "Empty URI"; "index out of bounds".
    /// @param agentId The rated agent.
    /// @param clientAddress Who had rated.
    /// @param feedbackIndex Which of the client's ratings of this agent; from 1.
    /// @param responseURI Where the response is; not empty.
    /// @param responseHash keccak256 of what is there; zero where the URI names its content already.
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external;

    /// @notice The mean of what the given clients said, shown with the most frequent precision.
    /// @dev Values are brought to 18 decimals, summed and divided by `count`, then brought to the most
    /// frequent `valueDecimals` (of several equally frequent, the smallest). Both divisions truncate toward
    /// zero. The last step takes the low 128 bits without a check, so large values shown with many decimals
    /// come out wrong, even with the wrong sign. Revoked ratings are left out; a client listed twice counts twice.
    /// Reverts with "clientAddresses required" when the list is empty.
    /// @param agentId The agent; need not exist.
    /// @param clientAddresses Whose ratings count; not empty.
    /// @param tag1 Only ratings with this first tag; empty for any.
    /// @param tag2 Only ratings with this second tag; empty for any.
    /// @return count How many ratings matched.
    /// @return summaryValue Their mean, scaled by `10 ** summaryValueDecimals`; 0 when none matched.
    /// @return summaryValueDecimals The most frequent `valueDecimals`; 0 when none matched.
    function getSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals);

    /// @notice One record, whether or not it is revoked.
    /// @dev Reverts, in this order: "index must be > 0"; "index out of bounds".
    /// @param agentId The rated agent.
    /// @param clientAddress Who rated.
    /// @param feedbackIndex Which of the client's ratings of this agent; from 1.
    /// @return value The rating, scaled by `10 ** valueDecimals`.
    /// @return valueDecimals How many digits of `value` follow the point.
    /// @return tag1 What was rated.
    /// @return tag2 More of the same.
    /// @return isRevoked Whether the client took it back.
    function readFeedback(uint256 agentId, address clientAddress, uint64 feedbackIndex)
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked);

    /// @notice Many records, as arrays of equal length: client by client, each in the order of the index.
    /// @dev Unlike `getSummary`, an empty list of clients means all of them. The cost has no bound.
    /// @param agentId The agent; need not exist.
    /// @param clientAddresses Whose ratings, in which order; empty for all, in the order of their first.
    /// @param tag1 Only ratings with this first tag; empty for any.
    /// @param tag2 Only ratings with this second tag; empty for any.
    /// @param includeRevoked Whether revoked ratings are wanted too.
    /// @return clients Who rated.
    /// @return feedbackIndexes Which of the client's ratings of this agent.
    /// @return values The ratings, scaled by `10 ** valueDecimals`.
    /// @return valueDecimals How many digits of each value follow the point.
    /// @return tag1s What was rated.
    /// @return tag2s More of the same.
    /// @return revokedStatuses Whether the client took it back.
    function readAllFeedback(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2,
        bool includeRevoked
    )
        external
        view
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        );

    /// @notice How many responses there are to a record, to a client's records, or to all of an agent's.
    /// @dev A responder listed twice counts twice. The cost has no bound.
    /// @param agentId The agent; need not exist.
    /// @param clientAddress Whose ratings; zero for all clients, and then the index says nothing.
    /// @param feedbackIndex Which of the client's ratings; 0 for all of them.
    /// @param responders Whose responses; empty for everybody's.
    /// @return count The number of responses.
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count);

    /// @notice Who ever rated an agent: each client once, in the order of their first rating.
    /// @param agentId The agent; need not exist.
    /// @return The clients, also those who revoked everything.
    function getClients(uint256 agentId) external view returns (address[] memory);

    /// @notice How many ratings a client gave an agent, revoked ones counted; the index of the last one.
    /// @param agentId The agent; need not exist.
    /// @param clientAddress The client.
    /// @return The index; 0 for none.
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64);
}
