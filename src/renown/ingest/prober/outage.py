"""Telling our own outage from everybody else's."""

from __future__ import annotations

SUSPICIOUS_HOSTS = 8


class Outage:
    """Suspects our own network when hosts that were good fall silent one after another.

    Any answer by anyone clears it. While it is suspected, silence proves nothing.
    """

    def __init__(self) -> None:
        self._silent: set[str] = set()

    def answered(self) -> None:
        """Somebody answered."""
        self._silent.clear()

    def silent(self, host: str, *, was_good: bool) -> None:
        """`host` could not be reached."""
        if was_good and len(self._silent) < SUSPICIOUS_HOSTS:
            self._silent.add(host)

    @property
    def suspected(self) -> bool:
        """Whether it is more likely us than them."""
        return len(self._silent) >= SUSPICIOUS_HOSTS
