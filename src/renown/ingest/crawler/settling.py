"""What attempts came to, kept: documents, the URIs' state and history, and all that hangs on them.

Many attempts are settled in one transaction, so that the cost of a commit is shared. One that the
database cannot keep, whatever it is, must not hold up the others.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import structlog

from renown.errors import StoreError
from renown.ingest.crawler import judging, measured, patience
from renown.ingest.crawler.attempt import Attempt
from renown.ingest.crawler.reading import read
from renown.ingest.crawler.schedule import USUAL, Pauses, Turn, after_failure, after_success
from renown.ingest.profiles.identity import PATIENCE_FAILURES
from renown.offchain.fetched import Fetched
from renown.store import attachments, documents, hosts, resolutions, trail, uris
from renown.store.documents import DocumentRow
from renown.store.hosts import Resting
from renown.store.pool import Conn, Tx, naming_failures, transaction
from renown.store.resolutions import Resolution
from renown.store.uris import Due, Outcome

log = structlog.get_logger()

LONGEST_VALIDATOR = 512
_HOPELESS = frozenset({"unsupported", "undecodable"})
_INLINE = frozenset({"data", "json"})


class Settled(msgspec.Struct, frozen=True):
    """What became of a batch: attempts kept by outcome, and documents that are new."""

    outcomes: tuple[str, ...] = ()
    documents: int = 0


async def settle(
    conn: Conn, attempts: Sequence[Attempt], now: datetime, *, pauses: Pauses = USUAL
) -> list[Settled]:
    """Keep attempts, all in one transaction; one by one where one of them cannot be kept.

    Raises:
        StoreError: the database failed; nothing of the transaction at hand was kept.
    """
    if not attempts:
        return []
    try:
        with naming_failures():
            return [await _settle(conn, attempts, now, pauses)]
    except StoreError:
        raise
    except Exception as exc:
        log.error("batch_divided", attempts=len(attempts), exc_info=exc)
    return [await _settle_alone(conn, one, now, pauses) for one in attempts]


async def _settle_alone(conn: Conn, attempt: Attempt, now: datetime, pauses: Pauses) -> Settled:
    """Keep an attempt; if what it gave cannot be kept, then at least that there was one."""
    try:
        with naming_failures():
            return await _settle(conn, [attempt], now, pauses)
    except StoreError:
        raise
    except Exception as exc:  # noqa: BLE001 - it was logged when the batch was divided
        log.debug("attempt_unkept", uri_id=attempt.due.uri_id, error=type(exc).__name__)
    bare = Fetched(outcome="broken", reason="unkept", duration_ms=attempt.fetched.duration_ms)
    with naming_failures():
        return await _settle(conn, [Attempt(attempt.due, attempt.at, bare)], now, pauses)


async def _settle(
    conn: Conn, attempts: Sequence[Attempt], now: datetime, pauses: Pauses
) -> Settled:
    digests = {one.digest: one for one in attempts if one.digest is not None}
    ids = await documents.ids(conn, list(digests))
    new = [digest for digest in digests if digest not in ids]
    rows = [_document(digests[digest]) for digest in new]
    async with transaction(conn) as tx:
        await documents.add(tx, rows)
        ids |= await documents.ids(tx, new)
        found = [_Result.of(one, ids.get(one.digest or b""), now, pauses) for one in attempts]
        kept = await uris.settle(tx, [one.outcome for one in found])
        found = [one for one in found if one.outcome.uri_id in kept]
        await resolutions.add(tx, [one.resolution for one in found])
        await uris.retire(tx, [one.uri_id for one in found if not one.fixed])
        changed = sorted(one.uri_id for one in found if one.changed)
        await judging.judge(tx, await attachments.named(tx, changed), now)
        await trail.touch_of_uris(tx, changed)
        await _settle_hosts(tx, attempts, now)
    outcomes = [one.outcome.outcome for one in found]
    measured.attempted(outcomes, len(rows))
    return Settled(tuple(outcomes), len(rows))


def _document(attempt: Attempt) -> DocumentRow:
    return attempt.document or read(attempt.fetched.body or b"")


# One attempt -------------------------------------------------------------------------------------


class _Result(msgspec.Struct, frozen=True):
    """What is written of one attempt, and whether anybody has to hear of it."""

    uri_id: int
    fixed: bool
    outcome: Outcome
    resolution: Resolution
    changed: bool

    @classmethod
    def of(
        cls, attempt: Attempt, document_id: int | None, now: datetime, pauses: Pauses
    ) -> _Result:
        due, fetched = attempt.due, attempt.fetched
        served = due.document_id if fetched.outcome == "not-modified" else document_id
        turn = _turn(attempt, served, now, pauses)
        good = fetched.good
        outcome = Outcome(
            uri_id=due.uri_id,
            attempts=due.attempts,
            good=good,
            failures=turn.failures,
            unchanged=turn.unchanged,
            attempted_at=attempt.at,
            outcome=fetched.outcome,
            reason=fetched.reason,
            status=fetched.status,
            document_id=served,
            verified=fetched.verified,
            etag=_validator(fetched, "etag", due.etag),
            last_modified=_validator(fetched, "last-modified", due.last_modified),
            due_at=turn.due_at,
        )
        resolution = Resolution(
            uri_id=due.uri_id,
            attempted_at=attempt.at,
            outcome=fetched.outcome,
            reason=fetched.reason,
            status=fetched.status,
            size_bytes=len(fetched.body) if fetched.body is not None else None,
            duration_ms=fetched.duration_ms,
            document_id=served,
            verified=fetched.verified,
            final_url=fetched.final_url,
        )
        changed = _said(due) != _says(fetched, served, turn.failures)
        return cls(due.uri_id, due.fixed, outcome, resolution, changed)


def _turn(attempt: Attempt, served: int | None, now: datetime, pauses: Pauses) -> Turn:
    due, fetched = attempt.due, attempt.fetched
    if served is not None:
        return after_success(
            now,
            uri_hash=due.hash,
            attempts=due.attempts,
            fixed=due.fixed,
            proven=due.kind in _INLINE or fetched.verified is not None,
            unchanged=due.unchanged,
            document_before=due.document_id,
            document=served,
            pauses=pauses,
        )
    return after_failure(
        now,
        uri_hash=due.hash,
        attempts=due.attempts,
        hopeless=fetched.outcome in _HOPELESS,
        failures=due.failures,
        unchanged=due.unchanged,
        asked_seconds=fetched.retry_after_seconds,
        pauses=pauses,
    )


def _said(due: Due) -> tuple[object, ...] | None:
    """What was known of a URI that others show or build on."""
    if due.attempts == 0:
        return None
    if due.outcome in ("ok", "not-modified"):
        return due.document_id, due.verified, due.final_url
    return due.outcome, due.reason, due.status, due.failures >= PATIENCE_FAILURES


def _says(fetched: Fetched, served: int | None, failures: int) -> tuple[object, ...]:
    if fetched.good:
        return served, fetched.verified, fetched.final_url
    return fetched.outcome, fetched.reason, fetched.status, failures >= PATIENCE_FAILURES


def _validator(fetched: Fetched, name: str, before: str | None) -> str | None:
    """A validator to be sent back as it came; None where that cannot be done safely."""
    value = fetched.headers.get(name)
    if value is None:
        return before if fetched.outcome == "not-modified" else None
    plain = value.isascii() and value.isprintable() and len(value) <= LONGEST_VALIDATOR
    return value if plain else None


# Their hosts -------------------------------------------------------------------------------------


async def _settle_hosts(tx: Tx, attempts: Sequence[Attempt], now: datetime) -> None:
    """Let hosts rest that did not serve us, and hold nothing more against those that did."""
    asked = {one.due.host for one in attempts if one.due.host}
    held = await hosts.held(tx, sorted(asked))
    rests: dict[str, Resting] = {}
    answered: set[str] = set()
    for attempt in attempts:
        host = attempt.due.host
        before = held.get(host)
        if not host or (before is not None and attempt.at < before.rest_until):
            continue  # begun before the host was to rest: nothing new
        failures = before.failures if before is not None else 0
        found = patience.after(attempt.fetched, host=host, failures=failures)
        if isinstance(found, patience.Rest):
            until = now + timedelta(seconds=found.seconds)
            rests[host] = Resting(host, found.failures, until, found.reason)
        elif found == "answered":
            answered.add(host)
    # Of a host that serves some files and not others, the busy word counts and no other.
    rests = {
        host: rest
        for host, rest in rests.items()
        if host not in answered or rest.reason == "http-error"
    }
    await hosts.rest(tx, sorted(rests.values(), key=lambda one: one.host))
    well = sorted(answered & held.keys() - rests.keys())
    await hosts.release(tx, well)
    back = [host for host in well if held[host].failures >= patience.DOWN_AFTER]
    await uris.wake(tx, back, now, reason=patience.HOST_DOWN)
