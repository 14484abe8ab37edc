"""Rows in PostgreSQL's binary COPY form, made without the driver: for the tables of millions.

The driver encodes a value at a time by its column's codec. Here the columns of fixed width are one
`struct`, and of the others few values are distinct, so that their bytes are looked up.

Source: PostgreSQL, "COPY", binary format; numeric: `src/backend/utils/adt/numeric.c`, numeric_send.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from datetime import datetime
from functools import lru_cache
from typing import LiteralString

from renown.store.pool import Tx

FEEDBACK_COLUMNS = (
    *("chain_id", "block_number", "log_index", "tx_hash", "agent_id", "client"),
    *("feedback_index", "value", "decimals", "tag1", "tag2", "endpoint", "uri", "content_hash"),
)
BLOCK_COLUMNS = ("chain_id", "number", "hash", "parent_hash", "time", "fact_count")
CLAIM_COLUMNS = (
    *("claim_id", "chain_id", "agent_id", "pay_chain_id", "tx_hash", "created_at", "checked_at"),
    *("feedback_is_final", "tries", "proved", "state", "reason", "due_at", "account_id"),
    *("feedback_block", "feedback_log_index", "client", "feedback_index"),
    *("claimed_payer", "claimed_payee"),
)
PAYMENT_COLUMNS = (
    *("pay_chain_id", "tx_hash", "log_index", "chain_id", "agent_id", "claim_id", "payer"),
    *("payee", "is_final", "block_number", "block_hash", "paid_at", "feedback_claim_id"),
    *("token", "payee_basis", "amount"),
)

_FEEDBACK = struct.Struct(">h iq iq ii i32s iq i20s iq").pack
_BLOCK = struct.Struct(">h iq iq i32s i32s iq ii").pack
_CLAIM = struct.Struct(">h i16s iq iq iq i32s iq iq i? ii").pack
_PAYMENT = struct.Struct(">h iq i32s ii iq iq i16s i20s i20s i? iq i32s iq").pack
_OF_FEEDBACK = struct.Struct(">iq ii i20s iq").pack

NULL = b"\xff\xff\xff\xff"
_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_BYTEA_OID = 17
NO_BYTES = struct.pack(">i iii", 12, 0, 0, _BYTEA_OID)
"""An empty `bytea[]`."""
_PG_EPOCH_SECONDS = 946_684_800
_SIGN, _BASE = 0x4000, 10_000


async def copy(tx: Tx, table: LiteralString, columns: Sequence[str], rows: list[bytes]) -> None:
    """COPY rows that the functions below made. Part of a transaction."""
    if rows:
        content = io.BytesIO(b"".join((_HEADER, *rows, _TRAILER)))
        await tx.copy_to_table(table, source=content, columns=columns, format="binary")


def feedback(
    chain_id: int,
    block_number: int,
    log_index: int,
    tx_hash: bytes,
    agent_id: int,
    client: bytes,
    feedback_index: int,
    said: bytes,
) -> bytes:
    """A row of `feedback_given`, as FEEDBACK_COLUMNS. `said` are the cells from `value` on."""
    return (
        _FEEDBACK(
            14, 8, chain_id, 8, block_number, 4, log_index, 32, tx_hash,
            8, agent_id, 20, client, 8, feedback_index,
        )
        + said
    )  # fmt: skip


def block(
    chain_id: int, number: int, hash_: bytes, parent_hash: bytes, time_us: int, facts: int
) -> bytes:
    """A row of `block`, as BLOCK_COLUMNS. `time_us` as `microseconds` has it."""
    return _BLOCK(6, 8, chain_id, 8, number, 32, hash_, 32, parent_hash, 8, time_us, 4, facts)


def claim(
    claim_id: bytes,
    agent: tuple[int, int],
    paid: tuple[int, bytes],
    created_us: int,
    checked_us: int,
    *,
    is_final: bool,
    tries: int,
    rest: bytes,
) -> bytes:
    """A row of `payment_claim`, as CLAIM_COLUMNS.

    Args:
        agent: chain and id.
        paid: chain of the transaction, and its hash.
        is_final: of the feedback.
        rest: the cells from `proved` on.
    """
    return (
        _CLAIM(
            20, 16, claim_id, 8, agent[0], 8, agent[1], 8, paid[0], 32, paid[1],
            8, created_us, 8, checked_us, 1, is_final, 4, tries,
        )
        + rest
    )  # fmt: skip


def payment(
    paid: tuple[int, bytes, int],
    agent: tuple[int, int],
    claim_id: bytes,
    payer: bytes,
    payee: bytes,
    *,
    is_final: bool,
    block_number: int,
    block_hash: bytes,
    paid_us: int,
    rest: bytes,
) -> bytes:
    """A row of `payment`, as PAYMENT_COLUMNS. `rest` are the cells from `feedback_claim_id` on."""
    return (
        _PAYMENT(
            16, 8, paid[0], 32, paid[1], 4, paid[2], 8, agent[0], 8, agent[1],
            16, claim_id, 20, payer, 20, payee, 1, is_final,
            8, block_number, 32, block_hash, 8, paid_us,
        )
        + rest
    )  # fmt: skip


def of_feedback(block_number: int, log_index: int, client: bytes, feedback_index: int) -> bytes:
    """The cells `feedback_block` to `feedback_index` of a claim that a feedback's file makes."""
    return _OF_FEEDBACK(8, block_number, 4, log_index, 20, client, 8, feedback_index)


# Cells -------------------------------------------------------------------------------------------


def cell(value: bytes | None) -> bytes:
    """A `bytea`, `text` in UTF-8 or `uuid`; None is null."""
    return NULL if value is None else len(value).to_bytes(4) + value


def smallint(value: int) -> bytes:
    """A `smallint`."""
    return struct.pack(">ih", 2, value)


def bigint(value: int) -> bytes:
    """A `bigint`."""
    return struct.pack(">iq", 8, value)


def moment(value_us: int | None) -> bytes:
    """A `timestamptz`."""
    return NULL if value_us is None else struct.pack(">iq", 8, value_us)


def microseconds(time: datetime) -> int:
    """A time as PostgreSQL has it: microseconds since 2000, UTC."""
    return round((time.timestamp() - _PG_EPOCH_SECONDS) * 1_000_000)


@lru_cache(maxsize=100_000)
def numeric(value: int) -> bytes:
    """A whole `numeric`."""
    digits: list[int] = []
    left = abs(value)
    while left:
        left, digit = divmod(left, _BASE)
        digits.append(digit)
    weight = max(len(digits) - 1, 0)
    while digits and digits[0] == 0:  # trailing zeros are not sent
        del digits[0]
    sign = _SIGN if value < 0 else 0
    content = struct.pack(
        f">hhHh{len(digits)}h", len(digits), weight if digits else 0, sign, 0, *reversed(digits)
    )
    return len(content).to_bytes(4) + content
