"""Servers for tests and benchmarks, which leave nothing behind."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from renown.errors import SetupError
from renown.store.embedded.folder import Folder
from renown.store.embedded.postmaster import running_on
from renown.store.embedded.server import EmbeddedPostgres

EPHEMERAL: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "min_wal_size": "32MB",
    "autovacuum": "off",
}
"""Server settings for a cluster that nobody will miss: fast, and lost in a power cut."""

_PREFIX = "renown-ephemeral-"
_MEMORY = Path("/dev/shm")  # noqa: S108 - folders in it are made by mkdtemp
_ROOM_BYTES = 4 * 2**30


@contextmanager
def ephemeral_postgres(
    *,
    bin_dir: Path | None = None,
    settings: Mapping[str, str] = EPHEMERAL,
    in_memory: bool = False,
) -> Iterator[EmbeddedPostgres]:
    """A new server in a temporary folder, gone afterwards.

    Servers that a killed process left behind in this way are stopped and removed first.

    Args:
        in_memory: keep its files in memory where the system has a place for that with room to
            spare. Many small databases come and go ten times as fast there on a busy disk.
    """
    base = scratch_base(in_memory=in_memory)
    for left in base.glob(f"{_PREFIX}*"):
        _remove_if_abandoned(left)
    path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))
    path.chmod(0o711)
    server = EmbeddedPostgres(
        path, bin_dir=bin_dir, settings=settings, initdb_options=("--wal-segsize=1", "--no-sync")
    )
    try:
        server.start()
        yield server
    finally:
        server.stop(at_once=True)
        shutil.rmtree(path, ignore_errors=True)


def scratch_base(*, in_memory: bool) -> Path:
    """The folder for temporary folders; `in_memory` is a wish."""
    if in_memory:
        with suppress(OSError):
            if shutil.disk_usage(_MEMORY).free >= _ROOM_BYTES and os.access(_MEMORY, os.W_OK):
                return _MEMORY
    return Path(tempfile.gettempdir())


def _remove_if_abandoned(path: Path) -> None:
    """Nobody holds the folder's lock: whoever made it is dead. Without a lock file it is new."""
    folder = Folder(path)
    if not (path / "lock").exists():
        return
    try:
        folder.lock()
    except SetupError:
        return
    if (left := running_on(folder.pgdata)) is not None:
        with suppress(OSError):
            os.kill(left.pid, signal.SIGQUIT)
    folder.unlock()
    shutil.rmtree(path, ignore_errors=True)
