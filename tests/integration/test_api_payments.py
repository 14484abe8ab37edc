"""Payments over HTTP: linked, refused, waiting, read, counted."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from renown.store import read_payments, read_stats
from renown.store.pool import Conn
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.access import Api, Holder, acting_api, give_account
from tests.factories import DAVE
from tests.fakes.payment_chain import Move
from tests.integration.api import get, refused
from tests.payments import ALICE, BOB, CAROL, Till, proof, till

KEY = "31337:1"
LINK = f"/v1/agents/{KEY}/payments"


class Shop(msgspec.Struct):
    """The API beside a till, and an account that links: of Alice, whose agents are paid."""

    api: Api
    till: Till
    holder: Holder

    async def prove(self, holder: Holder, wallet: bytes) -> None:
        """The wallet is the account's from now on, and nobody else's."""
        async with self.api.pool.transaction() as tx:
            await tx.execute("DELETE FROM account_wallet WHERE address = $1", wallet)
            await add_wallet(tx, holder.account.account_id, wallet, 0, "signature")

    async def other(self, *wallets: bytes) -> Shop:
        """The same for another account, with these wallets."""
        made = await give_account(self.api.pool)
        for wallet in wallets:
            await self.prove(made, wallet)
        return msgspec.structs.replace(self, holder=made)

    async def link(
        self, body: dict[str, Any], *, path: str = LINK, key: str | None = None
    ) -> tuple[int, Any]:
        """Status and JSON of an attempt to link."""
        headers = self.holder.headers | ({"Idempotency-Key": key} if key else {})
        answer = await self.api.client.post(path, json=body, headers=headers)
        return answer.status_code, answer.json()

    async def refusal(self, body: dict[str, Any], *, path: str = LINK) -> tuple[int, str, Any]:
        """Status, kind and reason of an attempt that must fail, which leaves no trace."""
        before = await self.till.claims()
        status, problem = await self.link(body, path=path)
        assert await self.till.claims() == before
        return status, problem["type"].rpartition("/")[2], problem.get("reason")


@pytest.fixture
async def shop(fresh_database_url: str) -> AsyncIterator[Shop]:
    async with till(fresh_database_url) as t, acting_api(fresh_database_url) as api:
        t.story.give(1, BOB, 1, uri=b"https://f.example/1").next_block()
        await t.store(final=3)
        api.app.state.desk.writers = {31337: t.chain}
        shop = Shop(api, t, await give_account(api.pool))
        await shop.prove(shop.holder, ALICE)
        yield shop


def named(tx_hash: bytes, **more: Any) -> dict[str, Any]:
    return {"tx_hash": f"0x{tx_hash.hex()}", **more}


async def test_link__when_the_payment_is_final__then_201_and_it_counts(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE, 1_500_000, signed=True))
    status, made = await shop.link(named(paid))
    assert (status, made["claim"]["state"]) == (201, "confirmed")
    (one,) = made["payments"]
    assert (one["amount"], one["payer"], one["payee"], one["payee_basis"]) == (
        "1500000",
        checksum_address(BOB),
        checksum_address(ALICE),
        "wallet",
    )
    assert one["token"]["decimals"] == 6
    page = await get(shop.api.client, LINK)
    assert page["items"] == [one]
    assert await get(shop.api.client, f"/v1/payments/{made['claim']['claim']}") == made


async def test_link__when_sent_again_with_its_key__then_the_same_answer_and_one_payment(
    shop: Shop,
) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE))
    first = await shop.link(named(paid), key="k1")
    questions = shop.till.chain.questions
    assert await shop.link(named(paid), key="k1") == first
    assert shop.till.chain.questions == questions
    assert len(await shop.till.counted()) == 1


async def test_link__when_nobody_knows_the_transaction__then_404(shop: Shop) -> None:
    assert await shop.refusal(named(b"\7" * 32)) == (404, "transaction-not-found", None)


async def test_link__when_linked_already__then_409_whoever_asks(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE))
    assert (await shop.link(named(paid)))[0] == 201
    assert (await shop.refusal(named(paid)))[:2] == (409, "already-linked")
    payer = await shop.other(BOB)
    assert (await payer.refusal(named(paid)))[:2] == (409, "already-linked")


async def test_link__when_another_agent_has_it__then_409(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE))
    assert (await shop.link(named(paid)))[0] == 201
    assert await shop.refusal(named(paid), path="/v1/agents/31337:2/payments") == (
        409,
        "already-linked",
        "used-by-other-agent",
    )


async def test_link__when_it_went_elsewhere__then_422_wrong_receiver(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, CAROL))
    assert await shop.refusal(named(paid)) == (422, "wrong-receiver", "wrong-receiver")


async def test_link__when_it_is_no_payment__then_422_with_the_reason(shop: Shop) -> None:
    chain = shop.till.chain
    for tx_hash, reason in (
        (chain.pay("failed", 2, Move(BOB, ALICE), succeeded=False), "transaction-failed"),
        (chain.pay("token", 2, Move(BOB, ALICE, token=CAROL)), "token-not-allowed"),
        (chain.pay("none", 2), "no-transfer"),
        (chain.pay("self", 2, Move(ALICE, ALICE)), "self-payment"),
    ):
        assert await shop.refusal(named(tx_hash)) == (422, "payment-refused", reason)
    elsewhere = named(b"\1" * 32, chain="base")
    assert await shop.refusal(elsewhere) == (422, "payment-refused", "chain-not-read")


async def test_link__when_it_waits__then_202_and_it_settles_by_itself(shop: Shop) -> None:
    t = shop.till
    waiting = t.chain.pool("one")
    status, made = await shop.link(named(waiting))
    assert (status, made["claim"]["state"], made["payments"]) == (202, "pending", [])
    assert (await shop.refusal(named(waiting)))[:2] == (409, "already-linked")

    t.chain.pay("one", 4, Move(BOB, ALICE))
    await t.settle()
    path = f"/v1/payments/{made['claim']['claim']}"
    assert (await get(shop.api.client, path))["claim"]["state"] == "included"
    t.story.next_block()
    await t.store(final=5)
    await t.settle()
    assert (await get(shop.api.client, path))["claim"]["state"] == "confirmed"


async def test_link__when_included_and_reorganised_away__then_taken_back(shop: Shop) -> None:
    t = shop.till
    paid = t.chain.pay("one", 4, Move(BOB, ALICE))
    status, made = await shop.link(named(paid))
    assert (status, made["claim"]["state"], len(made["payments"])) == (202, "included", 1)
    t.chain.drop(paid)
    await t.settle()
    assert (await get(shop.api.client, LINK))["items"] == []


async def test_link__when_a_settlement_response_is_given__then_its_transaction_is_linked(
    shop: Shop,
) -> None:
    for network in ("devnet", "eip155:31337"):  # x402 v1, v2
        paid = shop.till.chain.pay(network, 2, Move(BOB, ALICE, signed=True))
        said = {
            "success": True,
            "transaction": f"0x{paid.hex()}",
            "network": network,
            "payer": checksum_address(BOB),
        }
        header = base64.b64encode(json.dumps(said).encode()).decode()
        status, made = await shop.link({"settlement": header})
        assert (status, made["claim"]["claimed_payer"]) == (201, checksum_address(BOB))


async def test_link__when_the_settlement_names_another_payer__then_422(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE))
    said = {
        "success": True,
        "transaction": f"0x{paid.hex()}",
        "network": "eip155:31337",
        "payer": checksum_address(CAROL),
    }
    assert await shop.refusal({"settlement": said}) == (
        422,
        "payment-refused",
        "claimed-otherwise",
    )


async def test_link__when_the_body_is_wrong__then_400(shop: Shop) -> None:
    some = "0x" + "1" * 64
    for body in (
        {},
        {"tx_hash": "0x12"},
        {"tx_hash": some, "settlement": {}},
        {"settlement": {"success": False}},
        {"tx_hash": some, "log_index": -1},
        {"tx_hash": some, "chain": "nowhere"},
        {"tx_hash": some, "amount": 5},
    ):
        assert (await shop.refusal(body))[:2] == (400, "bad-body"), body


async def test_link__when_no_key_or_scope__then_401_or_403(shop: Shop) -> None:
    body = named(b"\1" * 32)
    assert (await shop.api.client.post(LINK, json=body)).status_code == 401
    reader = await give_account(shop.api.pool, ("read", "write"))
    answer = await shop.api.client.post(LINK, json=body, headers=reader.headers)
    assert answer.status_code == 403


async def test_link__when_the_receiver_is_only_declared__then_a_party_must_link_it(
    shop: Shop,
) -> None:
    t = shop.till
    await t.conn.execute(
        "INSERT INTO endpoint (hash, protocol, url, host) VALUES ('\\x01', 'x402', 'u', 'h')"
    )
    await t.conn.execute(
        "INSERT INTO agent_endpoint SELECT 31337, 1, 0, 'x402', endpoint_id FROM endpoint"
    )
    await t.conn.execute(
        "INSERT INTO endpoint_payee SELECT endpoint_id, 'devnet', $1, b.time, b.time"
        " FROM endpoint, block b WHERE b.number = 2",
        CAROL,
    )
    paid = t.chain.pay("one", 2, Move(BOB, CAROL))
    assert await shop.refusal(named(paid)) == (422, "payment-refused", "not-a-party")
    await shop.prove(shop.holder, BOB)
    status, made = await shop.link(named(paid))
    assert (status, made["payments"][0]["payee_basis"]) == (201, "declared")


async def test_link__when_a_stranger_links_to_a_default_wallet__then_422(shop: Shop) -> None:
    paid = shop.till.chain.pay("one", 2, Move(BOB, ALICE))
    stranger = await shop.other(CAROL)
    assert await stranger.refusal(named(paid)) == (422, "payment-refused", "not-a-party")
    assert (await shop.link(named(paid)))[0] == 201


async def test_link__when_the_wallet_signed_for_this_agent_alone__then_a_stranger_may_link_it(
    shop: Shop,
) -> None:
    t, stranger = shop.till, await shop.other()
    t.story.next_block().metadata(1, b"agentWallet", CAROL).next_block()  # block 5
    alone = t.chain.pay("alone", 5, Move(BOB, CAROL))
    t.story.metadata(2, b"agentWallet", CAROL).next_block()
    shared = t.chain.pay("shared", 6, Move(BOB, CAROL))
    t.story.metadata(2, b"agentWallet", DAVE).next_block()
    again = t.chain.pay("again", 7, Move(BOB, CAROL))
    await t.store(final=7)
    t.chain.final = 7
    for paid in (alone, again):
        status, made = await stranger.link(named(paid))
        assert (status, made["payments"][0]["payee_basis"]) == (201, "wallet")
    assert await stranger.refusal(named(shared)) == (422, "payment-refused", "not-a-party")


async def test_link__when_a_stranger_waits_for_it__then_the_party_is_not_kept_from_linking(
    shop: Shop,
) -> None:
    t, stranger = shop.till, await shop.other()
    waiting = t.chain.pool("one")
    for path in (LINK, "/v1/agents/31337:2/payments"):
        assert (await stranger.link(named(waiting), path=path))[0] == 202
    status, made = await shop.link(named(waiting))
    assert (status, made["claim"]["state"]) == (202, "pending")
    t.chain.pay("one", 2, Move(BOB, ALICE))
    await t.settle()
    path = f"/v1/payments/{made['claim']['claim']}"
    assert len((await get(shop.api.client, path))["payments"]) == 1
    assert await t.counted() == [(1, 1_000_000, True, False)]
    assert (await stranger.refusal(named(waiting)))[2] == "not-a-party"


async def test_link__when_the_wallet_goes_to_another_account__then_what_was_linked_stays(
    shop: Shop,
) -> None:
    t = shop.till
    paid = t.chain.pay("one", 2, Move(BOB, ALICE))
    assert (await shop.link(named(paid)))[0] == 201
    await shop.other(ALICE)
    await t.file(b"https://f.example/1", proof(paid))  # all is settled anew
    await t.settle()
    assert set(await t.claims()) == {("confirmed", None)}


async def test_feedback__when_its_file_proves_a_payment__then_it_says_so_and_is_filtered(
    shop: Shop,
) -> None:
    t, path = shop.till, f"/v1/agents/{KEY}/feedback"
    t.story.next_block().give(1, CAROL, 1)
    await t.store(final=3)
    paid = t.chain.pay("one", 2, Move(BOB, ALICE))
    before = await shop.api.client.get(path)
    assert [one["payment"] for one in before.json()["items"]] == [None, None]
    await t.file(b"https://f.example/1", proof(paid))
    await t.settle()
    after = await shop.api.client.get(path)
    assert [one["payment"] and one["payment"]["state"] for one in after.json()["items"]] == [
        None,
        "confirmed",
    ]
    assert before.headers["etag"] != after.headers["etag"]
    only = await get(shop.api.client, path, paid="true")
    assert [one["client"] for one in only["items"]] == [checksum_address(BOB)]
    assert (await get(shop.api.client, path, paid="true", client=checksum_address(CAROL)))[
        "items"
    ] == []
    one = await get(shop.api.client, f"{path}/{checksum_address(BOB)}/1")
    assert one["items"][0]["payment"]["tx_hash"] == f"0x{paid.hex()}"
    (payment,) = (await get(shop.api.client, LINK))["items"]
    assert payment["feedback"] == {"client": checksum_address(BOB), "index": "1"}


async def test_payments__when_there_are_many__then_pages_hold_each_once(shop: Shop) -> None:
    for number in range(5):
        paid = shop.till.chain.pay(f"tx {number}", 2, Move(BOB, ALICE, number + 1))
        assert (await shop.link(named(paid)))[0] == 201
    for path in (LINK, f"{LINK}/claims"):
        seen: list[str] = []
        cursor: dict[str, str] = {}
        while True:
            page = await get(shop.api.client, path, limit=2, **cursor)
            seen += [one["tx_hash"] for one in page["items"]]
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        assert len(seen) == len(set(seen)) == 5


async def test_stats__when_paid_and_rated__then_exact_totals_and_rate(shop: Shop) -> None:
    t, path = shop.till, f"/v1/agents/{KEY}/stats"
    empty = await get(shop.api.client, path)
    assert empty["payments"]["success"] is None
    assert empty["payments"]["totals"] == []
    assert empty["trust"] == {"level": "unrated"}
    big = 2**200
    for number, amount in enumerate((big, big + 1)):
        paid = t.chain.pay(f"tx {number}", 2, Move((BOB, CAROL)[number], ALICE, amount))
        assert (await shop.link(named(paid)))[0] == 201
    await t.file(b"https://f.example/1", proof(t.chain.pay("no", 2, Move(BOB, CAROL))))
    await t.settle()
    answer = await shop.api.client.get(path)
    found = answer.json()
    assert found["payments"]["totals"][0]["amount"] == str(2 * big + 1)
    assert (found["payments"]["payments"], found["payments"]["payers"]) == (2, 2)
    assert found["payments"]["success"] == {"good": 2, "of": 3, "ratio": "0.666667"}
    assert found["feedback"]["given"] == 1
    assert found["identity"]["owner"] == checksum_address(ALICE)
    t.story.next_block()
    await t.store()
    again = await shop.api.client.get(path, headers={"If-None-Match": answer.headers["etag"]})
    assert again.status_code == 304, "a head that moved changes nothing"


async def test_reads__when_there_is_no_such_agent_or_claim__then_404(shop: Shop) -> None:
    client = shop.api.client
    for path in ("payments", "payments/claims", "stats"):
        await refused(client, f"/v1/agents/31337:99/{path}", 404, "agent-not-found")
    nobody = "/v1/payments/00000000-0000-0000-0000-000000000000"
    await refused(client, nobody, 404, "not-found")
    assert await shop.refusal(named(b"\1" * 32), path="/v1/agents/31337:99/payments") == (
        404,
        "agent-not-found",
        None,
    )


@pytest.mark.parametrize(
    ("statement", "arguments"),
    [
        (read_payments.OF_AGENT, 8),
        (read_payments.CLAIMS_OF_AGENT, 6),
        (read_stats.STATS, 2),
    ],
)
async def test_reads__when_planned__then_no_table_is_read_through(
    conn: Conn, statement: str, arguments: int
) -> None:
    async with conn.transaction():
        await conn.execute("SET LOCAL enable_seqscan = off")
        await conn.execute("SET LOCAL plan_cache_mode = force_generic_plan")
        names = ", ".join(["unknown"] * arguments)
        await conn.execute(f"PREPARE asked ({names}) AS {statement}")
        given = ", ".join(["NULL"] * arguments)
        rows = await conn.fetch(f"EXPLAIN EXECUTE asked ({given})")
    plan = "\n".join(row[0] for row in rows)
    assert "Seq Scan on payment" not in plan, plan
