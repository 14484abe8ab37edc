"""Roles of the database: what each kind of process may do there, table by table.

Whoever migrates owns everything. Three group roles own nothing: *writer* for workers, *api* for API
processes, *readonly* for analysts. Logins are made members of one by the operator; the embedded
server's services take one on by themselves.

PostgreSQL takes settings such as time limits from the role that logs in, never from one it is a
member of: they are set on the groups (for whoever makes one of them a login) and on members.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Literal, LiteralString, TypeAlias
from urllib.parse import urlencode

import asyncpg
import msgspec

from renown.errors import BadParameter, StoreError
from renown.store.pool import Conn, transaction
from renown.store.role_rights import FUNCTIONS, OWNERS_ALONE, RIGHTS, SEQUENCES

Kind: TypeAlias = Literal["writer", "api", "readonly"]
KINDS: tuple[Kind, ...] = ("writer", "api", "readonly")

LIMITS: Mapping[Kind, Mapping[str, str]] = {
    # A backfill's commit and a count of all terms take as long as they take.
    "writer": {
        "statement_timeout": "0",
        "lock_timeout": "60s",
        "idle_in_transaction_session_timeout": "15min",
    },
    "api": {
        "statement_timeout": "30s",
        "lock_timeout": "10s",
        "idle_in_transaction_session_timeout": "60s",
    },
    "readonly": {
        "statement_timeout": "60s",
        "lock_timeout": "5s",
        "idle_in_transaction_session_timeout": "60s",
        "default_transaction_read_only": "on",
    },
}
"""Settings of each kind's sessions, as `postgresql.conf` would have them."""


CONNECTIONS: Mapping[Kind, int] = {"api": 60, "writer": 40, "readonly": 5}
"""Most connections of a login of each kind that was given no limit of its own."""


class Names(msgspec.Struct, frozen=True):
    """What the roles are called: roles are the whole server's, which may hold several of us."""

    prefix: str = "renown"

    def of(self, kind: Kind) -> str:
        """The name of one role."""
        return f"{self.prefix}_{kind}"


def named(prefix: str) -> Names:
    """Names that begin with `prefix`. Raises BadParameter if it is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", prefix):
        raise BadParameter(
            "a prefix is a lower-case letter, then letters, digits and _, at most 41",
            parameter="--prefix",
        )
    return Names(prefix)


def script(names: Names) -> list[str]:
    """The statements that make the roles and give them their rights; again, they change nothing.

    Everything a role had before on what is ours is taken from it first.
    """
    return [*_making(names), *_limiting(names), _noting(names), *_granting(names)]


def url_as(url: str, kind: Kind, names: Names) -> str:
    """`url` with its sessions in a role, under the limits of its kind.

    For a user who is a superuser or a member. Not through PgBouncer, which knows no such thing.
    """
    settings = {"role": names.of(kind), **LIMITS[kind]}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(settings)}"


async def apply(conn: Conn, names: Names) -> list[str]:
    """Make the roles and give them their rights in this database. Returns what was not to be had.

    The database has the schema of this version; `conn` is its owner's.

    Raises:
        StoreError: its owner may not make roles.
    """
    missed = []
    async with transaction(conn) as tx:
        await tx.execute(_IN_TURN)
        try:
            for statement in script(names):
                await tx.execute(statement)
            for row in await tx.fetch(_MEMBERS, [names.of(kind) for kind in KINDS]):
                kind = next(kind for kind in KINDS if names.of(kind) == row["role"])
                for name, value in LIMITS[kind].items():
                    await tx.execute(f'ALTER ROLE "{row["member"]}" SET {name} = {value!r}')
                if row["connections"] == -1:
                    limit = CONNECTIONS[kind]
                    await tx.execute(f'ALTER ROLE "{row["member"]}" CONNECTION LIMIT {limit}')
        except asyncpg.InsufficientPrivilegeError as exc:
            raise StoreError(
                f"this user may not make roles ({exc}): have a superuser run what "
                "`renown db roles --print` prints, or give it CREATEROLE"
            ) from exc
        try:
            async with transaction(tx) as inner:
                await inner.execute(f"GRANT pg_read_all_stats TO {names.of('writer')}")
        except asyncpg.InsufficientPrivilegeError:
            missed.append(
                f"GRANT pg_read_all_stats TO {names.of('writer')}  -- by a superuser: "
                "metrics then see what all connections do"
            )
    return missed


async def create(conn: Conn, names: Names) -> None:
    """Make the roles on a server of ours, with no rights as yet, and have statements counted."""
    async with transaction(conn) as tx:
        await tx.execute(_IN_TURN)
        for statement in (*_making(names), _STATEMENT_STATISTICS):
            await tx.execute(statement)


async def existing(conn: Conn) -> dict[Kind, str]:
    """The roles of this database, by kind, as far as its server has them."""
    if not await conn.fetchval(_HAS_ROLES):
        return {}
    return {row["kind"]: row["name"] for row in await conn.fetch(_ROLES)}


async def made(conn: Conn, names: Names) -> bool:
    """Whether this server has all of these roles."""
    wanted = [names.of(kind) for kind in KINDS]
    return bool(await conn.fetchval(_COUNT, wanted) == len(wanted))


async def forget(conn: Conn) -> Names | None:
    """Take it that this database has no roles, for it came from another server.

    Returns what they were called there; None if there were none.
    """
    if not await conn.fetchval(_HAS_ROLES):
        return None
    gone = await conn.fetch("DELETE FROM service_role RETURNING kind, name")
    held = {row["kind"]: row["name"] for row in gone}
    return Names(held["api"].removesuffix("_api")) if "api" in held else None


async def close_functions(conn: Conn) -> None:
    """Take from everybody what acts with the owner's rights, as the schema's migrations do."""
    for function in OWNERS_ALONE:
        await conn.execute(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC")


async def regrant(conn: Conn) -> None:
    """After a change of the schema: give the roles of this database the rights of this version.

    Nothing where there are none, where they have them already, or where we own nothing.
    """
    held = await existing(conn)
    if len(held) < len(KINDS):
        return
    names = Names(held["api"].removesuffix("_api"))
    async with transaction(conn) as tx:
        await tx.execute(_IN_TURN)
        if await tx.fetchval(_GRANTED) == [_fingerprint(names)] or not await tx.fetchval(_IS_OURS):
            return
        for statement in (_noting(names), *_granting(names)):
            await tx.execute(statement)


_IN_TURN: LiteralString = (
    "SELECT pg_advisory_xact_lock(hashtextextended('renown.roles', 0))"  # PostgreSQL minds two
)
_STATEMENT_STATISTICS: LiteralString = "CREATE EXTENSION IF NOT EXISTS pg_stat_statements"
_HAS_ROLES: LiteralString = "SELECT to_regclass('service_role') IS NOT NULL"
_ROLES: LiteralString = """
SELECT s.kind, s.name FROM service_role s JOIN pg_roles r ON r.rolname = s.name
"""
_COUNT: LiteralString = "SELECT count(*) FROM pg_roles WHERE rolname = any($1)"
_GRANTED: LiteralString = "SELECT array_agg(DISTINCT granted) FROM service_role"
_IS_OURS: LiteralString = """
SELECT pg_has_role(relowner, 'USAGE') FROM pg_class WHERE oid = 'service_role'::regclass
"""
_MEMBERS: LiteralString = """
SELECT g.rolname AS role, u.rolname AS member, u.rolconnlimit AS connections
  FROM pg_auth_members m
  JOIN pg_roles g ON g.oid = m.roleid
  JOIN pg_roles u ON u.oid = m.member
 WHERE g.rolname = any($1) AND u.rolcanlogin AND NOT u.rolsuper
   -- Since PostgreSQL 16 whoever makes a role is its member, too.
   AND u.rolname <> current_user
"""


def _making(names: Names) -> list[str]:
    # Two databases of one server may be set up at once.
    return [
        f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{names.of(kind)}') THEN "
        f"CREATE ROLE {names.of(kind)} NOLOGIN; END IF; "
        "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
        for kind in KINDS
    ]


def _limiting(names: Names) -> list[str]:
    return [
        f"ALTER ROLE {names.of(kind)} SET {name} = '{value}'"
        for kind in KINDS
        for name, value in LIMITS[kind].items()
    ]


def _noting(names: Names) -> str:
    rows = ", ".join(f"('{kind}', '{names.of(kind)}', '{_fingerprint(names)}')" for kind in KINDS)
    return (
        f"INSERT INTO service_role (kind, name, granted) VALUES {rows} "
        "ON CONFLICT (kind) DO UPDATE SET name = excluded.name, granted = excluded.granted"
    )


def _granting(names: Names) -> list[str]:
    everyone = ", ".join(names.of(kind) for kind in KINDS)
    statements = [
        f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {everyone}",
        f"REVOKE ALL ON ALL SEQUENCES IN SCHEMA public FROM {everyone}",
        f"REVOKE ALL ON FUNCTION {', '.join(OWNERS_ALONE)} FROM PUBLIC, {everyone}",
        f"GRANT USAGE ON SCHEMA public TO {everyone}",
    ]
    for kind in KINDS:
        role = names.of(kind)
        for table, rights in RIGHTS.items():
            if right := getattr(rights, kind):
                statements.append(f"GRANT {right} ON {table} TO {role}")
        on = [f"USAGE ON SEQUENCE {name}" for name in SEQUENCES.get(kind, ())]
        on += [f"EXECUTE ON FUNCTION {name}" for name in FUNCTIONS.get(kind, ())]
        statements += [f"GRANT {right} TO {role}" for right in on]
    return statements


def _fingerprint(names: Names) -> str:
    return hashlib.sha256("\n".join(_granting(names)).encode()).hexdigest()[:16]
