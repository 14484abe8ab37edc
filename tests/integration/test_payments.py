"""Claims of payment: made by feedback files, settled by the worker until final, taken back."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest

from renown.ingest.payments import PaymentWorker
from renown.spec.tokens import KNOWN_TOKENS
from renown.store import payees, payment_claims, payments
from renown.store.accounts import create_account
from renown.store.changes import CHANGE_CHANNEL
from renown.store.forget import forget
from renown.store.payment_claims import Linked
from renown.store.pool import connect, transaction
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests import shelf
from tests.factories import DAVE, FIRST_TIME
from tests.fakes.payment_chain import Move, PaymentChain
from tests.payments import ALICE, BOB, CAROL, proof, till
from tests.shelf import when


async def test_worker__when_a_feedback_file_proves_a_payment__then_confirmed_once_all_is_final(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE, signed=True))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store()
        await t.file(b"https://f.example/1", proof(paid))

        await t.settle()
        assert await t.claims() == [("included", None)]
        assert await t.counted() == [(1, 1_000_000, False, True)]

        await t.store(final=2)  # the payment is final, the feedback in block 3 is not
        await t.settle()
        assert await t.claims() == [("included", None)]

        await t.store(final=3)
        await t.settle()
        assert await t.claims() == [("confirmed", None)]
        assert await t.counted() == [(1, 1_000_000, True, True)]
        questions = t.chain.questions
        await t.settle(after=timedelta(days=30))
        assert t.chain.questions == questions, "what is settled is left alone"


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_worker__when_two_feedbacks_name_one_payment__then_the_earlier_has_it_in_any_order(
    fresh_database_url: str, order: tuple[int, int]
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1").next_block()
        t.story.give(1, BOB, 2, uri=b"https://f.example/2")
        await t.store(final=4)
        for number in order:
            await t.file(b"https://f.example/%d" % number, proof(paid))
            await t.settle()
        assert await t.claims() == [("confirmed", None), ("refused", "used-by-other-feedback")]
        assert await t.counted() == [(1, 1_000_000, True, True)]
        owner = await t.conn.fetchval(
            "SELECT feedback_index FROM payment p JOIN payment_claim c"
            " ON c.claim_id = p.feedback_claim_id"
        )
        assert owner == 1


async def test_worker__when_a_reorg_takes_the_payment__then_it_is_taken_back_and_found_again(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store()
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        assert await t.counted() == [(1, 1_000_000, False, True)]

        t.chain.drop(paid)
        await t.settle()
        assert (await t.claims(), await t.counted()) == ([("pending", None)], [])

        t.chain.pay("one", 3, Move(BOB, ALICE))
        await t.settle()
        assert await t.claims() == [("included", None)]
        assert await t.conn.fetchval("SELECT block_number FROM payment") == 3


async def test_worker__when_a_reorg_takes_the_feedback__then_its_claim_goes_and_the_next_has_it(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1").next_block()
        await t.store()
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        await t.retract(2)
        await t.settle()
        assert (await t.claims(), await t.counted()) == ([], [])


async def test_worker__when_nobody_knows_the_transaction__then_asked_for_days_and_refused(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(b"\7" * 32))
        await t.settle()
        assert await t.claims() == [("pending", None)]
        for _ in range(10):
            await t.settle(after=timedelta(days=5))
        assert await t.claims() == [("refused", "unknown-transaction")]
        assert t.chain.questions < 12


async def test_worker__when_files_lie__then_each_is_refused_with_its_reason(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        failed = t.chain.pay("failed", 2, Move(BOB, ALICE), succeeded=False)
        foreign = t.chain.pay("foreign", 2, Move(CAROL, ALICE))
        away = t.chain.pay("away", 2, Move(BOB, CAROL))
        other = t.chain.pay("other token", 2, Move(BOB, ALICE, token=CAROL))
        good = t.chain.pay("good", 2, Move(BOB, ALICE))
        files = [
            proof(failed),
            proof(foreign),
            proof(away, payee=CAROL),
            proof(other),
            proof(good, payee=CAROL),
            proof(good, chain="eip155:424242"),
        ]
        for number, _ in enumerate(files):
            t.story.give(1, BOB, number + 1, uri=b"https://f.example/%d" % number)
        await t.store(final=3)
        for number, body in enumerate(files):
            await t.file(b"https://f.example/%d" % number, body)
        await t.settle()
        assert [reason for _, reason in await t.claims()] == [
            "transaction-failed",
            "claimed-otherwise",
            "wrong-receiver",
            "token-not-allowed",
            "claimed-otherwise",
            "chain-not-read",
        ]
        assert await t.counted() == []


async def test_worker__when_a_file_changes_what_it_names__then_its_claim_changes_with_it(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        one = t.chain.pay("one", 2, Move(BOB, ALICE, 5))
        two = t.chain.pay("two", 2, Move(BOB, ALICE, 7))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(one))
        await t.settle()
        await t.file(b"https://f.example/1", proof(two))
        await t.settle()
        assert await t.counted() == [(1, 7, True, True)]
        await t.file(b"https://f.example/1", b'{"text": "never mind"}')
        await t.settle()
        assert (await t.claims(), await t.counted()) == ([], [])


async def test_worker__when_a_file_is_not_what_the_record_promised__then_it_claims_nothing(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid), verdict="mismatch")
        await t.settle()
        assert await t.claims() == []


async def test_worker__when_files_were_read_before__then_a_new_worker_finds_them(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid))
        await t.conn.execute("DELETE FROM payment_look")
        await t.settle()
        assert await t.claims() == [("confirmed", None)]


async def test_worker__when_the_agent_changed_hands_since__then_its_owner_of_that_block_counts(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        before = t.chain.pay("before", 2, Move(BOB, ALICE, 5))
        after = t.chain.pay("after", 4, Move(BOB, ALICE, 7))
        t.story.next_block().transfer(1, ALICE, CAROL).next_block()
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        t.story.give(1, BOB, 2, uri=b"https://f.example/2")
        await t.store(final=5)
        await t.file(b"https://f.example/1", proof(before))
        await t.file(b"https://f.example/2", proof(after))
        await t.settle()
        assert await t.claims() == [("confirmed", None), ("refused", "wrong-receiver")]


async def test_worker__when_nodes_are_away__then_nothing_is_concluded(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store()
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        t.chain.is_away = True
        await t.settle()
        assert await t.claims() == [("included", None)]
        t.chain.is_away = False
        await t.store(final=3)
        await t.settle()
        assert await t.claims() == [("confirmed", None)]


async def test_worker__when_a_node_lags_behind_what_is_final__then_the_payment_stays(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        t.story.give(1, BOB, 2, uri=b"https://f.example/2")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        t.chain.drop(paid, keeps=False)
        await t.file(b"https://f.example/2", proof(paid))
        await t.settle()
        assert await t.claims() == [("confirmed", None), ("pending", None)]
        assert await t.counted() == [(1, 1_000_000, True, True)]


async def test_worker__when_no_node_is_configured__then_refused_until_there_is_one(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid))
        without = PaymentWorker(
            lambda: connect(t.url), {}, tokens=KNOWN_TOKENS, clock=lambda: t.now
        )
        t.now += timedelta(minutes=1)
        await without.run_until_idle()
        assert await t.claims() == [("refused", "chain-not-read")]
        await t.settle(after=timedelta(days=2))
        assert await t.claims() == [("confirmed", None)]


async def test_forget__when_a_chain_goes__then_its_claims_and_payments_go_with_it(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        await forget(t.conn, 31337)
        assert (await t.claims(), await t.counted()) == ([], [])


async def test_worker__when_the_file_declared_the_receiver__then_it_counts_as_declared(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        said, later = b"https://agent.example/r.json", b"https://agent.example/later.json"
        t.story.say_uri(1, said).next_block()  # block 3
        before = t.chain.pay("while declared", 4, Move(BOB, CAROL, 5))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1").next_block()
        t.story.say_uri(1, later).next_block()  # block 5
        after = t.chain.pay("declared no more", 6, Move(BOB, CAROL, 7))
        t.story.give(1, BOB, 2, uri=b"https://f.example/2")
        await t.store(final=6)
        wallets = [
            {"name": "agentWallet", "endpoint": f"eip155:31337:{checksum_address(CAROL)}"},
            {"name": "agentWallet", "endpoint": f"eip155:8453:{checksum_address(DAVE)}"},
        ]
        await shelf.serve(t.conn, said, shelf.registration(1, services=wallets), shelf.when(3.5))
        await shelf.serve(t.conn, later, shelf.registration(1), shelf.when(5.5))
        await t.file(b"https://f.example/1", proof(before, payee=CAROL))
        await t.file(b"https://f.example/2", proof(after, payee=CAROL))
        await t.settle()
        assert await t.claims() == [("confirmed", None), ("refused", "wrong-receiver")]
        assert await t.conn.fetchval("SELECT payee_basis FROM payment") == "declared"


async def test_worker__when_paid_on_another_chain__then_the_agent_of_that_time_counts(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        usdc = next(iter(KNOWN_TOKENS[8453]))
        base = PaymentChain(first_time=FIRST_TIME, block_seconds=2)
        base.final = 100
        paid = base.pay("before the sale", 20, Move(BOB, ALICE, 5, token=usdc))  # time of block 3
        sold = base.pay("after the sale", 30, Move(BOB, ALICE, 7, token=usdc))  # time of block 5
        far = base.pay("far ahead", 90, Move(BOB, ALICE, 9, token=usdc))
        t.story.next_block(2).transfer(1, ALICE, CAROL).next_block()  # block 5
        for number in (1, 2, 3):
            t.story.give(1, BOB, number, uri=b"https://f.example/%d" % number)
        await t.store(final=6)
        for number, tx_hash in enumerate((paid, sold, far), start=1):
            await t.file(b"https://f.example/%d" % number, proof(tx_hash, chain=8453))
        worker = PaymentWorker(
            lambda: connect(t.url), {8453: base}, tokens=KNOWN_TOKENS, clock=lambda: t.now
        )
        t.now += timedelta(minutes=1)
        await worker.run_until_idle()
        assert await t.claims() == [
            ("confirmed", None),
            ("refused", "wrong-receiver"),
            ("pending", None),  # the agent's chain is not indexed that far
        ]


async def test_worker__when_several_name_one_transaction__then_the_same_in_every_order(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        orders = list(itertools.permutations(range(3)))
        agents = (2, 1, 2)
        uris: dict[tuple[int, int], bytes] = {}
        for place, agent_id in enumerate(agents):
            for number, _ in enumerate(orders):
                uris[number, place] = b"https://f.example/%d/%d" % (number, place)
                t.story.give(agent_id, BOB, 10 * number + place + 1, uri=uris[number, place])
            t.story.next_block()
        await t.store(final=6)
        for number, order in enumerate(orders):
            paid = t.chain.pay(f"tx {number}", 2, Move(BOB, ALICE, 5), Move(BOB, ALICE, 7))
            for place in order:
                await t.file(uris[number, place], proof(paid))
                await t.settle()
        rows = await t.conn.fetch(
            "SELECT feedback_block, count(*), array_agg(DISTINCT coalesce(reason, state)) AS came"
            "  FROM payment_claim GROUP BY feedback_block ORDER BY feedback_block"
        )
        assert [(row["count"], row["came"]) for row in rows] == [
            (6, ["confirmed"]),
            (6, ["confirmed"]),
            (6, ["used-by-other-feedback"]),
        ]
        assert sorted(await t.counted()) == 6 * [(1, 7, True, True)] + 6 * [(2, 5, True, True)]


async def test_worker__when_an_earlier_claim_is_found_late__then_all_behind_it_are_settled_anew(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1").next_block()
        t.story.give(2, BOB, 1, uri=b"https://f.example/2").next_block()
        t.story.give(1, BOB, 2, uri=b"https://f.example/3")
        await t.store(final=5)
        await t.file(b"https://f.example/2", proof(paid))
        await t.file(b"https://f.example/3", proof(paid))
        await t.settle()
        assert await t.claims() == [("confirmed", None), ("refused", "used-by-other-agent")]
        assert await t.counted() == [(2, 1_000_000, True, True)]

        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        await t.settle()
        assert await t.claims() == [
            ("confirmed", None),
            ("refused", "used-by-other-agent"),
            ("refused", "used-by-other-feedback"),
        ]
        assert await t.counted() == [(1, 1_000_000, True, True)]


async def test_worker__when_the_owner_linked_the_payment_elsewhere__then_the_rating_takes_it_back(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        t.story.give(1, BOB, 1, uri=b"https://f.example/1")
        await t.store(final=3)
        async with transaction(t.conn) as tx:
            owner = await create_account(tx, "of both agents")
            await add_wallet(tx, owner.account_id, ALICE, 0, "signature")
            linked = Linked(
                account_id=owner.account_id,
                chain_id=31337,
                agent_id=2,
                pay_chain_id=31337,
                tx_hash=paid,
            )
            claim = await payment_claims.link(tx, linked)
            await tx.execute(
                "UPDATE payment_claim SET created_at = $2 WHERE claim_id = $1", claim, when(1)
            )
        await t.settle()
        assert await t.counted() == [(2, 1_000_000, True, False)]
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        assert await t.claims() == [("confirmed", None), ("refused", "used-by-other-agent")]
        assert await t.counted() == [(1, 1_000_000, True, True)]


@pytest.mark.parametrize("is_final", [True, False])
async def test_worker__when_very_many_files_name_one_transaction__then_a_few_at_a_time_and_the_same(
    fresh_database_url: str, monkeypatch: pytest.MonkeyPatch, is_final: bool
) -> None:
    monkeypatch.setattr(payments, "CLAIMS_AT_ONCE", 2)
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE, 5), Move(BOB, ALICE, 7))
        uris = [b"https://f.example/%d" % number for number in range(9)]
        for number, uri in enumerate(uris):
            t.story.give(1, BOB if number % 3 else CAROL, number + 1, uri=uri).next_block()
        await t.store(final=20 if is_final else -1)
        for uri in reversed(uris):
            await t.file(uri, proof(paid))
        tally = await t.settle()
        assert tally.transactions == 5, "two of nine at a time, none of them twice"
        good = ("confirmed" if is_final else "included", None)
        assert await t.claims() == [
            ("refused", "wrong-payer")
            if number % 3 == 0
            else good
            if number < 3
            else ("refused", "used-by-other-feedback")
            for number, _ in enumerate(uris)
        ]
        assert [amount for _, amount, _, _ in await t.counted()] == [5, 7]


async def test_worker__when_a_claim_beside_is_settled__then_what_stands_is_left_as_it_is(
    fresh_database_url: str,
) -> None:
    async with till(fresh_database_url) as t:
        paid = t.chain.pay("one", 2, Move(BOB, ALICE))
        for number in (1, 2):
            t.story.give(number, BOB, 1, uri=b"https://f.example/%d" % number)
        await t.store(final=3)
        await t.file(b"https://f.example/1", proof(paid))
        await t.settle()
        kept = "SELECT xmin::text FROM payment_claim WHERE state = 'confirmed'"
        before = await t.conn.fetchval(kept)
        heard: list[str] = []
        await t.conn.add_listener(CHANGE_CHANNEL, lambda *told: heard.append(told[-1]))
        await t.file(b"https://f.example/2", proof(paid))
        heard.clear()
        await t.settle()
        await t.conn.execute("SELECT 1")
        assert await t.claims() == [("confirmed", None), ("refused", "used-by-other-agent")]
        assert await t.conn.fetchval(kept) == before
        assert set(heard) == {"31337:2"}

        await t.file(b"https://f.example/2", b'{"text": "never mind"}')  # it held nothing
        assert (await t.settle()).transactions == 0


async def test_shared_wallet__when_planned__then_an_index_answers(fresh_database_url: str) -> None:
    async with till(fresh_database_url) as t:
        await t.store()
        await t.conn.execute("SET enable_seqscan = off")
        await t.conn.execute("SET plan_cache_mode = force_generic_plan")
        await t.conn.execute(f"PREPARE asked (bigint, bytea[], bigint, bigint) AS {payees.SHARED}")
        rows = await t.conn.fetch("EXPLAIN EXECUTE asked (31337, NULL, 1, 5)")
        plan = "\n".join(row[0] for row in rows)
        assert "value = ANY" in plan, plan
        assert "Seq Scan" not in plan, plan
