// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title ERC-8004 Identity Registry: each agent is one ERC-721 token.
/// @notice A *manager* of an agent is its owner, an operator of that owner (`setApprovalForAll`), or the
/// address approved for that token (`approve`).
/// @dev The functions of ERC-721, ERC-4906, ERC-5267, Ownable and UUPS come on top. `owner()` is the
/// upgrade admin of the registry, not the owner of an agent.
///
/// Agent ids count up from 0 without a gap, and no agent is ever burnt. A function that takes an agent id
/// and changes something reverts with `ERC721NonexistentToken(agentId)` when there is no such agent.
interface IIdentityRegistry {
    /// @notice One entry of an agent's metadata.
    /// @param metadataKey Any string but "agentWallet", compared byte by byte.
    /// @param metadataValue Raw bytes without a type. Empty bytes are how a key is cleared.
    struct MetadataEntry {
        string metadataKey;
        bytes metadataValue;
    }

    /// @notice An agent was registered.
    /// @dev Comes after the token's `Transfer`, and after whatever the registrant's receiver hook did: by
    /// now the agent may have another owner, URI or wallet than this log and the next one say.
    /// @param agentId The new agent.
    /// @param agentURI The URI given at registration; empty for `register()`.
    /// @param owner Who registered. It stays in the log; follow `Transfer` for the owner.
    event Registered(uint256 indexed agentId, string agentURI, address indexed owner);

    /// @notice A metadata value was set or, with an empty value, cleared.
    /// @dev Also tells of the wallet, under the key "agentWallet": 20 bytes when set, none when cleared.
    /// @param agentId The agent.
    /// @param indexedMetadataKey The key again; the topic holds only its keccak256.
    /// @param metadataKey The key.
    /// @param metadataValue The value that holds from now on.
    event MetadataSet(
        uint256 indexed agentId, string indexed indexedMetadataKey, string metadataKey, bytes metadataValue
    );

    /// @notice An agent's URI was replaced. Follows a `MetadataUpdate(agentId)` of ERC-4906.
    /// @param agentId The agent.
    /// @param newURI The URI that holds from now on; may be empty.
    /// @param updatedBy The manager who sent the call.
    event URIUpdated(uint256 indexed agentId, string newURI, address indexed updatedBy);

    /// @notice Set the EIP-712 domain and the token's name. For the contract owner, once.
    /// @dev Version 2 of the proxy: version 1 was the placeholder, which set the contract owner.
    /// Reverts, in this order: `InvalidInitialization()`; `OwnableUnauthorizedAccount`.
    function initialize() external;

    /// @notice Register an agent without a URI, owned by the caller.
    /// @dev As `register(string,MetadataEntry[])`, but without `MetadataUpdate`: no URI is set.
    /// @return agentId The new agent.
    function register() external returns (uint256 agentId);

    /// @notice Register an agent with a URI, owned by the caller.
    /// @dev As `register(string,MetadataEntry[])`, without entries.
    /// @param agentURI Where the registration file is; any string.
    /// @return agentId The new agent.
    function register(string calldata agentURI) external returns (uint256 agentId);

    /// @notice Register an agent with a URI and metadata, owned by the caller.
    /// @dev The agent's wallet is the caller: a default, not a proof.
    /// Reverts, in this order: `ERC721InvalidReceiver` when the caller has code and lacks the ERC-721
    /// receiver hook; "reserved key" for an entry named "agentWallet".
    /// Logs, in this order: `Transfer`, `MetadataUpdate`, `Registered`, `MetadataSet` of the wallet, one
    /// `MetadataSet` per entry. The receiver hook runs right after `Transfer`, with the wallet in place.
    /// @param agentURI Where the registration file is; any string.
    /// @param metadata Entries, set in the order given: of a repeated key the last one stays.
    /// @return agentId The new agent.
    function register(string calldata agentURI, MetadataEntry[] calldata metadata)
        external
        returns (uint256 agentId);

    /// @notice Replace an agent's URI. For managers.
    /// @dev Reverts, in this order: `ERC721NonexistentToken`; "Not authorized".
    /// @param agentId The agent.
    /// @param newURI Where the registration file is; may be empty.
    function setAgentURI(uint256 agentId, string calldata newURI) external;

    /// @notice Set or clear one metadata value. For managers.
    /// @dev Reverts, in this order: `ERC721NonexistentToken`; "Not authorized"; "reserved key".
    /// @param agentId The agent.
    /// @param metadataKey Any string but "agentWallet", compared byte by byte.
    /// @param metadataValue Raw bytes; empty to clear.
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue) external;

    /// @notice Set the wallet an agent is paid at. For managers, with the new wallet's signature.
    /// @dev The wallet signs the EIP-712 struct `AgentWalletSet(uint256 agentId,address newWallet,address
    /// owner,uint256 deadline)`, where `owner` is the agent's owner, whoever sends the call. There is no
    /// nonce: within its time a signature serves again, unless the agent changed hands.
    /// ECDSA is tried first, also when the wallet has code; then ERC-1271.
    /// Reverts, in this order: `ERC721NonexistentToken`; "Not authorized"; "bad wallet"; "expired";
    /// "deadline too far"; "invalid wallet sig".
    /// @param agentId The agent.
    /// @param newWallet The wallet; not zero. Several agents may share one.
    /// @param deadline Last second, by block time, at which the signature holds; at most 300 seconds
    /// ahead of the block.
    /// @param signature 65 bytes with `v` 27 or 28 and low `s`, or whatever the contract `newWallet` takes.
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature)
        external;

    /// @notice Clear an agent's wallet. For managers. Every transfer of the agent does it as well.
    /// @dev Reverts, in this order: `ERC721NonexistentToken`; "Not authorized".
    /// @param agentId The agent.
    function unsetAgentWallet(uint256 agentId) external;

    /// @notice One metadata value.
    /// @param agentId The agent; need not exist.
    /// @param metadataKey The key; "agentWallet" gives the wallet's bytes.
    /// @return The value; empty for an unset key or an unknown agent.
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory);

    /// @notice The wallet an agent is paid at. Holding it gives no rights over the agent.
    /// @param agentId The agent; need not exist.
    /// @return The wallet; zero when it is cleared or there is no such agent.
    function getAgentWallet(uint256 agentId) external view returns (address);

    /// @notice Whether an address manages an agent.
    /// @dev Reverts with `ERC721NonexistentToken` when there is no such agent.
    /// @param spender The address asked about; the zero address never manages.
    /// @param agentId The agent.
    /// @return Whether it is the owner, an operator of the owner, or the approved address.
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool);
}
