"""What is read while others write: queries, answers that are kept, health, metrics, sign-in."""

from __future__ import annotations

from typing import Any

import pytest

from renown.chain.devnet.addresses import REPUTATION
from renown.spec import calls
from renown.types import AgentRef, ShortKey, parse_agent_key
from tests.e2e.acting.stack import Stack, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

SETTINGS = {"sign_up": True}


def numbers(key: str) -> int:
    return int(key.rpartition(":")[2])


async def outcomes(stack: Stack, route: str) -> dict[str, float]:
    return {
        outcome: await stack.metric("renown_cache_reads_total", route=route, outcome=outcome)
        for outcome in ("hit", "miss")
    }


async def test_queries__by_short_key_long_key_and_uuid__are_one_agent(stack: Stack) -> None:
    owner = await stack.wallet()
    key = await stack.agent(owner, b"ipfs://q")
    short = parse_agent_key(key)
    assert isinstance(short, ShortKey)
    by_short = await stack.get(f"/v1/agents/{key}")
    ref = parse_agent_key(by_short["key"])
    assert isinstance(ref, AgentRef)
    answers = [by_short]
    for other in (by_short["key"], str(ref.uuid), f"devnet:{short.agent_id}"):
        answer = await stack.client.get(f"/v1/agents/{other}")
        answers += [answer.json()] if answer.status_code == 200 else []
    assert len(answers) >= 3
    for answer in answers:
        assert (answer["owner"], answer["uri"]) == (owner.address, "ipfs://q")
    listed = await stack.get("/v1/agents", owner=owner.address)
    assert [one["key"] for one in listed["items"]] == [by_short["key"]]
    missing = await stack.client.get("/v1/agents/31337:999999")
    assert (missing.status_code, missing.json()["type"]) == (404, "/problems/agent-not-found")


async def test_stats__of_a_new_agent__are_nothing_and_unrated(stack: Stack) -> None:
    key = await stack.agent(await stack.wallet())
    stats = await stack.get(f"/v1/agents/{key}/stats")
    assert stats["trust"] == {"level": "unrated"}
    assert stats["feedback"] == {"given": 0, "revoked": 0, "clients": 0, "responses": 0, "paid": 0}
    assert (stats["payments"]["payments"], stats["payments"]["success"]) == (0, None)
    assert stats["validations"] == {"requested": 0, "responded": 0}


async def test_search__by_name_and_by_tag__finds_what_was_just_registered(stack: Stack) -> None:
    caller, other = await stack.account(), await stack.wallet()
    file = {
        "type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",
        "name": "Quillfeather",
        "description": "Copies letters.",
        "image": "https://q.example/logo.png",
        "services": [{"name": "MCP", "endpoint": "https://q.example/mcp"}],
    }
    made = await caller.act(
        "POST", "/v1/agents", {"chain": "devnet", "from": caller.me, "file": file}
    )
    await stack.agent(other)

    async def found() -> Any:
        page = await stack.get("/v1/agents", q="quillfeather")
        return page["items"]

    (one,) = await until(found)
    assert (one["key"], one["owner"]) == (made["agent"]["key"], caller.me)


async def test_kept_answer__read_twice__is_read_from_the_database_once(stack: Stack) -> None:
    path = f"/v1/agents/{await stack.agent(await stack.wallet())}"
    route = "/v1/agents/{key}"

    async def again() -> tuple[float, float]:
        before = await outcomes(stack, route)
        assert (await stack.client.get(path)).status_code == 200
        after = await outcomes(stack, route)
        return after["hit"] - before["hit"], after["miss"] - before["miss"]

    async def thrice() -> bool:
        """The crawler tells of the new agent in its own time, which drops the answer once more."""
        return [await again() for _ in range(3)] == [(1, 0)] * 3

    await until(thrice)


async def kept(stack: Stack, path: str, route: str) -> bool:
    """Whether a read of `path` is answered from the cache now."""
    before = await outcomes(stack, route)
    await stack.get(path)
    return (await outcomes(stack, route))["hit"] > before["hit"]


async def test_kept_answer__when_a_new_fact_comes__is_dropped_and_says_the_new(
    stack: Stack,
) -> None:
    rater, key = await stack.wallet(), await stack.agent(await stack.wallet())
    path, route = f"/v1/agents/{key}/stats", "/v1/agents/{key}/stats"
    await until(lambda: kept(stack, path, route))
    assert (await stack.get(path))["feedback"]["given"] == 0
    dropped = await stack.metric("renown_cache_drops_total", cause="fact")
    await stack.act(rater, REPUTATION, calls.give_feedback(numbers(key), 90))

    async def told() -> bool:
        return bool((await stack.get(path))["feedback"]["given"])

    await until(told)
    assert await stack.metric("renown_cache_drops_total", cause="fact") > dropped
    await until(lambda: kept(stack, path, route))
    assert (await stack.get(path))["feedback"]["given"] == 1


async def test_kept_answer__when_a_reorganisation_takes_the_fact__says_the_old_again(
    stack: Stack,
) -> None:
    rater, key = await stack.wallet(), await stack.agent(await stack.wallet())
    path = f"/v1/agents/{key}/stats"
    snapshot = await stack.node.call("evm_snapshot", [], str)
    await stack.act(rater, REPUTATION, calls.give_feedback(numbers(key), 90))
    await stack.indexed()

    async def given(count: int) -> bool:
        return bool((await stack.get(path))["feedback"]["given"] == count)

    await until(lambda: given(1))
    await stack.node.call("evm_revert", [snapshot], bool)
    await stack.mine(2)
    await stack.indexed()
    await until(lambda: given(0))


async def test_account_answers__are_never_kept(stack: Stack) -> None:
    one, two = await stack.account(), await stack.account()
    for caller in (one, two):
        answer = await caller.ask("GET", "/v1/account")
        assert answer.headers["cache-control"] == "no-store"
        assert [held["address"] for held in answer.json()["wallets"]] == [caller.me]
        listed = await caller.ask("GET", "/v1/operations")
        assert (listed.headers["cache-control"], listed.json()["items"]) == ("no-store", [])


async def test_health__when_all_runs__then_alive_and_ready(stack: Stack) -> None:
    for path in ("/healthz", "/readyz"):
        answer = await stack.client.get(path)
        assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")


async def test_health__when_redis_is_gone__then_still_ready_and_no_request_fails(
    stack: Stack,
) -> None:
    caller = await stack.account()
    stack.redis.kill()
    try:
        for path in ("/readyz", "/v1/agents", "/v1/agents?q=nobody", "/v1/network"):
            assert (await stack.client.get(path)).status_code == 200, path
        assert (await caller.ask("GET", "/v1/account")).status_code == 200
        assert await stack.metric("renown_limits_fallback") == 1
    finally:
        stack.redis.start()

    async def shared_again() -> bool:
        await caller.ask("GET", "/v1/account")
        return not await stack.metric("renown_limits_fallback")

    await until(shared_again)


async def test_metrics__of_a_write__count_what_was_asked_sent_and_moved(stack: Stack) -> None:
    caller = await stack.account()
    asked = {"kind": "register", "mode": "client"}

    async def read() -> list[float]:
        return [
            await stack.metric("renown_operations_asked_total", **asked),
            await stack.metric("renown_broadcasts_total", verdict="taken"),
            await stack.metric("renown_operation_moves_total", state="included"),
            await stack.metric(
                "renown_http_requests_total", method="POST", route="/v1/agents", status="201"
            ),
        ]

    before = await read()
    await caller.act(
        "POST", "/v1/agents", {"chain": "devnet", "from": caller.me, "uri": "ipfs://m"}
    )
    assert [now - then for now, then in zip(await read(), before, strict=True)] == [1.0] * 4
    assert caller.holder.key not in (await stack.client.get("/metrics")).text


async def test_sign_in__with_a_wallet_nobody_holds__then_an_account_that_can_act(
    stack: Stack,
) -> None:
    wallet = await stack.wallet()
    asked = {"address": wallet.address, "chain_id": 31337}
    challenge = (await stack.client.post("/v1/sessions/challenge", json=asked)).json()
    body = {"message": challenge["message"], "signature": await wallet.say(challenge["message"])}
    session = (await stack.client.post("/v1/sessions", json=body)).json()
    assert session["is_new"] is True
    headers = {"Authorization": f"Bearer {session['key']}"}
    wanted = {"chain": "devnet", "from": wallet.address, "uri": "ipfs://s"}
    made = await stack.client.post("/v1/agents", json=wanted, headers=headers)
    assert made.status_code == 201, made.text
    replayed = await stack.client.post("/v1/sessions", json=body)
    assert (replayed.status_code, replayed.json()["type"]) == (
        422,
        "/problems/wallet-proof-refused",
    )


async def test_key__when_revoked__then_401_at_once(stack: Stack) -> None:
    caller = await stack.account()
    made = await caller.done("POST", "/v1/keys", {"name": "second", "scopes": ["read"]})
    headers = {"Authorization": f"Bearer {made['key']}"}
    assert (await stack.client.get("/v1/account", headers=headers)).status_code == 200
    assert (await caller.ask("DELETE", f"/v1/keys/{made['id']}")).status_code == 204
    assert (await stack.client.get("/v1/account", headers=headers)).status_code == 401
