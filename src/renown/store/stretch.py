"""A stretch of chain on its way into the database, and all that is computed of it without one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import msgspec

from renown.derive.facts_hash import FactsHash, facts_hash
from renown.spec.events import Fact, Quarantined
from renown.store import facts as fact_tables
from renown.store import subjects
from renown.types import BlockRef


class Extension(msgspec.Struct, frozen=True):
    """A stretch of chain to store: everything from the checkpoint's next block through `last`.

    `facts` are in chain order; `blocks` are those to keep: every block with facts or quarantined
    logs, and every block of the unfinalised window.
    """

    last: BlockRef
    facts: Sequence[Fact]
    quarantined: Sequence[Quarantined]
    blocks: Sequence[BlockRef]


class Prepared(msgspec.Struct, frozen=True):
    """An extension with everything that can be computed of it without the database."""

    extension: Extension
    touched: subjects.Subjects
    fact_rows: fact_tables.Rows
    block_rows: list[tuple[object, ...]]
    times: dict[int, datetime]
    facts_sha256: str


class Preparation:
    """A `Prepared` in the making. It takes facts a few at a time, in chain order, so that whoever
    shares the thread with it never waits for a whole stretch. Pure.

    Attributes:
        logs: how many it has, quarantined ones among them.
    """

    def __init__(self, chain_id: int) -> None:
        self._chain_id = chain_id
        self._facts: list[Fact] = []
        self._quarantined: list[Quarantined] = []
        self._blocks: dict[int, BlockRef] = {}
        self._touched = subjects.Subjects(set(), set(), set())
        self._rows: fact_tables.Rows = {}
        self._hash = FactsHash()

    @property
    def logs(self) -> int:
        return len(self._facts) + len(self._quarantined)

    def add(self, facts: Sequence[Fact], quarantined: Iterable[Quarantined] = ()) -> None:
        """Add the next facts, and the logs among them that are none."""
        self._facts += facts
        self._quarantined += quarantined
        subjects.collect(facts, self._touched)
        fact_tables.add_rows(self._chain_id, facts, self._rows)
        if not self._quarantined:
            self._hash.add(facts)

    def keep(self, blocks: Iterable[BlockRef]) -> None:
        """Add blocks to keep, ascending."""
        for block in blocks:
            self._blocks[block.number] = block

    def block(self, number: int) -> BlockRef | None:
        """The block to keep at `number`."""
        return self._blocks.get(number)

    def finish(self, last: BlockRef) -> Prepared:
        """The stretch that ends at `last`. Nothing is added behind this."""
        blocks = list(self._blocks.values())
        counts = Counter([fact.block_number for fact in self._facts])
        counts.update([log.block_number for log in self._quarantined])
        times = {block.number: time_of(block.time_seconds) for block in blocks}
        chain_id = self._chain_id
        # Quarantined logs stand among the facts in the hash, so it is begun again with them.
        whole = facts_hash(self._facts, self._quarantined) if self._quarantined else None
        return Prepared(
            Extension(last, self._facts, self._quarantined, blocks),
            self._touched,
            self._rows,
            [
                (chain_id, b.number, b.hash, b.parent_hash, times[b.number], counts[b.number])
                for b in blocks
            ],
            times,
            whole or self._hash.hexdigest(),
        )


def prepare(chain_id: int, extension: Extension) -> Prepared:
    """All at once, of a stretch that is whole. Pure."""
    making = Preparation(chain_id)
    making.add(extension.facts, extension.quarantined)
    making.keep(extension.blocks)
    ready = making.finish(extension.last)
    return msgspec.structs.replace(ready, extension=extension)


def time_of(seconds: int) -> datetime:
    """Block time for PostgreSQL. Foreign numbers beyond year 9999 are pinned there."""
    return datetime.fromtimestamp(min(seconds, 253_402_300_799), UTC)
