"""Kept numbers of payments are what payments and claims add up to, whatever was done to them."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from uuid import UUID

import pytest

from renown.store.payment_claims import drop
from renown.store.payment_rollups import differing, recount
from renown.store.payments import KEEP_VERDICTS
from renown.store.pool import Conn, connect, transaction
from tests.command import Outcome, renown

CHAINS, AGENTS, TOKENS, PAYERS = (31337, 31338), 3, (b"\1" * 20, b"\2" * 20), 4
STATES = ("pending", "included", "confirmed", "refused")

CLAIM = """
INSERT INTO payment_claim (chain_id, agent_id, pay_chain_id, tx_hash, feedback_block,
                           feedback_log_index, state, due_at)
SELECT $1, $2, 31337, sha256(int8send($3)), $3::bigint, 0, $4,
       CASE WHEN $5 THEN now() END
RETURNING claim_id
"""
PAY = """
INSERT INTO payment (pay_chain_id, tx_hash, log_index, chain_id, agent_id, claim_id,
                     feedback_claim_id, token, payer, payee, payee_basis, amount, is_final,
                     block_number, block_hash, paid_at)
SELECT 31337, sha256(int8send($1)), g, $2 + g % 2, $3, $4,
       CASE WHEN g = 0 AND $9 THEN $4::uuid END, $5, $6, '', 'wallet', $7::numeric + g, $8,
       $1::bigint, '', timestamptz '2026-01-01 00:00+00' + $1 * interval '1 minute'
  FROM generate_series(0, $10 - 1) g
"""
WAITS = """
SELECT EXISTS (SELECT FROM pg_stat_activity
                WHERE datname = current_database() AND wait_event_type = 'Lock'
                  AND query LIKE '%' || $1 || '%')
"""


class Hand:
    """Does things to payments and claims as the workers do, and worse, drawn by a seed."""

    def __init__(self, conn: Conn, seed: int) -> None:
        self.conn = conn
        self.chance = random.Random(seed)
        self.number = seed * 1_000_000
        self.claims: list[UUID] = []

    async def transact(self) -> None:
        """Some statements in one transaction, one part of which may be taken back."""
        with suppress(Undone):
            async with transaction(self.conn):
                for _ in range(self.chance.randint(1, 4)):
                    with suppress(Undone):
                        async with self.conn.transaction():
                            await self.act()
                            if self.chance.random() < 0.1:
                                raise Undone
                if self.chance.random() < 0.1:
                    raise Undone

    async def act(self) -> None:
        draw, conn = self.chance, self.conn
        known = [row[0] for row in await conn.fetch("SELECT claim_id FROM payment_claim")]
        mine = [claim for claim in self.claims if claim in known]
        what = draw.choice(
            ("claim", "claim", "pay", "pay", "state", "final", "free", "uncount", "drop")
        )
        if what == "claim" or not mine:
            self.number += 1
            where = (draw.choice(CHAINS), draw.randrange(AGENTS), self.number)
            made = await conn.fetchval(CLAIM, *where, draw.choice(STATES), draw.random() < 0.5)
            self.claims.append(made)
            return
        claim = draw.choice(mine)
        if what == "pay":
            self.number += 1
            free = not await conn.fetchval(
                "SELECT EXISTS (SELECT FROM payment WHERE feedback_claim_id = $1)", claim
            )
            await conn.execute(
                PAY,
                *(self.number, draw.choice(CHAINS), draw.randrange(AGENTS), claim),
                *(draw.choice(TOKENS), bytes([draw.randrange(PAYERS)]) * 20),
                *(draw.choice((1, 10**40)), draw.random() < 0.5, free and draw.random() < 0.5),
                draw.randint(1, 3),
            )
        elif what == "state":
            await conn.execute(
                "UPDATE payment_claim SET state = $2, due_at = CASE WHEN $3 THEN now() END"
                " WHERE claim_id = $1",
                *(claim, draw.choice(STATES), draw.random() < 0.5),
            )
        elif what == "final":
            await conn.execute(
                "UPDATE payment SET is_final = NOT is_final, agent_id = (agent_id + $2) % 3,"
                " amount = amount + 1, paid_at = paid_at + interval '1 second' WHERE claim_id = $1",
                *(claim, draw.randrange(2)),
            )
        elif what == "free":
            await conn.execute(
                "UPDATE payment SET feedback_claim_id = NULL WHERE feedback_claim_id = $1", claim
            )
        else:
            await conn.execute(
                "DELETE FROM payment WHERE claim_id = $1 OR feedback_claim_id = $1", claim
            )
            if what == "drop":
                await conn.execute("DELETE FROM payment_claim WHERE claim_id = $1", claim)


class Undone(Exception):
    """Nothing of this was meant."""


@pytest.fixture
async def own_conn(fresh_database_url: str) -> AsyncIterator[Conn]:
    conn = await connect(fresh_database_url)
    try:
        yield conn
    finally:
        conn.terminate()


@pytest.mark.parametrize("seed", range(3))
async def test_rollups__after_every_transaction__are_what_a_recount_gives(
    own_conn: Conn, seed: int
) -> None:
    hand = Hand(own_conn, seed + 1)
    for step in range(40):
        await hand.transact()
        assert await differing(own_conn) == [], f"seed {seed}, transaction {step}"
    assert await own_conn.fetchval("SELECT count(*) FROM payment") > 3, "it came to something"
    assert await own_conn.fetchval("SELECT count(*) FROM payment_change") == 0
    await own_conn.execute("DELETE FROM payment; DELETE FROM payment_claim")
    for table in ("agent_payment_stats", "agent_payment_total", "agent_payer"):
        assert await own_conn.fetchval(f"SELECT count(*) FROM {table}") == 0


async def test_rollups__when_many_write_about_the_same_agents__then_exact_and_nobody_deadlocks(
    own_conn: Conn, fresh_database_url: str
) -> None:
    async def work(seed: int) -> None:
        conn = await connect(fresh_database_url)
        try:
            hand = Hand(conn, seed)
            for _ in range(15):
                await hand.transact()
        finally:
            conn.terminate()

    await asyncio.gather(*(work(seed) for seed in range(11, 15)))

    assert await differing(own_conn) == []


async def test_recount__of_rows_loaded_past_the_triggers__makes_them_right(own_conn: Conn) -> None:
    await own_conn.execute("ALTER TABLE payment DISABLE TRIGGER USER")
    hand = Hand(own_conn, 5)
    for _ in range(30):
        await hand.act()
    assert {one.table for one in await differing(own_conn)} == {
        *("agent_payment_stats", "agent_payment_total", "agent_payer")
    }
    await own_conn.execute("ALTER TABLE payment ENABLE TRIGGER USER")

    await recount(own_conn)

    assert await differing(own_conn) == []


async def test_recount__beside_one_who_settles__waits_its_turn(
    own_conn: Conn, fresh_database_url: str
) -> None:
    claim = await one_payment(own_conn)
    counting = await connect(fresh_database_url)
    async with transaction(own_conn) as tx:  # verdicts, then payments
        verdict = ([claim], ["confirmed"], [None], [None], [0], [None], datetime.now(UTC))
        await tx.execute(KEEP_VERDICTS, *verdict)
        done = asyncio.create_task(recount(counting))
        await until_waiting(tx, "recount_payments")
        await tx.execute("DELETE FROM payment")
    await done
    await counting.close()

    assert await differing(own_conn) == []


async def test_recount__beside_one_who_drops_claims__waits_its_turn(
    own_conn: Conn, fresh_database_url: str
) -> None:
    claim = await one_payment(own_conn)
    dropping, counting = [await connect(fresh_database_url) for _ in range(2)]

    async def drop_it() -> None:
        async with transaction(dropping) as tx:
            await drop(tx, [claim])

    async with transaction(own_conn) as tx:
        await tx.execute("SELECT FROM payment FOR UPDATE")
        dropped = asyncio.create_task(drop_it())
        await until_waiting(tx, "payment")
        done = asyncio.create_task(recount(counting))
        await until_waiting(tx, "recount_payments")
    await asyncio.gather(dropped, done)
    await dropping.close()
    await counting.close()

    assert await differing(own_conn) == []


async def one_payment(conn: Conn) -> UUID:
    claim: UUID = await conn.fetchval(CLAIM, 31337, 1, 1, "pending", True)
    await conn.execute(PAY, 1, 31337, 1, claim, b"\1" * 20, b"\2" * 20, 5, False, False, 1)
    return claim


async def until_waiting(conn: Conn, said: str) -> None:
    """Until a session that sends a statement with `said` in it waits for a lock."""
    async with asyncio.timeout(20):
        while not await conn.fetchval(WAITS, said):
            await asyncio.sleep(0.01)
            await conn.execute("SELECT pg_stat_clear_snapshot()")


async def test_rollups__when_payments_are_truncated__then_claims_alone_are_left(
    own_conn: Conn,
) -> None:
    hand = Hand(own_conn, 6)
    for _ in range(20):
        await hand.transact()
    await own_conn.execute("TRUNCATE payment")

    assert await differing(own_conn) == []
    assert await own_conn.fetchval("SELECT sum(payment_count) FROM agent_payment_stats") == 0


async def test_rollups__when_very_many_come_and_go_at_once__then_all_are_counted(
    own_conn: Conn,
) -> None:
    claim = await own_conn.fetchval(CLAIM, 31337, 0, 9, "confirmed", False)
    await own_conn.execute(
        """INSERT INTO payment
           SELECT 31337, sha256(''), n, 31337, n % 7, $1, NULL, '', int8send(n), '', 'wallet', n,
                  true, 1, '', now() FROM generate_series(1, 11000) n""",
        claim,
    )
    assert await differing(own_conn) == []
    await own_conn.execute("DELETE FROM payment WHERE agent_id <> 3")

    assert await differing(own_conn) == []
    assert await own_conn.fetchval("SELECT count(*) FROM agent_payer") == 1572


def test_command__compares__and_counts_anew_if_told(fresh_database_url: str) -> None:
    async def spoil() -> None:
        conn = await connect(fresh_database_url)
        hand = Hand(conn, 7)
        for _ in range(3):
            await hand.act()
        await conn.execute("UPDATE agent_payment_stats SET pending_claims = 100")
        await conn.close()

    def cli(*args: str) -> Outcome:
        return renown("db", "recount", *args, DATABASE_URL=fresh_database_url)

    assert cli().code == 0
    asyncio.run(spoil())
    found = cli()
    assert (found.code, "agent_payment_stats" in found.out) == (65, True)
    assert json.loads(cli("--yes", "--json").out)["recounted"] is True
    assert cli().code == 0
