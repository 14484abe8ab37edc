// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {IIdentityRegistry} from "../../src/interfaces/IIdentityRegistry.sol";
import {Errors} from "../support/Errors.sol";
import {Expected} from "../support/Expected.sol";
import {RegistryTest} from "../support/RegistryTest.sol";

/// @dev Says yes to every signature, or answers in a way that must not count as a yes.
contract AnsweringWallet {
    bytes private _answer;

    constructor(bytes memory answer) {
        _answer = answer;
    }

    function isValidSignature(bytes32, bytes calldata) external view {
        bytes memory answer = _answer;
        assembly ("memory-safe") {
            return(add(answer, 0x20), mload(answer))
        }
    }
}

contract WalletTest is RegistryTest {
    uint256 private constant KEY = 0xa11e7;
    uint256 private constant ORDER = 0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141;

    address private _wallet;
    uint256 private _deadline;
    uint256 private _chainId;

    function setUp() public override {
        super.setUp();
        _wallet = vm.addr(KEY);
        _deadline = block.timestamp + 300;
        _chainId = block.chainid;
        _register(alice);
    }

    function test_a_signed_wallet_is_stored_packed() public {
        watchLogs();
        _set(alice, _wallet, _deadline, _signature());

        assertLogged(address(identity), Expected.list(Expected.walletSet(0, _wallet)));
        assertEq(identity.getAgentWallet(0), _wallet, "wallet");
        assertEq(identity.getMetadata(0, "agentWallet"), abi.encodePacked(_wallet), "wallet bytes");
    }

    function test_reverts_in_order() public {
        uint256 past = block.timestamp - 1;
        uint256 far = block.timestamp + 301;

        _refused(bob, _call(1, address(0), past, ""), Errors.nonexistentToken(1));
        _refused(bob, _call(0, address(0), past, ""), Errors.reason("Not authorized"));
        _refused(alice, _call(0, address(0), past, ""), Errors.reason("bad wallet"));
        _refused(alice, _call(0, address(0), far, ""), Errors.reason("bad wallet"));
        _refused(alice, _call(0, _wallet, past, ""), Errors.reason("expired"));
        _refused(alice, _call(0, _wallet, far, ""), Errors.reason("deadline too far"));
        _refused(alice, _call(0, _wallet, _deadline, ""), Errors.reason("invalid wallet sig"));
    }

    function test_the_deadline_itself_is_in_time() public {
        bytes memory signature = _signature();
        vm.warp(_deadline);
        _set(alice, _wallet, _deadline, signature);

        vm.warp(_deadline + 1);
        _refused(alice, _call(0, _wallet, _deadline, signature), Errors.reason("expired"));
    }

    function test_an_operator_sends_but_the_owner_is_signed_for() public {
        vm.prank(alice);
        identity.setApprovalForAll(bob, true);
        bytes memory forOperator = _sign(KEY, _walletDigest(0, _wallet, bob, _deadline));
        _refused(bob, _call(0, _wallet, _deadline, forOperator), Errors.reason("invalid wallet sig"));

        _set(bob, _wallet, _deadline, _signature());
        assertEq(identity.getAgentWallet(0), _wallet, "wallet");
    }

    function test_there_is_no_nonce() public {
        bytes memory signature = _signature();
        _set(alice, _wallet, _deadline, signature);
        vm.prank(alice);
        identity.unsetAgentWallet(0);
        _set(alice, _wallet, _deadline, signature);

        assertEq(identity.getAgentWallet(0), _wallet, "wallet");
    }

    function test_a_change_of_owner_ends_a_signature() public {
        bytes memory signature = _signature();
        _transfer(alice, bob, 0);

        _refused(bob, _call(0, _wallet, _deadline, signature), Errors.reason("invalid wallet sig"));
    }

    function test_only_whole_signatures_in_their_one_form_are_taken() public {
        (uint8 v, bytes32 r, bytes32 s) = vm.sign(KEY, _walletDigest(0, _wallet, alice, _deadline));
        bytes32 highS = bytes32(ORDER - uint256(s));
        bytes32 compact = bytes32(uint256(s) | (uint256(v - 27) << 255));

        _refusesSignature(abi.encodePacked(r, s, v - 27));
        _refusesSignature(abi.encodePacked(r, highS, uint8(55) - v));
        _refusesSignature(abi.encodePacked(r, compact));
        _refusesSignature(abi.encodePacked(r, s, v, uint8(0)));
        _refusesSignature(abi.encodePacked(r, s));
        _refusesSignature(new bytes(65));
        _set(alice, _wallet, _deadline, abi.encodePacked(r, s, v));
    }

    function test_a_smart_wallet_signs_through_its_owner() public {
        address smart = vm.deployCode("SmartWallet.sol:SmartWallet", abi.encode(_wallet));
        bytes32 digest = _walletDigest(0, smart, alice, _deadline);

        _refused(
            alice, _call(0, smart, _deadline, _sign(KEY + 1, digest)), Errors.reason("invalid wallet sig")
        );
        _set(alice, smart, _deadline, _sign(KEY, digest));
        assertEq(identity.getAgentWallet(0), smart, "wallet");
    }

    function test_a_key_beats_the_code_at_its_address() public {
        vm.etch(_wallet, address(new AnsweringWallet("")).code); // as EIP-7702 would: code, and still the key
        _set(alice, _wallet, _deadline, _signature());

        assertEq(identity.getAgentWallet(0), _wallet, "wallet");
    }

    function test_only_the_magic_value_is_a_yes() public {
        _answers(abi.encode(bytes4(0xffffffff)), false);
        _answers(abi.encode(true), false);
        _answers(hex"1626ba7e", false); // shorter than a word
        _answers("", false);
        _answers(abi.encode(bytes4(0x1626ba7e)), true);
    }

    function test_several_agents_share_a_wallet() public {
        _register(bob);
        _set(alice, _wallet, _deadline, _signature());
        bytes memory signature = _sign(KEY, _walletDigest(1, _wallet, bob, _deadline));
        vm.prank(bob);
        identity.setAgentWallet(1, _wallet, _deadline, signature);

        assertEq(identity.getAgentWallet(0), identity.getAgentWallet(1), "wallets");
    }

    function testFuzz_whoever_signs_in_time_becomes_the_wallet(uint256 key, uint256 delay) public {
        key = bound(key, 1, ORDER - 1);
        uint256 deadline = block.timestamp + bound(delay, 0, 300);
        address wallet = vm.addr(key);
        _set(alice, wallet, deadline, _sign(key, _walletDigest(0, wallet, alice, deadline)));

        assertEq(identity.getAgentWallet(0), wallet, "wallet");
    }

    /// @dev One field of what is signed differs from what is sent, or the chain does.
    function testFuzz_a_signature_holds_for_what_was_signed_only(uint256 field, uint256 other) public {
        uint256 agentId = field % 5 == 0 ? bound(other, 1, type(uint256).max) : 0;
        address wallet = field % 5 == 1 ? vm.addr(bound(other, KEY + 1, ORDER - 1)) : _wallet;
        address owner = field % 5 == 2 ? address(uint160(bound(other, 1, 2 ** 150))) : alice;
        uint256 deadline = field % 5 == 3 ? bound(other, 0, _deadline - 1) : _deadline;
        bytes memory signature = _sign(KEY, _walletDigest(agentId, wallet, owner, deadline));
        if (field % 5 == 4) vm.chainId(bound(other, 1, 1e9));
        vm.assume(block.chainid != _chainId || field % 5 != 4);

        _refusesSignature(signature);
    }

    function _signature() private view returns (bytes memory) {
        return _sign(KEY, _walletDigest(0, _wallet, alice, _deadline));
    }

    function _set(address caller, address wallet, uint256 deadline, bytes memory signature) private {
        vm.prank(caller);
        identity.setAgentWallet(0, wallet, deadline, signature);
    }

    function _call(uint256 agentId, address wallet, uint256 deadline, bytes memory signature)
        private
        pure
        returns (bytes memory)
    {
        return abi.encodeCall(IIdentityRegistry.setAgentWallet, (agentId, wallet, deadline, signature));
    }

    function _refused(address caller, bytes memory call, bytes memory why) private {
        assertReverts(caller, address(identity), call, why);
    }

    function _refusesSignature(bytes memory signature) private {
        _refused(alice, _call(0, _wallet, _deadline, signature), Errors.reason("invalid wallet sig"));
    }

    function _answers(bytes memory answer, bool isYes) private {
        bytes memory call = _call(0, address(new AnsweringWallet(answer)), _deadline, "any");
        if (isYes) assertSucceeds(alice, address(identity), call);
        else _refused(alice, call, Errors.reason("invalid wallet sig"));
    }
}
