"""What is well and what is not, part by part: judged here, looked at in `api.health`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from renown.chain.member import NodeStatus
from renown.errors import Overloaded, SchemaBehind
from renown.store.pulse import Beat
from renown.store.standing import Standing
from renown.store.vitals import AuditVitals, CrawlVitals

State = Literal["ok", "degraded", "down", "off"]

SLOW_SECONDS = 1.0
"""Of the database's answer to a light question."""
LAG_SECONDS = 120.0
VIEW_SECONDS = 3_600.0
CRAWL_SECONDS = 3_600.0
PENDING_SECONDS = 60.0
CHECKPOINT_ROUNDS = 10
"""A checkpoint may be late by this many of its own periods."""
DISK_SHARE, DISK_LAST_SHARE = 0.2, 0.03
"""Of the disk that is free: below the first somebody should look, below the second it is over."""


class Check(Struct, kw_only=True):
    """How one part is."""

    status: Annotated[
        State,
        Meta(
            description="`ok`; `degraded`: it works, but less well or not for long; `down`: it does"
            " not work; `off`: this installation has none."
        ),
    ]
    latency_ms: Annotated[float | None, Meta(description="Time of the look; null: none was had.")]
    age_seconds: Annotated[
        float | None, Meta(description="How old what was found is; null where it has no age.")
    ] = None
    detail: Annotated[str | None, Meta(description="For people.")] = None


class Health(Struct, kw_only=True):
    """How everything that the API depends on is."""

    status: Annotated[
        Literal["ok", "degraded", "down"],
        Meta(description="`down` without the database; `degraded` if any part is not `ok`."),
    ]
    checked_at: Annotated[datetime, Meta(tz=True)]
    version: str
    checks: Annotated[
        dict[str, Check],
        Meta(
            description="`database`, `replica`, `redis`, `views`, `crawler`, `audit`, `disk`, and"
            " for each chain `indexer:slug` and `nodes:slug`."
        ),
    ]


def overall(checks: Mapping[str, Check]) -> Literal["ok", "degraded", "down"]:
    """Only the database can take everything with it."""
    if checks["database"].status == "down":
        return "down"
    return "ok" if all(one.status in ("ok", "off") for one in checks.values()) else "degraded"


def off(detail: str | None = None) -> Check:
    """A part that this installation does not have."""
    return Check(status="off", latency_ms=None, detail=detail)


def failed(detail: str, latency_ms: float | None = None) -> Check:
    """A part that could not be looked at."""
    return Check(status="down", latency_ms=latency_ms, detail=detail)


def database(beat: Beat) -> Check:
    """The database, by what it last said."""
    latency_ms = _ms(beat.latency_seconds)
    if isinstance(beat.failure, Overloaded):
        return Check(status="degraded", latency_ms=latency_ms, detail="no connection to spare")
    if isinstance(beat.failure, SchemaBehind):
        return failed("its schema is not the one that this version needs", latency_ms)
    if beat.failure is not None:
        return failed("it does not answer", latency_ms)
    slow = beat.latency_seconds > SLOW_SECONDS
    return Check(
        status="degraded" if slow else "ok",
        latency_ms=latency_ms,
        detail="it is slow" if slow else None,
    )


def indexer(chain: Standing, *, most_lag_seconds: float) -> Check:
    """How far the index of a chain is behind it."""
    lag, status, detail = chain.lag_seconds, "ok", None
    if chain.phase == "stopped":
        status, detail = "down", "it stopped: /v1/status says why"
    elif lag is None:
        status, detail = "degraded", "nothing is indexed yet"
    elif chain.phase == "backfill":
        status = "degraded"
        detail = f"catching up: {max(0, chain.head_block - chain.block_number)} blocks to go"
    elif lag > LAG_SECONDS:
        status = "down" if lag > most_lag_seconds else "degraded"
        detail = "it is behind the chain"
    return Check(
        status=status,  # type: ignore[arg-type]
        latency_ms=None,
        age_seconds=_rounded(lag),
        detail=detail,
    )


def nodes(chain: Standing, own: Sequence[NodeStatus], *, most_age_seconds: float) -> Check:
    """Whether a chain's nodes answer: the indexer by its last look at the head, and `own` by what
    this process asked of them. They are counted, never named."""
    age = chain.head_age_seconds
    said: list[str] = []
    status: State = "ok"
    if age is None:
        status = "degraded"
        said.append("its head was never seen")
    elif age > LAG_SECONDS:
        status = "down" if age > most_age_seconds else "degraded"
        said.append("its head was not seen lately")
    if own:
        good = sum(one.state in ("ok", "unchecked") for one in own)
        said.append(f"{good} of {len(own)} used for writing are well")
        if not good:
            status = "down"
        elif good < len(own) and status == "ok":
            status = "degraded"
    return Check(
        status=status, latency_ms=None, age_seconds=_rounded(age), detail="; ".join(said) or None
    )


def views(ages: Mapping[str, float], latency_ms: float) -> Check:
    """The materialized views, by the one that was refreshed least lately."""
    if not ages:
        return Check(status="ok", latency_ms=latency_ms, detail="none was refreshed yet")
    name = max(ages, key=ages.__getitem__)
    is_old = ages[name] > VIEW_SECONDS
    return Check(
        status="degraded" if is_old else "ok",
        latency_ms=latency_ms,
        age_seconds=_rounded(ages[name]),
        detail=f"`{name}` was not refreshed lately" if is_old else None,
    )


def crawler(queue: CrawlVitals, latency_ms: float) -> Check:
    """Whether somebody reads the documents whose time has come."""
    is_late = queue.oldest_due_seconds > CRAWL_SECONDS
    return Check(
        status="degraded" if is_late else "ok",
        latency_ms=latency_ms,
        age_seconds=_rounded(queue.oldest_due_seconds),
        detail=f"{queue.due} URIs are due",
    )


def audit(
    log: AuditVitals, latency_ms: float, *, checkpoint_seconds: float, is_broken: bool
) -> Check:
    """Whether entries become leaves, and leaves come under checkpoints."""
    said: list[str] = []
    if log.pending_oldest_seconds > PENDING_SECONDS:
        said.append(f"{log.pending} entries wait: no notary takes them")
    age = log.checkpoint_age_seconds
    uncovered = log.leaves - log.checkpoint_size
    if uncovered > 0 and (age is None or age > CHECKPOINT_ROUNDS * checkpoint_seconds):
        said.append(f"{uncovered} entries are under no checkpoint")
    if is_broken:
        return failed("it contradicts what was signed before: see the runbook", latency_ms)
    return Check(
        status="degraded" if said else "ok",
        latency_ms=latency_ms,
        age_seconds=_rounded(age),
        detail="; ".join(said) or f"{log.leaves} entries, {log.pending} pending",
    )


def disk(places: Mapping[str, tuple[int, int]]) -> Check:
    """The disks that we write to, by the fullest: bytes free and in all, by what is kept there."""
    shares = {name: free / size for name, (free, size) in places.items() if size}
    if not shares:
        return off("none of our folders is there")
    name = min(shares, key=shares.__getitem__)
    share = shares[name]
    status: State = "ok" if share >= DISK_SHARE else "degraded"
    if share < DISK_LAST_SHARE:
        status = "down"
    return Check(
        status=status, latency_ms=None, detail=f"{share:.0%} is free where `{name}` is kept"
    )


def replica(lag_seconds: float | None, *, most_lag_seconds: float) -> Check:
    """The read replica, by how far it is behind; None: it does not answer."""
    if lag_seconds is None:
        return failed("it does not answer: the primary does its work")
    is_late = lag_seconds > most_lag_seconds
    return Check(
        status="degraded" if is_late else "ok",
        latency_ms=None,
        age_seconds=_rounded(lag_seconds),
        detail="it is too far behind: the primary does its work" if is_late else None,
    )


def stale(
    chains: Iterable[Standing], *, most_age_seconds: float, only: frozenset[str] | None
) -> tuple[list[Standing], bool]:
    """Chains whose head was not seen lately though somebody should look, and whether there is no
    other.

    Args:
        only: slugs of the chains that count; None: all that are indexed.
    """
    expected = [
        one
        for one in chains
        if one.phase in ("follow", "backfill") and (only is None or one.slug in only)
    ]
    late = [one for one in expected if (one.head_age_seconds or 0.0) > most_age_seconds]
    return late, bool(late) and len(late) == len(expected)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 1)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
