"""Slow and crowded hosts, a database that goes, crawlers that die: nothing lost, nothing twice."""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
import pytest
from eth_hash.auto import keccak

from renown.ingest.crawler import Crawler
from renown.ingest.crawler import crawler as crawling
from renown.offchain.fetched import Fetched
from renown.store.embedded import ephemeral_postgres
from renown.store.migrate import migrate
from renown.store.pool import Conn, connect
from tests.counts import CRAWL_DEATHS
from tests.crawling import Clock, Web, crawl, held, registration, rows, value
from tests.factories import Story
from tests.integration.test_crawler import give, inline, made, put
from tests.integration.test_trail import follow
from tests.reading import reading

CROWD = 10_000

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


@asynccontextmanager
async def running(crawler: Crawler) -> AsyncIterator[asyncio.Task[None]]:
    """A crawler at work for as long as the block runs."""
    work = asyncio.create_task(crawler.run())
    try:
        yield work
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)


async def until(ready: Callable[[], bool | Awaitable[bool]], seconds: float = 15) -> None:
    give_up_at = time.monotonic() + seconds
    while True:
        found = ready()
        if await found if not isinstance(found, bool) else found:
            return
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.02)


# Hosts -------------------------------------------------------------------------------------------


async def test_a9_crowd__ten_thousand_agents_on_one_host__two_at_a_time_and_others_not_starved(
    fresh_database_url: str,
) -> None:
    crowd = [f"https://crowd.example/{n}.json" for n in range(CROWD)]
    others = [f"https://h{n}.example/a.json" for n in range(60)]
    story = Story()
    for agent_id, uri in enumerate([*crowd, *others]):
        story.mint(agent_id, uri=uri.encode())
        if agent_id % 500 == 0:
            story.next_block()
    await story.write(fresh_database_url)
    await follow(fresh_database_url)  # all are due at once
    web = Web(**{uri: registration(uri[-9:]) for uri in (*crowd[:50], *others)})

    tally = await crawl(fresh_database_url, web)

    assert tally.attempts == len(web.calls) == CROWD + len(others)
    assert web.most_at_once["crowd.example"] == 2
    assert max(web.most_at_once.values()) <= 64
    first_calls = {call.url for call in web.calls[:500]}
    assert first_calls >= {*others}
    assert await rows(
        fresh_database_url, "SELECT count(*), min(attempts), max(attempts) FROM uri"
    ) == [(CROWD + len(others), 1, 1)]


async def test_slow_host__ten_seconds_a_byte__does_not_hold_up_the_rest(
    fresh_database_url: str,
) -> None:
    slow = [f"https://slow{n % 3}.example/{n}" for n in range(60)]
    quick = [f"https://h{n % 40}.example/{n}" for n in range(400)]
    await put(fresh_database_url, *slow, *quick)
    dripping = asyncio.Event()

    async def drip() -> Fetched:
        await dripping.wait()  # as long as the test lives, which is what a deadline would cut
        return Fetched(outcome="timeout")

    web = Web(**{uri: registration(uri) for uri in quick} | dict.fromkeys(slow, drip))
    crawler = Crawler(lambda: connect(fresh_database_url), web, connections=16)
    async with running(crawler):
        await until(lambda: crawler.tally.outcomes["ok"] == len(quick))
        asked = Counter(call.url.split("/")[2] for call in web.calls if call.url in slow)
        assert asked == {f"slow{n}.example": 2 for n in range(3)}
        dripping.set()
        await until(lambda: crawler.tally.outcomes["timeout"] >= 6)

    assert await value(fresh_database_url, "SELECT count(*) FROM host") == 3
    waiting = "SELECT count(*) FROM uri WHERE attempts = 0 AND due_at IS NOT NULL"
    assert await value(fresh_database_url, waiting) == len(slow) - 6


# The database ------------------------------------------------------------------------------------


async def a_world(url: str) -> Web:
    """Agents with files of every kind, feedback with files; what the web has of them."""
    fetched = [f"https://h{n % 7}.example/{n}.json" for n in range(40)]
    inlined = [inline(registration(f"In {n % 5}")) for n in range(20)]
    story = await put(url, *fetched, *inlined, b"gopher://x", b"")
    for n in range(20):
        give(story, f"https://files.example/{n % 10}", keccak(b'{"n": %d}' % (n % 12)))
    give(story, inlined[0], keccak(registration("In 0")))
    await story.write(url)
    files = {f"https://files.example/{n}": b'{"n": %d}' % n for n in range(9)}
    return Web(**{uri: registration(uri[-7:]) for uri in fetched[:30]} | files)


TERMINATE = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
 WHERE datname = current_database() AND application_name = 'renown-crawler'
"""


async def test_database__ends_the_connections_again_and_again__all_is_kept_once(
    fresh_database_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawling, "FIRST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(crawling, "LONGEST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(crawling, "LINGER_SECONDS", 0.01)
    monkeypatch.setattr(crawling, "STANDBY_SECONDS", 0.05)
    web, dice, clock = await a_world(fresh_database_url), random.Random(1), Clock()
    await crawl(database_url, await a_world(database_url), clock, refresh=made)
    web.seconds = 0.02
    crawler = Crawler(
        lambda: connect(fresh_database_url, application_name="renown-crawler"),
        web,
        clock=clock,
        connections=4,
        refresh=made,
    )
    async with running(crawler), reading(fresh_database_url) as admin:
        ended = 0
        for _ in range(8):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            ended += await admin.fetchval(TERMINATE)
    assert ended >= 6

    clock.pass_(minutes=11)  # what was claimed and not settled is claimed again
    await crawl(fresh_database_url, web, clock, refresh=made)

    assert await held(fresh_database_url) == await held(database_url)
    assert len(web.calls) <= 50 + 4 * ended  # only what was under way is asked for twice


async def test_database__gone_and_back__what_was_fetched_meanwhile_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(crawling, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(crawling, "LONGEST_PAUSE_SECONDS", 0.2)
    with ephemeral_postgres(in_memory=True) as server:
        url = server.dsn()
        await migrate(url)
        uris = [f"https://h{n}.example/" for n in range(8)]
        await put(url, *uris)
        web = Web(**{uri: registration(uri) for uri in uris})
        web.seconds = 0.5
        crawler = Crawler(lambda: connect(url), web)
        async with running(crawler):
            await until(lambda: len(web.calls) == 8)
            await asyncio.to_thread(server.stop)
            await until(lambda: crawler.tally.problem is not None)
            assert crawler.tally.attempts == 0
            await asyncio.sleep(0.5)
            await asyncio.to_thread(server.start)
            await until(lambda: crawler.tally.attempts == 8)
            assert crawler.tally.problem is None

        assert len(web.calls) == 8
        assert await value(url, "SELECT count(*) FROM document") == 8


async def test_two_crawlers__the_second_stands_by_and_takes_over(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crawling, "STANDBY_SECONDS", 0.05)
    await put(fresh_database_url, "https://a.example/")
    first, second = (
        Crawler(lambda: connect(fresh_database_url), Web(**{"https://a.example/": registration()}))
        for _ in range(2)
    )
    async with running(first) as working:
        await until(lambda: first.tally.attempts == 1)
        async with running(second):
            await until(lambda: second.tally.problem is not None)
            assert "stand" in (second.tally.problem or "")
            await Story().mint(0).next_block(3).mint(9, uri=b"{}").write(fresh_database_url)
            await until(lambda: first.tally.attempts == 2)
            assert second.tally.attempts == 0

            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            await until(lambda: second.tally.problem is None)
            story = Story().next_block(9).mint(10, uri=b'{"a": 1}')
            await story.write(fresh_database_url)
            await until(lambda: second.tally.attempts == 1)
    assert await value(fresh_database_url, "SELECT count(*) FROM resolution") == 3


# Dying -------------------------------------------------------------------------------------------


class Killed(BaseException):
    """The end of the process, as far as a test can go without one."""


class Axe:
    """Ends everything at one of the statements: before it, or after it and before its answer.

    `seen` counts the statements so far by their first words, `fell` says whether it fell.
    """

    def __init__(self, label: str | None = None, *, number: int = 1, after: bool = False) -> None:
        self.seen: Counter[str] = Counter()
        self.fell = False
        self._at = (label, number)
        self._after = after

    async def around(self, conn: Any, statement: str, run: Callable[[], Awaitable[Any]]) -> Any:
        if self.fell:
            raise Killed  # nobody is alive any more
        label = label_of(statement)
        self.seen[label] += 1
        falls = (label, self.seen[label]) == self._at
        if falls and not self._after:
            self._fall(conn)
        answer = await run()
        if falls:
            self._fall(conn)
        return answer

    def _fall(self, conn: Any) -> None:
        self.fell = True
        conn.terminate()
        raise Killed


def label_of(statement: str) -> str:
    return " ".join(re.sub(r"\s+", " ", statement).split()[:6])


def mortal(axe: Axe) -> Any:
    """A kind of connection under an axe."""

    class Mortal(asyncpg.Connection):
        async def execute(self, query: str, *args: Any, **more: Any) -> Any:
            return await axe.around(self, query, lambda: super(Mortal, self).execute(query, *args))

        async def fetch(self, query: str, *args: Any, **more: Any) -> Any:
            return await axe.around(self, query, lambda: super(Mortal, self).fetch(query, *args))

        async def fetchrow(self, query: str, *args: Any, **more: Any) -> Any:
            run = super().fetchrow
            return await axe.around(self, query, lambda: run(query, *args))

        async def fetchval(self, query: str, *args: Any, **more: Any) -> Any:
            run = super().fetchval
            return await axe.around(self, query, lambda: run(query, *args))

    return Mortal


async def crawl_under(axe: Axe, url: str, web: Web, clock: Clock) -> bool:
    """Crawl to the end, or to one's own. Returns whether the axe fell."""
    kind = mortal(axe)
    opened: list[Conn] = []

    async def opening() -> Conn:
        conn: Conn = await asyncpg.connect(url, connection_class=kind)
        opened.append(conn)
        return conn

    crawler = Crawler(opening, web, clock=clock, refresh=made, connections=8)
    work = asyncio.create_task(crawler.run_until_idle())
    try:
        async with asyncio.timeout(30):
            await asyncio.wait([work])
        if not axe.fell:
            work.result()
        else:
            work.exception()
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        for conn in opened:
            conn.terminate()
    return axe.fell


CLEAR = """
TRUNCATE trail, uri, document, resolution, attachment, host, profile_due, agent_profile
RESTART IDENTITY
"""


async def test_crawler__killed_at_any_statement__loses_nothing_and_does_nothing_twice(
    fresh_database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(crawling, "LINGER_SECONDS", 0.005)
    monkeypatch.setattr(crawling, "STANDBY_SECONDS", 0.02)
    url, clock = fresh_database_url, Clock()
    fetched = [f"https://h{n}.example/" for n in range(6)]
    story = await put(url, *fetched, inline(registration("In")), b"words")
    give(story, "https://files.example/", keccak(b"{}"))
    await story.write(url)

    def web() -> Web:
        found = Web(**{uri: registration(uri) for uri in fetched[:4]})
        found.answers["https://files.example/"] = b"{}"
        found.answers[fetched[5]] = Fetched(outcome="connect-failed")
        return found

    whole = Axe()
    assert not await crawl_under(whole, url, web(), clock)
    expected = await held(url)
    labels = sorted(whole.seen)
    assert len(labels) > 25
    deaths = 0
    for number, label in enumerate(labels):
        # At least one death each, before the statement or after it.
        for after in (number % 2 == 0, number % 2 == 1)[:CRAWL_DEATHS]:
            async with reading(url) as conn:
                await conn.execute(CLEAR)
            fetches = web()
            deaths += await crawl_under(Axe(label, after=after), url, fetches, clock)
            asked = len(fetches.calls)
            clock.pass_(minutes=11)
            await crawl(url, fetches, clock, refresh=made)

            assert await held(url) == expected, (label, after)
            assert len(fetches.calls) <= 7 + asked, (label, after)
    assert deaths >= CRAWL_DEATHS * len(labels) - 6  # some happen only now and then
    with capsys.disabled():
        sys.stdout.write(
            f"\ncrawler killed {deaths} times, around each of {len(labels)} statements\n"
        )
