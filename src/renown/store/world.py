"""A database of a bench world: its own notes, and what is made of the rows that were copied.

The notes lie in a schema of their own, `bench`, beside what migrations make: which world it is,
which parts of it are done, and the definitions of the indexes that are taken away while rows come.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import LiteralString

import msgspec

from renown.derive.ratings import tags_hash
from renown.errors import StoreError
from renown.store.pool import Conn, Tx

NOTES: LiteralString = """
CREATE SCHEMA IF NOT EXISTS bench;
CREATE TABLE IF NOT EXISTS bench.world (
    only_one    boolean PRIMARY KEY DEFAULT true CHECK (only_one),
    size        text        NOT NULL,   -- WorldSize as JSON
    began_at    timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz
);
CREATE TABLE IF NOT EXISTS bench.bench_world (
    part    text PRIMARY KEY,
    seconds double precision NOT NULL,
    done    timestamptz NOT NULL DEFAULT clock_timestamp()
);
-- Indexes and foreign keys that were taken away, as they were.
CREATE TABLE IF NOT EXISTS bench.taken (
    name       text PRIMARY KEY,
    on_table   text NOT NULL,
    definition text NOT NULL
);
-- The oldest agents of each span that have a file or mint which others may have.
CREATE TABLE IF NOT EXISTS bench.holder (
    source     text   NOT NULL,
    number     bigint NOT NULL,
    created_at timestamptz NOT NULL,
    chain_id   bigint NOT NULL,
    agent_id   bigint NOT NULL,
    owner      bytea  NOT NULL
);
-- Of each agent the block of the newest fact about it.
CREATE TABLE IF NOT EXISTS bench.newest (
    chain_id     bigint NOT NULL,
    agent_id     bigint NOT NULL,
    block_number bigint NOT NULL
);
-- Of each shared file the two oldest agents whose names are worth guarding.
CREATE TABLE IF NOT EXISTS bench.guarded (
    number     bigint NOT NULL,
    created_at timestamptz NOT NULL,
    chain_id   bigint NOT NULL,
    agent_id   bigint NOT NULL,
    owner      bytea  NOT NULL
);
CREATE TABLE IF NOT EXISTS bench.tag_pair (
    tags_hash bytea NOT NULL,
    tag1      bytea NOT NULL,
    tag2      bytea NOT NULL
);
"""
"""Several statements, and so none that is timed by name."""
HAS_NOTES: LiteralString = "SELECT to_regclass('bench.world') IS NOT NULL"
SIZE: LiteralString = "SELECT size, finished_at IS NOT NULL FROM bench.world"
OTHERS: tuple[LiteralString, ...] = ("chain", "account", "uri", "document", "endpoint")
"""Tables of which one has rows wherever something is kept. An older schema may lack some."""
IS_TABLE: LiteralString = "SELECT to_regclass('public.' || $1::text) IS NOT NULL"
NOTE_WORLD: LiteralString = "INSERT INTO bench.world (size) VALUES ($1)"
DONE: LiteralString = "SELECT part FROM bench.bench_world"
NOTE_DONE: LiteralString = "INSERT INTO bench.bench_world (part, seconds) VALUES ($1, $2)"
FINISHED: LiteralString = "UPDATE bench.world SET finished_at = now()"
BYTES: LiteralString = "SELECT pg_database_size(current_database())"

_WORKING: tuple[LiteralString, ...] = (
    "SET renown.indexer = 'on'",  # see audit_foreign_write
    "SET synchronous_commit = off",
    "SET maintenance_work_mem = '1GB'",  # what sorts and sums ten million rows in memory
    "SET work_mem = '512MB'",
    "SET max_parallel_maintenance_workers = 0",  # two of us work at once
    "SET max_parallel_workers_per_gather = 0",
    "SET jit = off",
)


async def prepare_session(conn: Conn) -> None:
    """Set a connection up for loading."""
    for statement in _WORKING:
        await conn.execute(statement)


async def held_world(conn: Conn) -> tuple[str, bool] | None:
    """The size of the world that is here, as it was noted, and whether it is finished."""
    if not await conn.fetchval(HAS_NOTES):
        return None
    row = await conn.fetchrow(SIZE)
    return None if row is None else (row[0], row[1])


async def refuse_others(conn: Conn) -> None:
    """Look whether a world may be made here, whatever schema there is.

    Raises:
        StoreError: something is in the database that is no world.
    """
    if await held_world(conn) is not None:
        return
    for table in OTHERS:
        if await conn.fetchval(IS_TABLE, table) and await conn.fetchval(
            f"SELECT EXISTS (SELECT FROM {table})"
        ):
            raise StoreError(
                "this database holds an index that is no bench world; a world needs an empty one:"
                " create a database and name it with --database"
            )


async def begin(conn: Conn, size: str) -> None:
    """Take an empty database for a world.

    Raises:
        StoreError: something else is in it.
    """
    await refuse_others(conn)
    async with conn.transaction():
        await conn.execute(NOTES)
        await conn.execute(NOTE_WORLD, size)


async def done_parts(conn: Conn) -> set[str]:
    """The parts that are done."""
    return {row[0] for row in await conn.fetch(DONE)}


async def note_done(tx: Tx, part: str, seconds: float) -> None:
    """A part is done, if its transaction is."""
    await tx.execute(NOTE_DONE, part, seconds)


async def finish(conn: Conn) -> None:
    """The world is whole."""
    await conn.execute(FINISHED)


async def size_bytes(conn: Conn) -> int:
    """Of the database."""
    size: int = await conn.fetchval(BYTES)
    return size


# Chains ------------------------------------------------------------------------------------------

ADD_CHAIN: LiteralString = """
INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, validations, explorer,
                   start_block, epoch)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""
ADD_CHECKPOINT: LiteralString = """
INSERT INTO checkpoint (chain_id, block_number, phase) VALUES ($1, $2, 'backfill')
"""
ADD_ACCOUNTS: LiteralString = """
INSERT INTO account (account_id, uuid, name, created_at) OVERRIDING SYSTEM VALUE
SELECT n, md5('account ' || n)::uuid, 'Account ' || n, $2 FROM generate_series(1, $1) AS n
"""
PARTITIONS: LiteralString = "SELECT ensure_fact_partitions($1, $2)"
NOTE_PAIR: LiteralString = "INSERT INTO bench.tag_pair VALUES ($1, $2, $3)"


class NewChain(msgspec.Struct, frozen=True):
    """A chain to be filled, see table `chain`."""

    chain_id: int
    slug: str
    name: str
    testnet: bool
    identity: bytes
    reputation: bytes
    validations: list[bytes]
    explorer: str
    start_block: int
    epoch: int


async def add_chains(
    tx: Tx,
    chains: Iterable[NewChain],
    *,
    accounts: int,
    at: datetime,
    tag_pairs: Iterable[tuple[bytes, bytes]],
) -> None:
    """Chains without blocks, accounts 1 and up, and the tags that feedback will have."""
    for chain in chains:
        await tx.execute(ADD_CHAIN, *msgspec.structs.astuple(chain))
        await tx.execute(ADD_CHECKPOINT, chain.chain_id, chain.start_block - 1)
    await tx.execute(ADD_ACCOUNTS, accounts, at)
    await tx.executemany(
        NOTE_PAIR, [(tags_hash(tag1, tag2), tag1, tag2) for tag1, tag2 in tag_pairs]
    )


# Folding -----------------------------------------------------------------------------------------
# What `derive.fold` makes of the facts, as sums: nothing in a world is superseded or unattached.

NEWEST_BLOCKS: LiteralString = """
INSERT INTO bench.newest
SELECT chain_id, agent_id, max(block_number) FROM (
       SELECT chain_id, agent_id, block_number FROM agent_transferred WHERE chain_id = $1
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM uri_updated WHERE chain_id = $1
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM metadata_set WHERE chain_id = $1
       UNION ALL
       (SELECT chain_id, agent_id, max(block_number) FROM feedback_given WHERE chain_id = $1
         GROUP BY chain_id, agent_id)
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM feedback_revoked WHERE chain_id = $1
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM response_appended WHERE chain_id = $1
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM validation_requested WHERE chain_id = $1
       UNION ALL
       SELECT chain_id, agent_id, block_number FROM validation_responded WHERE chain_id = $1
       ) f
 GROUP BY chain_id, agent_id
"""
# An approval changes the answer, too, though not what search shows.
STATS: LiteralString = """
INSERT INTO agent_stats (chain_id, agent_id, version, feedback_count, revoked_count, client_count,
                         response_count, validation_count, validation_responded_count)
SELECT $1, a.agent_id,
       width_bucket(greatest(n.block_number, p.block_number), (
           SELECT array_agg(o.from_block ORDER BY o.position) FROM outbox o
            WHERE o.chain_id = $1)),
       coalesce(f.given, 0), coalesce(m.revoked, 0), coalesce(f.clients, 0),
       coalesce(m.responses, 0), coalesce(v.requested, 0), coalesce(v.answered, 0)
  FROM agent a
  JOIN bench.newest n ON n.chain_id = $1 AND n.agent_id = a.agent_id
  LEFT JOIN (SELECT agent_id, max(block_number) AS block_number
               FROM agent_approved WHERE chain_id = $1 GROUP BY agent_id) p
    ON p.agent_id = a.agent_id
  LEFT JOIN (SELECT agent_id, count(*) AS given, count(*) FILTER (WHERE feedback_index = 1)
                    AS clients
               FROM feedback_given WHERE chain_id = $1 GROUP BY agent_id) f
    ON f.agent_id = a.agent_id
  LEFT JOIN (SELECT agent_id, count(revoked_block) AS revoked, sum(response_count) AS responses
               FROM feedback_mark WHERE chain_id = $1 GROUP BY agent_id) m
    ON m.agent_id = a.agent_id
  LEFT JOIN (SELECT agent_id, count(*) AS requested, count(response) AS answered
               FROM validation WHERE chain_id = $1 GROUP BY agent_id) v
    ON v.agent_id = a.agent_id
 WHERE a.chain_id = $1
 ORDER BY a.agent_id
"""
TAG_STATS: LiteralString = """
INSERT INTO agent_tag_stats (chain_id, agent_id, tags_hash, tag1, tag2, given_count, live_count,
                             live_sum)
SELECT $1, g.agent_id, t.tags_hash, g.tag1, g.tag2, g.given, g.given - coalesce(r.count, 0),
       g.total - coalesce(r.total, 0)
  FROM (SELECT agent_id, tag1, tag2, count(*) AS given,
               sum(value * (10::numeric ^ (18 - decimals))::numeric(20, 0)) AS total
          FROM feedback_given WHERE chain_id = $1 GROUP BY agent_id, tag1, tag2) g
  JOIN bench.tag_pair t ON t.tag1 = g.tag1 AND t.tag2 = g.tag2
  LEFT JOIN (SELECT f.agent_id, f.tag1, f.tag2, count(*),
                    sum(f.value * (10::numeric ^ (18 - f.decimals))::numeric(20, 0)) AS total
               FROM feedback_mark m
               JOIN feedback_given f USING (chain_id, block_number, log_index)
              WHERE m.chain_id = $1 AND m.revoked_block IS NOT NULL
              GROUP BY f.agent_id, f.tag1, f.tag2) r
    ON r.agent_id = g.agent_id AND r.tag1 = g.tag1 AND r.tag2 = g.tag2
 ORDER BY g.agent_id, t.tags_hash
"""


ANALYZE_FACTS: LiteralString = """
ANALYZE agent, agent_ownership, block, outbox, feedback_mark, validation, payment, payment_claim,
        agent_registered, agent_transferred, uri_updated, metadata_set,
        feedback_given (chain_id, agent_id, tag1, tag2, feedback_index)
"""


async def analyze_facts(tx: Tx) -> None:
    """Tell the planner how much there is, so that what follows is planned well."""
    await tx.execute("SET LOCAL default_statistics_target = 10")
    await tx.execute(ANALYZE_FACTS)


async def fold_counts(tx: Tx, chain_id: int) -> None:
    """Note the block of each agent's newest fact, and count. Needs the whole chain's facts."""
    await tx.execute(NEWEST_BLOCKS, chain_id)
    await tx.execute(STATS, chain_id)


async def fold_tags(tx: Tx, chain_id: int) -> None:
    """Sum feedback up by agent and tags. Needs the whole chain's facts."""
    await tx.execute(TAG_STATS, chain_id)


# The end -----------------------------------------------------------------------------------------

ADD_NAMES: LiteralString = """
INSERT INTO agent_name (name_key, agent_count)
SELECT name_key, count(*) FROM agent_profile WHERE name_key IS NOT NULL
 GROUP BY name_key ORDER BY name_key
"""
SETTLE_CHECKPOINT: LiteralString = """
UPDATE checkpoint k
   SET block_number = $2, block_hash = b.hash, block_time = b.time, final_block = $3,
       safe_block = $3, head_block = $2, head_seen_at = now(), position = o.position,
       events = o.events, phase = 'follow', fence = 1, writer = 'renown bench world',
       updated_at = now()
  FROM block b, (SELECT max(position) AS position, sum(fact_count)::bigint AS events
                   FROM outbox WHERE chain_id = $1) o
 WHERE k.chain_id = $1 AND b.chain_id = $1 AND b.number = $2
"""
SETTLE_TRAIL: LiteralString = """
INSERT INTO trail (chain_id, epoch, position, block_number, block_hash, block_time)
SELECT c.chain_id, c.epoch, k.position, k.block_number, k.block_hash, k.block_time
  FROM chain c JOIN checkpoint k USING (chain_id) WHERE c.chain_id = $1
    ON CONFLICT DO NOTHING
"""
SETTLE_COVERAGE: LiteralString = """
INSERT INTO coverage (chain_id, state, checked_block, agents_held, agents_on_chain, operators)
SELECT $1, 'proven', $2, n, n, '{a.example,b.example}'
  FROM (SELECT count(*) AS n FROM agent WHERE chain_id = $1) c
    ON CONFLICT DO NOTHING
"""
SEQUENCES: LiteralString = """
SELECT setval(pg_get_serial_sequence('uri', 'uri_id'), (SELECT max(uri_id) FROM uri)),
       setval(pg_get_serial_sequence('document', 'document_id'),
              (SELECT max(document_id) FROM document)),
       setval(pg_get_serial_sequence('endpoint', 'endpoint_id'),
              (SELECT max(endpoint_id) FROM endpoint)),
       setval(pg_get_serial_sequence('account', 'account_id'),
              (SELECT max(account_id) FROM account)),
       setval('profile_revision', (SELECT max(revision) FROM agent_profile))
"""
RECOUNT_PAYMENTS: LiteralString = "SELECT recount_payments()"
VIEWS: LiteralString = """
SELECT matviewname::text FROM pg_matviews WHERE schemaname = 'public' ORDER BY 1
"""
REFRESH: LiteralString = "SELECT refresh_view($1)"


async def settle_chain(tx: Tx, chain_id: int, *, head: int, final: int) -> None:
    """Let a chain stand at its head, its facts read to the end."""
    await tx.execute(SETTLE_CHECKPOINT, chain_id, head, final)
    await tx.execute(SETTLE_TRAIL, chain_id)
    await tx.execute(SETTLE_COVERAGE, chain_id, head)


async def settle_sequences(tx: Tx) -> None:
    """Let new rows get numbers above those here."""
    await tx.execute(SEQUENCES)


async def count_names(tx: Tx) -> None:
    """Distinct names, and how many agents have each."""
    await tx.execute(ADD_NAMES)


async def recount_payments(tx: Tx) -> None:
    """What was paid to each agent."""
    await tx.execute(RECOUNT_PAYMENTS)


async def views(conn: Conn) -> list[str]:
    """Every materialized view."""
    return [row[0] for row in await conn.fetch(VIEWS)]


async def refresh_view(tx: Tx, view: str) -> None:
    """Make a materialized view anew."""
    await tx.execute(REFRESH, view)


async def gather_statistics(conn: Conn) -> None:
    """Vacuum and analyze what was loaded, so that plans and index-only scans are as in service."""
    # Vacuum marks no page as seen by all while its writer's commit, or one that came soon after
    # (they are noted by the dozen), is not on disk. The first of these commits flushes all others'.
    await conn.execute("SET synchronous_commit = on")
    await conn.execute("ANALYZE chain")
    await conn.execute("VACUUM (ANALYZE)")
    await conn.execute("SET synchronous_commit = off")


async def copy_rows(
    tx: Tx, table: LiteralString, columns: Sequence[str], rows: Sequence[tuple[object, ...]]
) -> None:
    """COPY rows by the driver's own encoding: for tables of few or varied rows. `table` may name
    its schema."""
    schema, _, name = table.rpartition(".")
    if rows:
        await tx.copy_records_to_table(
            name, records=rows, columns=columns, schema_name=schema or None
        )
