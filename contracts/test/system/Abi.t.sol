// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IERC5267} from "@openzeppelin/contracts/interfaces/IERC5267.sol";
import {IERC721} from "@openzeppelin/contracts/token/ERC721/IERC721.sol";

import {IIdentityLinked} from "../../src/interfaces/IIdentityLinked.sol";
import {IIdentityRegistry} from "../../src/interfaces/IIdentityRegistry.sol";
import {IReputationRegistry} from "../../src/interfaces/IReputationRegistry.sol";
import {IValidationRegistry} from "../../src/interfaces/IValidationRegistry.sol";
import {IVersioned} from "../../src/interfaces/IVersioned.sol";
import {Expected} from "../support/Expected.sol";
import {IProxied, RegistryTest} from "../support/RegistryTest.sol";

/// @dev Selectors and topics as the reference lists them. That the contracts emit these topics, and not only
/// the interfaces declare them, is for the tests of logs, which compare with the same constants.
contract AbiTest is RegistryTest {
    function test_selectors_of_the_identity_registry() public view {
        _has(address(identity), 0x1aa3a008, bytes4(keccak256("register()")));
        _has(address(identity), 0xf2c298be, bytes4(keccak256("register(string)")));
        _has(address(identity), 0x8ea42286, bytes4(keccak256("register(string,(string,bytes)[])")));
        _has(address(identity), 0x0af28bd3, IIdentityRegistry.setAgentURI.selector);
        _has(address(identity), 0x466648da, IIdentityRegistry.setMetadata.selector);
        _has(address(identity), 0xcb4799f2, IIdentityRegistry.getMetadata.selector);
        _has(address(identity), 0x2d1ef5ae, IIdentityRegistry.setAgentWallet.selector);
        _has(address(identity), 0x00339509, IIdentityRegistry.getAgentWallet.selector);
        _has(address(identity), 0x3fddcf19, IIdentityRegistry.unsetAgentWallet.selector);
        _has(address(identity), 0xd95e72be, IIdentityRegistry.isAuthorizedOrOwner.selector);
        _has(address(identity), 0x8129fc1c, IIdentityRegistry.initialize.selector);
    }

    function test_selectors_of_the_token() public view {
        _has(address(identity), 0x70a08231, IERC721.balanceOf.selector);
        _has(address(identity), 0x6352211e, IERC721.ownerOf.selector);
        _has(address(identity), 0xc87b56dd, bytes4(keccak256("tokenURI(uint256)")));
        _has(address(identity), 0x081812fc, IERC721.getApproved.selector);
        _has(address(identity), 0xe985e9c5, IERC721.isApprovedForAll.selector);
        _has(address(identity), 0x095ea7b3, IERC721.approve.selector);
        _has(address(identity), 0xa22cb465, IERC721.setApprovalForAll.selector);
        _has(address(identity), 0x23b872dd, IERC721.transferFrom.selector);
        _has(address(identity), 0x42842e0e, bytes4(keccak256("safeTransferFrom(address,address,uint256)")));
        _has(
            address(identity),
            0xb88d4fde,
            bytes4(keccak256("safeTransferFrom(address,address,uint256,bytes)"))
        );
        _has(address(identity), 0x84b0196e, IERC5267.eip712Domain.selector);
    }

    function test_selectors_of_the_reputation_registry() public view {
        _has(address(reputation), 0x3c036a7e, IReputationRegistry.giveFeedback.selector);
        _has(address(reputation), 0x4ab3ca99, IReputationRegistry.revokeFeedback.selector);
        _has(address(reputation), 0xc2349ab2, IReputationRegistry.appendResponse.selector);
        _has(address(reputation), 0x81bbba58, IReputationRegistry.getSummary.selector);
        _has(address(reputation), 0x232b0810, IReputationRegistry.readFeedback.selector);
        _has(address(reputation), 0xd9d84224, IReputationRegistry.readAllFeedback.selector);
        _has(address(reputation), 0x6e04cacd, IReputationRegistry.getResponseCount.selector);
        _has(address(reputation), 0x42dd519c, IReputationRegistry.getClients.selector);
        _has(address(reputation), 0xf2d81759, IReputationRegistry.getLastIndex.selector);
        _has(address(reputation), 0xbc4d861b, IIdentityLinked.getIdentityRegistry.selector);
        _has(address(reputation), 0xc4d66de8, IIdentityLinked.initialize.selector);
    }

    function test_selectors_of_the_validation_registry() public view {
        _has(address(validation), 0xaaf400c4, IValidationRegistry.validationRequest.selector);
        _has(address(validation), 0x3d659a96, IValidationRegistry.validationResponse.selector);
        _has(address(validation), 0xff2febfc, IValidationRegistry.getValidationStatus.selector);
        _has(address(validation), 0x1b7cabd6, IValidationRegistry.getSummary.selector);
        _has(address(validation), 0x8d5d0c2d, IValidationRegistry.getAgentValidations.selector);
        _has(address(validation), 0x4bf3158c, IValidationRegistry.getValidatorRequests.selector);
        _has(address(validation), 0xbc4d861b, IIdentityLinked.getIdentityRegistry.selector);
        _has(address(validation), 0xc4d66de8, IIdentityLinked.initialize.selector);
    }

    function test_selectors_of_all() public view {
        address[3] memory all = [address(identity), address(reputation), address(validation)];
        for (uint256 i = 0; i < all.length; i++) {
            _has(all[i], 0x0d8e6e2c, IVersioned.getVersion.selector);
            _has(all[i], 0x8da5cb5b, IProxied.owner.selector);
            _has(all[i], 0xf2fde38b, IProxied.transferOwnership.selector);
            _has(all[i], 0x715018a6, IProxied.renounceOwnership.selector);
            _has(all[i], 0x4f1ef286, IProxied.upgradeToAndCall.selector);
            _has(all[i], 0x52d1902d, IProxied.proxiableUUID.selector);
            _has(all[i], 0xad3cb1cc, IProxied.UPGRADE_INTERFACE_VERSION.selector);
        }
    }

    function test_topics() public pure {
        assertEq(IIdentityRegistry.Registered.selector, Expected.REGISTERED, "Registered");
        assertEq(IIdentityRegistry.MetadataSet.selector, Expected.METADATA_SET, "MetadataSet");
        assertEq(IIdentityRegistry.URIUpdated.selector, Expected.URI_UPDATED, "URIUpdated");
        assertEq(IERC721.Transfer.selector, Expected.TRANSFER, "Transfer");
        assertEq(IERC721.Approval.selector, Expected.APPROVAL, "Approval");
        assertEq(IERC721.ApprovalForAll.selector, Expected.APPROVAL_FOR_ALL, "ApprovalForAll");
        assertEq(IReputationRegistry.NewFeedback.selector, Expected.NEW_FEEDBACK, "NewFeedback");
        assertEq(IReputationRegistry.FeedbackRevoked.selector, Expected.FEEDBACK_REVOKED, "FeedbackRevoked");
        assertEq(
            IReputationRegistry.ResponseAppended.selector, Expected.RESPONSE_APPENDED, "ResponseAppended"
        );
        assertEq(
            IValidationRegistry.ValidationRequest.selector, Expected.VALIDATION_REQUEST, "ValidationRequest"
        );
        assertEq(
            IValidationRegistry.ValidationResponse.selector,
            Expected.VALIDATION_RESPONSE,
            "ValidationResponse"
        );
    }

    /// @dev The interface gives this selector, and the implementation's dispatcher knows it.
    function _has(address registry, bytes4 selector, bytes4 declared) private view {
        assertEq(declared, selector, "selector");
        address implementation = address(uint160(uint256(vm.load(registry, IMPLEMENTATION_SLOT))));
        assertTrue(_dispatches(implementation.code, selector), "not in the dispatcher");
    }

    /// @dev Whether the code pushes the selector, without its leading zero bytes, to compare with the call's.
    function _dispatches(bytes memory code, bytes4 selector) private pure returns (bool) {
        uint256 size = 4;
        while (selector[4 - size] == 0) size--;
        uint256 wanted = ((0x5f + size) << (8 * size)) | uint32(selector);
        for (uint256 i = 0; i + size < code.length; i++) {
            uint256 word;
            assembly ("memory-safe") {
                word := mload(add(add(code, 0x20), i))
            }
            if (word >> (8 * (31 - size)) == wanted) return true;
        }
        return false;
    }
}
