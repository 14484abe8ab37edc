"""A request that is sent again: answered again, done once; also where its server died."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from renown.chain.devnet.addresses import DOLLAR, REPUTATION
from renown.chain.devnet.dollars import transfer
from renown.cli.listening import bind
from renown.store.pool import connect
from tests.access import PEPPER
from tests.e2e.acting.stack import Stack, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
START_SECONDS = 30.0


async def test_retry__of_a_write__is_the_first_answer_and_one_operation(stack: Stack) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    first = await caller.ask("POST", "/v1/agents", body, Idempotency_Key="k")
    before = await stack.count("operation")
    again = await caller.ask("POST", "/v1/agents", body, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert again.headers["idempotent-replayed"] == "true"
    assert await stack.count("operation") == before
    other = await caller.ask("POST", "/v1/agents", body | {"uri": "ipfs://y"}, Idempotency_Key="k")
    assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-mismatch")
    stranger = await stack.account()
    body = body | {"from": stranger.me}
    mine = await stranger.ask("POST", "/v1/agents", body, Idempotency_Key="k")
    assert mine.json()["id"] != first.json()["id"]


async def test_retry__of_a_relay__sends_the_bytes_once(stack: Stack) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    made = await caller.done("POST", "/v1/agents", body)
    raw = await caller.wallet.sign(made["transactions"][0]["unsigned"])
    path = f"/v1/operations/{made['id']}/transactions"
    for key in ("k", "k", "l"):
        answer = await caller.ask("POST", path, {"transactions": [raw]}, Idempotency_Key=key)
        assert answer.status_code == 200, answer.text
    await caller.until(made, "included", "final")
    assert stack.line.sent[raw] == 1


async def test_retry__while_the_first_is_under_way__waits_or_is_told_to(stack: Stack) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    before = await stack.count("operation")
    answers = await asyncio.gather(
        *(caller.ask("POST", "/v1/agents", body, Idempotency_Key="k") for _ in range(8))
    )
    assert set(Counter(one.status_code for one in answers)) <= {201, 409}
    assert len({one.content for one in answers if one.status_code == 201}) == 1
    for one in answers:
        if one.status_code == 409:
            assert one.json()["type"] == "/problems/idempotency-in-progress"
            assert int(one.headers["retry-after"]) >= 1
    assert await stack.count("operation") == before + 1


async def test_retry__of_what_was_refused_before_the_work__leaves_the_key_free(
    stack: Stack,
) -> None:
    owner = await stack.account()
    mine, other = await stack.agent(owner.wallet), await stack.agent(await stack.wallet())
    body = {"from": owner.me, "value": 1}
    for _ in range(2):
        answer = await owner.ask("POST", f"/v1/agents/{mine}/feedback", body, Idempotency_Key="k")
        assert answer.status_code == 422
        assert answer.json()["reason"] == "Self-feedback not allowed"
        assert "idempotent-replayed" not in answer.headers
    answer = await owner.ask("POST", f"/v1/agents/{other}/feedback", body, Idempotency_Key="k")
    assert answer.status_code == 201


async def test_retry__of_what_was_refused_in_the_work__is_refused_again(stack: Stack) -> None:
    caller, payer = await stack.account(), await stack.wallet()
    await stack.give_dollars(payer)
    path = f"/v1/agents/{await stack.agent(caller.wallet)}/payments"
    paid = await stack.act(payer, DOLLAR, transfer(payer.raw[::-1], 5))
    await stack.indexed()
    body = {"tx_hash": f"0x{paid.tx_hash.hex()}"}
    first = await caller.ask("POST", path, body, Idempotency_Key="k")
    again = await caller.ask("POST", path, body, Idempotency_Key="k")
    assert (first.status_code, again.status_code) == (422, 422)
    assert again.json() == first.json()
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"


async def test_retry__after_the_node_was_away__is_done_then(stack: Stack) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    stack.line.is_cut = True
    try:
        away = await caller.ask("POST", "/v1/agents", body, Idempotency_Key="k")
    finally:
        stack.line.mend()
    assert away.status_code in (502, 503), away.text

    async def again() -> httpx.Response | None:
        answer = await caller.ask("POST", "/v1/agents", body, Idempotency_Key="k")
        return answer if answer.status_code < 500 else None

    answer = await until(again)
    assert answer.status_code == 201, answer.text
    assert "idempotent-replayed" not in answer.headers


def serve(stack: Stack, port: int) -> subprocess.Popen[bytes]:
    """Another process that serves the same database."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
    ours = {
        "DATABASE_URL": stack.where.url,
        "RPC_URL": stack.line.url,
        "CHAIN": "devnet",
        "RENOWN_KEY_PEPPER": PEPPER,
        "RENOWN_CURSOR_SECRET": "a secret of the tests",
        "RENOWN_PUBLIC_URL": stack.base,
    }
    return subprocess.Popen(
        [*PROGRAM, "serve", "--port", str(port)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=inherited | ours,
    )


@contextlib.asynccontextmanager
async def second_api(stack: Stack) -> AsyncIterator[tuple[subprocess.Popen[bytes], str]]:
    """The same, as soon as it answers, and where that is."""
    with bind("127.0.0.1", 0) as bound:
        port = bound.getsockname()[1]
    process = serve(stack, port)
    url = f"http://127.0.0.1:{port}"

    async def is_ready() -> bool:
        assert process.poll() is None, "it ended by itself"
        with contextlib.suppress(httpx.TransportError):
            return (await stack.client.get(f"{url}/readyz")).status_code == 200
        return False

    try:
        await until(is_ready, seconds=START_SECONDS)
        yield process, url
    finally:
        process.kill()
        process.wait()


async def test_retry__after_the_server_died_in_the_middle__is_done_once_and_nothing_was_left(
    stack: Stack,
) -> None:
    caller, key = await stack.account(), await stack.agent(await stack.wallet())
    path = f"/v1/agents/{key}/feedback"
    body = {"from": caller.me, "value": 7, "file": {"text": "died"}, "store": "hosted"}
    mine = f"account_id = {caller.holder.account.account_id}"
    blocking = await connect(stack.where.url)
    headers = caller.holder.headers | {"Idempotency-Key": "k"}
    async with second_api(stack) as (process, url):
        lock = blocking.transaction()
        await lock.start()
        await blocking.execute("LOCK TABLE operation_event IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(stack.client.post(url + path, json=body, headers=headers))

        async def waits() -> bool:
            return bool(
                await stack.count(
                    "pg_stat_activity", "wait_event_type = 'Lock' AND query ~* 'event'"
                )
            )

        await until(waits)
        process.send_signal(signal.SIGKILL)
        process.wait()
        with pytest.raises(httpx.TransportError):
            await asked
        await lock.rollback()
    await blocking.close()
    await until(lambda: nobody_writes(stack))
    for table in ("operation", "hosted_file"):
        assert await stack.count(table, mine) == 0, table
    early = await caller.ask("POST", path, body, Idempotency_Key="k")
    assert (early.status_code, early.json()["type"]) == (409, "/problems/idempotency-in-progress")
    async with stack.pool.connection() as conn:
        await conn.execute(f"UPDATE idempotency SET locked_until = now() WHERE {mine}")
    answer = await caller.ask("POST", path, body, Idempotency_Key="k")
    assert answer.status_code == 201, answer.text
    assert "idempotent-replayed" not in answer.headers
    again = await caller.ask("POST", path, body, Idempotency_Key="k")
    assert (again.json()["id"], await stack.count("operation", mine)) == (answer.json()["id"], 1)
    await caller.until(await caller.sign(answer.json()), "included", "final")
    nonce = await stack.writer.nonce(caller.wallet.raw)
    assert (nonce, answer.json()["transactions"][0]["contract"].lower()) == (
        1,
        f"0x{REPUTATION.hex()}",
    )


async def nobody_writes(stack: Stack) -> bool:
    """Whether the dead process's session is over."""
    idle = "application_name = 'renown-api' AND state = 'active' AND wait_event_type = 'Lock'"
    return not await stack.count("pg_stat_activity", idle)
