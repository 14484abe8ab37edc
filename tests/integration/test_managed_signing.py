"""The server's signer acts for whom the operator chose, as far as that goes, and where it may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from renown.chain.tx.signer import LocalSigner
from renown.spec.allowance import Allowance
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store.signer_grants import grant_wallet, revoke_wallet, spent_wei
from renown.types import checksum_address
from tests.integration.test_writes import KEY, SERVED, SERVER, WALLET, Desk, desk
from tests.operations import SENDER, SIGNER, Bench

__all__ = ["desk"]

OWN = "/v1/agents/31337:8"  # whose owner is WALLET
BY_SERVER: dict[str, Any] = {"mode": "managed", "metadata": {"a": "b"}}


async def grant(desk: Desk, address: bytes) -> None:
    """From now on it acts for `desk.me`."""
    async with desk.pool.transaction() as tx:
        await grant_wallet(tx, desk.me.account.account_id, address)


async def test_managed__by_an_account_the_wallet_was_not_granted__is_refused(desk: Desk) -> None:
    desk.desk.signer = LocalSigner([KEY, SERVED])
    await grant(desk, WALLET)
    made = await desk.made("PATCH", OWN, BY_SERVER)
    assert made["sender"] == checksum_address(WALLET)
    named = BY_SERVER | {"from": checksum_address(SERVER)}
    await desk.refused(403, "signer-not-allowed", "PATCH", OWN, named)

    desk.me = desk.other
    await desk.refused(403, "signer-not-allowed", "PATCH", OWN, BY_SERVER)
    await grant(desk, SERVER)
    named["from"] = checksum_address(WALLET)
    await desk.refused(403, "signer-not-allowed", "PATCH", OWN, named)
    unset = {"mode": "managed", "wallet": None, "from": named["from"]}
    await desk.refused(403, "signer-not-allowed", "POST", f"{OWN}/wallet", unset)
    assert await desk.count("operation") == 1


async def test_consent__of_a_wallet_that_acts_for_another_account__is_not_given(
    desk: Desk,
) -> None:
    desk.chain.owner = WALLET
    desk.desk.signer = LocalSigner([KEY, SERVED])
    await grant(desk, WALLET)
    body = {"mode": "managed", "wallet": checksum_address(SERVER)}
    made = await desk.made("POST", f"{OWN}/wallet", body)
    assert made["next"] == "sign-typed-data"
    await grant(desk, SERVER)
    assert (await desk.made("POST", f"{OWN}/wallet", body))["next"] == "wait"


async def test_managed__on_a_chain_that_the_signer_is_not_for__is_refused(desk: Desk) -> None:
    desk.desk.signer, desk.desk.signer_is_open = LocalSigner([KEY], chains=frozenset({8453})), True
    problem = await desk.refused(409, "chain-not-writable", "PATCH", OWN, BY_SERVER)
    assert "does not sign for" in problem["detail"]
    desk.desk.signer = LocalSigner([KEY], chains=frozenset({DEVNET_CHAIN_ID}))
    await desk.made("PATCH", OWN, BY_SERVER)


async def test_managed__without_an_idempotency_key__is_400_and_a_plan_needs_none(
    desk: Desk,
) -> None:
    desk.desk.signer, desk.desk.signer_is_open = LocalSigner([KEY]), True
    plain = desk.client.request("PATCH", OWN, json=BY_SERVER, headers=desk.me.headers)
    answer = await plain
    assert (answer.status_code, answer.json()["parameter"]) == (400, "Idempotency-Key")
    plan = BY_SERVER | {"dry_run": True}
    answer = await desk.client.request("PATCH", OWN, json=plan, headers=desk.me.headers)
    assert answer.status_code == 200


async def test_managed__that_takes_more_gas_or_ether_than_allowed__is_refused_with_words(
    desk: Desk,
) -> None:
    desk.desk.signer = LocalSigner([KEY])
    await grant(desk, WALLET)
    for allowance, words in (
        (Allowance(most_gas=99_999), "100000 gas"),
        (Allowance(daily_wei=10**5 * 3 * 10**9 - 1), "0.000300 ether"),
    ):
        desk.desk.allowance = allowance
        problem = await desk.refused(403, "signer-not-allowed", "PATCH", OWN, BY_SERVER)
        assert words in problem["detail"]
    assert await desk.count("operation") == 0
    desk.desk.allowance = Allowance(most_gas=10**5, daily_wei=10**5 * 3 * 10**9)
    await desk.made("PATCH", OWN, BY_SERVER)


# Before it is signed ------------------------------------------------------------------------------


@pytest.fixture
async def bench(fresh_database_url: str) -> AsyncIterator[Bench]:
    made = await Bench.open(fresh_database_url)
    async with made.conn.transaction():
        await grant_wallet(made.conn, made.account_id, SENDER)  # type: ignore[arg-type]
    yield made
    await made.conn.close()


async def held_up(bench: Bench, operation: Any) -> str:
    """What an operation that nothing was signed of waits for."""
    (step,) = (await bench.load(operation)).steps
    assert (step.state, step.signed) == ("prepared", [])
    assert not bench.chain.offers
    return step.problem or ""


async def test_watcher__grant_taken_away_meanwhile__signs_nothing(bench: Bench) -> None:
    bench.watcher = bench.new_watcher(signer_is_open=False)
    operation = await bench.ask()
    async with bench.conn.transaction():
        await revoke_wallet(bench.conn, bench.account_id, SENDER)  # type: ignore[arg-type]
    await bench.look()
    assert "does not act for this account" in await held_up(bench, operation)
    async with bench.conn.transaction():
        await grant_wallet(bench.conn, bench.account_id, SENDER)  # type: ignore[arg-type]
    await bench.look()
    assert (await bench.load(operation)).state == "submitted"


async def test_watcher__signer_of_another_chain__signs_nothing(bench: Bench) -> None:
    elsewhere = LocalSigner(list(SIGNER._keys.values()), chains=frozenset({1}))
    bench.watcher = bench.new_watcher()
    bench.watcher._desk = msgspec.structs.replace(bench.watcher._desk, signer=elsewhere)
    operation = await bench.ask()
    await bench.look()
    await held_up(bench, operation)


async def test_watcher__at_the_daily_bound__signs_no_more_until_the_day_is_over(
    bench: Bench,
) -> None:
    bench.watcher = bench.new_watcher(signer_is_open=False)
    first = await bench.ask()
    await bench.look()
    spent = await spent_wei(bench.conn, bench.account_id, DEVNET_CHAIN_ID)
    row = await bench.conn.fetchrow("SELECT gas, max_fee_wei FROM operation_transaction")
    assert row is not None
    assert spent == row[0] * row[1] > 0

    narrow = {"signer_is_open": False, "allowance": Allowance(daily_wei=2 * spent - 1)}
    bench.watcher = bench.new_watcher(**narrow)
    second = await bench.ask()
    await bench.look()
    found = await bench.load(second)
    assert (found.state, found.steps[0].signed) == ("prepared", [])
    assert "in the last 24 hours" in (found.steps[0].problem or "")

    await bench.conn.execute(
        "UPDATE operation_transaction SET signed_at = signed_at - interval '25 hours'"
    )
    await bench.look()
    assert (await bench.load(second)).steps[0].signed
    assert (await bench.load(first)).steps[0].signed


async def test_watcher__more_gas_than_allowed__signs_nothing_even_where_all_may(
    bench: Bench,
) -> None:
    bench.watcher = bench.new_watcher(allowance=Allowance(most_gas=1_000))
    operation = await bench.ask()
    await bench.look()
    assert "1000 at most" in await held_up(bench, operation)
