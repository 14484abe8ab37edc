"""What the notary found wrong stands through restarts, until a person has acknowledged it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from renown.ingest.notary import measured
from renown.ingest.notary import notary as notaries
from renown.obs.metrics import REGISTRY
from renown.store import audit_alarms
from renown.store.pool import Conn, transaction
from tests.auditing import notary, opened, request, written
from tests.command import renown

ALTERED = "UPDATE audit_log SET status = 599 WHERE entry_id = (SELECT max(entry_id) FROM audit_log)"


def shown() -> float | None:
    return REGISTRY.get_sample_value("renown_audit_broken")


@asynccontextmanager
async def working(url: str, folder: Path) -> AsyncIterator[None]:
    task = asyncio.create_task(notary(url, folder).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not done():  # noqa: ASYNC110 - a metric has no event
            await asyncio.sleep(0.01)


async def stands(conn: Conn) -> None:
    async with asyncio.timeout(30):
        while not await audit_alarms.standing(conn):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_alarm__notary_restarted__stands_until_it_is_acknowledged(
    fresh_database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database_url
    for name in ("LOOK_SECONDS", "IDLE_SECONDS", "COUNT_SECONDS"):
        monkeypatch.setattr(notaries, name, 0.02)
    await written(url, [request(n) for n in range(5)])
    async with opened(url) as conn:
        await notary(url, tmp_path).run_until_idle()
        await conn.execute("SET session_replication_role = replica")
        await conn.execute(ALTERED)
        async with working(url, tmp_path):
            await stands(conn)
        assert shown() == 1
        monkeypatch.setattr(notaries, "LOOK_SECONDS", 1e9)  # what it finds by itself takes a day
        await conn.execute(ALTERED.replace("599", "201"))

        measured.broken(False)  # another process
        async with working(url, tmp_path):
            await until(lambda: shown() == 1)
            async with transaction(conn) as tx:
                await audit_alarms.acknowledge(tx, "a test did it")
            await until(lambda: shown() == 0)
        assert await audit_alarms.standing(conn) == []


def test_command__acknowledges_only_if_told_and_is_an_entry(fresh_database_url: str) -> None:
    url = fresh_database_url

    async def asked(question: str) -> list[str]:
        async with opened(url) as conn:
            return [row[0] for row in await conn.fetch(question)]

    async def raised() -> None:
        async with opened(url) as conn:
            await audit_alarms.raise_alarm(conn, "leaf 7 is missing")

    asyncio.run(raised())
    command = ("audit", "acknowledge", "a test did it")
    looked = renown(*command, DATABASE_URL=url)
    standing = asyncio.run(asked(audit_alarms.STANDING))
    done = renown(*command, "--yes", DATABASE_URL=url)

    assert (looked.code, done.code) == (0, 0), done.err
    assert "leaf 7 is missing" in looked.out + looked.err
    assert standing == ["leaf 7 is missing"]
    assert asyncio.run(asked(audit_alarms.STANDING)) == []
    (after,) = asyncio.run(asked("SELECT after FROM audit_log WHERE subject = 'audit_alarm'"))
    assert "a test did it" in after
