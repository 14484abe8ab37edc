"""`registrations`: which agents a file says it is of. Pure."""

from __future__ import annotations

import re
from typing import Any

from renown.spec.documents.model import Claim
from renown.spec.documents.notes import Notes
from renown.spec.documents.values import whole
from renown.types import MAX_BIGINT

MOST_CLAIMS = 256

_REGISTRY = re.compile(r"eip155:([1-9][0-9]{0,17}):(0x[0-9a-fA-F]{40})", re.ASCII)
_LOOSE = re.compile(
    r"\s*(?:(?:eip155|erc8004|caip10)[:/])?(?:eip155:)?([0-9]{1,18})[:/](0x[0-9a-f]{40})"
    r"(?:[:/#][0-9]{1,78})?\s*",
    re.ASCII | re.IGNORECASE,
)
_CHAIN = re.compile(r"\s*(?:eip155:)?([0-9]{1,18})\s*", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"\s*(0x[0-9a-fA-F]{40})\s*", re.ASCII)
_CONTRACTS = ("agentRegistry", "registryAddress", "contract", "contractAddress", "address",
              "registry", "identityRegistry")  # fmt: skip
_IDS = ("agentId", "agent_id", "tokenId", "token_id", "id")
_CHAINS = ("chainId", "chain_id", "chain", "network")


def read_claims(value: Any, path: str, notes: Notes) -> tuple[Claim, ...]:
    """The entries of `registrations`; what is not readable in one is None there, and noted."""
    if type(value) is not list:
        if value is None:
            return ()
        notes.add("wrong-json-type", path, "should be a list of objects")
        value = [value] if isinstance(value, dict) else []
    if len(value) > MOST_CLAIMS:
        notes.add("too-many-values", path, f"{len(value)} entries; {MOST_CLAIMS} are read")
    return tuple(
        _claim(entry, f"{path}/{position}", notes)
        for position, entry in enumerate(value[:MOST_CLAIMS])
    )


def _claim(entry: Any, path: str, notes: Notes) -> Claim:
    if type(entry) is not dict:
        notes.add("malformed-registration", path, "no object")
        return Claim()
    agent_id, registry = entry.get("agentId"), entry.get("agentRegistry")
    if type(agent_id) is int and 0 <= agent_id <= MAX_BIGINT and type(registry) is str:
        match = _REGISTRY.fullmatch(registry)
        if match is not None:
            return Claim(chain_id=int(match[1]), registry=match[2].lower(), agent_id=agent_id)
    return _loose_claim(entry, path, notes)


def _loose_claim(entry: dict[str, Any], path: str, notes: Notes) -> Claim:
    chain_id = registry = None
    text, key = _first(entry, _CONTRACTS)
    if text is not None and (match := _LOOSE.fullmatch(text)):
        chain_id, registry = int(match[1]), match[2].lower()
        if key != "agentRegistry" or _REGISTRY.fullmatch(text) is None:
            notes.add("nonstandard-spelling", f"{path}/{key}", f"`eip155:{chain_id}:{registry}`")
    else:
        if text is not None and (match := _ADDRESS.fullmatch(text)):
            registry = match[1].lower()
        chain_text, _ = _first(entry, _CHAINS)
        chain_text = chain_text or (text if text and _CHAIN.fullmatch(text) else None)
        if chain_text is not None and (match := _CHAIN.fullmatch(chain_text)):
            chain_id = int(match[1])
        if chain_id is not None and registry is not None:
            notes.add("nonstandard-spelling", path, "`agentRegistry`: `eip155:{chain}:{address}`")
    agent_id = _agent_id(entry, path, notes)
    missing = [
        name
        for name, value in (("chain", chain_id), ("registry", registry), ("agentId", agent_id))
        if value is None
    ]
    if missing:
        notes.add("malformed-registration", path, f"not readable: {', '.join(missing)}")
    return Claim(chain_id=chain_id, registry=registry, agent_id=agent_id)


def _agent_id(entry: dict[str, Any], path: str, notes: Notes) -> int | None:
    for key in _IDS:
        if entry.get(key) is None:
            continue
        agent_id = whole(entry[key])
        if agent_id is None or agent_id > MAX_BIGINT:
            return None
        if key != "agentId":
            notes.add("nonstandard-spelling", f"{path}/{key}", "`agentId`")
        elif type(entry[key]) is not int:
            notes.add("wrong-json-type", f"{path}/{key}", "should be a whole number")
        return agent_id
    return None


def _first(entry: dict[str, Any], keys: tuple[str, ...]) -> tuple[str | None, str]:
    for key in keys:
        value = entry.get(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if isinstance(value, str) and value.strip():
            return value, key
    return None, ""
