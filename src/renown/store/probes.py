"""What the prober has to ask, and what it heard. One prober per database, by session lock."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, LiteralString

import msgspec

from renown.spec.protocols.capabilities import (
    Capabilities,
    capabilities_from,
    capabilities_json,
)
from renown.spec.protocols.declared import Protocol
from renown.spec.protocols.offers import Verdict
from renown.store import payees
from renown.store.pool import Conn, naming_failures, retry_conflicts, transaction

LEASE = timedelta(minutes=10)
"""How long a probe may take; what was claimed by a prober that died comes up again after it."""

WALKED_HOSTS = 500
"""Hosts looked at by one claim, so that none takes long when little is due."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint to be asked, as it stands. See table `endpoint`."""

    endpoint_id: int
    protocol: Protocol
    url: str
    host: str
    verdict: Verdict
    rounds: int
    leaning: Verdict | None
    checked_at: datetime | None
    verdict_at: datetime | None
    checks: int
    first_seen_at: datetime
    capabilities: Capabilities | None


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One endpoint was asked at `checked_at`, and how it stands since.

    `seen` is what this time alone says; a check that says `unknown` proved nothing, and counts
    neither for nor against. `capabilities` is None where nothing new was heard.
    """

    endpoint_id: int
    checked_at: datetime
    seen: Verdict
    outcome: str
    reason: str | None
    status: int | None
    latency_ms: int | None
    verdict: Verdict
    rounds: int
    leaning: Verdict | None
    verdict_at: datetime | None
    due_at: datetime
    capabilities: Capabilities | None

    @property
    def good(self) -> bool:
        """Whether the endpoint did what it is there for."""
        return self.seen in ("alive", "paywalled")


class Claim(msgspec.Struct, frozen=True):
    """Endpoints to be asked, by host, and the host to go on after; "" after the last one."""

    by_host: dict[str, list[Target]]
    last_host: str


async def claim(
    conn: Conn,
    *,
    now: datetime,
    after_host: str,
    hosts: int,
    per_host: int,
    busy: Collection[str] = (),
) -> Claim:
    """Take what is due at up to `hosts` hosts, in turn: those that follow `after_host` first.

    At most `per_host` endpoints of each, the longest due first. Hosts that are `busy` or asked
    for rest are passed over. Endpoints that no agent declares any longer are let go.
    """
    with naming_failures():
        walked = await conn.fetch(WALK, after_host, now, [*busy], WALKED_HOSTS)
        due = [row[0] for row in walked if row[1]][:hosts]
        if len(due) == hosts:
            last_host = due[-1]
        else:
            last_host = walked[-1][0] if len(walked) == WALKED_HOSTS else ""
    by_host: dict[str, list[Target]] = {}
    for target in await retry_conflicts(lambda: _take(conn, due, now, per_host)) if due else ():
        by_host.setdefault(target.host, []).append(target)
    return Claim(by_host, last_host)


async def let_go(conn: Conn, endpoint_ids: Sequence[int]) -> None:
    """These are not to be asked (any more)."""
    with naming_failures():
        await conn.execute(NOT_DUE, sorted(endpoint_ids))


async def wake(conn: Conn, now: datetime) -> None:
    """Make due whatever is declared but not scheduled, as after a change of the opt-out list."""
    with naming_failures():
        await conn.execute(WAKE_ALL, now)


async def settle(conn: Conn, check: Check) -> bool:
    """Store one check, and put the agents concerned into `profile_due` if search must know.

    Returns whether it must: the verdict changed, or what a good endpoint offers.
    """

    async def work() -> bool:
        async with transaction(conn) as tx:
            new = None if check.capabilities is None else capabilities_json(check.capabilities)
            # Nobody else writes these columns. Agents come first, see `store.endpoints`.
            changed = await tx.fetchval(CHANGES, check.endpoint_id, check.verdict, new)
            if changed:
                await tx.execute(TELL, check.endpoint_id)
            await tx.execute(
                SETTLE,
                *(check.endpoint_id, check.verdict, check.rounds, check.leaning, check.due_at),
                *(check.checked_at, check.verdict_at, check.latency_ms),
                *(check.seen != "unknown", check.good, new),
            )
            await tx.execute(
                ADD_CHECK,
                *(check.endpoint_id, check.checked_at, check.good, check.seen, check.outcome),
                *(check.reason, check.status, check.latency_ms),
            )
            if check.good and check.capabilities is not None:
                await payees.saw(tx, check.endpoint_id, check.capabilities.prices, check.checked_at)
            return bool(changed)

    return await retry_conflicts(work)


async def rest(conn: Conn, host: str, *, now: datetime, seconds: float, reason: str) -> None:
    """Leave `host` alone for a while; longer each time in a row, up to a day."""
    with naming_failures():
        await conn.execute(REST, host, now, min(max(seconds, 1.0), 86_400.0), reason)


async def rested(conn: Conn, host: str, now: datetime) -> None:
    """`host` answers again: nothing is held against it."""
    with naming_failures():
        await conn.execute(RESTED, host, now)


async def shrink(conn: Conn, before: datetime, *, limit: int = 5_000) -> int:
    """Turn the oldest checks before `before` into counts by day. Returns how many went."""
    with naming_failures():
        return int(await conn.fetchval(SHRINK, before, limit))


async def _take(conn: Conn, hosts: list[str], now: datetime, per_host: int) -> list[Target]:
    async with transaction(conn) as tx:
        rows = [dict(row) for row in await tx.fetch(CLAIM, hosts, now, per_host, now + LEASE)]
        if strays := [row["endpoint_id"] for row in rows if not row["declared"]]:
            await tx.execute(NOT_DUE, sorted(strays))
    return [_target(row) for row in rows if row.pop("declared")]


def _target(row: dict[str, Any]) -> Target:
    stored = row.pop("capabilities")
    return Target(**row, capabilities=capabilities_from(stored) if stored else None)


# The next host is one step in the index, however many endpoints the last one has.
WALK: LiteralString = """
WITH RECURSIVE walk (host, step) AS (
    (SELECT host, 1 FROM endpoint WHERE due_at IS NOT NULL AND host > $1 ORDER BY host LIMIT 1)
    UNION ALL
    SELECT (SELECT e.host FROM endpoint e
             WHERE e.due_at IS NOT NULL AND e.host > w.host ORDER BY e.host LIMIT 1), w.step + 1
      FROM walk w
     WHERE w.host IS NOT NULL AND w.step < $4
)
SELECT w.host,
       w.host <> ALL ($3::text[])
       AND EXISTS (SELECT FROM endpoint e WHERE e.host = w.host AND e.due_at <= $2)
       AND NOT EXISTS (SELECT FROM host h WHERE h.host = w.host AND h.rest_until > $2)
  FROM walk w
 WHERE w.host IS NOT NULL
 ORDER BY w.step
"""
CLAIM: LiteralString = """
WITH taken AS (
    SELECT e.endpoint_id, e.due_at
      FROM unnest($1::text[]) AS h (host)
     CROSS JOIN LATERAL (
           SELECT endpoint_id, due_at FROM endpoint
            WHERE host = h.host AND due_at <= $2
            ORDER BY due_at, endpoint_id LIMIT $3) e
), claimed AS (
    UPDATE endpoint e SET due_at = $4 FROM taken t WHERE e.endpoint_id = t.endpoint_id
    RETURNING t.due_at AS was_due_at, e.*
)
SELECT endpoint_id, protocol, url, host, verdict, rounds, leaning, checked_at, verdict_at, checks,
       first_seen_at, capabilities,
       EXISTS (SELECT FROM agent_endpoint l WHERE l.endpoint_id = c.endpoint_id) AS declared
  FROM claimed c
 ORDER BY was_due_at, endpoint_id
"""
NOT_DUE: LiteralString = "UPDATE endpoint SET due_at = NULL WHERE endpoint_id = ANY ($1::bigint[])"
WAKE_ALL: LiteralString = """
UPDATE endpoint e SET due_at = $1
 WHERE e.due_at IS NULL
   AND EXISTS (SELECT FROM agent_endpoint l WHERE l.endpoint_id = e.endpoint_id)
"""
CHANGES: LiteralString = """
SELECT verdict <> $2
       OR $2 IN ('alive', 'paywalled') AND $3::jsonb IS NOT NULL
          AND capabilities IS DISTINCT FROM $3::jsonb
  FROM endpoint WHERE endpoint_id = $1
"""
SETTLE: LiteralString = """
UPDATE endpoint e
   SET verdict = $2, rounds = $3, leaning = $4,
       due_at = CASE WHEN EXISTS (SELECT FROM agent_endpoint l WHERE l.endpoint_id = $1)
                     THEN $5::timestamptz END,
       checked_at = $6, verdict_at = $7, latency_ms = coalesce($8, e.latency_ms),
       checks = e.checks + $9::boolean::int, good_checks = e.good_checks + $10::boolean::int,
       capabilities = coalesce($11::jsonb, e.capabilities)
 WHERE e.endpoint_id = $1
"""
ADD_CHECK: LiteralString = """
INSERT INTO endpoint_check (endpoint_id, checked_at, good, leaning, outcome, reason, status,
                            latency_ms)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
    ON CONFLICT DO NOTHING
"""
# Written even where it stands already: whoever is about to take the entry off waits for this to be
# committed, and so sees it. Left alone it could be taken off by one who saw the endpoint before.
TELL: LiteralString = """
INSERT INTO profile_due (chain_id, agent_id)
SELECT DISTINCT chain_id, agent_id FROM agent_endpoint WHERE endpoint_id = $1 ORDER BY 1, 2
    ON CONFLICT (chain_id, agent_id) DO UPDATE SET agent_id = excluded.agent_id
"""
REST: LiteralString = """
INSERT INTO host AS h (host, failures, rest_until, reason)
VALUES ($1, 1, $2::timestamptz + make_interval(secs => $3), $4)
    ON CONFLICT (host) DO UPDATE
   SET failures = h.failures + 1, reason = excluded.reason,
       rest_until = greatest(h.rest_until, $2::timestamptz + make_interval(
           secs => least(86400, $3 * power(2, least(h.failures, 10)))))
"""
RESTED: LiteralString = "DELETE FROM host WHERE host = $1 AND rest_until <= $2"
SHRINK: LiteralString = """
WITH old AS (
    DELETE FROM endpoint_check c
     WHERE c.ctid = ANY (ARRAY(SELECT ctid FROM endpoint_check
                                WHERE checked_at < $1 ORDER BY checked_at LIMIT $2))
    RETURNING c.endpoint_id, (c.checked_at AT TIME ZONE 'UTC')::date AS day, c.good, c.leaning,
              c.latency_ms
), days AS (
    INSERT INTO endpoint_day AS d (endpoint_id, day, checks, good, latency_ms_sum, answered)
    SELECT endpoint_id, day, count(*) FILTER (WHERE leaning <> 'unknown'),
           count(*) FILTER (WHERE good), coalesce(sum(latency_ms), 0), count(latency_ms)
      FROM old GROUP BY endpoint_id, day
        ON CONFLICT (endpoint_id, day) DO UPDATE
       SET checks = d.checks + excluded.checks, good = d.good + excluded.good,
           latency_ms_sum = d.latency_ms_sum + excluded.latency_ms_sum,
           answered = d.answered + excluded.answered
)
SELECT count(*) FROM old
"""
