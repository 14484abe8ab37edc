"""Tying a payment to an agent: by whoever says so, and by the file of a rating."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from renown.chain.devnet.addresses import DOLLAR
from renown.chain.devnet.dollars import transfer, transfer_with_authorization
from tests.e2e.acting.stack import Caller, Stack, Wallet, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow]

UNITS = 2_500_000


class Shop:
    """An agent, its owner, and somebody who paid it."""

    def __init__(self, stack: Stack, owner: Caller, key: str, payer: Caller) -> None:
        self.stack, self.owner, self.payer = stack, owner, payer
        self.agent = f"/v1/agents/{key}"
        self.path = f"{self.agent}/payments"

    @classmethod
    async def open(cls, stack: Stack) -> Shop:
        owner, payer = await stack.account(), await stack.account()
        await stack.give_dollars(payer.wallet)
        return cls(stack, owner, await stack.agent(owner.wallet), payer)

    async def pay(self, to: Wallet | None = None) -> str:
        """The hash of a payment to the agent, or to somebody else."""
        payee = (to or self.owner.wallet).raw
        receipt = await self.stack.act(self.payer.wallet, DOLLAR, transfer(payee, UNITS))
        await self.stack.indexed()
        return f"0x{receipt.tx_hash.hex()}"

    async def rate(self, tx_hash: str, by: Caller, **more: Any) -> str:
        """The path of a rating by `by` that names the payment."""
        said = {"tx_hash": tx_hash, **more}
        body = {"from": by.me, "value": 90, "proof_of_payment": said}
        await by.act("POST", f"{self.agent}/feedback", body)
        return f"{self.agent}/feedback/{by.me}/1"

    async def proof(self, path: str, *states: str) -> Any:
        """The payment of a rating, as soon as it stands so."""

        async def there() -> Any:
            found = (await self.stack.get(path))["items"][0]["payment"]
            return found if found is not None and found["state"] in states else None

        return await until(there)


async def claimed(stack: Stack, answer: Any, *states: str) -> Any:
    """A claim, as soon as it stands so."""

    async def there() -> Any:
        found = await stack.get(f"/v1/payments/{answer['claim']['claim']}")
        return found if found["claim"]["state"] in states else None

    return await until(there)


async def test_link__when_paid_and_final__then_it_counts_once_with_amount_and_payer(
    stack: Stack,
) -> None:
    shop = await Shop.open(stack)
    tx_hash = await shop.pay()
    await stack.finalise()
    answer = await shop.owner.ask("POST", shop.path, {"tx_hash": tx_hash})
    assert answer.status_code == 201, answer.text
    (one,) = (await stack.get(shop.path))["items"]
    assert (one["amount"], one["payer"], one["payee_basis"], one["state"]) == (
        str(UNITS),
        shop.payer.me,
        "wallet",
        "confirmed",
    )
    stats = (await stack.get(f"{shop.agent}/stats"))["payments"]
    assert (stats["payments"], stats["confirmed"], stats["payers"]) == (1, 1, 1)
    assert (stats["totals"][0]["amount"], stats["success"]["ratio"]) == (str(UNITS), "1.000000")


async def test_link__when_nobody_knows_the_transaction__then_404_and_nothing_kept(
    stack: Stack,
) -> None:
    shop = await Shop.open(stack)
    before = await stack.count("payment_claim")
    body = {"tx_hash": "0x" + "ab" * 32}
    await shop.owner.refused(404, "transaction-not-found", "POST", shop.path, body)
    assert await stack.count("payment_claim") == before


async def test_link__when_somebody_else_was_paid__then_422(stack: Stack) -> None:
    shop = await Shop.open(stack)
    tx_hash = await shop.pay(to=await stack.wallet(0))
    problem = await shop.owner.refused(
        422, "wrong-receiver", "POST", shop.path, {"tx_hash": tx_hash}
    )
    assert problem["reason"] == "wrong-receiver"
    assert (await stack.get(shop.path))["items"] == []


async def test_link__when_it_is_no_payment__then_422(stack: Stack) -> None:
    shop = await Shop.open(stack)
    receipt = await stack.act(shop.payer.wallet, shop.owner.wallet.raw, b"")
    await stack.indexed()
    body = {"tx_hash": f"0x{receipt.tx_hash.hex()}"}
    problem = await shop.owner.refused(422, "payment-refused", "POST", shop.path, body)
    assert problem["reason"] == "no-transfer"


async def test_link__when_linked_already__then_409_whoever_asks(stack: Stack) -> None:
    shop = await Shop.open(stack)
    other = await stack.agent(shop.owner.wallet)  # the same wallet is behind it
    body = {"tx_hash": await shop.pay()}
    await shop.owner.done("POST", shop.path, body)
    await shop.owner.refused(409, "already-linked", "POST", shop.path, body)
    await shop.payer.refused(409, "already-linked", "POST", shop.path, body)
    path = f"/v1/agents/{other}/payments"
    await shop.payer.refused(409, "already-linked", "POST", path, body)
    assert len((await stack.get(shop.path))["items"]) == 1


async def test_link__when_two_link_it_at_once__then_it_counts_once(stack: Stack) -> None:
    shop = await Shop.open(stack)
    body = {"tx_hash": await shop.pay()}
    answers = await asyncio.gather(
        *(who.ask("POST", shop.path, body) for who in (shop.owner, shop.payer) * 3)
    )
    assert sorted(answer.status_code for answer in answers) == [202] + [409] * 5
    assert len((await stack.get(shop.path))["items"]) == 1


async def test_link__while_it_waits_for_a_block__then_202_and_it_settles_by_itself(
    stack: Stack,
) -> None:
    shop = await Shop.open(stack)
    await stack.mine_by_hand()
    try:
        call = await stack.call(
            shop.payer.wallet.raw, DOLLAR, transfer(shop.owner.wallet.raw, UNITS)
        )
        raw = await shop.payer.wallet.sign_call(call)
        tx_hash = await stack.node.call("eth_sendRawTransaction", [raw], str)
        answer = await shop.owner.ask("POST", shop.path, {"tx_hash": tx_hash})
        assert (answer.status_code, answer.json()["claim"]["state"]) == (202, "pending")
        assert answer.json()["payments"] == []
    finally:
        await stack.mine_by_itself()
    found = await claimed(stack, answer.json(), "included", "confirmed")
    assert found["payments"][0]["amount"] == str(UNITS)
    await stack.finalise()
    found = await claimed(stack, answer.json(), "confirmed")
    assert found["payments"][0]["state"] == "confirmed"


async def test_link__when_a_third_party_carried_it_out__then_the_payer_is_who_signed(
    stack: Stack,
) -> None:
    shop, facilitator = await Shop.open(stack), await stack.wallet()
    payer = shop.payer.wallet
    call = transfer_with_authorization(
        payer.private_key, payer.raw, shop.owner.wallet.raw, UNITS, b"\7" * 32
    )
    receipt = await stack.act(facilitator, DOLLAR, call)
    await stack.indexed()
    settlement = {
        "success": True,
        "transaction": f"0x{receipt.tx_hash.hex()}",
        "network": "eip155:31337",
        "payer": payer.address,
    }
    answer = await shop.owner.done("POST", shop.path, {"settlement": settlement})
    assert answer["payments"][0]["payer"] == payer.address


async def test_link__without_the_scope__then_403(stack: Stack) -> None:
    shop, writer = await Shop.open(stack), await stack.account(scopes=("read", "write"))
    body = {"tx_hash": await shop.pay()}
    await writer.refused(403, "scope-missing", "POST", shop.path, body)


async def test_rating__that_names_its_payment__is_marked_paid(stack: Stack) -> None:
    shop = await Shop.open(stack)
    path = await shop.rate(await shop.pay(), shop.payer)
    await shop.proof(path, "included", "confirmed")
    await stack.finalise()
    await shop.proof(path, "confirmed")
    (paid,) = (await stack.get(shop.path))["items"]
    assert paid["feedback"] == {"client": shop.payer.me, "index": "1"}
    assert paid["said_by"] == "feedback"
    assert (await stack.get(f"{shop.agent}/stats"))["feedback"]["paid"] == 1
    body = {"tx_hash": paid["tx_hash"]}
    await shop.payer.refused(409, "already-linked", "POST", shop.path, body)


async def test_rating__that_names_somebody_elses_payment__is_not_paid(stack: Stack) -> None:
    shop, liar = await Shop.open(stack), await stack.account()
    tx_hash = await shop.pay()
    owns_up = shop.rate(tx_hash, liar, **{"from": shop.payer.me})
    path, other = await owns_up, await stack.account()
    proof = await shop.proof(path, "refused")
    assert proof["reason"] == "wrong-payer"
    lies = await shop.rate(tx_hash, other)
    assert (await shop.proof(lies, "refused"))["reason"] == "claimed-otherwise"
    assert (await stack.get(f"{shop.agent}/stats"))["feedback"]["paid"] == 0


async def test_rating__the_second_that_names_a_payment__is_not_paid(stack: Stack) -> None:
    shop = await Shop.open(stack)
    tx_hash = await shop.pay()
    first = await shop.rate(tx_hash, shop.payer)
    body = {"from": shop.payer.me, "value": 91, "proof_of_payment": {"tx_hash": tx_hash}}
    await shop.payer.act("POST", f"{shop.agent}/feedback", body)
    second = f"{shop.agent}/feedback/{shop.payer.me}/2"
    assert (await shop.proof(second, "refused"))["reason"] == "used-by-other-feedback"
    await shop.proof(first, "included", "confirmed")
