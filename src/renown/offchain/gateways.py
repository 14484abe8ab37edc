"""Gateways in the order of the settings; one that fails steps back for a while."""

from __future__ import annotations

import time
from collections.abc import Iterable

from renown.errors import BadSettings
from renown.offchain.answer import Answer
from renown.offchain.failed import Failed
from renown.offchain.target import Target, read_target

REST_SECONDS = 60.0
_UNWELL = (429, 500, 502, 503)
_OUT_OF_REACH = ("connect-failed", "dns-failed", "tls-failed")


class Gateways:
    """Where content addresses are read.

    An operator chose them, so they may be in a private network. That holds for them and for hosts
    below them (some give each content a host of its own), at their port, and for nobody else.
    """

    def __init__(self, setting: str, urls: Iterable[str]) -> None:
        """Raises BadSettings, naming `setting`, for what is no http(s) origin."""
        self._origins = [_origin(setting, url) for url in urls]
        self._rest_until: dict[Target, float] = {}

    def in_order(self) -> list[Target]:
        """The rested ones first."""
        now = time.monotonic()
        return sorted(self._origins, key=lambda origin: self._rest_until.get(origin, 0.0) > now)

    def owns(self, target: Target) -> bool:
        """Whether `target` is one of them, or below one."""
        return any(
            target.port == origin.port
            and (target.host == origin.host or target.host.endswith(f".{origin.host}"))
            for origin in self._origins
        )

    def judge(self, origin: Target, result: Answer | Failed) -> None:
        """Learn from what asking one gave. Not from its time-outs: they are the content's fault."""
        unwell = (
            result.outcome in _OUT_OF_REACH
            if isinstance(result, Failed)
            else result.status in _UNWELL
        )
        if unwell:
            self._rest_until[origin] = time.monotonic() + REST_SECONDS
        else:
            self._rest_until.pop(origin, None)


def _origin(setting: str, url: str) -> Target:
    target = read_target(url)
    if isinstance(target, Failed) or target.resource != "/":
        raise BadSettings(
            f"{setting}: {url[:100]!r} must be http:// or https:// with a host and no path"
        )
    return target
