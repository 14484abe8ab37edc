"""Synthetic agents to search: a million profiles with words as texts have them (Zipf), made in SQL.

Nothing is taken from real agents. The same seed gives the same rows.
"""

from __future__ import annotations

import asyncio
from typing import LiteralString

from renown.store.pool import Conn, connect

CHAINS = 4
WORDS = 50_000
_CHUNK = 25_000

_PREPARE: LiteralString = f"""
INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)
SELECT n, 'bench-' || n, 'Bench ' || n, false, decode(repeat('0' || n, 20), 'hex'),
       decode(repeat('1' || n, 20), 'hex'), 0 FROM generate_series(1, {CHAINS}) n;
INSERT INTO checkpoint (chain_id, block_number, block_hash, block_time)
SELECT n, 1000000, sha256('head'), now() FROM generate_series(1, {CHAINS}) n;
INSERT INTO trail (chain_id, epoch, position, block_number, block_hash, block_time)
SELECT n, 1, 1, 1000000, sha256('head'), now() FROM generate_series(1, {CHAINS}) n;
"""
_FUNCTIONS: LiteralString = """
-- The n-th most frequent word; no two alike.
CREATE FUNCTION pg_temp.word(n int) RETURNS text LANGUAGE sql IMMUTABLE AS $$
    SELECT translate(to_hex((n::bigint * 7919) % 65536),
                     '0123456789abcdef', 'aeioubdfgklmnprt') || 'o'
$$;
-- As of a network where three of four agents have no file: most at the bottom, few at the top.
CREATE FUNCTION pg_temp.quality(which float8, within float8) RETURNS smallint LANGUAGE sql AS $$
    SELECT CASE WHEN which < 0.7 THEN 10 * within WHEN which < 0.9 THEN 45 + 60 * within
                WHEN which < 0.98 THEN 80 + 60 * within ELSE 130 + 90 * within END::smallint
$$;
"""
# A rank whose frequency falls with its reciprocal.
_ZIPF: LiteralString = "exp(random() * ln({most}::float8))::int"
_ROWS: LiteralString = f"""
INSERT INTO pg_temp.made
SELECT 1 + (n % 20 >= 14)::int + (n % 20 >= 17)::int + (n % 20 >= 19)::int AS chain_id,
       n AS agent_id, t.name, t.offers, t.tags, t.about, t.quality, t.owner,
       '2026-01-01'::timestamptz + n * interval '20 seconds' AS created_at,
       '2026-01-01'::timestamptz + n * interval '20 seconds' + random() * interval '100 days'
           AS active_at,
       t.feedback_count,
       ARRAY['owner=0x' || encode(t.owner, 'hex'),
             'state=' || CASE WHEN t.r1 < 0.3 THEN 'strict' WHEN t.r1 < 0.6 THEN 'tolerant'
                              ELSE 'unreachable' END,
             'x402=' || CASE WHEN t.r2 < 0.2 THEN 'yes' WHEN t.r2 < 0.5 THEN 'no'
                             ELSE 'unknown' END,
             'active=' || CASE WHEN t.r2 < 0.7 THEN 'yes' ELSE 'unknown' END,
             'alive=' || CASE WHEN t.r3 < 0.1 THEN 'yes' WHEN t.r3 < 0.2 THEN 'no'
                              ELSE 'unknown' END,
             'verified=' || CASE WHEN t.r3 < 0.02 THEN 'yes' ELSE 'no' END,
             'name=yes',
             'skill=s' || (t.skill % 15), 'skill=s' || (t.skill % 15) || '/' || t.skill,
             'domain=d' || (t.skill % 7), 'tool=' || pg_temp.word(t.tool),
             'finding=f' || (t.skill % 40), 'trust=reputation']
         || CASE WHEN t.r1 < 0.2 THEN ARRAY['kind=mcp', 'version=mcp/2025-06-18'] ELSE '{{}}' END
         || CASE WHEN t.r2 < 0.4 THEN ARRAY['kind=a2a', 'version=a2a/0.3.0'] ELSE '{{}}' END
         || CASE WHEN t.r3 < 0.6 THEN ARRAY['kind=web'] ELSE '{{}}' END
         || CASE WHEN t.r3 < 0.1 THEN ARRAY['trust=crypto-economic'] ELSE '{{}}' END AS terms,
       t.r2, t.r3
  FROM generate_series($1::int, $2::int) n
 CROSS JOIN LATERAL (
       SELECT (SELECT string_agg(pg_temp.word({_ZIPF.format(most=WORDS)}), ' ')
                 FROM generate_series(1, 2) WHERE n > 0) || ' ' || (n % 997) AS name,
              (SELECT string_agg(pg_temp.word({_ZIPF.format(most=WORDS)}), ' ')
                 FROM generate_series(1, 8) WHERE n > 0) AS offers,
              (SELECT string_agg(pg_temp.word({_ZIPF.format(most=WORDS)}), ' ')
                 FROM generate_series(1, 3) WHERE n > 0) AS tags,
              (SELECT string_agg(pg_temp.word({_ZIPF.format(most=WORDS)}), ' ')
                 FROM generate_series(1, 30) WHERE n > 0) AS about,
              pg_temp.quality(random(), random()) AS quality,
              substring(sha256(int4send({_ZIPF.format(most=300_000)})) FOR 20) AS owner,
              {_ZIPF.format(most=200)} AS skill, {_ZIPF.format(most=5_000)} AS tool,
              (exp(random() * 6) - 1)::bigint AS feedback_count,
              random() AS r1, random() AS r2, random() AS r3) t
"""
_MADE: LiteralString = """
CREATE TEMP TABLE made (
    chain_id bigint, agent_id bigint, name text, offers text, tags text, about text,
    quality smallint, owner bytea, created_at timestamptz, active_at timestamptz,
    feedback_count bigint, terms text[], r2 float8, r3 float8)
"""
_KEEP: tuple[LiteralString, ...] = (
    """
INSERT INTO agent_profile (chain_id, agent_id, uri_id, document_id, state, name, description, image,
       name_key, skeleton, x402, active, alive, findings, domains, terms, words, leads, quality,
       owner, feedback_count, client_count, created_at, active_at, revision)
SELECT chain_id, agent_id, agent_id, agent_id, substring(terms[2] FROM 7), name, about,
       'https://images.example/' || agent_id || '.png', name, name, r2 < 0.2, r2 < 0.7,
       CASE WHEN r3 < 0.2 THEN r3 < 0.1 END,
       jsonb_build_array(jsonb_build_object('code', substring(terms[12] FROM 9))),
       '{}', terms || ('chain=' || chain_id),
       setweight(to_tsvector('renown', name), 'A') || setweight(to_tsvector('renown', offers), 'B')
       || setweight(to_tsvector('renown', tags), 'C')
       || setweight(to_tsvector('renown', about), 'D')
       || array_to_tsvector(terms || ('chain=' || chain_id)),
       agent_id % 3 > 0, quality, owner, feedback_count, feedback_count / 3, created_at, active_at,
       agent_id
  FROM pg_temp.made""",
    """
INSERT INTO agent (chain_id, agent_id, uuid, owner, registrant, uri, uri_block, wallet,
       wallet_state, created_block, created_log_index, created_tx, created_at, transfer_count)
SELECT chain_id, agent_id, md5(chain_id || ':' || agent_id)::uuid, owner, owner,
       convert_to('https://files.example/' || agent_id || '.json', 'UTF8'), agent_id, owner,
       'default', agent_id, 1, sha256(int8send(agent_id)), created_at, 1
  FROM pg_temp.made""",
    """
INSERT INTO agent_stats (chain_id, agent_id, version, feedback_count, client_count)
SELECT chain_id, agent_id, 1, feedback_count, feedback_count / 3 FROM pg_temp.made""",
    "TRUNCATE pg_temp.made",
)
_NAMES: LiteralString = """
INSERT INTO agent_name SELECT name_key, count(*) FROM agent_profile
 WHERE name_key IS NOT NULL GROUP BY name_key
"""
# Tables are filled first and indexed afterwards; the primary keys stay.
_INDEXES: LiteralString = """
SELECT i.indexname, i.indexdef FROM pg_indexes i
 WHERE i.tablename IN ('agent_profile', 'agent', 'agent_name') AND i.indexname NOT LIKE '%\\_pkey'
 ORDER BY 1
"""


def word(rank: int) -> str:
    """The word of that rank: the most frequent is of rank 1."""
    letters = str.maketrans("0123456789abcdef", "aeioubdfgklmnprt")
    return f"{rank * 7919 % 65536:x}".translate(letters) + "o"


def chain_of(agent_id: int) -> int:
    """The chain of an agent, which are numbered across them."""
    return 1 + sum(agent_id % 20 >= first for first in (14, 17, 19))


async def make(dsn: str, agents: int) -> None:
    """Fill a migrated, empty database with `agents` agents, and gather statistics."""
    conn = await connect(dsn)
    try:
        await conn.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'")
        indexes = await conn.fetch(_INDEXES)
        for name, _ in indexes:
            await conn.execute(f"DROP INDEX {name}")
        await conn.execute(_PREPARE)
        await conn.close()
        half = agents // 2
        await asyncio.gather(_fill(dsn, 1, half, 0.1), _fill(dsn, half + 1, agents, 0.2))
        conn = await connect(dsn)
        await conn.execute("SET work_mem = '256MB'; SET maintenance_work_mem = '1GB'")
        await conn.execute(_NAMES)
        for _, definition in indexes:
            await conn.execute(definition)
        await conn.execute("REFRESH MATERIALIZED VIEW term_count")
        await _settle(conn)
    finally:
        await conn.close()


async def _fill(dsn: str, first: int, last: int, seed: float) -> None:
    conn = await connect(dsn)
    try:
        await conn.execute(_FUNCTIONS)
        await conn.execute(_MADE)
        await conn.execute("SELECT setseed($1)", seed)
        for start in range(first, last + 1, _CHUNK):
            await conn.execute(_ROWS, start, min(start + _CHUNK - 1, last))
            for statement in _KEEP:
                await conn.execute(statement)
    finally:
        await conn.close()


async def _settle(conn: Conn) -> None:
    await conn.execute("VACUUM (ANALYZE) agent_profile")
    await conn.execute("VACUUM (ANALYZE) agent")
    await conn.execute("VACUUM (ANALYZE) agent_stats")
    await conn.execute("VACUUM (ANALYZE) agent_name")
    await conn.execute("VACUUM (ANALYZE) term_count")
