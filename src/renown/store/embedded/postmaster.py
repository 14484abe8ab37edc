"""Whether a PostgreSQL server runs on a folder: what `postmaster.pid` says, and if it is true."""

from __future__ import annotations

import os
import random
import socket
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from renown.errors import SetupError

_PORT_TRIES = 20


@dataclass(frozen=True, slots=True)
class Postmaster:
    """What a server wrote about itself when it started."""

    pid: int
    pgdata: str  # the folder under the name the server was given
    port: int
    ready: bool  # accepts connections


def read_postmaster(pgdata: Path) -> Postmaster | None:
    """The server that `postmaster.pid` names; it may be long gone. None without such a file.

    Line 1 is the process, 2 the folder, 4 the port, 8 the state (PostgreSQL, pidfile.h).
    """
    try:
        lines = (pgdata / "postmaster.pid").read_text(errors="replace").splitlines()
        return Postmaster(
            pid=int(lines[0]),
            pgdata=lines[1] if len(lines) > 1 else str(pgdata),
            port=int(lines[3]) if len(lines) > 3 else 0,
            ready=len(lines) > 7 and lines[7].strip() == "ready",
        )
    except (OSError, ValueError, IndexError):
        return None


def process_of(named: Postmaster) -> Literal["server", "other", "none"]:
    """What now runs under the process id: that server, something else, or nothing.

    The id alone proves nothing: it may be a zombie, or have been given to a stranger since (in a
    container it usually has). A live PostgreSQL on another folder counts as "other".
    """
    if Path("/proc/self").exists():
        process = Path("/proc") / str(named.pid)
        try:
            state = (process / "stat").read_text(errors="replace").rpartition(")")[2].split()[0]
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            return "none"
        is_server = os.fsencode(named.pgdata) in words
    else:
        columns = ["ps", "-o", "stat=", "-o", "command=", "-p", str(named.pid)]
        answer = subprocess.run(columns, check=False, capture_output=True, text=True).stdout.strip()
        state, is_server = answer[:1], f"-D {named.pgdata}" in answer
    if state in ("", "Z", "X"):
        return "none"
    return "server" if is_server else "other"


def running_on(pgdata: Path) -> Postmaster | None:
    """The live server on `pgdata`, ready or not; None when there is none."""
    named = read_postmaster(pgdata)
    return named if named is not None and process_of(named) == "server" else None


def forget_dead(pgdata: Path) -> None:
    """Remove a `postmaster.pid` that is left over, where that can be known for certain.

    PostgreSQL does it itself when no process of that id lives. It refuses to start for ever when
    the id now belongs to another process of the same account, or to a zombie that nobody reaps.
    While children of a killed server still work in the folder the file must stay: through it
    PostgreSQL finds them. The caller holds the folder's lock.
    """
    named = read_postmaster(pgdata)
    if named is not None and process_of(named) != "server" and not _may_be_inhabited(pgdata):
        (pgdata / "postmaster.pid").unlink(missing_ok=True)


def _may_be_inhabited(pgdata: Path) -> bool:
    """Whether some process works in `pgdata`, as every process of a server does."""
    if not Path("/proc/self").exists():
        return True
    for process in Path("/proc").iterdir():
        if process.name.isdecimal():
            with suppress(OSError):
                if (process / "cwd").readlink() == pgdata:
                    return True
    return False


def free_port(wish: int) -> int:
    """`wish` if nobody listens there, else some free port of the loopback interface.

    Not one that the system gives to outgoing connections, as far as others are free: while the
    server is down for a moment, one of those would take it, and our clients knock in vain.
    """
    lasting = [random.randrange(10_000, _first_passing_port()) for _ in range(_PORT_TRIES)]
    for port in (*filter(None, [wish]), *lasting, 0):
        with socket.socket() as probe, suppress(OSError):
            # As the server does it: a port with connections still dying is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise SetupError("no free port on 127.0.0.1")


def _first_passing_port() -> int:
    """The lowest port that outgoing connections are given."""
    with suppress(OSError, ValueError, IndexError):
        first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        return max(first, 10_100)
    return 32_768
