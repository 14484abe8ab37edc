"""A source over anvil: a real node's answers, limits, reverts and reorgs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from renown.chain.devnet import Anvil, find_anvil, register_raw
from renown.chain.rpc import CallReverted, Node
from renown.chain.source import ChainSource
from renown.errors import ToolMissing
from tests.conftest import skip_unless
from tests.fakes.world import DEVNET, EVERYTHING, as_dicts

REGISTERED = "0xca52e62c367d81bb2e328eb795f7c7ba24afb478408a26c0e201d155c449bc4a"


@pytest.fixture
async def anvil() -> AsyncIterator[Anvil]:
    try:
        found = bool(find_anvil())
        hint = ""
    except ToolMissing as exc:
        found, hint = False, exc.detail
    skip_unless(found, "anvil", hint)
    async with Anvil() as running:
        yield running


@pytest.fixture
async def node(anvil: Anvil) -> AsyncIterator[Node]:
    rpc = Node(anvil.url)
    yield rpc
    await rpc.close()


@pytest.fixture
async def source(anvil: Anvil) -> AsyncIterator[ChainSource]:
    source = ChainSource(
        DEVNET, [anvil.url], contracts=DEVNET.contracts, seed=1, sampling=EVERYTHING
    )
    async with source:
        yield source


async def mine(node: Node, blocks: int) -> None:
    await node.call("anvil_mine", [hex(blocks)], Any)


async def test_source__on_anvil__reads_registrations_final_and_not(node, source):
    await mine(node, 3)
    await register_raw(node, [b"ipfs://one", b"ipfs://two"])
    await mine(node, 80)
    await register_raw(node, [b"data:,three"])

    head = await source.head()
    assert 0 < head.finalized < head.latest.number
    parts = [part async for part in source.final_ranges(0, head.finalized)]
    window = await source.window(head.finalized + 1, head.latest.number)
    logs = [log for part in parts for log in part.logs] + window.logs

    assert sum(log.topics[0] == REGISTERED for log in logs) == 3
    assert await source.highest_agent_id(head.latest.number) == 2
    assert await source.highest_agent_id(head.finalized) == 1
    counted = await source.count_logs(0, head.latest.number)
    assert counted.logs == len(logs)


async def test_source__on_anvil__knows_reverts_and_code(node, source):
    await register_raw(node, [b"one"])
    head = await source.head()

    with pytest.raises(CallReverted) as caught:
        calldata = bytes.fromhex("6352211e") + (99).to_bytes(32)
        await source.call(DEVNET.identity, calldata, head.latest.number)

    assert caught.value.selector.hex() == "7e273289"
    assert await source.has_code(DEVNET.identity)
    assert not await source.has_code(b"\x77" * 20)
    assert await source.block(head.latest.number + 1) is None


async def test_source__on_anvil__follows_a_reorg(node, source):
    await register_raw(node, [b"stays"])
    await mine(node, 5)
    await register_raw(node, [b"goes"])
    before = await source.head()
    held = await source.window(0, before.latest.number)

    await node.call("anvil_reorg", [2, []], Any)
    after = await source.head()
    again = await source.window(0, after.latest.number)

    assert after.latest.number == before.latest.number
    assert after.latest.hash != before.latest.hash
    fork = after.latest.number - 1
    assert held.blocks[fork - 1].hash == again.blocks[fork - 1].hash
    assert held.blocks[fork].hash != again.blocks[fork].hash
    assert as_dicts(again.logs) == [
        entry
        for entry in as_dicts(held.logs)
        if entry[0][2:] in {ref.hash.hex() for ref in again.blocks.values()}
    ]
    assert await source.highest_agent_id(after.latest.number) == 0
