from __future__ import annotations

import asyncio
import time

import aiohttp
import psutil
import pytest

from renown.chain.devnet import calls, lively
from renown.chain.devnet.addresses import IDENTITY, REPUTATION
from renown.chain.devnet.blocks import Header, mining
from renown.chain.devnet.files import Files
from renown.chain.devnet.lively import keep_lively, read_ledger
from renown.chain.devnet.run import DevnetEvent, run_devnet
from renown.chain.devnet.seed import register_raw, seed_world
from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.devnet.world import plan_world
from renown.chain.rpc import Node
from renown.errors import NodeError, SetupError
from tests.anvil import need_anvil, running_anvil


def anvils() -> list[psutil.Process]:
    """Those that we started."""
    return [child for child in psutil.Process().children() if child.name() == "anvil"]


async def watch(
    node: Node, *, blocks: int, period_seconds: float = 0.0, files: Files | None = None
) -> list[int]:
    """Numbers of the next blocks that a lively chain mines."""
    seen: list[int] = []
    enough = asyncio.Event()

    def on_block(number: int) -> None:
        seen.append(number)
        if len(seen) >= blocks:
            enough.set()

    moving = keep_lively(node, 5, period_seconds, on_block=on_block, files=files)
    task = asyncio.create_task(moving)
    waiting = asyncio.create_task(enough.wait())
    await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    for each in (task, waiting):
        each.cancel()
    await asyncio.gather(task, waiting, return_exceptions=True)
    if not task.cancelled() and (failure := task.exception()):
        raise failure
    return seen


@pytest.mark.slow
async def test_keep_lively__stopped_and_started_again__goes_on_where_it_was():
    async with running_anvil() as node:
        summary = await seed_world(node, 5, agents=5)
        first = await watch(node, blocks=25)
        again = await watch(node, blocks=25)
        head = await node.call("eth_getBlockByNumber", ["latest", False], Header)

    assert first[0] == summary.last_block + 1
    assert first == list(range(first[0], first[0] + len(first)))
    assert again[0] in (first[-1] + 1, first[-1] + 2)  # one may be cut off between block and call
    assert abs(head.time_seconds - time.time()) < 60  # the time of day, not the world's


@pytest.mark.slow
async def test_keep_lively__time_for_it__files_change_behind_uris_that_stay(monkeypatch):
    monkeypatch.setattr(lively, "EDIT_SECONDS", 0.0)
    files = Files()
    async with running_anvil() as node:
        await seed_world(node, 5, agents=30, files=files)
        before = dict(files.pages)
        homes = set(files.homes.values())
        await watch(node, blocks=6, files=files)

    changed = {place for place, page in before.items() if files.pages[place].body != page.body}
    assert {(home.host, home.path) for home in homes} & changed
    assert all(files.pages[place].modified_at_seconds for place in changed)


async def test_keep_lively__empty_registries__begins_with_an_agent():
    async with running_anvil() as node:
        await seed_world(node, 5, agents=0)
        assert await watch(node, blocks=3)


@pytest.mark.slow
async def test_keep_lively__others_move_every_agent__recovers():
    async with running_anvil() as node:
        await seed_world(node, 5, agents=3)
        task = asyncio.create_task(keep_lively(node, 5, 0.3))
        await asyncio.sleep(0.2)  # it has read the chain and is waiting
        ledger = await read_ledger(node)
        async with mining(node) as miner:
            for agent_id, owner in ledger.owners.items():
                if owner not in ledger.mute:
                    away = calls.transfer(owner, bytes(19) + b"\x07", agent_id)
                    await miner.send(owner, IDENTITY, away)
            moved = await miner.mine()
        await asyncio.sleep(2)

        assert not task.done()
        task.cancel()
        assert int(await node.call("eth_blockNumber", [], str), 16) > moved + 2


async def test_read_ledger__seeded_chain__knows_what_the_planner_knew():
    async with running_anvil() as node:
        summary = await seed_world(node, 5, agents=5)
        ledger = await read_ledger(node)

    assert len(ledger.owners) == summary.agents
    assert ledger.next_agent_id == summary.agents
    assert len(ledger.feedback) == len(set(ledger.feedback)) == summary.counts["feedback-given"]
    assert len(ledger.revoked) == summary.counts["feedback-revoked"]
    assert ledger.revoked <= set(ledger.feedback)


@pytest.mark.slow
async def test_run_devnet__kept_state__is_seeded_once_and_ends_about_now(tmp_path):
    need_anvil()
    served = Files()
    plan_world(5, agents=3, files=served)
    for attempt in range(2):
        events: list[DevnetEvent] = []
        ready = asyncio.Event()

        def on_event(event: DevnetEvent, events=events, ready=ready) -> None:
            events.append(event)
            if event.kind == "ready":
                ready.set()

        task = asyncio.create_task(
            run_devnet(
                seed=5, agents=3, lively=False, on_event=on_event, state=tmp_path / "chain.json"
            )
        )
        await asyncio.wait_for(ready.wait(), 20)
        node = Node(events[0].url)
        head = await node.call("eth_getBlockByNumber", ["latest", False], Header)
        await node.close()
        home = next(iter(served.homes.values()))
        async with (
            aiohttp.ClientSession() as session,
            session.get(events[0].origin_url + home.path, headers={"host": home.host}) as answer,
        ):
            assert answer.status == 200
            assert await answer.read() == served.pages[home.host, home.path].body
        assert events[0].origin_opening == f"*.example={events[0].origin_url}"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert (events[-1].summary is None) == (attempt == 1)
        assert abs(head.time_seconds - time.time()) < 60
        assert (tmp_path / "chain.json").exists()


@pytest.mark.parametrize("lively", [False, True])
async def test_run_devnet__anvil_ends__says_so(lively):
    need_anvil()

    def on_event(event: DevnetEvent) -> None:
        if event.kind == "ready":
            for anvil in anvils():
                anvil.kill()

    with pytest.raises((SetupError, NodeError)):
        await run_devnet(agents=0, lively=lively, on_event=on_event, period_seconds=0.1)


async def test_run_devnet__callback_fails__leaves_no_anvil_behind():
    need_anvil()

    def on_event(event: DevnetEvent) -> None:
        raise RuntimeError("stop here")

    with pytest.raises(RuntimeError, match="stop here"):
        await run_devnet(agents=0, on_event=on_event)

    assert anvils() == []


async def test_run_devnet__port_in_use__fails_at_once():
    need_anvil()
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(SetupError, match=str(port)):
            await run_devnet(port=port, on_event=lambda event: None)


async def test_keep_lively__agents_and_ratings_of_people__are_left_to_them():
    async with running_anvil() as node:
        await seed_world(node, 5, agents=3)
        mine, client = devnet_wallet(0).address, devnet_wallet(1).address
        [agent_id] = await register_raw(node, [b"ipfs://mine"], owner=mine)
        async with mining(node) as miner:
            rating = calls.give_feedback(agent_id, calls.Feedback(5))
            await miner.send(client, REPUTATION, rating)
            await miner.mine()
        before = [await sent_by(node, who) for who in (mine, client)]

        await watch(node, blocks=12)

        ledger = await read_ledger(node)
        assert [await sent_by(node, who) for who in (mine, client)] == before
        assert [key for key in ledger.feedback if key[0] == agent_id] == [(agent_id, client, 1)]
        assert ledger.owners[agent_id] == mine


async def sent_by(node: Node, who: bytes) -> int:
    return int(await node.call("eth_getTransactionCount", [f"0x{who.hex()}", "latest"], str), 16)
