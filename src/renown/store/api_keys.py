"""API keys as they are stored: never the secret, only what tells whether one is right."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal, LiteralString
from uuid import UUID

import msgspec

from renown.errors import Conflict, KeyNotFound
from renown.spec.api_keys import RANDOM_BYTES, Env, Peppers, new_key
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store.accounts import AccountTier
from renown.store.changes import KEY_CHANNEL, NOTIFY
from renown.store.pool import Conn, Tx

KeyKind = Literal["key", "session"]
SCOPES = ("read", "write", "link", "audit", "admin")
MOST_KEYS = 100
"""Keys of each kind that an account may have at a time."""


class KeyHolder(msgspec.Struct, frozen=True):
    """What a presented key is checked against, and who holds it. `seconds_left` of its life are by
    the database's clock, which alone decides when a key is over; None: it does not end."""

    key_id: str
    account_id: int
    account: UUID
    tier: AccountTier
    scopes: list[str]
    secret_hash: bytes
    pepper_version: str
    seconds_left: float | None
    is_shut: bool
    is_operator: bool = False


# A key that is not there any more and one that never was must look alike, so the row is found
# whatever its state.
FIND: LiteralString = """
SELECT k.key_id, k.account_id, a.uuid, a.tier, k.scopes, k.secret_hash, k.pepper_version,
       extract(epoch FROM k.expires_at - clock_timestamp())::float8,
       k.revoked_at IS NOT NULL OR a.closed_at IS NOT NULL, a.is_operator
  FROM api_key k JOIN account a USING (account_id)
 WHERE k.key_id = $1
"""


async def find_holder(conn: Conn, key_id: str) -> KeyHolder | None:
    """The key of that id, with its account; None if there never was one."""
    row = await conn.fetchrow(FIND, key_id)
    return None if row is None else KeyHolder(*row)


class KeyRow(msgspec.Struct, frozen=True):
    """A key as its account sees it. `replaced_by` is the id of the key it was rotated to."""

    key_id: str
    account_id: int
    name: str
    kind: KeyKind
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    replaced_by: str | None
    pepper_version: str


_COLUMNS: LiteralString = """key_id, account_id, name, kind, scopes, created_at, expires_at,
    revoked_at, last_used_at, replaced_by, pepper_version"""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What key to make. `lifetime` counts from now by the database's clock; None: for ever."""

    account_id: int
    scopes: Sequence[str]
    name: str = ""
    kind: KeyKind = "key"
    lifetime: timedelta | None = None


class Issued(msgspec.Struct, frozen=True):
    """A key that was just made. `text` cannot be had again."""

    row: KeyRow
    text: str

    def __repr__(self) -> str:
        return f"Issued({self.row.key_id})"


COUNT: LiteralString = """
SELECT count(*) FROM api_key
 WHERE account_id = $1 AND kind = $2 AND revoked_at IS NULL
   AND (expires_at IS NULL OR expires_at > now())
"""
HOLD: LiteralString = (
    "SELECT closed_at IS NULL FROM account WHERE account_id = $1 FOR NO KEY UPDATE"
)
ONLY_DEVNET: LiteralString = "SELECT coalesce(bool_and(chain_id = $1), false) FROM chain"
CREATE: LiteralString = f"""
INSERT INTO api_key (key_id, account_id, name, kind, scopes, secret_hash, pepper_version,
       expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now() + $8::interval)
    ON CONFLICT (key_id) DO NOTHING
RETURNING {_COLUMNS}
"""


async def issue_key(tx: Tx, peppers: Peppers, wanted: Wanted) -> Issued:
    """Make a key and store what it can be checked by. A `dev` one where only a devnet is indexed.

    Raises:
        Conflict: the account is closed, or has `MOST_KEYS` of this kind that work.
    """
    if not await tx.fetchval(HOLD, wanted.account_id):
        raise Conflict("the account is closed")
    if await tx.fetchval(COUNT, wanted.account_id, wanted.kind) >= MOST_KEYS:
        raise Conflict(f"the account has {MOST_KEYS} keys of this kind; revoke one", most=MOST_KEYS)
    env: Env = "dev" if await tx.fetchval(ONLY_DEVNET, DEVNET_CHAIN_ID) else "live"
    while True:
        new = new_key(env, secrets.token_bytes(RANDOM_BYTES))
        row = await tx.fetchrow(
            CREATE,
            *(new.key_id, wanted.account_id, wanted.name, wanted.kind, list(wanted.scopes)),
            *(peppers.hash_new(new.secret), peppers.newest, wanted.lifetime),
        )
        if row is not None:  # else the id is taken: ids are short
            return Issued(KeyRow(*row), new.text)


_PAGE: LiteralString = """
       ($1 OR revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()))
   AND ($2::timestamptz IS NULL OR (created_at, key_id) < ($2, $3))
 ORDER BY created_at DESC, key_id DESC LIMIT $4
"""
OF_ACCOUNT: LiteralString = f"SELECT {_COLUMNS} FROM api_key WHERE account_id = $5 AND {_PAGE}"
OF_ALL: LiteralString = f"SELECT {_COLUMNS} FROM api_key WHERE {_PAGE}"


async def keys_of(
    conn: Conn,
    account_id: int | None,
    *,
    over_too: bool = False,
    after: tuple[datetime, str] | None = None,
    limit: int = 100,
) -> list[KeyRow]:
    """An account's keys, or with None everybody's, the newest first: those that work, and with
    `over_too` all."""
    args = over_too, *(after or (None, None)), limit
    if account_id is None:
        rows = await conn.fetch(OF_ALL, *args)
    else:
        rows = await conn.fetch(OF_ACCOUNT, *args, account_id)
    return [KeyRow(*row) for row in rows]


LOAD: LiteralString = f"""
SELECT {_COLUMNS} FROM api_key WHERE key_id = $1 AND ($2::bigint IS NULL OR account_id = $2)
   FOR NO KEY UPDATE
"""


async def load_key(tx: Tx, key_id: str, account_id: int | None = None) -> KeyRow:
    """One key, held until the transaction ends. Raises KeyNotFound: none, or another account's."""
    row = await tx.fetchrow(LOAD, key_id, account_id)
    if row is None:
        raise KeyNotFound("no such key of this account", key_id=key_id[:20])
    return KeyRow(*row)


ROTATE: LiteralString = """
UPDATE api_key SET replaced_by = $2, expires_at = least(expires_at, now() + $3::interval)
 WHERE key_id = $1 AND kind = 'key'
   AND revoked_at IS NULL AND replaced_by IS NULL AND (expires_at IS NULL OR expires_at > now())
"""


async def rotate_key(tx: Tx, peppers: Peppers, old: KeyRow, overlap: timedelta) -> Issued:
    """A new key like `old`, which works on for `overlap` at most. It lives as long as the old one
    was meant to, from now on.

    Raises:
        Conflict: `old` is revoked, expired, rotated already, or a session.
    """
    lifetime = None if old.expires_at is None else old.expires_at - old.created_at
    made = await issue_key(
        tx,
        peppers,
        Wanted(account_id=old.account_id, scopes=old.scopes, name=old.name, lifetime=lifetime),
    )
    if await tx.execute(ROTATE, old.key_id, made.row.key_id, overlap) == "UPDATE 0":
        raise Conflict("this key is over, rotated already, or a session", key_id=old.key_id)
    await tx.execute(NOTIFY, KEY_CHANNEL, old.key_id)
    return made


REVOKE: LiteralString = "UPDATE api_key SET revoked_at = now() WHERE key_id = $1"


async def revoke_key(tx: Tx, key_id: str, account_id: int | None = None) -> KeyRow:
    """Revoke a key for good; one that is revoked already stays as it is. Raises KeyNotFound."""
    before = await load_key(tx, key_id, account_id)
    if before.revoked_at is None:
        await tx.execute(REVOKE, key_id)
        await tx.execute(NOTIFY, KEY_CHANNEL, key_id)
    return before


USED: LiteralString = """
UPDATE api_key k SET last_used_at = w.at
  FROM (SELECT key_id, now() - make_interval(secs => ago_seconds) AS at
          FROM unnest($1::text[], $2::float8[]) AS u (key_id, ago_seconds)) w
 WHERE k.key_id = w.key_id AND (k.last_used_at IS NULL OR k.last_used_at < w.at)
"""


async def note_used(conn: Conn, used: Mapping[str, float]) -> None:
    """Note how many seconds ago keys were last used. In the order of ids, so that two processes
    never deadlock."""
    ids = sorted(used)
    await conn.execute(USED, ids, [used[key_id] for key_id in ids])


VERSIONS: LiteralString = """
SELECT pepper_version, count(*) FROM api_key
 WHERE revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())
 GROUP BY pepper_version
"""


async def pepper_versions(conn: Conn) -> dict[str, int]:
    """How many keys that work were hashed under each pepper."""
    return {row[0]: row[1] for row in await conn.fetch(VERSIONS)}


# Sessions are many and short.
PRUNE: LiteralString = """
DELETE FROM api_key
 WHERE account_id = $1 AND kind = 'session' AND expires_at < now() - interval '7 days'
"""


async def prune_sessions(conn: Conn, account_id: int) -> None:
    """Drop the account's sessions that ended a week ago."""
    await conn.execute(PRUNE, account_id)
