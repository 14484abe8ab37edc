"""Entries of the audit log, and the words that tell the database's triggers who acts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from time import monotonic
from typing import Any, LiteralString
from uuid import UUID

import msgspec

from renown.obs.acting import ACTING
from renown.store.pool import Conn, Tx


class NewEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that happened and that no trigger tells of.

    Attributes:
        action, subject: see the columns of `audit_log`.
        moment: when it happened, by this process's monotonic clock; None: now. It is told by the
            database's clock, which a wrong or stepping clock of ours does not move.
        at: the time itself, instead.
        address: a pseudonym.
        detail: JSON-safe and free of secrets.
    """

    action: str
    subject: str
    subject_key: str | None = None
    at: datetime | None = None
    moment: float | None = None
    request_id: UUID | None = None
    account_id: int | None = None
    key_id: str | None = None
    wallet: bytes | None = None
    address: bytes | None = None
    user_agent: str | None = None
    method: str | None = None
    route: str | None = None
    status: int | None = None
    duration_ms: Decimal | None = None
    detail: dict[str, Any] | None = None


_APPEND: LiteralString = """
INSERT INTO audit_log (at, action, subject, subject_key, request_id, account_id, key_id, wallet,
                       address, user_agent, method, route, status, duration_ms, detail)
SELECT coalesce(at, clock_timestamp() - make_interval(secs => ago_seconds)), action, subject,
       subject_key, request_id, account_id, key_id, wallet, address, user_agent, method, route,
       status, duration_ms, detail::jsonb
  FROM unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::uuid[], $6::bigint[],
              $7::text[], $8::bytea[], $9::bytea[], $10::text[], $11::text[], $12::text[],
              $13::smallint[], $14::numeric[], $15::text[], $16::float8[])
    AS e (at, action, subject, subject_key, request_id, account_id, key_id, wallet, address,
          user_agent, method, route, status, duration_ms, detail, ago_seconds)
"""
_UNATTENDED: LiteralString = "SELECT set_config('renown.indexer', 'on', $1)"
_ACTING: LiteralString = "SELECT set_config('renown.acting', $1, $2)"


async def append(conn: Conn, entries: Sequence[NewEntry]) -> None:
    """Add entries in one statement, which commits by itself outside a transaction.

    NUL characters, which PostgreSQL cannot hold, become U+FFFD.
    """
    if not entries:
        return
    now = monotonic()
    columns: list[list[Any]] = [
        [
            *(e.at, _held(e.action), _held(e.subject), _held(e.subject_key)),
            *(e.request_id, e.account_id, _held(e.key_id), e.wallet, e.address),
            *(_held(e.user_agent), _held(e.method), _held(e.route), e.status, e.duration_ms),
            None if e.detail is None else _json(e.detail),
            0.0 if e.moment is None else max(0.0, now - e.moment),
        ]
        for e in entries
    ]
    await conn.execute(_APPEND, *(list(column) for column in zip(*columns, strict=True)))


async def say_who(tx: Tx) -> None:
    """Tell the triggers of this transaction who acts. Nothing where nobody in particular does."""
    acting = ACTING.get()
    if acting is not None:
        await tx.execute(_ACTING, msgspec.json.encode(acting).decode(), True)


async def say_who_for_good(conn: Conn) -> None:
    """`say_who` for all that is done on a connection of one's own, which no pooler shares."""
    acting = ACTING.get()
    if acting is not None:
        await conn.execute(_ACTING, msgspec.json.encode(acting).decode(), False)


async def say_unattended(conn: Conn) -> None:
    """Tell the triggers that what is changed on a connection of one's own follows from the chains,
    by work that nobody asks for: see `audit_foreign_write`."""
    await conn.execute(_UNATTENDED, False)


async def say_follows(tx: Tx) -> None:
    """`say_unattended` for the rest of a transaction, whoever asked for it."""
    await tx.execute(_UNATTENDED, True)


def _held(text: str | None) -> str | None:
    return text if text is None else text.replace("\0", "\ufffd")


def _json(detail: dict[str, Any]) -> str:
    return msgspec.json.encode(detail).decode().replace("\\u0000", "\\ufffd")
