"""`Idempotency-Key`: the first answer counts, a crash leaves nothing, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from renown.api.access.idempotent import prepared_once
from renown.api.access.principal import Access, principal_of, wants
from renown.api.routing import StrictRoute
from renown.errors import CallWouldFail, NodeTimeout, WalletNotProved
from renown.store import idempotency
from renown.store.idempotency import Begun, Kept, OtherRequest, Running
from renown.store.pool import Pool, Tx
from tests.access import Holder, acting_api, give_account

PATH = "/v1/test"
KEY, REPLAYED = "Idempotency-Key", "Idempotent-Replayed"


class Place:
    """A route that counts in the database how often its work was done."""

    client: httpx.AsyncClient
    pool: Pool
    me: Holder
    other: Holder

    def __init__(self) -> None:
        self.prepared = self.tries = 0
        self.lacks: Exception | None = None
        self.began = asyncio.Event()
        self.fails: Exception | None = None
        self.waits: asyncio.Event | None = None
        self.isolation: Any = "read_committed"

    async def prepare(self) -> None:
        self.prepared += 1
        if self.lacks is not None:
            raise self.lacks

    async def work(self, tx: Tx, _: None) -> Response:
        self.tries += 1
        self.began.set()
        number: int = await tx.fetchval("SELECT n FROM done")
        if self.waits is not None:
            await self.waits.wait()
        await tx.execute("UPDATE done SET n = $1", number + 1)
        if self.fails is not None:
            raise self.fails
        return JSONResponse({"number": number + 1}, 201, headers={"Location": "/made"})

    async def send(self, key: str | None, body: Any = None) -> httpx.Response:
        headers = self.me.headers | ({} if key is None else {KEY: key})
        return await self.client.post(PATH, json=body or {"a": 1}, headers=headers)

    async def done(self) -> int:
        async with self.pool.connection() as conn:
            found: int = await conn.fetchval("SELECT n FROM done")
        return found


@pytest.fixture
async def place(fresh_database_url: str) -> AsyncIterator[Place]:
    async with acting_api(fresh_database_url) as api:
        made = Place()

        @wants(Access("write", "write"))
        async def endpoint(request: Request) -> Response:
            principal = principal_of(request)
            return await prepared_once(
                request, principal, made.prepare, made.work, isolation=made.isolation
            )

        api.app.router.routes.insert(0, StrictRoute(PATH, endpoint, methods=["POST"]))
        made.client, made.pool = api.client, api.pool
        made.me, made.other = await give_account(api.pool), await give_account(api.pool)
        async with api.pool.connection() as conn:
            await conn.execute("CREATE TABLE done (n int); INSERT INTO done VALUES (0)")
        yield made


async def test_key__when_sent_again__then_the_first_answer_again_and_done_once(
    place: Place,
) -> None:
    first = await place.send("k")
    again = await place.send("k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert (again.headers["location"], again.headers["content-type"]) == (
        "/made",
        "application/json",
    )
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    assert (place.tries, await place.done()) == (1, 1)
    await place.send(None)
    await place.send("another")
    place.me = place.other
    await place.send("k")  # another account's key is another key
    assert await place.done() == 4


async def test_key__when_used_for_another_request__then_422_and_nothing_done(place: Place) -> None:
    await place.send("k")
    answer = await place.send("k", {"a": 2})
    assert (answer.status_code, answer.json()["type"]) == (422, "/problems/idempotency-mismatch")
    assert await place.done() == 1


async def test_key__when_the_first_is_not_answered_yet__then_409_with_retry_after(
    place: Place,
) -> None:
    place.waits = asyncio.Event()
    sent = [asyncio.create_task(place.send("k")) for _ in range(3)]
    done, _ = await asyncio.wait(sent, return_when=asyncio.FIRST_COMPLETED, timeout=10)
    early = [task.result() for task in done]
    while len(early) < 2:
        await asyncio.sleep(0.01)
        early = [task.result() for task in sent if task.done()]
    assert {answer.json()["type"] for answer in early} == {"/problems/idempotency-in-progress"}
    assert all(answer.headers["retry-after"] for answer in early)
    place.waits.set()
    answers = await asyncio.gather(*sent)
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409]
    assert await place.done() == 1


async def test_key__when_refused_after_the_start__then_the_refusal_is_kept(place: Place) -> None:
    place.fails = CallWouldFail("no", reason="no")
    first = await place.send("k")
    place.fails = None
    again = await place.send("k")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.json() == first.json()
    assert again.headers["content-type"] == "application/problem+json"
    assert (place.tries, await place.done()) == (1, 0)


@pytest.mark.parametrize("lacks", [WalletNotProved("prove it"), ZeroDivisionError("a mistake")])
async def test_key__when_refused_before_the_start__then_it_is_free_again(
    place: Place, lacks: Exception
) -> None:
    place.lacks = lacks
    refused = [await place.send("k"), await place.send("k")]
    place.lacks = None
    first, again = await place.send("k"), await place.send("k")
    assert not any(one.is_success or REPLAYED in one.headers for one in refused)
    assert (first.status_code, again.content) == (201, first.content)
    assert (place.prepared, place.tries, await place.done()) == (3, 1, 1)


async def test_key__when_our_own_mistake_broke_it__then_the_500_is_kept(place: Place) -> None:
    place.fails = ZeroDivisionError("a mistake")
    first = await place.send("k")
    place.fails = None
    again = await place.send("k")
    assert (first.status_code, again.status_code) == (500, 500)
    assert (place.tries, await place.done()) == (1, 0)


async def test_key__when_trying_again_may_help__then_it_is_free_again(place: Place) -> None:
    place.fails = NodeTimeout("no answer")
    assert (await place.send("k")).status_code == 502
    place.fails = None
    assert (await place.send("k")).status_code == 201
    assert await place.done() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "tab\t", "ümlaut"])
async def test_key__when_it_is_none__then_400(place: Place, key: str) -> None:
    raw = {KEY.encode(): key.encode("latin-1")}
    raw |= {name.encode(): value.encode() for name, value in place.me.headers.items()}
    answer = await place.client.post(PATH, json={}, headers=raw)
    assert answer.json()["type"] == "/problems/bad-parameter", answer.text
    assert place.tries == 0


async def test_key__when_whoever_began_died__then_it_begins_anew_after_the_locks_time(
    place: Place,
) -> None:
    account, key, request = place.me.account.account_id, b"k" * 32, b"r" * 32
    async with place.pool.connection() as conn:
        first = await idempotency.begin(conn, account, key, request, lock_seconds=0.2)
        assert isinstance(first, Begun)
        running = await idempotency.begin(conn, account, key, request)
        assert isinstance(running, Running)
        assert 0 < running.seconds_left <= 0.2
        await asyncio.sleep(0.25)
        other = await idempotency.begin(conn, account, key, b"o" * 32)
        assert isinstance(other, OtherRequest)
        second = await idempotency.begin(conn, account, key, request)
        assert isinstance(second, Begun)
    answer = Kept(201, [("content-type", "text/plain")], b"late")
    async with place.pool.transaction() as tx:
        assert not await idempotency.keep(tx, account, key, first.attempt, answer)
        assert await idempotency.keep(tx, account, key, second.attempt, answer)
    async with place.pool.connection() as conn:
        await idempotency.release(conn, account, key, second.attempt)  # answered: it stays
        assert await idempotency.begin(conn, account, key, request) == answer


async def test_work__when_its_lock_was_taken_over__then_all_of_it_is_undone(
    place: Place,
) -> None:
    place.waits = asyncio.Event()
    sent = asyncio.create_task(place.send("k"))
    await place.began.wait()
    async with place.pool.connection() as conn:
        await conn.execute("UPDATE idempotency SET attempt = $1", uuid4())
    place.waits.set()
    assert (await sent).status_code == 409
    assert await place.done() == 0


async def test_answers__when_a_day_old__then_forgotten_and_the_key_is_new(place: Place) -> None:
    await place.send("k")
    await place.send("old")
    async with place.pool.connection() as conn:
        await conn.execute("UPDATE idempotency SET started_at = now() - interval '25 hours'")
        assert (await place.send("k")).json() == {"number": 3}
        assert await idempotency.prune(conn) == 1
        assert await idempotency.prune(conn) == 0
    assert (await place.send("k")).headers["idempotent-replayed"] == "true"


async def test_work__when_serializable_transactions_collide__then_each_is_done_exactly_once(
    place: Place,
) -> None:
    place.isolation = "serializable"
    answers = await asyncio.gather(*(place.send(f"k{n}") for n in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    assert sorted(answer.json()["number"] for answer in answers) == [1, 2, 3, 4]
    assert await place.done() == 4
    assert place.tries > 4  # some were undone in favour of others, and tried again


async def test_work__when_transactions_deadlock__then_it_is_tried_again(place: Place) -> None:
    async with place.pool.connection() as conn:
        await conn.execute("CREATE TABLE pair (k int PRIMARY KEY, n int DEFAULT 0)")
        await conn.execute("INSERT INTO pair (k) VALUES (1), (2)")
        await conn.execute(
            "ALTER DATABASE "
            + await conn.fetchval("SELECT current_database()")
            + " SET deadlock_timeout = '20ms'"
        )
    order = iter([(1, 2), (2, 1)])
    both = asyncio.Barrier(2)
    tries = 0

    async def crosswise(tx: Tx, _: None) -> Response:
        nonlocal tries
        tries += 1
        first, second = next(order, (1, 2))
        await tx.execute("UPDATE pair SET n = n + 1 WHERE k = $1", first)
        if tries <= 2:
            await both.wait()
        await tx.execute("UPDATE pair SET n = n + 1 WHERE k = $1", second)
        return JSONResponse({})

    place.work = crosswise  # type: ignore[method-assign]
    answers = await asyncio.gather(place.send("a"), place.send("b"))
    assert [answer.status_code for answer in answers] == [200, 200]
    async with place.pool.connection() as conn:
        assert await conn.fetchval("SELECT array_agg(n) FROM pair") == [2, 2]
    assert tries == 3
