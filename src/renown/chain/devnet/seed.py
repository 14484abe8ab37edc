"""Carry plans out: send their steps, block by block."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet import calls
from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY, REPUTATION
from renown.chain.devnet.blocks import Miner, mining
from renown.chain.devnet.files import Files
from renown.chain.devnet.ledger import Block, PaidFeedback, Step, Transaction, WalletProof
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.uri_forms import data_uri
from renown.chain.devnet.world import DEFAULT_AGENTS, plan_world
from renown.chain.rpc import Node

Progress = Callable[[int, int], None]
"""Called with steps done and steps in all."""

NEXT_ID_SLOT = 0xA040F782729DE4970518741823EC1276CBCD41A0C7493F62D173341566A04E00
"""Storage word of the identity registry that holds the next agent id."""

RAW_OWNER = keccak(b"renown devnet/raw registrations")[12:]

_WALLET_DEADLINE_SECONDS = 200
_RAW_TRANSACTIONS_A_BLOCK = 200
_RAW_BYTES_A_BLOCK = 1_000_000
_REGISTERED = "0x" + keccak(b"Registered(uint256,string,address)").hex()


class WorldSummary(msgspec.Struct, frozen=True):
    """What a seeding left on the chain. `counts` is transactions by kind, e.g. `feedback-given`."""

    seed: int
    first_agent_id: int
    agents: int
    first_block: int
    last_block: int
    transactions: int
    counts: dict[str, int]
    seconds: float


async def seed_world(
    rpc: Node,
    seed: int,
    *,
    agents: int = DEFAULT_AGENTS,
    block_seconds: int = 1,
    progress: Progress | None = None,
    files: Files | None = None,
) -> WorldSummary:
    """Place the registries if need be and make the world of `seed`, behind any agents there are.

    On a fresh anvil with a given genesis time the same seed gives the same blocks, hash by hash.

    Args:
        block_seconds: between one block's time and the next's; the clock of the chain goes on from
            the last, so leave room for it between genesis and now.
        files: where what the world's URIs name is put, for an origin to serve.

    Raises:
        NodeInconsistent: a transaction failed.
        NodeError: the node is not an anvil, or failed.
    """
    started = time.monotonic()
    await place_registries(rpc)
    first_agent_id = await next_agent_id(rpc)
    steps = plan_world(seed, agents=agents, first_agent_id=first_agent_id, files=files)
    async with mining(rpc) as miner:
        first_block = miner.head_number + 1
        await carry_out(miner, steps, block_seconds=block_seconds, progress=progress)
        last_block = miner.head_number
    counts = Counter(step.kind for step in steps if not isinstance(step, Block))
    return WorldSummary(
        seed=seed,
        first_agent_id=first_agent_id,
        agents=await next_agent_id(rpc) - first_agent_id,
        first_block=first_block,
        last_block=last_block,
        transactions=counts.total(),
        counts=dict(sorted(counts.items())),
        seconds=time.monotonic() - started,
    )


async def carry_out(
    miner: Miner, steps: Sequence[Step], *, block_seconds: int, progress: Progress | None = None
) -> None:
    """Send the steps in order; each Block mines, `block_seconds` after the one before."""
    block_time_seconds = miner.head_time_seconds + block_seconds
    payments: dict[int, bytes] = {}
    for done, step in enumerate(steps, start=1):
        if isinstance(step, Block):
            await miner.mine(block_time_seconds)
            block_time_seconds = miner.head_time_seconds + block_seconds
        else:
            sent = _ready(step, block_time_seconds, payments)
            tx_hash = await miner.send(sent.sender, sent.to, sent.calldata, what=sent.kind)
            if sent.payment is not None:
                payments[sent.payment] = tx_hash
        if progress is not None:
            progress(done, len(steps))


async def register_raw(rpc: Node, uris: Sequence[bytes], *, owner: bytes = RAW_OWNER) -> list[int]:
    """Register one agent per URI, byte by byte as it is; their ids, in the order of `uris`.

    URIs need not be UTF-8, nor text at all. All agents belong to `owner`, an account.
    """
    await place_registries(rpc)
    ids: list[int] = []
    waiting_bytes = 0
    async with mining(rpc) as miner:
        for uri in uris:
            await miner.send(owner, IDENTITY, calls.register(uri), what="register")
            waiting_bytes += len(uri)
            if miner.pending >= _RAW_TRANSACTIONS_A_BLOCK or waiting_bytes >= _RAW_BYTES_A_BLOCK:
                ids += await _registered(rpc, await miner.mine(), owner)
                waiting_bytes = 0
        if miner.pending:
            ids += await _registered(rpc, await miner.mine(), owner)
    return ids


async def next_agent_id(rpc: Node) -> int:
    """The id the next registration gets, which is also how many agents there are."""
    place = [f"0x{IDENTITY.hex()}", f"0x{NEXT_ID_SLOT:064x}", "latest"]
    return int(await rpc.call("eth_getStorageAt", place, str), 16)


def _ready(
    step: Transaction | WalletProof | PaidFeedback,
    block_time_seconds: int,
    payments: Mapping[int, bytes],
) -> Transaction:
    match step:
        case WalletProof():
            return _signed(step, block_time_seconds)
        case PaidFeedback():
            return _written(step, payments[step.payment])
        case Transaction():
            return step


def _written(paid: PaidFeedback, tx_hash: bytes) -> Transaction:
    """Its file lies in the URI itself, so that no host has to learn of it."""
    proof = {**paid.file["proofOfPayment"], "txHash": f"0x{tx_hash.hex()}"}
    content = json.dumps({**paid.file, "proofOfPayment": proof}, indent=2).encode()
    said = msgspec.structs.replace(paid.said, uri=data_uri(content), content_hash=keccak(content))
    return Transaction(paid.kind, paid.sender, REPUTATION, calls.give_feedback(paid.agent_id, said))


def _signed(proof: WalletProof, block_time_seconds: int) -> Transaction:
    deadline = block_time_seconds + _WALLET_DEADLINE_SECONDS
    signature = calls.sign_agent_wallet(
        proof.private_key,
        chain_id=CHAIN_ID,
        agent_id=proof.agent_id,
        wallet=proof.wallet,
        owner=proof.owner,
        deadline=deadline,
    )
    calldata = calls.set_agent_wallet(proof.agent_id, proof.wallet, deadline, signature)
    if proof.through is None:
        return Transaction(proof.kind, proof.sender, IDENTITY, calldata)
    return Transaction(proof.kind, proof.sender, proof.through, calls.execute(IDENTITY, calldata))


async def _registered(rpc: Node, block_number: int, owner: bytes) -> list[int]:
    wanted = {
        "address": f"0x{IDENTITY.hex()}",
        "fromBlock": hex(block_number),
        "toBlock": hex(block_number),
        "topics": [_REGISTERED, None, f"0x{owner.hex():0>64}"],
    }
    logs = await rpc.call("eth_getLogs", [wanted], list[dict[str, Any]])
    logs.sort(key=lambda log: int(log["logIndex"], 16))
    return [int(log["topics"][1], 16) for log in logs]
