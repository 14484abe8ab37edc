"""Pages of agents of several chains: walked to their end they give what a look at all rows does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

import pytest

from renown.store import agents
from renown.store.agents import After, Listed, Page
from renown.store.pool import Conn, connect
from renown.store.reads import NEVER, KeyArgs

CHAINS = (1, 56, 8453)
OWNERS = (b"\x01" * 20, b"\x02" * 20)
BEGAN = datetime(2026, 3, 1, tzinfo=UTC)
HEAD_BLOCK = 100
PAGE = 4

Read = Callable[..., Awaitable[Page]]


class Held(NamedTuple):
    """An agent of somebody from one block to before another; None: still."""

    owner: bytes
    chain_id: int
    agent_id: int
    from_block: int
    to_block: int | None


class World(NamedTuple):
    conn: Conn
    created: dict[tuple[int, int], datetime]
    held: list[Held]

    def owned(self, owner: bytes, upto: dict[int, int]) -> list[tuple[int, int]]:
        found = [
            (one.chain_id, one.agent_id)
            for one in self.held
            if one.owner == owner
            and one.chain_id in upto
            and one.from_block <= upto[one.chain_id]
            and (one.to_block is None or one.to_block > upto[one.chain_id])
        ]
        return sorted(found, reverse=True)


@pytest.fixture
async def world(fresh_database_url: str) -> AsyncIterator[World]:
    dice = random.Random(8004)
    made = World(await connect(fresh_database_url), {}, [])
    conn = made.conn
    for chain_id in CHAINS:
        await conn.execute(
            "INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)"
            " VALUES ($1::bigint, $1::bigint::text, 'made', true, $2, $2, 0)",
            *(chain_id, chain_id.to_bytes(20)),
        )
        await conn.execute(
            "INSERT INTO checkpoint (chain_id, block_number) VALUES ($1, $2)", chain_id, HEAD_BLOCK
        )
        block = 0
        for agent_id in range(17):
            block += dice.randrange(5)
            await _mint(made, chain_id, agent_id, block, dice)
    yield made
    await conn.close()


async def _mint(
    world: World, chain_id: int, agent_id: int, block: int, dice: random.Random
) -> None:
    """An agent that goes to and fro between the owners, sometimes within a block."""
    begins = sorted(block + step * dice.choice((0, 1, 7)) for step in range(dice.randrange(1, 5)))
    owner = OWNERS[0]
    for log_index, (from_block, to_block) in enumerate(
        zip(begins, [*begins[1:], None], strict=True)
    ):
        owner = OWNERS[(chain_id + agent_id + log_index) % 2]
        world.held.append(Held(owner, chain_id, agent_id, from_block, to_block))
        await world.conn.execute(
            "INSERT INTO agent_ownership (chain_id, agent_id, from_block, from_log_index, owner,"
            " to_block, to_log_index) VALUES ($1, $2, $3, $4, $5, $6, $7)",
            *(chain_id, agent_id, from_block, log_index, owner, to_block),
            None if to_block is None else log_index + 1,
        )
    created = world.created[chain_id, agent_id] = BEGAN + timedelta(minutes=block)
    await world.conn.execute(
        "INSERT INTO agent (chain_id, agent_id, uuid, owner, wallet_state, created_block,"
        " created_log_index, created_tx, created_at, transfer_count)"
        " VALUES ($1, $2, $3, $4, 'unset', $5, 0, $6, $7, 0)",
        *(chain_id, agent_id, _uuid(chain_id, agent_id), owner, block, bytes(32), created),
    )
    if agent_id % 3:  # some were never counted
        await world.conn.execute(
            "INSERT INTO agent_stats (chain_id, agent_id, version, feedback_count)"
            " VALUES ($1, $2::bigint, $3, $2::bigint)",
            *(chain_id, agent_id, 1_000 * chain_id + agent_id),
        )
    if agent_id % 2:  # some were never looked at
        await world.conn.execute(
            "INSERT INTO agent_profile (chain_id, agent_id, state, owner, created_at, active_at,"
            " revision) VALUES ($1, $2, 'tolerant', $3, $4, $4, $5)",
            *(chain_id, agent_id, owner, created, _revision(chain_id, agent_id)),
        )


def _revision(chain_id: int, agent_id: int) -> int:
    return 7_000 * chain_id + agent_id


def _uuid(chain_id: int, agent_id: int) -> UUID:
    return UUID(int=(chain_id << 64) + agent_id)


async def walk(read: Read, *args: Any, **more: Any) -> list[tuple[int, int]]:
    """The agents of all pages; each is asked for with one row beyond it, as the API does."""
    found: list[tuple[int, int]] = []
    after = agents.FROM_NEWEST
    while True:
        page = await read(*args, after=after, limit=PAGE + 1, uri_cut_bytes=9, **more)
        assert len(page.rows) == len(page.versions) <= PAGE + 1
        for listed, version in zip(page.rows, page.versions, strict=True):
            _check(listed, version)
        found += [_place(listed) for listed in page.rows[:PAGE]]
        if len(page.rows) <= PAGE:
            return found
        last = page.rows[PAGE - 1][0]
        after = After(last.created_at, last.chain_id, last.agent_id)


def _place(listed: Listed) -> tuple[int, int]:
    return listed[0].chain_id, listed[0].agent_id


def _check(listed: Listed, version: int) -> None:
    agent, counts, profile = listed
    is_counted = agent.agent_id % 3 > 0
    assert agent.registry == agent.chain_id.to_bytes(20)
    assert agent.uuid == _uuid(agent.chain_id, agent.agent_id)
    assert counts.feedback_count == (agent.agent_id if is_counted else 0)
    assert version == (1_000 * agent.chain_id + agent.agent_id if is_counted else 0)
    revision = profile.revision if profile is not None else None
    assert revision == (_revision(agent.chain_id, agent.agent_id) if agent.agent_id % 2 else None)


async def test_pages__of_the_present__are_each_in_their_order(world: World) -> None:
    conn = world.conn
    by_age = sorted(((at, *place) for place, at in world.created.items()), reverse=True)
    now = dict.fromkeys(CHAINS, HEAD_BLOCK)

    assert await walk(agents.newest, conn) == [
        (chain_id, agent_id) for _, chain_id, agent_id in by_age
    ]
    for chain_id in CHAINS:
        of_chain = sorted((p for p in world.created if p[0] == chain_id), reverse=True)
        assert await walk(agents.of_chain, conn, chain_id) == of_chain
    for owner in OWNERS:
        assert await walk(agents.of_owner, conn, owner) == world.owned(owner, now)


async def test_pages__up_to_any_moment__hold_those_created_until_then(world: World) -> None:
    times = sorted(set(world.created.values()))
    step = timedelta(seconds=1)
    for upto in [times[0] - step, *times, *(time + step for time in times), NEVER]:
        then = sorted(((at, *p) for p, at in world.created.items() if at <= upto), reverse=True)
        expected = [(chain_id, agent_id) for _, chain_id, agent_id in then]

        assert await walk(agents.newest, world.conn, upto=upto) == expected, upto
        for chain_id in CHAINS:
            of_one = [place for place in expected if place[0] == chain_id]
            found = await walk(agents.of_chain, world.conn, chain_id, upto=upto)
            assert found == of_one, (chain_id, upto)


async def test_of_chain__ids_with_gaps_at_a_moment__are_halved_to_the_last(world: World) -> None:
    dice = random.Random(4)
    ids = sorted({0, 2**63 - 2, *(dice.randrange(2 ** dice.randrange(1, 63)) for _ in range(60))})
    await world.conn.execute("DELETE FROM agent WHERE chain_id = 1")
    for minute, agent_id in enumerate(ids):
        await world.conn.execute(
            "INSERT INTO agent (chain_id, agent_id, uuid, owner, wallet_state, created_block,"
            " created_log_index, created_tx, created_at, transfer_count)"
            " VALUES (1, $1, $2, $3, 'unset', 0, 0, $4, $5, 0)",
            *(agent_id, _uuid(1, agent_id), OWNERS[0], bytes(32)),
            BEGAN + timedelta(minutes=minute),
        )
    for count in range(len(ids) + 1):
        upto = BEGAN + timedelta(minutes=count, seconds=-1)

        page = await agents.of_chain(world.conn, 1, upto=upto, limit=2, uri_cut_bytes=9)

        assert [row[0].agent_id for row in page.rows] == ids[:count][:-3:-1], count
        assert [head.chain_id for head in page.heads] == [1]


async def test_owned_at__any_blocks_of_any_chains__is_what_the_intervals_say(world: World) -> None:
    dice = random.Random(9)
    for _ in range(30):
        chains = dice.sample(CHAINS, dice.randrange(1, len(CHAINS) + 1))
        upto = {chain_id: dice.randrange(60) for chain_id in chains}
        owner = dice.choice(OWNERS)

        found = await walk(agents.owned_at, world.conn, owner, upto)

        assert found == world.owned(owner, upto), (owner, upto)


async def test_page__hidden_or_of_nobody__is_empty_and_has_the_heads(world: World) -> None:
    shown: dict[str, Any] = {"limit": PAGE + 1, "uri_cut_bytes": 9}
    nobodys = await agents.of_owner(world.conn, b"\x03" * 20, **shown)
    await world.conn.execute(
        "INSERT INTO installation_mark (chain_id, agent_id, mark)"
        " SELECT chain_id, agent_id, 'hidden' FROM agent WHERE chain_id = 56"
    )

    hidden = await agents.of_chain(world.conn, 56, **shown)
    all_same = await agents.of_chain(world.conn, 56, hidden_too=True, **shown)

    assert (nobodys.rows, [head.chain_id for head in nobodys.heads]) == ([], [*CHAINS])
    assert (hidden.rows, [head.chain_id for head in hidden.heads]) == ([], [56])
    assert [row[0].marks for row in all_same.rows] == [["hidden"]] * (PAGE + 1)


async def test_batch__ids_and_uuids_twice_and_unknown__gives_each_its_own(world: World) -> None:
    asked = [
        (0, KeyArgs(56, 3, None), None),
        (1, KeyArgs(None, None, _uuid(8453, 6)), None),
        (2, KeyArgs(8453, 5, None), (8453).to_bytes(20)),
        (3, KeyArgs(8453, 5, None), b"\x09" * 20),
        (4, KeyArgs(1, 99, None), None),
        (5, KeyArgs(None, None, UUID(int=7)), None),
        (6, KeyArgs(56, 3, None), None),
    ]

    heads, found = await agents.batch(world.conn, asked, uri_cut_bytes=9)

    assert {number: _place(listed) for number, listed in found.items()} == {
        0: (56, 3),
        1: (8453, 6),
        2: (8453, 5),
        6: (56, 3),
    }
    assert [head.chain_id for head in heads] == [*CHAINS]
