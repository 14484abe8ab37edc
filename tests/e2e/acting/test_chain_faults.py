"""What chains and nodes do to writes: none is lost, none takes effect twice, all is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import Any

import pytest

from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY, REPUTATION
from renown.chain.tx.writer import writers_for
from renown.ingest.operations.watcher import Watcher
from renown.spec import calls
from renown.spec.abi import NEW_FEEDBACK
from renown.spec.transactions import least_gas
from renown.store.changes import OPERATION_CHANNEL
from renown.types import checksum_address
from tests.e2e.acting.line import SEND
from tests.e2e.acting.stack import Caller, Stack, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

GWEI = 10**9


class Rating:
    """A rating of an agent of its own, prepared for whoever gives it."""

    def __init__(self, stack: Stack, caller: Caller, key: str, made: Any) -> None:
        self.stack, self.caller, self.key, self.made = stack, caller, key, made
        self.unsigned = made["transactions"][0]["unsigned"]

    @classmethod
    async def prepare(cls, stack: Stack, caller: Caller | None = None) -> Rating:
        by = caller or await stack.account()
        key = await stack.agent(await stack.wallet())
        body = {"from": by.me, "value": 5}
        made = await by.done("POST", f"/v1/agents/{key}/feedback", body)
        return cls(stack, by, key, made)

    async def sign(self, **changed: Any) -> str:
        return await self.caller.wallet.sign(self.unsigned, **changed)

    async def relay(self, raw: str) -> Any:
        return await self.caller.relay(self.made, raw)

    async def step(self) -> Any:
        return (await self.caller.now(self.made))["transactions"][0]

    async def until(self, *states: str) -> Any:
        return await self.caller.until(self.made, *states)

    async def problem(self, words: str) -> None:
        """Until it says what holds it up."""

        async def said() -> bool:
            return words in ((await self.step())["problem"] or "")

        await until(said)

    async def effects(self) -> int:
        """How often it was given, as the chain has it."""
        return len(await ratings(self.stack, int(self.key.rpartition(":")[2])))


async def ratings(stack: Stack, agent_id: int) -> list[Any]:
    asked = {
        "fromBlock": "0x0",
        "address": f"0x{REPUTATION.hex()}",
        "topics": [f"0x{NEW_FEEDBACK.topic0.hex()}", f"0x{agent_id:064x}"],
    }
    return await stack.node.call("eth_getLogs", [asked], list[Any])


@asynccontextmanager
async def by_hand(stack: Stack) -> AsyncIterator[None]:
    """Blocks come when asked for only."""
    await stack.mine_by_hand()
    try:
        yield
    finally:
        await stack.mine_by_itself()


@asynccontextmanager
async def dear_gas(stack: Stack, wei: int) -> AsyncIterator[None]:
    """The base fee is that high, from a block now on."""
    await stack.node.call("anvil_setNextBlockBaseFeePerGas", [hex(wei)], Any)
    await stack.mine()
    try:
        yield
    finally:
        await stack.node.call("anvil_setNextBlockBaseFeePerGas", [hex(GWEI)], Any)
        await stack.mine()


# Reorganisations -------------------------------------------------------------------------------


async def test_reorg__under_a_submitted_operation__the_same_bytes_land_again_and_all_is_told(
    stack: Stack,
) -> None:
    caller = await stack.account()
    body = {"chain": "devnet", "from": caller.me, "uri": "ipfs://x"}
    made = await caller.done("POST", "/v1/agents", body)
    raw = await caller.wallet.sign(made["transactions"][0]["unsigned"])
    first = await caller.until(await caller.relay(made, raw), "included")
    before = first["transactions"][0]["block_hash"]
    await stack.indexed()
    await stack.node.call("anvil_reorg", [1, []], Any)

    async def elsewhere() -> Any:
        found = await caller.now(made)
        step = found["transactions"][0]
        return found if step["block_hash"] not in (None, before) else None

    found = await until(elsewhere)
    states = [event["state"] for event in found["transactions"][0]["history"]]
    assert states[:4] == ["prepared", "submitted", "included", "orphaned"]
    assert states[-1] in ("included", "final")
    assert stack.line.sent[raw] == 2
    await stack.finalise()
    found = await caller.until(made, "final")
    agent = await stack.get(f"/v1/agents/{found['agent']['uuid']}")
    assert agent["owner"] == caller.me
    listed = await stack.get("/v1/agents", owner=caller.me)
    assert len(listed["items"]) == 1


# The signer ------------------------------------------------------------------------------------


async def test_gas__too_little_for_the_calldata__is_refused_before_it_is_sent(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    raw = await rating.sign(gas=21_000)
    path = f"/v1/operations/{rating.made['id']}/transactions"
    body = {"transactions": [raw]}
    problem = await rating.caller.refused(422, "transaction-refused", "POST", path, body)
    assert problem["least_gas"] > problem["gas"] == 21_000
    assert (await rating.step())["state"] == "prepared"
    assert stack.line.sent[raw] == 0


async def test_gas__that_a_node_takes_but_no_block_does__is_told_and_another_takes_its_place(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    calldata = bytes.fromhex(rating.unsigned["data"][2:])
    await rating.relay(await rating.sign(gas=least_gas(calldata)))  # EIP-7623 takes more

    async def said() -> bool:
        await age(stack, rating.made)
        return "forget it again" in ((await rating.step())["problem"] or "")

    await until(said)
    await rating.relay(await rating.sign())
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_gas__that_runs_out__fails_with_the_reason_and_can_be_resumed_when_final(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    await rating.relay(await rating.sign(gas=60_000))
    found = await rating.until("failed")
    assert "out of gas" in found["transactions"][0]["reason"].lower()
    assert (found["next"], found["left"]) == ("resume", [1])
    path = f"/v1/operations/{rating.made['id']}/resume"
    await rating.caller.refused(409, "operation-conflict", "POST", path)
    await stack.finalise()

    async def resumed() -> Any:
        answer = await rating.caller.ask("POST", path)
        return answer.json() if answer.status_code == 200 else None

    again = await until(resumed)
    await rating.caller.sign(again)
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_funds__of_a_caller_without_any__is_warned_of_and_fails_then_resumes_at_the_nonce(
    stack: Stack,
) -> None:
    caller = await stack.account()
    key = await stack.agent(await stack.wallet())
    await stack.fund(caller.wallet.raw, 1_000)
    made = await caller.done("POST", f"/v1/agents/{key}/feedback", {"from": caller.me, "value": 5})
    assert [one["code"] for one in made["warnings"]] == ["insufficient-funds"]
    rating = Rating(stack, caller, key, made)
    await rating.relay(await rating.sign())
    found = await rating.until("failed")
    assert "funds" in found["transactions"][0]["reason"].lower()
    await stack.fund(caller.wallet.raw)
    again = await caller.done("POST", f"/v1/operations/{made['id']}/resume")
    assert again["transactions"][0]["unsigned"]["nonce"] == rating.unsigned["nonce"]
    await caller.sign(again)
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_funds__of_the_servers_signer__fail_it_with_the_reason_and_resume_when_there(
    stack: Stack,
) -> None:
    sender = stack.server_wallet()
    caller = await stack.account(0, signer_wallets=[sender])
    key = await stack.agent(await stack.wallet())
    await stack.fund(sender, 1_000)
    body = {"mode": "managed", "from": checksum_address(sender), "value": 5}
    answer = await caller.ask("POST", f"/v1/agents/{key}/feedback", body)
    if answer.status_code == 422:  # some nodes look at the balance when they estimate
        assert "pay" in answer.json()["detail"]
        await stack.fund(sender)
        made = await caller.done("POST", f"/v1/agents/{key}/feedback", body)
    else:
        made = answer.json()
        found = await caller.until(made, "failed")
        assert "funds" in found["transactions"][0]["reason"].lower()
        await stack.fund(sender)
        made = await caller.done("POST", f"/v1/operations/{made['id']}/resume")
    await caller.until(made, "included", "final")
    assert len(await ratings(stack, int(key.rpartition(":")[2]))) == 1


# Nonces ----------------------------------------------------------------------------------------


async def test_nonce__with_a_gap__waits_and_says_so_until_the_gap_is_filled(stack: Stack) -> None:
    rating = await Rating.prepare(stack)
    nonce = int(rating.unsigned["nonce"], 16)
    await rating.relay(await rating.sign(nonce=nonce + 1))
    await until(lambda: sent_count(stack, rating.made))
    await age(stack, rating.made)
    await rating.problem(f"until the sender's transaction of nonce {nonce} is in a block")
    assert (await rating.step())["state"] == "submitted"
    wallet = rating.caller.wallet
    filler = await stack.call(wallet.raw, IDENTITY, calls.register(), nonce=nonce)
    sent = await stack.writer.send(bytes.fromhex((await wallet.sign_call(filler))[2:]))
    assert sent.verdict == "taken"
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_nonce__used_by_another_transaction__drops_it_and_resume_signs_anew_when_final(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    wallet = rating.caller.wallet
    async with by_hand(stack):
        await rating.relay(await rating.sign())
        await until(lambda: sent_count(stack, rating.made))
        nonce = int(rating.unsigned["nonce"], 16)
        dear = {"max_fee_wei": 20 * GWEI, "priority_fee_wei": 10 * GWEI}
        other = await stack.call(wallet.raw, IDENTITY, calls.register(), nonce=nonce, **dear)
        raw = await wallet.sign_call(other)
        assert (await stack.writer.send(bytes.fromhex(raw[2:]))).verdict == "taken"
    found = await rating.until("dropped")
    assert "nonce was used" in found["transactions"][0]["reason"]
    await stack.finalise()
    path = f"/v1/operations/{rating.made['id']}/resume"

    async def resumed() -> Any:
        answer = await rating.caller.ask("POST", path)
        return answer.json() if answer.status_code == 200 else None

    again = await until(resumed)
    assert int(again["transactions"][0]["unsigned"]["nonce"], 16) == nonce + 1
    await rating.caller.sign(again)
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_replacement__at_the_same_nonce__one_of_the_two_counts(stack: Stack) -> None:
    rating = await Rating.prepare(stack)
    async with by_hand(stack):
        first = await rating.sign()
        await rating.relay(first)
        await until(lambda: sent_count(stack, rating.made))
        fee = int(rating.unsigned["maxFeePerGas"], 16)
        tip = int(rating.unsigned["maxPriorityFeePerGas"], 16)
        second = await rating.sign(max_fee_wei=2 * fee, priority_fee_wei=2 * tip)
        await rating.relay(second)
        await until(lambda: stack_sent(stack, second))
    found = await rating.until("included", "final")
    step = found["transactions"][0]
    assert step["tx_hash"] != step["history"][1]["tx_hash"]
    assert await rating.effects() == 1
    third = await rating.sign(max_fee_wei=4 * fee, priority_fee_wei=4 * tip)
    path = f"/v1/operations/{rating.made['id']}/transactions"
    await rating.caller.refused(409, "operation-conflict", "POST", path, {"transactions": [third]})


async def sent_count(stack: Stack, made: Any) -> int:
    """Transactions of an operation that some node took."""
    return await stack.count(
        "operation_transaction", f"sent_at IS NOT NULL AND operation_id = '{made['id']}'"
    )


async def stack_sent(stack: Stack, raw: str) -> bool:
    return bool(stack.line.sent[raw])


# Fees ------------------------------------------------------------------------------------------


async def test_stuck__of_the_servers_signer__is_replaced_at_higher_fees_and_lands_once(
    stack: Stack,
) -> None:
    sender = stack.server_wallet()
    caller = await stack.account(0, signer_wallets=[sender])
    key = await stack.agent(await stack.wallet())
    body = {"mode": "managed", "from": checksum_address(sender), "value": 5}
    async with by_hand(stack):
        made = await caller.done("POST", f"/v1/agents/{key}/feedback", body)
        await until(lambda: sent_count(stack, made))
        async with dear_gas(stack, 50 * GWEI):
            await age(stack, made)

            async def replaced() -> bool:
                return await sent_count(stack, made) == 2

            await until(replaced)
            await stack.mine()
            found = await caller.until(made, "included", "final")
    step = found["transactions"][0]
    assert [event["detail"] for event in step["history"]].count(
        "replaced by the same call at higher fees"
    ) == 1
    assert len(await ratings(stack, int(key.rpartition(":")[2]))) == 1
    assert await stack.writer.nonce(sender) == 1


async def test_underpriced__of_a_caller__says_so_and_a_dearer_one_takes_its_place(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    await rating.relay(await rating.sign(max_fee_wei=1, priority_fee_wei=1))
    await rating.problem("too little")
    assert (await rating.caller.now(rating.made))["next"] == "wait"
    await rating.relay(await rating.sign())
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def age(stack: Stack, made: Any, seconds: int = 12) -> None:
    """That much time passes for what waits in the nodes' pools."""
    async with stack.pool.connection() as conn:
        await conn.execute(
            f"""UPDATE operation_transaction SET sent_at = sent_at - interval '{seconds} s'
                 WHERE operation_id = '{made["id"]}'"""
        )
        await conn.execute(
            f"""UPDATE operation_step SET updated_at = updated_at - interval '{seconds} s'
                 WHERE operation_id = '{made["id"]}'"""
        )
        await conn.execute(
            f"""UPDATE operation SET due_at = now() WHERE operation_id = '{made["id"]}'"""
        )
        await conn.execute(f"NOTIFY {OPERATION_CHANNEL}")


# Nodes -----------------------------------------------------------------------------------------


async def test_node__that_takes_it_and_does_not_answer__the_same_bytes_again_and_one_effect(
    stack: Stack,
) -> None:
    rating, lost = await Rating.prepare(stack), stack.line.lost[SEND]
    raw = await rating.sign()
    stack.line.lost_answers.add(SEND)
    try:
        await rating.relay(raw)

        async def unheard() -> bool:
            return stack.line.lost[SEND] > lost

        await until(unheard)
        await rating.until("included", "final")
    finally:
        stack.line.mend()
    assert stack.line.sent[raw] >= 1
    assert await rating.effects() == 1
    assert await stack.writer.nonce(rating.caller.wallet.raw) == 1


async def test_node__that_is_away_between_broadcast_and_receipt__nothing_is_lost(
    stack: Stack,
) -> None:
    rating = await Rating.prepare(stack)
    raw = await rating.sign()
    async with by_hand(stack):
        await rating.relay(raw)
        await until(lambda: sent_count(stack, rating.made))
        stack.line.is_cut = True
        try:
            await stack.mine()
            answer = await rating.caller.ask(
                "POST", f"/v1/agents/{rating.key}/feedback", {"from": rating.caller.me, "value": 6}
            )
            assert answer.status_code in (502, 503), answer.text
            assert (await rating.caller.now(rating.made))["state"] == "submitted"
        finally:
            stack.line.mend()
    await rating.until("included", "final")
    assert await rating.effects() == 1


async def test_node__that_forgot_it__is_given_the_same_bytes_again(stack: Stack) -> None:
    rating = await Rating.prepare(stack)
    raw = await rating.sign()
    async with by_hand(stack):
        await rating.relay(raw)
        await until(lambda: sent_count(stack, rating.made))
        await stack.node.call("anvil_dropAllTransactions", [], Any)
        await age(stack, rating.made)

        async def again() -> bool:
            return stack.line.sent[raw] > 1

        await until(again)
    await rating.until("included", "final")
    assert await rating.effects() == 1


# Several at once -------------------------------------------------------------------------------


async def test_watchers__two_on_the_same_operations__each_is_sent_once(stack: Stack) -> None:
    wallets = [stack.server_wallet() for _ in range(2)]
    caller = await stack.account(0, signer_wallets=wallets)
    senders = [checksum_address(wallet) for wallet in wallets]
    key = await stack.agent(await stack.wallet())
    writers = writers_for({CHAIN_ID: [stack.line.url]})
    second = Watcher(stack.where.connect, writers, stack.found.signer)
    watching = asyncio.create_task(second.run())
    try:
        async with by_hand(stack):  # so that all are on their way at once
            made = [
                await caller.done(
                    "POST",
                    f"/v1/agents/{key}/feedback",
                    {"mode": "managed", "from": senders[number % 2], "value": number},
                )
                for number in range(12)
            ]
            for operation in made:
                await until(partial(sent_count, stack, operation))
        for operation in made:
            await caller.until(operation, "included", "final")
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await writers[CHAIN_ID].close()
    hashes = {(await caller.now(one))["transactions"][0]["tx_hash"] for one in made}
    given = await ratings(stack, int(key.rpartition(":")[2]))
    assert {one["transactionHash"] for one in given} == hashes
    assert len(given) == len(hashes) == 12
    ours = ", ".join(f"'{one['id']}'" for one in made)
    often = f"send_count > 5 AND operation_id IN ({ours})"
    assert await stack.count("operation_transaction", often) == 0
    assert [await stack.writer.nonce(bytes.fromhex(one[2:])) for one in senders] == [6, 6]


async def test_several_steps__when_the_second_fails__partly_applied_says_what_is_left_and_resumes(
    stack: Stack,
) -> None:
    caller = await stack.account()
    key = await stack.agent(caller.wallet)
    body = {"from": caller.me, "metadata": {"a": "1", "b": "2", "c": "3"}}
    made = await caller.done("PATCH", f"/v1/agents/{key}", body)
    unsigned = [one["unsigned"] for one in made["transactions"]]
    raws = [
        await caller.wallet.sign(unsigned[0]),
        await caller.wallet.sign(unsigned[1], gas=25_000),
        await caller.wallet.sign(unsigned[2]),
    ]
    await caller.relay(made, *raws)
    found = await caller.until(made, "partly_applied")
    assert (found["left"], found["next"]) == ([2], "resume")
    assert [one["state"] in ("included", "final") for one in found["transactions"]] == [
        True,
        False,
        True,
    ]
    await stack.finalise()
    path = f"/v1/operations/{made['id']}/resume"

    async def resumed() -> Any:
        answer = await caller.ask("POST", path)
        return answer.json() if answer.status_code == 200 else None

    again = await until(resumed)
    assert [one["unsigned"] is not None for one in again["transactions"]] == [False, True, False]
    await caller.until(await caller.sign(again), "included", "final")
    await stack.indexed()
    metadata = await stack.get(f"/v1/agents/{key}/metadata")
    assert {one["key"]: one["value_text"] for one in metadata["items"]} == {
        "a": "1",
        "b": "2",
        "c": "3",
    }
