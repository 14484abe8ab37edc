"""The audit log as people read it: entries with their place in the log and their reviews."""

from __future__ import annotations

import re
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, LiteralString
from uuid import UUID

import msgspec
from asyncpg import Record

from renown.errors import BadParameter
from renown.store.pool import Conn

ReviewState = Literal["open", "reviewed", "not-needed", "pending"]
"""`open` waits for a person, `pending` for the notary, who decides whether it needs one."""

REVIEW_STATES: tuple[ReviewState, ...] = ("open", "reviewed", "not-needed", "pending")

LISTED_CHARACTERS = 4_000
"""Of a list, longer `before`, `after` and `detail` are left out."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries; None: whatever it is.

    Attributes:
        account_id: that acted.
        status_least, status_most: both included.
        since, until: the first of two included.
    """

    account_id: int | None = None
    key_id: str | None = None
    action: str | None = None
    subject: str | None = None
    subject_key: str | None = None
    status_least: int | None = None
    status_most: int | None = None
    since: datetime | None = None
    until: datetime | None = None
    request_id: UUID | None = None
    review: ReviewState | None = None
    rule: str | None = None


class EntryRow(msgspec.Struct, frozen=True, gc=False):
    """One entry. `before`, `after` and `detail` are JSON; `left_out` names those of them that were
    too long for a list. `seq`, `rule` and `leaf_hash` are None until the notary took it."""

    entry_id: int
    at: datetime
    action: str
    subject: str
    subject_key: str | None
    request_id: UUID | None
    account_id: int | None
    account: UUID | None
    account_name: str | None
    key_id: str | None
    wallet: bytes | None
    address: bytes | None
    user_agent: str | None
    db_user: str
    program: str
    method: str | None
    route: str | None
    status: int | None
    duration_ms: Decimal | None
    before: str | None
    after: str | None
    detail: str | None
    left_out: list[str]
    seq: int | None
    rule: str | None
    leaf_hash: bytes | None
    is_reviewed: bool

    @property
    def review(self) -> ReviewState:
        """Whether a person has to look, or has."""
        if self.is_reviewed:
            return "reviewed"
        if self.seq is None:
            return "pending"
        return "not-needed" if self.rule is None else "open"


class After(msgspec.Struct, frozen=True):
    """Keyset position: the last entry of the page before."""

    at: datetime
    entry_id: int


_REVIEWED: LiteralString = "EXISTS (SELECT FROM audit_review r WHERE r.entry_id = l.entry_id)"
# $1: the longest JSON text that is given.
_COLUMNS: LiteralString = f"""
SELECT l.entry_id, l.at, l.action, l.subject, l.subject_key, l.request_id, l.account_id,
       a.uuid, a.name, l.key_id, l.wallet, l.address, l.user_agent, l.db_user, l.program,
       l.method, l.route, l.status, l.duration_ms,
       CASE WHEN length(l.before::text) <= $1 THEN l.before::text END,
       CASE WHEN length(l.after::text) <= $1 THEN l.after::text END,
       CASE WHEN length(l.detail::text) <= $1 THEN l.detail::text END,
       array_remove(ARRAY[CASE WHEN length(l.before::text) > $1 THEN 'before' END,
                          CASE WHEN length(l.after::text) > $1 THEN 'after' END,
                          CASE WHEN length(l.detail::text) > $1 THEN 'detail' END], NULL),
       f.seq, f.rule, f.leaf_hash, {_REVIEWED}"""

# What the page is walked along: the log itself, or what little waits for a person or the notary.
_ALL: LiteralString = "audit_log l LEFT JOIN audit_leaf f ON f.entry_id = l.entry_id"
_RULED: LiteralString = "audit_leaf f JOIN audit_log l ON l.entry_id = f.entry_id AND l.at = f.at"
_PENDING: LiteralString = (
    "audit_pending p JOIN audit_log l ON l.entry_id = p.entry_id AND l.at = p.at"
    " LEFT JOIN audit_leaf f ON f.entry_id = l.entry_id"
)
_PLACE: LiteralString = "l.at, l.entry_id"
_PLACE_OF_LEAF: LiteralString = "f.at, f.entry_id"
_ORDER: LiteralString = "l.at DESC, l.entry_id DESC"
_ORDER_OF_LEAF: LiteralString = "f.at DESC, f.entry_id DESC"
_COMPARISONS: tuple[tuple[str, LiteralString, LiteralString], ...] = (
    ("account_id", "l.account_id =", "bigint"),
    ("key_id", "l.key_id =", "text"),
    ("action", "l.action =", "text"),
    ("subject", "l.subject =", "text"),
    ("subject_key", "l.subject_key =", "text"),
    ("request_id", "l.request_id =", "uuid"),
    ("status_least", "l.status >=", "int"),
    ("status_most", "l.status <=", "int"),
    ("since", "l.at >=", "timestamptz"),
    ("until", "l.at <", "timestamptz"),
    ("rule", "f.rule =", "text"),
)
_REVIEW: dict[ReviewState, LiteralString] = {
    "open": f"NOT {_REVIEWED}",
    "reviewed": _REVIEWED,
    "not-needed": f"f.seq IS NOT NULL AND f.rule IS NULL AND NOT {_REVIEWED}",
    "pending": f"f.seq IS NULL AND NOT {_REVIEWED}",
}
_NUMBERS: tuple[LiteralString, ...] = (
    *("$0", "$1", "$2", "$3", "$4", "$5", "$6", "$7", "$8", "$9", "$10"),
    *("$11", "$12", "$13", "$14", "$15", "$16", "$17", "$18", "$19", "$20"),
)


async def page(conn: Conn, wanted: Wanted, *, after: After | None, limit: int) -> list[EntryRow]:
    """Up to `limit` entries after `after`, newest first."""
    statement, args = statement_of(wanted, after=after, limit=limit)
    return [_row(row) for row in await conn.fetch(statement, *args)]


def statement_of(
    wanted: Wanted, *, after: After | None, limit: int
) -> tuple[LiteralString, list[Any]]:
    """The statement of a page and its parameters.

    It holds the conditions that are wanted and no others, so that a kept plan walks the index that
    fits them; their values are parameters.
    """
    args: list[Any] = [LISTED_CHARACTERS]
    found: list[LiteralString] = []

    def put(value: Any) -> LiteralString:
        args.append(value)
        return _NUMBERS[len(args)]

    for name, comparison, type_ in _COMPARISONS:
        if (value := getattr(wanted, name)) is not None:
            found.append(f"{comparison} {put(value)}::{type_}")
    # What indexes are of, so that a plan for any value may use them.
    if wanted.action is not None and wanted.action != "read":
        found.append("l.action <> 'read'")
    if wanted.status_least is not None and wanted.status_least >= 400:
        found.append("l.status >= 400")
    if wanted.review is not None:
        found.append(_REVIEW[wanted.review])
    is_ruled = wanted.rule is not None or wanted.review == "open"
    walked, place = (_RULED, _PLACE_OF_LEAF) if is_ruled else (_ALL, _PLACE)
    if is_ruled:
        found.append("f.rule IS NOT NULL")
    elif wanted.review == "pending":
        walked = _PENDING
    if after is not None:
        at = put(after.at)
        # The first of both leaves out partitions, which PostgreSQL does not by the second.
        found.append(f"l.at <= {at}::timestamptz")
        found.append(f"({place}) < ({at}::timestamptz, {put(after.entry_id)}::bigint)")
    order: LiteralString = _ORDER_OF_LEAF if is_ruled else _ORDER
    where: LiteralString = " AND ".join(found) if found else "true"
    return (
        f"""{_COLUMNS}
  FROM {walked}
  LEFT JOIN account a USING (account_id)
 WHERE {where}
 ORDER BY {order} LIMIT {put(limit)}""",
        args,
    )


def statuses(text: str | None) -> tuple[int | None, int | None]:
    """The least and most status that `404`, or a class such as `4xx`, means.

    Raises:
        BadParameter.
    """
    if text is None:
        return None, None
    if re.fullmatch("[1-5]([0-9][0-9]|xx)", text, re.ASCII) is None:
        raise BadParameter("a status is written as 404, a class as 4xx", parameter="status")
    least = int(text.replace("x", "0"))
    return least, least + 99 if text.endswith("xx") else least


ONE: LiteralString = f"""{_COLUMNS}
  FROM {_ALL}
  LEFT JOIN account a USING (account_id)
 WHERE l.entry_id = $2
 ORDER BY l.at LIMIT 1
"""


async def one(conn: Conn, entry_id: int) -> EntryRow | None:
    """One entry, whole; None where there is none, or it went by retention."""
    row = await conn.fetchrow(ONE, 2**30, entry_id)
    return None if row is None else _row(row)


OWNER: LiteralString = "SELECT account_id, at FROM audit_log WHERE entry_id = $1 LIMIT 1"


async def belongs_to(conn: Conn, entry_id: int, account_id: int) -> bool:
    """Whether the entry is still there and this account acted in it."""
    row = await conn.fetchrow(OWNER, entry_id)
    return row is not None and row[0] == account_id


class SummaryRow(msgspec.Struct, frozen=True):
    """What happened in an hour, by action and status."""

    hour: datetime
    action: str
    status: int | None
    entries: int
    mean_duration_ms: Decimal | None
    errors: int


SUMMARY: LiteralString = """
SELECT date_trunc('hour', at), action, status, count(*), round(avg(duration_ms), 3),
       count(*) FILTER (WHERE status >= 400)
  FROM audit_log
 WHERE at > now() - interval '24 hours'
   AND account_id = $1
 GROUP BY 1, 2, 3
 ORDER BY 1 DESC, 2, 3
"""
SUMMARY_OF_ALL: LiteralString = """
SELECT hour, action, status, entries, mean_duration_ms, errors FROM v_audit_summary
 ORDER BY 1 DESC, 2, 3
"""


async def summary(conn: Conn, account_id: int | None) -> list[SummaryRow]:
    """The last 24 hours by the database's clock: of one account, or with None the whole log's."""
    if account_id is None:
        rows = await conn.fetch(SUMMARY_OF_ALL)
    else:
        rows = await conn.fetch(SUMMARY, account_id)
    return [SummaryRow(*row) for row in rows]


def _row(row: Record) -> EntryRow:
    return EntryRow(*row)
