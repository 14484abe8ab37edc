"""The audit log of the tests: entries with any time, taken into the log without a worker."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from renown.ingest.notary.sequencing import Rules, sequence
from renown.store.audit_entries import NewEntry, append
from renown.store.pool import Conn, transaction


async def take_all(conn: Conn, rules: Rules | None = None) -> None:
    """Give every entry that waits its number, as the notary does."""
    rules = Rules() if rules is None else rules
    while True:
        async with transaction(conn) as tx:
            if await sequence(tx, rules, 5_000, lambda _: None) is None:
                return


async def add(conn: Conn, entries: Sequence[NewEntry]) -> list[int]:
    """Add entries; their ids in order."""
    before = await conn.fetchval("SELECT coalesce(max(entry_id), 0) FROM audit_log")
    await append(conn, entries)
    rows = await conn.fetch(
        "SELECT entry_id FROM audit_log WHERE entry_id > $1 ORDER BY entry_id", before
    )
    return [row[0] for row in rows][-len(entries) :]


async def put(conn: Conn, action: str = "request", **fields: Any) -> int:
    """Add one entry; its id."""
    return (await add(conn, [NewEntry(action=action, **({"subject": "/v1/x"} | fields))]))[0]


async def partition(conn: Conn, month: datetime) -> str:
    """Make the partition of a month that has gone by."""
    name = f"audit_log_{month:%Y_%m}"
    beyond = month.replace(
        year=month.year + month.month // 12, month=month.month % 12 + 1
    ).isoformat()
    await conn.execute(
        f"CREATE TABLE {name} PARTITION OF audit_log"
        f" FOR VALUES FROM ('{month.isoformat()}') TO ('{beyond}')"
    )
    return name
