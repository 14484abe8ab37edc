"""Transactions as bytes: what a signed one says and who signed it, and the signing of ours.

Read are EIP-1559 (type 2), EIP-2930 (type 1) and legacy transactions bound to a chain (EIP-155).
Transactions with blobs (type 3) or that delegate an account's code (type 4) have no place here.
"""

from __future__ import annotations

import coincurve
from eth_hash.auto import keccak

from renown.chain.signatures import recover, sign_digest
from renown.chain.tx import rlp
from renown.errors import TransactionRefused
from renown.spec.transactions import SignedTransaction, UnsignedTransaction, least_gas
from renown.types import MAX_BIGINT

MAX_RAW_BYTES = 128 * 1024
"""What nodes take into their pools at most (geth and all that follow it)."""


def read_signed(raw: bytes) -> SignedTransaction:
    """What the bytes of a signed transaction say; its sender is recovered from the signature.

    Read strictly: each transaction has one form in bytes, so its hash names it. Nothing is compared
    with what was asked for: that is the caller's.

    Raises:
        TransactionRefused: not such a transaction; the message says what is wrong with it.
    """
    if not raw:
        raise TransactionRefused("the signed transaction is empty")
    if len(raw) > MAX_RAW_BYTES:
        raise TransactionRefused(
            f"the signed transaction has {len(raw):,} bytes; nodes take {MAX_RAW_BYTES:,}"
        )
    kind = raw[0]
    if kind >= 0xC0:
        return _legacy(raw)
    if kind in (1, 2):
        return _typed(raw, kind)
    named = {3: "blob transactions (type 3)", 4: "code delegations (type 4, EIP-7702)"}
    what = named.get(kind, f"transactions of type {kind}")
    raise TransactionRefused(f"{what} are not relayed; sign one of type 2 (EIP-1559)")


def read_relayed(raw: bytes) -> SignedTransaction:
    """`read_signed`, of what somebody hands over to be sent.

    Raises:
        TransactionRefused: also where its gas does not even pay for its calldata. Some nodes take
            such a transaction, and never put it into a block.
    """
    signed = read_signed(raw)
    least = least_gas(signed.calldata)
    if signed.gas < least:
        raise TransactionRefused(
            f"its gas of {signed.gas:,} is less than the {least:,} that its calldata alone takes",
            gas=signed.gas,
            least_gas=least,
        )
    return signed


def sign_with(key: coincurve.PrivateKey, transaction: UnsignedTransaction) -> bytes:
    """The signed bytes of an EIP-1559 transaction. The key must be its sender's."""
    fields = _fields(transaction)
    r, s, parity = sign_digest(key, keccak(b"\x02" + rlp.encode(fields)))
    return b"\x02" + rlp.encode([*fields, parity, r, s])


def differences(signed: SignedTransaction, wanted: UnsignedTransaction) -> list[str]:
    """What of the call differs: chain, sender, contract, value, calldata. Not nonce, gas and fees.

    The names are for people; an empty list says that it is the call that was wanted.
    """
    pairs = {
        "chain id": (signed.chain_id, wanted.chain_id),
        "sender": (signed.sender, wanted.sender),
        "receiver": (signed.to, wanted.to),
        "value": (signed.value_wei, wanted.value_wei),
        "calldata": (signed.calldata, wanted.calldata),
    }
    return [name for name, (is_, should) in pairs.items() if is_ != should]


def is_exactly(signed: SignedTransaction, wanted: UnsignedTransaction) -> bool:
    """Whether it is the very transaction that was to be signed, nonce, gas and fees included."""
    return not differences(signed, wanted) and (
        signed.nonce,
        signed.gas,
        signed.max_fee_wei,
        signed.priority_fee_wei,
    ) == (wanted.nonce, wanted.gas, wanted.max_fee_wei, wanted.priority_fee_wei)


def _fields(transaction: UnsignedTransaction) -> list[object]:
    return [
        transaction.chain_id,
        transaction.nonce,
        transaction.priority_fee_wei,
        transaction.max_fee_wei,
        transaction.gas,
        transaction.to,
        transaction.value_wei,
        transaction.calldata,
        [],
    ]


def _typed(raw: bytes, kind: int) -> SignedTransaction:
    fields = _list_of(raw[1:], 12 if kind == 2 else 11)
    unsigned, (parity, r, s) = fields[:-3], fields[-3:]
    _check_access_list(unsigned[-1])
    *head, to, value, calldata, _ = unsigned
    numbers = [_number(item, what) for item, what in zip(head, _HEADS[kind], strict=True)]
    chain_id, nonce, *fees, gas = numbers
    sender = recover(
        keccak(raw[:1] + rlp.encode(unsigned)),
        _number(r, "signature"),
        _number(s, "signature"),
        _number(parity, "signature"),
    )
    return _checked(raw, sender, chain_id, nonce, fees, gas, to, value, calldata)


def _legacy(raw: bytes) -> SignedTransaction:
    fields = _list_of(raw, 9)
    nonce, price, gas, to, value, calldata, v, r, s = fields
    chain_id, parity = divmod(_number(v, "signature") - 35, 2)
    if chain_id < 1:
        raise TransactionRefused(
            "the signed transaction is good on every chain (no EIP-155); sign it for one"
        )
    sender = recover(
        keccak(rlp.encode([*fields[:6], chain_id, 0, 0])),
        _number(r, "signature"),
        _number(s, "signature"),
        parity,
    )
    return _checked(
        raw,
        sender,
        chain_id,
        _number(nonce, "nonce"),
        [_number(price, "gas price")],
        _number(gas, "gas"),
        to,
        value,
        calldata,
    )


_HEADS = {
    1: ("chain id", "nonce", "gas price", "gas"),
    2: ("chain id", "nonce", "priority fee", "fee", "gas"),
}


def _checked(
    raw: bytes,
    sender: bytes | None,
    chain_id: int,
    nonce: int,
    fees: list[int],
    gas: int,
    to: rlp.Item,
    value: rlp.Item,
    calldata: rlp.Item,
) -> SignedTransaction:
    if sender is None:
        raise TransactionRefused(
            "the transaction's signature is none, or not the lower one of its two (EIP-2)"
        )
    if not isinstance(to, bytes) or len(to) not in (0, 20):
        raise TransactionRefused("the signed transaction's receiver is not an address")
    if not isinstance(calldata, bytes):
        raise TransactionRefused("the signed transaction's calldata is not bytes")
    if not 0 < chain_id <= MAX_BIGINT or nonce >= MAX_BIGINT or gas > MAX_BIGINT:
        raise TransactionRefused("the signed transaction's chain id, nonce or gas exceeds 2^63 - 1")
    priority_fee_wei, max_fee_wei = fees[0], fees[-1]
    if priority_fee_wei > max_fee_wei:
        raise TransactionRefused("the signed transaction's priority fee exceeds its fee")
    return SignedTransaction(
        raw=raw,
        tx_hash=keccak(raw),
        chain_id=chain_id,
        sender=sender,
        to=to or None,
        calldata=calldata,
        nonce=nonce,
        gas=gas,
        max_fee_wei=max_fee_wei,
        priority_fee_wei=priority_fee_wei,
        value_wei=_number(value, "value"),
    )


def _list_of(data: bytes, length: int) -> list[rlp.Item]:
    try:
        fields = rlp.decode(data)
    except ValueError as exc:
        raise TransactionRefused(f"the signed transaction cannot be read: {exc}") from None
    if not isinstance(fields, list) or len(fields) != length:
        raise TransactionRefused(f"a signed transaction of this type has {length} fields")
    return fields


def _number(item: rlp.Item, what: str) -> int:
    if not isinstance(item, bytes) or len(item) > 32 or item[:1] == b"\0":
        raise TransactionRefused(f"the signed transaction's {what} is not a number")
    return int.from_bytes(item)


def _check_access_list(item: rlp.Item) -> None:
    ok = isinstance(item, list) and all(
        isinstance(entry, list)
        and len(entry) == 2
        and isinstance(entry[0], bytes)
        and len(entry[0]) == 20
        and isinstance(entry[1], list)
        and all(isinstance(key, bytes) and len(key) == 32 for key in entry[1])
        for entry in item
    )
    if not ok:
        raise TransactionRefused("the signed transaction's access list is not one")
