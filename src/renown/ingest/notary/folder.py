"""The folder outside the database that checkpoints are written to.

`checkpoints.log` holds every note in order, each followed by an empty line; `checkpoint` is the
latest one alone, for whoever copies it elsewhere. Both survive a crash at any moment: the log is
only appended to and flushed, and a note that was cut off is taken off again before the next one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from renown.audit.checkpoint import MOST_NOTE_BYTES, split_notes
from renown.errors import OutputFailed

LOG, LATEST = "checkpoints.log", "checkpoint"
_TAIL_BYTES = 4 * MOST_NOTE_BYTES


class CheckpointFolder:
    """Checkpoints in a folder, which is made when the first one is added."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def latest(self) -> str | None:
        """The last whole note of the log; None where there is none.

        Raises:
            OutputFailed: the folder cannot be read.
        """
        with _naming(self.path):
            try:
                with (self.path / LOG).open("rb") as file:
                    size = file.seek(0, os.SEEK_END)
                    file.seek(max(0, size - _TAIL_BYTES))
                    tail = file.read().decode(errors="replace")
            except FileNotFoundError:
                return None
        if size > _TAIL_BYTES:  # begins within a note
            tail = tail.partition("\n")[2]
        notes = list(split_notes(tail.split("\n")[:-1]))
        return notes[-1] if notes else None

    def notes(self) -> Iterator[str]:
        """Every whole note of the log, in order; nothing where there is none."""
        yield from read_notes(self.path / LOG)

    def add(self, note: str) -> None:
        """Write a note behind the others; on the disk when this returns.

        Raises:
            OutputFailed: it could not be written; what is there stays readable.
        """
        with _naming(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path / LOG, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "r+b") as file:
                _mend(file)
                file.seek(0, os.SEEK_END)
                file.write(f"{note}\n".encode())
                _flush(file)
            fresh = self.path / f".{LATEST}.{os.getpid()}"
            with fresh.open("wb") as file:
                file.write(note.encode())
                _flush(file)
            fresh.replace(self.path / LATEST)
            _flush_folder(self.path)

    def set_aside(self) -> Path | None:
        """Rename the log, so that a new one begins; returns its new name, None where there is
        none. Nothing is removed: it shows what was signed.

        Raises:
            OutputFailed
        """
        with _naming(self.path):
            log = self.path / LOG
            if not log.exists():
                return None
            aside = self.path / time.strftime("checkpoints-given-up-%Y%m%dT%H%M%SZ.log", _utc())
            log.rename(aside)
            (self.path / LATEST).unlink(missing_ok=True)
            _flush_folder(self.path)
            return aside

    def given_up(self) -> list[str]:
        """Names of logs that were set aside."""
        return sorted(path.name for path in self.path.glob("checkpoints-given-up-*.log"))


def read_notes(path: Path) -> Iterator[str]:
    """Every whole note of a file; nothing where there is no file.

    Raises:
        OutputFailed: it cannot be read.
    """
    with _naming(path):
        try:
            file = path.open("rb")
        except FileNotFoundError:
            return
        with file:
            yield from split_notes(_lines(file))


def _lines(file: BinaryIO) -> Iterator[str]:
    # A line without an end would be read whole: no line of ours is longer.
    while line := file.readline(MOST_NOTE_BYTES):
        yield line.removesuffix(b"\n").decode(errors="replace")


def _mend(file: BinaryIO) -> None:
    """Take off what a crash left of a note at the end."""
    size = file.seek(0, os.SEEK_END)
    begin = max(0, size - _TAIL_BYTES)
    file.seek(begin)
    tail = file.read()
    end = _end_of_last_note(tail)
    if end != len(tail) and (end or not begin):
        file.truncate(begin + end)


def _end_of_last_note(tail: bytes) -> int:
    """How many bytes come before what was cut off: up to the empty line behind a signature."""
    end, at, is_signature = 0, 0, False
    mark = "\N{EM DASH} ".encode()
    for line in tail.split(b"\n")[:-1]:
        at += len(line) + 1
        if not line and is_signature:
            end = at
        is_signature = line.startswith(mark)
    return end


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())


def _flush_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _utc() -> time.struct_time:
    return time.gmtime()


class _naming:  # noqa: N801 - reads as the statement it is
    def __init__(self, path: Path) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OSError):
            raise OutputFailed(
                f"checkpoints cannot be kept in {self._path}: {error.strerror}"
            ) from error
