"""Checking the whole audit log: every entry, leaf, link and node, and every checkpoint there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import msgspec

from renown.audit.checkpoint import Verifier
from renown.audit.proofs import to_base64
from renown.audit.walking import (
    MOST_OF_A_KIND,
    Finding,
    Findings,
    Head,
    Levels,
    Walk,
    differing_node,
)
from renown.derive.ranges import Ranges
from renown.derive.retentions import Retention, pieces, read_retention
from renown.ingest.notary.marks import Mark, Marks, Signatures, Unkept, kept_mark
from renown.store import audit_proofs, audit_stream, audit_triggers
from renown.store.pool import Tx

BATCH = 8_192


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a check of the whole log found.

    Attributes:
        is_whole: nothing was found.
        leaves: of the log; `entries` of them are there, `removed` went by retention.
        pending: entries that are not sequenced yet.
        checkpoints: how many were compared, `exported` ones of outside and `kept` ones of the
            database, `signatures` of them checked.
        covered: how many of the first entries are under a checkpoint of outside.
        findings: by the first entry they touch; of many of one kind the first.
        counts: how many there are, by kind.
        unchecked: what could not be checked, in words.
    """

    is_whole: bool
    leaves: int
    entries: int
    removed: int
    pending: int
    root_hash: str
    link_hash: str
    checkpoints: dict[str, int]
    covered: int
    findings: list[Finding]
    counts: dict[str, int]
    unchecked: list[str]


async def verify(
    tx: Tx,
    verifiers: Sequence[Verifier],
    exported: Iterator[str] | None,
    *,
    beside: Tx | None = None,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdict:
    """Check everything, in a transaction that sees one state.

    Args:
        verifiers: keys that sign checkpoints; none: signatures are not checked.
        exported: notes that were kept outside the database, in order; None: there are none.
        beside: one of another connection, without a statement yet, to read with in parallel if it
            can see the same. Both are `repeatable_read`.
        on_progress: told how many leaves were checked, and of how many.
    """
    readers = [tx]
    if beside is not None and await audit_stream.see_the_same(beside, tx):
        readers.append(beside)
    counts = await audit_stream.prepare(tx)
    check = _Check(readers, counts, verifiers, exported)
    await check.walk(on_progress)
    await check.rest()
    return check.verdict()


class _Check:
    def __init__(
        self,
        readers: Sequence[Tx],
        counts: audit_stream.Counts,
        verifiers: Sequence[Verifier],
        exported: Iterator[str] | None,
    ) -> None:
        self._tx = readers[0]
        self._readers = readers
        self._counts = counts
        self._findings = Findings()
        self._walk = Walk(self._findings)
        self._outside = Marks("exported", exported or iter(()))
        self._has_outside = exported is not None
        self._inside = Marks("kept", iter(()))
        self._signatures = Signatures(verifiers, self._findings)
        self._fitting = 0
        self._removed = Ranges()
        self._unsure = 0
        self._unkept = Unkept()

    async def walk(self, on_progress: Callable[[int, int], None]) -> None:
        """All leaves in order, with what is built on them."""
        total = self._counts.leaves
        while self._walk.size < total and not self._walk.has_stopped:
            begin = self._walk.size
            end = min(begin + BATCH * len(self._readers), total)
            await self._batch(begin, end)
            if self._walk.size < end:
                self._walk.stop("leaf-missing", f"leaf {self._walk.size} is missing")
            on_progress(self._walk.size, total)
        if not total:
            await self._batch(0, 0)

    async def _batch(self, begin: int, end: int) -> None:
        """The leaves from `begin` up to `end`, with the checkpoints and nodes above them."""
        marks = await self._marks(begin, end)
        sizes = sorted({mark.size for mark in marks})
        self._walk.expect(sizes)
        if end > begin:
            await audit_stream.stream_leaves(self._readers, begin, end, self._walk.leaves)
        made, heads = self._walk.settle()
        by_size = dict(zip(sizes, heads, strict=False))
        for mark in marks:
            if mark.size in by_size:
                self._compare(mark, by_size[mark.size])
        await self._compare_nodes(begin, self._walk.size, made)

    async def _marks(self, begin: int, end: int) -> list[Mark]:
        """Checkpoints of more than `begin` entries, up to `end`, by size; at the very beginning
        those of none, too."""
        after = begin or -1
        kept: list[Mark] = []
        while rows := await audit_proofs.checkpoints_after(self._tx, after, 1_000):
            kept += [kept_mark(row) for row in rows if row.size <= end]
            after = rows[-1].size
            if after >= end:
                break
        self._inside.count += len(kept)
        outside = list(self._outside.up_to(end, self._findings))
        self._unkept.add(outside, kept)
        return sorted([*outside, *kept], key=lambda mark: mark.size)

    def _compare(self, mark: Mark, head: Head) -> None:
        said = mark.said
        if said is None:
            self._findings.add(
                "checkpoint-altered",
                self._fitting,
                f"the checkpoint of {mark.size} entries in the database is not what its note says",
                beyond=2**63,
            )
            return
        fits = (said.root_hash, said.link_hash) == (head.root_hash, head.link_hash)
        if self._signatures.are_good(mark, self._fitting, must=not fits) and fits:
            self._fitting = max(self._fitting, mark.size)
            if mark.source == "exported":
                self._outside.covered = mark.size
        elif not fits:
            self._findings.add(
                "checkpoint-differs",
                self._fitting,
                f"the first {mark.size} entries are not those that the {mark.source} checkpoint of "
                "that size was signed for"
                + (f"; the first {self._fitting} are" if self._fitting else ""),
                beyond=mark.size,
            )

    async def _compare_nodes(self, begin: int, end: int, made: Levels) -> None:
        levels = range(1, end.bit_length()) if end > begin else range(0)
        ranges = [(level, begin >> level, end >> level) for level in levels]
        if not ranges:
            return
        due = {level: (len(row), b"".join(row)) for level, (_, row) in made.items()}
        if await audit_stream.rows_of_nodes(self._tx, ranges) != due:
            stored = await audit_stream.nodes_between(self._tx, ranges)
            level, index, how = differing_node(made, stored)
            first, last = index << level, (index + 1 << level) - 1
            self._findings.add(
                f"node-{how}",
                max(first, self._fitting) if self._fitting <= last else first,
                f"the node of the tree above entries {first} to {last} is {_HOW[how]}",
                beyond=last + 1,
            )

    # Behind the walk ------------------------------------------------------------------------------

    async def rest(self) -> None:
        """What is not found by going through the leaves."""
        await self._beyond()
        by_seq = self._walk.unexplained(await self._explained(), MOST_OF_A_KIND)
        moved = set()
        for seq, entry_id in by_seq:
            time = None if entry_id is None else await audit_stream.time_of(self._tx, entry_id)
            if time is not None:
                moved.add(entry_id)
            self._add_missing(seq, entry_id, time)
        if self._walk.entries + self._counts.pending_entries != self._counts.entries:
            await self._strays(moved)
        for entry_id in await audit_stream.lost(self._tx, MOST_OF_A_KIND):
            self._findings.add(
                "pending-removed",
                self._counts.leaves,
                f"entry {entry_id} was removed before it had a number",
                entry_id=entry_id,
            )
        await self._extra_rows()
        await self._reviews()
        for what in (await audit_triggers.altered(self._tx))[:MOST_OF_A_KIND]:
            self._findings.add("trigger-altered", self._counts.leaves, what)
        self._signatures.check_last(self._fitting)

    def _add_missing(self, seq: int, entry_id: int | None, time: str | None) -> None:
        name = f"entry {entry_id}" if entry_id is not None else "an entry"
        if time is None:
            self._findings.add(
                "entry-missing",
                seq,
                f"{name} is gone, and no retention removed it",
                entry_id=entry_id,
            )
        else:
            self._findings.add(
                "entry-changed", seq, f"{name} has another time: {time}", entry_id=entry_id
            )

    async def _strays(self, moved: set[int | None]) -> None:
        if self._walk.has_stopped:
            return  # entries behind the gap have leaves that were not looked at
        for stray in await audit_stream.strays(self._tx, MOST_OF_A_KIND):
            if stray.entry_id in moved:
                continue
            seq = self._counts.leaves if stray.before_seq is None else stray.before_seq
            self._findings.add(
                "entry-inserted",
                seq,
                f"entry {stray.entry_id} was put into the log and never had a number",
                entry_id=stray.entry_id,
            )

    async def _beyond(self) -> None:
        """Checkpoints of more entries than there are."""
        total = self._counts.leaves
        marks = list(self._outside.up_to(2**63, self._findings))
        rows = await audit_proofs.checkpoints_after(self._tx, max(total, self._walk.size), 1)
        for mark in [*marks, *map(kept_mark, rows)]:
            if mark.size <= total or mark.said is None:
                continue
            if self._signatures.are_good(mark, total, must=True):
                self._findings.add(
                    "truncated",
                    total,
                    f"the {mark.source} checkpoint of {mark.size} entries was signed, but the log "
                    f"has {total}: its end was cut off, or the database is an older copy",
                    beyond=mark.size,
                )

    async def _explained(self) -> Ranges:
        """Places whose entries went by retention, or did if one that waits tells the truth."""
        missing = self._walk.missing
        told = list(pieces(missing, self._walk.retentions))
        for first, last in await audit_stream.explained(self._tx, told):
            self._removed.add(first, last)
        both = Ranges()
        for first, last in self._removed:
            both.add(first, last)
        told = list(pieces(missing, await self._pending_retention()))
        for first, last in await audit_stream.explained(self._tx, told):
            both.add(first, last)
            unsure = Ranges()
            unsure.add(first, last)
            self._unsure += sum(1 for _ in unsure.without(self._removed))
        return both

    async def _pending_retention(self) -> list[Retention]:
        found = []
        for at_us, detail in await audit_stream.pending_retention(self._tx):
            try:
                told = read_retention(at_us, msgspec.json.decode(detail), self._counts.leaves)
            except (msgspec.MsgspecError, ValueError, RecursionError):
                continue
            if told is not None:
                found.append(told)
        return found

    async def _reviews(self) -> None:
        horizon = max((r.before for r in self._walk.retentions if r.ranges), default=_LONG_AGO)
        for review_id, entry_id, how in await audit_stream.differing_reviews(
            self._tx, horizon, MOST_OF_A_KIND
        ):
            self._findings.add(
                f"review-{how}",
                self._counts.leaves,
                f"review {review_id} of entry {entry_id} was {how}, and no entry tells of that",
            )

    async def _extra_rows(self) -> None:
        if self._walk.has_stopped:
            return
        if self._counts.leaf_rows != self._counts.leaves:
            self._findings.add("leaf-extra", 0, "there are leaves that no log has")
        if (node := await audit_stream.extra_node(self._tx, self._counts.leaves)) is not None:
            level, index = node
            self._findings.add(
                "node-extra",
                self._counts.leaves,
                f"there is a node of the tree above entries that there are not: level {level}, "
                f"number {index}",
                beyond=2**63,
            )

    def verdict(self) -> Verdict:
        findings, walk = self._findings, self._walk
        head = walk.head()
        return Verdict(
            is_whole=not findings.counts,
            leaves=self._counts.leaves,
            entries=walk.entries,
            removed=self._removed.count(),
            pending=self._counts.pending,
            root_hash=to_base64(head.root_hash),
            link_hash=to_base64(head.link_hash),
            checkpoints={
                "exported": self._outside.count,
                "kept": self._inside.count,
                "signatures": self._signatures.checked,
            },
            covered=self._outside.covered,
            findings=findings.in_order(),
            counts=dict(findings.counts),
            unchecked=self._unchecked(),
        )

    def _unchecked(self) -> list[str]:
        said = []
        if not self._has_outside or not self._outside.count:
            said.append(
                "no checkpoints from outside the database: "
                "a rewrite of everything would not be seen"
            )
        elif self._outside.covered < self._walk.size:
            said.append(
                f"entries from {self._outside.covered} on are under no checkpoint outside yet"
            )
        if self._walk.has_stopped:
            said.append(f"nothing behind entry {self._walk.size - 1} could be recomputed")
        if self._counts.pending:
            said.append(f"{self._counts.pending} entries wait for the notary and have no number")
        if self._unsure:
            said.append(
                f"{self._unsure} entries are gone, and so far only an entry that waits for its "
                "number says that retention removed them"
            )
        if self._unkept.count:
            said.append(
                f"{self._unkept.count} checkpoints outside are not in the database (or no more): "
                f"those of {', '.join(map(str, self._unkept.sizes))} entries"
            )
        total = self._outside.count + self._inside.count
        if not self._signatures.can_check and total:
            said.append("no key was given: signatures of checkpoints were not checked")
        elif self._signatures.checked < self._signatures.seen:
            said.append(
                f"of {self._signatures.seen} checkpoints the signatures of "
                f"{self._signatures.checked} were checked"
            )
        return said


_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
_HOW = {"missing": "missing", "wrong": "not what they hash to", "extra": "one too many"}
