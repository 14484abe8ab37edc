"""The primary dies under writes and the standby takes over: nothing that was accepted is lost.

`renown serve` is a process of its own whose DATABASE_URL names both servers. How often:
`tests.counts`.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from renown.store.pool import connect, connect_pool
from tests.access import PEPPER, PLENTY, give_account
from tests.counts import FAILOVERS
from tests.standby import NAME, Pair, replicating

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
CLIENTS = 12
BACK_SECONDS = 30.0
"""Within this time of the promotion writes are accepted again: it is seconds, but CI is slow."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


class Writes:
    """Clients that make keys, one after the other, and know what they were told."""

    def __init__(self, url: str, everybody: list[dict[str, str]]) -> None:
        self.url, self._everybody = url, everybody
        self.accepted: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.errors_at: list[float] = []
        self.last_good_at = 0.0
        self.done = asyncio.Event()

    async def one_client(self, number: int) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as client:
            turn = 0
            while not self.done.is_set():
                turn += 1
                await asyncio.sleep(0.05)  # an account may have a hundred keys
                name = f"key-{number}-{turn}"
                body = {"name": name, "scopes": ["read"]}
                answer = await client.post("/v1/keys", json=body, headers=self._everybody[number])
                self.outcomes[str(answer.status_code)] += 1
                if answer.status_code == 201:
                    self.accepted.append(name)
                    self.last_good_at = time.monotonic()
                else:
                    assert "retry-after" in answer.headers, answer.text
                    self.errors_at.append(time.monotonic())


@contextmanager
def serving(pair: Pair, folder: Path) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    log = folder / "serve.log"
    environment = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")} | {
        "DATABASE_URL": pair.both,
        "RENOWN_DATA_DIR": str(folder / "serve"),
        "RENOWN_KEY_PEPPER": PEPPER,
        "RENOWN_LIMITS": PLENTY,
        "DB_POOL_MIN_SIZE": "2",
        "DB_POOL_MAX_SIZE": "8",
        "DB_TIMEOUT": "5",
        "DB_COMMAND_TIMEOUT": "5",
    }
    with log.open("w") as output:
        process = subprocess.Popen(
            [*PROGRAM, "serve", "--port", "0"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
        )
    try:
        give_up_at = time.monotonic() + 60
        while (found := re.search(r"serving (http://\S+)/ ", log.read_text())) is None:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < give_up_at, log.read_text()
            time.sleep(0.05)
        yield found[1], process
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", range(FAILOVERS))
def test_primary_killed_under_writes__standby_promoted__no_accepted_write_is_lost(
    number: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with replicating(
        {"fsync": "off", "synchronous_commit": "on", "shared_buffers": "64MB"}
    ) as pair:
        everybody = asyncio.run(prepare(pair))
        with serving(pair, tmp_path) as (url, process):
            writes = Writes(url, everybody)
            story = asyncio.run(fail_over(pair, writes))
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0
        found, lines = asyncio.run(held(pair))

    assert set(writes.outcomes) <= {"201", "503"}, writes.outcomes
    lost = set(writes.accepted) - found
    assert not lost, f"{len(lost)} accepted writes are gone"
    assert lines >= set(writes.accepted), "each accepted write has its entry in the audit log"
    with capsys.disabled():
        print(  # noqa: T201
            f"\nfailover {number}: {len(writes.accepted)} writes accepted, all found;"
            f" {writes.outcomes['503']} answers were 503, {story}"
        )


async def prepare(pair: Pair) -> list[dict[str, str]]:
    """Commits wait for the standby from now on; an account for each client, as its headers."""
    await pair.caught_up()
    conn = await connect(pair.primary.dsn())
    # In the primary's own file: once it is promoted, the standby waits for nobody.
    await conn.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{NAME}'")
    await conn.execute("SELECT pg_reload_conf()")
    async with asyncio.timeout(20):
        while not await conn.fetchval(  # noqa: ASYNC110
            "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'"
        ):
            await asyncio.sleep(0.05)
    await conn.close()
    pool = await connect_pool(pair.primary.dsn())
    made = [await give_account(pool, tier="enterprise") for _ in range(CLIENTS)]
    await pool.close()
    return [one.headers for one in made]


async def fail_over(pair: Pair, writes: Writes) -> str:
    clients = [asyncio.create_task(writes.one_client(number)) for number in range(CLIENTS)]
    try:
        await accepted(writes, 60)
        os.kill(pair.primary.pid, signal.SIGKILL)
        killed_at = time.monotonic()
        await asyncio.sleep(1.0)  # until whoever decides about it has decided
        await pair.promote()
        promoted_at = time.monotonic()
        before = len(writes.accepted)
        async with asyncio.timeout(BACK_SECONDS):
            await accepted(writes, before + 1)
            back_at = time.monotonic()
            await accepted(writes, before + 60)
    finally:
        writes.done.set()
    await asyncio.gather(*clients)
    last_error_at = max(writes.errors_at, default=killed_at)
    return (
        f"first good write {back_at - killed_at:.2f} s after the kill"
        f" ({back_at - promoted_at:.2f} s after the promotion), last error"
        f" {last_error_at - killed_at:.2f} s after the kill"
    )


async def accepted(writes: Writes, wanted: int) -> None:
    async with asyncio.timeout(60):
        while len(writes.accepted) < wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def held(pair: Pair) -> tuple[set[str], set[str]]:
    """Names of the keys that the new primary has, and of those in its audit log."""
    conn = await connect(pair.standby.dsn())
    try:
        keys = {row[0] for row in await conn.fetch("SELECT name FROM api_key")}
        lines = {
            row[0]
            for row in await conn.fetch(
                "SELECT detail -> 'request' ->> 'name' FROM audit_log"
                " WHERE action = 'request' AND status = 201"
            )
        }
    finally:
        await conn.close()
    return keys, lines
