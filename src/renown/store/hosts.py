"""Hosts that rest: because they asked for it, or because nobody answers there."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.store.pool import Conn, Tx


class Resting(msgspec.Struct, frozen=True):
    """What is held against a host, see table `host`."""

    host: str
    failures: int
    rest_until: datetime
    reason: str


HELD: LiteralString = """
SELECT host, failures, rest_until, reason FROM host WHERE host = ANY($1::text[])
"""
REST: LiteralString = """
INSERT INTO host (host, failures, rest_until, reason)
SELECT * FROM unnest($1::text[], $2::integer[], $3::timestamptz[], $4::text[])
    ON CONFLICT (host) DO UPDATE
   SET failures = excluded.failures, rest_until = excluded.rest_until, reason = excluded.reason
"""
RELEASE: LiteralString = "DELETE FROM host WHERE host = ANY($1::text[])"


async def held(conn: Conn, hosts: Sequence[str]) -> dict[str, Resting]:
    """What is held against these hosts; most are not in it."""
    return {row[0]: Resting(*row) for row in await conn.fetch(HELD, hosts)} if hosts else {}


async def rest(tx: Tx, resting: Sequence[Resting]) -> None:
    """Let hosts rest."""
    if resting:
        fields = zip(*(msgspec.structs.astuple(one) for one in resting), strict=True)
        await tx.execute(REST, *(list(field) for field in fields))


async def release(tx: Tx, hosts: Sequence[str]) -> None:
    """Hold nothing against hosts any more."""
    if hosts:
        await tx.execute(RELEASE, hosts)
