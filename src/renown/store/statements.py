"""Statements by name: how long each takes, how it fails, and where it stands in a trace.

A statement's name is the constant that holds its text, as `agents.page`: nobody has to give one.
Texts that are put together as they are needed have no constant and count as `other`, so there are
no more names than constants, whatever is asked.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import asyncpg

from renown.obs import metrics
from renown.obs.tracing import TRACES

OTHER = "other"

_PACKAGES = ("renown.store.", "renown.ingest.")
_VERBS = ("SELECT", "INSERT", "UPDATE", "DELETE", "WITH", "REFRESH", "TRUNCATE", "ANALYZE")
_FRAME = {"BEGIN": "begin", "COMMIT": "commit", "ROLLBACK": "rollback"}
_SYSTEM = {"db.system.name": "postgresql"}


def ran(text: str, seconds: float) -> None:
    """A statement was answered after this time."""
    name = name_of(text)
    of_name = _seconds.get(name)
    if of_name is None:
        of_name = _seconds[name] = metrics.QUERY_SECONDS.labels(name)
    of_name.observe(seconds)
    if TRACES.is_on:
        TRACES.asked(f"query: {name}", seconds, _SYSTEM)


def failed(text: str, seconds: float, failure: BaseException) -> None:
    """A statement failed after this time. That somebody only gave up waiting is no failure."""
    kind = _kind(failure)
    if not kind:
        return
    name = name_of(text)
    metrics.QUERY_ERRORS.labels(name, kind).inc()
    if TRACES.is_on:
        TRACES.asked(f"query: {name}", seconds, _SYSTEM, kind)


def name_of(text: str) -> str:
    """The name of a statement."""
    name = _names.get(text)
    if name is not None:
        return name
    if len(sys.modules) != _names.modules:  # more of them are loaded since
        _names.read()
        return _names.get(text) or name_of(text)
    return _FRAME.get(text[:8].rstrip(";").partition(" ")[0], OTHER)


class _Names(dict[str, str]):
    """Names by text, of the modules that are loaded."""

    modules = 0

    def read(self) -> None:
        self.modules = len(sys.modules)
        for module in [name for name in sys.modules if name.startswith(_PACKAGES)]:
            for constant, text in _statements(vars(sys.modules[module])):
                self.setdefault(text, f"{module.rpartition('.')[2]}.{constant.strip('_').lower()}")


def _statements(module: dict[str, Any]) -> Iterator[tuple[str, str]]:
    for name, value in list(module.items()):
        if name.isupper() and isinstance(value, str) and value.lstrip().startswith(_VERBS):
            yield name, value


_names = _Names()
_seconds: dict[str, Any] = {}


def _kind(failure: BaseException) -> str:
    """What kind of failure it is; "" where somebody only gave up waiting."""
    state = getattr(failure, "sqlstate", None) or ""
    if state == "57014" or isinstance(failure, TimeoutError):
        return "timeout"
    if state in ("40001", "40P01", "55P03"):
        return "conflict"
    if state == "53100":
        return "full"
    if state.startswith(("08", "57P")) or isinstance(
        failure, OSError | asyncpg.InterfaceError | asyncpg.InternalClientError
    ):
        return "lost"
    if state.startswith("23") or state == "42501":
        return "refused"
    return "other" if isinstance(failure, Exception) else ""
