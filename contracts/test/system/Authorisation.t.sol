// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {Errors} from "../support/Errors.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

/// @dev Who may do what to agent 0, as the reference's matrix has it.
contract AuthorisationTest is RegistryTest {
    uint256 private constant KEY = 0xa11e7;

    address private immutable _operator = actor("operator");
    address private immutable _approved = actor("approved");
    address private immutable _other = actor("other");

    address private _wallet;
    uint256 private _deadline;

    function setUp() public override {
        super.setUp();
        _wallet = vm.addr(KEY);
        _deadline = block.timestamp + 300;
        _register(alice);
        vm.prank(alice);
        identity.setApprovalForAll(_operator, true);
        vm.prank(alice);
        identity.approve(_approved, 0);
        vm.prank(alice);
        identity.setAgentWallet(0, _wallet, _deadline, _signature());
        _rate(bob, 0, 1, 0);
    }

    function test_setAgentURI() public {
        _managersOnly(address(identity), abi.encodeCall(identity.setAgentURI, (0, "x")));
    }

    function test_setMetadata() public {
        _managersOnly(address(identity), abi.encodeCall(identity.setMetadata, (0, "k", "v")));
    }

    function test_unsetAgentWallet() public {
        _managersOnly(address(identity), abi.encodeCall(identity.unsetAgentWallet, (0)));
    }

    function test_setAgentWallet() public {
        bytes memory call = abi.encodeCall(identity.setAgentWallet, (0, _wallet, _deadline, _signature()));
        _managersOnly(address(identity), call);
    }

    function test_giveFeedback() public {
        bytes memory call = abi.encodeCall(reputation.giveFeedback, (0, 1, 0, "", "", "", "", 0));
        bytes memory why = Errors.reason("Self-feedback not allowed");

        assertReverts(alice, address(reputation), call, why);
        assertReverts(_operator, address(reputation), call, why);
        assertReverts(_approved, address(reputation), call, why);
        assertSucceeds(_wallet, address(reputation), call);
        assertSucceeds(_other, address(reputation), call);
    }

    function test_validationRequest() public {
        assertSucceeds(alice, address(validation), _requestCall(1));
        assertSucceeds(_operator, address(validation), _requestCall(2));
        assertSucceeds(_approved, address(validation), _requestCall(3));
        assertReverts(_wallet, address(validation), _requestCall(4), Errors.reason("Not authorized"));
        assertReverts(_other, address(validation), _requestCall(5), Errors.reason("Not authorized"));
    }

    function test_revokeFeedback() public {
        bytes memory call = abi.encodeCall(reputation.revokeFeedback, (0, 1));
        bytes memory why = Errors.reason("index out of bounds"); // an index names a record of the caller's own

        assertReverts(alice, address(reputation), call, why);
        assertReverts(_operator, address(reputation), call, why);
        assertReverts(_approved, address(reputation), call, why);
        assertReverts(_wallet, address(reputation), call, why);
        assertReverts(_other, address(reputation), call, why);
        assertSucceeds(bob, address(reputation), call);
    }

    function test_appendResponse() public {
        bytes memory call = abi.encodeCall(reputation.appendResponse, (0, bob, 1, "ipfs://r", 0));

        assertSucceeds(alice, address(reputation), call);
        assertSucceeds(_operator, address(reputation), call);
        assertSucceeds(_approved, address(reputation), call);
        assertSucceeds(_wallet, address(reputation), call);
        assertSucceeds(_other, address(reputation), call);
        assertSucceeds(bob, address(reputation), call);
    }

    function _managersOnly(address target, bytes memory call) private {
        assertSucceeds(alice, target, call);
        assertSucceeds(_operator, target, call);
        assertSucceeds(_approved, target, call);
        assertReverts(_wallet, target, call, Errors.reason("Not authorized"));
        assertReverts(_other, target, call, Errors.reason("Not authorized"));
        assertReverts(admin, target, call, Errors.reason("Not authorized"));
    }

    function _requestCall(uint256 hash) private view returns (bytes memory) {
        return abi.encodeCall(validation.validationRequest, (bob, 0, "", bytes32(hash)));
    }

    function _signature() private view returns (bytes memory) {
        return _sign(KEY, _walletDigest(0, _wallet, alice, _deadline));
    }
}
