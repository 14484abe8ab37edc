// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IIdentity, RegistryTest} from "../support/RegistryTest.sol";

/// @dev The reference's test vectors: our registry, placed at the official addresses.
contract WalletVectorsTest is RegistryTest {
    address private constant MAINNET = 0x8004A169FB4a3325136EB29fA0ceB6D2e539a432;
    address private constant TESTNET = 0x8004A818BFB912233c491871b3d84c89A494BD9e;

    address private constant OWNER = 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266;
    address private constant WALLET = 0x70997970C51812dc3A010C7d01b50e0d17dc79C8;
    uint256 private constant DEADLINE = 1767225600;
    bytes private constant SIGNATURE =
        hex"0423f7bba41cb8c3f9f23b28b212f3a356aafe3989a682d6c9c1efbd4a8064d71f0d0c1857745dac79451d63e1ccd5ce50e43f6ba734f6e542aef639c1ea561f1b";

    function test_domain() public {
        _place(1, MAINNET);
        (
            bytes1 fields,
            string memory name,
            string memory version,
            uint256 chainId,
            address verifyingContract,
            bytes32 salt,
            uint256[] memory extensions
        ) = identity.eip712Domain();

        assertEq(uint8(fields), 0x0f, "fields");
        assertEq(name, "ERC8004IdentityRegistry", "name");
        assertEq(version, "1", "version");
        assertEq(chainId, 1, "chain id");
        assertEq(verifyingContract, MAINNET, "verifying contract");
        assertEq(salt, 0, "salt");
        assertEq(extensions.length, 0, "extensions");
    }

    function test_domain_separators() public {
        _place(1, MAINNET);
        assertEq(
            _domainSeparator(), 0xaf548694a34be1ed51ad7aba41462666ec92faab9e465c70a9ec2bc8ecfbd156, "Ethereum"
        );
        _place(8453, MAINNET);
        assertEq(
            _domainSeparator(), 0x3c574eb86858114261f06b40574c0b741b4f10df45c714346723cdaf021f2d45, "Base"
        );
        _place(11155111, TESTNET);
        assertEq(
            _domainSeparator(), 0x4df9eabda5b6ac3ea8e1409dbeedcd742a92769edeb22bb6f8d66475d06f3a07, "Sepolia"
        );
    }

    function test_struct_hash_and_digest() public {
        _place(1, MAINNET);
        bytes32 typeHash =
            keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");

        assertEq(typeHash, 0x678b53cd718d595370ab070ebf48edfdcd834beac116bf23e625fc7f4d5b7d32, "type hash");
        assertEq(
            keccak256(abi.encode(typeHash, 22, WALLET, OWNER, DEADLINE)),
            0x2128da56029e249b49a9b92d220c95ad04c26d70f0ad53a01eae18945ba9adfd,
            "struct hash"
        );
        assertEq(
            _walletDigest(22, WALLET, OWNER, DEADLINE),
            0x1e57ddd131978324b20d4a0d76c78187601d400db573dbe74c8d008114724e32,
            "digest"
        );
    }

    function test_the_contract_takes_the_signature() public {
        _place(1, MAINNET);
        for (uint256 i = 0; i <= 22; i++) {
            _register(OWNER);
        }
        vm.warp(DEADLINE - 300);
        vm.prank(OWNER);
        identity.setAgentWallet(22, WALLET, DEADLINE, SIGNATURE);

        assertEq(identity.getAgentWallet(22), WALLET, "wallet");
    }

    /// @dev The reserved key's hash, by which logs of the wallet are filtered.
    function test_wallet_key_hash() public pure {
        assertEq(
            keccak256("agentWallet"),
            0x2ac6109326e720d1435c0db66f7e35eda7839f52b6f1f5520a60788e132b4e39,
            "key"
        );
    }

    /// @dev As the devnet does: a plain proxy's code and the implementation slot, then initialise.
    function _place(uint256 chainId, address at) private {
        vm.chainId(chainId);
        bytes32 placeholder = bytes32(uint256(uint160(vm.deployCode("UUPSPlaceholder.sol:UUPSPlaceholder"))));
        vm.etch(at, address(identity).code);
        vm.store(at, IMPLEMENTATION_SLOT, placeholder);
        identity = IIdentity(at);
        bytes memory call = abi.encodeWithSignature("initialize(address)", admin);
        (bool isFirst,) = at.call(call);
        if (!isFirst) return; // the same address on another chain id
        _upgrade(identity, "IdentityRegistry.sol:IdentityRegistry", abi.encodeWithSignature("initialize()"));
    }
}
