"""`numeric` as int, in PostgreSQL's binary form: for connections that run binary COPY.

The driver makes a Decimal of each value to write it, at several times the price of everything else
about a row. Every numeric column of ours is whole, and most values repeat.
"""

from __future__ import annotations

from decimal import Decimal
from struct import Struct, pack, unpack_from

from renown.store.pool import Conn

_MOST_REMEMBERED = 8_192
_HEAD = Struct(">HhHH")  # how many digits of base 10,000, weight of the first, sign, scale
_POSITIVE, _NEGATIVE = 0x0000, 0x4000

_remembered: dict[int | Decimal, bytes] = {}


async def use_whole_numbers(conn: Conn) -> None:
    """From now on `conn` takes int for numeric; it gives int for whole ones, Decimal for others."""
    await conn.set_type_codec(
        "numeric", schema="pg_catalog", encoder=encode, decoder=decode, format="binary"
    )


def encode(value: int | Decimal) -> bytes:
    """A whole number as `numeric_recv` takes it.

    Raises:
        ValueError: it is not whole.
    """
    known = _remembered.get(value)
    if known is None:
        number = int(value)
        if number != value:
            raise ValueError(f"{value} is not whole")
        known = _encoded(number)
        if len(_remembered) >= _MOST_REMEMBERED:
            _remembered.clear()
        _remembered[value] = known
    return known


def decode(data: bytes) -> int | Decimal:
    """What `numeric_send` gives: int where the scale is 0, otherwise Decimal.

    Raises:
        ValueError: not a number; no column of ours can hold that.
    """
    count, weight, sign, scale = _HEAD.unpack_from(data)
    if sign not in (_POSITIVE, _NEGATIVE):
        raise ValueError("a numeric that is not a number")
    number = 0
    for digit in unpack_from(f">{count}H", data, _HEAD.size):
        number = number * 10_000 + digit
    power = weight + 1 - count  # of 10,000, behind the last digit
    if sign == _NEGATIVE:
        number = -number
    if scale == 0:
        whole: int = number * 10_000**power
        return whole
    return Decimal(f"{number}E{4 * power}")


def _encoded(value: int) -> bytes:
    sign, rest = (_NEGATIVE, -value) if value < 0 else (_POSITIVE, value)
    digits: list[int] = []  # of base 10,000, the lowest first
    zeros = 0
    while rest:
        rest, digit = divmod(rest, 10_000)
        if digit or digits:
            digits.append(digit)
        else:
            zeros += 1
    weight = max(0, zeros + len(digits) - 1)
    digits.reverse()
    return pack(f">HhHH{len(digits)}H", len(digits), weight, sign, 0, *digits)
