// SPDX-License-Identifier: Apache-2.0
pragma solidity 0.8.24;

import {TestBase} from "../support/TestBase.sol";
import {Vm} from "../support/Vm.sol";

/// @dev The devnet's money.
contract DevDollarTest is TestBase {
    uint256 private constant KEY = 0xa11e7;
    uint256 private constant AMOUNT = 2_500_000;
    uint256 private constant NOW = 1_000_000;
    bytes32 private constant NONCE = keccak256("nonce");

    address private _payer;
    address private _payee = actor("payee");
    address private _relayer = actor("relayer");
    address private _dollar;

    function setUp() public {
        vm.warp(NOW);
        _payer = vm.addr(KEY);
        _dollar = vm.deployCode("DevDollar.sol:DevDollar");
        assertSucceeds(
            _relayer, _dollar, abi.encodeWithSignature("mint(address,uint256)", _payer, 3 * AMOUNT)
        );
    }

    function test_has_six_decimals_and_a_name() public {
        assertEq(_read(abi.encodeWithSignature("decimals()")), 6, "decimals");
        bytes memory name = assertSucceeds(_payer, _dollar, abi.encodeWithSignature("name()"));
        assertEq(abi.decode(name, (string)), "Dev Dollar", "name");
    }

    function test_anybody_may_mint() public {
        assertEq(_balance(_payer), 3 * AMOUNT, "balance");
        assertEq(_read(abi.encodeWithSignature("totalSupply()")), 3 * AMOUNT, "supply");
    }

    function test_a_signed_payment_is_carried_out_by_a_stranger_and_names_the_payer() public {
        bytes memory call = _transfer(KEY, 0, NOW + 1);

        watchLogs();
        assertSucceeds(_relayer, _dollar, call);

        assertLogged(_dollar, _paid());
        assertEq(_balance(_payee), AMOUNT, "payee");
        assertEq(_balance(_payer), 2 * AMOUNT, "payer");
        bytes memory state = abi.encodeWithSignature("authorizationState(address,bytes32)", _payer, NONCE);
        assertEq(_read(state), 1, "used");
    }

    function test_a_signed_payment_happens_once() public {
        bytes memory call = _transfer(KEY, 0, NOW + 1);
        assertSucceeds(_relayer, _dollar, call);

        assertReverts(
            _relayer,
            _dollar,
            call,
            abi.encodeWithSignature("AuthorizationAlreadyUsed(address,bytes32)", _payer, NONCE)
        );
    }

    function test_a_signed_payment_has_its_time() public {
        assertReverts(
            _relayer,
            _dollar,
            _transfer(KEY, NOW, NOW + 1),
            abi.encodeWithSignature("AuthorizationNotYetValid(uint256)", NOW)
        );
        assertReverts(
            _relayer,
            _dollar,
            _transfer(KEY, 0, NOW),
            abi.encodeWithSignature("AuthorizationExpired(uint256)", NOW)
        );
    }

    function test_a_payment_somebody_else_signed_is_refused() public {
        assertReverts(
            _relayer,
            _dollar,
            _transfer(KEY + 1, 0, NOW + 1),
            abi.encodeWithSignature("InvalidAuthorization(address)", _payer)
        );
    }

    function test_a_payment_to_receive_is_for_the_payee_only() public {
        bytes memory call = _signed(
            KEY,
            "ReceiveWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)",
            "receiveWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
            0,
            NOW + 1
        );

        assertReverts(_relayer, _dollar, call, abi.encodeWithSignature("CallerMustBePayee(address)", _payee));
        assertSucceeds(_payee, _dollar, call);
        assertEq(_balance(_payee), AMOUNT, "payee");
    }

    function test_more_than_there_is_cannot_be_paid() public {
        assertSucceeds(
            _payer, _dollar, abi.encodeWithSignature("transfer(address,uint256)", _payee, 3 * AMOUNT)
        );

        assertReverts(
            _relayer,
            _dollar,
            _transfer(KEY, 0, NOW + 1),
            abi.encodeWithSignature("ERC20InsufficientBalance(address,uint256,uint256)", _payer, 0, AMOUNT)
        );
    }

    function _paid() private view returns (Vm.Log[] memory logs) {
        logs = new Vm.Log[](2);
        bytes32[] memory used = new bytes32[](3);
        used[0] = keccak256("AuthorizationUsed(address,bytes32)");
        used[1] = bytes32(uint256(uint160(_payer)));
        used[2] = NONCE;
        logs[0] = Vm.Log(used, "", _dollar);
        bytes32[] memory moved = new bytes32[](3);
        moved[0] = keccak256("Transfer(address,address,uint256)");
        moved[1] = bytes32(uint256(uint160(_payer)));
        moved[2] = bytes32(uint256(uint160(_payee)));
        logs[1] = Vm.Log(moved, abi.encode(AMOUNT), _dollar);
    }

    function _transfer(uint256 key, uint256 validAfter, uint256 validBefore)
        private
        view
        returns (bytes memory)
    {
        return _signed(
            key,
            "TransferWithAuthorization(address from,address to,uint256 value,uint256 validAfter,uint256 validBefore,bytes32 nonce)",
            "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,uint8,bytes32,bytes32)",
            validAfter,
            validBefore
        );
    }

    function _signed(
        uint256 key,
        string memory purpose,
        string memory signature,
        uint256 validAfter,
        uint256 validBefore
    ) private view returns (bytes memory) {
        bytes memory terms = abi.encode(_payer, _payee, AMOUNT, validAfter, validBefore, NONCE);
        bytes32 said = keccak256(abi.encodePacked(keccak256(bytes(purpose)), terms));
        (uint8 v, bytes32 r, bytes32 s) =
            vm.sign(key, keccak256(abi.encodePacked("\x19\x01", _domain(), said)));
        return abi.encodePacked(bytes4(keccak256(bytes(signature))), terms, abi.encode(v, r, s));
    }

    function _domain() private view returns (bytes32) {
        return keccak256(
            abi.encode(
                keccak256(
                    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
                ),
                keccak256("Dev Dollar"),
                keccak256("1"),
                block.chainid,
                _dollar
            )
        );
    }

    function _balance(address account) private returns (uint256) {
        return _read(abi.encodeWithSignature("balanceOf(address)", account));
    }

    function _read(bytes memory call) private returns (uint256) {
        return abi.decode(assertSucceeds(_relayer, _dollar, call), (uint256));
    }
}
