// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {ERC721Upgradeable} from "@openzeppelin/contracts-upgradeable/token/ERC721/ERC721Upgradeable.sol";
import {
    ERC721URIStorageUpgradeable
} from "@openzeppelin/contracts-upgradeable/token/ERC721/extensions/ERC721URIStorageUpgradeable.sol";
import {
    EIP712Upgradeable
} from "@openzeppelin/contracts-upgradeable/utils/cryptography/EIP712Upgradeable.sol";

import {UpgradeableRegistry} from "./base/UpgradeableRegistry.sol";
import {IIdentityRegistry} from "./interfaces/IIdentityRegistry.sol";
import {AgentWallet} from "./lib/AgentWallet.sol";

/// @title ERC-8004 Identity Registry
contract IdentityRegistry is
    UpgradeableRegistry,
    ERC721URIStorageUpgradeable,
    EIP712Upgradeable,
    IIdentityRegistry
{
    /// @custom:storage-location erc7201:erc8004.identity.registry
    struct Storage {
        uint256 nextId;
        mapping(uint256 agentId => mapping(string key => bytes value)) metadata;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("erc8004.identity.registry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT =
        0xa040f782729de4970518741823ec1276cbcd41a0c7493f62d173341566a04e00;

    /// @dev Passes for managers of an agent that exists.
    modifier onlyManager(uint256 agentId) {
        require(_isAuthorized(ownerOf(agentId), msg.sender, agentId), "Not authorized");
        _;
    }

    /// @inheritdoc IIdentityRegistry
    function initialize() external reinitializer(2) onlyOwner {
        __ERC721_init("AgentIdentity", "AGENT");
        __ERC721URIStorage_init();
        __EIP712_init("ERC8004IdentityRegistry", "1");
    }

    /// @inheritdoc IIdentityRegistry
    function register() external returns (uint256 agentId) {
        agentId = _mintToCaller();

        _announce(agentId, "");
    }

    /// @inheritdoc IIdentityRegistry
    function register(string calldata agentURI) external returns (uint256 agentId) {
        agentId = _registerAt(agentURI);
    }

    /// @inheritdoc IIdentityRegistry
    function register(string calldata agentURI, MetadataEntry[] calldata metadata)
        external
        returns (uint256 agentId)
    {
        agentId = _registerAt(agentURI);

        for (uint256 i = 0; i < metadata.length; i++) {
            _setMetadata(agentId, metadata[i].metadataKey, metadata[i].metadataValue);
        }
    }

    /// @inheritdoc IIdentityRegistry
    function setAgentURI(uint256 agentId, string calldata newURI) external onlyManager(agentId) {
        _setTokenURI(agentId, newURI);

        emit URIUpdated(agentId, newURI, msg.sender);
    }

    /// @inheritdoc IIdentityRegistry
    function setMetadata(uint256 agentId, string calldata metadataKey, bytes calldata metadataValue)
        external
        onlyManager(agentId)
    {
        _setMetadata(agentId, metadataKey, metadataValue);
    }

    /// @inheritdoc IIdentityRegistry
    function setAgentWallet(uint256 agentId, address newWallet, uint256 deadline, bytes calldata signature)
        external
        onlyManager(agentId)
    {
        require(newWallet != address(0), "bad wallet");
        require(block.timestamp <= deadline, "expired");
        require(deadline <= block.timestamp + AgentWallet.MAX_DEADLINE_DELAY, "deadline too far");
        bytes32 digest =
            _hashTypedDataV4(AgentWallet.structHash(agentId, newWallet, ownerOf(agentId), deadline));
        require(AgentWallet.isSignedBy(newWallet, digest, signature), "invalid wallet sig");

        _setWallet(agentId, AgentWallet.encode(newWallet));
    }

    /// @inheritdoc IIdentityRegistry
    function unsetAgentWallet(uint256 agentId) external onlyManager(agentId) {
        _setWallet(agentId, "");
    }

    /// @inheritdoc IIdentityRegistry
    function getMetadata(uint256 agentId, string calldata metadataKey) external view returns (bytes memory) {
        return _storage().metadata[agentId][metadataKey];
    }

    /// @inheritdoc IIdentityRegistry
    function getAgentWallet(uint256 agentId) external view returns (address) {
        return AgentWallet.decode(_storage().metadata[agentId][AgentWallet.KEY]);
    }

    /// @inheritdoc IIdentityRegistry
    function isAuthorizedOrOwner(address spender, uint256 agentId) external view returns (bool) {
        return _isAuthorized(ownerOf(agentId), spender, agentId);
    }

    /// @dev A wallet was proven by, or given to, one owner: it does not pass to the next. Runs for every
    /// transfer, also to the same owner and without a wallet, and logs before the token's `Transfer`.
    function _update(address to, uint256 tokenId, address auth) internal override returns (address from) {
        if (_ownerOf(tokenId) != address(0)) _setWallet(tokenId, "");

        return super._update(to, tokenId, auth);
    }

    /// @dev The wallet is in storage before the mint, whose receiver hook may already clear it or move the
    /// agent; its log comes with `_announce`, as the deployed contract has it.
    function _mintToCaller() private returns (uint256 agentId) {
        Storage storage $ = _storage();
        agentId = $.nextId++;
        $.metadata[agentId][AgentWallet.KEY] = AgentWallet.encode(msg.sender);
        _safeMint(msg.sender, agentId);
    }

    function _registerAt(string calldata agentURI) private returns (uint256 agentId) {
        agentId = _mintToCaller();
        _setTokenURI(agentId, agentURI);

        _announce(agentId, agentURI);
    }

    function _announce(uint256 agentId, string memory agentURI) private {
        emit Registered(agentId, agentURI, msg.sender);
        emit MetadataSet(agentId, AgentWallet.KEY, AgentWallet.KEY, AgentWallet.encode(msg.sender));
    }

    function _setMetadata(uint256 agentId, string calldata key, bytes calldata value) private {
        require(!AgentWallet.isReserved(key), "reserved key");

        _storage().metadata[agentId][key] = value;

        emit MetadataSet(agentId, key, key, value);
    }

    function _setWallet(uint256 agentId, bytes memory wallet) private {
        _storage().metadata[agentId][AgentWallet.KEY] = wallet;

        emit MetadataSet(agentId, AgentWallet.KEY, AgentWallet.KEY, wallet);
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE_SLOT
        }
    }
}
