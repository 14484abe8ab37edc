"""Words for people on a stream that never fails: a full disk must not end what it tells of."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, TextIO, cast


class Unfailing:
    """A text stream that loses what cannot be written: the disk is full, or nobody reads."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """As of a text stream."""
        try:
            return self._stream.write(text)
        except OSError:
            return len(text)

    def flush(self) -> None:
        """As of a text stream."""
        with suppress(OSError):
            self._stream.flush()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def unfailing_stderr() -> Iterator[None]:
    """Within the block nobody fails because stderr cannot be written to."""
    whole = sys.stderr
    sys.stderr = cast(TextIO, Unfailing(whole))
    try:
        yield
    finally:
        sys.stderr = whole
        try:
            whole.flush()
        except OSError:
            _forget(whole)


def _forget(stream: TextIO) -> None:
    """What still waits to be written goes nowhere: else the interpreter fails on it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)
