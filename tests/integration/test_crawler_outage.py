"""Our own network or our gateways are away: nothing is held against anybody for it."""

from __future__ import annotations

from hashlib import sha256

import pytest

from renown.ingest.crawler import Crawler, network
from renown.ingest.crawler import crawler as crawling
from renown.offchain.fetched import Fetched
from renown.spec.uris import Uri
from renown.store.pool import connect
from tests.crawling import Clock, Web, crawl, registration, rows, value
from tests.factories import Story
from tests.integration.test_crawler import made, put
from tests.integration.test_crawler_faults import running, until

CROWD = [f"https://h{n:02}.example/" for n in range(40)]
ATTEMPTS = "SELECT count(*) FROM resolution"


class Plug(Web):
    """A web whose plug can be pulled: then no name resolves."""

    pulled = False

    async def read(
        self, uri: Uri, *, etag: str | None = None, last_modified: str | None = None
    ) -> Fetched:
        found = await super().read(uri, etag=etag, last_modified=last_modified)
        return Fetched(outcome="dns-failed") if self.pulled else found


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(network, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(network, "LONGEST_WAIT_SECONDS", 0.1)
    monkeypatch.setattr(crawling, "LINGER_SECONDS", 0.05)
    monkeypatch.setattr(crawling, "IDLE_SECONDS", 0.05)


def ipfs(n: int) -> str:
    digest = sha256(b"%d" % n).hexdigest()
    return f"ipfs://f01551220{digest}"


async def add(story: Story, url: str, *uris: str) -> None:
    """More agents, from 100 on."""
    for agent_id, uri in enumerate(uris, 100):
        story.next_block().mint(agent_id, uri=uri.encode())
    await story.write(url)


async def test_gateways__away__no_uri_of_theirs_is_given_up_unasked(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, *map(ipfs, range(300)))
    web, clock = Plug(**{ipfs(n): registration(str(n)) for n in range(300)}), Clock()
    web.pulled = True
    for _ in range(6):
        await crawl(fresh_database_url, web, clock)
        clock.pass_(minutes=11)

    assert await value(fresh_database_url, ATTEMPTS) == len(web.calls)
    assert await rows(fresh_database_url, "SELECT host FROM host") == [("ipfs:",)]
    waiting = "SELECT count(*) FROM uri WHERE attempts = 0 AND due_at IS NOT NULL"
    assert await value(fresh_database_url, waiting) >= 300 - 6 * 16

    web.pulled = False
    await crawl(fresh_database_url, web, clock)
    clock.pass_(days=2)
    await crawl(fresh_database_url, web, clock)
    assert await value(fresh_database_url, "SELECT count(*) FROM uri WHERE outcome = 'ok'") == 300


async def test_network__away__nothing_is_counted_and_all_is_read_when_it_is_back(
    fresh_database_url: str,
) -> None:
    known = [f"https://known{n}.example/" for n in range(3)]
    story = await put(fresh_database_url, *known)
    web = Plug(**{uri: registration(uri) for uri in (*known, *CROWD)})
    clock = Clock()
    await crawl(fresh_database_url, web, clock, refresh=made)
    await add(story, fresh_database_url, *CROWD)
    web.pulled = True
    crawler = Crawler(lambda: connect(fresh_database_url), web, clock=clock, refresh=made)
    async with running(crawler):
        await until(lambda: "network" in (crawler.tally.problem or ""))
        asked = len(web.calls)
        await until(lambda: sum(web.asked(uri) for uri in known) > 12)
        # Those that answered before are asked whether they do again; others now and then.
        assert len(web.calls) > asked
        assert await value(fresh_database_url, ATTEMPTS) == len(known)
        assert await value(fresh_database_url, "SELECT count(*) FROM host") == 0

        web.pulled = False
        clock.pass_(minutes=11)
        await until(lambda: crawler.tally.outcomes["ok"] == len(CROWD))
        assert crawler.tally.problem is None
    counts = "SELECT outcome, count(*), max(failures) FROM uri GROUP BY 1"
    assert await rows(fresh_database_url, counts) == [("ok", len(known) + len(CROWD), 0)]


async def test_network__away__a_crawl_that_is_to_end_ends(fresh_database_url: str) -> None:
    known = "https://known.example/"
    story = await put(fresh_database_url, known)
    web, clock = Plug(**{known: registration()}), Clock()
    await crawl(fresh_database_url, web, clock, refresh=made)
    await add(story, fresh_database_url, *CROWD)
    web.pulled = True

    tally = await crawl(fresh_database_url, web, clock, refresh=made)

    assert "network" in (tally.problem or "")
    assert tally.attempts == 0
    due = "SELECT count(*) FROM uri WHERE attempts = 0 AND due_at <= $1"
    clock.pass_(minutes=11)
    assert await value(fresh_database_url, due, clock.now) == len(CROWD)


async def test_network__there__many_hosts_that_are_gone_are_told_from_it(
    fresh_database_url: str,
) -> None:
    known = "https://known.example/"
    story = await put(fresh_database_url, known)
    web, clock = Web(**{known: registration()}), Clock()
    await crawl(fresh_database_url, web, clock, refresh=made)
    await add(story, fresh_database_url, *CROWD)
    web.answers |= dict.fromkeys(CROWD, Fetched(outcome="dns-failed"))

    tally = await crawl(fresh_database_url, web, clock, refresh=made)

    assert (tally.outcomes, tally.problem) == ({"dns-failed": len(CROWD)}, None)
    assert len(web.calls) <= 2 + len(CROWD) + 3 * 2  # a few of them to `known`


async def test_network__nobody_ever_answered__is_doubted_for_a_while_only(
    fresh_database_url: str,
) -> None:
    await put(fresh_database_url, *CROWD)
    web = Web(**dict.fromkeys(CROWD, Fetched(outcome="connect-failed")))

    tally = await crawl(fresh_database_url, web)

    assert tally.outcomes == {"connect-failed": len(CROWD)}
