"""Answers about one agent, kept in this process until something about the agent changes.

What makes an entry true: it holds what a snapshot said of the agent at outbox position `p`, and
nothing about the agent changed between `p` and the position followed last. So it is what a read at
the head of that position would say, and is served with that head as its `as_of`: a kept answer does
not age. Everything else follows:

- an entry goes when the outbox is followed over a fact of its agent, or a word says that something
  off the chain changed;
- what was read at a position below the one followed last (the read began earlier, or a replica is
  behind) is not stored, nor what was read while such a word came;
- while nobody hears the words nothing is kept, and nothing kept is served.

Only what is the same for everybody comes here: never an answer to an account.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from functools import cache
from itertools import islice
from typing import Any
from urllib.parse import urlencode

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from renown.api import etag
from renown.api.access.principal import OPEN, access_of
from renown.api.answers.answer import Answer, Present, Version
from renown.api.answers.as_of import as_of
from renown.api.cache.bounded import Bounded
from renown.api.cache.flights import Convoys
from renown.api.cache.written import (
    Said,
    Written,
    if_none_match,
    not_modified,
    respond,
    say,
    write,
)
from renown.obs import metrics
from renown.store.listening import Ear
from renown.store.reads import Head

MOST_BYTES = 12 * 1024 * 1024
"""In memory it is half as much again, since answers come and go in all sizes; with all else that a
process has, at its limit of work, it stays below 150 MB."""
MOST_SECONDS = 300.0
"""Nothing is served longer than this without being read again, whatever we may have overlooked."""

_MOST_CHANGES = 1_000
_MOST_HAD = 1_000

Read = Callable[[], Awaitable[Answer[Any]]]
ReadVersion = Callable[[], Awaitable[Version | None]]


class Kept(Ear):
    """The kept answers of one process. Hears of changes as an `Ear`; without, it keeps nothing."""

    def __init__(
        self, *, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._clock = clock
        self._entries: Bounded[_Entry] = Bounded(most_bytes)
        self._of_agent: dict[int, dict[int, set[str]]] = {}
        self._chains: dict[int, _Chain] = {}
        self._under_way: Convoys[tuple[Written, Said]] = Convoys()
        self._changes = _Changes()
        self._hearing = False
        self._life = 0
        self._had: dict[str, None] = {}  # asked for once by who had it, and not kept

    async def answer(
        self,
        request: Request,
        read: Read,
        version: ReadVersion | None = None,
        *,
        keep: bool = True,
    ) -> Response:
        """The response to `request`, of what is kept or of what `read` gives.

        Of equal requests that find nothing kept, one reads and the others wait for it.

        Args:
            read: gives an answer about one agent as it is now (`Answer.present`) that is the same
                for everybody who asks for this path and query.
            version: gives the version that `read` would give, for less; None where there is
                nothing to be read. It tells whether a client has the answer already.
            keep: false where the request asks for something else, such as the past.

        Raises:
            Whatever `read` raises; nothing is stored then.
        """
        route = request.scope["route"].path
        if not keep:
            _reads(route, "unkept").inc()
            written, said = write(await read())
            return respond(request, written, said)
        key = cache_key(request)
        entry = self._entries.get(key) if self._hearing else None
        if entry is not None and (now := self._said(key, entry)) is not None:
            _reads(route, "hit").inc()
            return respond(request, entry.written, now)
        require_public(request)
        if version is not None and (known := if_none_match(request)) is not None:
            there = await version() if self._is_first(key) else None
            if there is not None and etag.matches(tag := etag.of_version(there.version), known):
                _reads(route, "miss").inc()
                return not_modified(tag, say(there.as_of))
        _reads(route, "joined" if key in self._under_way else "miss").inc()
        written, said = await self._under_way.once(key, lambda: self._read(key, read))
        return respond(request, written, said)

    def _is_first(self, key: str) -> bool:
        """Whether to read no more than the version for who has the answer already. If he comes
        again, it is worth keeping; if nothing can be kept, it never is."""
        if not self._hearing:
            return True
        if key in self._had:
            del self._had[key]
            return False
        if len(self._had) >= _MOST_HAD:
            self._had.clear()
        self._had[key] = None
        return True

    def followed(self) -> dict[int, int]:
        """The outbox position that each chain was followed to; empty while nothing is heard."""
        return {chain_id: chain.head.position for chain_id, chain in self._chains.items()}

    def __len__(self) -> int:
        return len(self._entries)

    # Reading ---------------------------------------------------------------------------------

    async def _read(self, key: str, read: Read) -> tuple[Written, Said]:
        life, mark = self._life, self._changes.begin()
        try:
            answer = await read()
            written, said = write(answer)
            refused = self._refusal(answer.present, life, mark)
        finally:
            self._changes.end()
        if refused is not None:
            _unstored(refused).inc()
        else:
            assert answer.present is not None
            self._store(key, _Entry(answer.present, written, said, self._clock()))
        return written, said

    def _refusal(self, present: Present | None, life: int, mark: int) -> str | None:
        """Why what was read must not be stored; None if it may."""
        if not self._hearing or life != self._life:
            return "deaf"
        chain = self._chains.get(present.chain_id) if present is not None else None
        if present is None or chain is None or chain.head.epoch != present.epoch:
            return "unknown"
        if present.position < chain.head.position:
            return "stale"
        if self._changes.touched_since(mark, present.chain_id, present.agent_id):
            return "changed"
        return None

    def _store(self, key: str, entry: _Entry) -> None:
        self._forget(key)
        gone = self._entries.put(key, entry, entry.written.size_bytes)
        self._agents(entry.present).setdefault(entry.present.agent_id, set()).add(key)
        for dropped, of in gone:
            self._unlist(dropped, of)
        metrics.CACHE_DROPS.labels("room").inc(len(gone))
        self._tell_size()

    def _said(self, key: str, entry: _Entry) -> Said | None:
        """The `as_of` that `entry` is true at now; None if it must be read again."""
        chain = self._chains.get(entry.present.chain_id)
        if chain is None or self._clock() - entry.stored_at > MOST_SECONDS:
            self._forget(key)
            metrics.CACHE_DROPS.labels("age").inc()
            self._tell_size()
            return None
        # A read may be ahead of the words: then it is true at its own block, not yet at ours.
        return entry.said if entry.present.position > chain.head.position else chain.said

    # Changes ---------------------------------------------------------------------------------

    def connected(self, heads: Sequence[Head]) -> None:
        """See `Ear`."""
        self._drop_all("deaf")
        self._chains = {head.chain_id: _Chain.at(head) for head in heads}
        self._hearing = True

    def lost(self) -> None:
        """See `Ear`."""
        self._hearing = False
        self._drop_all("deaf")

    def moved(self, head: Head, agents: frozenset[int] | None) -> None:
        """See `Ear`."""
        self._chains[head.chain_id] = _Chain.at(head)
        self._drop(head.chain_id, agents, "fact")

    def gone(self, chain_id: int) -> None:
        """See `Ear`."""
        self._drop(chain_id, None, "fact")
        self._chains.pop(chain_id, None)

    def changed(self, chain_id: int, agents: frozenset[int] | None) -> None:
        """See `Ear`."""
        self._changes.add(chain_id, agents)
        self._drop(chain_id, agents, "change")

    def _drop(self, chain_id: int, agents: frozenset[int] | None, cause: str) -> None:
        if agents is not None and not agents:
            return
        # Nobody who asks after a change is answered by a read that began before it.
        self._under_way.leave_behind()
        by_agent = self._of_agent.get(chain_id)
        if not by_agent:
            return
        touched = list(by_agent) if agents is None else [a for a in agents if a in by_agent]
        dropped = 0
        for agent_id in touched:
            for key in by_agent.pop(agent_id):
                self._entries.pop(key)
                dropped += 1
        metrics.CACHE_DROPS.labels(cause).inc(dropped)
        self._tell_size()

    def _drop_all(self, cause: str) -> None:
        self._life += 1
        self._under_way.leave_behind()
        metrics.CACHE_DROPS.labels(cause).inc(len(self._entries))
        self._entries.clear()
        self._of_agent.clear()
        self._chains.clear()
        self._tell_size()

    def _agents(self, present: Present) -> dict[int, set[str]]:
        return self._of_agent.setdefault(present.chain_id, {})

    def _forget(self, key: str) -> None:
        entry = self._entries.pop(key)
        if entry is not None:
            self._unlist(key, entry)

    def _unlist(self, key: str, entry: _Entry) -> None:
        of_chain = self._agents(entry.present)
        keys = of_chain.get(entry.present.agent_id)
        if keys is not None:
            keys.discard(key)
            if not keys:
                del of_chain[entry.present.agent_id]

    def _tell_size(self) -> None:
        metrics.CACHE_ENTRIES.set(len(self._entries))
        metrics.CACHE_BYTES.set(self._entries.bytes)


class _Entry(Struct, frozen=True):
    present: Present
    written: Written
    said: Said
    stored_at: float


class _Chain(Struct, frozen=True):
    """Where a chain was followed to."""

    head: Head
    said: Said

    @classmethod
    def at(cls, head: Head) -> _Chain:
        return cls(head, say(as_of(head)))


class _Changes:
    """What changed off the chains while reads were under way; nothing while none is."""

    def __init__(self) -> None:
        self._heard: deque[tuple[int, frozenset[int] | None]] = deque(maxlen=_MOST_CHANGES)
        self._count = 0
        self._reading = 0

    def begin(self) -> int:
        """A read begins. Returns the mark to ask about later; `end` must follow."""
        self._reading += 1
        return self._count

    def end(self) -> None:
        """A read ended."""
        self._reading -= 1
        if not self._reading:
            self._heard.clear()

    def add(self, chain_id: int, agents: frozenset[int] | None) -> None:
        """A change was heard."""
        self._count += 1
        if self._reading:
            self._heard.append((chain_id, agents))

    def touched_since(self, mark: int, chain_id: int, agent_id: int) -> bool:
        """Whether the agent may have changed since `mark`."""
        new = self._count - mark
        if new > len(self._heard):  # some are forgotten
            return True
        return any(
            of == chain_id and (agents is None or agent_id in agents)
            for of, agents in islice(reversed(self._heard), new)
        )


def cache_key(request: Request) -> str:
    """What the answer to a public GET depends on: its path and its query, in one order."""
    path: str = request.scope["path"]
    if not request.scope["query_string"]:
        return path
    return f"{path}?{urlencode(sorted(request.query_params.multi_items()), errors='replace')}"


def require_public(request: Request) -> None:
    """Raises TypeError: the route's answers depend on who asks, and may not be kept."""
    access = access_of(request.scope["endpoint"])
    if request.method != "GET" or not (access is None or access.public or access == OPEN):
        raise TypeError(f"{request.scope['route'].path} is not public: its answers are not kept")


@cache
def _unstored(cause: str) -> Any:
    return metrics.CACHE_UNSTORED.labels(cause)


@cache
def _reads(route: str, outcome: str) -> Any:
    return metrics.CACHE_READS.labels("kept", route, outcome)
