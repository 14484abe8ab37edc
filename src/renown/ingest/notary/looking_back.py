"""The notary's own running check of what is in the log already: a slice at a time, for ever.

`renown audit verify` checks everything at once and compares checkpoints; this is what notices the
commonest tampering, a row changed by hand, without anybody asking.
"""

from __future__ import annotations

import random

from renown.audit.chain import FIRST_LINK, link_hash
from renown.audit.merkle import leaf_hash
from renown.derive.ranges import Ranges
from renown.derive.retentions import pieces
from renown.store import audit_proofs, audit_stream
from renown.store.pool import Conn, Tx, transaction

SECONDS = 5.0
"""Between two slices."""
LEAST, MOST = 200, 2_000
"""Entries of a slice. So many that the whole log is gone through in a day; of more than 34 million
it takes longer. A slice of 2,000 takes about 50 ms, which is 1 % of a core."""
NEWEST = 1_000
"""Entries at the end of which each round asks whether they have a number or wait for one."""
_ROUNDS_A_DAY = 86_400 / SECONDS


class LookingBack:
    """Where it is. It begins anywhere, so that notaries that are restarted often check all of it,
    too."""

    def __init__(self) -> None:
        self._seq: int | None = None
        self._entry_id = -1

    async def look(self, conn: Conn) -> str | None:
        """Check the next slice. Returns what contradicts, the first one of it; None: nothing."""
        async with transaction(conn, "repeatable_read") as tx:
            await tx.execute(audit_stream.PLAN)
            size = await audit_stream.size(tx)
            count = min(MOST, max(LEAST, round(size / _ROUNDS_A_DAY)))
            if self._seq is None:
                self._seq = random.randrange(max(1, size - count + 1))
            begin = self._seq if self._seq < size else 0
            self._seq = begin + count
            found = await _slice(tx, begin, min(begin + count, size))
            return found or await self._strays(tx, count)

    async def _strays(self, tx: Tx, count: int) -> str | None:
        last, strays = await audit_stream.strays_behind(tx, self._entry_id, count)
        self._entry_id = -1 if last is None else last
        newest = await audit_stream.newest_entry(tx)
        _, late = await audit_stream.strays_behind(tx, newest - NEWEST, 2 * NEWEST)
        for entry_id in (*strays, *late):
            return f"entry {entry_id} is in the log, but has no number and does not wait for one"
        return None


async def _slice(tx: Tx, begin: int, end: int) -> str | None:
    slice_ = _Slice(begin, await audit_proofs.link_at(tx, begin - 1) if begin else None)
    await audit_stream.stream_leaves((tx,), begin, end, slice_.take)
    if slice_.found is None and slice_.next < end:
        return f"leaf {slice_.next} is missing"
    if slice_.found is None and slice_.ids:
        told = list(pieces(slice_.missing, await audit_stream.retentions(tx)))
        explained = Ranges()
        for first, last in await audit_stream.explained(tx, told):
            explained.add(first, last)
        for seq in slice_.missing.without(explained):
            return f"entry {slice_.ids[seq]} (number {seq}) is gone, and no retention removed it"
    return slice_.found


class _Slice:
    def __init__(self, begin: int, link: bytes | None) -> None:
        self.next = begin
        self.found: str | None = None
        self.missing = Ranges()
        self.ids: dict[int, int] = {}
        self._link = FIRST_LINK if begin == 0 else link

    def take(
        self,
        seqs: list[int],
        entry_ids: list[int],
        leaves: list[bytes],
        links: list[bytes],
        payloads: list[bytes | None],
    ) -> None:
        rows = zip(seqs, entry_ids, leaves, links, payloads, strict=True)
        for seq, entry_id, leaf, link, payload in rows:
            if self.found is not None:
                return
            if seq != self.next:
                self.found = f"leaf {self.next} is missing"
            elif self._link is not None and link_hash(self._link, leaf) != link:
                self.found = f"entry {entry_id} (number {seq}) does not follow the one before it"
            elif payload is None:
                self.missing.add(seq, seq)
                self.ids[seq] = entry_id
            elif leaf_hash(payload) != leaf:
                self.found = f"entry {entry_id} (number {seq}) is not what was hashed"
            self.next, self._link = seq + 1, link
