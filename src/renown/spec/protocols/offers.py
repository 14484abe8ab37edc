"""What an agent really offers: its endpoints as found, against what its file says. Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec

from renown.spec.documents.model import Finding, Registration, Service
from renown.spec.protocols.capabilities import Capabilities, names
from renown.spec.protocols.declared import Protocol

Verdict = Literal["unknown", "alive", "paywalled", "dead", "hollow", "refused"]


class Checked(msgspec.Struct, frozen=True):
    """One endpoint of one agent, as it was found. `position` is that of the service in its file."""

    position: int
    protocol: Protocol
    verdict: Verdict
    capabilities: Capabilities | None = None


class Offers(msgspec.Struct, frozen=True, kw_only=True):
    """What the endpoints of one agent gave when they were asked.

    Attributes:
        tools: names that its MCP servers list, distinct, in their order; cleaned, at most 200.
        skills: names that its A2A cards list, likewise.
        x402: whether one asks to be paid by x402; None where none was probed.
        alive: whether one answers as its protocol wants (`alive` or `paywalled`); False when all
            that have a verdict do not; None when none has one.
        findings: about its endpoints, sorted.
    """

    tools: tuple[str, ...] = ()
    skills: tuple[str, ...] = ()
    x402: bool | None = None
    alive: bool | None = None
    findings: tuple[Finding, ...] = ()


def offers(registration: Registration | None, checked: Sequence[Checked]) -> Offers:
    """Compare what was found with what the file declares. None: there is no readable file.

    Whoever refuses to talk, and a page that is the same at every address, prove nothing either
    way: they leave `alive` open.
    """
    services = {one.position: one for one in registration.services} if registration else {}
    good = [one for one in checked if one.verdict in ("alive", "paywalled")]
    bad = [one for one in checked if one.verdict == "dead" or _lies(one)]
    known = [one.capabilities for one in good if one.capabilities is not None]
    tools, _ = names(tool for found in known for tool in found.tools)
    skills, _ = names(skill.name for found in known for skill in found.skills)
    probed = bool(good or bad)
    findings = {
        finding
        for one in checked
        for finding in (
            *_reachability(one, services.get(one.position)),
            *_differences(one, services.get(one.position), registration),
        )
    }
    return Offers(
        tools=tools,
        skills=skills,
        x402=any(one.verdict == "paywalled" for one in good) if probed else None,
        alive=bool(good) if probed else None,
        findings=tuple(sorted(findings)),
    )


_CODES = {
    "dead": "endpoint-dead",
    "hollow": "endpoint-hollow",
    "refused": "endpoint-refused",
    "paywalled": "endpoint-paywalled",
}
_MOST_SHOWN = 5


def _lies(one: Checked) -> bool:
    return one.verdict == "hollow" and one.protocol != "web"


def _reachability(one: Checked, service: Service | None) -> Iterator[Finding]:
    code = _CODES.get(one.verdict)
    if code is not None:
        endpoint = (service.endpoint if service else None) or one.protocol
        yield Finding(code, _pointer(one), endpoint[:300])


def _differences(
    one: Checked, service: Service | None, registration: Registration | None
) -> Iterator[Finding]:
    """What the file declares of a service, against what the service itself says."""
    found = one.capabilities
    if one.verdict not in ("alive", "paywalled") or found is None or service is None:
        return
    if one.protocol == "mcp" and not found.cut and not found.login:
        yield from _differ("tools-differ", one, service.tools, {*found.tools})
    if one.protocol == "a2a":
        if not found.cut:
            served = {s.name for s in found.skills} | {s.id for s in found.skills if s.id}
            yield from _differ("skills-differ", one, service.skills, served)
        name = registration.name if registration else None
        if name and found.server and _folded(name) != _folded(found.server):
            yield Finding("card-mismatch", _pointer(one), f"the card is of {found.server!r}"[:300])


def _differ(
    code: str, one: Checked, declared: tuple[str, ...], served: set[str]
) -> Iterator[Finding]:
    """A file that lists nothing claims nothing; one that lists what is not there does."""
    there = {_folded(name) for name in served}
    missing = [name for name in declared if _folded(name) not in there]
    if missing:
        shown = ", ".join(repr(name[:40]) for name in missing[:_MOST_SHOWN])
        more = f" and {len(missing) - _MOST_SHOWN} more" if len(missing) > _MOST_SHOWN else ""
        yield Finding(code, _pointer(one), f"not served: {shown}{more}"[:300])


def _folded(name: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


def _pointer(one: Checked) -> str:
    return f"/services/{one.position}"
