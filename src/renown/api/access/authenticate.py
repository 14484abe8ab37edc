"""From the key that a request presents to who asks.

Whatever is wrong with a key, the answer is the same and comes after the same work: one look-up and
one comparison, be the id unknown, the secret wrong, the key over or the account closed. So neither
words nor time tell a stranger which ids exist.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from math import inf
from time import monotonic
from typing import cast
from uuid import UUID

import msgspec
import structlog

from renown.api.access.principal import Principal, Scope
from renown.errors import StoreError, Unauthorized
from renown.spec.api_keys import Peppers, read_key
from renown.store.api_keys import KeyHolder, find_holder, note_used
from renown.store.pool import Conn

KEPT_SECONDS = 5.0
"""How long a key that was revoked elsewhere may still work when its word gets lost."""
MOST_KEPT = 10_000
NOTE_SECONDS = 60.0
"""How exact `last_used_at` is: writing it with each request would make every read a write."""

REFUSED = "present a key that works: `Authorization: Bearer ak_…`"
_STRANGER = KeyHolder(
    key_id="",
    account_id=0,
    account=UUID(int=0),
    tier="free",
    scopes=[],
    secret_hash=bytes(32),
    pepper_version="",  # which nothing is hashed under
    seconds_left=None,
    is_shut=True,
)

log = structlog.get_logger(__name__)


class Authenticator:
    """Knows keys. One per process, on one event loop.

    Args:
        reading: gives a connection for a look-up, and for noting when keys were used.
        clock: monotonic seconds. When a key ends, the database's clock says.
    """

    def __init__(
        self,
        reading: Callable[[], AbstractAsyncContextManager[Conn]],
        peppers: Peppers,
        *,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._reading = reading
        self.peppers = peppers
        self._clock = clock
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._changes = 0
        self._used: dict[str, float] = {}
        self._note_at = clock() + NOTE_SECONDS
        self._noting: asyncio.Task[None] | None = None

    async def principal(
        self,
        authorization: str,
        address: str,
        may_look_up: Callable[[], None] = lambda: None,
    ) -> Principal:
        """Who holds the key that `Authorization` presents.

        Args:
            address: where the request comes from, for the answer.
            may_look_up: asked before the database is, by raising, about a key that has not worked
                here lately; one that has stays in use however many others come from its address.

        Raises:
            Unauthorized: always with the same words.
            StoreError: nobody can be looked up now.
            What `may_look_up` raises.
        """
        read = presented_key(authorization)
        if read is None:
            raise Unauthorized(REFUSED)
        key_id, secret = read
        kept = self._kept.get(key_id)
        is_good = self._is_good(_STRANGER if kept is None else kept.holder, secret)
        if not is_good:
            may_look_up()
        if kept is not None and is_good and kept.until > self._clock():
            self._kept.move_to_end(key_id)
        else:
            kept = await self._looked_up(key_id, secret)
        self._note_use(key_id)
        if kept.principal.address == address:
            return kept.principal
        kept.principal = msgspec.structs.replace(kept.principal, address=address)
        return kept.principal

    def forget(self, key_id: str | None = None) -> None:
        """Look this key up again when it comes next; None: every key."""
        self._changes += 1
        if key_id is None:
            for kept in self._kept.values():
                kept.until = -inf
        elif key_id in self._kept:
            self._kept[key_id].until = -inf

    on_key_changed = forget
    """For whoever listens on `store.changes.KEY_CHANNEL`."""

    async def close(self) -> None:
        """Note what is not noted yet."""
        if self._noting is not None:
            await asyncio.gather(self._noting, return_exceptions=True)
        await self._note()

    async def _looked_up(self, key_id: str, secret: str) -> _Kept:
        before = self._changes
        async with self._reading() as conn:
            holder = await find_holder(conn, key_id)
        is_good = self._is_good(_STRANGER if holder is None else holder, secret)
        if holder is None or not is_good:
            self._kept.pop(key_id, None)
            raise Unauthorized(REFUSED)
        left = KEPT_SECONDS if holder.seconds_left is None else holder.seconds_left
        kept = _Kept(holder, self._clock() + min(KEPT_SECONDS, left))
        if before == self._changes:  # else it may have been revoked since we read it
            self._kept[key_id] = kept
            self._kept.move_to_end(key_id)
            if len(self._kept) > MOST_KEPT:
                self._kept.popitem(last=False)
        return kept

    def _is_good(self, holder: KeyHolder, secret: str) -> bool:
        is_right = self.peppers.opens(holder.pepper_version, secret, holder.secret_hash)
        is_over = holder.seconds_left is not None and holder.seconds_left <= 0
        return is_right and not is_over and not holder.is_shut

    def _note_use(self, key_id: str) -> None:
        if key_id not in self._used:
            self._used[key_id] = self._clock()
        if self._clock() >= self._note_at and (self._noting is None or self._noting.done()):
            self._note_at = self._clock() + NOTE_SECONDS
            self._noting = asyncio.create_task(self._note())

    async def _note(self) -> None:
        used, self._used = self._used, {}
        if not used:
            return
        try:
            async with self._reading() as conn:
                now = self._clock()
                await note_used(conn, {key_id: now - at for key_id, at in used.items()})
        except StoreError as exc:
            log.warning("key_use_not_noted", keys=len(used), error=exc.slug)


def presented_key(authorization: str) -> tuple[str, str] | None:
    """Id and secret of the key in an `Authorization` header; None: it is none of ours."""
    scheme, _, text = authorization.partition(" ")
    return read_key(text.strip(" ")) if scheme.lower() == "bearer" else None


class _Kept:
    """A key as it was looked up, until when that holds, and the principal it makes."""

    __slots__ = ("holder", "principal", "until")

    def __init__(self, holder: KeyHolder, until: float) -> None:
        self.holder = holder
        self.until = until
        self.principal = Principal(
            tier=holder.tier,
            scopes=frozenset(cast(list[Scope], holder.scopes)),
            account_id=holder.account_id,
            account=holder.account,
            key_id=holder.key_id,
            is_operator=holder.is_operator,
        )
