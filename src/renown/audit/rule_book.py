"""The rules by which an entry of the audit log wants a person to look at it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias
from uuid import UUID

import msgspec

Numbers: TypeAlias = Mapping[str, int]


class AuditedEntry(msgspec.Struct, frozen=True, kw_only=True):
    """What rules read of an entry; the columns of `audit_log` of the same names.

    Attributes:
        at_us: microseconds since 1970.
        before, after, detail: as JSON objects. They may hold what strangers wrote.
    """

    entry_id: int
    at_us: int
    action: str
    subject: str
    account_id: int | None = None
    key_id: str | None = None
    address: bytes | None = None
    method: str | None = None
    route: str | None = None
    status: int | None = None
    request_id: UUID | None = None
    db_user: str = ""
    program: str = ""
    before: dict[str, Any] | None = None
    after: dict[str, Any] | None = None
    detail: dict[str, Any] | None = None


class Parameter(msgspec.Struct, frozen=True):
    """A number that a rule can be given, and the bounds it must keep."""

    name: str
    default: int
    least: int
    most: int


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A reason for a person to look.

    Attributes:
        about: what it finds, for people.
        actions: the only ones that it looks at.
        finds: whether an entry is one.
        counts: of rules that want many: what an entry counts for, and how much. The entry that
            makes `at_least` within `minutes` is found, then one for each `at_least` more.
        is_on: where the installation says nothing.
    """

    name: str
    about: str
    actions: frozenset[str]
    finds: Callable[[AuditedEntry, Numbers], bool] | None = None
    counts: Callable[[AuditedEntry], Iterator[tuple[object, int]]] | None = None
    parameters: tuple[Parameter, ...] = ()
    is_on: bool = True


_ROWS = frozenset({"insert", "update", "delete"})


def _of(entry: AuditedEntry, subject: str) -> bool:
    return entry.subject == subject


def _always(_entry: AuditedEntry, _numbers: Numbers) -> bool:
    return True


def _changed(entry: AuditedEntry, *columns: str) -> bool:
    before, after = entry.before or {}, entry.after or {}
    return any(before.get(column) != after.get(column) for column in columns)


def _whole(value: object, missing: int) -> int:
    return value if type(value) is int else missing


def _is_services_own(entry: AuditedEntry) -> bool:
    """Whether it is what services do by themselves, for nobody: they settle payment claims, note
    the settings they start with, and prune sessions that have ended."""
    if entry.request_id is not None or not entry.program.startswith("renown"):
        return False
    return entry.subject in {"payment_claim", "installation_setting"} or (
        entry.action == "delete" and _is_session(entry)
    )


def _is_session(entry: AuditedEntry) -> bool:
    row = entry.after or entry.before or {}
    return entry.subject == "api_key" and row.get("kind") == "session"


def _command(entry: AuditedEntry) -> object:
    return (entry.detail or {}).get("command")


def _by_hand(entry: AuditedEntry, _numbers: Numbers) -> bool:
    return entry.request_id is None and _command(entry) is None and not _is_services_own(entry)


def _edits(entry: AuditedEntry) -> Iterator[tuple[object, int]]:
    if _is_services_own(entry):
        return
    if entry.request_id is not None:
        yield entry.request_id, 1
    elif (command := _command(entry)) is not None:
        yield (str(command), str((entry.detail or {}).get("person")), entry.db_user), 1
    else:
        yield entry.db_user, 1


def _failures(entry: AuditedEntry) -> Iterator[tuple[object, int]]:
    count = max(1, _whole((entry.detail or {}).get("count"), 1))
    if entry.address is not None:
        yield entry.address, count
    if entry.key_id is not None:
        yield entry.key_id, count
    if entry.address is None and entry.key_id is None:  # many addresses told in one entry
        yield "several", count


def _account_changed(entry: AuditedEntry, _numbers: Numbers) -> bool:
    if not _of(entry, "account"):
        return False
    if entry.action == "insert":
        return (entry.after or {}).get("is_operator") is True
    return _changed(entry, "tier", "is_operator", "closed_at")


def _admin_key(entry: AuditedEntry, _numbers: Numbers) -> bool:
    scopes = (entry.after or {}).get("scopes")
    return (
        _of(entry, "api_key")
        and not _is_session(entry)
        and isinstance(scopes, list)
        and "admin" in scopes
    )


def _key_revoked(entry: AuditedEntry, _numbers: Numbers) -> bool:
    if not _of(entry, "api_key") or _is_session(entry):
        return False
    return entry.action == "delete" or _changed(entry, "revoked_at")


def _key_changed(entry: AuditedEntry, _numbers: Numbers) -> bool:
    return _of(entry, "api_key") and not _is_session(entry)


def _wallet_removed(entry: AuditedEntry, _numbers: Numbers) -> bool:
    return _of(entry, "account_wallet") and (
        entry.action == "delete" or _changed(entry, "account_id", "address")
    )


def _feedback_revoked(entry: AuditedEntry, numbers: Numbers) -> bool:
    by_kind = (entry.detail or {}).get("by_kind")
    if not isinstance(by_kind, dict):
        return False
    return _whole(by_kind.get("feedback_revoked"), 0) >= numbers["at_least"]


def _retracted(entry: AuditedEntry, numbers: Numbers) -> bool:
    return _whole((entry.detail or {}).get("dropped"), numbers["at_least"]) >= numbers["at_least"]


def _many(default: int, minutes: int) -> tuple[Parameter, ...]:
    return (
        Parameter("at_least", default, 2, 100_000),
        Parameter("minutes", minutes, 1, 24 * 60),
    )


def _facts(default: int) -> tuple[Parameter, ...]:
    return (Parameter("at_least", default, 1, 1_000_000),)


RULES: tuple[Rule, ...] = (
    Rule(
        name="truncate",
        about="A table was emptied.",
        actions=frozenset({"truncate"}),
        finds=_always,
    ),
    Rule(
        name="foreign-write",
        about="A statement changed what comes from the chain, and it was not the indexer's.",
        actions=frozenset({"foreign-write"}),
        finds=_always,
    ),
    Rule(
        name="bulk-edit",
        about="Many rows changed by one request, one command, or one user of the database.",
        actions=_ROWS,
        counts=_edits,
        parameters=_many(20, 1),
    ),
    Rule(
        name="by-hand",
        about="A row changed by no request and no command of ours: by `psql`, for example.",
        actions=_ROWS,
        finds=_by_hand,
    ),
    Rule(
        name="account-changed",
        about="An account got another tier, was closed, or its operator's rights changed.",
        actions=_ROWS,
        finds=_account_changed,
    ),
    Rule(
        name="signer-grant",
        about="A wallet of the server's signer was given to an account, or taken from it.",
        actions=_ROWS,
        finds=lambda entry, _: _of(entry, "signer_grant"),
    ),
    Rule(
        name="policy-changed",
        about="A policy was set, changed or unset.",
        actions=_ROWS,
        finds=lambda entry, _: _of(entry, "policy"),
    ),
    Rule(
        name="setting-changed",
        about="A service started with another setting than before.",
        actions=frozenset({"update", "delete"}),
        finds=lambda entry, _: _of(entry, "installation_setting"),
    ),
    Rule(
        name="admin-key",
        about="A key with the scope `admin` was made.",
        actions=frozenset({"insert"}),
        finds=_admin_key,
    ),
    Rule(
        name="key-revoked",
        about="A key was revoked or removed. Sessions that end are not found.",
        actions=frozenset({"update", "delete"}),
        finds=_key_revoked,
    ),
    Rule(
        name="key-changed",
        about="A key was changed: rotated, or given another expiry, name, scopes or secret.",
        actions=frozenset({"update"}),
        finds=_key_changed,
    ),
    Rule(
        name="wallet-removed",
        about="A wallet was taken from its account, or given to another.",
        actions=frozenset({"update", "delete"}),
        finds=_wallet_removed,
    ),
    Rule(
        name="repeated-failures",
        about="Failed authentications from one address, or with one key.",
        actions=frozenset({"refused"}),
        counts=_failures,
        parameters=_many(10, 10),
    ),
    Rule(
        name="feedback-revoked",
        about="A commit of a chain revokes this much feedback.",
        actions=frozenset({"commit"}),
        finds=_feedback_revoked,
        parameters=_facts(1),
    ),
    Rule(
        name="retraction",
        about="Blocks were taken back in a reorganisation, and at least so many facts with them.",
        actions=frozenset({"retract"}),
        finds=_retracted,
        parameters=_facts(1),
    ),
    Rule(
        name="repair",
        about="An operator repaired, rebuilt, rewound or forgot something, or took a restored "
        "database for good.",
        actions=frozenset({"repair", "restore"}),
        finds=_always,
    ),
    Rule(
        name="retention",
        about="Entries were removed for their age.",
        actions=frozenset({"retention"}),
        finds=_always,
    ),
    Rule(
        name="mark-changed",
        about="This installation marked an agent or a feedback, or took a mark back.",
        actions=_ROWS,
        finds=lambda entry, _: _of(entry, "installation_mark"),
        is_on=False,
    ),
)
"""The most serious first: an entry has the first that finds it."""
