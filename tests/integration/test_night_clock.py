"""This machine's clock is a day off, or steps by a day: what depends on time goes by the database's
clock, or by one that never steps."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from renown.store.audit_entries import NewEntry, append
from renown.store.pool import Conn, connect
from tests.access import Api, Signer, acting_api, bearer, give_account, give_key
from tests.audited import entries, flushed, last_entry
from tests.auditing import checked_at, notary
from tests.command import renown
from tests.integration.test_api_answers import devnet_story

DAY = 86_400
STEPS = (DAY, -DAY)
WALLET = Signer(0xF0271)

Step = Callable[[float], None]


class _Clock:
    """How far this process's wall clock is off."""

    seconds = 0.0


class _Wrong(dt.datetime):
    @classmethod
    def now(cls, tz: Any = None) -> Any:
        return dt.datetime.now(tz) + dt.timedelta(seconds=_Clock.seconds)


@pytest.fixture
def step(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Step]:
    """Sets this process's wall clock that many seconds off, in all of Renown."""
    true = time.time
    monkeypatch.setattr(_Clock, "seconds", 0.0)
    monkeypatch.setattr(time, "time", lambda: true() + _Clock.seconds)
    for name, module in [*sys.modules.items()]:
        if name.startswith("renown.") and vars(module).get("datetime") is dt.datetime:
            monkeypatch.setattr(module, "datetime", _Wrong)

    def to(seconds: float) -> None:
        monkeypatch.setattr(_Clock, "seconds", seconds)

    return to  # type: ignore[return-value]


@pytest.fixture
async def api(database_url: str) -> AsyncIterator[Api]:
    async with acting_api(database_url, sign_up=True) as api:
        yield api


async def sign_in(api: Api, between: Callable[[], None] = lambda: None) -> dict[str, Any]:
    asked = await api.client.post("/v1/sessions/challenge", json={"address": WALLET.address})
    between()
    message = asked.raise_for_status().json()["message"]
    said = {"message": message, "signature": WALLET.sign(message)}
    answer = await api.client.post("/v1/sessions", json=said)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def off_by(text: str) -> float:
    """How far a time that was told is from the true one, in seconds."""
    return (dt.datetime.fromisoformat(text) - dt.datetime.now(dt.UTC)).total_seconds()


@pytest.mark.parametrize("seconds", STEPS)
async def test_signing_in__while_the_clock_steps__works_and_lasts_its_hour(
    api: Api, step: Step, seconds: float
) -> None:
    for before, between in ((0.0, seconds), (seconds, 0.0), (seconds, seconds)):
        step(before)
        session = await sign_in(api, lambda between=between: step(between))  # type: ignore[misc]
        assert 3_500 < off_by(session["expires_at"]) < 3_700
        for off in (0.0, seconds):
            step(off)
            answer = await api.client.get("/v1/account", headers=bearer(session["key"]))
            assert answer.status_code == 200, (before, between, off)


@pytest.mark.parametrize("seconds", STEPS)
async def test_keys__that_end__do_so_by_the_databases_clock(
    api: Api, step: Step, seconds: float
) -> None:
    holder = await give_account(api.pool)
    account_id = holder.account.account_id
    over = await give_key(api.pool, account_id, lifetime=dt.timedelta(seconds=-5))
    good = await give_key(api.pool, account_id, lifetime=dt.timedelta(hours=1))
    step(seconds)
    for key, status in ((over, 401), (good, 200)):
        answer = await api.client.get("/v1/account", headers=bearer(key.text))
        assert answer.status_code == status
    await api.app.state.desk.gate.close()  # notes when keys were used
    async with api.pool.connection() as conn:
        ago = await conn.fetchval(
            "SELECT extract(epoch FROM now() - last_used_at) FROM api_key WHERE key_id = $1",
            good.row.key_id,
        )
    assert 0 <= ago < 60


@pytest.mark.parametrize("seconds", STEPS)
async def test_limits__that_are_reached__stay_so_while_the_clock_steps(
    database_url: str, step: Step, seconds: float
) -> None:
    few = json.dumps({"free": {"read": 3, "search": 3, "write": 3, "auth": 3}})
    async with acting_api(database_url, limits_json=few) as api:
        holder = await give_account(api.pool)
        seen = []
        for off in (0.0, 0.0, seconds, 0.0, seconds, -seconds):
            step(off)
            answer = await api.client.get("/v1/account", headers=holder.headers)
            seen.append(answer.status_code)
            if answer.status_code == 429:
                assert 0 < int(answer.headers["Retry-After"]) <= 120
    assert 429 in seen
    assert seen == sorted(seen)


@pytest.mark.parametrize("seconds", STEPS)
async def test_entries__of_requests__have_the_databases_time_and_a_pseudonym(
    api: Api, step: Step, seconds: float
) -> None:
    holder = await give_account(api.pool)
    before = await last_entry(api.pool)
    for off in (0.0, seconds, 0.0, -seconds):
        step(off)
        await api.client.post("/v1/keys", json={}, headers=holder.headers)
        await api.client.get("/v1/account", headers=holder.headers)
        await api.client.get("/v1/account", headers=bearer("x"))
        await flushed(api)
    told = await entries(api.pool, "request", "read", "refused", after=before)
    assert len(told) == 12
    assert all(one.address is not None for one in told)
    async with api.pool.connection() as conn:
        rows = await conn.fetch(
            "SELECT action, extract(epoch FROM clock_timestamp() - at)::float8 AS age"
            "  FROM audit_log WHERE entry_id > $1 ORDER BY entry_id",
            before,
        )
    assert all(0 <= row["age"] < 120 for row in rows)
    ages = [row["age"] for row in rows if row["action"] == "request"]
    assert ages == sorted(ages, reverse=True)  # as they came

    summary = await api.client.get("/v1/audit/summary", headers=holder.headers)
    assert {one["action"] for one in summary.json()["items"]} >= {"request", "read"}


async def test_health__of_what_was_seen_tomorrow__has_no_ages_below_none(
    fresh_database_url: str, step: Step
) -> None:
    await devnet_story().write(fresh_database_url, final=3)
    conn = await connect(fresh_database_url)
    await conn.execute(
        "UPDATE checkpoint SET head_seen_at = now() + interval '1 day',"
        " block_time = now() + interval '1 day', head_block = block_number + 1;"
        " REFRESH MATERIALIZED VIEW network;"
        " INSERT INTO view_refresh (view, refreshed_at, duration_ms)"
        " SELECT view, now() + interval '1 day', 1 FROM v_view_age"
    )
    await append(conn, [NewEntry(action="request", subject="/x", at=_tomorrow())])
    await conn.close()
    async with acting_api(fresh_database_url) as api:
        for seconds in (0.0, *STEPS):
            step(seconds)
            await api.app.state.desk.watch.pulse.beat(0.0)
            for path in ("/health", "/v1/status", "/readyz", "/status"):
                answer = await api.client.get(path)
                assert answer.status_code in (200, 503), (path, answer.text)
            found = (await api.client.get("/health")).json()["checks"]
            ages = {name: one["age_seconds"] for name, one in found.items()}
            assert all(age is None or age >= 0 for age in ages.values()), ages
            assert ages["views"] == 0
            text = (await api.client.get("/metrics")).text
            for line in text.splitlines():
                series, _, value = line.rpartition(" ")
                if "_age_seconds" in series or "_lag_seconds" in series:
                    assert line.startswith("#") or float(value) >= 0, line


async def test_checkpoints__while_the_clock_steps__come_as_they_are_due(
    fresh_database_url: str, tmp_path: Path, step: Step
) -> None:
    work = asyncio.create_task(notary(fresh_database_url, tmp_path, checkpoint_seconds=0.1).run())
    conn = await connect(fresh_database_url)
    try:
        for seconds in (0.0, DAY, -DAY, 0.0):
            step(seconds)
            await append(conn, [NewEntry(action="request", subject="/x")])
            entry_id = await conn.fetchval("SELECT max(entry_id) FROM audit_log")
            await _until_signed(conn, entry_id)
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await conn.close()
    found = await checked_at(fresh_database_url, tmp_path)
    assert found.is_whole, found.findings


def test_retention__by_a_clock_that_is_years_ahead__removes_nothing(
    fresh_database_url: str, tmp_path: Path, step: Step
) -> None:
    settings = {"DATABASE_URL": fresh_database_url, "RENOWN_DATA_DIR": str(tmp_path)}

    async def some() -> int:
        conn = await connect(fresh_database_url)
        await append(conn, [NewEntry(action="request", subject="/x")] * 3)
        count: int = await conn.fetchval("SELECT count(*) FROM audit_log")
        await conn.close()
        return count

    held = asyncio.run(some())
    assert renown("audit", "checkpoint", "--now", **settings).code == 0
    step(5 * 365 * DAY)
    done = renown("audit", "retention", "--yes", **settings)
    assert done.code == 0, done.err
    assert asyncio.run(some()) == held + 3
    told = renown("audit", "verify", **settings)
    assert told.code == 0, told.err


SIGNED = """
SELECT EXISTS (SELECT FROM audit_leaf f JOIN audit_checkpoint c ON c.size > f.seq
                WHERE f.entry_id = $1)
"""


async def _until_signed(conn: Conn, entry_id: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if await conn.fetchval(SIGNED, entry_id):
                return
            await asyncio.sleep(0.02)


def _tomorrow() -> dt.datetime:
    return dt.datetime.now(dt.UTC) + dt.timedelta(days=1)
