"""A source over real sockets: fake nodes behind aiohttp, with the failures only sockets have."""

from __future__ import annotations

import pytest

from renown.chain.source import ChainSource
from tests.fakes.faults import TRANSIENT, Chaos, Fault
from tests.fakes.node import FakeNode
from tests.fakes.world import DEVNET, QUICK, as_dicts, busy_chain, truth


async def test_source__over_http__hands_out_the_chain():
    chain = busy_chain(1_500, transactions=20)
    async with (
        FakeNode(chain).serve("/v1/some-key") as url,
        ChainSource(DEVNET, [url], contracts=DEVNET.contracts, seed=1) as source,
    ):
        head = await source.head()
        logs = [
            entry
            async for part in source.final_ranges(0, head.finalized)
            for entry in as_dicts(part.logs)
        ]
        window = await source.window(head.finalized + 1, head.latest.number)

    assert logs == truth(chain, 0, head.finalized)
    assert as_dicts(window.logs) == truth(chain, head.finalized + 1, 1_500)


@pytest.mark.parametrize("fault", [*TRANSIENT, Fault.RATE_LIMITED, Fault.TIMEOUT])
async def test_source__failing_now_and_then_over_http__still_hands_out_the_chain(fault):
    chain = busy_chain(300, transactions=20)
    first, second = FakeNode(chain, "a"), FakeNode(chain, "b")
    patience = QUICK if fault is not Fault.TIMEOUT else type(QUICK)(deadline_seconds=0.1)
    async with first.serve() as url_1, second.serve() as url_2:
        source = ChainSource(
            DEVNET, [url_1, url_2], contracts=DEVNET.contracts, seed=1, patience=patience
        )
        async with source:
            first.chaos = Chaos(seed=3, rate=0.5, kinds=(fault,))
            logs = []
            for begin in range(0, 280, 40):
                async for part in source.final_ranges(begin, begin + 39, concurrency=2):
                    logs += as_dicts(part.logs)

    assert logs == truth(chain, 0, 279)
