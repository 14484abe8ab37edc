"""Our `getSummary` against the contract's: 1,000 random questions, bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from eth_abi.abi import decode

from renown.chain.devnet import calls
from renown.chain.devnet.addresses import REPUTATION
from renown.chain.devnet.blocks import mining
from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.cases import SummaryCase, summary_cases
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.ledger import Ledger
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.seed import carry_out
from renown.chain.rpc import CallReverted, Node
from renown.derive.summary import Group, Summary, summarize
from tests.anvil import running_anvil

MOST = 10**38

VECTORS = [
    ([(80, 0), (90, 0), (100, 0)], (3, 90, 0)),
    ([(9977, 2), (50, 0)], (2, 74, 0)),
    ([(9977, 2), (50, 0), (1, 2)], (3, 4992, 2)),
    ([(-1, 0), (0, 0)], (2, 0, 0)),
    ([(-32, 1), (-33, 1)], (2, -32, 1)),
    ([(1, 0), (1, 0), (5 * 10**17, 18)], (3, 0, 0)),
    ([(MOST, 0), (1, 18), (1, 18)], (3, -886533759346574857640019685980940970, 18)),
    ([], (0, 0, 0)),
]
"""Observed on the published contract: (value, decimals) of each client, then its answer."""


async def ask(node: Node, calldatas: Sequence[bytes]) -> list[tuple[int, int, int]]:
    """The contract's answers."""
    to = f"0x{REPUTATION.hex()}"
    questions = [[{"to": to, "data": f"0x{data.hex()}"}, "latest"] for data in calldatas]
    answers = await node.batch("eth_call", questions, str)
    types = ["uint64", "int128", "uint8"]
    return [decode(types, bytes.fromhex(str(answer)[2:])) for answer in answers]


def expected(case: SummaryCase) -> Summary:
    """Our answer, with the contract's rules of matching written out once more."""
    matched = [
        given.said
        for client in case.clients
        for given in case.given
        if given.client == client
        and not given.revoked
        and case.tag1 in (b"", given.said.tag1)
        and case.tag2 in (b"", given.said.tag2)
    ]
    return summarize(Group(said.decimals, 1, said.value) for said in matched)


@pytest.mark.slow
async def test_get_summary__thousand_random_cases__equals_the_contract_bit_for_bit():
    planned = summary_cases(seed=8004, count=1000)
    async with running_anvil() as node:
        await place_registries(node)
        async with mining(node) as miner:
            await carry_out(miner, planned.steps, block_seconds=1)
        answers = await ask(
            node,
            [calls.get_summary(c.agent_id, c.clients, c.tag1, c.tag2) for c in planned.cases],
        )

    ours = [expected(case) for case in planned.cases]
    assert [(s.count, s.value, s.decimals) for s in ours] == answers
    wrapped = sum(summary.wrapped for summary in ours)
    matched = sum(summary.count > 0 for summary in ours)
    assert wrapped >= 50, "the cases no longer reach the unchecked cast"
    assert matched >= 600, "the cases no longer match anything"


async def test_get_summary__vectors_of_the_published_contract__are_answered_by_ours():
    cast, ledger = Cast(1), Ledger()
    clients = [cast.account("client", number) for number in range(4)]
    for ratings, _ in VECTORS:
        agent_id = ledger.register(cast.account("owner"))
        for client, (value, decimals) in zip(clients, ratings, strict=False):
            ledger.give_feedback(agent_id, client, Feedback(value, decimals, b"starred"))

    async with running_anvil() as node:
        await place_registries(node)
        async with mining(node) as miner:
            await carry_out(miner, ledger.take_steps(), block_seconds=1)
        questions = [calls.get_summary(agent_id, clients) for agent_id in range(len(VECTORS))]
        twice = calls.get_summary(0, [clients[0], clients[0]])
        answers = await ask(node, [*questions, twice])
        with pytest.raises(CallReverted) as refused:
            nobody = {"to": f"0x{REPUTATION.hex()}", "data": f"0x{calls.get_summary(0, []).hex()}"}
            await node.call("eth_call", [nobody, "latest"], str)

    assert answers == [*(answer for _, answer in VECTORS), (2, 80, 0)]
    assert b"clientAddresses required" in refused.value.revert_data
