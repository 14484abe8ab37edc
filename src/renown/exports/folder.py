"""The folder an export is written to: one writer, whole files only, and a note of what is done.

Kill the process anywhere: what has its final name is complete, and what the note names is that. A
file is written under another name, brought to disk and then renamed; the note is replaced the same
way; the manifest comes last and the note goes.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from renown.errors import ExportConflict, OutputFailed
from renown.store.exported import FORMAT_VERSION, MANIFEST, Block, ExportFile, Format, Manifest

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NOTE = "progress.json"
UNFINISHED = ".part"


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What an export is asked to hold. An unfinished one goes on only if asked for the same.

    Attributes:
        chains: ids; None for all of the index.
        at: as it was asked for; None for the final block of each chain.
        part_rows: rows of what is walked, in one file at most.
    """

    format: Format
    tables: tuple[str, ...]
    chains: tuple[int, ...] | None = None
    at: str | None = None
    part_rows: int


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A file that is done, and the key up to which it goes."""

    table: str
    last: int
    walked: int
    file: ExportFile


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """An unfinished export: what it is of, decided at its start, and what is done."""

    id: str
    renown_version: str
    wanted: Wanted
    started_at: datetime
    as_of: list[Block]
    epochs: dict[int, int]
    parts: list[Part] = []
    format_version: int = FORMAT_VERSION


class Folder:
    """One folder, held by this process. Made by `hold`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def is_new(self) -> bool:
        """Whether there is nothing in it, but for what a process left that was killed at once."""
        return all(entry.name == f"{NOTE}{UNFINISHED}" for entry in self.path.iterdir())

    def note(self) -> Note | None:
        """What is noted of an unfinished export; None where none was begun.

        Raises:
            ExportConflict: it cannot be read, or a file that it names is missing or cut.
        """
        note = read_note(self.path)
        if note is None:
            if (self.path / NOTE).exists():
                raise ExportConflict(
                    f"{self.path / NOTE} is not of this version of Renown: delete the folder"
                )
            return None
        for part in note.parts:
            if self._size(part.file.name) != part.file.bytes:
                raise ExportConflict(
                    f"{self.path / part.file.name} is missing or was changed: delete the folder and"
                    " begin a new export"
                )
        return note

    def write_note(self, note: Note) -> None:
        """Replace the note."""
        self._replace(NOTE, msgspec.json.encode(note))

    def finish(self, manifest: Manifest) -> None:
        """Write the manifest, and take away what only an unfinished export needs."""
        content = msgspec.json.format(msgspec.json.encode(manifest), indent=1)
        self._replace(MANIFEST, content + b"\n")
        (self.path / NOTE).unlink(missing_ok=True)
        for left in self.path.glob(f"*{UNFINISHED}"):
            left.unlink(missing_ok=True)

    @contextmanager
    def file(self, name: str) -> Iterator[Output]:
        """A file to write, which has its name once the block ends well and is on disk by then.

        Raises:
            OutputFailed: it cannot be written.
        """
        unfinished = self.path / f"{name}{UNFINISHED}"
        with _naming_failures(unfinished):
            output = Output(unfinished)
        try:
            yield output
            with _naming_failures(unfinished):
                output.settle()
                unfinished.rename(self.path / name)
                _sync_folder(self.path)
        finally:
            output.close()
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)

    def _replace(self, name: str, content: bytes) -> None:
        with self.file(name) as output:
            output.write(content)

    def _size(self, name: str) -> int:
        try:
            return (self.path / name).stat().st_size
        except OSError:
            return -1


class Output(io.RawIOBase):
    """A new file that knows the length and the SHA-256 of what it was given."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path
        self._file = path.open("wb", buffering=0)
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    @property
    def sha256(self) -> str:
        """Of all that was written, in hexadecimal."""
        return self._hash.hexdigest()

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size_bytes

    def write(self, content: ReadableBuffer, /) -> int:
        """Write all of it. Raises OutputFailed."""
        view = memoryview(content).cast("B")
        with _naming_failures(self._path):
            done = 0
            while done < len(view):
                done += self._file.write(view[done:]) or 0
        self._hash.update(view)
        self.size_bytes += len(view)
        return len(view)

    def settle(self) -> None:
        """Bring it to disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        self._file.close()
        super().close()


@contextmanager
def hold(path: Path) -> Iterator[Folder]:
    """The folder, made if need be, for this process alone.

    Raises:
        ExportConflict: another process writes to it.
        OutputFailed: it cannot be made.
    """
    with _naming_failures(path):
        path.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ExportConflict(f"another process writes to {path}") from None
        yield Folder(path)
    finally:
        os.close(handle)


def read_note(path: Path) -> Note | None:
    """The note in a folder; None where there is none that this version can read."""
    try:
        note = msgspec.json.decode((path / NOTE).read_bytes(), type=Note)
    except (OSError, msgspec.MsgspecError):
        return None
    return note if note.format_version == FORMAT_VERSION else None


@contextmanager
def _naming_failures(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as exc:
        reason = (os.strerror(exc.errno) if exc.errno else type(exc).__name__).lower()
        raise OutputFailed(
            f"cannot write {path}: {reason}; run the same command again once that is mended"
        ) from exc


def _sync_folder(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
