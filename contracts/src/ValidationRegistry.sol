// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IdentityLinked} from "./base/IdentityLinked.sol";
import {IValidationRegistry} from "./interfaces/IValidationRegistry.sol";
import {Tags} from "./lib/Tags.sol";

/// @title ERC-8004 Validation Registry
contract ValidationRegistry is IdentityLinked, IValidationRegistry {
    using Tags for string;

    /// @dev One request with its last answer. It exists when it has a validator.
    struct Validation {
        address validatorAddress;
        uint256 agentId;
        uint8 response;
        bytes32 responseHash;
        string tag;
        uint256 lastUpdate;
        bool hasResponse;
    }

    /// @custom:storage-location erc7201:erc8004.validation.registry
    struct Storage {
        mapping(bytes32 requestHash => Validation) validations;
        mapping(uint256 agentId => bytes32[] requestHashes) ofAgent;
        mapping(address validator => bytes32[] requestHashes) ofValidator;
    }

    /// @dev keccak256(abi.encode(uint256(keccak256("erc8004.validation.registry")) - 1)) & ~bytes32(uint256(0xff))
    bytes32 private constant STORAGE_SLOT =
        0x21543a2dd0df813994fbf82c69c61d1aafcdce183d68d2ef40068bdce1481100;

    /// @dev The answer that says passed.
    uint8 private constant MAX_RESPONSE = 100;

    /// @inheritdoc IValidationRegistry
    function validationRequest(
        address validatorAddress,
        uint256 agentId,
        string calldata requestURI,
        bytes32 requestHash
    ) external {
        require(validatorAddress != address(0), "bad validator");
        Storage storage $ = _storage();
        Validation storage validation = $.validations[requestHash];
        require(validation.validatorAddress == address(0), "exists");
        require(_isManager(msg.sender, agentId), "Not authorized");

        validation.validatorAddress = validatorAddress;
        validation.agentId = agentId;
        validation.lastUpdate = block.timestamp;
        $.ofAgent[agentId].push(requestHash);
        $.ofValidator[validatorAddress].push(requestHash);

        emit ValidationRequest(validatorAddress, agentId, requestURI, requestHash);
    }

    /// @inheritdoc IValidationRegistry
    function validationResponse(
        bytes32 requestHash,
        uint8 response,
        string calldata responseURI,
        bytes32 responseHash,
        string calldata tag
    ) external {
        Validation storage validation = _known(requestHash);
        require(msg.sender == validation.validatorAddress, "not validator");
        require(response <= MAX_RESPONSE, "resp>100");

        validation.response = response;
        validation.responseHash = responseHash;
        validation.tag = tag;
        validation.lastUpdate = block.timestamp;
        validation.hasResponse = true;

        emit ValidationResponse(
            msg.sender, validation.agentId, requestHash, response, responseURI, responseHash, tag
        );
    }

    /// @inheritdoc IValidationRegistry
    function getValidationStatus(bytes32 requestHash)
        external
        view
        returns (
            address validatorAddress,
            uint256 agentId,
            uint8 response,
            bytes32 responseHash,
            string memory tag,
            uint256 lastUpdate
        )
    {
        Validation storage validation = _known(requestHash);

        return (
            validation.validatorAddress,
            validation.agentId,
            validation.response,
            validation.responseHash,
            validation.tag,
            validation.lastUpdate
        );
    }

    /// @inheritdoc IValidationRegistry
    function getSummary(uint256 agentId, address[] calldata validatorAddresses, string calldata tag)
        external
        view
        returns (uint64 count, uint8 avgResponse)
    {
        Storage storage $ = _storage();
        bytes32[] storage requestHashes = $.ofAgent[agentId];
        bytes32 wanted = Tags.filter(tag);
        uint256 sum;
        for (uint256 i = 0; i < requestHashes.length; i++) {
            Validation storage validation = $.validations[requestHashes[i]];
            if (!validation.hasResponse || !validation.tag.matches(wanted)) continue;
            if (!_isListed(validation.validatorAddress, validatorAddresses)) continue;
            sum += validation.response;
            count++;
        }

        if (count > 0) avgResponse = uint8(sum / count);
    }

    /// @inheritdoc IValidationRegistry
    function getAgentValidations(uint256 agentId) external view returns (bytes32[] memory) {
        return _storage().ofAgent[agentId];
    }

    /// @inheritdoc IValidationRegistry
    function getValidatorRequests(address validatorAddress) external view returns (bytes32[] memory) {
        return _storage().ofValidator[validatorAddress];
    }

    /// @dev A request that exists.
    function _known(bytes32 requestHash) private view returns (Validation storage validation) {
        validation = _storage().validations[requestHash];
        require(validation.validatorAddress != address(0), "unknown");
    }

    /// @dev Whether a list names a validator; the empty list names everybody.
    function _isListed(address validator, address[] calldata list) private pure returns (bool) {
        if (list.length == 0) return true;
        for (uint256 i = 0; i < list.length; i++) {
            if (list[i] == validator) return true;
        }
        return false;
    }

    function _storage() private pure returns (Storage storage $) {
        assembly {
            $.slot := STORAGE_SLOT
        }
    }
}
