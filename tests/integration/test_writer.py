"""The writer on a real database: whatever is stored, dropped, folded again, one state comes out."""

from __future__ import annotations

import asyncio
import copy
import random
from collections.abc import Callable, Sequence
from types import ModuleType
from unittest.mock import create_autospec

import pytest
from asyncpg import PostgresError

from renown.derive.facts_hash import facts_hash
from renown.errors import LeaseLost, WrongChain
from renown.spec.events import (
    Fact,
    FeedbackGiven,
    LegacyEvent,
    OperatorSet,
    Quarantined,
    RegistryChanged,
)
from renown.store import hashing, retract, state
from renown.store.lease import acquire
from renown.store.orphaned import look_above
from renown.store.pool import Conn, Tx, connect
from renown.store.writer import Extension, Writer
from renown.types import BlockRef
from tests.activity import DEVNET, Activity

GENESIS = bytes(32)
World = list[tuple[BlockRef, list[Fact]]]


async def writer_on(url: str, name: str = "test") -> Writer:
    conn = await connect(url)
    try:
        return await acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name=name)
    except BaseException:
        await conn.close()
        raise


async def dropped(writer: Writer, url: str) -> None:
    """Cut the writer off, and wait for the server to see it: only then is the lease free.

    A statement that runs at that moment is carried on to its end.
    """
    pid = writer._conn.get_server_pid()
    writer.terminate()
    conn = await connect(url)
    try:
        async with asyncio.timeout(30):
            while await conn.fetchval("SELECT 1 FROM pg_stat_activity WHERE pid = $1", pid):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    finally:
        await conn.close()


async def clone(new_database: Callable[[str], str], template: str) -> str:
    return await asyncio.to_thread(new_database, template)


def world(activity: Activity, first: int, count: int, parent: bytes = GENESIS) -> World:
    blocks: World = []
    for number in range(first, first + count):
        ref, facts = activity.block(number, parent, facts=activity._random.choice((0, 1, 3, 9)))
        blocks.append((ref, facts))
        parent = ref.hash
    return blocks


async def store(writer: Writer, blocks: World, *, size: int = 5) -> None:
    for start in range(0, len(blocks), size):
        await writer.extend(extension(blocks[start : start + size]))


def extension(blocks: Sequence[tuple[BlockRef, list[Fact]]]) -> Extension:
    found = [fact for _, facts in blocks for fact in facts]
    return Extension(
        last=blocks[-1][0],
        facts=[fact for fact in found if not isinstance(fact, Quarantined)],
        quarantined=[fact for fact in found if isinstance(fact, Quarantined)],
        blocks=[ref for ref, _ in blocks],
    )


async def hash_of(writer: Writer) -> str:
    return await hashing.stored_hash(writer._conn, DEVNET.chain_id)


async def test_retract__where_bytes_are_shown_escaped__reads_them_all_the_same(
    fresh_database_url: str,
) -> None:
    conn = await connect(fresh_database_url)
    await conn.execute(
        "DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET bytea_output = escape',"
        " current_database()); END $$"
    )
    await conn.close()
    writer = await writer_on(fresh_database_url)
    held = world(Activity(5), 1, 4)
    await store(writer, held)

    assert await writer.retract(None, 0) == sum(len(facts) for _, facts in held) > 0

    await writer.close()


async def test_look_above__facts_of_any_kind_and_size__are_what_was_stored(
    fresh_database_url: str,
) -> None:
    writer = await writer_on(fresh_database_url)
    ref = BlockRef(1, b"h" * 32, GENESIS, 0)
    made_by, largest = (b"t" * 32, b"c" * 20), 10**38
    facts: list[Fact] = [
        FeedbackGiven(1, 0, *made_by, 2**63 - 1, b"r" * 20, 1, -largest, 18, b"\\x41", b"\0", b"",
                      b"\xff" * 3, b"h" * 32),
        RegistryChanged(1, 1, *made_by, "upgraded", b"s" * 20),
        RegistryChanged(1, 2, *made_by, "initialized", version=2**64 - 1),
        LegacyEvent(1, 3, *made_by, "\\x41(uint256)", None, None, b"", b"p"),
        OperatorSet(1, 4, *made_by, b"o" * 20, b"p" * 20, True),
    ]  # fmt: skip
    odd = Quarantined(1, 5, *made_by, "bad-hex", None, (b"", b"\\x41"), b'"}')
    try:
        await writer.extend(Extension(ref, facts, [odd], [ref]))

        taken = await look_above(Tx(writer._conn), DEVNET.chain_id, 0)

        assert facts_hash(taken.facts, taken.quarantined) == facts_hash(facts, [odd])
        assert [type(fact) for fact in taken.facts] == [type(fact) for fact in facts]
        assert taken.quarantined == [odd]
        assert (await look_above(Tx(writer._conn), DEVNET.chain_id, 1)).content == "{}"
    finally:
        await writer.close()


@pytest.mark.parametrize("seed", range(6))
async def test_extend__in_chunks_of_any_size__equals_the_fold_of_all_facts(
    new_database: Callable[[str], str], template: str, seed: int
) -> None:
    blocks = world(Activity(seed), 1, 60)
    hashes = set()
    for size in (1, 7, 60):
        writer = await writer_on(await clone(new_database, template))
        await store(writer, blocks, size=size)
        hashes.add(await hash_of(writer))
        hashes.add(await hashing.folded_hash(writer._conn, DEVNET.chain_id))
        await writer.close()

    assert len(hashes) == 1


@pytest.mark.parametrize("seed", range(8))
async def test_retract__any_depth_and_another_branch__equals_a_fresh_sync(
    new_database: Callable[[str], str], template: str, seed: int
) -> None:
    activity = Activity(seed)
    choose = random.Random(seed)
    writer = await writer_on(await clone(new_database, template))
    held = world(activity, 1, 30)
    await store(writer, held)
    for _ in range(4):
        depth = choose.randrange(1, len(held))
        fork = copy.deepcopy(activity)
        held = held[:-depth]
        await writer.retract(held[-1][0], held[-1][0].number)
        assert await hash_of(writer) == await hashing.folded_hash(writer._conn, DEVNET.chain_id)
        more = world(fork, len(held) + 1, depth + choose.randrange(4), held[-1][0].hash)
        await store(writer, more, size=choose.choice((1, 4, 50)))
        held += more

    fresh = await writer_on(await clone(new_database, template))
    await store(fresh, held, size=11)

    assert await hash_of(writer) == await hash_of(fresh)
    assert await hash_of(writer) == await hashing.folded_hash(writer._conn, DEVNET.chain_id)
    await writer.close()
    await fresh.close()


@pytest.mark.parametrize(
    ("module", "function"),
    [
        (state, "write_marks"),
        (state, "write_requests"),
        (state, "add_stats"),
        (state, "write_identities"),
        (retract, "_discount"),
    ],
    ids=lambda part: getattr(part, "__name__", part),
)
async def test_retract__with_a_part_left_out__is_noticed(
    new_database: Callable[[str], str], template: str, module: ModuleType, function: str
) -> None:
    """The comparison above can fail: without any one part some seed gives another state."""

    for seed in range(12):
        writer = await writer_on(await clone(new_database, template))
        held = world(Activity(seed), 1, 70)
        await store(writer, held)
        try:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(module, function, create_autospec(getattr(module, function)))
                await writer.retract(held[49][0], 50)
            noticed = await hash_of(writer) != await hashing.folded_hash(
                writer._conn, DEVNET.chain_id
            )
        except PostgresError:
            noticed = True
        await writer.close()
        if noticed:
            return
    pytest.fail(f"nobody missed {function}")


async def test_folded_hash__at_an_older_block__equals_an_index_that_stopped_there(
    new_database: Callable[[str], str], template: str
) -> None:
    blocks = world(Activity(99), 1, 40)
    whole = await writer_on(await clone(new_database, template))
    await store(whole, blocks)
    for at in (1, 13, 39):
        stopped = await writer_on(await clone(new_database, template))
        await store(stopped, blocks[:at])

        assert await hashing.folded_hash(whole._conn, DEVNET.chain_id, at=at) == await hash_of(
            stopped
        )
        await stopped.close()
    await whole.close()


async def test_refold__every_agent__changes_nothing(fresh_database_url: str) -> None:
    writer = await writer_on(fresh_database_url)
    await store(writer, world(Activity(5), 1, 50))
    before = await hash_of(writer)

    async for agent_ids in hashing.slices(writer._conn, DEVNET.chain_id, upto_block=10**9):
        await writer.refold(agent_ids)

    assert await hash_of(writer) == before
    await writer.close()


async def test_refold__a_mint_learnt_late__attaches_what_came_after_it(
    fresh_database_url: str, new_database: Callable[[str], str], template: str
) -> None:
    blocks = world(Activity(7), 1, 30)
    ref, facts = blocks[0]
    hidden, kept = facts[0], facts[1:]
    late = await writer_on(fresh_database_url)
    await store(late, [(ref, kept), *blocks[1:]])
    assert await count(late._conn, "unattached") > 0

    await late.refold([hidden.agent_id], [hidden])  # type: ignore[attr-defined]

    whole = await writer_on(await clone(new_database, template))
    await store(whole, blocks)
    assert await hash_of(late) == await hash_of(whole)
    await late.close()
    await whole.close()


async def test_outbox__applied_from_the_start__gives_the_facts_held(
    fresh_database_url: str,
) -> None:
    activity = Activity(3)
    writer = await writer_on(fresh_database_url)
    held = world(activity, 1, 20)
    await store(writer, held)
    await writer.retract(held[9][0], 10)
    await store(writer, world(activity, 11, 8, held[9][0].hash))
    conn = writer._conn

    replica: set[int] = set()
    positions = []
    for row in await conn.fetch("SELECT * FROM outbox ORDER BY position"):
        positions.append(row["position"])
        if row["kind"] == "retract":
            replica = {block for block in replica if block < row["from_block"]}
        else:
            replica |= set(range(row["from_block"], row["to_block"] + 1))

    assert positions == list(range(1, len(positions) + 1))
    stored = {r[0] for r in await conn.fetch("SELECT block_number FROM feedback_given")}
    assert stored <= replica
    assert max(replica) == writer.checkpoint.block_number
    await writer.close()


async def test_acquire__while_another_writes__is_refused_by_name(fresh_database_url: str) -> None:
    first = await writer_on(fresh_database_url, "host-a:1")

    with pytest.raises(LeaseLost, match="host-a:1"):
        await writer_on(fresh_database_url, "host-b:2")
    await first.close()


async def test_commit__of_a_writer_that_was_replaced__stores_nothing(
    fresh_database_url: str,
) -> None:
    blocks = world(Activity(1), 1, 4)
    paused = await writer_on(fresh_database_url)
    await store(paused, blocks[:2])
    # The lease fell, as when the server ends a connection, and another took over.
    await paused._conn.execute("SELECT pg_advisory_unlock_all()")
    successor = await writer_on(fresh_database_url)

    with pytest.raises(LeaseLost):
        await store(paused, blocks[2:])
    await store(successor, blocks[2:])

    assert await hash_of(successor) == await hashing.folded_hash(successor._conn, DEVNET.chain_id)
    await paused.close()
    await successor.close()


@pytest.mark.parametrize("after_seconds", [0.0, 0.002, 0.005, 0.01, 0.02, 0.04])
async def test_extend__cancelled_at_any_moment__ends_as_cancelled_and_stores_all_or_nothing(
    fresh_database_url: str, after_seconds: float
) -> None:
    blocks = world(Activity(2), 1, 60)
    writer = await writer_on(fresh_database_url)
    await store(writer, blocks[:10])
    task = asyncio.create_task(store(writer, blocks[10:], size=5))
    await asyncio.sleep(after_seconds)

    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, timeout=10)
    await dropped(writer, fresh_database_url)

    again = await writer_on(fresh_database_url)
    await store(again, blocks[again.checkpoint.block_number :])
    assert await hash_of(again) == await hashing.folded_hash(again._conn, DEVNET.chain_id)
    assert again.checkpoint.block_number == 60
    await again.close()


async def test_acquire__another_chain_of_the_same_id__is_refused(fresh_database_url: str) -> None:
    await (await writer_on(fresh_database_url)).close()

    conn = await connect(fresh_database_url)
    with pytest.raises(WrongChain, match="another chain"):
        await acquire(conn, DEVNET, start_block=1, genesis_hash=b"\x01" * 32, name="x")
    await conn.close()


async def count(conn: Conn, table: str) -> int:
    n: int = await conn.fetchval(f"SELECT count(*) FROM {table}")
    return n
