"""The audit log as it is answered: entries, proofs, checkpoints, reviews."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta, Struct

from renown.api.answers.answer import NextCursor, more
from renown.api.answers.keys import When
from renown.api.answers.values import Address, Count, Hash, Hex, address, hex_or_none, hex_text
from renown.audit import merkle
from renown.audit.proofs import to_base64
from renown.errors import BadParameter, NotFound
from renown.store import audit_leaves, audit_proofs, audit_reading, audit_review
from renown.store.audit_proofs import CheckpointRow
from renown.store.audit_reading import After, EntryRow, ReviewState, Wanted
from renown.store.audit_review import LONGEST_NOTE, LONGEST_REVIEWER, ReviewRow, no_such_entry
from renown.store.pool import Conn

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Kept = Annotated[
    msgspec.Raw | None,
    Meta(description="JSON. Secrets are left out. It may hold what strangers wrote."),
]

Base64 = Annotated[
    str, Meta(pattern="^[A-Za-z0-9+/]{43}=$", description="32 bytes in Base64, as in notes.")
]


class AuditEntry(Struct, kw_only=True):
    """One thing that happened."""

    id: Count
    at: When
    action: Annotated[
        str,
        Meta(
            description="Of rows `insert`, `update`, `delete`, `truncate`; of chains `commit`,"
            " `retract`, `repair`, `foreign-write`; of the API `request`, `refused`, `read`;"
            " `retention`."
        ),
    ]
    subject: Annotated[str, Meta(description="A table, a route's pattern, or `chain:{id}`.")]
    subject_key: Annotated[str | None, Meta(description="Which row of the table.")]
    request_id: Annotated[UUID | None, Meta(description="One request's entries have it in common.")]
    account: Annotated[UUID | None, Meta(description="Whose key acted.")]
    account_name: str | None
    key_id: str | None
    wallet: Annotated[Address | None, Meta(description="That the request spoke for.")]
    address: Annotated[
        Hex | None,
        Meta(description="Pseudonym of where it came from: the same address has it for one day."),
    ]
    user_agent: str | None
    db_user: Annotated[str, Meta(description="The database's own word for who wrote.")]
    program: Annotated[str, Meta(description="What the connection called itself.")]
    method: str | None
    route: str | None
    status: int | None
    duration_ms: float | None
    before: Kept
    after: Kept
    detail: Kept
    left_out: Annotated[
        list[str],
        Meta(description="Those of the last three that are too long for a list; ask for the one."),
    ]
    seq: Annotated[Count | None, Meta(description="Its number in the log; null: not taken yet.")]
    rule: Annotated[str | None, Meta(description="The rule that wants a person to look.")]
    review: Annotated[
        ReviewState,
        Meta(
            description="`open` waits for a person; `pending`: whether it needs one is decided"
            " within a second."
        ),
    ]


class AuditReview(Struct, kw_only=True):
    """A person looked at an entry."""

    id: Count
    entry_id: Count
    at: When
    account: Annotated[UUID | None, Meta(description="Whose key it came by; null: a command.")]
    reviewer: str
    note: str


class WholeAuditEntry(AuditEntry, kw_only=True):
    """One entry, whole."""

    payload: Annotated[
        str | None, Meta(description="What was hashed, as UTF-8; null: not taken yet.")
    ]
    leaf_hash: Annotated[Hash | None, Meta(description="SHA-256(0x00 ‖ payload).")]
    reviews: Annotated[
        list[AuditReview], Meta(description="The oldest first. For operators; others see none.")
    ]


class AuditPage(Struct, kw_only=True):
    """Entries, newest first."""

    items: list[AuditEntry]
    next_cursor: NextCursor = None


class AuditHour(Struct, kw_only=True):
    """What happened in one hour, by action and status."""

    hour: When
    action: str
    status: int | None
    entries: Count
    mean_duration_ms: float | None
    errors: Annotated[Count, Meta(description="With a status of 400 or more.")]


class AuditSummary(Struct, kw_only=True):
    """The last 24 hours."""

    items: list[AuditHour]


class AuditProof(Struct, kw_only=True):
    """That an entry is in the log (RFC 6962, 2.1.1): a file for `renown audit check`."""

    format: Literal["renown-audit-inclusion/1"] = "renown-audit-inclusion/1"
    entry_id: Count
    seq: Count
    size: Annotated[Count, Meta(description="Of the tree, in entries.")]
    payload: Annotated[str | None, Meta(description="null: it went by retention.")]
    leaf_hash: Base64
    root_hash: Annotated[Base64, Meta(description="Of that tree.")]
    proof: Annotated[list[Base64], Meta(description="The nearest to the leaf first.")]
    checkpoint: Annotated[
        str | None,
        Meta(description="The signed note of that size; null: none was made of that size."),
    ]
    verifier: Annotated[
        str, Meta(description="Empty: have the key that signs from somewhere else.")
    ] = ""


class AuditConsistency(Struct, kw_only=True):
    """That the log of `new` entries begins with that of `old` (RFC 6962, 2.1.2)."""

    format: Literal["renown-audit-consistency/1"] = "renown-audit-consistency/1"
    old_size: Count
    old_root: Base64
    new_size: Count
    new_root: Base64
    proof: list[Base64]


class AuditCheckpoint(Struct, kw_only=True):
    """A signed tree head."""

    size: Count
    root_hash: Hash
    at: When
    note: Annotated[str, Meta(description="C2SP signed note.")]


class AuditCheckpoints(Struct, kw_only=True):
    """Checkpoints, the smallest first."""

    items: list[AuditCheckpoint]
    next_cursor: NextCursor = None


class ReviewAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """What a person says of an entry."""

    note: Annotated[str, Meta(min_length=1, max_length=LONGEST_NOTE)]
    reviewer: (
        Annotated[
            str,
            Meta(
                min_length=1,
                max_length=LONGEST_REVIEWER,
                description="Who looked. Default: the account's name.",
            ),
        ]
        | None
    ) = None


async def page(
    conn: Conn, wanted: Wanted, *, after: tuple[Any, ...] | None, limit: int
) -> tuple[AuditPage, tuple[Any, ...] | None]:
    """Entries, and where the next page begins."""
    start = None if after is None else After(_EPOCH + after[0] * _MICROSECOND, after[1])
    rows = await audit_reading.page(conn, wanted, after=start, limit=limit + 1)
    shown, last = more(rows, limit)
    end = None if last is None else ((last.at - _EPOCH) // _MICROSECOND, last.entry_id)
    return AuditPage(items=[AuditEntry(**_fields(row)) for row in shown]), end


async def entry(conn: Conn, entry_id: int, of_account: int | None) -> WholeAuditEntry:
    """One entry; of this account only, or with None of any.

    Raises:
        EntryNotFound.
    """
    row = await audit_reading.one(conn, entry_id)
    if row is None or (of_account is not None and row.account_id != of_account):
        raise no_such_entry(entry_id)
    proven = await audit_proofs.proven_entry(conn, entry_id)
    # What operators say of an account's doings is not for the account.
    reviews = [] if of_account is not None else await audit_review.reviews_of(conn, entry_id)
    return WholeAuditEntry(
        **_fields(row),
        payload=None if proven is None else proven.payload,
        leaf_hash=hex_or_none(row.leaf_hash),
        reviews=[review(one) for one in reviews],
    )


async def proof(
    conn: Conn, entry_id: int, of_account: int | None, *, size: int | None
) -> AuditProof:
    """That an entry is in the tree of `size`: that of the newest checkpoint by default, or of all
    entries where no checkpoint has it yet.

    Raises:
        EntryNotFound: also of one that no number was given yet.
        BadParameter: there is no such tree, or the entry is behind its end.
    """
    if of_account is not None and not await audit_reading.belongs_to(conn, entry_id, of_account):
        raise no_such_entry(entry_id)
    found = await audit_proofs.proven_entry(conn, entry_id)
    if found is None:
        raise no_such_entry(entry_id)
    held = await _size(conn)
    checkpoint = await _checkpoint_for(conn, found.seq, size)
    of = size if size is not None else checkpoint.size if checkpoint is not None else held
    if not found.seq < of <= held:
        raise BadParameter(
            f"`size` is from {found.seq + 1} to {held} here", parameter="size", most=held
        )
    spans = merkle.inclusion(found.seq, of)
    look_up = await _nodes(conn, [*spans, merkle.cover(of)])
    return AuditProof(
        entry_id=found.entry_id,
        seq=found.seq,
        size=of,
        payload=found.payload,
        leaf_hash=to_base64(found.leaf_hash),
        root_hash=_root(of, look_up),
        proof=[to_base64(one) for one in merkle.assemble(spans, look_up)],
        checkpoint=None if checkpoint is None else checkpoint.note,
    )


async def consistency(conn: Conn, old: int, new: int | None) -> AuditConsistency:
    """That a larger tree begins with a smaller: up to the newest checkpoint by default.

    Raises:
        BadParameter: there is no such tree.
    """
    held = await _size(conn)
    if new is None:
        latest = await audit_proofs.latest_checkpoint(conn)
        new = held if latest is None else latest.size
    if not 0 <= old <= new <= held:
        raise BadParameter(
            f"`old` is at most `new`, which is at most {held} here", parameter="new", most=held
        )
    spans = merkle.consistency(old, new)
    look_up = await _nodes(conn, [*spans, merkle.cover(old), merkle.cover(new)])
    return AuditConsistency(
        old_size=old,
        old_root=_root(old, look_up),
        new_size=new,
        new_root=_root(new, look_up),
        proof=[to_base64(one) for one in merkle.assemble(spans, look_up)],
    )


async def latest_note(conn: Conn) -> str:
    """The newest checkpoint's note. Raises NotFound."""
    latest = await audit_proofs.latest_checkpoint(conn)
    if latest is None:
        raise NotFound("no checkpoint was made yet")
    return latest.note


async def checkpoints(
    conn: Conn, *, after: tuple[Any, ...] | None, limit: int
) -> tuple[AuditCheckpoints, tuple[Any, ...] | None]:
    """Checkpoints, and where the next page begins."""
    start = -1 if after is None else after[0]
    rows = await audit_proofs.checkpoints_after(conn, start, limit + 1)
    shown, last = more(rows, limit)
    items = [
        AuditCheckpoint(size=row.size, root_hash=hex_text(row.root_hash), at=row.at, note=row.note)
        for row in shown
    ]
    return AuditCheckpoints(items=items), None if last is None else (last.size,)


async def summary(conn: Conn, of_account: int | None) -> AuditSummary:
    """The last 24 hours of one account, or with None of all."""
    rows = await audit_reading.summary(conn, of_account)
    return AuditSummary(
        items=[
            AuditHour(
                hour=row.hour,
                action=row.action,
                status=row.status,
                entries=row.entries,
                mean_duration_ms=None
                if row.mean_duration_ms is None
                else float(row.mean_duration_ms),
                errors=row.errors,
            )
            for row in rows
        ]
    )


def review(row: ReviewRow) -> AuditReview:
    """A review as it is shown."""
    return AuditReview(
        id=row.review_id,
        entry_id=row.entry_id,
        at=row.at,
        account=row.account,
        reviewer=row.reviewer,
        note=row.note,
    )


def _fields(row: EntryRow) -> dict[str, Any]:
    return {
        "id": row.entry_id,
        "at": row.at,
        "action": row.action,
        "subject": row.subject,
        "subject_key": row.subject_key,
        "request_id": row.request_id,
        "account": row.account,
        "account_name": row.account_name,
        "key_id": row.key_id,
        "wallet": None if row.wallet is None or len(row.wallet) != 20 else address(row.wallet),
        "address": hex_or_none(row.address),
        "user_agent": row.user_agent,
        "db_user": row.db_user,
        "program": row.program,
        "method": row.method,
        "route": row.route,
        "status": row.status,
        "duration_ms": None if row.duration_ms is None else float(row.duration_ms),
        "before": _raw(row.before),
        "after": _raw(row.after),
        "detail": _raw(row.detail),
        "left_out": row.left_out,
        "seq": row.seq,
        "rule": row.rule,
        "review": row.review,
    }


def _raw(text: str | None) -> msgspec.Raw | None:
    return None if text is None else msgspec.Raw(text.encode())


async def _size(conn: Conn) -> int:
    return (await audit_leaves.head(conn)).size


async def _checkpoint_for(conn: Conn, seq: int, size: int | None) -> CheckpointRow | None:
    if size is None:
        return await audit_proofs.latest_checkpoint(conn, at_least=seq + 1)
    found = await audit_proofs.checkpoint_from(conn, size)
    return found if found is not None and found.size == size else None


async def _nodes(
    conn: Conn, spans: Sequence[Sequence[merkle.Node]]
) -> Callable[[merkle.Node], bytes]:
    nodes = merkle.nodes_of(tuple(span) for span in spans)
    held = await audit_proofs.node_hashes(conn, nodes)

    def look_up(node: merkle.Node) -> bytes:
        try:
            return held[node]
        except KeyError:
            raise NotFound("the log lacks a node of this proof: `renown audit verify`") from None

    return look_up


def _root(size: int, look_up: Callable[[merkle.Node], bytes]) -> str:
    if size == 0:
        return to_base64(merkle.EMPTY_ROOT)
    return to_base64(merkle.fold([look_up(node) for node in merkle.cover(size)]))
