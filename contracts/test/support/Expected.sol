// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Vm} from "./Vm.sol";

/// @title Logs as they must look; topics as the standard's reference lists them.
library Expected {
    bytes32 internal constant REGISTERED = 0xca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a;
    bytes32 internal constant METADATA_SET =
        0x2c149ed548c6d2993cd73efe187df6eccabe4538091b33adbd25fafdb8a1468b;
    bytes32 internal constant URI_UPDATED =
        0x3a2c7fffc2cba7582c690e3b82c453ea02a308326a98a3ad7576c606336409fb;
    bytes32 internal constant TRANSFER = 0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef;
    bytes32 internal constant APPROVAL = 0x8c5be1e5ebec7d5bd14f71427d1e84f3dd0314c0f7b2291e5b200ac8c7c3b925;
    bytes32 internal constant APPROVAL_FOR_ALL =
        0x17307eab39ab6107e8899845ad3d59bd9653f200f220920489ca2b5937696c31;
    bytes32 internal constant METADATA_UPDATE =
        0xf8e1a15aba9398e019f0b49df1a4fde98ee17ae345cb5f6b5e2c27f5033e8ce7;
    bytes32 internal constant NEW_FEEDBACK =
        0x6a4a61743519c9d648a14e6493f47dbe3ff1aa29e7785c96c8326a205e58febc;
    bytes32 internal constant FEEDBACK_REVOKED =
        0x25156fd3288212246d8b008d5921fde376c71ed14ac2e072a506eb06fde6d09d;
    bytes32 internal constant RESPONSE_APPENDED =
        0xb1c6be0b5b8aef6539e2fac0fd131a2faa7b49edf8e505b5eb0ad487d56051d4;
    bytes32 internal constant VALIDATION_REQUEST =
        0x530436c3634a98e1e626b0898be2f1e9980cc1bd2a78c07a0aba52d0a48a5059;
    bytes32 internal constant VALIDATION_RESPONSE =
        0xafddf629e874ccc3963b6a888c477bd464a6c8525024fc88759ea3b2326349ae;
    bytes32 internal constant UPGRADED = 0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b;
    bytes32 internal constant INITIALIZED =
        0xc7f505b2f371ae2175ee4913f4499e1f2633a7b5936321eed1cdaeb6115181d2;
    bytes32 internal constant OWNERSHIP_TRANSFERRED =
        0x8be0079c531659141344cd1fd0a4f28419497f9722a3daafe3b4186f6b6457e0;

    function transfer(address from, address to, uint256 agentId) internal pure returns (Vm.Log memory) {
        return log(_topics(TRANSFER, _word(from), _word(to), bytes32(agentId)), "");
    }

    function registered(uint256 agentId, string memory uri, address owner)
        internal
        pure
        returns (Vm.Log memory)
    {
        return log(_topics(REGISTERED, bytes32(agentId), _word(owner)), abi.encode(uri));
    }

    function metadataSet(uint256 agentId, string memory key, bytes memory value)
        internal
        pure
        returns (Vm.Log memory)
    {
        return log(_topics(METADATA_SET, bytes32(agentId), keccak256(bytes(key))), abi.encode(key, value));
    }

    function walletSet(uint256 agentId, address wallet) internal pure returns (Vm.Log memory) {
        return metadataSet(agentId, "agentWallet", abi.encodePacked(wallet));
    }

    function walletCleared(uint256 agentId) internal pure returns (Vm.Log memory) {
        return metadataSet(agentId, "agentWallet", "");
    }

    function uriUpdated(uint256 agentId, string memory uri, address by)
        internal
        pure
        returns (Vm.Log memory)
    {
        return log(_topics(URI_UPDATED, bytes32(agentId), _word(by)), abi.encode(uri));
    }

    function metadataUpdate(uint256 agentId) internal pure returns (Vm.Log memory) {
        return log(_topics(METADATA_UPDATE), abi.encode(agentId));
    }

    function feedbackRevoked(uint256 agentId, address client, uint64 index)
        internal
        pure
        returns (Vm.Log memory)
    {
        return log(_topics(FEEDBACK_REVOKED, bytes32(agentId), _word(client), bytes32(uint256(index))), "");
    }

    function responseAppended(
        uint256 agentId,
        address client,
        uint64 index,
        address responder,
        string memory uri,
        bytes32 hash
    ) internal pure returns (Vm.Log memory) {
        return log(
            _topics(RESPONSE_APPENDED, bytes32(agentId), _word(client), _word(responder)),
            abi.encode(index, uri, hash)
        );
    }

    function validationRequest(address validator, uint256 agentId, string memory uri, bytes32 hash)
        internal
        pure
        returns (Vm.Log memory)
    {
        return log(_topics(VALIDATION_REQUEST, _word(validator), bytes32(agentId), hash), abi.encode(uri));
    }

    function validationResponse(
        address validator,
        uint256 agentId,
        bytes32 requestHash,
        uint8 response,
        string memory uri,
        bytes32 hash,
        string memory tag
    ) internal pure returns (Vm.Log memory) {
        return log(
            _topics(VALIDATION_RESPONSE, _word(validator), bytes32(agentId), requestHash),
            abi.encode(response, uri, hash, tag)
        );
    }

    function upgraded(address implementation) internal pure returns (Vm.Log memory) {
        return log(_topics(UPGRADED, _word(implementation)), "");
    }

    function initialized(uint64 version) internal pure returns (Vm.Log memory) {
        return log(_topics(INITIALIZED), abi.encode(version));
    }

    function ownershipTransferred(address from, address to) internal pure returns (Vm.Log memory) {
        return log(_topics(OWNERSHIP_TRANSFERRED, _word(from), _word(to)), "");
    }

    /// @dev The emitter is compared apart.
    function log(bytes32[] memory topics, bytes memory data) internal pure returns (Vm.Log memory) {
        return Vm.Log({topics: topics, data: data, emitter: address(0)});
    }

    function list(Vm.Log memory a) internal pure returns (Vm.Log[] memory logs) {
        logs = new Vm.Log[](1);
        logs[0] = a;
    }

    function list(Vm.Log memory a, Vm.Log memory b) internal pure returns (Vm.Log[] memory logs) {
        logs = new Vm.Log[](2);
        (logs[0], logs[1]) = (a, b);
    }

    function list(Vm.Log memory a, Vm.Log memory b, Vm.Log memory c)
        internal
        pure
        returns (Vm.Log[] memory logs)
    {
        logs = new Vm.Log[](3);
        (logs[0], logs[1], logs[2]) = (a, b, c);
    }

    function list(Vm.Log memory a, Vm.Log memory b, Vm.Log memory c, Vm.Log memory d)
        internal
        pure
        returns (Vm.Log[] memory logs)
    {
        logs = new Vm.Log[](4);
        (logs[0], logs[1], logs[2], logs[3]) = (a, b, c, d);
    }

    function join(Vm.Log[] memory a, Vm.Log[] memory b) internal pure returns (Vm.Log[] memory logs) {
        logs = new Vm.Log[](a.length + b.length);
        for (uint256 i = 0; i < logs.length; i++) {
            logs[i] = i < a.length ? a[i] : b[i - a.length];
        }
    }

    function _topics(bytes32 a) private pure returns (bytes32[] memory topics) {
        topics = new bytes32[](1);
        topics[0] = a;
    }

    function _topics(bytes32 a, bytes32 b) private pure returns (bytes32[] memory topics) {
        topics = new bytes32[](2);
        (topics[0], topics[1]) = (a, b);
    }

    function _topics(bytes32 a, bytes32 b, bytes32 c) private pure returns (bytes32[] memory topics) {
        topics = new bytes32[](3);
        (topics[0], topics[1], topics[2]) = (a, b, c);
    }

    function _topics(bytes32 a, bytes32 b, bytes32 c, bytes32 d)
        private
        pure
        returns (bytes32[] memory topics)
    {
        topics = new bytes32[](4);
        (topics[0], topics[1], topics[2], topics[3]) = (a, b, c, d);
    }

    function _word(address account) private pure returns (bytes32) {
        return bytes32(uint256(uint160(account)));
    }
}
