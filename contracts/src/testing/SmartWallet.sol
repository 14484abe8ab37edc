// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC1271} from "@openzeppelin/contracts/interfaces/IERC1271.sol";
import {IERC721Receiver} from "@openzeppelin/contracts/token/ERC721/IERC721Receiver.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";

/// @title A wallet that is a contract: it acts, and signs by ERC-1271, as its owner says.
/// @notice For tests and the devnet. It can own agents, be an agent's wallet, and rate others.
contract SmartWallet is IERC1271, IERC721Receiver {
    /// @notice The caller is not the wallet's owner.
    error NotOwner(address caller);

    /// @notice The account whose key signs for the wallet.
    address public immutable owner;

    /// @param owner_ The account whose key signs for the wallet.
    constructor(address owner_) {
        owner = owner_;
    }

    /// @notice Take plain payments.
    receive() external payable {}

    /// @notice Call another contract as the wallet. For the owner.
    /// @dev Reverts with `NotOwner`, or with whatever the target reverts with.
    /// @param target What to call.
    /// @param data The call, ABI-encoded; this call's value goes with it.
    /// @return result What the target returned.
    function execute(address target, bytes calldata data) external payable returns (bytes memory result) {
        if (msg.sender != owner) revert NotOwner(msg.sender);

        bool success;
        (success, result) = target.call{value: msg.value}(data);
        if (!success) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    /// @inheritdoc IERC1271
    function isValidSignature(bytes32 hash, bytes calldata signature) external view returns (bytes4) {
        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(hash, signature);
        return failure == ECDSA.RecoverError.NoError && signer == owner
            ? IERC1271.isValidSignature.selector
            : bytes4(0xffffffff);
    }

    /// @inheritdoc IERC721Receiver
    function onERC721Received(address, address, uint256, bytes calldata) external pure returns (bytes4) {
        return IERC721Receiver.onERC721Received.selector;
    }
}
