from __future__ import annotations

import asyncio
import os
import signal
import sys

import psutil
import pytest

from renown.chain.devnet.addresses import REGISTRIES
from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.blocks import Header, mining
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import next_agent_id, register_raw
from renown.chain.rpc import Node
from renown.errors import NodeInconsistent, SetupError
from renown.spec.contracts import selector
from tests.anvil import GENESIS_SECONDS, need_anvil, running_anvil

CHILD = """
import asyncio
from renown.chain.devnet.anvil import Anvil

async def main():
    async with Anvil() as anvil:
        print(anvil.pid, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_anvil__context_left__process_and_port_are_gone():
    need_anvil()
    async with Anvil() as anvil:
        pid = anvil.pid
        assert pid is not None
        assert psutil.pid_exists(pid)
        assert os.getpgid(pid) == pid  # a group of its own: Ctrl-C does not reach it

    assert not psutil.pid_exists(pid)
    async with Anvil(port=anvil.port):  # free again
        pass


async def test_anvil__port_in_use__says_so_and_starts_nothing():
    need_anvil()
    async with Anvil() as first:
        with pytest.raises(SetupError, match=f"port {first.port}"):
            async with Anvil(port=first.port):
                pass


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
async def test_anvil__we_are_killed__dies_with_us():
    need_anvil()
    us = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, stdout=asyncio.subprocess.PIPE
    )
    assert us.stdout is not None
    anvil = psutil.Process(int(await us.stdout.readline()))

    us.send_signal(signal.SIGKILL)
    await us.communicate()

    await asyncio.to_thread(psutil.wait_procs, [anvil], timeout=5)
    assert not anvil.is_running()


async def test_anvil__kept_state__comes_back_and_its_clock_goes_on(tmp_path):
    need_anvil()
    for expected_agents in (0, 1, 2):
        async with Anvil(
            state=tmp_path / "chain.json", genesis_time_seconds=GENESIS_SECONDS
        ) as anvil:
            node = Node(anvil.url)
            await place_registries(node)
            assert await next_agent_id(node) == expected_agents
            head = await node.call("eth_getBlockByNumber", ["latest", False], Header)
            await register_raw(node, [b"again"])
            after = await node.call("eth_getBlockByNumber", ["latest", False], Header)
            await node.close()
        assert after.time_seconds >= head.time_seconds


async def test_place_registries__twice__answers_at_the_official_addresses_and_adds_nothing():
    async with running_anvil() as node:
        await place_registries(node)
        height = await node.call("eth_blockNumber", [], str)
        await place_registries(node)

        assert await node.call("eth_blockNumber", [], str) == height
        for proxy, _ in REGISTRIES:
            call = {"to": f"0x{proxy.hex()}", "data": f"0x{selector('getVersion()').hex()}"}
            version = bytes.fromhex((await node.call("eth_call", [call, "latest"], str))[2:])
            assert b"2.0.0" in version
        addresses = [f"0x{proxy.hex()}" for proxy, _ in REGISTRIES]
        assert addresses == [
            "0x8004a818bfb912233c491871b3d84c89a494bd9e",
            "0x8004b663056a597dffe9eccc1965a193b7388713",
            "0x8004cb1bf31daf7788923b405b754f57aceb4272",
        ]


async def test_place_registries__at_once__code_stands_before_the_first_transaction():
    async with running_anvil() as node:
        await place_registries(node)

        for proxy, _ in REGISTRIES:
            code = await node.call("eth_getCode", [f"0x{proxy.hex()}", "0x0"], str)
            assert code != "0x"


async def test_place_registries__another_contract_there__is_left_alone():
    async with running_anvil() as node:
        proxy = f"0x{REGISTRIES[0][0].hex()}"
        await node.call("anvil_setCode", [proxy, "0x00"], object)

        with pytest.raises(SetupError, match="another contract"):
            await place_registries(node)


async def test_mining__transaction_reverts__says_which_and_puts_automine_back():
    async with running_anvil() as node:
        await place_registries(node)
        identity = REGISTRIES[0][0]

        with pytest.raises(NodeInconsistent, match="reverted: nonsense"):
            async with mining(node) as miner:
                await miner.send(
                    bytes(19) + b"\x07", identity, b"\xde\xad\xbe\xef", what="nonsense"
                )
                await miner.mine()

        assert await node.call("anvil_getAutomine", [], bool) is True
