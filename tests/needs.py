"""What a test needs from the machine. A missing part skips the test, or fails it when strict.

RENOWN_STRICT=1 makes missing parts failures; RENOWN_TEST_PG_BIN names the folder of another
PostgreSQL's programs. Both are taken out of the environment, so that no process under test finds
them: to it they are misspelt settings.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

STRICT = os.environ.pop("RENOWN_STRICT", "") == "1"
OTHER_POSTGRES = os.environ.pop("RENOWN_TEST_PG_BIN", "")


def skip_unless(found: object, tool: str, install_hint: str) -> None:
    """Skip the running test when `found` is false, saying how to get `tool`; fail when strict."""
    if found:
        return
    reason = f"{tool} is missing: {install_hint}"
    if STRICT:
        pytest.fail(f"{reason} (skips are failures with RENOWN_STRICT=1)", pytrace=False)
    pytest.skip(reason)


def need_program(name: str, install_hint: str) -> Path:
    """Path of a program; where it is missing, `skip_unless`."""
    path = shutil.which(name)
    skip_unless(path, name, install_hint)
    assert path is not None
    return Path(path)
