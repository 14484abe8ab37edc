"""Kept answers: served without a query, and gone with the first thing that changes about them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Access, wants
from renown.api.answers.answer import Answer
from renown.api.routing import StrictRoute
from renown.errors import StoreError
from renown.obs import metrics
from renown.spec.events import AgentTransferred, Fact, FeedbackGiven
from renown.store import changes, marks
from renown.store.lease import acquire
from renown.store.pool import Conn, connect, transaction
from renown.store.writer import Extension, Writer
from renown.types import ZERO_ADDRESS, BlockRef
from tests.activity import DEVNET
from tests.integration.cached import Cached, cached_on, followed, read_as, until

CHAIN = DEVNET.chain_id
AGENT, OTHER = f"/v1/agents/{CHAIN}:1", f"/v1/agents/{CHAIN}:2"


class Index:
    """A chain with agents 0 to 2, and a hand that writes its next blocks."""

    def __init__(self, url: str, conn: Conn, writer: Writer) -> None:
        self.url, self.conn, self.writer = url, conn, writer
        self.blocks = [BlockRef(0, bytes(32), bytes(32), 0)]

    async def block(self, *facts: Fact) -> None:
        tip = self.blocks[-1]
        number = tip.number + 1
        salt = self.writer.checkpoint.position.to_bytes(8)
        block = BlockRef(number, number.to_bytes(24) + salt, tip.hash, 1_700_000_000 + number)
        self.blocks.append(block)
        await self.writer.extend(Extension(block, facts, (), [block]))

    async def give(self, agent_id: int, index: int = 1, client: int = 7) -> None:
        """The next block, with one feedback about an agent."""
        await self.block(self._feedback(agent_id, index, client))

    def _feedback(self, agent_id: int, index: int, client: int) -> FeedbackGiven:
        number = self.blocks[-1].number + 1
        said = (5, 0, b"t", b"", b"", b"", bytes(32))
        who = bytes(19) + bytes([client])
        return FeedbackGiven(number, 0, bytes(32), DEVNET.reputation, agent_id, who, index, *said)

    async def undo(self, blocks: int) -> None:
        del self.blocks[-blocks:]
        tip = self.blocks[-1]
        await self.writer.retract(tip, tip.number)


@pytest.fixture
async def index(fresh_database_url: str) -> AsyncIterator[Index]:
    conn = await connect(fresh_database_url)
    writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=None, name="test")
    made = Index(fresh_database_url, conn, writer)
    await made.block(*(minted(1, n, n) for n in range(3)))
    yield made
    await conn.close()


@pytest.fixture
async def cached(index: Index) -> AsyncIterator[Cached]:
    async with cached_on(index.url) as app:
        yield app


@pytest.mark.parametrize("path", ["", "/reputation", "/metadata", "/stats"])
async def test_read__again__is_served_from_the_cache_without_a_statement(
    cached: Cached, path: str
) -> None:
    first = await cached.get(AGENT + path)
    before, hits = cached.watched.statements, read_as("kept", "hit")

    second = await cached.get(AGENT + path)

    assert cached.watched.statements == before > 0
    assert read_as("kept", "hit") == hits + 1
    assert second.content == first.content
    for name in ("etag", "renown-as-of", "cache-control", "content-type"):
        assert second.headers[name] == first.headers[name]


async def test_kept_answer__to_a_client_that_has_it__is_not_modified(cached: Cached) -> None:
    tag = (await cached.get(AGENT)).headers["etag"]

    again = await cached.get(AGENT, **{"if-none-match": tag})

    assert (again.status_code, again.content) == (304, b"")
    assert "renown-as-of" in again.headers


@pytest.mark.parametrize("path", ["", "/reputation", "/metadata"])
async def test_read__by_who_has_it_and_nothing_kept__reads_the_version_alone(
    index: Index, cached: Cached, path: str
) -> None:
    whole = await cached.get(AGENT + path)
    cached.kept.lost()

    again = await cached.get(AGENT + path, **{"if-none-match": whole.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")
    for name in ("etag", "renown-as-of", "cache-control"):
        assert again.headers[name] == whole.headers[name]

    other = await cached.get(AGENT + path, **{"if-none-match": '"another"'})
    assert (other.status_code, other.content) == (200, whole.content)

    await index.give(1)
    changed = await cached.get(AGENT + path, **{"if-none-match": whole.headers["etag"]})
    assert changed.status_code == 200
    assert changed.headers["etag"] != whole.headers["etag"]


@pytest.mark.parametrize("path", ["", "/reputation", "/metadata"])
async def test_read__again_by_who_has_it__is_kept(cached: Cached, path: str) -> None:
    tag = {"if-none-match": (await cached.get(AGENT + path)).headers["etag"]}
    cached.kept.changed(CHAIN, None)
    for kept in (0, 1):  # the first time nothing is read that could be kept
        assert (await cached.get(AGENT + path, **tag)).status_code == 304
        assert len(cached.kept) == kept


@pytest.mark.parametrize("mark", ["hidden", "suspended"])
async def test_version__of_a_marked_agent__is_another(
    index: Index, cached: Cached, mark: marks.Mark
) -> None:
    before = (await cached.get(AGENT)).headers["etag"]
    async with transaction(index.conn) as tx:
        place = marks.Place(chain_id=CHAIN, agent_id=1)
        await marks.set_mark(tx, place, mark, note="", account_id=None)
    cached.kept.lost()

    changed = await cached.get(AGENT, **{"if-none-match": before})
    assert changed.status_code == 200
    again = await cached.get(AGENT, **{"if-none-match": changed.headers["etag"]})
    assert again.status_code == 304


async def test_kept_answers__of_equal_queries__are_one(cached: Cached) -> None:
    await cached.get(f"{AGENT}/reputation?limit=5")
    await cached.get(f"{AGENT}?full=true")
    before = cached.watched.statements

    await cached.get(f"{AGENT}/reputation?limit=5")
    await cached.get(f"{AGENT}?full=true")
    assert cached.watched.statements == before

    await cached.get(f"{AGENT}/reputation?limit=6")
    assert cached.watched.statements > before


@pytest.mark.parametrize("query", ["?at=1", "/reputation?at=1", "/history"])
async def test_read__of_the_past_or_of_what_changes_without_a_word__is_not_kept(
    cached: Cached, query: str
) -> None:
    await cached.get(AGENT + query)

    assert len(cached.kept) == 0


async def test_kept_answer__when_a_fact_comes__is_read_again(index: Index, cached: Cached) -> None:
    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 0

    await index.give(1)
    await cached.hears(index.url)

    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1


async def test_kept_answer__when_another_agents_fact_comes__stays_and_moves_with_the_head(
    index: Index, cached: Cached
) -> None:
    first = await cached.get(AGENT)
    await cached.get(OTHER)

    await index.give(2)
    await cached.hears(index.url)
    before = cached.watched.statements
    second = await cached.get(AGENT)

    assert cached.watched.statements == before
    assert second.json()["as_of"]["block_number"] == 2
    assert second.headers["etag"] == first.headers["etag"]
    assert second.json() | {"as_of": 0} == first.json() | {"as_of": 0}
    assert (await cached.get(OTHER)).json()["counts"]["feedback"] == 1


async def test_kept_answer__when_blocks_become_final__says_so(index: Index, cached: Cached) -> None:
    assert (await cached.get(AGENT)).json()["as_of"]["finality"] == "latest"

    await index.writer.report(head=1, final=1, safe=1, phase="follow")
    await cached.hears(index.url)
    before = cached.watched.statements

    assert (await cached.get(AGENT)).json()["as_of"]["finality"] == "final"
    assert cached.watched.statements == before


async def test_kept_answer__when_a_reorg_takes_its_fact_back__is_read_again(
    index: Index, cached: Cached
) -> None:
    await index.give(1)
    await cached.hears(index.url)
    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1
    await cached.get(OTHER)

    await index.undo(1)
    await cached.hears(index.url)
    before = cached.watched.statements

    assert (await cached.get(OTHER)).json()["as_of"]["block_number"] == 1
    assert cached.watched.statements == before  # the reorg was not about this one
    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 0


async def test_kept_answer__of_an_agent_that_a_reorg_takes_away__is_gone(
    index: Index, cached: Cached
) -> None:
    await index.block(minted(2, 0, 3))
    await cached.hears(index.url)
    path = f"/v1/agents/{CHAIN}:3"
    uuid = (await cached.get(path)).json()["uuid"]
    await cached.get(f"/v1/agents/{uuid}")

    await index.undo(1)
    await cached.hears(index.url)

    for gone in (path, f"/v1/agents/{uuid}"):
        assert (await cached.client.get(gone)).status_code == 404


async def test_kept_answer__when_its_profile_changes__is_read_again(
    index: Index, cached: Cached
) -> None:
    assert (await cached.get(AGENT)).json()["profile"] is None
    await cached.get(OTHER)

    await profile(index.conn, 1, "none")
    await until(lambda: len(cached.kept) == 1)

    assert (await cached.get(AGENT)).json()["profile"]["state"] == "none"


async def test_kept_answers__when_agents_are_folded_again__are_all_read_again(
    index: Index, cached: Cached
) -> None:
    await cached.get(AGENT)
    await cached.get(OTHER)

    await index.writer.refold([1])
    await cached.hears(index.url)

    assert len(cached.kept) == 0


async def test_kept_answers__when_their_chain_is_forgotten__are_gone(
    index: Index, cached: Cached
) -> None:
    from renown.store.forget import forget

    await cached.get(AGENT)

    await forget(index.conn, CHAIN)
    await until(lambda: not cached.kept._chains)

    assert (await cached.client.get(AGENT)).status_code == 404
    assert len(cached.kept) == 0


# Races -------------------------------------------------------------------------------------------


async def test_read__overtaken_by_a_fact_that_is_heard_before_it_ends__is_not_stored(
    index: Index, cached: Cached
) -> None:
    held = Hold()
    cached.watched.after = held
    slow = asyncio.create_task(cached.get(AGENT))
    await held.reached.wait()  # it has its rows
    cached.watched.after = None

    await index.give(1)
    await cached.hears(index.url)
    stale = unstored("stale")
    held.go.set()

    assert (await slow).json()["counts"]["feedback"] == 0  # true at the block that it names
    assert (await slow).json()["as_of"]["block_number"] == 1
    assert unstored("stale") == stale + 1
    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1


async def test_read__overtaken_by_a_change_off_the_chain__is_not_stored(
    index: Index, cached: Cached
) -> None:
    held = Hold()
    cached.watched.after = held
    slow = asyncio.create_task(cached.get(AGENT))
    await held.reached.wait()
    cached.watched.after = None

    changed = unstored("changed")
    await profile(index.conn, 1, "none")
    await cached.hears(index.url)
    held.go.set()

    assert (await slow).json()["profile"] is None
    assert unstored("changed") == changed + 1
    assert (await cached.get(AGENT)).json()["profile"]["state"] == "none"


async def test_read__overtaken_by_a_change_of_another_agent__is_stored(
    index: Index, cached: Cached
) -> None:
    held = Hold()
    cached.watched.after = held
    slow = asyncio.create_task(cached.get(AGENT))
    await held.reached.wait()
    cached.watched.after = None

    await profile(index.conn, 2, "none")
    await cached.hears(index.url)
    held.go.set()
    await slow

    assert len(cached.kept) == 1


async def test_request__after_a_fact_was_heard__does_not_join_a_read_that_began_before(
    index: Index, cached: Cached
) -> None:
    held = Hold()
    cached.watched.after = held
    slow = asyncio.create_task(cached.get(AGENT))
    await held.reached.wait()
    cached.watched.after = None

    await index.give(1)
    await cached.hears(index.url)

    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1
    held.go.set()
    await slow
    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1


async def test_read__ahead_of_the_words__is_served_with_its_own_block(
    index: Index, cached: Cached
) -> None:
    deaf = Deaf(cached)
    await index.give(1)

    for _ in range(2):  # read, then kept
        found = (await cached.get(AGENT)).json()
        assert (found["as_of"]["block_number"], found["counts"]["feedback"]) == (2, 1)
    assert len(cached.kept) == 1

    deaf.hear_again()


async def test_read__from_a_replica_that_is_behind__is_answered_and_not_stored(
    index: Index, cached: Cached
) -> None:
    replica = await connect(index.url, numeric_as_int=True)
    async with transaction(replica, "repeatable_read"):
        await replica.fetchval("SELECT count(*) FROM checkpoint")  # its snapshot is of now
        await index.give(2)
        await cached.hears(index.url)
        cached.watched.instead = replica

        for _ in range(2):
            found = (await cached.get(OTHER)).json()
            assert (found["as_of"]["block_number"], found["counts"]["feedback"]) == (1, 0)
        assert len(cached.kept) == 0

        cached.watched.instead = None
    await replica.close()
    assert (await cached.get(OTHER)).json()["counts"]["feedback"] == 1


# The listener ------------------------------------------------------------------------------------


async def test_listener__when_its_connection_is_killed__everything_is_dropped_and_kept_anew(
    index: Index, cached: Cached
) -> None:
    await cached.get(AGENT)
    ended = await index.conn.fetchval(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
        " WHERE application_name = 'renown-listener' AND datname = current_database()"
    )
    assert ended == 1

    await until(lambda: len(cached.kept) == 0)
    await index.give(1)
    await until(lambda: cached.kept._hearing)

    assert (await cached.get(AGENT)).json()["counts"]["feedback"] == 1
    before = cached.watched.statements
    await cached.get(AGENT)
    assert cached.watched.statements == before


async def test_listener__while_it_cannot_connect__nothing_is_kept_and_all_is_answered(
    index: Index,
) -> None:
    async with cached_on(index.url) as cached:
        await cached.get(AGENT)
        cached.kept.lost()

        for count in range(2):
            assert (await cached.get(AGENT)).json()["counts"]["feedback"] == count
            await index.give(1, index=count + 1)
        assert len(cached.kept) == 0


async def test_listener__told_nonsense__trusts_nothing_it_kept(
    index: Index, cached: Cached
) -> None:
    await cached.get(AGENT)

    await changes.announce(index.conn, changes.CHANGE_CHANNEL, "not:a number")

    await until(lambda: len(cached.kept) == 0)
    await until(lambda: cached.kept._hearing)


async def test_listener__when_a_word_is_lost__finds_out_by_looking(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from renown.store import listening

    monkeypatch.setattr(listening, "LOOK_SECONDS", 0.05)
    async with cached_on(index.url) as cached:
        await cached.get(AGENT)
        await index.conn.execute("UPDATE checkpoint SET final_block = 1 WHERE chain_id = $1", CHAIN)

        await until(lambda: followed(cached.kept)[CHAIN][1] == 1)

        assert (await cached.get(AGENT)).json()["as_of"]["finality"] == "final"


# Together ----------------------------------------------------------------------------------------


async def test_stampede__of_1000_equal_reads_on_a_cold_key__costs_one_statement(
    cached: Cached,
) -> None:
    before = cached.watched.statements

    found = await asyncio.gather(*(cached.get(AGENT) for _ in range(1_000)))

    assert cached.watched.statements == before + 1
    assert len({answer.content for answer in found}) == 1


async def test_stampede__when_the_read_fails__fails_for_all_and_is_not_remembered(
    cached: Cached,
) -> None:
    async def fail() -> None:
        await asyncio.sleep(0.01)
        raise StoreError("broken on purpose")

    cached.watched.after = fail
    refused = await asyncio.gather(*(cached.client.get(AGENT) for _ in range(20)))
    cached.watched.after = None

    assert {answer.status_code for answer in refused} == {503}
    assert (await cached.get(AGENT)).status_code == 200


async def test_stampede__when_the_one_who_reads_gives_up__the_others_are_answered(
    cached: Cached,
) -> None:
    held = Hold()
    cached.watched.after = held
    first = asyncio.create_task(cached.get(AGENT))
    await held.reached.wait()
    others = [asyncio.create_task(cached.get(AGENT)) for _ in range(5)]
    await asyncio.sleep(0.01)

    first.cancel()
    held.go.set()

    assert {answer.status_code for answer in await asyncio.gather(*others)} == {200}
    assert first.cancelled()


async def test_agent_that_does_not_exist__is_not_kept(cached: Cached) -> None:
    before = cached.watched.statements
    for _ in range(2):
        assert (await cached.client.get(f"/v1/agents/{CHAIN}:99")).status_code == 404

    assert (len(cached.kept), cached.watched.statements) == (0, before + 2)


def minted(block: int, log_index: int, agent_id: int) -> AgentTransferred:
    owner = bytes(19) + b"\x01"
    return AgentTransferred(
        block, log_index, bytes(32), DEVNET.identity, agent_id, ZERO_ADDRESS, owner
    )


async def test_route__whose_answers_depend_on_who_asks__cannot_keep_them(
    index: Index,
) -> None:
    async with cached_on(index.url) as cached:
        router = APIRouter(route_class=StrictRoute)
        for cost in ("read", None):

            @router.get(f"/v1/mine/{cost}")
            @wants(Access("read", cost))
            async def mine(request: Request) -> Response:
                return await cached.kept.answer(request, never)

        cached.app.router.routes[:0] = router.routes
        cached.app.state.desk.gate.admit = let_in

        for route in router.routes:
            answer = await cached.client.get(route.path)  # type: ignore[attr-defined]
            assert answer.status_code == 500
        assert len(cached.kept) == 0


async def let_in(request: Request, access: Access) -> None:
    """A gate that is open to all."""


async def never() -> Answer[Any]:
    raise AssertionError("it was read all the same")


async def test_kept_answer__where_reads_are_closed__is_for_holders_of_keys_only(
    index: Index,
) -> None:
    async with cached_on(index.url) as cached:
        await cached.get(AGENT)
        assert len(cached.kept) == 1
        cached.app.state.desk.gate.public_reads = False

        assert (await cached.client.get(AGENT)).status_code == 401


class Hold:
    """Stops a read when it has its rows, until `go`."""

    def __init__(self) -> None:
        self.reached, self.go = asyncio.Event(), asyncio.Event()

    async def __call__(self) -> None:
        self.reached.set()
        await self.go.wait()


class Deaf:
    """A cache to which words come late."""

    def __init__(self, cached: Cached) -> None:
        self._kept, self._moved = cached.kept, cached.kept.moved
        self._kept.moved = lambda *_: None  # type: ignore[method-assign]

    def hear_again(self) -> None:
        self._kept.moved = self._moved  # type: ignore[method-assign]


async def profile(conn: Conn, agent_id: int, state: str) -> None:
    """What the crawler does when it has looked at an agent, with its word."""
    async with transaction(conn) as tx:
        await tx.execute(
            "INSERT INTO agent_profile (chain_id, agent_id, state, owner, created_at, active_at,"
            " revision) VALUES ($1, $2, $3, $4, now(), now(), nextval('profile_revision'))"
            " ON CONFLICT (chain_id, agent_id) DO UPDATE"
            " SET state = excluded.state, revision = excluded.revision",
            *(CHAIN, agent_id, state, bytes(20)),
        )
        await changes.announce_agents(tx, CHAIN, [agent_id])


def unstored(cause: str) -> float:
    value: float = metrics.CACHE_UNSTORED.labels(cause)._value.get()
    return value
