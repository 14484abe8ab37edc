"""Policies: what operators decide beside the environment. The audit log tells each change."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal, LiteralString

import msgspec

from renown.store.pool import Conn, Tx

PolicyName = Literal["review", "retention"]
NAMES: tuple[PolicyName, ...] = ("review", "retention")
DEFAULT_RETENTION_DAYS = 730


class PolicyRow(msgspec.Struct, frozen=True):
    """A policy that was set."""

    name: str
    value: Any
    updated_at: datetime


LOAD: LiteralString = "SELECT name, value::text, updated_at FROM policy WHERE name = $1"


async def load_policy(conn: Conn, name: PolicyName) -> PolicyRow | None:
    """A policy; None where it was not set."""
    row = await conn.fetchrow(LOAD, name)
    return None if row is None else PolicyRow(row[0], msgspec.json.decode(row[1]), row[2])


async def review_rules(conn: Conn) -> Any:
    """What the policy `review` says, for `audit.rules.read_rules`; {} where it was not set."""
    row = await load_policy(conn, "review")
    return {} if row is None else row.value


async def retention_days(conn: Conn) -> int:
    """How many days entries stay."""
    row = await load_policy(conn, "retention")
    if row is None or not isinstance(row.value, dict):
        return DEFAULT_RETENTION_DAYS
    days = row.value.get("days")
    return days if type(days) is int and days > 0 else DEFAULT_RETENTION_DAYS


SET: LiteralString = """
INSERT INTO policy (name, value) VALUES ($1, $2::text::jsonb)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = now()
"""


async def set_policy(tx: Tx, name: PolicyName, value: object) -> None:
    """Set a policy, which the caller has checked."""
    await tx.execute(SET, name, msgspec.json.encode(value).decode())


UNSET: LiteralString = "DELETE FROM policy WHERE name = $1 RETURNING name"


async def unset_policy(tx: Tx, name: PolicyName) -> bool:
    """Go back to the default; whether the policy was set."""
    return await tx.fetchval(UNSET, name) is not None
