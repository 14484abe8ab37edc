"""The folder of an embedded server: who may use it, its lock, its password, its cluster."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from renown.errors import DataDirectoryInUse, SetupError
from renown.store.embedded.postmaster import running_on
from renown.store.embedded.programs import Account, account_for, major_version

USER = "renown"
DATABASE = "renown"


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach the server; kept in `connection.json`, readable by its owner only."""

    port: int  # 0: none chosen yet
    password: str

    def dsn(self, database: str) -> str:
        """URL of one of the server's databases, password included."""
        return f"postgresql://{USER}:{self.password}@127.0.0.1:{self.port}/{database}"

    def __repr__(self) -> str:
        return f"Connection(port={self.port})"


class Folder:
    """`pgdata` (the cluster), `connection.json`, `server.log` and `lock`, in one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.pgdata = self.path / "pgdata"
        self.server_log = self.path / "server.log"
        self._lock: int | None = None

    # Who ------------------------------------------------------------------------------------------

    def prepare(self) -> Account:
        """Make the folder if missing; returns the account that the server will run under.

        Raises:
            SetupError: we cannot write there, or that account cannot enter.
        """
        account = account_for(self.pgdata if self.pgdata.exists() else self.path)
        if self.pgdata.exists() and self.pgdata.stat().st_uid != account.uid:
            raise SetupError(
                f"{self.pgdata} belongs to another user: start Renown as its owner or as root, "
                "or set RENOWN_DATA_DIR to a folder of your own"
            )
        try:
            missing = [p for p in (self.path, *self.path.parents) if not p.exists()]
            for folder in reversed(missing):
                folder.mkdir(exist_ok=True)
                folder.chmod(0o711)  # whatever the umask: the server's account must get through
        except OSError as exc:
            raise SetupError(
                f"cannot make {self.path} ({exc.strerror}): set RENOWN_DATA_DIR"
            ) from exc
        if not account.may_enter(self.path):
            outermost_first = reversed((self.path, *self.path.parents))
            closed = next(p for p in outermost_first if not account.may_enter(p))
            raise SetupError(
                f"PostgreSQL runs as user '{account.name}', who may not enter {closed}: set "
                "RENOWN_DATA_DIR to a folder it can reach, e.g. /var/lib/renown"
            )
        return account

    # Lock -----------------------------------------------------------------------------------------

    @property
    def locked(self) -> bool:
        """Whether we hold the lock."""
        return self._lock is not None

    def lock(self) -> None:
        """Become the only Renown on this folder. The lock falls with our process, not the server's.

        Raises:
            DataDirectoryInUse: another one is.
        """
        if self._lock is not None:
            return
        path = self.path / "lock"
        try:
            handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise SetupError(f"cannot open {path} ({exc.strerror}): set RENOWN_DATA_DIR") from exc
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip() or "unknown"
            os.close(handle)
            raise DataDirectoryInUse(
                f"another Renown (process {holder}) runs on {self.path}: stop it first, "
                "or set RENOWN_DATA_DIR to another folder for a second installation"
            ) from None
        except OSError as exc:
            os.close(handle)
            raise SetupError(
                f"{self.path} is on a file system without locks ({exc.strerror}): "
                "set RENOWN_DATA_DIR to a local disk"
            ) from exc
        os.ftruncate(handle, 0)
        os.pwrite(handle, f"{os.getpid()}\n".encode(), 0)
        self._lock = handle

    def unlock(self) -> None:
        """Let another Renown in. No-op without the lock."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    # Connection -----------------------------------------------------------------------------------

    def remembered(self) -> Connection | None:
        """Port and password of last time; None when there is no readable `connection.json`."""
        try:
            kept = json.loads((self.path / "connection.json").read_text())
            return Connection(int(kept["port"]), str(kept["password"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def remember(self, connection: Connection) -> None:
        """Keep port and password for the next start, whole or not at all."""
        path = self.path / "connection.json"
        scratch = path.with_suffix(".new")
        handle = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as file:
            json.dump({"port": connection.port, "password": connection.password}, file)
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)

    # Cluster --------------------------------------------------------------------------------------

    def open_cluster(
        self, bin_dir: Path, account: Account, initdb_options: tuple[str, ...]
    ) -> Connection:
        """The cluster, made if missing, ready for a server of `bin_dir`; how to reach it.

        Raises:
            SetupError: the cluster is of another major version, or one of the programs failed.
        """
        if not self.pgdata.exists():
            self._make_cluster(bin_dir, account, initdb_options)
        self._check_version(bin_dir)
        return self.remembered() or self._new_password(bin_dir, account)

    def _make_cluster(
        self, bin_dir: Path, account: Account, initdb_options: tuple[str, ...]
    ) -> None:
        """Under another name first, so that a half-made cluster is never used."""
        new = self.path / "pgdata.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        os.chown(new, account.uid, account.gid)
        connection = Connection(0, secrets.token_urlsafe(24))
        locale = ["--locale=C.UTF-8"]
        if major_version(bin_dir) >= 17:
            locale.append("--locale-provider=builtin")  # the same order on every machine
        with tempfile.NamedTemporaryFile("w", dir=self.path) as password_file:
            password_file.write(connection.password)
            password_file.flush()
            os.chown(password_file.name, account.uid, account.gid)
            initdb = [str(bin_dir / "initdb"), "-D", str(new), "-U", USER]
            initdb += ["--pwfile", password_file.name, "--auth=scram-sha-256", "--encoding=UTF8"]
            initdb += ["--data-checksums", "--no-instructions", *locale, *initdb_options]
            self._run(account, initdb)
        self._single_user(bin_dir, account, new, f"CREATE DATABASE {DATABASE}")
        self.remember(connection)
        new.rename(self.pgdata)

    def _new_password(self, bin_dir: Path, account: Account) -> Connection:
        """For a cluster that came without its `connection.json`, copied or restored."""
        if (running := running_on(self.pgdata)) is not None:
            raise SetupError(
                f"{self.path / 'connection.json'} is missing while the server runs: "
                f"stop it with 'kill -INT {running.pid}' and start Renown again"
            )
        connection = Connection(0, secrets.token_urlsafe(24))
        self._single_user(
            bin_dir, account, self.pgdata, f"ALTER ROLE {USER} PASSWORD '{connection.password}'"
        )
        return connection

    def _check_version(self, bin_dir: Path) -> None:
        try:
            made_by = int((self.pgdata / "PG_VERSION").read_text())
        except (OSError, ValueError) as exc:
            raise SetupError(f"{self.pgdata} is not a PostgreSQL data directory") from exc
        major = major_version(bin_dir)
        if made_by != major:
            raise SetupError(
                f"{self.pgdata} was made by PostgreSQL {made_by}, the programs in {bin_dir} are "
                f"{major}: set RENOWN_PG_BIN_DIR to PostgreSQL {made_by}, or move the data with "
                "pg_upgrade, or move it away and index again"
            )

    def _single_user(self, bin_dir: Path, account: Account, pgdata: Path, statement: str) -> None:
        """Run one statement without a server, hence without a password, and without a trace."""
        command = [str(bin_dir / "postgres"), "--single", "-j", "-D", str(pgdata)]
        command += ["-c", "log_min_error_statement=panic", "postgres"]
        self._run(account, command, stdin=f"{statement};\n\n")

    def _run(self, account: Account, command: list[str], stdin: str = "") -> None:
        done = subprocess.run(
            command,
            check=False,
            input=stdin,
            capture_output=True,
            text=True,
            **account.popen_arguments(),
        )
        if done.returncode:
            program = Path(command[0]).name
            raise SetupError(f"{program} failed on {self.path}: {reason_in(done.stderr)}")


def reason_in(output: str) -> str:
    """The words of a PostgreSQL program's output that say why it failed, on one line."""
    lines = [line for line in output.splitlines() if line.strip()]
    telling = [
        line[line.index(word) :]
        for line in lines
        for word in ("FATAL:", "PANIC:", "HINT:", "error:")
        if word in line
    ]
    # A crash that a full disk made comes with a hint to use the last backup, which is not needed.
    no_room = [line for line in telling if "No space left on device" in line]
    return " ".join(no_room or telling or lines[-3:])[:600] or "no reason given"
