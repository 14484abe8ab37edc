"""What a chain source hands out: checked, and safe to store."""

from __future__ import annotations

import msgspec

from renown.spec.logs import RawLog
from renown.types import BlockRef


class Head(msgspec.Struct, frozen=True):
    """How far a chain has come.

    finalized     highest block that cannot change; never decreases within one source; -1 while
                  nothing is final yet
    safe          the node's `safe` tag; None where it has none
    host          the node that said so
    """

    latest: BlockRef
    finalized: int
    safe: int | None
    host: str


class VerifiedRange(msgspec.Struct, frozen=True):
    """Everything the asked contracts logged in `first..last`, both included.

    logs       ascending by block, then log index
    blocks     in the finalised part: of every block that has logs; in the window: of every block
    host       the node that was believed
    size_bytes about what the logs take in memory
    """

    first: int
    last: int
    logs: list[RawLog]
    blocks: dict[int, BlockRef]
    host: str
    size_bytes: int


class LogCount(msgspec.Struct, frozen=True):
    """How many logs one operator's node counts in `first..last`, in all, by block, by contract."""

    first: int
    last: int
    host: str
    logs: int
    by_block: dict[int, int]
    by_contract: dict[bytes, int]
