// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title The wallet of an agent: its metadata key, its bytes, and the proof that somebody holds it.
library AgentWallet {
    /// @dev The metadata key under which the wallet is kept. Only these exact bytes are reserved.
    string internal constant KEY = "agentWallet";

    bytes32 internal constant KEY_HASH = keccak256(bytes(KEY));

    /// @dev How far ahead of the block a deadline may lie, in seconds.
    uint256 internal constant MAX_DEADLINE_DELAY = 300;

    bytes32 internal constant TYPE_HASH =
        keccak256("AgentWalletSet(uint256 agentId,address newWallet,address owner,uint256 deadline)");

    /// @dev Whether a metadata key is the reserved one.
    function isReserved(string calldata key) internal pure returns (bool) {
        return keccak256(bytes(key)) == KEY_HASH;
    }

    /// @dev 20 bytes, packed.
    function encode(address wallet) internal pure returns (bytes memory) {
        return abi.encodePacked(wallet);
    }

    /// @dev The inverse of `encode`; no bytes are the zero address.
    function decode(bytes memory value) internal pure returns (address) {
        return address(bytes20(value));
    }

    /// @dev The EIP-712 struct hash that the new wallet signs under the registry's domain.
    function structHash(uint256 agentId, address newWallet, address owner, uint256 deadline)
        internal
        pure
        returns (bytes32)
    {
        return keccak256(abi.encode(TYPE_HASH, agentId, newWallet, owner, deadline));
    }

    /// @dev Whether `wallet` signed `digest`. ECDSA goes first even when the wallet has code: an account
    /// delegated through EIP-7702 still has its key. Any other signature is the wallet's own to judge.
    function isSignedBy(address wallet, bytes32 digest, bytes calldata signature)
        internal
        view
        returns (bool)
    {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(digest, signature);
        if (failure == ECDSA.RecoverError.NoError && signer == wallet) return true;

        return _isAcceptedBy(wallet, digest, signature);
    }

    /// @dev ERC-1271. Written out because OpenZeppelin's `SignatureChecker` needs an EVM after shanghai.
    function _isAcceptedBy(address wallet, bytes32 digest, bytes calldata signature)
        private
        view
        returns (bool)
    {
        (bool success, bytes memory answer) =
            wallet.staticcall(abi.encodeCall(IERC1271.isValidSignature, (digest, signature)));

        return success && answer.length >= 32
            && abi.decode(answer, (bytes32)) == bytes32(IERC1271.isValidSignature.selector);
    }
}
