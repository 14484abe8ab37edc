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
