"""Dumps of the database by PostgreSQL's own programs, and what tells whether a copy is whole."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import LiteralString
from urllib.parse import parse_qsl, unquote, urlencode

from renown.errors import OutputFailed, StoreError
from renown.store.embedded.folder import reason_in
from renown.store.embedded.programs import minimal_environment
from renown.store.pool import Conn, Tx
from renown.store.schema import schema_dump

Advance = Callable[[int], None]
"""Told how many tables are done."""


async def export_snapshot(tx: Tx) -> str:
    """A name by which others see what this repeatable-read transaction does, while it is open.

    No limit of time ends the transaction from now on: it waits, idle, for as long as they read.
    """
    await tx.execute(_NO_LIMITS)
    name: str = await tx.fetchval("SELECT pg_export_snapshot()")
    return name


async def dump(
    url: str, snapshot: str, target: Path, *, bin_dir: Path, jobs: int, advance: Advance
) -> None:
    """Write what `snapshot` sees to `target`: a file, or with `jobs` over 1 a folder.

    An existing file keeps its mode; a folder must not exist, and is for us only.

    Raises:
        OutputFailed: in the program's own words.
    """
    form = ["--format=directory", f"--jobs={jobs}"] if jobs > 1 else ["--format=custom"]
    command = ["pg_dump", *form, "--compress=1", "--verbose", f"--snapshot={snapshot}"]
    command += [f"--file={target}"]
    await _run(bin_dir, command, url, advance, _DUMPING)


async def load(
    url: str, source: Path, *, bin_dir: Path, jobs: int, scratch: Path, advance: Advance
) -> None:
    """Load a dump into an empty database, whose user will own all of it.

    Rows come before triggers and foreign keys, so that no trigger sees them. With one job it is
    one transaction: all of it, or nothing. Grants are left out.

    Args:
        scratch: a folder for a list of the dump's contents.

    Raises:
        OutputFailed: in the program's own words.
    """
    listed = await _run(bin_dir, ["pg_restore", "--list", str(source)], None, None, None)
    wanted = scratch / "contents"
    # An extra of the server that was dumped, which not every server has.
    kept = [line for line in listed.splitlines() if not _STATEMENT_STATISTICS.search(line)]
    wanted.write_text("\n".join(kept) + "\n")
    how = [f"--jobs={jobs}"] if jobs > 1 else ["--single-transaction"]
    command = ["pg_restore", *how, "--exit-on-error", "--no-owner", "--no-privileges"]
    command += ["--no-comments", "--verbose", f"--use-list={wanted}", str(source)]
    await _run(bin_dir, command, url, advance, _LOADING)


async def is_empty(conn: Conn) -> bool:
    """Whether the database holds nothing of anybody's, extensions aside."""
    return not await conn.fetchval(_ANYTHING)


async def table_count(conn: Conn) -> int:
    """How many tables there are, partitions one by one."""
    return len(await conn.fetch(_TABLES))


async def row_counts(conn: Conn) -> dict[str, int]:
    """Rows of every table, partitions one by one."""
    counts = {}
    for (table,) in await conn.fetch(_TABLES):
        counts[table] = await conn.fetchval(f"SELECT count(*) FROM {table}")
    return counts


async def schema_hash(conn: Conn) -> str:
    """SHA-256 of the schema, hex, without what belongs to the server: its roles, its extras."""
    text = await schema_dump(conn)
    lines = (line for line in text.splitlines() if not _OF_THE_SERVER.match(line))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


async def sequences_behind(conn: Conn) -> list[str]:
    """Sequences that would give numbers again that are taken."""
    behind = []
    owned = [tuple(row) for row in await conn.fetch(_OWNED_SEQUENCES)]
    for sequence, table, column in (*owned, *_FREE_SEQUENCES):
        highest, last = await conn.fetchrow(  # type: ignore[misc]
            f'SELECT (SELECT max("{column}") FROM {table}), pg_sequence_last_value($1::regclass)',
            sequence,
        )
        if highest is not None and (last is None or last < highest):
            behind.append(sequence)
    return behind


def without_password(url: str) -> tuple[str, str | None]:
    """`url` fit for a command line, which everybody may see, and the password it had."""
    scheme, _, rest = url.partition("://")
    address, _, query = rest.partition("?")
    authority, slash, database = address.partition("/")
    user, at, hosts = authority.rpartition("@")
    name, colon, secret = user.partition(":")
    given = parse_qsl(query)
    password = unquote(secret) if colon else dict(given).get("password")
    rest = urlencode([(key, value) for key, value in given if key != "password"])
    shown = f"{scheme}://{name}{at}{hosts}{slash}{database}" + (f"?{rest}" if rest else "")
    return shown, password


# One of the limits is of PostgreSQL 17 and later.
_NO_LIMITS: LiteralString = """
SELECT set_config(name, '0', true) FROM pg_settings
 WHERE name IN ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')
"""
_DUMPING = re.compile(r"dumping contents of table")
_LOADING = re.compile(r"processing data for table")
_OF_THE_SERVER = re.compile(r" *grants? |extension pg_stat_statements$|$")
_STATEMENT_STATISTICS = re.compile(r" EXTENSION - pg_stat_statements\b")

_ANYTHING: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_class c
     WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f')
       AND c.relnamespace::regnamespace::text !~ '^(pg_|information_schema$)'
       AND NOT EXISTS (SELECT FROM pg_depend d
                        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid
                          AND d.deptype = 'e'))
"""
_TABLES: LiteralString = """
SELECT c.oid::regclass::text FROM pg_class c
 WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
   AND NOT EXISTS (SELECT FROM pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
 ORDER BY 1
"""
_OWNED_SEQUENCES: LiteralString = """
SELECT d.objid::regclass::text, d.refobjid::regclass::text, a.attname::text
  FROM pg_depend d
  JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S'
  JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
   AND d.deptype IN ('i', 'a') AND s.relnamespace = 'public'::regnamespace
 ORDER BY 1
"""
_FREE_SEQUENCES = (
    ("audit_entry_id", "audit_log", "entry_id"),
    ("profile_revision", "agent_profile", "revision"),
)


async def _run(
    bin_dir: Path,
    command: Sequence[str],
    url: str | None,
    advance: Advance | None,
    done: re.Pattern[str] | None,
) -> str:
    """Run one of the programs on a database; returns what it printed."""
    program, *arguments = command
    environment = _environment()
    if url is not None:
        shown, password = without_password(url)
        arguments = [f"--dbname={shown}", *arguments]
        if password is not None:
            environment["PGPASSWORD"] = password
    process = await asyncio.create_subprocess_exec(
        str(bin_dir / program),
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        env=environment,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        printed, said = await asyncio.gather(
            process.stdout.read(), _told(process.stderr, advance, done)
        )
        code = await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if code:
        failure = f"{program} failed: {reason_in(said)}"
        raise StoreError(failure) if "connection to server" in said else OutputFailed(failure)
    return printed.decode()


async def _told(
    stream: asyncio.StreamReader, advance: Advance | None, done: re.Pattern[str] | None
) -> str:
    """Read what a program says while it works; returns the last of it."""
    last: list[str] = []
    tables = 0
    async for raw in stream:
        line = raw.decode(errors="replace")
        last = [*last[-19:], line]
        if advance is not None and done is not None and done.search(line):
            tables += 1
            advance(tables)
    return "".join(last)


def _environment() -> dict[str, str]:
    """Ours for such programs, and what tells libpq of certificates and passwords."""
    inherited = {name: value for name, value in os.environ.items() if name.startswith("PG")}
    if home := os.environ.get("HOME"):
        inherited["HOME"] = home
    return minimal_environment() | inherited
