"""Whether every index of a database holds what its table holds, as PostgreSQL's checker sees it."""

from __future__ import annotations

import asyncpg

from renown.store.pool import Conn

_INDEXES = """
SELECT c.oid, c.oid::regclass::text, am.amname
  FROM pg_class c
  JOIN pg_index i ON i.indexrelid = c.oid
  JOIN pg_am am ON am.oid = c.relam
 WHERE c.relkind = 'i' AND c.relnamespace = 'public'::regnamespace AND i.indisvalid
 ORDER BY 2
"""
_CHECKS = {
    "btree": "SELECT bt_index_parent_check($1::oid, true, true)",
    "gin": "SELECT gin_index_check($1::oid)",  # since PostgreSQL 18
}
_TABLES = """
SELECT c.oid::regclass::text, h.msg
  FROM pg_class c
 CROSS JOIN LATERAL verify_heapam(c.oid) h
 WHERE c.relkind IN ('r', 'm') AND c.relnamespace = 'public'::regnamespace
"""


async def check_indexes(conn: Conn) -> tuple[int, list[str]]:
    """How many indexes were checked, and what is wrong with any index or table."""
    await conn.execute("CREATE EXTENSION IF NOT EXISTS amcheck")
    known = {row[0] for row in await conn.fetch("SELECT proname FROM pg_proc")}
    checked, wrong = 0, []
    for oid, name, method in await conn.fetch(_INDEXES):
        check = _CHECKS.get(method, "")
        if not check or check.removeprefix("SELECT ").partition("(")[0] not in known:
            continue
        try:
            await conn.execute(check, oid)
        except asyncpg.PostgresError as broken:
            wrong.append(f"{name}: {broken}")
        checked += 1
    wrong += [f"{table}: {message}" for table, message in await conn.fetch(_TABLES)]
    return checked, wrong
