"""The API through PgBouncer in transaction mode, with the settings that are shipped."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from structlog.testing import capture_logs

from renown.api.access.idempotent import prepared_once
from renown.api.access.principal import Access, principal_of, wants
from renown.api.routing import StrictRoute
from renown.cli import runtime
from renown.cli.person import acting_as
from renown.cli.settings_seen import note
from renown.errors import BadSettings, StoreError
from renown.settings import Settings
from renown.store.accounts import create_account
from renown.store.pool import Pool, Tx, connect, connect_pool
from tests.access import acting_api, give_account
from tests.pgbouncer import PgBouncer

BACKENDS = 8
CLIENTS = 200


@pytest.fixture
def pgbouncer(fresh_database_url: str) -> Iterator[PgBouncer]:
    sizes = {"default_pool_size": BACKENDS, "max_db_connections": BACKENDS, "min_pool_size": 0}
    with PgBouncer(fresh_database_url, **sizes) as running:
        yield running


@asynccontextmanager
async def pool_through(pgbouncer: PgBouncer, size: int) -> AsyncIterator[Pool]:
    pool = await connect_pool(
        pgbouncer.url, min_size=0, max_size=size, statement_cache_size=0, timeout_seconds=30
    )
    try:
        yield pool
    finally:
        await pool.close(grace_seconds=2)


async def test_many_clients__few_backends__each_gets_its_own_answers(
    pgbouncer: PgBouncer, fresh_database_url: str
) -> None:
    """Statements of many clients meet on few backends: none may get another's statement, row,
    transaction or setting."""
    async with pool_through(pgbouncer, CLIENTS) as pool:

        async def client(number: int) -> None:
            async with pool.connection() as conn:
                for turn in range(3):
                    mark = number * 10 + turn
                    assert await conn.fetchval("SELECT $1::bigint + 1", mark) == mark + 1
                    row = await conn.fetchrow("SELECT $1::text AS a, $2::numeric AS b", "x", mark)
                    assert row is not None
                    assert tuple(row) == ("x", mark)
                    async with conn.transaction():
                        said = str(mark)
                        await conn.execute("SELECT set_config('renown.acting', $1, true)", said)
                        await conn.execute("SELECT pg_advisory_xact_lock($1)", number)
                        assert (
                            await conn.fetchval("SELECT current_setting('renown.acting')") == said
                        )
                    assert await conn.fetchval(
                        "SELECT coalesce(current_setting('renown.acting', true), '')"
                    ) in ("", None)

        await asyncio.gather(*(client(number) for number in range(CLIENTS)))
        assert pool.stats().size > BACKENDS

    direct = await connect(fresh_database_url)
    try:
        used = await direct.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
    finally:
        await direct.close()
    assert used <= BACKENDS


async def test_the_api__reads_and_writes__as_without(
    pgbouncer: PgBouncer, fresh_database_url: str
) -> None:
    async with (
        pool_through(pgbouncer, 40) as pool,
        acting_api(fresh_database_url, pool=pool) as api,
    ):
        me = await give_account(pool)
        app = api.app

        async def nothing() -> None:
            return

        async def work(tx: Tx, _: None) -> Response:
            made = await create_account(tx, "made once", tier="free")
            return JSONResponse({"account": made.account_id}, 201)

        @wants(Access("write", "write"))
        async def endpoint(request: Request) -> Response:
            return await prepared_once(request, principal_of(request), nothing, work)

        app.router.routes.append(StrictRoute("/v1/test", endpoint, methods=["POST"]))
        once = {**me.headers, "Idempotency-Key": str(uuid4())}
        made = await asyncio.gather(
            *(api.client.post("/v1/test", json={}, headers=once) for _ in range(6))
        )
        assert {answer.status_code for answer in made} <= {201, 409}, made[0].text
        again = await api.client.post("/v1/test", json={}, headers=once)
        assert (again.status_code, again.headers["Idempotent-Replayed"]) == (201, "true")
        async with pool.connection() as conn:
            assert await conn.fetchval("SELECT count(*) FROM account WHERE name = 'made once'") == 1

        paths = ("/v1/agents", "/v1/chains", "/v1/status", "/v1/account", "/v1/keys", "/readyz")
        answers = await asyncio.gather(
            *(api.client.get(path, headers=me.headers) for path in paths for _ in range(10))
        )
        assert Counter(answer.status_code for answer in answers) == {200: 60}

        written = await pool_entries(pool)
        assert written["request"] >= 1, "the audit entry of a write goes through, too"


async def test_serve__where_only_the_pooler_is_known__starts_and_leaves_no_session_changed(
    pgbouncer: PgBouncer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "say_who_for_good", pytest.fail)
    settings = Settings(database_url=SecretStr(pgbouncer.url), pg_statement_cache=0)
    async with runtime.database(settings, service=True) as where:
        await where.check_schema()
        with acting_as("renown serve"), capture_logs() as logs:
            await note(where.briefly, "api", settings)
        (await where.listen()).terminate()
        for needs_a_session in (where.connect, where.own, where.migrate):
            with pytest.raises(BadSettings, match="DATABASE_DIRECT_URL"):
                await needs_a_session()

    assert logs == []
    async with pool_through(pgbouncer, 2) as pool, pool.connection() as conn:
        noted = await conn.fetchval("SELECT count(*) FROM installation_setting")
        left = await conn.fetchval("SELECT current_setting('renown.acting', true)")
    assert noted > 0
    assert left in ("", None)


async def pool_entries(pool: Pool) -> Counter[str]:
    async with pool.connection() as conn:
        rows = await conn.fetch("SELECT action, count(*) AS n FROM audit_log GROUP BY action")
    return Counter({row["action"]: row["n"] for row in rows})


async def test_restarted_under_load__errors_end_and_all_is_well_again(
    pgbouncer: PgBouncer, capsys: pytest.CaptureFixture[str]
) -> None:
    async with pool_through(pgbouncer, 20) as pool:
        outcomes: Counter[str] = Counter()
        last_error_at = 0.0
        done = asyncio.Event()

        async def client() -> None:
            nonlocal last_error_at
            while not done.is_set():
                try:
                    async with asyncio.timeout(10), pool.transaction() as tx:
                        assert await tx.fetchval("SELECT $1::int", 7) == 7
                except StoreError as exc:
                    outcomes[exc.slug] += 1
                    last_error_at = time.monotonic()
                    await asyncio.sleep(0.02)
                else:
                    outcomes["ok"] += 1

        async def come_to(slug: str, count: int) -> None:
            async with asyncio.timeout(60):
                while outcomes[slug] < count:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)

        clients = [asyncio.create_task(client()) for _ in range(60)]
        await come_to("ok", 200)
        await asyncio.to_thread(pgbouncer.kill)
        await come_to("database-unavailable", 60)
        await asyncio.to_thread(pgbouncer.start)
        back_at = time.monotonic()
        await come_to("ok", outcomes["ok"] + 500)
        done.set()
        await asyncio.gather(*clients)

        assert set(outcomes) <= {"ok", "database-unavailable"}
        stats = pool.stats()
        assert (stats.busy, stats.waiters) == (0, 0)
    with capsys.disabled():
        late = max(0.0, last_error_at - back_at)
        print(  # noqa: T201
            f"\nPgBouncer restarted: {dict(outcomes)}, last error {late:.2f} s after it was back"
        )
