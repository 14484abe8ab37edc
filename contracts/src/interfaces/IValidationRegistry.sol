// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title ERC-8004 Validation Registry: agents ask validators to check their work.
/// @notice A request is named by its hash, one key for the whole registry: whoever uses a hash first owns
/// it. This part of the standard is not final.
/// @dev Kept in storage: the latest answer of each request. URIs, and earlier answers, are in the logs only.
interface IValidationRegistry {
    /// @notice An agent asked a validator for a check.
    /// @param validatorAddress Who shall answer.
    /// @param agentId The agent that asks.
    /// @param requestURI Where the work to check is.
    /// @param requestHash The name of the request.
    event ValidationRequest(
        address indexed validatorAddress,
        uint256 indexed agentId,
        string requestURI,
        bytes32 indexed requestHash
    );

    /// @notice A validator answered, perhaps not for the first time.
    /// @param validatorAddress Who answered.
    /// @param agentId The agent that had asked.
    /// @param requestHash The name of the request.
    /// @param response The answer: 0 failed, 100 passed, or anything between.
    /// @param responseURI Where more about the answer is.
    /// @param responseHash keccak256 of what is there.
    /// @param tag What was checked.
    event ValidationResponse(
        address indexed validatorAddress,
        uint256 indexed agentId,
        bytes32 indexed requestHash,
        uint8 response,
        string responseURI,
        bytes32 responseHash,
        string tag
    );

    /// @notice Ask a validator for a check. For managers of the agent.
    /// @dev Reverts, in this order: "bad validator"; "exists"; the identity registry's
    /// `ERC721NonexistentToken`; "Not authorized".
    /// @param validatorAddress Who shall answer; not zero. It may be the agent's owner.
    /// @param agentId The agent that asks.
    /// @param requestURI Where the work to check is; may be empty.
    /// @param requestHash The name of the request; not used before in this registry.
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external;

    /// @notice Answer a request. For its validator, any number of times: the last answer holds.
    /// @dev Reverts, in this order: "unknown"; "not validator"; "resp>100".
    /// @param requestHash The name of the request.
    /// @param response The answer: 0 failed, 100 passed, or anything between.
    /// @param responseURI Where more about the answer is; may be empty.
    /// @param responseHash keccak256 of what is there; may be zero.
    /// @param tag What was checked; any string, compared byte by byte.
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external;

    /// @notice The latest state of a request.
    /// @dev A request without an answer and one answered with 0 look alike, but for the tag and the hash.
    /// Reverts with "unknown" when there is no such request.
    /// @param requestHash The name of the request.
    /// @return validatorAddress Who shall answer.
    /// @return agentId The agent that asked.
    /// @return response The last answer; 0 while there is none.
    /// @return responseHash The last answer's hash.
    /// @return tag The last answer's tag.
    /// @return lastUpdate Block time of the last answer, else of the request, in seconds since 1970.
    function getValidationStatus(bytes32 requestHash)
        external
        view
        returns (
            address validatorAddress,
            uint256 agentId,
            uint8 response,
            bytes32 responseHash,
            string memory tag,
            uint256 lastUpdate
        );

    /// @notice The mean of the answers an agent got. Requests without an answer are left out.
    /// @param agentId The agent; need not exist.
    /// @param validatorAddresses Whose answers; empty for everybody's. A repeated address changes nothing.
    /// @param tag Only requests whose last answer has this tag; empty for any.
    /// @return count How many answers matched.
    /// @return avgResponse Their mean, rounded down; 0 when none matched.
    function getSummary(uint256 agentId, address[] calldata validatorAddresses, string calldata tag)
        external
        view
        returns (uint64 count, uint8 avgResponse);

    /// @notice Every request of an agent, answered or not, oldest first.
    /// @param agentId The agent; need not exist.
    /// @return The hashes.
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory);

    /// @notice Every request that names a validator, answered or not, oldest first.
    /// @param validatorAddress The validator.
    /// @return The hashes.
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory);
}
