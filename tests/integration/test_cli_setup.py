"""What is wrong with an installation, said so that it can be mended; no secret among it."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from renown.store.embedded import EPHEMERAL, EmbeddedPostgres
from tests.command import data_directory, renown

SECRET = "hunter2"


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        (f"postgresql://me:{SECRET}@127.0.0.1:9/renown", 69, "127.0.0.1:9/renown"),
        (f"mysql://me:{SECRET}@127.0.0.1/renown", 78, "postgresql://"),
        (f"postgresql://me:{SECRET}@127.0.0.1:port/renown", 78, "postgresql://"),
    ],
)
@pytest.mark.parametrize("command", ["status", "up", "index", "serve"])
def test_wrong_database_url__is_one_line_without_the_password(
    command: str, url: str, code: int, words: str, tmp_path: Path
) -> None:
    port = [] if command in ("status", "index") else ["--port", "0"]

    outcome = renown(
        command, *port, DATABASE_URL=url, RENOWN_DATA_DIR=str(tmp_path), RENOWN_HOST="127.0.0.1"
    )

    assert outcome.code == code, outcome.err
    assert words in outcome.err
    assert SECRET not in outcome.err
    assert outcome.err.count("\n") == 1


def test_wrong_password__names_the_place_only(database_url: str, tmp_path: Path) -> None:
    before, _, place = database_url.partition("@")

    outcome = renown(
        "status",
        DATABASE_URL=f"{before.rpartition(':')[0]}:{SECRET}@{place}",
        RENOWN_DATA_DIR=str(tmp_path),
    )

    assert outcome.code == 78
    assert place in outcome.err
    assert SECRET not in outcome.err


def test_database_that_does_not_exist__says_how_to_make_it(
    database_url: str, tmp_path: Path
) -> None:
    outcome = renown(
        "status",
        DATABASE_URL=database_url.rpartition("/")[0] + "/nowhere",
        RENOWN_DATA_DIR=str(tmp_path),
    )

    assert outcome.code == 78
    assert "createdb" in outcome.err


def test_unknown_setting__stops_the_start(tmp_path: Path) -> None:
    outcome = renown("status", RENOWN_DATA_DIR=str(tmp_path), RENOWN_PROT="1")

    assert outcome.code == 78
    assert "RENOWN_PROT" in outcome.err
    assert "RENOWN_PORT" in outcome.err


@pytest.mark.parametrize(
    "command", ["index", "crawl", "probe", "watch", "notary", "up --no-api", "status", "db migrate"]
)
def test_only_a_pooler_is_known__who_needs_a_session__refuses(
    command: str, database_url: str, tmp_path: Path
) -> None:
    outcome = renown(
        *command.split(),
        DATABASE_URL=database_url,
        RENOWN_PG_STATEMENT_CACHE="0",
        RENOWN_DATA_DIR=str(tmp_path),
    )

    assert outcome.code == 78, outcome.err
    assert "set DATABASE_DIRECT_URL" in outcome.err
    assert outcome.err.count("\n") == 1


def test_pooler_and_the_way_around_it__who_needs_a_session__has_one(
    database_url: str, tmp_path: Path
) -> None:
    for command in ("db migrate", "status"):
        outcome = renown(
            *command.split(),
            DATABASE_URL="postgresql://pooler.invalid/renown",
            DATABASE_DIRECT_URL=database_url,
            RENOWN_PG_STATEMENT_CACHE="0",
            RENOWN_DATA_DIR=str(tmp_path),
        )

        assert outcome.code == 0, outcome.err


def test_port_in_use__names_the_option(database_url: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

        outcome = renown(
            *("serve", "--port", str(port), "--host", "127.0.0.1"),
            DATABASE_URL=database_url,
            RENOWN_DATA_DIR=str(tmp_path),
        )

    assert outcome.code == 78
    assert f"port {port}" in outcome.err
    assert "--port" in outcome.err


def test_host_that_is_not_ours__names_the_option(database_url: str, tmp_path: Path) -> None:
    outcome = renown(
        *("serve", "--host", "192.0.2.1"), DATABASE_URL=database_url, RENOWN_DATA_DIR=str(tmp_path)
    )

    assert outcome.code == 78
    assert "--host" in outcome.err


@pytest.fixture(scope="module")
def running() -> Iterator[EmbeddedPostgres]:
    """A server on a data directory, not started."""
    with data_directory() as folder:
        yield EmbeddedPostgres(
            folder, settings=EPHEMERAL, initdb_options=("--wal-segsize=1", "--no-sync")
        )


def test_data_directory_in_use__stops_up_and_makes_guests_of_others(
    running: EmbeddedPostgres,
) -> None:
    folder = str(running.data_dir)
    with running:
        up = renown("up", "--no-api", RENOWN_DATA_DIR=folder)
        guest = renown("db", "migrate", RENOWN_DATA_DIR=folder)
        status = renown("status", RENOWN_DATA_DIR=folder)

        assert running.is_running()

    assert up.code == 75
    assert folder in up.err
    assert guest.code == 0, guest.err
    assert status.code == 0, status.err


def test_embedded_database_of_nobody__is_started_for_the_command_and_stopped(
    running: EmbeddedPostgres,
) -> None:
    status = renown("db", "status", RENOWN_DATA_DIR=str(running.data_dir))

    assert status.code == 0, status.err
    assert not running.is_running()
    with running:
        pass  # nobody holds the folder
