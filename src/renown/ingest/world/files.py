"""What agents' URIs lead to: registration files of all kinds and states. Pure.

Half of the agents have no URI. Of the others most carry their file in it, written by a mint that
gives thousands the same text; some share one file on a platform; some serve one of their own, which
answers or does not.
"""

from __future__ import annotations

import base64
from functools import lru_cache
from random import Random
from typing import Any, Literal

import msgspec

from renown.derive.files import inline_uri, registry_name
from renown.ingest.world.draws import digest, place_random, share, word, words, zipf

Source = Literal["none", "mint", "own", "shared", "https", "ipfs", "foreign", "unsupported"]

_SHARES: tuple[tuple[float, Source], ...] = (
    (0.520, "none"),
    (0.765, "mint"),
    (0.840, "own"),
    (0.885, "shared"),
    (0.958, "https"),
    (0.982, "ipfs"),
    (0.992, "foreign"),
    (1.000, "unsupported"),
)
_TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"
_OTHER_TYPES = (
    "https://eips.ethereum.org/EIPS/eip-8004#registration",
    "https://eips.ethereum.org/EIPs/eip-8004#registration-v1",
)
_TRUST = ("reputation", "crypto-economic", "tee-attestation")
_KIND = {"source": 1, "alive": 2, "mint": 3, "shared": 4}


class Agent(msgspec.Struct, frozen=True):
    """Whose file it is. `ordinal` counts through the world."""

    chain_id: int
    registry: bytes
    agent_id: int
    ordinal: int


class Said(msgspec.Struct, frozen=True):
    """An agent's URI, and the file behind it.

    Attributes:
        source: how it came about.
        number: of the mint's template, or of the shared file; else 0.
        uri: empty where none was said.
        body: None where nothing can be read.
    """

    source: Source
    number: int
    uri: bytes
    body: bytes | None


def mints(agents: int) -> int:
    """How many mints a world of so many agents has."""
    return max(3, agents // 2_000)


def shared_files(agents: int) -> int:
    """How many files are shared by several agents."""
    return max(3, agents // 150)


def platforms(agents: int) -> int:
    """How many hosts serve files and endpoints of many agents."""
    return max(2, agents // 2_000)


def source_of(seed: int, ordinal: int) -> Source:
    """How the URI of an agent came about."""
    lot = share(seed, _KIND["source"], ordinal)
    return next(source for upto, source in _SHARES if lot < upto)


def said_by(seed: int, agents: int, agent: Agent) -> Said:
    """What an agent of a world of `agents` says of itself in the end."""
    source = source_of(seed, agent.ordinal)
    g = agent.ordinal
    if source == "none":
        return Said(source, 0, b"", None)
    if source == "mint":
        number = _skewed(share(seed, _KIND["mint"], g), mints(agents))
        body = minted(seed, number, agent)
        return Said(source, number, inline_uri(body), body)
    if source == "shared":
        number = _skewed(share(seed, _KIND["shared"], g), shared_files(agents))
        return Said(source, number, shared_uri(seed, agents, number), None)
    if source == "unsupported":
        return Said(source, 0, b"%s %d" % (word(1 + g % 997).encode(), g), None)
    rng = place_random(seed, "file", g)
    if source == "foreign":
        body = _foreign(rng, g)
        return Said(source, 0, inline_uri(body), body)
    body = _own(rng, agents, agent)
    if source == "own":
        coded = base64.b64encode(body).rstrip(b"=") if rng.random() < 0.05 else None
        uri = b"data:application/json;base64," + coded if coded else inline_uri(body)
        return Said(source, 0, uri, body)
    if source == "ipfs":
        cid = b"b" + base64.b32encode(b"\x01\x55\x12\x20" + digest(seed, b"cid", g)).lower()
        return Said(source, 0, b"ipfs://" + cid.rstrip(b"="), body if rng.random() < 0.8 else None)
    scheme = "http" if rng.random() < 0.04 else "https"
    uri = f"{scheme}://{own_host(g)}/agent.json".encode()
    return Said(source, 0, uri, body if rng.random() < 0.6 else None)


@lru_cache(maxsize=32)
def registry_named(chain_id: int, registry: bytes) -> str:
    """A registry as files name it."""
    return registry_name(chain_id, registry)


def own_host(ordinal: int) -> str:
    """The host that is one agent's alone."""
    return f"{word(1 + ordinal % 4_999)}-a{ordinal}.example"


def platform_host(number: int) -> str:
    """A host that serves many."""
    return f"{word(5 + number % 4_999)}-p{number}.example"


def mint_host(number: int) -> str:
    """The host of a mint."""
    return f"{word(9 + number % 4_999)}-m{number}.example"


def shared_uri(seed: int, agents: int, number: int) -> bytes:
    """Where a shared file lies."""
    host = platform_host(_skewed(share(seed, 9, number), platforms(agents)))
    return f"https://{host}/agents/{number}.json".encode()


@lru_cache(maxsize=512)
def shared_body(seed: int, agents: int, number: int) -> bytes:
    """The file that several agents name."""
    rng = place_random(seed, "shared", number)
    fields = _fields(rng, f"{_titled(rng, 2)} S{number}", strict=rng.random() < 0.75)
    host = platform_host(_skewed(share(seed, 9, number), platforms(agents)))
    fields["services"] = _services(rng, host, f"s{number}", 1 + int(rng.random() * 2))
    return _file(fields)


def _skewed(lot: float, most: int) -> int:
    return int(most * lot**2.5)


@lru_cache(maxsize=1_024)
def _template(seed: int, number: int) -> tuple[str, bytes]:
    """What a mint writes into every file: the names' beginning, and the file to be filled in."""
    rng = place_random(seed, "mint", number)
    name = f"{_titled(rng, 2)} M{number}"
    fields = _fields(rng, _NAME, strict=number % 5 in (2, 3))
    if rng.random() < 0.3:
        fields["services"] = _services(rng, mint_host(number), "all", 1)
    fields["description"] = f"{_NAME}: {words(rng, 4 + int(rng.random() * 20))}."
    if rng.random() < 0.15:
        fields["registrations"] = [{"agentId": _ID, "agentRegistry": _REGISTRY}]
    return name, _file(fields)


_NAME, _ID, _REGISTRY = "{NAME}", 987_654_321_987, "{REGISTRY}"


def minted(seed: int, number: int, agent: Agent) -> bytes:
    """The file that a mint writes for an agent."""
    name, file = _template(seed, number)
    filled = file.replace(_NAME.encode(), f"{name} #{agent.ordinal}".encode())
    if _REGISTRY.encode() not in filled:
        return filled
    registry = registry_named(agent.chain_id, agent.registry)
    return filled.replace(_REGISTRY.encode(), registry.encode()).replace(
        b"%d" % _ID, b"%d" % agent.agent_id
    )


def _own(rng: Random, agents: int, agent: Agent) -> bytes:
    fields = _fields(rng, f"{_titled(rng, 2)} {agent.ordinal}", strict=rng.random() < 0.78)
    if rng.random() < 0.65:
        on_platform = rng.random() < 0.3
        host = (
            platform_host(int(platforms(agents) * rng.random() ** 2))
            if on_platform
            else own_host(agent.ordinal)
        )
        place = f"a{agent.ordinal}"
        fields["services"] = _services(rng, host, place, 1 + int(4 * rng.random() ** 1.5))
    if rng.random() < 0.5:
        fields["registrations"] = [_claim(agent)]
    return _file(fields)


def _fields(rng: Random, name: str, *, strict: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "type": _TYPE,
        "name": name,
        "description": words(rng, 8 + int(90 * rng.random() ** 2.5)).capitalize() + ".",
        "image": "" if rng.random() < 0.6 else f"https://images.example/{rng.randrange(10**6)}.png",
        "active": rng.random() < 0.93,
        "services": [],
        "supportedTrust": [one for one in _TRUST if rng.random() < 0.35],
    }
    lot = rng.random()
    if lot < 0.7:
        fields["x402Support"] = lot < 0.55
    if rng.random() < 0.1:
        fields["tags"] = [word(zipf(rng, 2_000)) for _ in range(3)]
    if strict:
        return fields
    # What the network writes beside the standard.
    fault = rng.random()
    if fault < 0.7:
        fields["type"] = _OTHER_TYPES[fault < 0.4]
    elif fault < 0.85:
        del fields["image"]
    else:
        del fields["services"]
    return fields


def _services(rng: Random, host: str, place: str, count: int) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for n in range(count):
        lot = rng.random()
        url = f"https://{host}/{place}/{n}"
        one: dict[str, Any]
        if lot < 0.36:
            one = {"name": "MCP", "endpoint": f"{url}/mcp", "version": "2025-06-18"}
            if rng.random() < 0.4:
                one["mcpTools"] = _ranked(rng, 5_000, 4)
        elif lot < 0.6:
            card = f"{url}/.well-known/agent-card.json"
            one = {"name": "A2A", "endpoint": card, "version": "0.3.0"}
            if rng.random() < 0.4:
                one["a2aSkills"] = _paths(rng)
        elif lot < 0.88:
            one = {"name": "web", "endpoint": f"{url}/"}
        elif lot < 0.95:
            one = {"name": "OASF", "endpoint": f"{url}/oasf", "version": "0.8.0"}
            one |= {"skills": _paths(rng), "domains": _paths(rng)}
        else:
            one = {"name": "email", "endpoint": f"hello@{host}"}
        found.append(one)
    return found


def _file(fields: dict[str, Any]) -> bytes:
    """As `file_bytes`, for the fields that files of a world have."""
    if services := fields.get("services"):
        fields["services"] = msgspec.Raw(_encode_sorted(services))
    return _encode({name: fields[name] for name in _ORDER if name in fields})


_encode = msgspec.json.Encoder().encode
_encode_sorted = msgspec.json.Encoder(order="deterministic").encode
_ORDER = (
    *("type", "name", "description", "image", "services", "x402Support", "active"),
    *("registrations", "supportedTrust", "attributes", "code", "path", "status", "tags"),
)


def _ranked(rng: Random, most: int, count: int) -> list[str]:
    return [word(zipf(rng, most)) for _ in range(1 + int(rng.random() * count))]


def _paths(rng: Random) -> list[str]:
    ranks = [zipf(rng, 300) for _ in range(1 + int(rng.random() * 3))]
    return [f"{word(rank % 15 + 1)}/{word(rank + 20)}" for rank in ranks]


def _titled(rng: Random, count: int) -> str:
    return words(rng, count).title()


def _claim(agent: Agent) -> dict[str, Any]:
    registry = registry_named(agent.chain_id, agent.registry)
    return {"agentId": agent.agent_id, "agentRegistry": registry}


def _foreign(rng: Random, ordinal: int) -> bytes:
    lot = rng.random()
    if lot < 0.3:
        return f"<html><title>{ordinal}</title></html>".encode()
    if lot < 0.6:
        return _file({"status": "error", "code": 404, "path": f"/agents/{ordinal}"})
    name = f"{_titled(rng, 2)} {ordinal}"
    about = words(rng, 8)
    return _file({"name": name, "description": about, "image": "", "attributes": []})
