from __future__ import annotations

import asyncpg
import pytest

from renown.cli.failing import fail
from renown.errors import (
    BadAgentKey,
    BadSettings,
    DataDirectoryInUse,
    NoNodeLeft,
    RenownError,
    WrongChain,
)
from tests.command import renown


def said(capsys: pytest.CaptureFixture[str]) -> str:
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadAgentKey("not one"), 64),
        (NoNodeLeft("nobody answers"), 75),
        (WrongChain("another"), 78),
        (DataDirectoryInUse("taken"), 75),
        (RenownError("odd"), 70),
    ],
)
def test_fail__an_error_of_ours__is_one_line_with_its_exit_code(
    error: RenownError, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert fail(error) == code
    assert said(capsys) == f"error: {error.detail}\n"


def test_fail__what_the_caller_wrote__is_quoted_unless_it_is_already(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail(BadAgentKey("expected something else", key="base/42"))

    assert said(capsys) == "error: expected something else (got 'base/42')\n"


def test_fail__a_right_that_the_user_of_the_database_lacks__says_who_may(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fail(asyncpg.InsufficientPrivilegeError("permission denied for table audit_log")) == 78
    assert "owner" in said(capsys)


def test_fail__several_wrong_settings__are_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    fail(BadSettings("A: wrong\nB: wrong"))

    assert said(capsys) == "error: A: wrong\nerror: B: wrong\n"


def test_fail__escape_sequences_of_a_stranger__do_not_reach_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fail(NoNodeLeft("the node said \x1b]0;owned\x07\x1b[2J[red]hello\r"))

    err = said(capsys)
    assert "\x1b" not in err
    assert "\x07" not in err
    assert "[red]hello" in err


def test_fail__an_unexpected_exception__does_not_show_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert fail(ValueError("postgresql://me:hunter2@host/db")) == 70

    err = said(capsys)
    assert "ValueError" in err
    assert "hunter2" not in err
    assert "Traceback" not in err


def test_fail__with_debug__shows_the_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENOWN_LOG_LEVEL", "debug")

    fail(NoNodeLeft("nobody answers"))

    assert "NoNodeLeft" in said(capsys)


def test_fail__a_group_of_tasks__gives_our_own_error_first(
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = BaseExceptionGroup(
        "tasks", [OSError("x"), ExceptionGroup("inner", [WrongChain("another chain")])]
    )
    nested = BaseExceptionGroup("outer", [BaseExceptionGroup("inner", [WrongChain("that one")])])

    assert fail(nested) == 78
    assert "that one" in said(capsys)
    assert fail(group) == 70  # the first of several strangers


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("bogus",), "No such command 'bogus'"),
        (("chains", "--bogus"), "No such option"),
        (("agent",), "KEY"),
        (("up", "--port", "70000"), "65535"),
        (("db", "rewind", "base"), "--to-block"),
    ],
)
def test_usage_error__is_one_line_that_names_the_help(args: tuple[str, ...], words: str) -> None:
    outcome = renown(*args)

    assert outcome.code == 64
    assert words in outcome.err
    assert outcome.err.count("\n") == 1
    assert "--help`" in outcome.err


@pytest.mark.parametrize(
    "args",
    [("up", "--chain", "bsae"), ("db", "forget", "bsae", "--yes"), ("agents", "--chain", "bsae")],
)
def test_unknown_chain__suggests_what_comes_close(args: tuple[str, ...]) -> None:
    outcome = renown(*args)

    assert outcome.code == 66
    assert "did you mean" in outcome.err
    assert "base" in outcome.err
    assert outcome.err.count("\n") == 1


def test_chain_without_public_nodes__asks_for_rpc_url() -> None:
    outcome = renown("up", "--chain", "megaeth-testnet")

    assert outcome.code == 78
    assert outcome.err == (
        "error: no public node is known for megaeth-testnet: set RPC_URL to one of yours\n"
    )


@pytest.mark.parametrize("key", ["", "42", "base:42", "8453:-1", "8453:99999999999999999999"])
def test_bad_key__is_refused_before_anything_starts(key: str) -> None:
    outcome = renown("agent", key, RENOWN_DATA_DIR="/nonexistent")

    assert outcome.code == 64
    assert outcome.err.startswith("error: ")


@pytest.mark.parametrize("at", ["yesterday", "-1", "2026-13-01T00:00:00Z"])
def test_bad_moment__is_a_usage_error(at: str) -> None:
    assert renown("agent", "8453:42", "--at", at).code == 64


def test_no_index_yet__says_how_to_get_one(tmp_path: object) -> None:
    outcome = renown("status", RENOWN_DATA_DIR=str(tmp_path))

    assert outcome.code == 78
    assert "renown up" in outcome.err
