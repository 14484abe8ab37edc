"""The fields of a registration file, in every spelling, as one registration. Pure.

Source: ERC-8004, "Agent URI and Agent Registration File"; spellings as met in the wild. Each
allowance that is made is noted, so that a file without notes is one that any reader reads.
"""

from __future__ import annotations

from typing import Any

import msgspec

from renown.spec.documents.claims import read_claims
from renown.spec.documents.classes import STANDARD_TYPE
from renown.spec.documents.endpoints import judge_image
from renown.spec.documents.model import Finding, Registration, Service
from renown.spec.documents.notes import Notes
from renown.spec.documents.placeholders import (
    is_form_word,
    is_placeholder,
    may_be_form,
)
from renown.spec.documents.services import MOST_SERVICES, read_services
from renown.spec.documents.values import are_texts, flag, items, moment, text

LONGEST_NAME = 200
LONGEST_DESCRIPTION = 16_384
LONGEST_IMAGE = 16_384
LONGEST_TYPE = 200

_STANDARD = frozenset(
    {
        *("type", "name", "description", "image", "services", "registrations", "supportedTrust"),
        *("x402Support", "active"),
    }
)
_X402 = ("x402support", "x402Enabled", "x402_support", "x402Supported", "x402")
_TRUSTS = ("supportedTrusts", "supported_trust", "trustModels", "trust")
_MOMENTS = ("updatedAt", "updated_at", "lastUpdated")
_TAGS = ("tags", "keywords")
_LOOSE: dict[str, tuple[str, str]] = {
    "oasf_skills": ("OASF", "skills"),
    "oasf_domains": ("OASF", "domains"),
    "oasfSkills": ("OASF", "skills"),
    "oasfDomains": ("OASF", "domains"),
    "mcpTools": ("MCP", "tools"),
    "mcpPrompts": ("MCP", "prompts"),
    "mcpResources": ("MCP", "resources"),
    "a2aSkills": ("A2A", "skills"),
}
"""Lists that belong into a service but stand beside the services: whose, and which."""
_MISSING = {
    field: Finding(f"missing-{field}", f"/{field}") for field in ("name", "description", "image")
}
_EMPTY = {
    "name": _MISSING["name"],
    "description": Finding("empty-description", "/description"),
    "image": Finding("empty-image", "/image"),
}
_MISSING_SERVICES = Finding("missing-services", "/services")
_NO_SERVICES = Finding("no-services", "/services")
_READ = frozenset({*_X402, *_TRUSTS, *_MOMENTS, *_TAGS, "endpoints"})
_LOOSE_KEYS = frozenset(_LOOSE)
_TRUST = frozenset({"reputation", "crypto-economic", "tee-attestation"})


def read_fields(value: dict[str, Any], notes: Notes) -> Registration:
    """The registration that an object is, whatever its class. `value` is as `parse` gives it."""
    kind = value.get("type")
    if kind != STANDARD_TYPE:
        _judge_type(kind, notes)
    name = _text(value, "name", LONGEST_NAME, notes)
    description = _text(value, "description", LONGEST_DESCRIPTION, notes)
    if may_be_form(name, description):
        _find_placeholders(name, description, notes)
    image = _text(value, "image", LONGEST_IMAGE, notes)
    if image is not None:
        judge_image(image, "/image", notes)
    services = _services(value, notes)
    x402, active = value.get("x402Support"), value.get("active")
    if type(x402) is not bool:
        x402 = _flag(value, "x402Support", notes)
    if type(active) is not bool:
        active = _flag(value, "active", notes)
    claims, models = value.get("registrations"), value.get("supportedTrust")
    trust = _trust(models, "supportedTrust", notes) if models else ()
    tags: tuple[str, ...] = ()
    updated_at = None
    other: dict[str, Any] = {}
    if not value.keys() <= _STANDARD:
        beside = value.keys() - _STANDARD
        if not beside.isdisjoint(_READ):
            if x402 is None and (key := _respelt(value, _X402, "x402Support", notes)):
                x402 = flag(value[key])
            if not trust and (key := _respelt(value, _TRUSTS, "supportedTrust", notes)):
                trust = _trust(value[key], key, notes)
            tags = _tags(value)
            updated_at = _moment(value, notes)
            beside = beside.difference(_READ)
        if not beside.isdisjoint(_LOOSE_KEYS):
            services = _with_loose(value, services, notes)
        other = {key: value[key] for key in sorted(beside)}
    return Registration(
        type=kind if kind == STANDARD_TYPE else text(kind, LONGEST_TYPE),
        name=name,
        description=description,
        image=image,
        services=services,
        x402=x402,
        active=active,
        claims=read_claims(claims, "/registrations", notes) if claims else (),
        trust=trust,
        tags=tags,
        updated_at=updated_at,
        other=other,
    )


def read_card(value: dict[str, Any], notes: Notes) -> Registration:
    """The registration that an A2A agent card amounts to: one A2A service, with its skills."""
    found = read_fields({**value, "type": None, "services": []}, Notes())
    if found.name is None:
        notes.add("missing-name", "/name")
    card = Service(
        position=0,
        kind="a2a",
        name="A2A",
        endpoint=text(value.get("url"), 2_048),
        version=text(value.get("protocolVersion"), 60),
        skills=items(value.get("skills")),
    )
    return msgspec.structs.replace(
        found,
        services=(card,),
        other={key: inner for key, inner in found.other.items() if key != "skills"},
        image=found.image or text(value.get("iconUrl"), LONGEST_IMAGE),
        type=text(value.get("type"), LONGEST_TYPE),
    )


def _judge_type(kind: Any, notes: Notes) -> None:
    if kind is None:
        notes.add("missing-type", "/type")
    elif isinstance(kind, str) and "8004" in kind:
        notes.add("type-variant", "/type", kind)
    else:
        notes.add("wrong-type", "/type", kind if isinstance(kind, str) else "no text")


def _text(value: dict[str, Any], field: str, longest: int, notes: Notes) -> str | None:
    given = value.get(field)
    if type(given) is str:
        if (found := given.strip()) and len(found) <= longest:
            return found
        if found:
            notes.add("long-text", f"/{field}", f"{len(found)} characters; {longest} are read")
            return found[:longest].rstrip()
        notes.append(_EMPTY[field])
        return None
    notes.append(_MISSING[field])
    if given is not None:
        notes.add("wrong-json-type", f"/{field}", "should be a text")
    return None


def _find_placeholders(name: str | None, description: str | None, notes: Notes) -> None:
    if name is not None and (is_form_word(name) or is_placeholder(name)):
        notes.add("placeholder", "/name", name)
    if description is not None and (is_form_word(description) or is_placeholder(description)):
        notes.add("placeholder", "/description", description[:100])


def _services(value: dict[str, Any], notes: Notes) -> tuple[Service, ...]:
    services = value.get("services")
    if services:
        found = read_services(services, "/services", notes)
        if found:
            return found
    elif older := value.get("endpoints"):
        notes.add("nonstandard-spelling", "/endpoints", "`services`")
        return read_services(older, "/endpoints", notes)
    notes.append(_NO_SERVICES if services is not None else _MISSING_SERVICES)
    return ()


def _flag(value: dict[str, Any], field: str, notes: Notes) -> bool | None:
    """A flag that is no plain true or false."""
    if field not in value:
        return None
    notes.add("wrong-json-type", f"/{field}", "should be true or false")
    return flag(value[field])


def _trust(given: Any, field: str, notes: Notes) -> tuple[str, ...]:
    if not are_texts(given):
        notes.add("wrong-json-type", f"/{field}", "should be a list of texts")
    elif _TRUST.issuperset(given):
        return tuple(dict.fromkeys(given))
    models = items(given)
    if not _TRUST.issuperset(models):
        odd = ", ".join(model for model in models if model not in _TRUST)
        notes.add("unknown-trust", f"/{field}", odd)
    return models


def _respelt(
    value: dict[str, Any], keys: tuple[str, ...], standard: str, notes: Notes
) -> str | None:
    """The first of `keys` that the object has: another tool's name of a field of the standard."""
    for key in keys:
        if value.get(key) is not None:
            notes.add("nonstandard-spelling", f"/{key}", f"`{standard}`")
            return key
    return None


def _tags(value: dict[str, Any]) -> tuple[str, ...]:
    for key in _TAGS:
        if key in value and (listed := items(value[key])):
            return listed
    return ()


def _moment(value: dict[str, Any], notes: Notes) -> int | None:
    for key in _MOMENTS:
        if (given := value.get(key)) is not None:
            if key != "updatedAt" or type(given) is not int:
                notes.add("nonstandard-spelling", f"/{key}", "`updatedAt`, in Unix seconds")
            return moment(given)
    return None


def _with_loose(
    value: dict[str, Any], services: tuple[Service, ...], notes: Notes
) -> tuple[Service, ...]:
    """Add the lists that stand beside the services to the first service they can belong to."""
    found = list(services)
    for key, (name, field) in _LOOSE.items():
        if not (listed := items(value.get(key))):
            continue
        notes.add("nonstandard-spelling", f"/{key}", f"`{field}` of the {name} service")
        at = next((n for n, service in enumerate(found) if service.kind == name.lower()), None)
        if at is None and len(found) < MOST_SERVICES:
            at = len(found)
            found.append(Service(position=at, kind=name.lower(), name=name))  # type: ignore[arg-type]
        if at is not None and not getattr(found[at], field):
            found[at] = msgspec.structs.replace(found[at], **{field: listed})
    return tuple(found)
