"""What kind of thing a JSON object is, told by its fields. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from renown.spec.documents.model import Class

STANDARD_TYPE = "https://eips.ethereum.org/EIPS/eip-8004#registration-v1"

_OURS = frozenset(
    {
        *("services", "endpoints", "supportedTrust", "supportedTrusts", "trustModels"),
        *("x402Support", "x402support", "x402Enabled", "registrations", "agentRegistry"),
    }
)
_CARD_MODES = frozenset({"defaultInputModes", "defaultOutputModes", "supportedInterfaces"})
_FEEDBACK = frozenset({"clientAddress", "feedbackAuth", "client_address"})
_TOKEN = frozenset({"image", "image_url", "attributes", "external_url", "animation_url", "traits"})


def class_of(value: Mapping[str, Any]) -> Class:
    """The class of an object. A `type` that names ERC-8004 decides alone."""
    kind = value.get("type")
    if kind == STANDARD_TYPE or (isinstance(kind, str) and "8004" in kind):
        return "registration"
    keys = value.keys()
    if not keys.isdisjoint(_FEEDBACK) and not keys.isdisjoint(("agentId", "value", "score")):
        return "feedback"
    if "registrations" in keys and len(keys) <= 1:
        return "domain-proof"
    if _is_card(value):
        return "agent-card"
    if not keys.isdisjoint(_OURS):
        return "untyped-registration"
    if "name" in keys and not keys.isdisjoint(_TOKEN):
        return "nft-metadata"
    return "object"


def _is_card(value: Mapping[str, Any]) -> bool:
    """An A2A agent card: it has skills as objects, and modes or an address (A2A, "AgentCard")."""
    keys = value.keys()
    if "services" in keys or "registrations" in keys:
        return False
    if not keys.isdisjoint(_CARD_MODES):
        return "name" in keys
    skills = value.get("skills")
    return (
        isinstance(skills, list)
        and any(isinstance(skill, dict) for skill in skills)
        and isinstance(value.get("url"), str)
    )
