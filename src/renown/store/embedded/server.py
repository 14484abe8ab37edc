"""Start, adopt, watch and stop an embedded PostgreSQL server.

The server may outlive a killed Renown; the folder's lock does not. So the next Renown takes the
lock, finds the server through `postmaster.pid`, and goes on with it.
"""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Self

import structlog

from renown.errors import DatabaseUnavailable, SetupError
from renown.store.embedded.folder import DATABASE, Connection, Folder, reason_in
from renown.store.embedded.postmaster import (
    forget_dead,
    free_port,
    read_postmaster,
    running_on,
)
from renown.store.embedded.programs import Account, pg_bin_dir, runnable

log = structlog.get_logger(__name__)

_STOP_SECONDS = 60.0
_OLD_SERVER_SECONDS = 60.0
_LOG_BYTES = 16 * 2**20
_POLL_SECONDS = 0.01

# The server's words, with LC_ALL=C.
_OLD_SERVER_LEAVING = re.compile(r"is still in use|lock file .* already exists")
_PORT_TAKEN = "could not create any TCP/IP sockets"


def service_settings() -> dict[str, str]:
    """Server settings for one bulk writer and a web API on a machine shared with other programs.

    Commits are durable (`synchronous_commit` stays on). Checkpoints are rare, because each one
    makes the next change of every page write that page whole into the log; the price is a longer
    recovery after a crash (seconds). The log is not compressed: it would cost the writer more
    CPU than the bytes are worth, and the wheel's build knows only the slow method.
    """
    memory_mb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return {
        "max_connections": "200",
        "shared_buffers": f"{min(max(memory_mb // 8, 128), 1024)}MB",
        "effective_cache_size": f"{max(memory_mb // 2, 256)}MB",
        "maintenance_work_mem": f"{min(max(memory_mb // 16, 64), 256)}MB",
        "work_mem": "16MB",
        "synchronous_commit": "on",
        "wal_compression": "off",
        "max_wal_size": "2GB",
        "min_wal_size": "256MB",
        "checkpoint_timeout": "15min",
        "random_page_cost": "1.1",  # solid-state disks
        "jit": "off",  # every query is short
        "track_io_timing": "on",
        "autovacuum_naptime": "15s",  # queues are hot
        "idle_in_transaction_session_timeout": "15min",
        "log_autovacuum_min_duration": "10s",
        "log_lock_waits": "on",
        "log_min_duration_statement": "5s",
        "log_parameter_max_length": "0",  # values of strangers, and hashes of keys
    }


class EmbeddedPostgres:
    """A PostgreSQL server on the folder `data_dir`, listening on the loopback interface only.

    Use it as a context manager, or call `start` and `stop`. One owner: not for several threads.

    Args:
        data_dir: folder of its own; made if missing.
        bin_dir: see `pg_bin_dir`.
        port: listen there or fail; by default the port of last time, or a free one.
        settings: server settings (`postgresql.conf` names) on top of `service_settings()`.
        initdb_options: further arguments when the cluster is made, e.g. `--wal-segsize=1`.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        bin_dir: Path | None = None,
        port: int | None = None,
        settings: Mapping[str, str] | None = None,
        initdb_options: tuple[str, ...] = (),
    ) -> None:
        self._folder = Folder(data_dir)
        self._bin_dir = bin_dir
        self._fixed_port = port
        self._settings = service_settings() | dict(settings or {})
        self._initdb_options = initdb_options
        self._connection = Connection(0, "")
        self._child: subprocess.Popen[bytes] | None = None  # None: adopted or not started
        self._pid = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def data_dir(self) -> Path:
        """Its folder."""
        return self._folder.path

    @property
    def pid(self) -> int:
        """Process id of the server, 0 before `start` and after `stop`."""
        return self._pid

    def dsn(self, database: str = DATABASE) -> str:
        """URL of one of its databases, password included. Valid after `start`."""
        return self._connection.dsn(database)

    def start(self) -> str:
        """Start the server, or adopt the one a killed Renown left running; returns `dsn()`.

        Waits for crash recovery however long it takes, saying so in the log. No-op when running.

        Raises:
            DataDirectoryInUse: another live Renown supervises this folder.
            ToolMissing: no PostgreSQL programs on this machine.
            SetupError: wrong version, wrong owner, unreachable folder, or the server's own reason.
        """
        if self._folder.locked and self.is_running():
            return self.dsn()
        bin_dir = pg_bin_dir(self._bin_dir)
        account = self._folder.prepare()
        self._folder.lock()
        try:
            bin_dir = runnable(bin_dir, account)
            self._connection = self._folder.open_cluster(bin_dir, account, self._initdb_options)
            if not self._adopt():
                self._launch_until_ready(bin_dir, account)
            self._folder.remember(self._connection)
        except BaseException:
            self.stop()
            raise
        return self.dsn()

    def stop(self, *, at_once: bool = False) -> None:
        """Stop the server; open transactions are rolled back. No-op when not started.

        In order, so that the next start needs no recovery, unless `at_once`.
        """
        if not self._folder.locked:
            return
        kinds = (signal.SIGQUIT,) if at_once else (signal.SIGINT, signal.SIGQUIT)
        try:
            for kind in kinds:
                if self.is_running():
                    self._signal_and_wait(kind)
            if self.is_running():
                raise DatabaseUnavailable(f"PostgreSQL (process {self._pid}) does not stop")
            self._child, self._pid = None, 0
        finally:
            self._folder.unlock()

    def is_running(self) -> bool:
        """Whether the server process lives. It may still refuse connections while it recovers."""
        if self._child is not None:
            return self._child.poll() is None
        running = running_on(self._folder.pgdata) if self._pid else None
        return running is not None and running.pid == self._pid

    async def keep_running(self, *, check_seconds: float = 1.0) -> None:
        """Start the server again whenever it is gone (crash, out of memory), until cancelled.

        Backs off to a minute while starts fail, e.g. on a full disk.
        """
        pause = check_seconds
        while True:
            await asyncio.sleep(pause)
            if self.is_running():
                pause = check_seconds
                continue
            log.warning("database_server_gone", data_dir=str(self.data_dir))
            try:
                await asyncio.to_thread(self.start)
            except (SetupError, OSError) as exc:
                pause = min(pause * 2, 60.0)
                log.error("database_server_not_started", reason=str(exc), retry_seconds=pause)

    def _adopt(self) -> bool:
        """Take over the server that a killed Renown left on this folder, if one still runs."""
        left = running_on(self._folder.pgdata)
        if left is None:
            return False
        self._child, self._pid = None, left.pid
        if not self._wait_until_ready():
            return False
        self._connection = Connection(left.port, self._connection.password)
        log.info("database_adopted", process=left.pid, port=left.port)
        return True

    def _launch_until_ready(self, bin_dir: Path, account: Account) -> None:
        """Start the server; wait for children of a killed one, and try other ports if taken."""
        give_up = time.monotonic() + _OLD_SERVER_SECONDS
        wish, tries_left = self._connection.port, 5
        while True:
            forget_dead(self._folder.pgdata)
            port = self._fixed_port or free_port(wish)
            self._connection = Connection(port, self._connection.password)
            log_offset = self._launch(bin_dir, account, port)
            if self._wait_until_ready():
                return
            said = self._server_said(log_offset)
            if _OLD_SERVER_LEAVING.search(said) and time.monotonic() < give_up:
                time.sleep(0.1)
            elif _PORT_TAKEN in said and self._fixed_port is None and tries_left:
                wish, tries_left = 0, tries_left - 1
            else:
                raise SetupError(f"PostgreSQL did not start on {self.data_dir}: {reason_in(said)}")

    def _launch(self, bin_dir: Path, account: Account, port: int) -> int:
        """Start the server process; returns where in its log its words begin."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": str(port),
            "unix_socket_directories": "",  # paths over 107 bytes would stop the server
            "shared_preload_libraries": "pg_stat_statements",
            "lc_messages": "C",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_line_prefix": "%m [%p] %a ",
        } | self._settings
        command = [str(bin_dir / "postgres"), "-D", str(self._folder.pgdata)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        server_log = self._folder.server_log
        if server_log.exists() and server_log.stat().st_size > _LOG_BYTES:
            server_log.replace(server_log.with_suffix(".log.1"))
        handle = os.open(server_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            offset = os.lseek(handle, 0, os.SEEK_END)
            self._child = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,  # Ctrl-C is for us; we then stop the server in order
                **account.popen_arguments(),
            )
        finally:
            os.close(handle)
        self._pid = self._child.pid
        return offset

    def _wait_until_ready(self) -> bool:
        """True when the server accepts connections, False when it exited instead."""
        began = time.monotonic()
        next_word = began + 5
        while self.is_running():
            state = read_postmaster(self._folder.pgdata)
            if state is not None and state.pid == self._pid and state.ready:
                return True
            if time.monotonic() > next_word:
                log.info("database_recovering", seconds=round(time.monotonic() - began))
                next_word += 30
            time.sleep(_POLL_SECONDS)
        return False

    def _signal_and_wait(self, kind: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(self._pid, kind)
        give_up = time.monotonic() + _STOP_SECONDS
        while self.is_running() and time.monotonic() < give_up:
            time.sleep(_POLL_SECONDS)

    def _server_said(self, offset: int) -> str:
        with self._folder.server_log.open("rb") as file:
            file.seek(offset)
            return file.read()[-8192:].decode(errors="replace")


def running_dsn(data_dir: Path, database: str = DATABASE) -> str | None:
    """URL of the server that another process keeps on `data_dir`; None when none accepts work.

    For commands run beside `renown up`. Needs the right to read `connection.json`.
    """
    folder = Folder(data_dir)
    running, remembered = running_on(folder.pgdata), folder.remembered()
    if running is None or not running.ready or remembered is None:
        return None
    return Connection(running.port, remembered.password).dsn(database)
