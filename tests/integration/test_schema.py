"""The checked-in schema is the one that the migrations make."""

from __future__ import annotations

from importlib import resources

import pytest

from renown.store.migrate import migrate
from renown.store.pool import connect
from renown.store.schema import schema_dump


async def test_migrations__from_empty__equal_the_checked_in_schema(empty_database_url: str):
    await migrate(empty_database_url)
    conn = await connect(empty_database_url)
    made = await schema_dump(conn)
    await conn.close()

    checked_in = (resources.files("renown.store") / "schema.txt").read_text()

    if made != checked_in:
        pytest.fail("store/schema.txt is out of date: run `make docs` and read the difference")


# Rows of these stay for good, so nobody ever looks for what refers to them.
KEPT = {"account"}
UNINDEXED = """
SELECT c.conrelid::regclass || ' -> ' || c.confrelid::regclass
  FROM pg_constraint c
 WHERE c.contype = 'f' AND NOT c.confrelid::regclass::text = any($1)
   AND NOT EXISTS (
       SELECT FROM pg_index i
        WHERE i.indrelid = c.conrelid
          AND i.indkey[0] = any(c.conkey)
          AND (i.indpred IS NULL
               OR pg_get_expr(i.indpred, i.indrelid) LIKE '%IS NOT NULL%'))
 ORDER BY 1
"""


async def test_foreign_keys__to_rows_that_go__have_an_index_to_look_by(database_url: str):
    conn = await connect(database_url)
    without = [row[0] for row in await conn.fetch(UNINDEXED, sorted(KEPT))]
    await conn.close()

    assert without == []
