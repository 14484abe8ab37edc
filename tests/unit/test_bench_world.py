"""The population of bench worlds: what is drawn, and how it falls into spans."""

from __future__ import annotations

import json
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
import typer

from renown.cli import bench
from renown.errors import BadParameter
from renown.ingest.world import WorldSize, estimate
from renown.ingest.world.files import Agent, said_by, shared_body
from renown.ingest.world.payments import make_claims
from renown.ingest.world.size import MOST_CHAINS, chain_parts
from renown.ingest.world.span import Span, make_span
from renown.spec.documents import read_document
from renown.spec.uris import parse_uri

SIZE = WorldSize(2_000)


@pytest.fixture(scope="module")
def spans() -> list[Span]:
    """The first spans of the largest chain."""
    part = chain_parts(SIZE)[0]
    return [make_span(SIZE, part, number) for number in range(2)]


@pytest.mark.parametrize("chains", [1, 4, MOST_CHAINS])
def test_chain_parts__any_number__hold_the_whole(chains: int):
    size = WorldSize(20_000, 99_999, 12_345, chains)

    parts = chain_parts(size)

    assert sum(part.agents for part in parts) == 20_000
    assert sum(part.feedbacks for part in parts) == 99_999
    assert sum(part.payments for part in parts) == 12_345
    for part, after in pairwise(parts):
        assert part.first + part.agents == after.first
        assert part.agents > after.agents
    for part in parts:
        shares = [part.span_share(part.feedbacks, n) for n in range(part.spans)]
        assert sum(shares) == part.feedbacks
        assert part.agents_before(1) >= 1
        assert part.agents_before(part.spans) == part.agents
        assert part.span_blocks(part.spans - 1)[1] - 1 == part.last_block


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: WorldSize(10),
        lambda: WorldSize(100, chains=MOST_CHAINS + 1),
        lambda: WorldSize(100, seed=-1),
        lambda: WorldSize(100, feedback=-1),
        lambda: chain_parts(WorldSize(50, chains=MOST_CHAINS)),
    ],
)
def test_size__that_no_world_can_have__is_refused(wrong):
    with pytest.raises(BadParameter):
        wrong()


def test_span__made_again__is_the_same_and_of_another_seed_is_not(spans: list[Span]):
    part = chain_parts(SIZE)[0]
    other = WorldSize(2_000, seed=2)

    assert make_span(SIZE, part, 1) == spans[1]
    assert make_claims(SIZE, part, 1, spans[1]) == make_claims(SIZE, part, 1, spans[1])
    assert make_span(other, chain_parts(other)[0], 1) != spans[1]


def test_spans__places_and_indexes__are_those_of_a_chain(spans: list[Span]):
    part = chain_parts(SIZE)[0]
    reached: Counter[tuple[int, bytes]] = Counter()
    for number, span in enumerate(spans):
        said: list[Any] = [*span.facts, *span.given]
        facts = {(f.block_number, f.log_index) for f in said}
        assert len(facts) == len(span.facts) + len(span.given)
        assert Counter(block for block, _ in facts) == {n: c for n, c in span.blocks if c}
        minted = {f.agent_id for f in said if type(f).__name__ == "AgentRegistered"}
        assert minted == set(range(part.agents_before(number), part.agents_before(number + 1)))
        for given in span.given:
            pair = given.agent_id, given.client
            reached[pair] += 1
            assert given.feedback_index == reached[pair]


def test_files__of_all_sources__are_read_as_they_are_meant():
    found: Counter[str] = Counter()
    for ordinal in range(1_500):
        said = said_by(1, 10_000, Agent(8453, bytes(20), ordinal, ordinal))
        body = shared_body(1, 10_000, said.number) if said.source == "shared" else said.body
        reading = read_document(body).reading if body is not None else "nothing"
        found[reading] += 1
        found[parse_uri(said.uri).kind if said.uri else "empty"] += 1
    shares = {name: count / 1_500 for name, count in found.items()}

    assert 0.47 < shares["empty"] < 0.57
    assert 0.15 < shares["strict"] < 0.3
    assert shares["data"] > shares["https"] > shares["ipfs"] > 0
    assert shares["unsupported"] > 0


def test_estimate__of_a_larger_world__is_more_of_everything():
    small, large = estimate(WorldSize(10_000)), estimate(WorldSize(1_000_000))

    assert 90 < large.rows / small.rows < 110
    assert large.size_bytes > 50 * small.size_bytes
    assert large.seconds > 20 * small.seconds


def test_command__dry_run__says_what_it_comes_to(capsys: pytest.CaptureFixture[str]):
    app = typer.Typer()
    bench.add_to(app)

    app(["bench", "world", "--agents", "50000", "--dry-run", "--json"], standalone_mode=False)

    told = json.loads(capsys.readouterr().out)
    assert (told["agents"], told["feedback"], told["payments"]) == (50_000, 500_000, 250_000)
    assert told["minutes"] > 0
