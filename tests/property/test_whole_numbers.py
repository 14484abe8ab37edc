"""Numbers in PostgreSQL's binary form, against what PostgreSQL itself makes of them."""

from __future__ import annotations

from decimal import Decimal
from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.store.pool import connect
from renown.store.whole_numbers import decode, encode, use_whole_numbers

EDGES = [
    *(0, 1, -1, 9_999, 10_000, -10_000, 10_001, 99_990_000, 10**18, -(10**18)),
    *(10**38, -(10**38), 10**38 - 1, 2**63, 2**127, 7 * 10**16, 1_000 * 10**18),
]


@given(st.integers(-(10**60), 10**60), st.integers(0, 40))
def test_whole_number__there_and_back__is_the_same(value: int, zeros: int) -> None:
    scaled = value * 10**zeros

    assert decode(encode(scaled)) == scaled


async def test_whole_number__to_postgresql_and_back__is_what_it_writes(database_url: str) -> None:
    conn = await connect(database_url)
    try:
        await use_whole_numbers(conn)

        rows = await conn.fetch("SELECT n, n::text FROM unnest($1::numeric[]) AS n", EDGES)

        assert [(row[0], row[1]) for row in rows] == [(value, str(value)) for value in EDGES]
        assert all(type(row[0]) is int for row in rows)
    finally:
        await conn.close()


@pytest.mark.parametrize("text", ["1.5", "-0.001", "12345678.90", "100.00", "0.0", "123456.00001"])
async def test_number__with_a_fraction__is_a_decimal(database_url: str, text: str) -> None:
    conn = await connect(database_url)
    try:
        await use_whole_numbers(conn)

        found = await conn.fetchval(f"SELECT '{text}'::numeric")

        assert type(found) is Decimal
        assert found == Decimal(text)
    finally:
        await conn.close()


def test_number__with_a_fraction__is_not_cut_to_be_written() -> None:
    assert encode(Decimal("12.0")) == encode(12)
    with pytest.raises(ValueError, match="not whole"):
        encode(Decimal("12.5"))


@pytest.mark.parametrize("sign", [0xC000, 0xD000, 0xF000])
def test_number__that_is_none__is_refused(sign: int) -> None:
    with pytest.raises(ValueError, match="not a number"):
        decode(pack(">HhHH", 0, 0, sign, 0))
