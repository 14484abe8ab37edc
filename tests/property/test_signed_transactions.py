"""Signed transactions: what we sign we read back, as eth-account does; damage is refused, or is
another transaction of another sender.
"""

from __future__ import annotations

from contextlib import suppress

import coincurve
from hypothesis import given
from hypothesis import strategies as st

from renown.chain.accounts import Account
from renown.chain.signatures import address_of
from renown.chain.tx import rlp
from renown.chain.tx.signed import is_exactly, read_signed, sign_with
from renown.errors import TransactionRefused
from renown.spec.transactions import UnsignedTransaction, as_json

KEYS = st.integers(1, 2**128).map(lambda number: coincurve.PrivateKey(number.to_bytes(32)))


@st.composite
def transactions(draw: st.DrawFn) -> tuple[coincurve.PrivateKey, UnsignedTransaction]:
    key = draw(KEYS)
    fees = sorted([draw(st.integers(0, 2**100)), draw(st.integers(0, 2**100))])
    return key, UnsignedTransaction(
        chain_id=draw(st.integers(1, 2**53)),
        sender=address_of(key.public_key),
        to=draw(st.binary(min_size=20, max_size=20)),
        calldata=draw(st.binary(max_size=300)),
        nonce=draw(st.integers(0, 2**63 - 2)),
        gas=draw(st.integers(0, 2**63 - 1)),
        priority_fee_wei=fees[0],
        max_fee_wei=fees[1],
        value_wei=draw(st.integers(0, 2**256 - 1)),
    )


@given(transactions())
def test_sign_and_read__any_transaction__round_trips_and_is_the_librarys(made):
    key, transaction = made

    raw = sign_with(key, transaction)

    assert is_exactly(read_signed(raw), transaction)
    fields = as_json(transaction)
    del fields["from"]
    fields["to"] = transaction.to
    assert bytes(Account.sign_transaction(fields, key.secret).raw_transaction) == raw


@given(transactions(), st.data())
def test_read_signed__damaged__is_refused_or_somebody_elses(made, data):
    key, transaction = made
    raw = bytearray(sign_with(key, transaction))
    place = data.draw(st.integers(0, len(raw) - 1))
    raw[place] ^= data.draw(st.integers(1, 255))

    try:
        signed = read_signed(bytes(raw))
    except TransactionRefused:
        return
    assert signed.sender != transaction.sender


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x01", b"\x02", b"\xf8\xb2"]))
def test_read_signed__any_bytes__only_ever_refused(junk, begin):
    with suppress(TransactionRefused):
        read_signed(begin + junk)


ITEMS = st.recursive(
    st.binary(max_size=70), lambda items: st.lists(items, max_size=4), max_leaves=9
)


def depth(item: rlp.Item) -> int:
    return 1 + max(map(depth, item), default=0) if isinstance(item, list) else 0


@given(ITEMS)
def test_rlp__any_item__round_trips(item):
    if depth(item) <= rlp.MAX_DEPTH:
        assert rlp.decode(rlp.encode(item)) == item


@given(st.binary(max_size=120))
def test_rlp__whatever_decodes__is_its_only_encoding(data):
    try:
        item = rlp.decode(data)
    except ValueError:
        return
    assert rlp.encode(item) == data
