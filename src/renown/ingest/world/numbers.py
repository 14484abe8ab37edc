"""Ids and hosts of what agents of a world point to. Pure."""

from __future__ import annotations

import re
from functools import lru_cache

from renown.ingest.world.files import Said, mints, platforms, shared_files
from renown.ingest.world.size import WorldSize

_ENDPOINTS_OF_ONE = 8


class Numbers:
    """The ids of a world's URIs, documents (those of their URIs) and endpoints."""

    def __init__(self, size: WorldSize) -> None:
        self._agents = size.agents
        self._shared = size.agents + 1
        self._own_hosts = self._shared + shared_files(size.agents)
        self._platforms = self._own_hosts + size.agents
        self._mints = self._platforms + platforms(size.agents)
        self._feedback = self._mints + mints(size.agents)
        self._shared_endpoints = _ENDPOINTS_OF_ONE * size.agents
        self._mint_endpoints = self._shared_endpoints + _ENDPOINTS_OF_ONE * shared_files(
            size.agents
        )

    def uri(self, said: Said, ordinal: int) -> int:
        """Of an agent's URI."""
        return self.shared(said.number) if said.source == "shared" else 1 + ordinal

    def shared(self, number: int) -> int:
        """Of the URI of a shared file."""
        return self._shared + number

    def well_known(self, host: str) -> int:
        """Of the file in which a host of this world says which agents are its own."""
        kind, number = host_of(host)
        base = {"a": self._own_hosts, "p": self._platforms, "m": self._mints}[kind]
        return base + number

    def feedback(self, ordinal: int) -> int:
        """Of the file of a feedback."""
        return self._feedback + ordinal

    def endpoint(self, said: Said, ordinal: int, number: int) -> int:
        """Of the `number`-th endpoint that a file declares."""
        base = _ENDPOINTS_OF_ONE * ordinal
        if said.source == "shared":
            base = self._shared_endpoints + _ENDPOINTS_OF_ONE * said.number
        elif said.source == "mint":
            base = self._mint_endpoints + _ENDPOINTS_OF_ONE * said.number
        return 1 + base + number


@lru_cache(maxsize=20_000)
def host_of(host: str) -> tuple[str, int]:
    """Whether a host is an agent's own, a platform or a mint (`a`, `p`, `m`), and its number."""
    match = re.fullmatch(r"[a-z]+-([apm])([0-9]+)\.example", host)
    if match is None:
        raise ValueError(f"{host} is no host of a bench world")
    return match[1], int(match[2])
