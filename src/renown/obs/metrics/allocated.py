"""The files that processes share their numbers by, with room that is theirs.

The library makes them with holes and maps them into memory. Where the disk is full, the first touch
of a hole ends the process (SIGBUS). So room is taken before it is used, and where there is none a
series that is new is lost until there is, and nothing else.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict

from renown.errors import BadSettings

FIRST_BYTES = 256 * 1024


class Allocated(MmapedDict):
    """As the library's.

    Raises:
        BadSettings: there is no room for it at all.
    """

    def __init__(self, filename: str, read_mode: bool = False) -> None:
        if not read_mode:
            try:
                with Path(filename).open("a+b") as file:
                    os.posix_fallocate(file.fileno(), 0, FIRST_BYTES)
            except OSError as exc:
                raise BadSettings(
                    f"there is no room for numbers in PROMETHEUS_MULTIPROC_DIR: {exc.strerror}"
                ) from exc
        super().__init__(filename, read_mode)  # type: ignore[no-untyped-call]

    def read_value(self, key: str) -> tuple[float, float]:
        """Value and time; zeros where there is no room for them."""
        try:
            found: tuple[float, float] = super().read_value(key)  # type: ignore[no-untyped-call]
        except OSError:
            return 0.0, 0.0
        return found

    def write_value(self, key: str, value: float, timestamp: float) -> None:
        """Keep a value, if there is room."""
        with suppress(OSError):
            super().write_value(key, value, timestamp)  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        most = self._used + len(key.encode()) + 64  # with its size, padding and two doubles
        capacity = self._capacity
        while most > capacity:
            capacity *= 2
        if capacity > self._capacity:
            os.posix_fallocate(self._f.fileno(), 0, capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def allocate_first() -> None:
    """Have the library use these files, where the system can take room for them."""
    if hasattr(os, "posix_fallocate"):
        values.MmapedDict = Allocated  # type: ignore[attr-defined]
