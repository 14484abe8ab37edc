"""A failure in the middle of each write that takes several steps leaves nothing of it.

PostgreSQL itself fails, at one table after the other that the write touches: its disk is full.
Then everything is as before, row by row, in the metrics of what was done, and in what is read.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import httpx
import pytest

from renown.chain.devnet.addresses import DOLLAR, IDENTITY
from renown.chain.devnet.dollars import transfer
from renown.spec import calls
from tests.e2e.acting.stack import Caller, Stack, until
from tests.e2e.acting.test_registration import FILE

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SETTINGS = {"sign_up": True}

TABLES = (
    *("account", "account_wallet", "api_key", "idempotency", "hosted_file"),
    *("operation", "operation_step", "operation_transaction", "operation_event"),
    *("payment_claim", "payment"),
)
MOVING = ("last_used_at", "due_at", "claimed_by", "claimed_until", "checked_at")
"""What is written down beside the point, whenever somebody looks."""
DONE = (
    *("renown_operations_asked_total", "renown_operation_moves_total"),
    *("renown_broadcasts_total", "renown_payment_claims_total"),
)
FULL = "53100"


class Place(NamedTuple):
    """Where the database fails: at this, on that table."""

    table: str
    event: str = "INSERT"


class Asked(NamedTuple):
    """A request, and the places that it comes by."""

    ask: Callable[[], Awaitable[httpx.Response]]
    status: int = 201


Ready = Callable[[Stack], Awaitable[Callable[[], Awaitable[Asked]]]]
"""Makes what the write needs; what it gives makes the same request each time it is called."""


@asynccontextmanager
async def broken(stack: Stack, place: Place) -> AsyncIterator[None]:
    """The disk is full for this, and for nothing else."""
    async with stack.pool.connection() as conn:
        await conn.execute(
            f"""CREATE OR REPLACE FUNCTION disk_full() RETURNS trigger LANGUAGE plpgsql AS
                $$BEGIN RAISE EXCEPTION 'full' USING ERRCODE = '{FULL}'; END$$;
                CREATE TRIGGER fails AFTER {place.event} ON {place.table}
                FOR EACH STATEMENT EXECUTE FUNCTION disk_full()"""
        )
    try:
        yield
    finally:
        async with stack.pool.connection() as conn:
            await conn.execute(f"DROP TRIGGER fails ON {place.table}")


async def rows(stack: Stack) -> dict[str, str]:
    """Everything there is, as a fingerprint by table."""
    less = " - ".join(["to_jsonb(t)", *(f"'{column}'" for column in MOVING)])
    async with stack.pool.connection() as conn:
        return {
            table: await conn.fetchval(
                f"SELECT md5(coalesce(string_agg(r, '|' ORDER BY r), ''))"
                f" FROM (SELECT ({less})::text AS r FROM {table} t) s"
            )
            for table in TABLES
        }


async def done(stack: Stack) -> dict[str, float]:
    """What the metrics call done."""
    return {name: await stack.metric(name) for name in DONE}


# The writes ------------------------------------------------------------------------------------


async def registering(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "file": FILE, "store": "hosted"}
    return same(caller, "POST", "/v1/agents", body | {"metadata": {"a": "b"}})


async def updating(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "uri": "ipfs://y", "metadata": {"a": "1", "b": "2"}}
    return same(caller, "PATCH", f"/v1/agents/{key}", body)


async def rating(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller, key = await stack.account(), await stack.agent(await stack.wallet())
    body = {"from": caller.me, "value": 3, "file": {"text": "so so"}, "store": "hosted"}
    return same(caller, "POST", f"/v1/agents/{key}/feedback", body)


async def relaying_directly(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    raws = await metadata_calls(stack, caller, key)
    body = {"mode": "relay", "transactions": raws}
    return same(caller, "PATCH", f"/v1/agents/{key}", body)


async def relaying(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "metadata": {"a": "1", "b": "2"}}
    made = await caller.done("PATCH", f"/v1/agents/{key}", body)
    raws = [await caller.wallet.sign(one["unsigned"]) for one in made["transactions"]]
    path = f"/v1/operations/{made['id']}/transactions"
    return same(caller, "POST", path, {"transactions": raws}, status=200)


async def consenting(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller, new = await stack.account(), await stack.wallet()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "wallet": new.address}
    made = await caller.done("POST", f"/v1/agents/{key}/wallet", body)
    body = {"signature": await new.consent(made["typed_data"])}
    return same(caller, "POST", f"/v1/operations/{made['id']}/signature", body, status=200)


async def resuming(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://r"}
    made = await caller.sign(await caller.done("POST", "/v1/agents", body), gas=40_000)
    made = await caller.until(made, "failed")
    await stack.finalise()  # until then the failure could be undone, and a second one would land
    failed = f"settled AND operation_id = '{made['id']}'"
    await until(lambda: stack.count("operation_transaction", failed))
    return same(caller, "POST", f"/v1/operations/{made['id']}/resume", status=200)


async def linking(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller, payer = await stack.account(), await stack.wallet()
    await stack.give_dollars(payer)
    key = await stack.agent(caller.wallet)
    paid = await stack.act(payer, DOLLAR, transfer(caller.wallet.raw, 1_000_000))
    await stack.finalise()
    body = {"tx_hash": f"0x{paid.tx_hash.hex()}"}
    return same(caller, "POST", f"/v1/agents/{key}/payments", body)


async def proving(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller, wallet = await stack.account(), await stack.wallet()
    asked = {"address": wallet.address, "chain_id": 31337}

    async def again() -> Asked:  # a challenge is good for one try, right or wrong
        given = await caller.done("POST", "/v1/account/wallets/challenge", asked)
        body = {"message": given["message"], "signature": await wallet.say(given["message"])}
        return Asked(lambda: caller.ask("POST", "/v1/account/wallets", body))

    return again


async def signing_up(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    wallet = await stack.wallet()
    asked = {"address": wallet.address, "chain_id": 31337}

    async def again() -> Asked:
        given = (await stack.client.post("/v1/sessions/challenge", json=asked)).json()
        body = {"message": given["message"], "signature": await wallet.say(given["message"])}
        return Asked(lambda: stack.client.post("/v1/sessions", json=body))

    return again


async def rotating(stack: Stack) -> Callable[[], Awaitable[Asked]]:
    caller = await stack.account()
    path = f"/v1/keys/{caller.holder.key_id}/rotate"

    async def again() -> Asked:
        return Asked(lambda: caller.ask("POST", path))

    return again


def same(
    caller: Caller, method: str, path: str, body: Any = None, *, status: int = 201
) -> Callable[[], Awaitable[Asked]]:
    """The same request each time, under the same idempotency key."""

    async def again() -> Asked:
        return Asked(lambda: caller.ask(method, path, body, Idempotency_Key="k"), status)

    return again


async def metadata_calls(stack: Stack, caller: Caller, key: str) -> list[str]:
    """Two signed calls of the identity registry, one after the other."""
    first = await stack.call(
        caller.wallet.raw, IDENTITY, calls.set_metadata(int(key.rpartition(":")[2]), b"a", b"1")
    )
    second = await stack.call(
        caller.wallet.raw,
        IDENTITY,
        calls.set_metadata(int(key.rpartition(":")[2]), b"b", b"2"),
        nonce=first.nonce + 1,
    )
    return [await caller.wallet.sign_call(one) for one in (first, second)]


KEPT = Place("idempotency", "UPDATE")
STORED = (Place("operation"), Place("operation_step"), Place("operation_event"), KEPT)
SENT = (Place("operation_transaction"), Place("operation_step", "UPDATE"), Place("operation_event"))
WRITES: Mapping[str, tuple[Ready, tuple[Place, ...]]] = {
    "registering": (registering, (Place("hosted_file"), *STORED)),
    "updating": (updating, STORED),
    "rating": (rating, (Place("hosted_file"), *STORED)),
    "relaying directly": (relaying_directly, (*STORED, *SENT)),
    "relaying": (relaying, (*SENT, Place("operation", "UPDATE"), KEPT)),
    "consenting": (consenting, (Place("operation_step", "UPDATE"), Place("operation_event"), KEPT)),
    "resuming": (
        resuming,
        (*SENT[1:], Place("operation", "UPDATE"), KEPT),
    ),
    "linking": (
        linking,
        (Place("payment_claim"), Place("payment"), Place("payment_claim", "UPDATE"), KEPT),
    ),
    "proving": (proving, (Place("account_wallet"),)),
    "signing up": (signing_up, (Place("account"), Place("account_wallet"), Place("api_key"))),
    "rotating": (rotating, (Place("api_key"), Place("api_key", "UPDATE OF replaced_by"))),
}


@pytest.mark.parametrize("name", WRITES)
async def test_write__when_the_database_fails_in_the_middle__then_nothing_of_it_is_left(
    stack: Stack, name: str
) -> None:
    ready, places = WRITES[name]
    again = await ready(stack)
    for place in places:
        asked = await again()
        held, counted = await rows(stack), await done(stack)
        async with broken(stack, place):
            answer = await asked.ask()
        assert (answer.status_code, answer.json()["status"]) == (503, 503), (place, answer.text)
        assert await rows(stack) == held, place
        assert await done(stack) == counted, place
    asked = await again()
    answer = await asked.ask()
    assert answer.status_code == asked.status, answer.text
    assert "idempotent-replayed" not in answer.headers
    await calm(stack)


async def calm(stack: Stack) -> None:
    """Nothing is on its way any more, which would change rows under the next test."""

    async def in_blocks() -> bool:
        return not await stack.count("operation", "state = 'submitted'")

    async def over() -> bool:
        operations = await stack.count("operation", "state = 'included'")
        return not operations + await stack.count("payment_claim", "state = 'included'")

    await until(in_blocks)
    await stack.finalise()
    await until(over)


async def test_link__when_the_database_fails_in_the_middle__then_no_kept_answer_tells_of_it(
    stack: Stack,
) -> None:
    asked = await (await linking(stack))()
    (row,) = await newest_agent(stack)
    path = f"/v1/agents/31337:{row}/stats"
    before = (await stack.get(path))["payments"]
    async with broken(stack, KEPT):
        assert (await asked.ask()).status_code == 503
    assert (await stack.get(path))["payments"] == before
    assert (await asked.ask()).status_code == 201

    async def told() -> bool:
        return bool((await stack.get(path))["payments"]["payments"] == 1)

    await until(told)


async def newest_agent(stack: Stack) -> list[int]:
    async with stack.pool.connection() as conn:
        return [await conn.fetchval("SELECT max(agent_id) FROM agent")]


@pytest.mark.parametrize("place", [Place("operation_event"), Place("operation_step", "UPDATE")])
async def test_watching__when_the_database_fails_in_the_middle__then_it_is_told_later_and_whole(
    stack: Stack, place: Place
) -> None:
    caller = await stack.account()
    made = await caller.done(
        "POST", "/v1/agents", {"chain": "devnet", "from": caller.me, "uri": "ipfs://w"}
    )
    await stack.mine_by_hand()
    try:
        made = await caller.sign(made)

        async def sent() -> bool:
            return bool(await stack.count("operation_transaction", "sent_at IS NOT NULL"))

        await until(sent)
        included = await stack.metric("renown_operation_moves_total", state="included")
        async with broken(stack, place):
            await stack.mine_by_itself()
            await stack.indexed()
            for _ in range(5):
                found = await caller.now(made)
                assert (found["state"], found["agent"]) == ("submitted", None)
                assert [one["state"] for one in found["transactions"]] == ["submitted"]
            now = await stack.metric("renown_operation_moves_total", state="included")
            assert now == included
    finally:
        await stack.mine_by_itself()
    found = await caller.until(made, "included", "final")
    assert found["agent"] is not None
    assert [one["state"] for one in found["transactions"][0]["history"]][:3] == [
        "prepared",
        "submitted",
        "included",
    ]
    assert await stack.metric("renown_operation_moves_total", state="included") == included + 1
    await calm(stack)


async def test_settling__when_the_database_fails_in_the_middle__then_it_is_settled_later(
    stack: Stack,
) -> None:
    caller, payer = await stack.account(), await stack.account()
    await stack.give_dollars(payer.wallet)
    key = await stack.agent(caller.wallet)
    paid = await stack.act(payer.wallet, DOLLAR, transfer(caller.wallet.raw, 1_000_000))
    body = {
        "from": payer.me,
        "value": 90,
        "proof_of_payment": {"tx_hash": f"0x{paid.tx_hash.hex()}"},
    }
    async with broken(stack, Place("payment")):
        await payer.act("POST", f"/v1/agents/{key}/feedback", body)

        async def named() -> bool:
            return bool(await stack.count("payment_claim", f"tx_hash = '\\x{paid.tx_hash.hex()}'"))

        await until(named)
        assert (await stack.get(f"/v1/agents/{key}/payments"))["items"] == []
        stats = await stack.get(f"/v1/agents/{key}/stats")
        assert (stats["payments"]["payments"], stats["feedback"]["paid"]) == (0, 0)

    async def settled() -> bool:
        return bool((await stack.get(f"/v1/agents/{key}/payments"))["items"])

    await until(settled)
    await calm(stack)
