// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IdentityLinked} from "./base/IdentityLinked.sol";
import {IReputationRegistry} from "./interfaces/IReputationRegistry.sol";
import {Mean} from "./lib/Mean.sol";
import {Tags} from "./lib/Tags.sol";

/// @title ERC-8004 Reputation Registry
contract ReputationRegistry is IdentityLinked, IReputationRegistry {
    using Mean for Mean.Accumulator;
    using Tags for string;

    /// @dev One rating; the first three fields share a word.
    struct Feedback {
        int128 value;
        uint8 valueDecimals;
        bool isRevoked;
        string tag1;
        string tag2;
    }

    /// @dev The answers to one rating are counted per responder, and `responders` lists each once.
    /// @custom:storage-location erc7201:erc8004.reputation.registry.2
    struct Storage {
        mapping(uint256 agentId => mapping(address client => mapping(uint64 index => Feedback))) feedback;
        mapping(uint256 agentId => mapping(address client => uint64)) lastIndex;
        mapping(
            uint256 agentId
                => mapping(address client => mapping(uint64 index => mapping(address responder => uint64)))
        ) responseCount;
        mapping(uint256 agentId => mapping(address client => mapping(uint64 index => address[]))) responders;
        mapping(
            uint256 agentId
                => mapping(address client => mapping(uint64 index => mapping(address responder => bool)))
        ) responderExists;
        mapping(uint256 agentId => address[]) clients;
        mapping(uint256 agentId => mapping(address client => bool)) clientExists;
    }

    /// @dev What a reader asks for; both tags as `Tags` filters.
    struct Filter {
        bytes32 tag1;
        bytes32 tag2;
        bool includeRevoked;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("erc8004.reputation.registry.2")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT =
        0xa03d7693f2b3746b2d03f163c788147b71aa82854399a21fdf4de143ba778300;

    /// @dev The largest absolute value of a rating.
    int128 private constant MAX_ABS_VALUE = 1e38;

    /// @inheritdoc IReputationRegistry
    function giveFeedback(
        uint256 agentId,
        int128 value,
        uint8 valueDecimals,
        string calldata tag1,
        string calldata tag2,
        string calldata endpoint,
        string calldata feedbackURI,
        bytes32 feedbackHash
    ) external {
        require(valueDecimals <= Mean.MAX_DECIMALS, "too many decimals");
        require(value >= -MAX_ABS_VALUE && value <= MAX_ABS_VALUE, "value too large");
        require(!_isManager(msg.sender, agentId), "Self-feedback not allowed");

        Storage storage $ = _storage();
        uint64 index = ++$.lastIndex[agentId][msg.sender];
        $.feedback[agentId][msg.sender][index] =
            Feedback({value: value, valueDecimals: valueDecimals, isRevoked: false, tag1: tag1, tag2: tag2});
        if (!$.clientExists[agentId][msg.sender]) {
            $.clientExists[agentId][msg.sender] = true;
            $.clients[agentId].push(msg.sender);
        }

        emit NewFeedback(
            agentId,
            msg.sender,
            index,
            value,
            valueDecimals,
            tag1,
            tag1,
            tag2,
            endpoint,
            feedbackURI,
            feedbackHash
        );
    }

    /// @inheritdoc IReputationRegistry
    function revokeFeedback(uint256 agentId, uint64 feedbackIndex) external {
        require(feedbackIndex > 0, "index must be > 0");
        Feedback storage record = _record(agentId, msg.sender, feedbackIndex);
        require(!record.isRevoked, "Already revoked");

        record.isRevoked = true;

        emit FeedbackRevoked(agentId, msg.sender, feedbackIndex);
    }

    /// @inheritdoc IReputationRegistry
    function appendResponse(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        string calldata responseURI,
        bytes32 responseHash
    ) external {
        require(feedbackIndex > 0, "index must be > 0");
        require(bytes(responseURI).length > 0, "Empty URI");
        _record(agentId, clientAddress, feedbackIndex);

        Storage storage $ = _storage();
        $.responseCount[agentId][clientAddress][feedbackIndex][msg.sender]++;
        if (!$.responderExists[agentId][clientAddress][feedbackIndex][msg.sender]) {
            $.responderExists[agentId][clientAddress][feedbackIndex][msg.sender] = true;
            $.responders[agentId][clientAddress][feedbackIndex].push(msg.sender);
        }

        emit ResponseAppended(agentId, clientAddress, feedbackIndex, msg.sender, responseURI, responseHash);
    }

    /// @inheritdoc IReputationRegistry
    function getSummary(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2
    ) external view returns (uint64 count, int128 summaryValue, uint8 summaryValueDecimals) {
        require(clientAddresses.length > 0, "clientAddresses required");

        Storage storage $ = _storage();
        Filter memory filter = Filter(Tags.filter(tag1), Tags.filter(tag2), false);
        Mean.Accumulator memory matched;
        for (uint256 i = 0; i < clientAddresses.length; i++) {
            uint64 last = $.lastIndex[agentId][clientAddresses[i]];
            for (uint64 index = 1; index <= last; index++) {
                Feedback storage record = $.feedback[agentId][clientAddresses[i]][index];
                if (_passes(record, filter)) matched.add(record.value, record.valueDecimals);
            }
        }

        count = matched.count;
        (summaryValue, summaryValueDecimals) = matched.result();
    }

    /// @inheritdoc IReputationRegistry
    function readFeedback(uint256 agentId, address clientAddress, uint64 feedbackIndex)
        external
        view
        returns (int128 value, uint8 valueDecimals, string memory tag1, string memory tag2, bool isRevoked)
    {
        require(feedbackIndex > 0, "index must be > 0");
        Feedback storage record = _record(agentId, clientAddress, feedbackIndex);

        return (record.value, record.valueDecimals, record.tag1, record.tag2, record.isRevoked);
    }

    /// @inheritdoc IReputationRegistry
    function readAllFeedback(
        uint256 agentId,
        address[] calldata clientAddresses,
        string calldata tag1,
        string calldata tag2,
        bool includeRevoked
    )
        external
        view
        returns (
            address[] memory clients,
            uint64[] memory feedbackIndexes,
            int128[] memory values,
            uint8[] memory valueDecimals,
            string[] memory tag1s,
            string[] memory tag2s,
            bool[] memory revokedStatuses
        )
    {
        Filter memory filter = Filter(Tags.filter(tag1), Tags.filter(tag2), includeRevoked);
        clients = clientAddresses;
        if (clients.length == 0) clients = _storage().clients[agentId];
        (clients, feedbackIndexes) = _select(agentId, clients, filter);

        uint256 length = clients.length;
        values = new int128[](length);
        valueDecimals = new uint8[](length);
        tag1s = new string[](length);
        tag2s = new string[](length);
        revokedStatuses = new bool[](length);
        for (uint256 i = 0; i < length; i++) {
            Feedback storage record = _storage().feedback[agentId][clients[i]][feedbackIndexes[i]];
            values[i] = record.value;
            valueDecimals[i] = record.valueDecimals;
            tag1s[i] = record.tag1;
            tag2s[i] = record.tag2;
            revokedStatuses[i] = record.isRevoked;
        }
    }

    /// @inheritdoc IReputationRegistry
    function getResponseCount(
        uint256 agentId,
        address clientAddress,
        uint64 feedbackIndex,
        address[] calldata responders
    ) external view returns (uint64 count) {
        if (clientAddress != address(0)) {
            return feedbackIndex > 0
                ? _countResponses(agentId, clientAddress, feedbackIndex, responders)
                : _countResponses(agentId, clientAddress, responders);
        }

        address[] storage clients = _storage().clients[agentId];
        for (uint256 i = 0; i < clients.length; i++) {
            count += _countResponses(agentId, clients[i], responders);
        }
    }

    /// @inheritdoc IReputationRegistry
    function getClients(uint256 agentId) external view returns (address[] memory) {
        return _storage().clients[agentId];
    }

    /// @inheritdoc IReputationRegistry
    function getLastIndex(uint256 agentId, address clientAddress) external view returns (uint64) {
        return _storage().lastIndex[agentId][clientAddress];
    }

    /// @dev A record that exists. Index 0 is for the caller to refuse.
    function _record(uint256 agentId, address client, uint64 index) private view returns (Feedback storage) {
        Storage storage $ = _storage();
        require(index <= $.lastIndex[agentId][client], "index out of bounds");
        return $.feedback[agentId][client][index];
    }

    function _passes(Feedback storage record, Filter memory filter) private view returns (bool) {
        return (filter.includeRevoked || !record.isRevoked) && record.tag1.matches(filter.tag1)
            && record.tag2.matches(filter.tag2);
    }

    /// @dev The names of the records of `candidates` that pass, in order.
    function _select(uint256 agentId, address[] memory candidates, Filter memory filter)
        private
        view
        returns (address[] memory clients, uint64[] memory indexes)
    {
        Storage storage $ = _storage();
        uint256 capacity;
        for (uint256 i = 0; i < candidates.length; i++) {
            capacity += $.lastIndex[agentId][candidates[i]];
        }

        clients = new address[](capacity);
        indexes = new uint64[](capacity);
        uint256 length;
        for (uint256 i = 0; i < candidates.length; i++) {
            uint64 last = $.lastIndex[agentId][candidates[i]];
            for (uint64 index = 1; index <= last; index++) {
                if (!_passes($.feedback[agentId][candidates[i]][index], filter)) continue;
                clients[length] = candidates[i];
                indexes[length++] = index;
            }
        }

        assembly ("memory-safe") {
            mstore(clients, length) // both only ever shrink
            mstore(indexes, length)
        }
    }

    /// @dev Responses to one record.
    function _countResponses(uint256 agentId, address client, uint64 index, address[] memory responders)
        private
        view
        returns (uint64 count)
    {
        Storage storage $ = _storage();
        if (responders.length == 0) responders = $.responders[agentId][client][index];
        for (uint256 i = 0; i < responders.length; i++) {
            count += $.responseCount[agentId][client][index][responders[i]];
        }
    }

    /// @dev Responses to all records of one client.
    function _countResponses(uint256 agentId, address client, address[] memory responders)
        private
        view
        returns (uint64 count)
    {
        uint64 last = _storage().lastIndex[agentId][client];
        for (uint64 index = 1; index <= last; index++) {
            count += _countResponses(agentId, client, index, responders);
        }
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE_SLOT
        }
    }
}
