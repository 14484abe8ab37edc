"""`services`, in all the shapes that people give it. Pure.

Source: ERC-8004, "Agent URI and Agent Registration File"; names and shapes as met in the wild.
"""

from __future__ import annotations

import re
from typing import Any

from renown.spec.documents.endpoints import is_plain, judge_endpoint
from renown.spec.documents.model import Service, ServiceKind
from renown.spec.documents.notes import Notes
from renown.spec.documents.values import items, text

MOST_SERVICES = 256
LONGEST_NAME = 120
LONGEST_ENDPOINT = 2_048
LONGEST_VERSION = 60
LONGEST_DESCRIPTION = 2_000

_SPELLINGS: dict[ServiceKind, str] = {
    "mcp": "mcp mcp-server mcpserver modelcontextprotocol model-context-protocol",
    "a2a": "a2a agent2agent agent-card agentcard a2a-agent-card",
    "web": "web website homepage site webapp web-app landing url dapp",
    "oasf": "oasf",
    "ens": "ens",
    "did": "did",
    "email": "email e-mail mail",
    "wallet": "agentwallet agent-wallet wallet agent_wallet",
    "x402": "x402",
    "social": "twitter x telegram discord github moltbook farcaster warpcast youtube linkedin "
    "instagram medium lens bluesky reddit facebook tiktok mastodon nostr",
}
_KINDS = {word: kind for kind, words in _SPELLINGS.items() for word in words.split()}
_KINDS |= {word.upper(): _KINDS[word] for word in ("mcp", "a2a", "oasf", "ens", "did")}
_KINDS |= {"agentWallet": "wallet", "custom": "other"}
_INSIDE = ("mcp", "a2a", "x402", "oasf")
"""Kinds that are recognised inside a longer name."""
_WORDS = re.compile(r"[a-z0-9]+")
_VERSIONED = ("mcp", "a2a", "oasf")
_BY_SCHEME: dict[str, ServiceKind] = {"eip155:": "wallet", "did:": "did", "mailto:": "email"}
_ENDPOINTS = ("endpoint", "url", "serviceEndpoint", "uri", "baseUrl", "base_url", "address", "href")
_NAMES = ("name", "type", "protocol", "id", "title")
_LISTS = {
    **dict.fromkeys(("skills", "a2aSkills", "a2a_skills"), "skills"),
    **dict.fromkeys(("domains",), "domains"),
    **dict.fromkeys(("mcpTools", "tools", "mcp_tools"), "tools"),
    **dict.fromkeys(("mcpPrompts", "prompts", "mcp_prompts"), "prompts"),
    **dict.fromkeys(("mcpResources", "resources", "mcp_resources"), "resources"),
}
_LIST_KEYS = frozenset(_LISTS) | {"capabilities"}


def read_services(value: Any, path: str, notes: Notes) -> tuple[Service, ...]:
    """The entries of a service list at `path`; what cannot be read is left out and noted."""
    if type(value) is not list:
        value = _listed(value, path, notes)
    if len(value) > MOST_SERVICES:
        notes.add("too-many-values", path, f"{len(value)} services; {MOST_SERVICES} are read")
        value = value[:MOST_SERVICES]
    found = []
    for position, entry in enumerate(value):
        service = _service(entry, position, f"{path}/{position}", notes)
        if service is not None:
            found.append(service)
    return tuple(found)


def kind_of(name: str) -> ServiceKind:
    """What a service is, by its name: in any case, also inside a longer name (`My MCP server`)."""
    word = name.lower()
    kind = _KINDS.get(word)
    if kind is not None:
        return kind
    if not any(inside in word for inside in _INSIDE):
        return "other"
    return next((_KINDS[part] for part in _WORDS.findall(word) if part in _INSIDE), "other")


def _listed(value: Any, path: str, notes: Notes) -> list[Any]:
    if value is None:
        return []
    notes.add("wrong-json-type", path, "should be a list of objects")
    if isinstance(value, str):
        return [value]
    if not isinstance(value, dict):
        return []
    if any(isinstance(value.get(key), str) for key in _ENDPOINTS):
        return [value]
    return [
        {"name": name, **inner} if isinstance(inner, dict) else {"name": name, "endpoint": inner}
        for name, inner in value.items()
        if isinstance(inner, dict | str)
    ]


def _service(entry: Any, position: int, path: str, notes: Notes) -> Service | None:
    if type(entry) is not dict:
        entry = _as_object(entry, path, notes)
        if entry is None:
            return None
    name, endpoint, version = entry.get("name"), entry.get("endpoint"), entry.get("version")
    if type(name) is not str or not (name := name.strip()) or len(name) > LONGEST_NAME:
        name = text(_elsewhere(entry, _NAMES, path, notes), LONGEST_NAME)
    if (
        type(endpoint) is not str
        or not (endpoint := endpoint.strip())
        or len(endpoint) > LONGEST_ENDPOINT
    ):
        endpoint = text(_elsewhere(entry, _ENDPOINTS, path, notes), LONGEST_ENDPOINT)
    kind = _KINDS.get(name) or kind_of(name) if name else _kind_by(endpoint)
    lists = None if _LIST_KEYS.isdisjoint(entry) else _lists(entry, kind)
    if name is None:
        if endpoint is None and lists is None:
            notes.add("malformed-service", path)
            return None
        notes.add("service-without-name", path)
    if endpoint is None:
        notes.add("service-without-endpoint", path)
    elif not is_plain(endpoint):
        judge_endpoint(endpoint, kind, path, notes)
    if type(version) is str:
        version = text(version, LONGEST_VERSION)
    elif version is not None:
        version = _version(version, path, notes)
    elif kind in _VERSIONED:
        notes.add("service-without-version", path)
    described = entry.get("description")
    return Service(
        position=position,
        kind=kind,
        name=name or "",
        endpoint=endpoint,
        version=version,
        description=text(described, LONGEST_DESCRIPTION) if described else None,
        **(lists or {}),
    )


def _as_object(entry: Any, path: str, notes: Notes) -> dict[str, Any] | None:
    notes.add("wrong-json-type", path, "should be an object with `name` and `endpoint`")
    if isinstance(entry, str) and entry.strip():
        return {"endpoint": entry} if "://" in entry else {"name": entry}
    if isinstance(entry, list) and len(entry) == 2 and all(isinstance(e, str) for e in entry):
        return {"name": entry[0], "endpoint": entry[1]}
    notes.add("malformed-service", path)
    return None


def _elsewhere(entry: dict[str, Any], keys: tuple[str, ...], path: str, notes: Notes) -> str | None:
    """The first of `keys` that holds a text; the first key is the standard's."""
    for key in keys:
        value = entry.get(key)
        if isinstance(value, dict):  # a DID document's serviceEndpoint
            value = value.get("uri") or value.get("url")
        if isinstance(value, str) and value.strip():
            if key != keys[0]:
                notes.add("nonstandard-spelling", f"{path}/{key}", f"`{keys[0]}`")
            return value
    if entry.get(keys[0]) not in (None, ""):
        notes.add("wrong-json-type", f"{path}/{keys[0]}", "should be a text")
    return None


def _version(value: Any, path: str, notes: Notes) -> str | None:
    notes.add("wrong-json-type", f"{path}/version", "should be a text")
    return str(value)[:LONGEST_VERSION] if isinstance(value, int | float) else None


def _lists(entry: dict[str, Any], kind: ServiceKind) -> dict[str, tuple[str, ...]]:
    found = {}
    for key, field in _LISTS.items():
        if key in entry and field not in found and (listed := items(entry[key])):
            found[field] = listed
    capabilities = entry.get("capabilities")
    if isinstance(capabilities, dict):
        for field in ("skills", "tools", "prompts", "resources"):
            if field not in found and (listed := items(capabilities.get(field))):
                found[field] = listed
    elif isinstance(capabilities, list):
        field = "tools" if kind == "mcp" else "skills"
        if field not in found:
            found[field] = items(capabilities)
    return found


def _kind_by(endpoint: str | None) -> ServiceKind:
    if endpoint is None or endpoint.startswith(("http:", "https:")):
        return "other"
    for beginning, kind in _BY_SCHEME.items():
        if endpoint.startswith(beginning):
            return kind
    return "ens" if endpoint.endswith(".eth") else "other"
