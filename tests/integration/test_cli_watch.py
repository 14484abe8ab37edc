"""`renown watch`: that it looks after operations and payments, and how it leaves."""

from __future__ import annotations

import asyncio
import json

from renown.store.payment_claims import Linked, link
from renown.store.pool import transaction
from tests.command import renown
from tests.crawling import value
from tests.factories import DEVNET
from tests.operations import Bench, feedback, signed
from tests.payments import till

MADE = "INSERT INTO account (name) VALUES ('ada') RETURNING account_id"
NOBODY = "http://127.0.0.1:9"
PUT_OFF = "SELECT due_at > now() + interval '5 seconds' FROM payment_claim"


async def linked(url: str) -> None:
    """A payment of an agent that an account linked, in a transaction that has to be looked for."""
    async with till(url) as t:
        t.story.next_block()
        await t.store()
        async with transaction(t.conn) as tx:
            account = await tx.fetchval(MADE)
            claim = Linked(
                account_id=account,
                chain_id=DEVNET.chain_id,
                agent_id=1,
                pay_chain_id=DEVNET.chain_id,
                tx_hash=b"\x01" * 32,
            )
            await link(tx, claim)


async def asked(url: str) -> None:
    """One operation, signed by its caller, that waits for a watcher."""
    bench, step = await Bench.open(url), feedback(1)
    operation = await bench.ask(step, mode="client")
    await bench.relay(operation, 1, await signed(step, 0))
    await bench.conn.close()


def test_watch__once__looks_for_payments_too_and_puts_off_what_no_node_can_say(
    fresh_database_url: str,
) -> None:
    asyncio.run(linked(fresh_database_url))

    done = renown("watch", "--once", "--json", DATABASE_URL=fresh_database_url, RPC_URL=NOBODY)

    assert done.code == 0, done.err
    assert json.loads(done.out) == {"operations": 0, "payment_transactions": 1}
    assert "0 operations and 1 transactions of payments" in done.err
    assert asyncio.run(value(fresh_database_url, PUT_OFF)) is True


def test_watch__once__looks_at_operations(fresh_database_url: str) -> None:
    asyncio.run(asked(fresh_database_url))

    done = renown("watch", "--once", "--json", DATABASE_URL=fresh_database_url, RPC_URL=NOBODY)

    assert done.code == 0, done.err
    assert json.loads(done.out) == {"operations": 1, "payment_transactions": 0}


def test_watch__a_database_without_a_schema__says_so(empty_database_url: str) -> None:
    failed = renown("watch", "--once", DATABASE_URL=empty_database_url, RPC_URL=NOBODY)

    assert (failed.code, failed.out) == (78, "")
    assert "renown db migrate" in failed.err
