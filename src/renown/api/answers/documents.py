"""The history of an agent's file, what changed in it, and documents by their hash."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from renown.api.answers.answer import LISTED_URI_CUT_BYTES, Answer, Page, more
from renown.api.answers.as_of import AsOf, as_of
from renown.api.answers.findings import CheckedAt
from renown.api.answers.registration import StateText
from renown.api.answers.values import (
    Block,
    Count,
    Cuttable,
    Hash,
    Text,
    TextHex,
    Time,
    hex_or_none,
    hex_text,
    texts,
)
from renown.derive.document_diff import Change as Step
from renown.derive.document_diff import diff
from renown.derive.document_state import document_state
from renown.errors import BadParameter, NotFound
from renown.spec.documents.model import Class, Reading
from renown.store import read_documents as store
from renown.store import read_versions
from renown.store.pool import Conn
from renown.store.read_versions import After, AttemptRow, VersionRow
from renown.store.reads import Head, key_args, key_text, no_such_agent, require_chain
from renown.types import AgentKey

MOST_VERSIONS = 25
"""Of a page: each is compared with the one before."""
_MOST_CHANGES_LISTED = 40
_LONGEST_COMPARED_BYTES = 262_144
_MOST_NUMBERED = 2_000
_LATEST = datetime(9999, 12, 31, tzinfo=UTC)


class Change(Struct, kw_only=True, frozen=True):
    """One step of a JSON Patch (RFC 6902), with what stood there. Values are strangers' words."""

    op: Literal["add", "remove", "replace"]
    path: Annotated[str, Meta(description="JSON pointer, into the file as the steps before leave.")]
    before: Annotated[Any, Meta(description="Null for `add`.")]
    after: Annotated[Any, Meta(description="Null for `remove`.")]
    cut: Annotated[
        bool,
        Meta(description="Path or a value is only the beginning; a value then is JSON as text."),
    ]


class DocumentVersion(Cuttable, kw_only=True):
    """One version of an agent's file: a URI as it said it, and one document that it led to.

    A URI of which nothing was read is a version too, without a document.
    """

    number: Annotated[Count, Meta(description="From 1, oldest first.")]
    uri: Text
    uri_hex: TextHex = msgspec.UNSET
    uri_kind: str | None
    fixed: bool | None
    said_block: Block
    said_log_index: Count
    said_at: Time | None
    until_block: Annotated[
        Block | None, Meta(description="Where another URI was said; null: this one holds.")
    ]
    until_at: Time | None
    state: StateText
    sha256: Annotated[Hash | None, Meta(description="See GET /v1/documents/{sha256}.")]
    size_bytes: Count | None
    document_class: Class | None
    reading: Reading | None
    verified: bool | None
    final_url: str | None
    first_seen: Annotated[CheckedAt | None, Meta(description="First read with success.")]
    last_seen: Annotated[CheckedAt | None, Meta(description="Last read with success.")]
    last_attempt: CheckedAt | None
    outcomes: Annotated[
        dict[str, int],
        Meta(description="Attempts that are kept, by outcome; those after it that failed too."),
    ]
    compared_with: Annotated[
        Count | None,
        Meta(description="Number of the version that `changes` begin at: the last with a document"),
    ]
    changes: Annotated[
        list[Change] | None,
        Meta(description="Null where there is nothing to compare, or it is too large."),
    ]
    more_changes: Annotated[bool, Meta(description="See GET /v1/agents/{key}/documents/diff.")]


class DocumentHistory(Page[DocumentVersion], kw_only=True):
    """A page of the versions of an agent's file, oldest first."""


class ResolutionAttempt(Cuttable, kw_only=True):
    """One attempt to read one of an agent's URIs."""

    at: CheckedAt
    uri: Text
    uri_hex: TextHex = msgspec.UNSET
    uri_kind: str
    outcome: Annotated[str, Meta(description="`ok`, `not-modified`, or how it failed.")]
    reason: str | None
    status: int | None
    size_bytes: Count | None
    duration_ms: Count
    sha256: Hash | None
    verified: bool | None
    final_url: str | None


class ResolutionAttempts(Page[ResolutionAttempt], kw_only=True):
    """A page of attempts to read any URI that an agent said, newest first.

    Attempts older than 90 days are kept where something changed.
    """


class DocumentDiff(Struct, kw_only=True):
    """What changed from one version of an agent's file to another."""

    as_of: AsOf
    before: DocumentVersion
    after: DocumentVersion
    changes: list[Change]
    more_changes: Annotated[bool, Meta(description="There are others behind them.")]


# History -----------------------------------------------------------------------------------------


async def history(
    conn: Conn, key: AgentKey, *, after: tuple[Any, ...] | None = None, limit: int
) -> Answer[DocumentHistory]:
    """The versions of an agent's file, oldest first, each with what changed since the last one.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    place = _Place(*after) if after else _BEGIN
    head, rows = await _versions(conn, key, place.after, limit + 1)
    shown, last = more(rows, limit)
    compared = [place.document_id, *(row.document_id for row in shown)]
    wanted = list({one for one in compared if one is not None})
    found = await store.contents(conn, wanted, longest_bytes=_LONGEST_COMPARED_BYTES)
    contents = {one: msgspec.json.decode(text) for one, text in found.items()}
    items = []
    for number, row in enumerate(shown, place.number + 1):
        version = _version(number, row)
        if row.document_id is not None:
            _compare(version, place, row.document_id, contents)
            place = msgspec.structs.replace(
                place, document_id=row.document_id, document_number=number
            )
        items.append(version)
    body = DocumentHistory(as_of=as_of(head), items=items)
    following = None
    if last is not None:
        end = (last.block_number, last.log_index, -1 if last.began_us is None else last.began_us)
        seen = (place.number + len(items), place.document_id, place.document_number)
        following = (*end, *seen)
    return Answer(body, [body.as_of], after=following)


async def numbered(
    conn: Conn, key: AgentKey, *, most: int = _MOST_NUMBERED
) -> list[DocumentVersion]:
    """The first `most` versions of an agent's file, oldest first, without comparing them.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    _, rows = await _versions(conn, key, After(), most)
    return [_version(number, row) for number, row in enumerate(rows, 1)]


async def attempts(
    conn: Conn, key: AgentKey, *, after: tuple[Any, ...] | None = None, limit: int
) -> Answer[ResolutionAttempts]:
    """Every attempt to read a URI that the agent said, newest first.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    start = (datetime.fromisoformat(after[0]), after[1]) if after else (_LATEST, 0)
    found = await read_versions.attempts(
        conn, key_args(key), after=start, limit=limit + 1, uri_cut_bytes=LISTED_URI_CUT_BYTES
    )
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head)
    shown, last = more(found.rows, limit)
    body = ResolutionAttempts(as_of=as_of(head), items=[_attempt(row) for row in shown])
    following = (last.attempted_at.isoformat(), last.uri_id) if last else None
    return Answer(body, [body.as_of], after=following)


async def compare(
    conn: Conn, key: AgentKey, *, before: int | None = None, after: int | None = None
) -> Answer[DocumentDiff]:
    """What changed between two versions by number: by default the last, and the last before it.

    Only the first 2,000 versions of an agent can be compared.

    Raises:
        NotFound: there is no such version, or no document in it that can be compared.
        BadParameter: `before` is not before `after`.
        AgentNotFound, ChainNotFound.
    """
    if before is not None and after is not None and before >= after:
        raise BadParameter("`before` must be a lower number than `after`", parameter="before")
    head, rows = await _versions(conn, key, After(), _MOST_NUMBERED)
    numbered = list(enumerate(rows, 1))
    new = _pick(key, numbered, after)
    old = _pick(key, numbered[: new[0] - 1], before, unlike=new[1].document_id)
    ids = [row.document_id for _, row in (old, new) if row.document_id is not None]
    contents = await store.contents(conn, ids, longest_bytes=2**31 - 1)
    for number, row in (old, new):
        if row.document_id not in contents:
            raise NotFound(f"version {number} is no JSON, so there is nothing to compare")
    found = diff(*(msgspec.json.decode(contents[one]) for one in ids))
    body = DocumentDiff(
        as_of=as_of(head),
        before=_version(*old),
        after=_version(*new),
        changes=[_change(step) for step in found.changes],
        more_changes=found.more,
    )
    return Answer(body, [body.as_of])


async def by_sha256(conn: Conn, digest: str, *, form: Literal["served", "json"]) -> bytes:
    """A document by the SHA-256 of its bytes: those bytes, or its JSON, sanitised.

    Raises:
        BadParameter: `digest` is none.
        NotFound: nobody ever served it to us, or it is no JSON.
    """
    try:
        sha256 = bytes.fromhex(digest.removeprefix("0x"))
    except ValueError:
        sha256 = b""
    if len(sha256) != 32:
        raise BadParameter("expected 64 hex digits", parameter="sha256")
    row = await store.by_sha256(conn, sha256, form="served" if form == "served" else "raw")
    if row is None:
        raise NotFound("this index holds no document of that hash", sha256=hex_text(sha256))
    if form == "served":
        assert row.raw is not None
        return row.raw
    if row.content is None:
        raise NotFound("the document is no JSON; ask for its bytes", sha256=hex_text(sha256))
    return row.content.encode()


# Rows into answers -------------------------------------------------------------------------------


class _Place(Struct, frozen=True):
    """Where a page of history begins, and the last document before it."""

    block_number: int = -1
    log_index: int = -1
    began_us: int = -2
    number: int = 0
    document_id: int | None = None
    document_number: int | None = None

    @property
    def after(self) -> After:
        return After(self.block_number, self.log_index, self.began_us)


_BEGIN = _Place()


async def _versions(
    conn: Conn, key: AgentKey, after: After, limit: int
) -> tuple[Head, Sequence[VersionRow]]:
    found = await read_versions.versions(
        conn, key_args(key), after=after, limit=limit, uri_cut_bytes=LISTED_URI_CUT_BYTES
    )
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head)
    return head, found.rows


def _pick(
    key: AgentKey,
    numbered: Sequence[tuple[int, VersionRow]],
    number: int | None,
    *,
    unlike: int | None = None,
) -> tuple[int, VersionRow]:
    """The version of a number, or the last with a document other than `unlike`."""
    for at, row in _with_document(numbered):
        if (number is None and row.document_id != unlike) or at == number:
            return at, row
    which = f"version {number}" if number is not None else "version to compare"
    raise NotFound(f"there is no {which} with a document", key=key_text(key))


def _with_document(numbered: Sequence[tuple[int, VersionRow]]) -> Iterator[tuple[int, VersionRow]]:
    return (one for one in reversed(numbered) if one[1].document_id is not None)


def _compare(
    version: DocumentVersion, last: _Place, document_id: int, contents: dict[int, Any]
) -> None:
    if last.document_id is None:
        return
    version.compared_with = last.document_number
    if last.document_id == document_id:
        version.changes = []
    elif last.document_id in contents and document_id in contents:
        found = diff(contents[last.document_id], contents[document_id], most=_MOST_CHANGES_LISTED)
        version.changes = [_change(step) for step in found.changes]
        version.more_changes = found.more


def _version(number: int, row: VersionRow) -> DocumentVersion:
    outcomes = row.outcomes or []
    state = "none"
    if row.uri_bytes:
        state = document_state(
            kind=row.kind,
            attempts=len(outcomes),
            outcome=outcomes[-1] if outcomes else None,
            document_class=row.document_class,
            reading=row.reading,
        )
        if state == "pending" and row.until_block is not None and row.fixed is False:
            state = "unknown"
    return DocumentVersion(
        **texts(("uri", row.uri, row.uri_bytes)),
        number=number,
        uri_kind=row.kind,
        fixed=row.fixed,
        said_block=row.block_number,
        said_log_index=row.log_index,
        said_at=row.said_at,
        until_block=row.until_block,
        until_at=row.until_at,
        state=state,  # type: ignore[arg-type]
        sha256=hex_or_none(row.sha256),
        size_bytes=row.size_bytes,
        document_class=row.document_class,  # type: ignore[arg-type]
        reading=row.reading,  # type: ignore[arg-type]
        verified=row.verified,
        final_url=row.final_url,
        first_seen=row.first_seen_at,
        last_seen=row.last_seen_at,
        last_attempt=row.last_attempt_at,
        outcomes=dict(Counter(outcomes)),
        compared_with=None,
        changes=None,
        more_changes=False,
    )


def _change(step: Step) -> Change:
    return Change(op=step.op, path=step.pointer, before=step.before, after=step.after, cut=step.cut)


def _attempt(row: AttemptRow) -> ResolutionAttempt:
    return ResolutionAttempt(
        **texts(("uri", row.uri, row.uri_bytes)),
        at=row.attempted_at,
        uri_kind=row.kind,
        outcome=row.outcome,
        reason=row.reason,
        status=row.status,
        size_bytes=row.size_bytes,
        duration_ms=row.duration_ms,
        sha256=hex_or_none(row.sha256),
        verified=row.verified,
        final_url=row.final_url,
    )
