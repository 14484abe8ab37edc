"""URIs: which are known, which are due to be read, and how the last attempts came out.

Stages say who goes first: 0 an agent's URI (or a host's well-known file) that was never tried, or
that is an agent's again; 1 a file that feedback, a response or a validation names, never tried;
2 everything that was tried before.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString

import msgspec

from renown.store.pool import Conn, Tx

AGENT_STAGE, FILE_STAGE, AGAIN_STAGE = 0, 1, 2
STAGES = (AGENT_STAGE, FILE_STAGE, AGAIN_STAGE)


class NewUri(msgspec.Struct, frozen=True):
    """A URI as it is first seen, see table `uri`. `reason` says why it is unsupported."""

    hash: bytes
    uri: bytes
    kind: str
    host: str
    fixed: bool
    stage: int
    due_at: datetime | None
    reason: str | None = None


class Due(msgspec.Struct, frozen=True):
    """A URI to be read now, and how it stood. `final_url` and `verified` are of the last success.

    Attributes:
        failures, unchanged: attempts in a row, see table `uri`.
    """

    uri_id: int
    hash: bytes
    uri: bytes
    kind: str
    host: str
    fixed: bool
    stage: int
    attempts: int
    failures: int
    unchanged: int
    outcome: str | None
    reason: str | None
    status: int | None
    document_id: int | None
    verified: bool | None
    etag: str | None
    last_modified: str | None
    final_url: str | None


class Outcome(msgspec.Struct, frozen=True):
    """What one attempt changes of its URI.

    Attributes:
        attempts: how many there were before this one; one that does not fit is dropped.
        document_id: None keeps what there was.
        good: there is a document, new or confirmed; else `verified` and validators stay.
    """

    uri_id: int
    attempts: int
    good: bool
    failures: int
    unchanged: int
    attempted_at: datetime
    outcome: str
    reason: str | None
    status: int | None
    document_id: int | None
    verified: bool | None
    etag: str | None
    last_modified: str | None
    due_at: datetime | None


async def plan_by_key(conn: Conn, *, lossy: bool = False) -> None:
    """Let a connection join by key only, for its whole life.

    What is asked here is about a few rows of large tables that grow so fast that the planner's
    statistics are never true; left to itself it reads whole tables, or compiles for long.

    Args:
        lossy: its newest commits may be lost when the server crashes, and are quicker for it.
    """
    settings = ("enable_hashjoin", "enable_mergejoin", "jit")
    for setting in (*settings, "synchronous_commit") if lossy else settings:
        await conn.execute(f"SET {setting} = off")


# Learning ----------------------------------------------------------------------------------------

KNOWN: LiteralString = "SELECT hash FROM uri WHERE hash = ANY($1::bytea[])"
LEARN: LiteralString = """
INSERT INTO uri (hash, uri, kind, host, fixed, stage, due_at, outcome, reason)
SELECT hash, uri, kind, host, fixed, stage, due_at,
       CASE kind WHEN 'unsupported' THEN kind END, reason
  FROM unnest($1::bytea[], $2::bytea[], $3::text[], $4::text[], $5::boolean[], $6::smallint[],
              $7::timestamptz[], $8::text[])
    AS w (hash, uri, kind, host, fixed, stage, due_at, reason)
    ON CONFLICT (hash) DO NOTHING
"""
URIS_OF_AGENTS: LiteralString = """
SELECT DISTINCT sha256(uri) FROM agent
 WHERE chain_id = $1 AND agent_id = ANY($2::bigint[]) AND uri <> ''
"""
# A URI that is an agent's now is read first, whatever it was before.
ARM_OF_AGENTS: LiteralString = """
UPDATE uri SET stage = 0, due_at = $2
 WHERE hash = ANY($1::bytea[]) AND NOT fixed AND kind <> 'unsupported'
   AND (due_at IS NULL OR stage = 1)
"""
ARM: LiteralString = """
UPDATE uri SET stage = CASE attempts WHEN 0 THEN 1 ELSE 2 END, due_at = $2
 WHERE hash = ANY($1::bytea[]) AND NOT fixed AND kind <> 'unsupported' AND due_at IS NULL
"""


async def known(conn: Conn, hashes: Sequence[bytes]) -> set[bytes]:
    """Those of the hashes that have a row."""
    return {row[0] for row in await conn.fetch(KNOWN, hashes)}


async def learn(tx: Tx, uris: Sequence[NewUri]) -> None:
    """Add URIs; those that are known stay as they are."""
    if uris:
        await tx.execute(LEARN, *_columns([msgspec.structs.astuple(uri) for uri in uris], 8))


async def arm_of_agents(tx: Tx, chain_id: int, agent_ids: Sequence[int], now: datetime) -> None:
    """Make the URIs that these agents have now due, where they are not to be read (again)."""
    if agent_ids:
        hashes = [row[0] for row in await tx.fetch(URIS_OF_AGENTS, chain_id, agent_ids)]
        await tx.execute(ARM_OF_AGENTS, hashes, now)


async def arm(tx: Tx, hashes: Sequence[bytes], now: datetime) -> None:
    """Make URIs that attachments name due, where they are not to be read (again)."""
    if hashes:
        await tx.execute(ARM, hashes, now)


# Being due ---------------------------------------------------------------------------------------

_DUE: LiteralString = """u.uri_id, u.hash, u.uri, u.kind, u.host, u.fixed, u.stage, u.attempts,
       u.failures, u.unchanged, u.outcome, u.reason, u.status, u.document_id, u.verified, u.etag,
       u.last_modified,
       (SELECT r.final_url FROM resolution r
         WHERE r.uri_id = u.uri_id AND r.attempted_at = u.fetched_at)"""

INLINE: LiteralString = f"""
SELECT {_DUE}
  FROM (SELECT uri_id, sum(size) OVER (ORDER BY due_at, uri_id) - size AS before
          FROM (SELECT uri_id, due_at, octet_length(uri) AS size FROM uri
                 WHERE stage = $1 AND host = '' AND due_at <= $2
                 ORDER BY due_at, uri_id LIMIT $3) AS near) AS bounded
  JOIN uri u USING (uri_id)
 WHERE before < $4
 ORDER BY u.uri_id
"""


async def inline_due(
    conn: Conn, now: datetime, *, most: int, most_bytes: int, stage: int
) -> list[Due]:
    """Up to `most` inline URIs of a stage that are due, of about `most_bytes` together."""
    return [Due(*row) for row in await conn.fetch(INLINE, stage, now, most, most_bytes)]


class WaitingHost(msgspec.Struct, frozen=True):
    """A host with URIs to be read. `due_at` is the first one's time; `failures` and `reason` are
    those held against the host, which rests until `rest_until`."""

    host: str
    due_at: datetime
    rest_until: datetime | None
    failures: int
    reason: str | None


# Each step is one look into the index (stage, host, due_at), so hosts with a million URIs cost no
# more than those with one.
HOSTS: LiteralString = """
WITH RECURSIVE seen AS (
    (SELECT host, due_at, 1 AS number FROM uri
      WHERE stage = $1 AND due_at IS NOT NULL AND host > $2 AND ($4::text IS NULL OR host <= $4)
      ORDER BY host, due_at LIMIT 1)
    UNION ALL
    SELECT n.host, n.due_at, s.number + 1
      FROM seen s
     CROSS JOIN LATERAL (
           SELECT host, due_at FROM uri
            WHERE stage = $1 AND due_at IS NOT NULL AND host > s.host
              AND ($4::text IS NULL OR host <= $4)
            ORDER BY host, due_at LIMIT 1) n
     WHERE s.number < $3
)
SELECT s.host, s.due_at, r.rest_until, coalesce(r.failures, 0), r.reason
  FROM seen s
  LEFT JOIN host r USING (host)
 ORDER BY s.number
"""
CLAIM: LiteralString = f"""
WITH picked AS (
    SELECT p.uri_id
      FROM unnest($2::text[], $3::integer[]) AS w (host, most)
     CROSS JOIN LATERAL (
           SELECT uri_id FROM uri WHERE stage = $1 AND host = w.host AND due_at <= $4
            ORDER BY due_at, uri_id LIMIT w.most) p
     WHERE $6 OR NOT EXISTS (SELECT FROM host r WHERE r.host = w.host AND r.rest_until > $4)
)
UPDATE uri u SET due_at = $5 FROM picked WHERE u.uri_id = picked.uri_id
RETURNING {_DUE}
"""


async def waiting_hosts(
    conn: Conn, stage: int, *, after: str, upto: str | None, most: int
) -> list[WaitingHost]:
    """The next hosts in order that have URIs of a stage, due now or later; not inline ones.

    Fewer than `most` means that there are none beyond, up to `upto`.
    """
    return [WaitingHost(*row) for row in await conn.fetch(HOSTS, stage, after, most, upto)]


async def claim(
    conn: Conn,
    stage: int,
    wanted: Mapping[str, int],
    now: datetime,
    *,
    until: datetime,
    resting: bool = False,
) -> list[Due]:
    """Take from each host so many of its URIs that are due. They are not due before `until`, by
    when the attempt must be settled; if whoever took them dies, they are due again then.

    Args:
        resting: take them of hosts that rest, too.
    """
    args = (stage, list(wanted), list(wanted.values()), now, until, resting)
    return [Due(*row) for row in await conn.fetch(CLAIM, *args)]


# Of a hundred hosts in order; of each a few URIs are looked at, so that none costs much.
READABLE: LiteralString = """
WITH RECURSIVE seen AS (
    (SELECT host, 1 AS number FROM uri
      WHERE stage = 2 AND due_at IS NOT NULL AND host > $1
      ORDER BY host, due_at LIMIT 1)
    UNION ALL
    SELECT n.host, s.number + 1
      FROM seen s
     CROSS JOIN LATERAL (
           SELECT host FROM uri WHERE stage = 2 AND due_at IS NOT NULL AND host > s.host
            ORDER BY host, due_at LIMIT 1) n
     WHERE s.number < 100
)
SELECT f.uri
  FROM seen s
 CROSS JOIN LATERAL (
       SELECT uri FROM (
              SELECT uri, kind, outcome FROM uri
               WHERE stage = 2 AND due_at IS NOT NULL AND host = s.host
               ORDER BY due_at LIMIT 20) AS near
        WHERE kind IN ('https', 'http') AND outcome IN ('ok', 'not-modified')
        LIMIT 1) f
 WHERE NOT EXISTS (SELECT FROM host r WHERE r.host = s.host AND r.rest_until > $2)
 LIMIT $3
"""


async def readable(conn: Conn, now: datetime, *, after: str, most: int) -> list[bytes]:
    """Web addresses that could be read when last tried, each of another host that does not rest.

    Args:
        after: look at hosts that come after this one.
    """
    return [row[0] for row in await conn.fetch(READABLE, after, now, most)]


GIVE_BACK: LiteralString = "UPDATE uri SET due_at = $2 WHERE uri_id = ANY($1::bigint[])"


async def give_back(conn: Conn, uri_ids: Sequence[int], now: datetime) -> None:
    """Make URIs due that were claimed and not tried."""
    if uri_ids:
        await conn.execute(GIVE_BACK, uri_ids, now)


# Settling ----------------------------------------------------------------------------------------

SETTLE: LiteralString = """
UPDATE uri u
   SET stage = 2, attempts = u.attempts + 1, failures = w.failures, unchanged = w.unchanged,
       attempted_at = w.attempted_at, outcome = w.outcome, reason = w.reason, status = w.status,
       document_id = coalesce(w.document_id, u.document_id),
       fetched_at = CASE WHEN w.good THEN w.attempted_at ELSE u.fetched_at END,
       verified = CASE WHEN w.good THEN w.verified ELSE u.verified END,
       etag = CASE WHEN w.good THEN w.etag ELSE u.etag END,
       last_modified = CASE WHEN w.good THEN w.last_modified ELSE u.last_modified END,
       due_at = w.due_at
  FROM json_to_recordset($1::json) AS w (
       uri_id bigint, attempts integer, good boolean, failures integer, unchanged integer,
       attempted_at timestamptz, outcome text, reason text, status integer, document_id bigint,
       verified boolean, etag text, last_modified text, due_at timestamptz)
 WHERE u.uri_id = w.uri_id AND u.attempts = w.attempts
RETURNING u.uri_id
"""
# While rows of agents are still to be made, nobody can say that no agent has the URI.
RETIRE: LiteralString = """
UPDATE uri u SET due_at = NULL
 WHERE u.uri_id = ANY($1::bigint[]) AND NOT u.fixed AND u.due_at IS NOT NULL
   AND NOT EXISTS (SELECT FROM profile_due)
   AND NOT EXISTS (SELECT FROM agent_profile p WHERE p.uri_id = u.uri_id)
   AND NOT EXISTS (SELECT FROM attachment a WHERE a.uri_id = u.uri_id)
   AND NOT EXISTS (SELECT FROM agent_domain d WHERE d.uri_id = u.uri_id)
"""
# Those that were given up because their host was down need not wait out their own pause.
WAKE: LiteralString = """
UPDATE uri SET due_at = $2
 WHERE stage = 2 AND host = ANY($1::text[]) AND due_at > $2 AND reason = $3
"""


async def settle(tx: Tx, outcomes: Sequence[Outcome]) -> set[int]:
    """Keep how attempts came out. Returns the ids of the URIs that were as the attempts say."""
    # As JSON: the driver takes its time over each value of an array.
    rows = msgspec.json.encode(outcomes).decode()
    return {row[0] for row in await tx.fetch(SETTLE, rows)}


async def retire(tx: Tx, uri_ids: Sequence[int]) -> None:
    """Read those of the URIs no more that nobody names any longer and whose bytes may change."""
    if uri_ids:
        await tx.execute(RETIRE, uri_ids)


async def wake(tx: Tx, hosts: Sequence[str], now: datetime, *, reason: str) -> None:
    """Make the URIs of hosts due whose last attempt was given up for `reason`."""
    if hosts:
        await tx.execute(WAKE, hosts, now, reason)


def _columns(rows: Iterable[Sequence[Any]], width: int) -> list[list[Any]]:
    turned = [list(column) for column in zip(*rows, strict=True)]
    return turned or [[] for _ in range(width)]
