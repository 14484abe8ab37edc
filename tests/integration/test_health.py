"""Alive, ready, well: what each says while the database, the schema, Redis or a chain fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from renown.api import health as health_module
from renown.api.app import create_app
from renown.errors import Overloaded, StoreError
from renown.obs import metrics
from renown.settings import Settings
from renown.store import audit_alarms, vitals
from renown.store import pulse as pulse_module
from renown.store.pool import Conn, Pool, connect, connect_pool, transaction
from tests.integration.api import SETTINGS

CANARY = "canary-of-the-tests"


@asynccontextmanager
async def app_on(pool: Pool, **settings: Any) -> AsyncIterator[tuple[Any, httpx.AsyncClient]]:
    app = create_app(Settings(**SETTINGS | settings), pool=pool)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield app, client


@pytest.fixture
async def own(fresh_database_url: str) -> AsyncIterator[Conn]:
    """A connection to the database of the test, which holds one chain that is followed."""
    conn = await connect(fresh_database_url)
    await conn.execute(
        """
        INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block,
                           explorer)
        VALUES (8453, 'base', 'Base', false, $1, $1, 1, '')
        """,
        b"i" * 20,
    )
    await conn.execute(
        """
        INSERT INTO checkpoint (chain_id, block_number, block_hash, block_time, final_block,
                                head_block, head_seen_at, phase)
        VALUES (8453, 100, $1, now() - interval '5 s', 90, 100, now(), 'follow')
        """,
        b"h" * 32,
    )
    yield conn
    await conn.close()


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    opened = await connect_pool(fresh_database_url, min_size=1, max_size=4)
    yield opened
    await opened.close(grace_seconds=1)


async def health(client: httpx.AsyncClient, status: int = 200) -> dict[str, Any]:
    answer = await client.get("/health")
    assert answer.status_code == status, answer.text
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = answer.json()
    return found


async def head_seen(conn: Conn, seconds_ago: float) -> None:
    await conn.execute(
        "UPDATE checkpoint SET head_seen_at = now() - make_interval(secs => $1)", seconds_ago
    )


# Ready --------------------------------------------------------------------------------------------


async def test_readyz__head_not_seen_for_long__is_not_ready_and_says_which(
    own: Conn, pool: Pool
) -> None:
    async with app_on(pool, ready_lag_seconds=60) as (app, client):
        assert (await client.get("/readyz")).text == "ready\n"
        await head_seen(own, 90)
        app.state.desk.watch.pulse.forget()
        answer = await client.get("/readyz")

    assert answer.status_code == 503
    assert answer.text.startswith("not ready: base: its head was last seen 9")


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        ("UPDATE checkpoint SET phase = 'stopped'", {}),
        ("UPDATE checkpoint SET phase = 'new', head_seen_at = NULL", {}),
        ("DELETE FROM checkpoint", {}),
        ("SELECT 1", {"chains": ("celo",)}),
    ],
    ids=["stopped", "new", "no chain", "a chain that others follow"],
)
async def test_readyz__stale_head_that_nobody_need_look_at__is_ready(
    own: Conn, pool: Pool, change: str, settings: dict[str, Any]
) -> None:
    await head_seen(own, 10_000)
    await own.execute(change)
    async with app_on(pool, **settings) as (_, client):
        answer = await client.get("/readyz")

    assert answer.status_code == 200, answer.text


async def test_readyz__one_chain_of_two_is_stale__still_serves_the_other(
    own: Conn, pool: Pool
) -> None:
    await head_seen(own, 10_000)
    await own.execute(
        """
        INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block,
                           explorer)
        VALUES (1, 'ethereum', 'Ethereum', false, $1, $1, 1, '')
        """,
        b"j" * 20,
    )
    await own.execute(
        "INSERT INTO checkpoint (chain_id, block_number, head_seen_at, phase)"
        " VALUES (1, 5, now(), 'follow')"
    )
    async with app_on(pool) as (_, client):
        assert (await client.get("/readyz")).status_code == 200
        checks = (await health(client))["checks"]

    assert checks["nodes:base"]["status"] == "down"
    assert checks["nodes:ethereum"]["status"] == "ok"


async def test_readyz__draining__says_no_at_once_and_stays_alive(own: Conn, pool: Pool) -> None:
    async with app_on(pool) as (app, client):
        assert (await client.get("/readyz")).status_code == 200
        app.state.draining = True
        assert (await client.get("/readyz")).status_code == 503
        assert (await client.get("/healthz")).status_code == 200


# Well ---------------------------------------------------------------------------------------------


async def test_health__everything_there__is_ok_and_names_every_part(
    own: Conn, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(folder: object) -> None:  # whatever this machine has left
        raise FileNotFoundError(folder)

    monkeypatch.setattr("renown.api.health.shutil.disk_usage", gone)
    async with app_on(pool) as (_, client):
        found = await health(client)

    assert found["status"] == "ok", found
    parts = ("database", "replica", "redis", "views", "crawler", "audit", "disk")
    assert set(found["checks"]) == {*parts, "indexer:base", "nodes:base"}
    assert found["checks"]["redis"]["status"] == found["checks"]["replica"]["status"] == "off"
    assert found["checks"]["database"]["latency_ms"] > 0
    assert set(found["checks"]["database"]) == {"status", "latency_ms", "age_seconds", "detail"}


@pytest.mark.parametrize(
    ("change", "part", "status"),
    [
        ("UPDATE checkpoint SET phase = 'stopped', problem = 'too deep'", "indexer:base", "down"),
        ("UPDATE checkpoint SET phase = 'backfill', head_block = 900", "indexer:base", "degraded"),
        (
            "UPDATE checkpoint SET head_block = 900, block_time = now() - interval '300 s'",
            "indexer:base",
            "degraded",
        ),
        (
            "UPDATE checkpoint SET head_seen_at = now() - interval '200 s'",
            "nodes:base",
            "degraded",
        ),
        (
            "INSERT INTO audit_pending VALUES (0, now() - interval '5 min')",
            "audit",
            "degraded",
        ),
    ],
)
async def test_health__one_part_is_not_well__is_degraded_and_still_serves(
    own: Conn, pool: Pool, change: str, part: str, status: str
) -> None:
    await own.execute(change)
    async with app_on(pool) as (_, client):
        found = await health(client)

    assert (found["status"], found["checks"][part]["status"]) == ("degraded", status), found


async def test_health__the_notary_found_something__says_so_until_it_is_acknowledged(
    own: Conn, pool: Pool
) -> None:
    async def audit_check() -> str:
        async with app_on(pool) as (_, client):  # any process, started at any time
            status: str = (await health(client))["checks"]["audit"]["status"]
            return status

    assert await audit_check() == "ok"
    for _ in range(3):
        await audit_alarms.raise_alarm(own, "entry 7 is not what was hashed")
    assert await audit_alarms.standing(own) == ["entry 7 is not what was hashed"]
    assert await audit_check() == "down"

    async with transaction(own) as tx:
        assert len(await audit_alarms.acknowledge(tx, "a test")) == 1

    assert await audit_check() == "ok"
    told = await own.fetchrow(
        "SELECT action, after FROM audit_log WHERE subject = 'audit_alarm' ORDER BY entry_id"
    )
    assert told is not None
    assert (told[0], "a test" in told[1]) == ("update", True)


async def test_health__redis_away__is_degraded(own: Conn, pool: Pool) -> None:
    given = {"redis_url": f"redis://:{CANARY}@127.0.0.1:1/0"}
    async with app_on(pool, **given) as (_, client):
        found = await health(client)
        page = await client.get("/status")

    assert (found["status"], found["checks"]["redis"]["status"]) == ("degraded", "down")
    assert CANARY not in f"{found}{page.text}"
    assert metrics.REGISTRY.get_sample_value("renown_redis_up") == 0


async def test_health__database_away__is_down_within_two_seconds_and_names_no_host(
    own: Conn,
) -> None:
    """A server that takes connections and says nothing is the worst of them."""

    async def mute(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    pool = await connect_pool(
        f"postgresql://someone:{CANARY}@127.0.0.1:{port}/hidden",
        min_size=0,
        max_size=4,
        timeout_seconds=600,
        connect_timeout_seconds=600,
    )
    try:
        async with app_on(pool) as (_, client):
            async with asyncio.timeout(30):  # two, and what a busy machine adds; else 600
                found = await health(client, 503)
            page = await client.get("/status", headers={"Accept": "text/html"})
            alive = await client.get("/healthz")
            text = (await client.get("/metrics")).text
    finally:
        silent.close()
        await pool.close(grace_seconds=0.1)

    assert found["status"] == found["checks"]["database"]["status"] == "down"
    assert alive.status_code == 200
    assert (page.status_code, "down" in page.text) == (503, True)
    assert "\nrenown_db_up 0.0\n" in text
    for said in (str(found), page.text):
        assert not any(word in said for word in (CANARY, "hidden", "127.0.0.1", str(port)))


async def test_health__asked_again_and_again__counts_seldom_but_sees_failures_at_once(
    own: Conn, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health_module, "KEPT_SECONDS", -1.0)
    monkeypatch.setattr(health_module, "COUNTED_SECONDS", 1e9)
    counted: list[str] = []
    asked = vitals.crawl

    async def crawl(conn: Conn) -> vitals.CrawlVitals:
        counted.append("crawl")
        if len(counted) == 1:
            raise StoreError("not now")
        return await asked(conn)

    monkeypatch.setattr(vitals, "crawl", crawl)
    async with app_on(pool) as (_, client):
        seen = [(await health(client))["checks"]["crawler"]["status"] for _ in range(4)]

    assert seen == ["down", "ok", "ok", "ok"]
    assert len(counted) == 2, "what failed is asked again, what was counted is not"


async def test_health__a_flood_of_questions__asks_the_database_once(
    own: Conn, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = 0
    async with app_on(pool) as (app, client):
        desk = app.state.desk
        reading = type(desk).reading

        def counted(self: Any) -> Any:
            nonlocal asked
            asked += 1
            return reading(self)

        monkeypatch.setattr(type(desk), "reading", counted)
        desk.watch.pulse._reading = desk.reading
        answers = await asyncio.gather(*(client.get("/health") for _ in range(50)))

    assert {answer.status_code for answer in answers} == {200}
    assert asked <= 12  # four for a look; a slow machine may look a second time and a third


async def test_watch__database_goes_and_comes_back__db_up_follows(own: Conn, pool: Pool) -> None:
    def is_up() -> float | None:
        return metrics.REGISTRY.get_sample_value("renown_db_up")

    async with app_on(pool) as (app, client):
        desk = app.state.desk
        async with app.router.lifespan_context(app):
            assert is_up() == 1
            desk.pool = None
            await desk.watch.pulse.beat(0.0)
            assert (is_up(), (await client.get("/readyz")).status_code) == (0, 503)
            desk.pool = pool
            await desk.watch.pulse.beat(0.0)
            assert (is_up(), (await client.get("/readyz")).status_code) == (1, 200)


@pytest.mark.parametrize(("name", "status"), [("pre", 200), ("post", 503)])
async def test_watch__schema_of_a_newer_version__only_what_takes_away_ends_this_one(
    own: Conn, pool: Pool, monkeypatch: pytest.MonkeyPatch, name: str, status: int
) -> None:
    monkeypatch.setattr(pulse_module, "SCHEMA_SECONDS", 0.0)
    async with app_on(pool) as (app, client):
        assert (await client.get("/readyz")).status_code == 200
        await own.execute(
            "INSERT INTO schema_migration (number, name, checksum) VALUES (9999, $1, '')",
            f"9999_{name}_next.sql",
        )
        await app.state.desk.watch.pulse.beat(0.0)
        answer = await client.get("/readyz")

    assert answer.status_code == status, answer.text
    assert metrics.REGISTRY.get_sample_value("renown_db_up") == 1, "it does answer"


async def test_watch__no_connection_to_spare__is_no_word_against_the_database(
    own: Conn, pool: Pool
) -> None:
    async with app_on(pool) as (app, client):
        pulse = app.state.desk.watch.pulse
        await pulse.beat(0.0)

        def crowded() -> Any:
            raise Overloaded("too many wait")

        pulse._reading = crowded
        await pulse.beat(0.0)
        found = await health(client)
        ready = await client.get("/readyz")

    assert metrics.REGISTRY.get_sample_value("renown_db_up") == 1
    assert found["checks"]["database"]["status"] == "degraded"
    assert ready.status_code == 200


# The page -----------------------------------------------------------------------------------------


async def test_status_page__for_operators__shows_parts_and_chains_without_acting_on_foreign_text(
    own: Conn, pool: Pool
) -> None:
    await own.execute("UPDATE checkpoint SET problem = '<script>alert(1)</script>'")
    async with app_on(pool) as (_, client):
        answer = await client.get("/status")

    assert answer.status_code == 200
    for word in ("database", "crawler", "audit", "Base", "Coverage"):
        assert word in answer.text
    assert "<script>" not in answer.text


async def test_gauges__of_a_chain_that_is_followed__tell_its_lag(own: Conn, pool: Pool) -> None:
    await own.execute(
        "UPDATE checkpoint SET head_block = 120, block_time = now() - interval '90 s'"
    )
    async with app_on(pool) as (app, _):
        await app.state.desk.watch.pulse.beat(0.0)

    def value(name: str) -> float | None:
        return metrics.REGISTRY.get_sample_value(name, {"chain": "base"})

    lag_seconds = value("renown_indexer_lag_seconds")
    assert lag_seconds is not None
    assert lag_seconds >= 89
    assert value("renown_indexer_following") == 1
