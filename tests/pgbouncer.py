"""The real PgBouncer, as `deploy/pgbouncer/pgbouncer.ini` has it, before an embedded server."""

from __future__ import annotations

import configparser
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from tests.needs import need_program

SHIPPED = Path(__file__).parents[1] / "deploy/pgbouncer/pgbouncer.ini"
_START_SECONDS = 10.0


class PgBouncer:
    """A PgBouncer of our own before the server at `target`, with our settings. A context manager.

    Args:
        target: URL of the database behind it; its user and password are the clients', too.
        changed: settings other than the shipped ones.
    """

    def __init__(self, target: str, **changed: str | int) -> None:
        self._program = need_program("pgbouncer", "apt-get install pgbouncer")
        self._folder = Path(tempfile.mkdtemp(prefix="renown-pgbouncer-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._changed = {name: str(value) for name, value in changed.items()}
        self._target = urlsplit(target)
        # Kept bound, so that nobody else gets the port; it may listen there all the same.
        self._reserved = socket.socket()
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind(("127.0.0.1", 0))
        self.port: int = self._reserved.getsockname()[1]

    @property
    def url(self) -> str:
        """Of the database, through it."""
        at = self._target
        return f"postgresql://{at.username}:{at.password}@127.0.0.1:{self.port}{at.path}"

    @property
    def log(self) -> str:
        """What it said."""
        return (self._folder / "log").read_text(errors="replace")

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        self._write()
        options: dict[str, Any] = {}
        if os.geteuid() == 0:  # it refuses to run as root
            account = pwd.getpwnam("nobody")
            options = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(self._program), str(self._folder / "pgbouncer.ini")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **options,
            )
        give_up_at = time.monotonic() + _START_SECONDS
        while True:
            assert self._process.poll() is None, self.log
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < give_up_at, self.log
                time.sleep(0.02)

    def kill(self) -> None:
        """End it at once; its clients are cut off."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.kill()
        self._reserved.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _write(self) -> None:
        config = configparser.ConfigParser(interpolation=None)
        config.read(SHIPPED)
        at = self._target
        name = at.path.removeprefix("/")
        where = f"host={at.hostname} port={at.port} dbname={name}"
        config["databases"] = {name: where}
        config["pgbouncer"].update(
            {
                "listen_addr": "127.0.0.1",
                "listen_port": str(self.port),
                "auth_file": str(self._folder / "userlist.txt"),
                **self._changed,
            }
        )
        (self._folder / "userlist.txt").write_text(f'"{at.username}" "{at.password}"\n')
        with (self._folder / "pgbouncer.ini").open("w") as file:
            config.write(file)
        self._folder.chmod(0o755)
        if os.geteuid() == 0:
            owner = pwd.getpwnam("nobody").pw_uid
            for path in (self._folder, *self._folder.iterdir()):
                os.chown(path, owner, -1)
