"""Who an agent of the devnet is: its name, its trade, what it offers and how its host behaves.

Pure: the seed of the world and the agent's id say it all, so that whoever knows both knows the
agent, whenever it was registered.
"""

from __future__ import annotations

from random import Random
from typing import Literal, TypeVar

import msgspec

from renown.chain.devnet.trades import FIRST_NAMES, FOREIGN_NAMES, TRADES, Trade

Temper = Literal[
    "good",  # does what its file says
    "slow",  # the same, after a while
    "fickle",  # the same, for ten minutes out of twenty
    "gone",  # 404 to everything
    "failing",  # 503 to everything
    "hollow",  # a web page, status 200, to everything
    "parrot",  # one JSON answer, status 200, to everything
    "tollgate",  # 402 to everything
]

DomainProof = Literal["confirms", "confirms fully", "contradicts", "redirects", "missing"]
"""What the host's `/.well-known/agent-registration.json` does."""

Dialect = Literal["careful", "old", "sloppy"]
"""How close to the standard its files are written."""

SERVICES = ("MCP", "A2A", "OASF", "web", "x402", "ENS", "DID", "email", "agentWallet", "twitter")


class Persona(msgspec.Struct, frozen=True, kw_only=True):
    """One agent.

    Attributes:
        saying: a sentence in its own language; "" where that is English.
        services: names of those it declares, some of `SERVICES`.
        honest: its servers offer the tools and skills that its file declares.
        streams: its MCP server answers in event streams.
        x402_version: of its payment challenges.
        price_units: what a call costs, in millionths of a dollar.
        shared_host: where its file lies if not on its own host.
    """

    agent_id: int
    name: str
    host: str
    trade: Trade
    saying: str
    services: tuple[str, ...]
    temper: Temper
    domain_proof: DomainProof
    dialect: Dialect
    honest: bool
    streams: bool
    x402_version: Literal[1, 2]
    price_units: int
    supports_x402: bool
    trust: tuple[str, ...]
    shared_host: str


_Choice = TypeVar("_Choice", bound=str)


def persona(seed: int, agent_id: int, *, host: str | None = None) -> Persona:
    """The agent of that id in the world of `seed`.

    With a `host` of its own choosing it is good-natured and careful: such hosts belong to scenes.
    """
    rng = Random(f"renown devnet {seed} agent {agent_id}")
    trade = rng.choice(TRADES)
    name = f"{rng.choice(FIRST_NAMES)} {rng.choice(trade.nouns)}"
    slug, saying = name.lower().replace(" ", "-"), ""
    if rng.random() < _FOREIGN_SHARE:
        name, slug, saying = rng.choice(FOREIGN_NAMES)
    drawn = Persona(
        agent_id=agent_id,
        name=name,
        host=f"{slug}-{agent_id}.example",
        trade=trade,
        saying=saying,
        services=tuple(kind for kind in SERVICES if rng.random() < _SERVICE_SHARES[kind])
        or ("web",),
        temper=_pick(rng, _TEMPERS),
        domain_proof=_pick(rng, _DOMAIN_PROOFS),
        dialect=_pick(rng, _DIALECTS),
        honest=rng.random() < 0.8,
        streams=rng.random() < 0.4,
        x402_version=rng.choice((1, 2)),
        price_units=rng.choice((1_000, 5_000, 10_000, 50_000, 250_000)),
        supports_x402=rng.random() < 0.4,
        trust=tuple(rng.sample(_TRUST, rng.randint(0, 3))),
        shared_host=f"agents-{rng.randint(1, _SHARED_HOSTS)}.example",
    )
    if host is None:
        return drawn
    return msgspec.structs.replace(drawn, host=host, temper="good", dialect="careful")


def flagship(seed: int, agent_id: int) -> Persona:
    """An agent with everything, and all of it true: the one that others would like to be."""
    return msgspec.structs.replace(
        persona(seed, agent_id, host="amber-auditor.example"),
        name="Amber Auditor",
        trade=TRADES[0],
        saying="",
        services=("MCP", "A2A", "OASF", "web", "x402"),
        domain_proof="confirms",
        honest=True,
        supports_x402=True,
        trust=("reputation", "crypto-economic"),
    )


def _pick(rng: Random, weights: dict[_Choice, int]) -> _Choice:
    return rng.choices(list(weights), weights=list(weights.values()))[0]


_FOREIGN_SHARE = 0.15
_SHARED_HOSTS = 12
_TRUST = ("reputation", "crypto-economic", "tee-attestation")

_SERVICE_SHARES = {
    "MCP": 0.55,
    "A2A": 0.45,
    "OASF": 0.5,
    "web": 0.5,
    "x402": 0.3,
    "ENS": 0.2,
    "DID": 0.15,
    "email": 0.2,
    "agentWallet": 0.15,
    "twitter": 0.15,
}

_TEMPERS: dict[Temper, int] = {
    "good": 58,
    "slow": 6,
    "fickle": 6,
    "gone": 8,
    "failing": 8,
    "hollow": 6,
    "parrot": 4,
    "tollgate": 4,
}

_DOMAIN_PROOFS: dict[DomainProof, int] = {
    "confirms": 35,
    "confirms fully": 15,
    "contradicts": 12,
    "redirects": 8,
    "missing": 30,
}

_DIALECTS: dict[Dialect, int] = {"careful": 70, "old": 18, "sloppy": 12}
