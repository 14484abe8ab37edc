"""What the audit log of a test database holds."""

from __future__ import annotations

import json
from typing import Any

import msgspec

from renown.store.pool import Conn, Pool
from tests.access import Api

COLUMNS = (
    "entry_id, action, subject, subject_key, request_id, account_id, key_id, wallet, address,"
    " user_agent, db_user, program, method, route, status, duration_ms, before::text, after::text,"
    " detail::text"
)


class Entry(msgspec.Struct):
    """A row of `audit_log`, its JSON read."""

    entry_id: int
    action: str
    subject: str
    subject_key: str | None
    request_id: Any
    account_id: int | None
    key_id: str | None
    wallet: bytes | None
    address: bytes | None
    user_agent: str | None
    db_user: str
    program: str
    method: str | None
    route: str | None
    status: int | None
    duration_ms: Any
    before: Any
    after: Any
    detail: Any


async def entries(place: Pool | Conn, *actions: str, after: int = 0) -> list[Entry]:
    """Entries in the order of their ids, of `actions` or all, behind the entry `after`."""
    if isinstance(place, Pool):
        async with place.connection() as conn:
            return await entries(conn, *actions, after=after)
    rows = await place.fetch(
        f"SELECT {COLUMNS} FROM audit_log"
        " WHERE entry_id > $1 AND (cardinality($2::text[]) = 0 OR action = ANY($2))"
        " ORDER BY entry_id",
        *(after, list(actions)),
    )
    read = [None if text is None else json.loads(text) for row in rows for text in row[-3:]]
    return [Entry(*row[:-3], *read[3 * i : 3 * i + 3]) for i, row in enumerate(rows)]


async def last_entry(place: Pool) -> int:
    """The id of the last entry; 0 for none."""
    found = await entries(place)
    return found[-1].entry_id if found else 0


async def flushed(api: Api) -> None:
    """Wait until what waits to be written in a batch is written."""
    await api.app.state.desk.book.close()
