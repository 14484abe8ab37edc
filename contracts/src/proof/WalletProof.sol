// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Whether a wallet that may not be deployed yet accepts a signature (ERC-6492).
/// @notice Never deployed: it is run as creation code within `eth_call`, and what it would leave as its code is
/// the answer, one byte, 1 or 0. Whatever it deploys on the way is gone with the call.
/// @dev Nothing that the wallet or the factory returns is copied but one word, so that neither can make the
/// answer long. Malformed arguments revert.
contract WalletProof {
    bytes32 private constant SUFFIX = 0x6492649264926492649264926492649264926492649264926492649264926492;
    bytes4 private constant ACCEPTED = 0x1626ba7e; // isValidSignature(bytes32,bytes), ERC-1271

    /// @param wallet The wallet.
    /// @param digest What was signed.
    /// @param proof `abi.encode(factory, factoryCalldata, signature)` and the suffix of ERC-6492.
    constructor(address wallet, bytes32 digest, bytes memory proof) {
        bool accepted = _accepts(wallet, digest, proof);
        assembly ("memory-safe") {
            mstore8(0x00, accepted)
            return(0x00, 0x01)
        }
    }

    /// @dev A wallet that is there is asked first; only if it does not accept is the factory called, which may
    /// also bring an existing wallet up to date.
    function _accepts(address wallet, bytes32 digest, bytes memory proof) private returns (bool) {
        uint256 length = proof.length;
        if (length < 32) return false;
        bytes32 end;
        assembly ("memory-safe") {
            end := mload(add(proof, length))
        }
        if (end != SUFFIX) return false;
        assembly ("memory-safe") {
            mstore(proof, sub(length, 0x20))
        }
        (address factory, bytes memory preparation, bytes memory signature) =
            abi.decode(proof, (address, bytes, bytes));

        if (wallet.code.length != 0 && _isValid(wallet, digest, signature)) return true;
        if (!_call(factory, preparation) || wallet.code.length == 0) return false;
        return _isValid(wallet, digest, signature);
    }

    function _isValid(address wallet, bytes32 digest, bytes memory signature)
        private
        view
        returns (bool accepted)
    {
        bytes memory question = abi.encodeWithSelector(ACCEPTED, digest, signature);
        bytes32 answer;
        assembly ("memory-safe") {
            accepted := staticcall(gas(), wallet, add(question, 0x20), mload(question), 0x00, 0x20)
            accepted := and(accepted, gt(returndatasize(), 0x1f))
            answer := mload(0x00)
        }
        return accepted && answer == bytes32(ACCEPTED);
    }

    function _call(address target, bytes memory data) private returns (bool success) {
        assembly ("memory-safe") {
            success := call(gas(), target, 0, add(data, 0x20), mload(data), 0x00, 0x00)
        }
    }
}
