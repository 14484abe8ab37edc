"""What an operator opens: private hosts that may be fetched from, and hosts served elsewhere.

For development and for gateways in one's own network. Everything here comes from settings, so a
mistake is an error at the start, never a hole later.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Self

import msgspec

from renown.errors import BadSettings
from renown.offchain.failed import Failed
from renown.offchain.target import DEFAULT_PORTS, Target, read_target
from renown.spec.hosts import ascii_host


class Door(msgspec.Struct, frozen=True):
    """One host of a private network that may be asked. `port` None: the schemes' own."""

    host: str
    port: int | None

    def admits(self, target: Target) -> bool:
        """Whether `target` is this host, at this port."""
        ports = DEFAULT_PORTS.values() if self.port is None else (self.port,)
        return target.host == self.host and target.port in ports


class Detour(msgspec.Struct, frozen=True):
    """Requests for hosts that match `pattern` go to `origin`; their Host header stays."""

    pattern: str
    origin: Target

    def takes(self, target: Target) -> bool:
        """Whether `target` is one of its hosts: names only, never addresses."""
        if target.address is not None:
            return False
        if self.pattern.startswith("*"):
            return target.host.endswith(self.pattern[1:])
        return target.host == self.pattern


class Opened:
    """All that is opened."""

    def __init__(self, entries: Iterable[str]) -> None:
        """Read `host`, `host:port` and `pattern=origin`. A pattern is a host, `*.below.one` or `*`.

        Raises:
            BadSettings: an entry that is none of these.
        """
        self._doors: list[Door] = []
        self._detours: list[Detour] = []
        self._owns: Callable[[Target], bool] | None = None
        for entry in entries:
            pattern, is_detour, origin = entry.strip().partition("=")
            if is_detour:
                self._detours.append(Detour(_pattern(entry, pattern), _origin(entry, origin)))
            else:
                self._doors.append(_door(entry))

    def origin_for(self, target: Target) -> Target | None:
        """The origin to ask in place of `target`'s own; None: its own."""
        return next((detour.origin for detour in self._detours if detour.takes(target)), None)

    def admits(self, target: Target) -> bool:
        """Whether `target` may be asked though its address is private or its port unusual."""
        if self._owns is not None and self._owns(target):
            return True
        return any(door.admits(target) for door in self._doors)

    def also(self, owns: Callable[[Target], bool]) -> Self:
        """The same, and every target that `owns` says yes to."""
        wider = copy.copy(self)
        wider._owns = owns
        return wider


def _door(entry: str) -> Door:
    target = read_target(f"http://{entry.strip()}")
    if isinstance(target, Failed) or target.resource != "/":
        raise _bad(entry)
    named_port = entry.strip().removesuffix("]").rpartition(":")[2] == str(target.port)
    return Door(target.host, target.port if named_port else None)


def _pattern(entry: str, text: str) -> str:
    if text == "*":
        return text
    star = "*" if text.startswith("*.") else ""
    host = ascii_host(text.removeprefix("*."))
    if host is None or host.startswith("["):
        raise _bad(entry)
    return f"*.{host}" if star else host


def _origin(entry: str, text: str) -> Target:
    target = read_target(text)
    if isinstance(target, Failed) or target.resource != "/":
        raise _bad(entry)
    return target


def _bad(entry: str) -> BadSettings:
    return BadSettings(
        f"RENOWN_FETCH_OPEN: {entry[:100]!r} is neither `host`, `host:port` nor "
        "`*.example=http://127.0.0.1:8104`"
    )
