"""Which agents exist, kept as a number and its exceptions, against a plain set of ids."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.spec.events import AgentTransferred
from renown.store.known import KnownAgents
from renown.store.lease import acquire
from renown.store.pool import Conn, connect
from renown.store.writer import Extension
from renown.types import MAX_BIGINT, ZERO_ADDRESS, BlockRef
from tests.activity import DEVNET

ids = st.integers(0, 40)
batches = st.lists(st.lists(ids, max_size=12), max_size=6)
FAR = (0, 1, 5, MAX_BIGINT // 2, MAX_BIGINT)


@given(batches)
def test_known__after_any_batches__is_the_set_of_them(added: list[list[int]]) -> None:
    known, plain = KnownAgents(), set[int]()
    for batch in added:
        known.add(batch)
        plain.update(batch)

        assert {i for i in range(-2, 45) if i in known} == plain


@given(st.lists(st.tuples(st.booleans(), st.lists(ids, max_size=12)), max_size=8))
def test_known__some_taken_back__is_the_set_of_the_rest(
    steps: list[tuple[bool, list[int]]],
) -> None:
    known, plain = KnownAgents([MAX_BIGINT]), {MAX_BIGINT}
    for taken_back, batch in steps:
        if taken_back:
            known.remove([*batch, MAX_BIGINT])
            plain.difference_update(batch, [MAX_BIGINT])
        else:
            known.add([*batch, MAX_BIGINT])
            plain.update(batch, [MAX_BIGINT])

        assert {i for i in (*range(-2, 45), MAX_BIGINT) if i in known} == plain


@given(st.lists(ids, max_size=12))
def test_known__ids_that_no_registry_has__are_not_in_it(added: list[int]) -> None:
    known = KnownAgents(added)

    for stranger in (-1, 41, MAX_BIGINT, 2**256, None, "0", b"\0", 0.5):
        assert stranger not in known


@pytest.mark.timeout(20)
def test_known__an_id_far_out__costs_neither_time_nor_memory() -> None:
    """A foreign number may be any: one agent out there must not stop the indexer."""
    known = KnownAgents(FAR)

    assert all(i in known for i in FAR)
    assert not any(i in known for i in (2, 4, 6, MAX_BIGINT // 2 - 1, MAX_BIGINT - 1))


@pytest.fixture
async def conn(fresh_database_url: str) -> AsyncIterator[Conn]:
    opened = await connect(fresh_database_url)
    yield opened
    await opened.close()


@pytest.mark.timeout(20)
@pytest.mark.parametrize("held", [(), (0,), (7,), (0, 1, 2), (3, 4, 9), FAR])
async def test_known__loaded__is_what_was_stored(conn: Conn, held: tuple[int, ...]) -> None:
    writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=None, name="test")
    ref = BlockRef(1, bytes(32), bytes(32), 0)
    mints = [
        AgentTransferred(1, i, bytes(32), DEVNET.identity, agent_id, ZERO_ADDRESS, b"a" * 20)
        for i, agent_id in enumerate(held)
    ]
    await writer.extend(Extension(ref, mints, [], [ref]))

    known = await KnownAgents.load(conn, DEVNET.chain_id)

    around = {i + step for i in (*held, 0) for step in (-1, 0, 1)}
    assert {i for i in around if i in known} == set(held)
