"""The command line in this process: what it prints, and how it leaves."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import msgspec
from structlog.testing import capture_logs

from renown.cli.app import run


class Outcome(msgspec.Struct, frozen=True):
    """How a command ended."""

    code: int
    out: str
    err: str


def renown(*args: str, **env: str) -> Outcome:
    """Run `renown` with arguments and settings; logs go nowhere. For tests without a loop."""
    out, err = io.StringIO(), io.StringIO()
    with (
        patch.dict(os.environ, env),
        patch("renown.cli.runtime.configure_logging"),
        patch("renown.cli.runtime.START_SECONDS", 0.0),  # nothing will come that is not there
        capture_logs(),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = run(args)
    return Outcome(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def data_directory() -> Iterator[Path]:
    """An empty folder that PostgreSQL's own account can reach, which pytest's it cannot."""
    path = Path(tempfile.mkdtemp(prefix="renown-test-"))
    path.chmod(0o711)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)
