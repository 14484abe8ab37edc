"""What the network answered when URIs were read and endpoints asked, and the rows of that. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple

import msgspec

from renown.ingest.world.draws import place_random, share, word, zipf
from renown.ingest.world.size import BEGAN_AT, DAYS
from renown.spec.protocols import Declared
from renown.spec.protocols.capabilities import Capabilities, Skill, capabilities_json
from renown.spec.protocols.offers import Verdict
from renown.spec.uris import Uri, parse_uri, well_known
from renown.store.documents import DocumentRow
from renown.store.world_found import Found

ENDED_AT = BEGAN_AT + timedelta(days=DAYS)
_LONG_AWAY = ENDED_AT + timedelta(days=3_650)
_FETCH, _VERDICT, _HOST = 30, 31, 32


class Fetch(NamedTuple):
    """How reading a URI went; times are of the first and last attempt."""

    attempts: int
    outcome: str | None
    reason: str | None
    status: int | None
    verified: bool | None
    first_at: datetime | None
    last_at: datetime | None


_DEAD = (
    ("dns-failed", "no-address", None),
    ("http-error", None, 404),
    ("http-error", None, 502),
    ("connect-failed", "refused", None),
    ("timeout", None, None),
)
NOT_TRIED = Fetch(0, None, None, None, None, None, None)


def shared_fetch(seed: int, number: int) -> Fetch:
    """How reading a shared file went: well."""
    first = BEGAN_AT + timedelta(seconds=round(3_600 * share(seed, _FETCH, number)))
    return Fetch(3, "ok", None, 200, None, first, ENDED_AT - timedelta(days=2))


def agent_fetch(
    seed: int, ordinal: int, kind: str, document: DocumentRow | None, created_at: datetime
) -> Fetch:
    """How reading an agent's own URI went; `document` is None where nothing could be read."""
    lot = share(seed, _FETCH, ordinal)
    first = created_at + timedelta(seconds=60 + round(600 * lot))
    if kind == "unsupported":
        return NOT_TRIED
    if document is not None and kind in ("data", "json"):
        return Fetch(1, "ok", None, None, None, first, first)
    last = max(first, ENDED_AT - timedelta(seconds=round(86_400 * 20 * lot)))
    if document is not None:
        verified = True if kind == "ipfs" else None
        again = 1 if kind == "ipfs" or last == first else 2
        return Fetch(again, "ok", None, 200, verified, first, first if again == 1 else last)
    if lot < 0.12:
        return NOT_TRIED
    outcome, reason, status = _DEAD[int(len(_DEAD) * lot)]
    return Fetch(4 if last > first else 1, outcome, reason, status, None, first, last)


def well_known_fetch(seed: int, uri_id: int) -> Fetch:
    """How reading the well-known file of a host went: no host of a world has one."""
    at = ENDED_AT - timedelta(seconds=round(86_400 * 30 * share(seed, _HOST, uri_id)))
    if share(seed, _HOST + 1, uri_id) < 0.75:
        return Fetch(2, "http-error", None, 404, None, at, at)
    return Fetch(2, "dns-failed", "no-address", None, None, at, at)


def feedback_fetch(raw: bytes, at: datetime, *, tried: bool, served: bool) -> Fetch:
    """How reading the file of a feedback went."""
    if not tried:
        return NOT_TRIED
    when = at + timedelta(seconds=300)
    if served:
        return Fetch(1, "ok", None, None if raw[:5] == b"data:" else 200, None, when, when)
    return Fetch(2, "http-error", None, 404, None, when, when + timedelta(hours=1))


def failures(fetch: Fetch, document: DocumentRow | None) -> int:
    """In a row, up to the last attempt."""
    return 0 if document is not None else fetch.attempts


def outcome_of(kind: str, fetch: Fetch) -> str | None:
    """Of the last attempt, as table `uri` has it; nobody has to try what is unsupported."""
    return "unsupported" if kind == "unsupported" else fetch.outcome


_VERDICTS: tuple[tuple[float, Verdict], ...] = (
    (0.18, "unknown"),
    (0.55, "alive"),
    (0.86, "dead"),
    (0.89, "paywalled"),
    (0.93, "hollow"),
    (1.00, "refused"),
)


@lru_cache(maxsize=4_096)
def asked_of(seed: int, endpoint_id: int, protocol: str) -> tuple[Verdict, Capabilities | None]:
    """What became of an endpoint, and what it offers."""
    lot = share(seed, _VERDICT, endpoint_id)
    verdict = next(one for upto, one in _VERDICTS if lot < upto)
    if verdict != "alive" or protocol not in ("mcp", "a2a"):
        return verdict, None
    rng = place_random(seed, "endpoint", endpoint_id)
    offered = tuple(dict.fromkeys(word(zipf(rng, 5_000)) for _ in range(1 + int(6 * lot))))
    if protocol == "mcp":
        return verdict, Capabilities(
            server=word(1 + endpoint_id % 900),
            version="1.0.0",
            protocol_version="2025-06-18",
            transport="streamable-http",
            tools=offered,
        )
    skills = tuple(Skill(name=one, id=one) for one in offered)
    return verdict, Capabilities(version="1.0.0", protocol_version="0.3.0", skills=skills)


# Rows --------------------------------------------------------------------------------------------


def keep_uri(
    found: Found,
    uri_id: int,
    raw: bytes,
    fetch: Fetch,
    document: DocumentRow | None,
    seen_at: datetime,
    *,
    stage: int = 0,
    uri: Uri | None = None,
) -> None:
    """Rows of a URI, of the attempts to read it, and of the document that they gave.

    `uri` is one of the same kind, host and reason, where one was read already.
    """
    uri = uri or parse_uri(raw)
    read_well = document is not None and fetch.attempts > 0
    held_id = uri_id if read_well else None
    found.uris.append(
        (
            *(uri_id, sha256(raw).digest(), raw, uri.kind, uri.host, uri.fixed),
            2 if fetch.attempts else stage,
            None if uri.fixed or uri.kind == "unsupported" else _LONG_AWAY,
            *(fetch.attempts, failures(fetch, document), max(0, fetch.attempts - 1)),
            *(fetch.last_at, outcome_of(uri.kind, fetch), uri.reason or fetch.reason),
            *(fetch.status, held_id, fetch.last_at if read_well else None, fetch.verified),
            f'"{uri_id:x}"' if read_well and uri.kind == "https" else None,
            seen_at,
        )
    )
    if not fetch.attempts:
        return
    size_bytes = len(document.raw) if document is not None else None
    for at in dict.fromkeys((fetch.first_at, fetch.last_at)):
        found.resolutions.append(
            (
                *(uri_id, at, fetch.outcome, fetch.reason, fetch.status, size_bytes),
                *(0 if uri.host == "" else 40 + uri_id % 900, held_id, fetch.verified, None),
            )
        )
    if document is not None:
        found.documents.append(
            (uri_id, *msgspec.structs.astuple(document), len(document.raw), fetch.first_at)
        )


def keep_well_known(found: Found, seed: int, uri_id: int, host: str) -> None:
    """Rows of the file in which a host would say which agents are its own."""
    raw = well_known(host).encode()
    keep_uri(found, uri_id, raw, well_known_fetch(seed, uri_id), None, BEGAN_AT)


def keep_endpoint(found: Found, seed: int, endpoint_id: int, one: Declared) -> None:
    """Rows of an endpoint and of the times it was asked."""
    verdict, capabilities = asked_of(seed, endpoint_id, one.protocol)
    at = ENDED_AT - timedelta(seconds=round(86_400 * share(seed, _VERDICT + 9, endpoint_id)))
    asked = verdict != "unknown"
    good = verdict in ("alive", "paywalled")
    latency_ms = 30 + endpoint_id * 7919 % 900 if good else None
    found.endpoints.append(
        (
            *(endpoint_id, sha256(f"{one.protocol}\0{one.url}".encode()).digest()),
            *(one.protocol, one.url, one.host, verdict, 3 if asked else 0),
            *(verdict if asked else None, _LONG_AWAY, at if asked else None),
            *(BEGAN_AT + timedelta(days=30) if asked else None, latency_ms),
            *(12 if asked else 0, 12 if good else 0),
            None if capabilities is None else capabilities_json(capabilities),
            BEGAN_AT,
        )
    )
    if asked:
        outcome = "ok" if good or verdict == "hollow" else "timeout"
        found.checks.extend(
            (
                *(endpoint_id, at - timedelta(days=days), good, verdict, outcome, None),
                *(200 if outcome == "ok" else None, latency_ms),
            )
            for days in (1, 0)
        )
