"""Fixtures everyone shares: one PostgreSQL per session, a migrated database per module.

`database_url` is the URL of a clone of the migrated template, `pool` and `conn` open it, and `tx`
is a transaction that is never committed. `empty_database_url` has no schema. Set
RENOWN_TEST_PG_BIN to the folder of another PostgreSQL's programs to run on that version.

A test that needs a program which may be missing calls `skip_unless`; the last line of a run counts
passed, failed and skipped tests.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from renown.store.embedded import EmbeddedPostgres, ephemeral_postgres
from renown.store.migrate import migrate
from renown.store.pool import Conn, Pool, Tx, connect, connect_pool

STRICT = os.environ.get("RENOWN_STRICT") == "1"
TEMPLATE = "renown_template"

_numbers = itertools.count(1)


def skip_unless(found: object, tool: str, install_hint: str) -> None:
    """Skip the running test when `found` is false, saying how to get `tool`; fail when strict."""
    if found:
        return
    reason = f"{tool} is missing: {install_hint}"
    if STRICT:
        pytest.fail(f"{reason} (skips are failures with RENOWN_STRICT=1)", pytrace=False)
    pytest.skip(reason)


def need_program(name: str, install_hint: str) -> Path:
    """Path of a program; where it is missing, `skip_unless`."""
    path = shutil.which(name)
    skip_unless(path, name, install_hint)
    assert path is not None
    return Path(path)


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see none of the caller's settings, so that none can reach a real database or node."""
    patch = pytest.MonkeyPatch()
    for name in list(os.environ):
        if name in OPERATOR_VARIABLES or (name.startswith("RENOWN_") and name not in OUR_VARIABLES):
            patch.delenv(name)
    yield
    patch.undo()


OUR_VARIABLES = {"RENOWN_STRICT", "RENOWN_TEST_PG_BIN"}
OPERATOR_VARIABLES = {"DATABASE_URL", "DATABASE_DIRECT_URL", "REDIS_URL", "RPC_URL", "CHAIN"}


# PostgreSQL --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server: fast, and gone afterwards."""
    chosen = os.environ.get("RENOWN_TEST_PG_BIN")
    with ephemeral_postgres(bin_dir=Path(chosen) if chosen else None) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """Name of a migrated database, to be cloned."""

    async def make() -> None:
        admin = await connect(postgres.dsn())
        await admin.execute(f"CREATE DATABASE {TEMPLATE}")
        await admin.close()
        await migrate(postgres.dsn(TEMPLATE))

    asyncio.run(make())
    return TEMPLATE


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres) -> Callable[[str], str]:
    """`new_database(template)` makes a database and returns its URL. All go with the server."""

    def clone(source: str) -> str:
        name = f"test_{next(_numbers)}"

        async def run() -> None:
            admin = await connect(postgres.dsn())
            await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source}")
            await admin.close()

        asyncio.run(run())
        return postgres.dsn(name)

    return clone


@pytest.fixture(scope="module")
def database_url(new_database: Callable[[str], str], template: str) -> str:
    """URL of a migrated database that the tests of one module share."""
    return new_database(template)


@pytest.fixture
def fresh_database_url(new_database: Callable[[str], str], template: str) -> str:
    """URL of a migrated database for one test, which may commit."""
    return new_database(template)


@pytest.fixture
def empty_database_url(new_database: Callable[[str], str]) -> str:
    """URL of a database without any schema, for one test."""
    return new_database("template0")


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    """A small pool on the module's database, as the API opens it."""
    opened = await connect_pool(database_url, min_size=1, max_size=4)
    yield opened
    await opened.close(grace_seconds=2)


@pytest.fixture
async def conn(database_url: str) -> AsyncIterator[Conn]:
    """A connection on the module's database, as a writer opens it."""
    opened = await connect(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def tx(conn: Conn) -> AsyncIterator[Tx]:
    """A transaction on the module's database that is rolled back after the test."""
    work = conn.transaction()
    await work.start()
    yield Tx(conn)
    await work.rollback()


# The last line -----------------------------------------------------------------------------------


@pytest.hookimpl(trylast=True)
def pytest_unconfigure(config: pytest.Config) -> None:
    """Print why tests were skipped, then `N passed, N failed, N skipped` as the very last line."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.option.collectonly:
        return
    counts = {
        "passed": len(reporter.getreports("passed")),
        "failed": len(reporter.getreports("failed")) + len(reporter.getreports("error")),
        "skipped": len(reporter.getreports("skipped")),
    }
    reasons: dict[str, int] = {}
    for report in reporter.getreports("skipped"):
        reason = re.sub(r"^Skipped: ", "", report.longrepr[2]) if report.longrepr else "no reason"
        reasons[reason] = reasons.get(reason, 0) + 1
    for reason, count in sorted(reasons.items()):
        reporter.write_line(f"skipped {count}: {reason}")
    reporter.write_line(", ".join(f"{count} {word}" for word, count in counts.items()))
