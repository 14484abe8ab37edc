"""Agent cards of the Agent2Agent protocol. Pure.

Source: A2A 0.3.0 section 5 (`url`, `protocolVersion`, `skills`) and 1.0.0 section 4.4
(`supportedInterfaces` in their place). The well-known path was `agent.json` up to 0.2.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

from renown.spec.protocols.capabilities import MOST_NAMES, Capabilities, Skill, text
from renown.spec.protocols.declared import normal_url
from renown.spec.protocols.rpc import read_json

_WELL_KNOWN = ("agent-card.json", "agent.json")
_MOST_INTERFACES = 16


def card_urls(url: str) -> tuple[str, ...]:
    """Where the card of an agent declared at `url` may be, most likely first, at most four."""
    parts = urlsplit(url)
    found = [url]
    if not parts.path.endswith(".json"):
        base = urlunsplit((*parts[:2], parts.path.rstrip("/") + "/", "", ""))
        found.append(urljoin(base, f".well-known/{_WELL_KNOWN[0]}"))
    found += [urljoin(url, f"/.well-known/{name}") for name in _WELL_KNOWN]
    return tuple(dict.fromkeys(found))


def read_card(body: bytes | None) -> Capabilities | None:
    """An agent card, cleaned; None where `body` is none. Never raises.

    A card has a name, and skills or a way to call the agent; what else the standard demands is
    missing in too many real ones.
    """
    card = read_json(body)
    if not isinstance(card, dict):
        return None
    name, listed = text(card.get("name")), card.get("skills")
    interfaces, versions = _interfaces(card)
    if name is None or not (interfaces or isinstance(listed, list)):
        return None
    skills, cut = _skills(listed if isinstance(listed, list) else [])
    spoken = text(card.get("protocolVersion"), longest=40)
    return Capabilities(
        server=name,
        version=text(card.get("version"), longest=40),
        protocol_version=spoken or (versions[0] if versions else None),
        skills=skills,
        cut=cut,
        interfaces=interfaces,
    )


def _skills(listed: list[Any]) -> tuple[tuple[Skill, ...], bool]:
    found: dict[Skill, None] = {}
    for one in listed:
        if not isinstance(one, dict):
            continue
        skill_id = text(one.get("id")) or ""
        name = text(one.get("name")) or skill_id
        skill = Skill(name, "" if skill_id == name else skill_id)
        if not name or skill in found:
            continue
        if len(found) == MOST_NAMES:
            return tuple(found), True
        found[skill] = None
    return tuple(found), False


def _interfaces(card: dict[str, Any]) -> tuple[tuple[str, ...], list[str]]:
    """The distinct URLs a card says the agent is called at, and the versions spoken there."""
    urls, versions = [card.get("url")], []
    for key in ("supportedInterfaces", "additionalInterfaces"):
        listed = card.get(key)
        for one in listed[:_MOST_INTERFACES] if isinstance(listed, list) else []:
            if isinstance(one, dict):
                urls.append(one.get("url"))
                versions.append(text(one.get("protocolVersion"), longest=40))
    normal = (normal_url(url) for url in urls if isinstance(url, str))
    found = tuple(dict.fromkeys(url for url, _ in filter(None, normal)))[:_MOST_INTERFACES]
    return found, [version for version in versions if version]
