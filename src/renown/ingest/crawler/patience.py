"""How long a host is left alone after it did not serve us. Pure.

A host is an origin's name, or `ipfs:` and `ar:` for what gateways fetch; behind those stand many
hosts, so that one file that nobody has says little about the next.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Literal, TypeAlias

import msgspec

from renown.offchain.fetched import Fetched, Outcome

FIRST_SECONDS = 60.0
LONGEST_SECONDS = 86_400.0
LONGEST_OF_GATEWAYS_SECONDS = 600.0
DOWN_AFTER = 3
"""Failures in a row after which a host is down, and its other URIs are given up for now."""
HOST_DOWN = "host-down"
"""The reason of an attempt that was not made, because its host is down."""

_NOT_ASKED = frozenset({"refused", "unsupported", "undecodable"})
_NOBODY_THERE = frozenset({"dns-failed", "connect-failed", "tls-failed"})
_BUSY = frozenset({429, 503})
_GIVEN_UP: tuple[Outcome, ...] = ("dns-failed", "connect-failed", "tls-failed", "timeout")


class Rest(msgspec.Struct, frozen=True):
    """The host rests so long; `failures` in a row stand against it now."""

    seconds: float
    failures: int
    reason: str


Answered: TypeAlias = Literal["answered", "unknown"]


def is_gateway(host: str) -> bool:
    """Whether a host stands for gateways."""
    return host.endswith(":")


def after(fetched: Fetched, *, host: str, failures: int) -> Rest | Answered:
    """What an attempt says about its host.

    "answered": it works, so nothing is held against it; "unknown": it was not asked.

    Args:
        failures: in a row that stood against it before.
    """
    if fetched.reason == HOST_DOWN or fetched.outcome in _NOT_ASKED:
        return "unknown"
    busy = fetched.outcome == "http-error" and fetched.status in _BUSY
    if is_gateway(host):
        gone = fetched.outcome in _NOBODY_THERE
        if not gone and not (busy and fetched.status == 429):
            return "answered" if fetched.good else "unknown"
    elif not busy and fetched.outcome not in _NOBODY_THERE and fetched.outcome != "timeout":
        return "answered"
    longest = LONGEST_OF_GATEWAYS_SECONDS if is_gateway(host) else LONGEST_SECONDS
    seconds = FIRST_SECONDS * 2 ** min(failures, 30) * _jitter(host, failures)
    if busy and fetched.retry_after_seconds is not None:
        seconds = max(seconds, fetched.retry_after_seconds)
    return Rest(min(seconds, longest), failures + 1, fetched.outcome)


def given_up(reason: str | None) -> Fetched:
    """The outcome of an attempt that is not made, because its host is down for `reason`."""
    for outcome in _GIVEN_UP:
        if outcome == reason:
            return Fetched(outcome=outcome, reason=HOST_DOWN)
    return Fetched(outcome="refused", reason=HOST_DOWN)


def _jitter(host: str, failures: int) -> float:
    """Between 0.75 and 1.25, the same for the same host and number."""
    digest = sha256(f"{failures} {host}".encode()).digest()
    return 0.75 + int.from_bytes(digest[:4]) / 2**33
