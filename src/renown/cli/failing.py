"""How a command fails: a line that says what to do, an exit code that says whether to retry."""

from __future__ import annotations

import os
import sys
import traceback

from renown.cli.console import say
from renown.errors import EX_CONFIG, EX_SOFTWARE, EX_USAGE, RenownError

EXIT_SIGPIPE = 141
"""As a program that the reader of its output left: 128 + SIGPIPE."""

INSUFFICIENT_PRIVILEGE = "42501"
_NAMED = ("key", "address", "cursor", "block_number")


def fail(error: BaseException) -> int:
    """Say on stderr why the command failed; returns the exit code.

    With RENOWN_LOG_LEVEL=debug the traceback comes first.
    """
    error = _first_cause(error)
    if isinstance(error, BrokenPipeError):
        _mute_stdout()
        return EXIT_SIGPIPE
    if _is_usage_error(error):
        if type(error).__name__ == "NoArgsIsHelpError":
            sys.stderr.write(f"{error}\n")  # it is the help
        else:
            say(f"error: {_usage_words(error)}")
        return EX_USAGE
    if os.environ.get("RENOWN_LOG_LEVEL", "").lower() == "debug":
        traceback.print_exception(error)
    if isinstance(error, RenownError):
        for line in f"{error.detail}{_named(error)}".splitlines():
            say(f"error: {line}")
        return error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return 130
    if getattr(error, "sqlstate", None) == INSUFFICIENT_PRIVILEGE:
        say(
            "error: this user of the database may not do that: run it as the database's owner,"
            " by DATABASE_DIRECT_URL or DATABASE_URL"
        )
        return EX_CONFIG
    # The words of a stranger's exception may quote an address or a password.
    say(
        f"error: unexpected {type(error).__name__}; "
        "set RENOWN_LOG_LEVEL=debug to see where, and please report it"
    )
    return EX_SOFTWARE


def _is_usage_error(error: BaseException) -> bool:
    """Whether the parser of the command line raised it, which may bring its own copy of click."""
    return callable(getattr(error, "format_message", None))


def _usage_words(error: BaseException) -> str:
    message = str(error.format_message()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    if context is None:
        return message
    return f"{message}; see `{context.command_path} --help`"


def _named(error: RenownError) -> str:
    """What the caller wrote, where the error is about that and does not quote it."""
    for name in _NAMED:
        value = error.context.get(name)
        if isinstance(value, str) and value not in error.detail:
            return f" (got {value[:200]!r})"
    return ""


def _first_cause(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        inner: tuple[BaseException, ...] = error.exceptions
        error = next((e for e in inner if isinstance(e, RenownError)), inner[0])
    return error


def _mute_stdout() -> None:
    """So that the interpreter's own flush at exit does not complain."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
