"""API keys as their account sees them, and what it asks to be done with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct, field

from renown.api.access.principal import Scope
from renown.api.answers.answer import NextCursor
from renown.store.api_keys import KeyRow

LONGEST_LIFE_DAYS = 3650
LONGEST_OVERLAP_SECONDS = 30 * 86_400
DAY_SECONDS = 86_400

When = Annotated[datetime, Meta(tz=True, description="UTC.")]
Name = Annotated[
    str,
    Meta(max_length=100, pattern=r"^[^\x00-\x1f\x7f]*$", description="For people: what it is for."),
]
Scopes = Annotated[list[Scope], Meta(min_length=1, max_length=5, description="What it may do.")]


class ApiKey(Struct, kw_only=True):
    """A key, without its secret."""

    id: Annotated[str, Meta(description="Its 8 characters between `ak_live_` and the secret.")]
    name: Name
    kind: Annotated[Literal["key", "session"], Meta(description="`session`: of a sign-in.")]
    scopes: Scopes
    created_at: When
    expires_at: Annotated[When | None, Meta(description="null: it does not expire.")]
    revoked_at: When | None
    last_used_at: Annotated[When | None, Meta(description="To a minute; null: never.")]
    replaced_by: Annotated[str | None, Meta(description="Id of the key it was rotated to.")]


class ApiKeys(Struct, kw_only=True):
    """Keys of the account, the newest first."""

    items: list[ApiKey]
    next_cursor: NextCursor = None


class ApiKeyMade(ApiKey, kw_only=True):
    """A new key. Its text is shown here and never again."""

    key: Annotated[str, Meta(description="Send it as `Authorization: Bearer …`.")]


class ApiKeyAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """What key to make."""

    name: Name = ""
    scopes: Scopes = field(default_factory=lambda: ["read"])
    expires_in_days: (
        Annotated[int, Meta(ge=1, le=LONGEST_LIFE_DAYS, description="null: never.")] | None
    ) = None


class RotationAsked(Struct, kw_only=True, forbid_unknown_fields=True):
    """How to rotate a key."""

    overlap_seconds: Annotated[
        int,
        Meta(ge=0, le=LONGEST_OVERLAP_SECONDS, description="How long the old key works on."),
    ] = DAY_SECONDS


def api_key(row: KeyRow) -> ApiKey:
    """A key as it is shown."""
    return ApiKey(
        id=row.key_id,
        name=row.name,
        kind=row.kind,
        scopes=_scopes(row.scopes),
        created_at=row.created_at,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        replaced_by=row.replaced_by,
    )


def api_key_made(row: KeyRow, text: str) -> ApiKeyMade:
    """A new key, with its text."""
    shown = api_key(row)
    return ApiKeyMade(**{name: getattr(shown, name) for name in shown.__struct_fields__}, key=text)


def _scopes(names: Sequence[str]) -> list[Scope]:
    return list(names)  # type: ignore[arg-type]  # the table holds no others
