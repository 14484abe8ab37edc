"""When our own network is suspected, by what attempts come to."""

from __future__ import annotations

import time

from renown.ingest.crawler.patience import HOST_DOWN, is_gateway
from renown.offchain.fetched import Fetched

SUSPICIOUS_HOSTS = 8
TRUSTED_SECONDS = 5.0
"""Once it was looked into, nothing is suspected for so long: many hosts may well be gone."""

_SILENT = frozenset({"dns-failed", "connect-failed"})
_ANSWERED = frozenset({"ok", "not-modified", "http-error", "too-large", "wrong-content"})


def unreached(fetched: Fetched) -> bool:
    """Whether an attempt found nobody there, which may be our own network's fault."""
    return fetched.outcome in _SILENT and fetched.reason != HOST_DOWN


def answered(fetched: Fetched) -> bool:
    """Whether an attempt proves that somebody can be reached."""
    return fetched.outcome in _ANSWERED


class Suspicion:
    """Suspects our own network when many hosts in a row cannot be reached.

    Attributes:
        answers: how many attempts were answered so far.
    """

    def __init__(self) -> None:
        self.answers = 0
        self._silent: set[str] = set()
        self._trusted_until = 0.0

    @property
    def suspected(self) -> bool:
        """Whether it may well be us."""
        return len(self._silent) >= SUSPICIOUS_HOSTS

    def hear(self, host: str, fetched: Fetched) -> None:
        """An attempt at `host` came to this."""
        if unreached(fetched):
            if time.monotonic() >= self._trusted_until and not self.suspected:
                self._silent.add(host)
        # A gateway may be on this very machine, and then its errors say nothing of our network.
        elif fetched.good or (answered(fetched) and not is_gateway(host)):
            self.answers += 1
            self._silent.clear()

    def forget(self) -> None:
        """Begin anew."""
        self._silent.clear()

    def trust(self) -> None:
        """It was looked into, and is not us."""
        self.forget()
        self._trusted_until = time.monotonic() + TRUSTED_SECONDS
