"""Fixtures everyone shares: one PostgreSQL per session, a migrated database per module.

`database_url` is the URL of a clone of the migrated template, `pool` and `conn` open it, and `tx`
is a transaction that is never committed. `empty_database_url` has no schema.

What may be missing on a machine is asked for through `tests.needs`. The last line of a run counts
passed, failed and skipped tests; the lines before it say why tests were skipped.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import settings as hypothesis_settings

from renown.settings import describe
from renown.store.embedded import EmbeddedPostgres, ephemeral_postgres
from renown.store.migrate import migrate
from renown.store.pool import Conn, Pool, Tx, connect, connect_pool
from tests import counts
from tests.needs import OTHER_POSTGRES, need_program, skip_unless

__all__ = ["need_program", "skip_unless"]

NewDatabase: TypeAlias = Callable[[str], str]

TEMPLATE = "renown_template"

_numbers = itertools.count(1)

# The same examples in every run; `--hypothesis-profile=long` looks for new ones.
hypothesis_settings.register_profile("repeatable", derandomize=True, deadline=None)
hypothesis_settings.register_profile("long", max_examples=2_000, deadline=None)
hypothesis_settings.load_profile("repeatable")


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> Iterator[None]:
    """Tests see none of the caller's settings, so that none can reach a real database or node."""
    with pytest.MonkeyPatch.context() as patch:
        for name in {*os.environ} & {row.variable for row in describe()}:
            patch.delenv(name)
        yield


# PostgreSQL --------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server: fast, and gone afterwards."""
    bin_dir = Path(OTHER_POSTGRES) if OTHER_POSTGRES else None
    with ephemeral_postgres(bin_dir=bin_dir, in_memory=True) as server:
        yield server


@pytest.fixture(scope="session")
def template(postgres: EmbeddedPostgres) -> str:
    """Name of a migrated database, to be cloned."""
    asyncio.run(_as_admin(postgres, f"CREATE DATABASE {TEMPLATE}"))
    asyncio.run(migrate(postgres.dsn(TEMPLATE)))
    return TEMPLATE


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres) -> NewDatabase:
    """`new_database(template)` makes one more database and returns its URL; all go with the server.

    Blocking, and not inside a running loop: from an async test call it in a thread.
    """

    def clone(source: str) -> str:
        name = f"test_{next(_numbers)}"
        asyncio.run(_as_admin(postgres, f"CREATE DATABASE {name} TEMPLATE {source}"))
        return postgres.dsn(name)

    return clone


@pytest.fixture(scope="module")
def database_url(
    postgres: EmbeddedPostgres, new_database: NewDatabase, template: str
) -> Iterator[str]:
    """URL of a migrated database that the tests of one module share."""
    with _dropped(postgres, new_database(template)) as url:
        yield url


@pytest.fixture
def fresh_database_url(
    postgres: EmbeddedPostgres, new_database: NewDatabase, template: str
) -> Iterator[str]:
    """URL of a migrated database for one test, which may commit."""
    with _dropped(postgres, new_database(template)) as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: EmbeddedPostgres, new_database: NewDatabase) -> Iterator[str]:
    """URL of a database without any schema, for one test."""
    with _dropped(postgres, new_database("template0")) as url:
        yield url


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


@contextmanager
def _dropped(postgres: EmbeddedPostgres, url: str) -> Iterator[str]:
    """`url`, and at the end its database is dropped, whoever is still connected."""
    yield url
    name = url.rpartition("/")[2]
    asyncio.run(_as_admin(postgres, f"DROP DATABASE {name} WITH (FORCE)"))


async def _as_admin(postgres: EmbeddedPostgres, statement: str) -> None:
    admin = await connect(postgres.dsn())
    await admin.execute(statement)
    await admin.close()


# In any order ------------------------------------------------------------------------------------


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--shuffle=SEED`: other orders find tests that lean on each other."""
    parser.addoption(
        "--shuffle",
        metavar="SEED",
        help="Run modules, and the tests of each, in an order that follows from SEED.",
    )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Modules stay together: what their tests share is made once."""
    seed = config.getoption("--shuffle")
    if seed is None:
        return
    modules: dict[str, list[pytest.Item]] = {}
    for item in items:
        modules.setdefault(item.nodeid.partition("::")[0], []).append(item)
    dice = random.Random(seed)
    groups = list(modules.values())
    dice.shuffle(groups)
    for group in groups:
        dice.shuffle(group)
    items[:] = [item for group in groups for item in group]


def pytest_report_header() -> str:
    """How often the tests that repeat themselves do so in this run."""
    return (
        f"counts: {counts.SIMULATION_SEEDS} simulation seeds, {counts.KILLS} kills in"
        f" {counts.KILL_EVENTS} events, {counts.OPERATION_KILLS} in 200 writes,"
        f" {counts.PAST_BLOCKS} past blocks"
    )


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
