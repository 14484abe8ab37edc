"""A key of ours signs what was asked for and nothing else, whatever the API prepares."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from renown.cli.checking import (
    check,
    check_by_itself,
    check_fee,
    check_typed_data,
    hosted_base,
    is_same_site,
    read_unsigned,
)
from renown.cli.pay import token_named, units_of
from renown.cli.wallet import check_message
from renown.derive.files import File, Link
from renown.derive.plan import fill_agent_id, plan
from renown.derive.writes import GiveFeedback, Register, Update
from renown.errors import BadParameter, TransactionRefused, WalletProofRefused
from renown.sdk import Operation, OperationTransaction
from renown.spec import calls
from renown.spec.deployments import DEPLOYMENTS
from renown.spec.tokens import KNOWN_TOKENS
from renown.spec.transactions import UnsignedTransaction, as_json
from renown.spec.typed_data import agent_wallet_set
from renown.types import checksum_address

ON = DEPLOYMENTS[31337]
BASE = DEPLOYMENTS[8453]
US, THEM = b"\x01" * 20, b"\x02" * 20
RATING = GiveFeedback(value=95, tag1=b"starred", content=File({"text": "good"}))


def unsigned(contract: bytes, calldata: bytes, /, **other: Any) -> dict[str, Any]:
    made = UnsignedTransaction(
        chain_id=31337,
        sender=US,
        to=contract,
        calldata=calldata,
        nonce=0,
        gas=100_000,
        max_fee_wei=10**9,
        priority_fee_wei=1,
    )
    return {**as_json(made), **other}


def prepared(step: int, function: str, contract: bytes, said: dict[str, Any] | None) -> Any:
    return OperationTransaction(
        step=step, function=function, contract=checksum_address(contract), unsigned=said
    )


def operation(*transactions: OperationTransaction, **other: Any) -> Operation:
    made = Operation(
        kind="feedback",
        mode="client",
        chain_id=31337,
        sender=checksum_address(US),
        transactions=list(transactions),
    )
    return msgspec.structs.replace(made, **other)


def rating_as_asked(**other: Any) -> Operation:
    [step] = plan(RATING, ON, 5).steps
    assert step.calldata is not None
    return operation(
        prepared(1, step.function, step.contract, unsigned(step.contract, step.calldata, **other))
    )


def checked(told: Operation, write: Any = RATING, agent_id: int | None = 5) -> None:
    check(told, plan(write, ON, agent_id).steps, ON, US)


def test_check__as_asked__passes():
    checked(rating_as_asked())


@pytest.mark.parametrize(
    "said",
    [
        {"chainId": "0x1"},
        {"from": checksum_address(THEM)},
        {"to": checksum_address(THEM)},
        {"value": "0x1"},
        {"data": "0x"},
        {"data": "0xdeadbeef"},
        {"type": "0x4"},
        {"accessList": [{"address": checksum_address(THEM), "storageKeys": []}]},
        {"gas": "0xffffffffff"},
        {"gas": "0x0"},
        {"maxPriorityFeePerGas": "0xfffffffffffffff"},
        {"nonce": None},
        {"nonce": "zero"},
        {"to": None},
        {"data": 7},
    ],
)
def test_check__anything_in_the_transaction_differs__is_refused(said):
    with pytest.raises(TransactionRefused):
        checked(rating_as_asked(**said))


@pytest.mark.parametrize(
    "other",
    [
        GiveFeedback(value=0, tag1=b"starred", content=RATING.content),
        GiveFeedback(value=95, decimals=1, tag1=b"starred", content=RATING.content),
        GiveFeedback(value=95, content=RATING.content),
        GiveFeedback(value=95, tag1=b"starred", content=File({"text": "bad"})),
        GiveFeedback(value=95, tag1=b"starred", content=Link(b"https://elsewhere.example")),
    ],
)
def test_check__another_rating__is_refused(other):
    with pytest.raises(TransactionRefused, match="not the one asked for"):
        checked(rating_as_asked(), other)


def test_check__another_agent__is_refused():
    with pytest.raises(TransactionRefused, match="another call"):
        checked(rating_as_asked(), agent_id=6)


def test_check__one_transaction_more_or_another_chain__is_refused():
    told = rating_as_asked()
    with pytest.raises(TransactionRefused, match="makes 2 transactions"):
        checked(operation(*told.transactions * 2))
    with pytest.raises(TransactionRefused, match="chain 1"):
        checked(msgspec.structs.replace(told, chain_id=1))


def test_check__notes_appended_to_the_call__are_refused():
    [step] = plan(RATING, ON, 5).steps
    assert step.calldata is not None
    said = unsigned(step.contract, step.calldata + b"\x00")
    with pytest.raises(TransactionRefused):
        checked(operation(prepared(1, step.function, step.contract, said)))


def registering(uri: bytes) -> Operation:
    return operation(
        prepared(1, calls.REGISTER_URI, ON.identity, unsigned(ON.identity, calls.register(uri)))
    )


@pytest.mark.parametrize(
    "base",
    [
        "https://api.example",
        "http://localhost:8004",
        "https://[::1]:8004",
        "https://a.example/r/~1",
    ],
)
def test_hosted_base__a_plain_address__is_read(base):
    told = registering(f"{base}/v1/files/0x{'1' * 64}".encode())
    assert hosted_base(told) == base
    assert hosted_base(operation()) is None


@pytest.mark.parametrize(
    "base",
    [
        b"data:application/json;base64,eyJuYW1lIjoiRXZlIn0=#",
        b"https://evil.example/eve.json?",
        b"https://evil.example/eve.json#",
        b"https://us@evil.example",
        b"https://evil.example/ ",
        b"https://evil.example\n",
        b"https://evil.\xff",
        b"ftp://evil.example",
        b"https://",
        b"",
    ],
)
def test_hosted_base__what_can_hold_another_file__is_refused(base):
    with pytest.raises(TransactionRefused, match="no plain http"):
        hosted_base(registering(base + b"/v1/files/0x" + b"1" * 64))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://api.example/below", "https://api.example", True),
        ("https://api.example:443", "https://api.example", True),
        ("http://127.0.0.1:8004", "http://localhost:8004", True),
        ("http://api.example", "https://api.example", False),
        ("https://api.example:8443", "https://api.example", False),
        ("https://api.example.evil.example", "https://api.example", False),
        ("https://api.example:99999", "https://api.example:99999", False),
        ("https://[", "https://[", False),
    ],
)
def test_is_same_site__by_scheme_host_and_port(one, other, same):
    assert is_same_site(one, other) is same


def test_check__file_that_names_its_agent__is_ours_with_that_id():
    write = Register(content=File({"name": "Ada"}), names_itself=True)
    first, second = plan(write, ON, None).steps
    assert first.calldata is not None
    for fields, fine in (({"name": "Ada"}, True), ({"name": "Eve"}, False)):
        template = msgspec.structs.replace(second.template, file=fields)  # type: ignore[type-var]
        calldata, _ = fill_agent_id(template, 7, ON.chain_id, ON.identity)  # type: ignore[arg-type]
        told = msgspec.convert(
            {
                "kind": "register",
                "mode": "client",
                "chain_id": 31337,
                "sender": checksum_address(US),
                "agent": {"key": f"eip155:31337:0x{ON.identity.hex()}:7"},
            },
            Operation,
        )
        told = msgspec.structs.replace(
            told,
            transactions=[
                prepared(1, first.function, ON.identity, None),
                prepared(2, second.function, ON.identity, unsigned(ON.identity, calldata)),
            ],
        )
        if fine:
            check(told, (first, second), ON, US)
        else:
            with pytest.raises(TransactionRefused):
                check(told, (first, second), ON, US)


def test_check__order_of_changes__must_be_as_planned():
    write = Update(metadata=((b"a", b"1"), (b"b", b"2")))
    steps = plan(write, ON, 5).steps
    turned = [
        prepared(n, s.function, s.contract, unsigned(s.contract, s.calldata or b""))
        for n, s in enumerate(reversed(steps), 1)
    ]
    with pytest.raises(TransactionRefused):
        check(operation(*turned), steps, ON, US)


def test_check_fee__far_beyond_what_was_shown__is_refused():
    told = rating_as_asked()
    check_fee(10**9, told.transactions)
    check_fee(5 * 10**8, told.transactions)
    with pytest.raises(TransactionRefused, match="risen"):
        check_fee(4 * 10**8, told.transactions)


def test_check_typed_data__anything_but_this_agents_wallet__is_refused():
    def told(**changed: Any) -> Operation:
        said = {"chain_id": 31337, "registry": ON.identity, "agent_id": 5, "new_wallet": THEM}
        typed = agent_wallet_set(**(said | changed), owner=US, deadline=9)  # type: ignore[arg-type]
        return operation(typed_data=typed)

    assert check_typed_data(told(), ON, 5, THEM) == (US, 9)
    for changed in (
        {"chain_id": 1},
        {"registry": THEM},
        {"agent_id": 6},
        {"new_wallet": US},
    ):
        with pytest.raises(TransactionRefused):
            check_typed_data(told(**changed), ON, 5, THEM)
    for typed in (None, {}, {"message": {"owner": "0x", "deadline": "9"}}, {"message": 5}):
        with pytest.raises(TransactionRefused):
            check_typed_data(operation(typed_data=typed), ON, 5, THEM)


def test_check_by_itself__says_what_it_does__or_refuses_what_it_cannot_read():
    told = rating_as_asked()
    assert "rate agent 5 with 95" in check_by_itself(told.transactions[0], told, US)
    transfer = unsigned(
        ON.identity, calls.encode_call("transferFrom(address,address,uint256)", US, THEM, 5)
    )
    for said in (transfer, unsigned(THEM, b"\xde\xad\xbe\xef")):
        with pytest.raises(TransactionRefused):
            check_by_itself(prepared(1, "x()", ON.identity, said), told, US)
    with pytest.raises(TransactionRefused, match="sender"):
        check_by_itself(told.transactions[0], told, THEM)


def test_read_unsigned__nothing_there__says_which():
    with pytest.raises(TransactionRefused, match="3 is not prepared"):
        read_unsigned(prepared(3, "x()", THEM, None))


MESSAGE = (
    "{domain} wants you to sign in with your Ethereum account:\n{address}\n\n"
    "Link this wallet\n\nURI: {uri}\nVersion: 1\nChain ID: 1\nNonce: abcdefgh12345678\n"
    "Issued At: 2026-11-23T02:00:00Z"
)


def message(domain: str, address: bytes = US) -> str:
    return MESSAGE.format(domain=domain, uri=f"http://{domain}", address=checksum_address(address))


def test_check_message__another_site_or_wallet_or_something_else__is_refused():
    check_message(message("localhost:8004"), US, "http://127.0.0.1:8004")
    check_message(message("renown.example"), US, "https://renown.example")
    for text, url in (
        (message("bank.example"), "https://renown.example"),
        (message("localhost:1"), "http://localhost:8004"),
        (message("localhost:8004", THEM), "http://localhost:8004"),
        ("I owe you everything", "http://localhost:8004"),
        ("", "http://localhost:8004"),
    ):
        with pytest.raises(WalletProofRefused):
            check_message(text, US, url)


@pytest.mark.parametrize(
    ("amount", "decimals", "units"),
    [("2.5", 6, 2_500_000), ("0.000001", 6, 1), ("10", 0, 10), ("1.50", 1, 15), ("007", 2, 700)],
)
def test_units_of__an_amount__is_exact(amount, decimals, units):
    assert units_of(amount, decimals) == units


@pytest.mark.parametrize(
    "amount", ["0", "-1", "0.0000001", "1e3", "NaN", "Infinity", "", ".", "1,5", "0x1", "٣"]
)
def test_units_of__no_amount__is_refused(amount):
    with pytest.raises(BadParameter):
        units_of(amount, 6)


def test_token_named__by_symbol_or_address__or_the_first():
    dollar = token_named(KNOWN_TOKENS, ON, None)
    assert dollar.symbol == "DEVUSD"
    assert token_named(KNOWN_TOKENS, ON, f"0x{dollar.address.hex()}") is dollar
    assert token_named(KNOWN_TOKENS, BASE, "usdc").symbol == "USDC"
    with pytest.raises(BadParameter, match="count in USDC"):
        token_named(KNOWN_TOKENS, BASE, "SCAM")
