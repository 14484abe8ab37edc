"""Registration files as the devnet's agents write them (ERC-8004, section "Registration file").

Pure. A file has editions, from 0 on: the same agent later, with another price or one more tool.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY
from renown.chain.devnet.personas import Persona
from renown.types import checksum_address

REGISTRY_ID = f"eip155:{CHAIN_ID}:{checksum_address(IDENTITY)}"
TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"

MCP_VERSION, A2A_VERSION = "2025-06-18", "0.3.0"

_EPOCH_SECONDS = 1_767_225_600  # 1 January 2026


def registration_file(persona: Persona, edition: int = 0) -> bytes:
    """The file in the persona's own dialect."""
    return _DIALECTS[persona.dialect](careful_file(persona, edition))


def careful_file(persona: Persona, edition: int = 0) -> bytes:
    """The file as a careful writer makes it."""
    return to_bytes(registration(persona, edition))


def registration(persona: Persona, edition: int = 0) -> dict[str, Any]:
    """What the standard asks for, in its order."""
    first = persona.trade.deeds[edition % len(persona.trade.deeds)]
    second = persona.trade.deeds[(edition + 1) % len(persona.trade.deeds)]
    told = f"{persona.name} {first}. It also {second}. {_price(persona, edition)}"
    return {
        "type": TYPE,
        "name": persona.name,
        "description": f"{persona.saying} {told}".strip(),
        "image": f"https://{persona.host}/face.png" if persona.agent_id % 3 else "",
        "services": [_SERVICES[kind](persona, edition) for kind in persona.services],
        "x402Support": persona.supports_x402 or "x402" in persona.services,
        "active": (persona.agent_id + edition) % 9 != 8,
        "registrations": [claim(persona.agent_id)],
        "supportedTrust": list(persona.trust),
        "tags": list(persona.trade.tags),
        "updatedAt": _EPOCH_SECONDS + persona.agent_id * 3600 + edition * 86_400,
    }


def claim(agent_id: int) -> dict[str, Any]:
    """An entry of `registrations`."""
    return {"agentId": agent_id, "agentRegistry": REGISTRY_ID}


def tools_of(persona: Persona, edition: int) -> list[str]:
    """What it can be called for by now."""
    return list(persona.trade.tools)[: 2 + edition % 2]


def to_bytes(value: object) -> bytes:
    """Compact JSON in UTF-8, keys as they come."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def old_names(file: bytes) -> bytes:
    """The file as it would have been written in 2025."""
    return (
        file.replace(b"#registration-v1", b"#registration")
        .replace(b'"services"', b'"endpoints"')
        .replace(b'"x402Support"', b'"x402support"')
    )


def _sloppy(file: bytes) -> bytes:
    """By somebody who remembered the standard but did not look it up."""
    said = json.loads(file)
    said["type"] = "Agent"
    said["image"] = None
    said["x402Support"] = {"enabled": said["x402Support"]}
    said["supportedTrusts"] = said.pop("supportedTrust")
    said["services"] = [
        {"type": entry.pop("name").lower(), "url": entry.pop("endpoint"), **entry}
        for entry in said["services"]
    ]
    for entry in said["registrations"]:
        entry["agentId"] = str(entry["agentId"])
    del said["active"]
    return json.dumps(said, ensure_ascii=False, indent=4).encode()


_DIALECTS: dict[str, Callable[[bytes], bytes]] = {
    "careful": lambda file: file,
    "old": old_names,
    "sloppy": _sloppy,
}


def _price(persona: Persona, edition: int) -> str:
    if not persona.supports_x402 and "x402" not in persona.services:
        return ("Free.", "Free, ten calls a day.", "Ask first.")[edition % 3]
    dollars = persona.price_units * (1 + edition % 3) / 1_000_000
    return f"{dollars:.3f} USDC a call, by x402 on Base."


def _mcp(persona: Persona, edition: int) -> dict[str, Any]:
    endpoint = f"https://{persona.host}/mcp"
    tools = tools_of(persona, edition)
    return {"name": "MCP", "endpoint": endpoint, "version": MCP_VERSION, "mcpTools": tools}


def _a2a(persona: Persona, edition: int) -> dict[str, Any]:
    endpoint = f"https://{persona.host}/.well-known/agent-card.json"
    skills = tools_of(persona, edition)
    return {"name": "A2A", "endpoint": endpoint, "version": A2A_VERSION, "a2aSkills": skills}


def _oasf(persona: Persona, _: int) -> dict[str, Any]:
    return {
        "name": "OASF",
        "endpoint": "https://github.com/agntcy/oasf/",
        "version": "0.8.0",
        "skills": list(persona.trade.skills),
        "domains": list(persona.trade.domains),
    }


def _plain(name: str, endpoint: str, **more: str) -> Callable[[Persona, int], dict[str, Any]]:
    return lambda persona, _: {
        "name": name,
        "endpoint": endpoint.format(host=persona.host, label=persona.host.partition(".")[0]),
        **more,
    }


_SERVICES: dict[str, Callable[[Persona, int], dict[str, Any]]] = {
    "MCP": _mcp,
    "A2A": _a2a,
    "OASF": _oasf,
    "web": _plain("web", "https://{host}/"),
    "x402": _plain("x402", "https://{host}/pay"),
    "ENS": _plain("ENS", "{label}.eth", version="v1"),
    "DID": _plain("DID", "did:web:{host}", version="v1"),
    "email": _plain("email", "hello@{host}"),
    "agentWallet": _plain("agentWallet", "eip155:8453:0x000000000000000000000000000000000000dEaD"),
    "twitter": _plain("twitter", "https://social.example/@{label}"),
}
