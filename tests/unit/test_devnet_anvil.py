from __future__ import annotations

from pathlib import Path

import pytest

import renown
from renown.chain.devnet.anvil import Anvil, find_anvil
from renown.errors import SetupError, ToolMissing


def test_find_anvil__nowhere__says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(renown, "__file__", str(tmp_path / "a" / "b" / "c" / "__init__.py"))

    with pytest.raises(ToolMissing, match="npm ci"):
        find_anvil()


def test_find_anvil__named_but_no_program__is_refused(tmp_path):
    (tmp_path / "anvil").write_text("not a program")

    with pytest.raises(ToolMissing, match="not a program"):
        find_anvil(tmp_path / "anvil")


def test_find_anvil__on_path__is_taken_first(monkeypatch, tmp_path):
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert find_anvil() == program


async def test_anvil__program_that_fails__is_quoted(tmp_path):
    program = tmp_path / "anvil"
    program.write_text("#!/bin/sh\necho 'error: cannot do this' >&2\nexit 3\n")
    program.chmod(0o755)

    with pytest.raises(SetupError, match="cannot do this"):
        async with Anvil(binary=program):
            pass


def test_anvil__two_states__is_refused():
    with pytest.raises(SetupError, match="not both"):
        Anvil(state=Path("a"), load_state=Path("b"))
