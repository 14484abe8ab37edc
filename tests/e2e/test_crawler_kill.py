"""kill -9 of a crawler at random moments: in the end every URI was read, each attempt is kept once.

`renown crawl` is a process of its own; the web is a local origin that stands for every host under
`.example`. How many kills: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from eth_hash.auto import keccak

from renown.store.pool import Conn
from tests.counts import KILLS
from tests.crawling import held, registration, value
from tests.factories import Story
from tests.fakes.origin import Origin, reply
from tests.integration.test_crawler import give, inline
from tests.reading import reading

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
HOSTS, FILES, INLINE, FEEDBACK = 60, 600, 200, 150
SEED = 8004
DEADLINE_SECONDS = 120.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


def place(number: int) -> str:
    return f"h{number % HOSTS}.example/{number}.json"


async def fill(url: str) -> None:
    """Agents with files on the web and in their URIs, and feedback with files."""
    story = Story()
    for number in range(FILES):
        story.mint(number, uri=f"http://{place(number)}".encode())
        if number % 100 == 0:
            story.next_block()
    for number in range(INLINE):
        story.mint(FILES + number, uri=inline(registration(f"In {number % 40}")))
    story.next_block()
    for number in range(FEEDBACK):
        give(story, f"http://files.example/{number % 50}", keccak(b'{"n": %d}' % (number % 60)))
    await story.write(url)


def serve(origin: Origin) -> None:
    """A sixth of the files is not there."""
    for number in range(FILES):
        if number % 6:
            origin.on(place(number), reply(registration(f"Agent {number % 100}")))
    for number in range(50):
        origin.on(f"files.example/{number}", reply(b'{"n": %d}' % number))


@contextlib.contextmanager
def crawling(url: str, origin: Origin, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, "crawl", "--once"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=inherited | {"DATABASE_URL": url, "RENOWN_FETCH_OPEN": origin.detour},
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def end(process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for its good end."""
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while process.poll() is None:
        assert time.monotonic() < give_up_at, log.read_text()[-2_000:]
        await asyncio.sleep(0.02)
    assert process.returncode == 0, log.read_text()[-2_000:]


async def settled(conn: Conn) -> int:
    return int(await conn.fetchval("SELECT count(*) FROM resolution"))


async def more_than(conn: Conn, stood: int, process: subprocess.Popen[bytes]) -> None:
    """Wait for the next batch, but not beyond the end."""
    while process.poll() is None:
        if await settled(conn) > stood:
            return
        await asyncio.sleep(0.002)


LEASES_RUN_OUT = "UPDATE uri SET due_at = now() WHERE attempts = 0 AND due_at > now()"


async def test_crawler__killed_at_random_moments__ends_as_the_undisturbed_one(
    new_database: Callable[[str], str],
    template: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    dice, log = random.Random(SEED), tmp_path / "crawl.log"
    async with Origin() as origin:
        serve(origin)
        whole = await asyncio.to_thread(new_database, template)
        await fill(whole)
        with crawling(whole, origin, log) as process:
            await end(process, log)
        expected = await held(whole)
        fetches = len(origin.requests)
        attempts = await value(whole, "SELECT count(*) FROM resolution")
        assert attempts == await value(whole, "SELECT count(*) FROM uri")

        kills, places = 0, []
        while kills < KILLS:
            url = await asyncio.to_thread(new_database, template)
            await fill(url)
            before, here = len(origin.requests), 0
            async with reading(url) as conn:
                for _ in range(3):
                    with crawling(url, origin, log) as doomed:
                        stood = await settled(conn)
                        if dice.random() < 0.8:  # the others die while they start
                            await more_than(conn, stood, doomed)
                            await asyncio.sleep(dice.uniform(0, 0.4))
                        else:
                            await asyncio.sleep(dice.uniform(0, 0.8))
                        here += doomed.poll() is None
                    places.append(await settled(conn))
                    await conn.execute(LEASES_RUN_OUT)
            kills += max(1, here)
            with crawling(url, origin, log) as last:
                await end(last, log)
            assert await held(url) == expected
            assert await value(url, "SELECT max(attempts) FROM uri") == 1
            # Only what was under way or not yet kept when it died is asked for again.
            assert len(origin.requests) - before <= fetches + 500 * here
            assert set(origin.busiest.values()) <= {1, 2}

    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of the crawler: {kills} kills, attempts kept at death {sorted(places)} of"
            f" {attempts}; nothing lost, nothing twice\n"
        )
