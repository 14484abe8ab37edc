// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {ERC20} from "@openzeppelin/contracts/token/ERC20/ERC20.sol";
import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {EIP712} from "@openzeppelin/contracts/utils/cryptography/EIP712.sol";

/// @title The devnet's dollar: what USDC is elsewhere, as far as paying an agent goes.
/// @notice For tests and the devnet. Six decimals, and EIP-3009, so that a third party can carry out a payment
/// that somebody signed. Anybody may make as much of it as they like.
contract DevDollar is ERC20, EIP712 {
    /// @notice The authorization may not be used before `validAfter`, nor at it (EIP-3009).
    error AuthorizationNotYetValid(uint256 validAfter);
    /// @notice The authorization may not be used at `validBefore`, nor later (EIP-3009).
    error AuthorizationExpired(uint256 validBefore);
    /// @notice The authorization was used before.
    error AuthorizationAlreadyUsed(address authorizer, bytes32 nonce);
    /// @notice `authorizer` signed something else, or nothing.
    error InvalidAuthorization(address authorizer);
    /// @notice Only the payee may carry this authorization out.
    error CallerMustBePayee(address payee);

    /// @notice A payment was made by a signature of `authorizer`, whoever sent it (EIP-3009).
    event AuthorizationUsed(address indexed authorizer, bytes32 indexed nonce);

    bytes32 public constant TRANSFER_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );
    bytes32 public constant RECEIVE_WITH_AUTHORIZATION_TYPEHASH = keccak256(
        "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)"
    );

    /// @notice Whether an authorization of `authorizer` with this nonce was used (EIP-3009).
    mapping(address authorizer => mapping(bytes32 nonce => bool)) public authorizationState;

    constructor() ERC20("Dev Dollar", "DEVUSD") EIP712("Dev Dollar", "1") {}

    /// @inheritdoc ERC20
    function decimals() public pure override returns (uint8) {
        return 6;
    }

    /// @notice Make money out of nothing. For everybody.
    /// @param account Who gets it.
    /// @param value How much, in millionths of a dollar.
    function mint(address account, uint256 value) external {
        _mint(account, value);
    }

    /// @notice Carry out a payment that `from` signed; anybody may (EIP-3009).
    /// @dev Reverts with one of the errors above, before the balance is looked at.
    /// @param from The payer, who signed by EIP-712.
    /// @param to The payee.
    /// @param value How much, in millionths of a dollar.
    /// @param validAfter Unix seconds after which it may be used.
    /// @param validBefore Unix seconds before which it may be used.
    /// @param nonce A number of the payer's choice, used once.
    function transferWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        bytes32 purpose = TRANSFER_WITH_AUTHORIZATION_TYPEHASH;
        bytes32 said = keccak256(abi.encode(purpose, from, to, value, validAfter, validBefore, nonce));
        _use(from, said, validAfter, validBefore, nonce, v, r, s);
        _transfer(from, to, value);
    }

    /// @notice Carry out a payment that `from` signed for the caller (EIP-3009).
    /// @dev As `transferWithAuthorization`, with a signature of its own kind.
    function receiveWithAuthorization(
        address from,
        address to,
        uint256 value,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) external {
        if (to != msg.sender) revert CallerMustBePayee(to);

        bytes32 purpose = RECEIVE_WITH_AUTHORIZATION_TYPEHASH;
        bytes32 said = keccak256(abi.encode(purpose, from, to, value, validAfter, validBefore, nonce));
        _use(from, said, validAfter, validBefore, nonce, v, r, s);
        _transfer(from, to, value);
    }

    function _use(
        address authorizer,
        bytes32 said,
        uint256 validAfter,
        uint256 validBefore,
        bytes32 nonce,
        uint8 v,
        bytes32 r,
        bytes32 s
    ) private {
        if (block.timestamp <= validAfter) revert AuthorizationNotYetValid(validAfter);
        if (block.timestamp >= validBefore) revert AuthorizationExpired(validBefore);
        if (authorizationState[authorizer][nonce]) revert AuthorizationAlreadyUsed(authorizer, nonce);

        (address signer, ECDSA.RecoverError failure,) = ECDSA.tryRecover(_hashTypedDataV4(said), v, r, s);
        if (failure != ECDSA.RecoverError.NoError || signer != authorizer) {
            revert InvalidAuthorization(authorizer);
        }

        authorizationState[authorizer][nonce] = true;
        emit AuthorizationUsed(authorizer, nonce);
    }
}
