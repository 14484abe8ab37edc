"""Keep the devnet moving: a block of random acts every few seconds, for as long as one watches."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from random import Random

import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet.acts import Acts
from renown.chain.devnet.addresses import IDENTITY, REPUTATION, VALIDATION
from renown.chain.devnet.blocks import mining
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.files import Files
from renown.chain.devnet.ledger import Ledger, Request
from renown.chain.devnet.seed import carry_out, next_agent_id
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.rpc import Node
from renown.errors import NodeInconsistent, NodeRefused

MAX_ACTS = 4
"""Most acts in one block."""

EDIT_SECONDS = 25.0
"""How often an agent changes its file without a transaction; every other time the same agent."""

_MAX_FAILURES = 5


async def keep_lively(
    rpc: Node,
    seed: int,
    period_seconds: float = 4.0,
    *,
    on_block: Callable[[int], None] | None = None,
    files: Files | None = None,
) -> None:
    """One block of one to four acts per period, for ever; blocks carry the time of day.

    Files that URIs name go into `files`; those on hosts of their own change there now and then.

    Starts from whatever the chain holds, so it may be stopped and started again, and others may use
    the chain meanwhile: where they register, or make an act fail, the chain is read again. What the
    ten wallets of `wallets` own, rate or validate is left to whoever uses them.

    Raises:
        NodeError: the node is gone, or several blocks in a row failed.
    """
    failures = 0
    files = Files() if files is None else files
    acts = await _acts(rpc, seed, files)
    edits, edit_at_seconds = 0, time.monotonic() + EDIT_SECONDS
    while True:
        await asyncio.sleep(period_seconds)
        if time.monotonic() >= edit_at_seconds:
            edit_a_file(files, acts.rng, restless=edits % 2 == 0)
            edits, edit_at_seconds = edits + 1, time.monotonic() + EDIT_SECONDS
        try:
            if await next_agent_id(rpc) != acts.ledger.next_agent_id:
                acts = await _acts(rpc, seed, files)  # somebody else registered
            number = await _block(rpc, acts)
        except (NodeInconsistent, NodeRefused):
            failures += 1
            if failures == _MAX_FAILURES:
                raise
            acts = await _acts(rpc, seed, files)
            continue
        failures = 0
        if on_block is not None:
            on_block(number)


def edit_a_file(files: Files, rng: Random, *, restless: bool) -> int | None:
    """Change the file of an agent on a working host of its own; its id, None if there is none.

    `restless` is the one among them with the least id: whoever watches it sees it change.
    """
    able = [
        agent_id
        for agent_id, home in sorted(files.homes.items())
        if (agent := files.agents[agent_id]).temper == "good" and home.host == agent.host
    ]
    if not able:
        return None
    agent_id = able[0] if restless else rng.choice(able)
    files.edit(agent_id, time.time())
    return agent_id


async def read_ledger(rpc: Node) -> Ledger:
    """The ledger as the registries' logs tell it, from the first block on."""
    wanted = {
        "address": [f"0x{address.hex()}" for address in (IDENTITY, REPUTATION, VALIDATION)],
        "fromBlock": "0x0",
        "toBlock": "latest",
    }
    ledger = Ledger()
    for log in await rpc.call("eth_getLogs", [wanted], list[_Log]):
        _note(ledger, log)
    parties = {
        *ledger.owners.values(),
        *(client for _, client, _ in ledger.feedback),
        *(request.validator for request in ledger.requests),
    }
    accounts = sorted(parties)
    codes = await rpc.batch(
        "eth_getCode", [[f"0x{account.hex()}", "latest"] for account in accounts], str
    )
    ledger.mute.update(
        account for account, code in zip(accounts, codes, strict=True) if code != "0x"
    )
    return ledger


class _Log(msgspec.Struct, frozen=True):
    address: str
    topics: list[str]
    data: str


async def _acts(rpc: Node, seed: int, files: Files) -> Acts:
    ledger = await read_ledger(rpc)
    if not ledger.owners:
        ledger.register(Cast(seed).account("founder"))
    head = int(await rpc.call("eth_blockNumber", [], str), 16)
    # The head is part of the seed: a second run does not repeat the first, nor its request hashes.
    cast = Cast(seed, head)
    acts = Acts(Random(f"renown devnet lively {seed} {head}"), cast, ledger, files=files)
    people = {wallet.address for wallet in devnet_wallets()}
    ledger.mute |= people
    acts.reserved.update(i for i, owner in ledger.owners.items() if owner in people)
    return acts


async def _block(rpc: Node, acts: Acts) -> int:
    usual = [acts.register, *[acts.give_feedback] * 8, *acts.others]
    steps = acts.ledger.take_steps()
    while not steps:
        for act in acts.rng.choices(usual, k=acts.rng.randint(1, MAX_ACTS)):
            act()
        steps = acts.ledger.take_steps()
    async with mining(rpc) as miner:
        gap_seconds = max(1, int(time.time()) - miner.head_time_seconds)
        await carry_out(miner, steps, block_seconds=gap_seconds)
        return miner.head_number


def _note(ledger: Ledger, log: _Log) -> None:
    name, *words = [bytes.fromhex(topic[2:]) for topic in log.topics]
    match _EVENTS.get(name):
        case "Transfer":
            ledger.note_owner(int.from_bytes(words[2]), words[1][12:])
        case "Approval":
            ledger.note_approval(int.from_bytes(words[2]), words[1][12:])
        case "ApprovalForAll":
            ledger.note_operator(words[0][12:], words[1][12:], int(log.data, 16) != 0)
        case "NewFeedback":
            ledger.note_feedback(int.from_bytes(words[0]), words[1][12:])
        case "FeedbackRevoked":
            ledger.revoked.add((int.from_bytes(words[0]), words[1][12:], int.from_bytes(words[2])))
        case "ValidationRequest":
            agent_id, registry = int.from_bytes(words[1]), bytes.fromhex(log.address[2:])
            ledger.requests.append(Request(registry, words[2], words[0][12:], agent_id))


_EVENTS = {
    keccak(signature.encode()): signature.partition("(")[0]
    for signature in (
        "Transfer(address,address,uint256)",
        "Approval(address,address,uint256)",
        "ApprovalForAll(address,address,bool)",
        "NewFeedback(uint256,address,uint64,int128,uint8,string,string,string,string,string,bytes32)",
        "FeedbackRevoked(uint256,address,uint64)",
        "ValidationRequest(address,uint256,string,bytes32)",
    )
}
