// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC721Metadata} from "@openzeppelin/contracts/token/ERC721/extensions/IERC721Metadata.sol";

import {IIdentityLinked} from "../../src/interfaces/IIdentityLinked.sol";
import {IIdentityRegistry} from "../../src/interfaces/IIdentityRegistry.sol";
import {IReputationRegistry} from "../../src/interfaces/IReputationRegistry.sol";
import {IValidationRegistry} from "../../src/interfaces/IValidationRegistry.sol";
import {IVersioned} from "../../src/interfaces/IVersioned.sol";
import {TestBase} from "./TestBase.sol";

/// @dev What every proxy answers to.
interface IProxied is IVersioned {
    function UPGRADE_INTERFACE_VERSION() external view returns (string memory);
    function owner() external view returns (address);
    function proxiableUUID() external view returns (bytes32);
    function renounceOwnership() external;
    function transferOwnership(address newOwner) external;
    function upgradeToAndCall(address implementation, bytes calldata data) external payable;
}

interface IIdentity is IIdentityRegistry, IERC721Metadata, IERC5267, IProxied {}

interface IReputation is IReputationRegistry, IIdentityLinked, IProxied {}

interface IValidation is IValidationRegistry, IIdentityLinked, IProxied {}

/// @title The three registries behind proxies, as a deployment leaves them.
abstract contract RegistryTest is TestBase {
    /// @dev `bytes32(uint256(keccak256("eip1967.proxy.implementation")) - 1)`
    bytes32 internal constant IMPLEMENTATION_SLOT =
        0x360894a13ba1a3210667c828492db98dca3e2076cc3735a920a3ca505d382bbc;

    address internal immutable admin = actor("admin");
    address internal immutable alice = actor("alice");
    address internal immutable bob = actor("bob");
    address internal immutable carol = actor("carol");

    IIdentity internal identity;
    IReputation internal reputation;
    IValidation internal validation;

    function setUp() public virtual {
        vm.warp(1_767_225_000); // a plausible clock: 2026-01-01, ten minutes before the deadline of the vector
        address placeholder = vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder");
        identity = IIdentity(_proxy(placeholder));
        reputation = IReputation(_proxy(placeholder));
        validation = IValidation(_proxy(placeholder));
        _upgrade(identity, "IdentityRegistry.sol:IdentityRegistry", abi.encodeWithSignature("initialize()"));
        bytes memory link = abi.encodeCall(IIdentityLinked.initialize, (address(identity)));
        _upgrade(reputation, "ReputationRegistry.sol:ReputationRegistry", link);
        _upgrade(validation, "ValidationRegistry.sol:ValidationRegistry", link);
    }

    /// @dev A proxy on the placeholder, owned by `admin`.
    function _proxy(address placeholder) internal returns (address) {
        bytes memory call = abi.encodeWithSignature("initialize(address)", admin);
        return vm.deployCode("ERC1967Proxy.sol:ERC1967Proxy", abi.encode(placeholder, call));
    }

    function _upgrade(IProxied proxy, string memory artifact, bytes memory call)
        internal
        returns (address implementation)
    {
        implementation = vm.deployCode(artifact);
        vm.prank(admin);
        proxy.upgradeToAndCall(implementation, call);
    }

    function _register(address owner) internal returns (uint256 agentId) {
        vm.prank(owner);
        return identity.register();
    }

    function _register(address owner, string memory uri) internal returns (uint256 agentId) {
        vm.prank(owner);
        return identity.register(uri);
    }

    function _transfer(address from, address to, uint256 agentId) internal {
        vm.prank(from);
        identity.transferFrom(from, to, agentId);
    }

    function _rate(address client, uint256 agentId, int128 value, uint8 decimals) internal {
        _rate(client, agentId, value, decimals, "", "");
    }

    function _rate(
        address client,
        uint256 agentId,
        int128 value,
        uint8 decimals,
        string memory tag1,
        string memory tag2
    ) internal {
        vm.prank(client);
        reputation.giveFeedback(agentId, value, decimals, tag1, tag2, "", "", 0);
    }

    /// @dev What `wallet` signs to become the wallet of an agent, built apart from the contract's own code.
    function _walletDigest(uint256 agentId, address wallet, address owner, uint256 deadline)
        internal
        view
        returns (bytes32)
    {
        bytes32 typeHash = 0x678b53cd718d595370ab070ebf48edfdcd834beac116bf23e625fc7f4d5b7d32;
        bytes32 structHash = keccak256(abi.encode(typeHash, agentId, wallet, owner, deadline));
        return keccak256(abi.encodePacked(hex"1901", _domainSeparator(), structHash));
    }

    function _domainSeparator() internal view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("ERC8004IdentityRegistry"),
                keccak256("1"),
                block.chainid,
                address(identity)
            )
        );
    }

    function _sign(uint256 key, bytes32 digest) internal pure returns (bytes memory) {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(key, digest);
        return abi.encodePacked(r, s, v);
    }

    function _one(address a) internal pure returns (address[] memory list) {
        list = new address[](1);
        list[0] = a;
    }

    function _two(address a, address b) internal pure returns (address[] memory list) {
        list = new address[](2);
        (list[0], list[1]) = (a, b);
    }
}
