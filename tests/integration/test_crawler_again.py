"""What is tried again: who hears of it, what it costs, and when it ends."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from renown.ingest.crawler.attempt import Attempt
from renown.ingest.crawler.settling import settle
from renown.offchain.fetched import Fetched
from renown.store import attachments, uris
from renown.store.pool import Conn, transaction
from tests.crawling import Clock, Web, crawl, due_agents, registration, value
from tests.integration.test_crawler import A, give, inline, made, put
from tests.reading import reading

CID = "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy"


@pytest.fixture
async def writing(fresh_database_url: str) -> AsyncIterator[Conn]:
    async with reading(fresh_database_url) as conn:
        yield conn


async def told(conn: Conn, clock: Clock, fetched: Fetched) -> bool:
    """Settle one more attempt at the only URI. Returns whether its agent is to hear of it."""
    clock.pass_(days=40)
    until = clock.now
    claimed = [
        due
        for stage in uris.STAGES
        for due in await uris.claim(conn, stage, {"a.example": 1}, clock.now, until=until)
    ]
    (due,) = claimed
    await settle(conn, [Attempt(due, clock.now, fetched)], clock.now)
    heard = await due_agents(conn) == [0]
    await made(conn)
    return heard


async def test_settle__fails_again_as_before__nobody_hears_of_it_but_the_third_time(
    fresh_database_url: str, writing: Conn
) -> None:
    story = await put(fresh_database_url, A)
    give(story, A)
    await story.write(fresh_database_url)
    clock = Clock()
    await crawl(fresh_database_url, Web(**{A: registration()}), clock, refresh=made)
    checked = "SELECT checked_at FROM attachment"
    missing = Fetched(outcome="http-error", status=404)

    assert await told(writing, clock, missing)  # it was there before
    before = await value(fresh_database_url, checked)
    assert not await told(writing, clock, missing)
    assert await value(fresh_database_url, checked) == before
    assert await told(writing, clock, missing)  # what its host confirmed counts no longer
    assert [await told(writing, clock, missing) for _ in range(4)] == [False] * 4
    assert await told(writing, clock, Fetched(outcome="http-error", status=410))
    assert await told(writing, clock, Fetched(outcome="timeout", reason="deadline"))
    assert await told(writing, clock, Fetched(outcome="timeout", reason="silence"))
    assert not await told(writing, clock, Fetched(outcome="timeout", reason="silence"))


async def test_attachments__one_more_of_thousands_on_one_uri__looks_at_those_pending_only(
    fresh_database_url: str, writing: Conn
) -> None:
    file = inline(b"{}")
    story = await put(fresh_database_url, file)
    for _ in range(3_000):
        give(story, file)
    await story.write(fresh_database_url)
    await crawl(fresh_database_url, Web())
    uri_id = await value(fresh_database_url, "SELECT min(uri_id) FROM attachment")
    await writing.execute(
        "UPDATE attachment SET verdict = 'pending'"
        " WHERE log_index = (SELECT min(log_index) FROM attachment)"
    )
    await writing.execute("VACUUM attachment")  # all were pending once
    await uris.plan_by_key(writing)

    async def reads() -> int:
        await writing.execute("SELECT pg_stat_force_next_flush()")
        count: int = await writing.fetchval(
            "SELECT sum(idx_tup_read) + (SELECT seq_tup_read FROM pg_stat_user_tables"
            "                             WHERE relname = 'attachment')"
            "  FROM pg_stat_user_indexes WHERE relname = 'attachment'"
        )
        return count

    async def of_uri(*, pending: bool) -> tuple[int, int]:
        """How many are found, and how many are looked at for it."""
        before = await reads()
        async with transaction(writing) as tx:
            found = [one async for one in attachments.of_uris(tx, [uri_id], pending=pending)]
        return len(found), await reads() - before

    found, looked_at = await of_uri(pending=True)
    assert found == 1
    assert looked_at <= 10
    found, looked_at = await of_uri(pending=False)
    assert found == 3_000
    assert looked_at >= 3_000


async def test_refresh__content_that_could_not_be_proven__is_read_a_few_times_more(
    fresh_database_url: str,
) -> None:
    unproven = f"ipfs://{CID}/agent.json"
    await put(fresh_database_url, unproven, f"ipfs://{CID}", inline(b"{}"))
    proven = Fetched(outcome="ok", status=200, body=registration(), verified=True)
    web, clock = Web(**{unproven: registration()}), Clock()
    web.answers[f"ipfs://{CID}"] = proven
    asked = []
    for days in (0, 0.8, 0.4, 6, 2, 26, 8, 40, 400):
        clock.pass_(days=days)
        await crawl(fresh_database_url, web, clock)
        asked.append(web.asked(unproven))

    assert asked == [1, 1, 2, 2, 3, 3, 4, 4, 4]
    assert web.asked(f"ipfs://{CID}") == 1
    assert {call.etag for call in web.calls} == {None}  # to be proven it has to be read whole
    assert await value(fresh_database_url, "SELECT count(due_at) FROM uri") == 0


async def test_refresh__content_is_proven_at_last__is_left_alone_then(
    fresh_database_url: str,
) -> None:
    uri = f"ipfs://{CID}/agent.json"
    await put(fresh_database_url, uri)
    web, clock = Web(**{uri: registration()}), Clock()
    await crawl(fresh_database_url, web, clock, refresh=made)
    web.answers[uri] = Fetched(outcome="ok", status=200, body=registration(), verified=True)
    for _ in range(5):
        clock.pass_(days=40)
        await crawl(fresh_database_url, web, clock, refresh=made)

    assert web.asked(uri) == 2
    assert await value(fresh_database_url, "SELECT verified FROM uri")
