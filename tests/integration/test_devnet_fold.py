"""The devnet's logs, decoded and folded, against what its registries themselves answer."""

from __future__ import annotations

from typing import Any

import pytest
from eth_abi.abi import decode, encode

from renown.chain.devnet.addresses import IDENTITY, REPUTATION, VALIDATION
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.content import ODD_METADATA
from renown.chain.devnet.seed import seed_world
from renown.chain.rpc import Node
from renown.decode.decoder import Decoder
from renown.derive.fold import fold
from renown.derive.summary import Group, summarize
from renown.spec.contracts import selector
from renown.spec.events import Quarantined
from renown.spec.logs import RawLog
from renown.types import ZERO_ADDRESS
from tests.anvil import running_anvil

Question = tuple[bytes, str, tuple[object, ...]]  # contract, function signature, arguments


async def ask(node: Node, questions: list[Question], returns: list[str]) -> list[Any]:
    """The contracts' answers. Foreign strings are asked for, and returned, as bytes."""
    posed = []
    for contract, signature, arguments in questions:
        types = signature[signature.index("(") + 1 : -1].replace("string", "bytes").split(",")
        calldata = selector(signature) + encode(types, arguments)
        call = {"to": f"0x{contract.hex()}", "data": f"0x{calldata.hex()}"}
        posed.append([call, "latest"])
    answers = await node.batch("eth_call", posed, str)
    return [decode(returns, bytes.fromhex(str(answer)[2:])) for answer in answers]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
async def test_seeded_world__decoded_and_folded__is_what_the_registries_answer(seed):
    second = Cast(seed).second_validation_registry
    followed = [IDENTITY, REPUTATION, VALIDATION, second]
    async with running_anvil() as node:
        summary = await seed_world(node, seed)
        wanted = {"fromBlock": "0x0", "address": [f"0x{address.hex()}" for address in followed]}
        logs = await node.call("eth_getLogs", [wanted], list[RawLog])
        facts = Decoder(IDENTITY, REPUTATION, (VALIDATION, second)).decode_many(logs)
        state = fold(facts)
        agents = [state.identities[number] for number in range(summary.agents)]
        ids = [agent.agent_id for agent in agents]
        keys = [(i, key) for i in ids for key in (b"listed", *(key for key, _ in ODD_METADATA))]
        clients = {i: sorted({c for a, c, _ in state.cells if a == i}) for i in ids}
        rated = [i for i in ids if clients[i]]

        owners = await ask(node, [(IDENTITY, "ownerOf(uint256)", (i,)) for i in ids], ["address"])
        uris = await ask(node, [(IDENTITY, "tokenURI(uint256)", (i,)) for i in ids], ["bytes"])
        wallets = await ask(
            node, [(IDENTITY, "getAgentWallet(uint256)", (i,)) for i in ids], ["address"]
        )
        metadata = await ask(
            node, [(IDENTITY, "getMetadata(uint256,string)", each) for each in keys], ["bytes"]
        )
        summary_of = "getSummary(uint256,address[],string,string)"
        summaries = await ask(
            node,
            [(REPUTATION, summary_of, (i, clients[i], b"", b"")) for i in rated],
            ["uint64", "int128", "uint8"],
        )

    assert not [fact for fact in facts if isinstance(fact, Quarantined)]
    assert not state.unattached
    assert [agent.owner for agent in agents] == [bytes.fromhex(o[2:]) for (o,) in owners]
    assert [agent.uri or b"" for agent in agents] == [uri for (uri,) in uris]
    assert [agent.wallet or ZERO_ADDRESS for agent in agents] == [
        bytes.fromhex(wallet[2:]) for (wallet,) in wallets
    ]
    held = [
        {entry.key: entry.value for entry in agent.entries.values()}.get(key, b"")
        for agent in agents
        for key in (b"listed", *(key for key, _ in ODD_METADATA))
    ]
    assert held == [value for (value,) in metadata]
    ours = [
        summarize(
            Group(cell[-1].decimals, 1, cell[-1].value)
            for (agent_id, _, _), cell in state.cells.items()
            if agent_id == i and not cell[-1].revoked
        )
        for i in rated
    ]
    assert [(s.count, s.value, s.decimals) for s in ours] == summaries
    assert {"default", "proved", "cleared"} <= {agent.wallet_state for agent in agents}
    assert any(s.wrapped for s in ours)
