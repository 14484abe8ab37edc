// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

/// @title Revert data, byte by byte; selectors as the standard's reference lists them.
library Errors {
    function reason(string memory text) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x08c379a0, text);
    }

    function nonexistentToken(uint256 tokenId) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x7e273289, tokenId);
    }

    function insufficientApproval(address operator, uint256 tokenId) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x177e802f, operator, tokenId);
    }

    function incorrectOwner(address sender, uint256 tokenId, address owner)
        internal
        pure
        returns (bytes memory)
    {
        return abi.encodeWithSelector(0x64283d7b, sender, tokenId, owner);
    }

    function invalidReceiver(address receiver) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x64a0ae92, receiver);
    }

    function unauthorizedAccount(address account) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x118cdaa7, account);
    }

    function invalidOwner(address owner) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x1e4fbdf7, owner);
    }

    function invalidInitialization() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0xf92ee8a9);
    }

    function unauthorizedCallContext() internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0xe07c8dba);
    }

    function invalidImplementation(address implementation) internal pure returns (bytes memory) {
        return abi.encodeWithSelector(0x4c9c8ce3, implementation);
    }
}
