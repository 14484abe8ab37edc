"""At which block an answer is true, and which moment `at` asks for."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from renown.api.answers.values import Hash, Time, hex_or_none
from renown.errors import BadParameter
from renown.store import blocks
from renown.store.pool import Conn
from renown.store.reads import Head, KeyArgs, key_args, require_chain
from renown.types import MAX_BIGINT, AgentKey

Finality = Literal["latest", "safe", "final"]
At = int | datetime


class AsOf(Struct, frozen=True):
    """The block an answer is true at: everything at or below it is counted, nothing above.

    For a past moment it is the last stored block at or before it; a block without facts that is
    final is not stored. All but the chain is null where nothing of the chain was stored then.
    """

    chain_id: int
    block_number: Annotated[int, Meta(ge=0)] | None
    block_hash: Hash | None
    time: Annotated[Time, Meta(description="The block's own time, UTC.")] | None
    finality: (
        Annotated[
            Finality,
            Meta(description="`final` and `safe` as the chain's nodes say, else `latest`."),
        ]
        | None
    )


def as_of(head: Head) -> AsOf:
    """What `head` says about an answer read at it."""
    number = head.block_number
    if number < head.start_block:
        return AsOf(head.chain_id, None, None, None, None)
    finality: Finality = "latest"
    if number <= head.final_block:
        finality = "final"
    elif head.safe_block is not None and number <= head.safe_block:
        finality = "safe"
    return AsOf(head.chain_id, number, hex_or_none(head.block_hash), head.block_time, finality)


def as_of_all(heads: Iterable[Head]) -> list[AsOf]:
    """`as_of` per chain."""
    return [as_of(head) for head in heads]


_DECIMAL = re.compile(r"[0-9]{1,19}")
_UNIX = re.compile(r"@([0-9]{1,12})|([0-9]{1,12})Z")


def parse_at(text: str | None) -> At | None:
    """Read the parameter `at`: a block number, an ISO 8601 time, or Unix seconds as
    `@1772366400` or `1772366400Z`.

    A time without offset is UTC. Raises BadParameter.
    """
    if text is None:
        return None
    if _DECIMAL.fullmatch(text):
        number = int(text)
        if number <= MAX_BIGINT:
            return number
    elif match := _UNIX.fullmatch(text):
        if (seconds := int(match[1] or match[2])) < 253_402_300_800:
            return datetime.fromtimestamp(seconds, UTC)
    elif "T" in text or "t" in text:
        # In a query, an unescaped plus arrives as a space.
        try:
            time = datetime.fromisoformat(text.replace(" ", "+"))
            return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            pass
    raise BadParameter(
        "`at` takes a block number (36000000), a time (2026-03-01T12:00:00Z) or Unix seconds"
        " (@1772366400)",
        parameter="at",
        value=text[:100],
    )


async def past(conn: Conn, key: AgentKey, at: At) -> Head:
    """The last stored block at or before `at` on the chain of `key`.

    Raises:
        BlockBeyondHead, BadParameter: `at` is after the checkpoint, or before the chain's start.
        ChainNotFound, AgentNotFound: see `require_chain`.
    """
    args = key_args(key)
    if isinstance(at, int):
        return require_chain(key, await blocks.at_block(conn, args, at))
    heads = await blocks.at_time(conn, args, at)
    head = require_chain(key, heads[0] if heads else None)
    if head.block_number < head.start_block:
        raise BadParameter(
            f"nothing of chain {head.chain_id} had happened at that time",
            parameter="at",
            chain_id=head.chain_id,
        )
    return head


async def past_of_chains(conn: Conn, chain_id: int | None, at: At) -> Sequence[Head]:
    """The last stored block at or before `at`, of one chain or of all. A block needs a chain.

    Raises:
        BadParameter: `at` is a block number and no chain is named.
        BlockBeyondHead: a chain is not indexed up to `at`.
    """
    if isinstance(at, datetime):
        return await blocks.at_time(conn, KeyArgs(chain_id, None, None), at)
    if chain_id is None:
        raise BadParameter(
            "a block number is of one chain: add `chain=`, or give `at` as a time", parameter="at"
        )
    head = await blocks.at_block(conn, KeyArgs(chain_id, None, None), at)
    return [head] if head else []
