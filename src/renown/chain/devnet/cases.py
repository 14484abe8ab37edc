"""Random cases for the reputation registry's `getSummary`, the wrapping ones among them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random

import msgspec

from renown.chain.devnet.calls import Feedback
from renown.chain.devnet.cast import Cast
from renown.chain.devnet.ledger import Ledger, Step

MOST = 10**38
CASES_PER_AGENT = 5
BLOCK_OF_AGENTS = 50

TAGS1 = (b"", b"starred", b"star\x00red", b"\xff\xfe")
TAGS2 = (b"", b"day")


class Given(msgspec.Struct, frozen=True):
    """One feedback as it stands in the end."""

    client: bytes
    said: Feedback
    revoked: bool


class SummaryCase(msgspec.Struct, frozen=True):
    """One question to `getSummary`, and all feedback of the agent it is about, in order."""

    agent_id: int
    clients: tuple[bytes, ...]
    tag1: bytes
    tag2: bytes
    given: tuple[Given, ...]


class SummaryCases(msgspec.Struct, frozen=True):
    """Steps that put the feedback on fresh registries, and what to ask then."""

    steps: tuple[Step, ...]
    cases: tuple[SummaryCase, ...]


def summary_cases(seed: int, count: int) -> SummaryCases:
    """`count` questions about `count / 5` agents with up to nine feedbacks each.

    Client lists have repeats, strangers and any order; tags filter or not; some feedback is
    revoked. About one answer in twelve wraps.
    """
    rng, cast, ledger = Random(f"summary cases {seed}"), Cast(seed), Ledger()
    cases: list[SummaryCase] = []
    while len(cases) < count:
        agent_id = ledger.register(cast.account("owner"))
        clients = [cast.account("client", number) for number in rng.sample(range(40), 4)]
        given = _give(rng, ledger, agent_id, clients[:3])  # the last one stays silent
        for _ in range(min(CASES_PER_AGENT, count - len(cases))):
            asked = tuple(rng.choices(clients, k=rng.randint(1, 6)))
            tag1 = b"" if rng.random() < 0.6 else rng.choice(TAGS1)
            tag2 = b"" if rng.random() < 0.8 else rng.choice(TAGS2)
            cases.append(SummaryCase(agent_id, asked, tag1, tag2, given))
        if agent_id % BLOCK_OF_AGENTS == BLOCK_OF_AGENTS - 1:
            ledger.end_block()
    return SummaryCases(ledger.take_steps(), tuple(cases))


def _give(
    rng: Random, ledger: Ledger, agent_id: int, clients: Sequence[bytes]
) -> tuple[Given, ...]:
    rating = rng.choice(_RATINGS)
    given = []
    for _ in range(rng.randint(0, 9)):
        client = rng.choice(clients)
        value, decimals = rating(rng)
        said = Feedback(value, decimals, rng.choice(TAGS1), rng.choice(TAGS2))
        key = ledger.give_feedback(agent_id, client, said)
        revoked = key is not None and rng.random() < 0.15
        if key is not None and revoked:
            ledger.revoke(key)
        given.append(Given(client, said, revoked))
    return tuple(given)


def _giant_shown_finely(rng: Random) -> tuple[int, int]:
    """Large values under a fine precision: the mean does not fit int128 at that precision."""
    if rng.random() < 0.3:
        return rng.choice([-1, 1]) * (MOST - rng.randrange(1000)), 0
    return rng.randint(-9, 9), rng.choice([16, 18, 18, 18])


_RATINGS: tuple[Callable[[Random], tuple[int, int]], ...] = (
    lambda rng: (rng.randint(0, 100), 0),
    lambda rng: (rng.randint(-100, 100), rng.randint(0, 2)),
    lambda rng: (rng.randint(-(10**18), 10**18), rng.choice([0, 18])),  # ties of precision
    lambda rng: (rng.randint(-MOST, MOST), rng.randint(0, 18)),
    lambda rng: (rng.choice([0, 1, -1, MOST, -MOST]), rng.randint(0, 18)),
    _giant_shown_finely,
    _giant_shown_finely,
    _giant_shown_finely,
)
