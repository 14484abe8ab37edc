"""Put the registries at the official testnet addresses, and the devnet's dollar beside them.

Their proxies cannot be deployed there: the vanity addresses follow from other bytecode. Their code
is set instead, which leaves no log, so the placeholder's `Upgraded` is missing; what follows on a
public chain (owner, version 1, upgrade, version 2) follows here too, with its logs.
"""

from __future__ import annotations

from typing import Any

from renown.chain.devnet import calls, dollars
from renown.chain.devnet.addresses import (
    DEPLOYER,
    DOLLAR,
    IDENTITY,
    IMPLEMENTATION_SLOT,
    REGISTRIES,
    REGISTRY_OWNER,
    deployment,
    implementation,
)
from renown.chain.devnet.blocks import Miner, mining
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.rpc import Node
from renown.errors import SetupError
from renown.spec.contracts import contract, selector

WALLET_DOLLARS = 1_000_000
"""What each of the ten wallets starts with, beside the ether that anvil gives them."""


async def place_registries(rpc: Node) -> None:
    """Identity, reputation and validation registry at their testnet addresses, initialised.

    The dollar is deployed behind them, and the ten wallets of `wallets` get theirs.

    Does nothing where they already answer; finishes what an interrupted run left. Takes one block.
    Their code is there before that block's first transaction: a reader who looks at the head of a
    fresh chain already sees contracts.

    Raises:
        SetupError: another contract stands at one of the addresses, or the deployer is missing.
        NodeError: the node is not an anvil, or failed.
    """
    missing = [(proxy, name) for proxy, name in REGISTRIES if not await _answers(rpc, proxy)]
    poor = await _code(rpc, DOLLAR) == b""
    if not missing and not poor:
        return
    if await _code(rpc, DEPLOYER) == b"":
        raise SetupError("this node lacks the deterministic deployer; start anvil with it")
    for proxy, _ in missing:
        await _put_proxy(rpc, proxy)
    async with mining(rpc) as miner:
        if await _code(rpc, implementation("uups_placeholder")) == b"":
            await miner.send(
                REGISTRY_OWNER, DEPLOYER, deployment("uups_placeholder"), what="deploy placeholder"
            )
        for proxy, name in missing:
            code = implementation(name)
            if await _code(rpc, code) == b"":
                await miner.send(REGISTRY_OWNER, DEPLOYER, deployment(name), what=f"deploy {name}")
            await _initialize(miner, proxy, code)
        if poor:
            await _make_money(miner)
        await miner.mine()
    for proxy, name in missing:
        if not await _answers(rpc, proxy):
            raise SetupError(f"the {name} does not answer at {proxy.hex()}")


async def _initialize(miner: Miner, proxy: bytes, code: bytes) -> None:
    linked = calls.initialize_linked(IDENTITY)
    version_2 = calls.initialize_identity() if proxy == IDENTITY else linked
    own, upgrade = calls.initialize_owner(REGISTRY_OWNER), calls.upgrade(code, version_2)
    await miner.send(REGISTRY_OWNER, proxy, own, what="name the owner")
    await miner.send(REGISTRY_OWNER, proxy, upgrade, what="upgrade to 2.0.0")


async def _make_money(miner: Miner) -> None:
    await miner.send(REGISTRY_OWNER, DEPLOYER, deployment("dev_dollar"), what="deploy dollar")
    for wallet in devnet_wallets():
        made = dollars.mint(wallet.address, WALLET_DOLLARS * dollars.DOLLAR_UNITS)
        await miner.send(REGISTRY_OWNER, DOLLAR, made, what="make money")


async def _put_proxy(rpc: Node, proxy: bytes) -> None:
    runtime = contract("erc1967_proxy").runtime_code
    if await _code(rpc, proxy) not in (b"", runtime):
        raise SetupError(f"another contract stands at 0x{proxy.hex()}")
    placeholder = implementation("uups_placeholder")
    slot = f"0x{IMPLEMENTATION_SLOT:064x}"
    await rpc.call("anvil_setCode", [f"0x{proxy.hex()}", f"0x{runtime.hex()}"], Any)
    await rpc.call(
        "anvil_setStorageAt", [f"0x{proxy.hex()}", slot, f"0x{placeholder.hex():0>64}"], Any
    )


async def _answers(rpc: Node, proxy: bytes) -> bool:
    """Whether `getVersion()` says 2.0.0: the placeholder says 1.0.0, an empty address nothing."""
    call = {"to": f"0x{proxy.hex()}", "data": f"0x{selector('getVersion()').hex()}"}
    said = await rpc.call("eth_call", [call, "latest"], str)
    return b"2.0.0" in bytes.fromhex(said.removeprefix("0x"))


async def _code(rpc: Node, address: bytes) -> bytes:
    said = await rpc.call("eth_getCode", [f"0x{address.hex()}", "latest"], str)
    return bytes.fromhex(said.removeprefix("0x"))
