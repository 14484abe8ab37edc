"""Who runs a command, as the audit log tells of what it changes."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

import click
import typer.main

from renown.obs.acting import ACTING, Acting

_LONGEST = 100
# Newer versions of Typer bring a click of their own, of which the other one knows no context.
_current_context = getattr(typer.main, "get_current_context", click.get_current_context)


def act_as_command() -> None:
    """Whatever this context changes in the database is told of as this command's and its user's."""
    context = _current_context(silent=True)
    command = "renown" if context is None else context.command_path
    ACTING.set(Acting(command=command[:_LONGEST], person=person()))


@contextmanager
def acting_as(command: str) -> Iterator[None]:
    """What the block changes is told of as `command`'s, and as its user's."""
    before = ACTING.set(Acting(command=command[:_LONGEST], person=person()))
    try:
        yield
    finally:
        ACTING.reset(before)


def person() -> str:
    """The user of the operating system, and behind `sudo` also who became it. Anybody who may run
    commands here can call himself what he likes: it helps the honest to remember."""
    try:
        name = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # a container's user without a name
        name = str(os.getuid())
    before = os.environ.get("SUDO_USER", "")
    if before and before.isprintable() and before != name:
        name = f"{name} (sudo by {before})"
    return name[:_LONGEST]
