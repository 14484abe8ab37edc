"""Limits, counted in Redis, over real HTTP."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from math import ceil

import pytest

from tests.e2e.acting.stack import Caller, Stack

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

READS = {"anonymous": 5, "free": 8, "pro": 11, "enterprise": 14}
WRITES = 3
SETTINGS = {
    "limits_json": json.dumps(
        {
            tier: {"read": most, "write": WRITES, "auth": 50, "search": 50}
            for tier, most in READS.items()
        }
    )
}
BURST = 20


async def reads(caller: Caller, times: int = BURST) -> Counter[int]:
    answers = await asyncio.gather(*(caller.ask("GET", "/v1/account") for _ in range(times)))
    return Counter(answer.status_code for answer in answers)


@pytest.mark.parametrize("tier", ["free", "pro", "enterprise"])
async def test_limits__of_each_tier__are_held_at_once_and_exactly(stack: Stack, tier: str) -> None:
    caller = await stack.account(0, tier=tier)  # type: ignore[arg-type]
    assert await reads(caller) == {200: READS[tier], 429: BURST - READS[tier]}
    neighbour = await stack.account(0, tier=tier)  # type: ignore[arg-type]
    assert (await neighbour.ask("GET", "/v1/account")).status_code == 200


async def test_limits__without_a_key__count_the_address(stack: Stack) -> None:
    answers = [await stack.client.get("/v1/chains") for _ in range(BURST)]
    got = Counter(answer.status_code for answer in answers)
    assert got == {200: READS["anonymous"], 429: BURST - READS["anonymous"]}
    assert '"address"' in answers[0].headers["ratelimit-policy"]
    assert (await stack.client.get("/healthz")).status_code == 200


async def test_headers__count_down_and_a_refusal_says_when_to_come_back(stack: Stack) -> None:
    caller = await stack.account(0)
    most = READS["free"]
    for used in range(1, most + 1):
        answer = await caller.ask("GET", "/v1/account")
        assert answer.headers["x-ratelimit-limit"] == str(most)
        assert answer.headers["x-ratelimit-remaining"] == str(most - used)
        assert f'"key";r={most - used};t=' in answer.headers["ratelimit"]
    assert f'"key";q={most};w=60' in answer.headers["ratelimit-policy"]
    answer = await caller.ask("GET", "/v1/account")
    problem, seconds = answer.json(), int(answer.headers["retry-after"])
    assert (answer.status_code, problem["type"]) == (429, "/problems/too-many-requests")
    assert (problem["policy"], problem["retry_after_seconds"]) == ("key", seconds)
    # Had the window only just begun, it must end, and then weigh one request less.
    assert 1 <= seconds <= 60 + ceil(60 / most)
    assert await stack.metric("renown_limits_fallback") == 0


async def test_limits__of_writes__are_apart_from_those_of_reads_and_hold_for_the_wallet(
    stack: Stack,
) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x", "dry_run": True}
    got = [await caller.ask("POST", "/v1/agents", body) for _ in range(WRITES + 2)]
    assert [one.status_code for one in got] == [200] * WRITES + [429] * 2
    assert '"wallet"' in got[0].headers["ratelimit-policy"]
    assert (await caller.ask("GET", "/v1/account")).status_code == 200
    assert await stack.count("operation") == 0
