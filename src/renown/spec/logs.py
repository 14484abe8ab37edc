"""Logs as a node sends them, and where each stands in its chain."""

from __future__ import annotations

import msgspec


class RawLog(msgspec.Struct, frozen=True, gc=False, rename="camel"):
    """One entry of `eth_getLogs`, as sent: hex text, not yet believed.

    `removed` is true for a log of an orphaned block (execution-apis, filter results).
    """

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    log_index: str
    removed: bool = False
