"""Putting one question to a stranger's endpoint, wherever it has moved to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import urljoin

import msgspec

from renown.errors import BadSettings
from renown.offchain.fetched import Fetched
from renown.spec.hosts import ascii_host
from renown.spec.protocols.declared import normal_url

MOST_REDIRECTS = 3


class Sender(Protocol):
    """What asks: `offchain.fetcher.Fetcher`. It never raises for anything a stranger does."""

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
        enough: Callable[[bytes], bool] | None = None,
    ) -> Fetched:
        """One request; redirects are answers, and not followed.

        `enough` is asked about the body so far: once it says yes, that is the body.
        """


class OptOut:
    """Hosts that do not want to be asked: `example.org`, or `*.example.org` for all below it.

    Raises:
        BadSettings: an entry is no host.
    """

    def __init__(self, entries: Sequence[str]) -> None:
        self._hosts: set[str] = set()
        self._below: set[str] = set()
        for entry in entries:
            below = entry.startswith("*.")
            host = ascii_host(entry[2:] if below else entry)
            if host is None:
                raise BadSettings(f"no host: {entry!r}; write example.org or *.example.org")
            (self._below if below else self._hosts).add(host)

    def __contains__(self, host: object) -> bool:
        if not isinstance(host, str):
            return False
        if host in self._hosts:
            return True
        parts = host.split(".")
        return any(".".join(parts[n:]) in self._below for n in range(1, len(parts)))


class Heard(msgspec.Struct, frozen=True):
    """An answer, and the URL that gave it."""

    fetched: Fetched
    url: str

    @property
    def success(self) -> bool:
        """Whether it is a 2xx, the body of which may be too large for us."""
        return 200 <= (self.fetched.status or 0) < 300 and self.fetched.outcome in (
            "ok",
            "too-large",
        )

    @property
    def content_type(self) -> str:
        """As the header has it; "" without one."""
        return self.fetched.headers.get("content-type", "")


class Asker:
    """Asks by `sender`. Each hop of a redirect is a question of its own: its host may mind."""

    def __init__(self, sender: Sender, opt_out: OptOut) -> None:
        self._sender = sender
        self._opt_out = opt_out

    async def ask(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = {},
        body: bytes = b"",
        enough: Callable[[bytes], bool] | None = None,
    ) -> Heard:
        """One question. A POST stays a POST; it asks nothing that acts, see `spec.protocols`."""
        for hop in range(MOST_REDIRECTS + 1):
            normal = normal_url(url)
            if normal is None:
                return Heard(Fetched(outcome="refused", reason="bad-redirect"), url)
            if normal[1] in self._opt_out:
                return Heard(Fetched(outcome="refused", reason="opted-out"), url)
            fetched = await self._sender.send(
                method, normal[0], headers=headers, body=body, enough=enough
            )
            location = _location(method, fetched)
            if location is None:
                break
            if hop == MOST_REDIRECTS:
                return Heard(Fetched(outcome="broken", reason="too-many-redirects"), url)
            try:
                url = urljoin(url, location)
            except ValueError:
                return Heard(Fetched(outcome="broken", reason="bad-redirect"), url)
        return Heard(fetched, url)


def _location(method: str, fetched: Fetched) -> str | None:
    followed = (301, 302, 303, 307, 308) if method == "GET" else (301, 302, 307, 308)
    return fetched.headers.get("location") if fetched.status in followed else None
