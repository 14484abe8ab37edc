"""What one look at an endpoint showed."""

from __future__ import annotations

import msgspec

from renown.offchain.fetched import Fetched
from renown.spec.protocols.capabilities import Capabilities
from renown.spec.protocols.offers import Verdict

UNREACHED = ("dns-failed", "connect-failed", "tls-failed")
"""Outcomes that hold for a whole origin, whatever path was asked for."""


class Sighting(msgspec.Struct, frozen=True, kw_only=True):
    """One look.

    Attributes:
        seen: what it alone says; `unknown` where it proved nothing.
        outcome, status: of the fetch that decided it.
        reason: a stable code of ours; see docs/explanation/endpoint-checks.md.
        latency_ms: of the first answer; None where none came.
        capabilities: what a good endpoint said it offers.
        rest_seconds: how long the host wants to be left alone.
    """

    seen: Verdict
    outcome: str
    reason: str | None = None
    status: int | None = None
    latency_ms: int | None = None
    capabilities: Capabilities | None = None
    rest_seconds: float | None = None


_OUR_QUEUE = "busy-host"
"""The fetcher's reason when we had too many other questions to that host ourselves."""

OVERLOADED_SECONDS = 600.0
"""How long a host rests that says it is asked too much, but not for how long."""


def unanswered(fetched: Fetched) -> Sighting | None:
    """The sighting of a fetch that gave no answer to judge; None where there is one.

    Refused by our own rules, the endpoint cannot be called from the public network. A host that
    is asked too much (429), if only by us, says nothing about the endpoint.
    """
    if fetched.outcome == "refused":
        opted_out = fetched.reason == "opted-out"
        return sighting("unknown" if opted_out else "refused", fetched, fetched.reason)
    if fetched.reason == _OUR_QUEUE:
        return sighting("unknown", fetched, fetched.reason)
    if fetched.status == 429:
        return sighting("unknown", fetched, "asked-too-much", rest=OVERLOADED_SECONDS)
    if fetched.outcome in ("ok", "http-error"):
        return None
    return sighting("dead", fetched, fetched.reason)


def sighting(
    seen: Verdict,
    fetched: Fetched,
    reason: str | None = None,
    *,
    capabilities: Capabilities | None = None,
    rest: float | None = None,
) -> Sighting:
    """A sighting decided by `fetched`."""
    answered = fetched.outcome in ("ok", "http-error")
    return Sighting(
        seen=seen,
        outcome=fetched.outcome,
        reason=reason,
        status=fetched.status,
        latency_ms=fetched.duration_ms if answered else None,
        capabilities=capabilities,
        rest_seconds=fetched.retry_after_seconds or rest,
    )
