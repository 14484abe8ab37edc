"""The trail: what facts name is learnt, what they take back goes, however the index moves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from eth_hash.auto import keccak

from renown.ingest.crawler import trail
from renown.ingest.repair import rebuild
from renown.spec.events import Fact, FeedbackGiven, ValidationResponded
from renown.store.forget import forget
from renown.store.lease import reopen
from renown.store.pool import Conn, connect
from renown.store.writer import Writer
from tests.crawling import BEGINNING, due_agents, held, rows, value
from tests.factories import ALICE, BASE, BOB, CAROL, DEVNET, REGISTRY_2, Story

CHAIN = DEVNET.chain_id
HASH = keccak(b"what was promised")

URIS = "SELECT convert_from(uri, 'UTF8'), kind, host, fixed, stage, due_at IS NOT NULL FROM uri"
NAMES = "SELECT convert_from(uri, 'UTF8') FROM uri ORDER BY 1"
DUE = "SELECT convert_from(uri, 'UTF8') FROM uri WHERE due_at IS NOT NULL ORDER BY 1"


async def follow(url: str) -> int:
    """Follow to the tip. Returns how many steps that took."""
    conn = await connect(url)
    try:
        steps = 0
        while await trail.follow(conn, BEGINNING):
            steps += 1
        return steps
    finally:
        await conn.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Conn]:
    conn = await connect(url)
    try:
        yield conn
    finally:
        await conn.close()


@asynccontextmanager
async def writer_of(url: str) -> AsyncIterator[Writer]:
    async with opened(url) as conn:
        yield await reopen(conn, DEVNET, name="test")


def give(story: Story, agent_id: int, uri: bytes, content_hash: bytes = bytes(32)) -> Fact:
    """Feedback with a file."""
    return story.add(
        FeedbackGiven,
        DEVNET.reputation,
        agent_id=agent_id,
        client=BOB,
        feedback_index=story.number,
        value=80,
        decimals=0,
        tag1=b"starred",
        tag2=b"",
        endpoint=b"",
        uri=uri,
        content_hash=content_hash,
    )


def a_story() -> Story:
    """Every kind of fact that names a URI, and one that names an empty one."""
    story = Story().mint(0, uri=b"https://a.example/0.json").mint(1, uri=b"")
    story.next_block().mint(2, uri=b"data:application/json,{}").say_uri(1, b"http://b.example/1")
    story.next_block()
    give(story, 0, b"https://files.example/f", HASH)
    story.respond(0, BOB, story.number, uri=b"ar://" + b"A" * 43)
    story.next_block().ask_validation(2, b"please")
    story.add(
        ValidationResponded,
        REGISTRY_2,
        agent_id=2,
        validator=CAROL,
        request_hash=keccak(b"please"),
        response=90,
        uri=b"just words",
        content_hash=bytes(32),
        tag=b"",
    )
    return story


async def test_follow__every_kind_of_fact__learns_its_uri(fresh_database_url: str) -> None:
    await a_story().write(fresh_database_url)

    assert await follow(fresh_database_url) > 0

    assert sorted(await rows(fresh_database_url, URIS)) == [
        ("ar://" + "A" * 43, "ar", "ar:", True, 1, True),
        ("data:application/json,{}", "data", "", True, 0, True),
        ("http://b.example/1", "http", "b.example", False, 0, True),
        ("https://a.example/0.json", "https", "a.example", False, 0, True),
        ("https://files.example/f", "https", "files.example", False, 1, True),
        ("ipfs://please", "unsupported", "", False, 1, False),
        ("just words", "unsupported", "", False, 1, False),
    ]
    attached = await rows(
        fresh_database_url,
        "SELECT role, agent_id, convert_from(u.uri, 'UTF8'), content_hash, verdict"
        "  FROM attachment JOIN uri u USING (uri_id) ORDER BY block_number, log_index",
    )
    assert attached == [
        ("feedback", 0, "https://files.example/f", HASH, "pending"),
        ("response", 0, "ar://" + "A" * 43, None, "pending"),
        ("request", 2, "ipfs://please", keccak(b"please"), "unfetchable"),
        ("validation", 2, "just words", None, "unfetchable"),
    ]
    async with opened(fresh_database_url) as conn:
        assert await due_agents(conn) == [0, 1, 2]


async def test_follow__at_the_tip__does_nothing_and_a_second_walk_changes_nothing(
    fresh_database_url: str,
) -> None:
    await a_story().write(fresh_database_url)
    await follow(fresh_database_url)
    before = await held(fresh_database_url)

    assert await follow(fresh_database_url) == 0
    async with opened(fresh_database_url) as conn:
        await conn.execute("UPDATE trail SET block_number = 0")
    assert await follow(fresh_database_url) > 0

    assert await held(fresh_database_url) == before


async def test_follow__in_small_steps__comes_to_the_same(
    fresh_database_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for url in (fresh_database_url, database_url):
        await a_story().write(url)
    whole = await follow(database_url)

    monkeypatch.setattr(trail, "STEP_FACTS", 1)
    assert await follow(fresh_database_url) >= whole + 3
    assert await held(fresh_database_url) == await held(database_url)


async def test_follow__uris_of_many_bytes__takes_few_of_them_at_a_time(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    for n in range(6):
        story.mint(n, uri=b"data:,%d" % n + b"x" * 50_000).next_block()
    await story.write(fresh_database_url)

    monkeypatch.setattr(trail, "STEP_BYTES", 120_000)
    assert await follow(fresh_database_url) == 1 + 3  # one begins
    assert await value(fresh_database_url, "SELECT count(*) FROM uri") == 6


async def test_follow__a_uri_that_no_agent_has_any_more__is_known_and_not_due(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0, uri=b"https://old.example/").mint(1, uri=b"data:,old")
    story.say_uri(0, b"https://new.example/").say_uri(1, b"data:,new")
    await story.write(fresh_database_url)

    await follow(fresh_database_url)

    assert await rows(fresh_database_url, DUE) == [
        ("data:,new",),
        ("data:,old",),  # the past is asked for too, and this is all there is to read
        ("https://new.example/",),
    ]

    story.next_block().say_uri(0, b"https://old.example/")
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    assert ("https://old.example/",) in await rows(fresh_database_url, DUE)


async def test_follow__a_file_that_becomes_an_agents_uri__goes_first(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0)
    give(story, 0, b"https://a.example/")
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    assert await value(fresh_database_url, "SELECT stage FROM uri") == 1

    await story.next_block().say_uri(0, b"https://a.example/").write(fresh_database_url)
    await follow(fresh_database_url)
    assert await value(fresh_database_url, "SELECT stage FROM uri") == 0


# The index moves back ----------------------------------------------------------------------------


async def test_follow__a_reorg__takes_attachments_back_and_looks_at_the_agents_again(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0, uri=b"https://first.example/").mint(1).next_block()
    give(story, 0, b"https://kept.example/")
    story.next_block().say_uri(0, b"https://second.example/")
    give(story, 1, b"https://orphan.example/", HASH)
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    assert ("https://first.example/",) not in await rows(fresh_database_url, DUE)

    async with writer_of(fresh_database_url) as writer:
        await writer.retract(story.ref(2), 2)
        await writer._conn.execute("DELETE FROM profile_due")
    await follow(fresh_database_url)

    left = "SELECT convert_from(u.uri, 'UTF8') FROM attachment JOIN uri u USING (uri_id)"
    assert await rows(fresh_database_url, left) == [("https://kept.example/",)]
    assert ("https://first.example/",) in await rows(fresh_database_url, DUE)
    async with opened(fresh_database_url) as conn:
        assert await due_agents(conn) == [0, 1]
        stood = await conn.fetchrow("SELECT block_number, block_hash, position FROM trail")
        assert stood is not None
        assert tuple(stood) == (2, story.hash_of(2), 2)

    # The other branch has the same feedback at another place.
    fork = Story(first_block=1).next_block(2)
    give(fork, 1, b"https://orphan.example/", HASH)
    await fork.write(fresh_database_url)
    await follow(fresh_database_url)
    found = await rows(fresh_database_url, "SELECT block_number, role FROM attachment ORDER BY 1")
    assert found == [(2, "feedback"), (3, "feedback")]


async def test_follow__a_reorg_beyond_where_the_trail_is__is_walked_as_it_comes(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story()
    for n in range(8):
        story.mint(n, uri=b"https://%d.example/" % n).next_block()
    await story.write(fresh_database_url)
    monkeypatch.setattr(trail, "STEP_FACTS", 1)
    async with opened(fresh_database_url) as conn:
        for _ in range(3):
            await trail.follow(conn, BEGINNING)
        assert await conn.fetchval("SELECT block_number FROM trail") == 2
    async with writer_of(fresh_database_url) as writer:
        await writer.retract(story.ref(5), 5)

    await follow(fresh_database_url)

    assert await value(fresh_database_url, "SELECT count(*) FROM uri") == 5


async def test_follow__state_was_folded_again__looks_at_all_that_was_folded(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0).mint(1).mint(2)
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    async with opened(fresh_database_url) as conn:
        await conn.execute("DELETE FROM profile_due")
    async with opened(fresh_database_url) as conn:
        await rebuild(conn, DEVNET, name="test")

    await follow(fresh_database_url)

    async with opened(fresh_database_url) as conn:
        assert await due_agents(conn) == [0, 1, 2]


async def test_follow__facts_learnt_late__are_read_too(fresh_database_url: str) -> None:
    story = Story().mint(0).next_block()
    late = give(story, 0, b"https://late.example/")
    story.facts.remove(late)
    story.next_block().mint(1)
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    async with writer_of(fresh_database_url) as writer:
        await writer.refold([0], [late])

    await follow(fresh_database_url)

    assert await rows(fresh_database_url, DUE) == [("https://late.example/",)]
    assert await value(fresh_database_url, "SELECT count(*) FROM attachment") == 1


async def test_follow__the_chain_was_forgotten_and_begun_again__starts_anew(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0, uri=b"https://a.example/").next_block()
    give(story, 0, b"https://f.example/")
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    async with writer_of(fresh_database_url) as writer:
        await forget(writer._conn, CHAIN)
    # What a crawler wrote in that very moment.
    async with opened(fresh_database_url) as conn:
        await conn.execute(
            "INSERT INTO attachment (chain_id, block_number, log_index, role, agent_id, uri_id)"
            " VALUES ($1, 2, 7, 'feedback', 0, 1)",
            CHAIN,
        )
    assert await follow(fresh_database_url) == 0

    await Story().mint(0, uri=b"https://b.example/").write(fresh_database_url)
    await follow(fresh_database_url)

    assert await value(fresh_database_url, "SELECT count(*) FROM attachment") == 0
    assert ("https://b.example/",) in await rows(fresh_database_url, DUE)


async def test_follow__the_outbox_was_trimmed_before_it_was_read__walks_from_the_start(
    fresh_database_url: str,
) -> None:
    story = Story().mint(0, uri=b"https://a.example/").next_block()
    give(story, 0, b"https://f.example/")
    await story.write(fresh_database_url)
    await follow(fresh_database_url)
    async with writer_of(fresh_database_url) as writer:
        await writer.retract(story.ref(1), 1)
        await writer._conn.execute("DELETE FROM outbox")

    story.facts = [fact for fact in story.facts if fact.block_number == 1]
    await story.next_block().mint(1, uri=b"https://b.example/").write(fresh_database_url)
    await follow(fresh_database_url)

    assert await value(fresh_database_url, "SELECT count(*) FROM attachment") == 0
    assert [r[0] for r in await rows(fresh_database_url, NAMES)] == [
        "https://a.example/",
        "https://b.example/",
        "https://f.example/",
    ]


async def test_follow__somebody_else_moved_the_trail_meanwhile__writes_nothing(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await Story().mint(0, uri=b"https://a.example/").write(fresh_database_url)
    async with opened(fresh_database_url) as conn:
        await trail.follow(conn, BEGINNING)
        read = trail._read

        async def and_move(*args: Any) -> Any:
            found = await read(*args)
            async with opened(fresh_database_url) as other:
                await other.execute("UPDATE trail SET block_number = 1")
            return found

        monkeypatch.setattr(trail, "_read", and_move)
        await trail.follow(conn, BEGINNING)

    assert await value(fresh_database_url, "SELECT count(*) FROM uri") == 0


async def test_follow__two_chains__keep_their_own_places(fresh_database_url: str) -> None:
    await Story().mint(0, uri=b"https://a.example/").write(fresh_database_url)
    other = Story(BASE).mint(0, ALICE, uri=b"https://a.example/").next_block(5).mint(1)
    await other.write(fresh_database_url)

    await follow(fresh_database_url)

    found = await rows(fresh_database_url, "SELECT chain_id, block_number FROM trail ORDER BY 1")
    assert found == sorted([(CHAIN, 1), (BASE.chain_id, 6)])
    assert await value(fresh_database_url, "SELECT count(*) FROM uri") == 1
    assert await value(fresh_database_url, "SELECT count(*) FROM profile_due") == 3
