"""What operations take of memory and room: brief lists, a bound, an end of what nobody signs."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import msgspec
import pytest

from renown.api.answers import operations as answers
from renown.derive.files import hosted_uri
from renown.derive.operation import PlannedStep
from renown.errors import OperationConflict
from renown.ingest.operations.expiring import expire
from renown.store import hosted, operations
from renown.store.operation_expiry import drop_unsigned, needs_file
from renown.store.pool import connect, transaction
from tests.operations import CHAIN, Bench, feedback, registration, signed, unsigned

CONTENT = b'{"name": "Ada"}'
NAME = hashlib.sha256(CONTENT).digest()
URI = hosted_uri("https://renown.example", CONTENT)


@pytest.fixture
async def bench(fresh_database_url: str) -> AsyncIterator[Bench]:
    made = await Bench.open(fresh_database_url)
    yield made
    await made.conn.close()


# Lists --------------------------------------------------------------------------------------------


async def test_page__of_the_largest_operations__is_small(bench: Bench) -> None:
    large = PlannedStep(
        function="f", contract=CHAIN.reputation, summary="s", calldata=b"x" * 120 * 1024
    )
    for _ in range(20):
        await bench.ask(
            *[large] * 4, mode="client", prepared=[unsigned(large, n) for n in range(4)]
        )
    answer = await answers.page(bench.conn, bench.account_id, limit=100)
    assert len(answer.body.items) == 20
    assert len(msgspec.json.encode(answer.body)) < 20 * 1_500
    rows = await operations.page(bench.conn, bench.account_id, limit=1)
    assert {step.calldata for step in rows[0].steps} == {b""}


async def test_page__says_what_each_operation_waits_for_as_the_operation_itself_does(
    bench: Bench,
) -> None:
    step = feedback(1)
    ready = await bench.ask(step, mode="client", prepared=[unsigned(step)])
    unready = await bench.ask(step, mode="client")
    awaiting = await bench.ask(*registration(), mode="client", kind="register")
    sent = await bench.ask(step, mode="client")
    await bench.relay(sent, 1, await signed(step, 0))
    managed = await bench.ask(step)
    listed = await answers.page(bench.conn, bench.account_id, limit=10)
    by_id = {one.id: one for one in listed.body.items}
    for operation in (ready, unready, awaiting, sent, managed):
        whole = (await answers.one(bench.conn, operation, bench.account_id)).body
        brief = by_id[str(operation)]
        for name in ("state", "next", "left", "kind", "mode", "sender", "agent"):
            assert getattr(brief, name) == getattr(whole, name), name
        assert [one.tx_hash for one in brief.transactions] == [
            one.tx_hash for one in whole.transactions
        ]


# What nobody signs --------------------------------------------------------------------------------


async def test_prepared__as_many_as_an_account_may_have__no_more_until_one_is_signed(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(operations, "MOST_PREPARED", 2)
    step = feedback(1)
    first, _ = [await bench.ask(step, mode="client") for _ in range(2)]
    with pytest.raises(OperationConflict, match="2 operations of this account wait"):
        await bench.ask(step, mode="client")
    await bench.relay(first, 1, await signed(step, 0))
    await bench.ask(step, mode="client")


async def old(bench: Bench, *, days: float = 8, file: bytes | None = CONTENT, **more: Any) -> UUID:
    """An operation that nobody touched for so long, and that needs a hosted file."""
    operation = await bench.ask(feedback(1), **({"mode": "client"} | more))
    if file is not None:
        async with transaction(bench.conn) as tx:
            await hosted.keep(tx, bench.account_id, file)
            await needs_file(tx, operation, URI, file)
    await bench.conn.execute(
        """UPDATE operation SET updated_at = now() - $2 * interval '1 day'
            WHERE operation_id = $1""",
        *(operation, days),
    )
    return operation


async def left(bench: Bench) -> set[UUID]:
    rows = await bench.conn.fetch("SELECT operation_id FROM operation")
    return {UUID(bytes=row[0].bytes) for row in rows}


async def is_served(bench: Bench) -> bool:
    return await hosted.load(bench.conn, NAME) is not None


async def test_unsigned__for_a_week__goes_with_the_file_that_only_it_needed(bench: Bench) -> None:
    await old(bench)
    young = await old(bench, days=6.9, file=None)
    assert await is_served(bench)
    assert await expire(lambda: connect(bench.url)) == 1
    assert await left(bench) == {young}
    assert not await is_served(bench)


async def test_signed__however_long_ago__stays(bench: Bench) -> None:
    relayed = await old(bench)
    await bench.relay(relayed, 1, await signed(feedback(1), 0))
    await bench.conn.execute(
        "UPDATE operation SET state = 'prepared', updated_at = now() - interval '30 days'"
    )
    assert await drop_unsigned(bench.conn) == 0
    assert await left(bench) == {relayed}
    assert await is_served(bench)


async def test_unsigned__while_somebody_signs_it__is_left_alone(bench: Bench) -> None:
    operation = await old(bench)
    other = await connect(bench.url)
    try:
        async with transaction(other) as tx:
            await operations.add_signed(tx, operation, 1, await signed(feedback(1), 0))
            assert await drop_unsigned(bench.conn) == 0
        assert await drop_unsigned(bench.conn) == 0
        assert await left(bench) == {operation}
    finally:
        other.terminate()


async def test_file__that_another_operation_needs__stays(bench: Bench) -> None:
    await old(bench)
    young = await old(bench, days=1)
    assert await drop_unsigned(bench.conn) == 1
    assert await left(bench) == {young}
    assert await is_served(bench)


BY_A_FACT = """
INSERT INTO agent_registered (chain_id, block_number, log_index, tx_hash, agent_id, owner, uri)
VALUES (31337, 1, 0, '\\x01', 1, '\\x01', $1)
"""
BY_A_DOCUMENT = """
INSERT INTO uri (hash, uri, kind, host, fixed, stage)
VALUES (sha256($1), $1, 'https', 'h', false, 0)
"""


@pytest.mark.parametrize("named", [BY_A_FACT, BY_A_DOCUMENT], ids=["fact", "document"])
async def test_file__that_the_chain_names__stays(bench: Bench, named: str) -> None:
    """The caller signed and sent it past this index."""
    await old(bench)
    await bench.conn.execute("SELECT ensure_fact_partitions(31337, 0)")
    await bench.conn.execute(named, URI)
    assert await drop_unsigned(bench.conn) == 1
    assert await is_served(bench)
