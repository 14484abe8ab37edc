"""A walk through the whole audit log, which says what does not fit. Pure: rows in, findings out."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import TypeAlias

import msgspec

from renown.audit.chain import FIRST_LINK
from renown.audit.merkle import EMPTY_ROOT, Frontier
from renown.audit.proofs import read_payload
from renown.derive.ranges import Ranges
from renown.derive.retentions import Retention, read_retention
from renown.errors import AuditBroken

MOST_NAMED = 10_000
"""Missing entries whose ids are remembered."""
MOST_OF_A_KIND = 20
"""Findings of one kind that are kept in words; all are counted."""


class Finding(msgspec.Struct, frozen=True):
    """Something that does not fit.

    Attributes:
        kind: a stable code.
        seq: the first entry that is touched, or may be, by its place in the log.
        beyond: the first one behind it that cannot be meant.
        entry_id: where it is about one entry.
        about: for people.
    """

    kind: str
    seq: int
    beyond: int
    entry_id: int | None
    about: str


class Findings:
    """What was found: some of each kind, and how many there are."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._kept: list[Finding] = []

    def add(
        self,
        kind: str,
        seq: int,
        about: str,
        *,
        beyond: int | None = None,
        entry_id: int | None = None,
    ) -> None:
        """One more, about entry `seq` or some from there on. Of each kind the first are kept."""
        self.counts[kind] += 1
        if self.counts[kind] <= MOST_OF_A_KIND:
            self._kept.append(Finding(kind, seq, beyond or seq + 1, entry_id, about))

    def in_order(self) -> list[Finding]:
        """Those kept, by the first entry they touch.

        What spans many entries comes behind what names one of them: it follows from that.
        """
        exact = sorted(f.seq for f in self._kept if f.beyond == f.seq + 1)

        def place(finding: Finding) -> tuple[int, bool]:
            at = bisect_left(exact, finding.seq)
            if at < len(exact) and exact[at] < finding.beyond:
                return exact[at], finding.beyond > finding.seq + 1
            return finding.seq, True

        return sorted(self._kept, key=place)


Levels: TypeAlias = dict[int, tuple[int, list[bytes]]]
"""Nodes by level: the number of the first one, and the hashes of it and those that follow."""


class Head(msgspec.Struct, frozen=True):
    """Root and link of the log at some size."""

    root_hash: bytes
    link_hash: bytes


class Walk:
    """Goes through the leaves in order, a batch at a time: `expect`, `leaves` some times, `settle`.

    Leaves go into the tree as they come, not at the end of a batch: whoever sends them goes on
    meanwhile. It stops at the first number that is missing: behind it nothing can be recomputed.
    """

    def __init__(self, findings: Findings) -> None:
        self.findings = findings
        self.has_stopped = False
        self.entries = 0
        self.missing = Ranges()
        self.retentions: list[Retention] = []
        self._missing_ids: dict[int, int] = {}
        self._frontier = Frontier()
        self._link = FIRST_LINK
        self._next = 0
        self._sizes: deque[int] = deque()
        self._made: Levels = {}
        self._heads: list[Head] = []

    @property
    def size(self) -> int:
        """Leaves that are in the tree."""
        return self._frontier.size

    def expect(self, sizes: Iterable[int]) -> None:
        """Note the heads at `sizes`, which ascend from the size that there is, on the way."""
        self._sizes.extend(sizes)
        self._put([], [])

    def leaves(
        self,
        seqs: Sequence[int],
        entry_ids: Sequence[int],
        leaves: Sequence[bytes],
        links: Sequence[bytes],
        payloads: Sequence[bytes | None],
    ) -> None:
        """The next leaves as they are stored, in columns; `payloads` are what is hashed of the
        entries, None where there is no entry."""
        if self.has_stopped or not seqs:
            return
        link, due = self._link, []
        for leaf in leaves:
            link = sha256(b"\x00" + link + leaf).digest()
            due.append(link)
        # All at once, and one by one only where something is not as it must be.
        if (
            None not in payloads
            and due == list(links)
            and list(seqs) == list(range(self._next, self._next + len(seqs)))
            and [sha256(b"\x00" + payload).digest() for payload in payloads if payload is not None]
            == list(leaves)
        ):
            self._take_good(leaves, links, payloads)
            return
        made_of: list[bytes] = []
        for row in zip(seqs, entry_ids, leaves, links, payloads, strict=True):
            made = self._leaf(*row)
            if made is None:
                break
            made_of.append(made)
        self._put(made_of, links)

    def _take_good(
        self, leaves: Sequence[bytes], links: Sequence[bytes], payloads: Sequence[bytes | None]
    ) -> None:
        for n, payload in enumerate(payloads):
            if payload is not None and b'"retention"' in payload:
                self._note_retention(self._next + n, payload)
        self.entries += len(payloads)
        self._next += len(leaves)
        self._link = links[-1]
        self._put(leaves, links)

    def _leaf(
        self, seq: int, entry_id: int, leaf: bytes, link: bytes, payload: bytes | None
    ) -> bytes | None:
        """One leaf; what goes into the tree for it. None: the walk ends before it."""
        if seq != self._next:
            self._out_of_order(seq)
            return None
        made_of = leaf
        if payload is None:
            self._note_missing(seq, entry_id)
        else:
            self.entries += 1
            hashed = sha256(b"\x00" + payload).digest()
            if hashed != leaf:
                made_of = self._differs(seq, entry_id, leaf, link, hashed)
            elif b'"retention"' in payload:
                self._note_retention(seq, payload)
        if sha256(b"\x00" + self._link + made_of).digest() != link:
            self._unlinked(seq, entry_id)
        self._link = link
        self._next += 1
        return made_of

    def settle(self) -> tuple[Levels, list[Head]]:
        """End a batch. Returns the nodes that it completed, by level, and the heads at the sizes
        that were expected and reached."""
        made, self._made = self._made, {}
        heads, self._heads = self._heads, []
        self._sizes.clear()
        return made, heads

    def _put(self, leaves: Sequence[bytes], links: Sequence[bytes]) -> None:
        """Put the next leaves into the tree, with their links."""
        begin, put = self.size, 0
        while self._sizes and self._sizes[0] - begin <= len(leaves):
            upto = self._sizes.popleft() - begin
            self._grow(leaves[put:upto])
            self._heads.append(self.head(links[upto - 1] if upto else None))
            put = upto
        self._grow(leaves[put:])

    def _grow(self, leaves: Sequence[bytes]) -> None:
        for level, first, row in self._frontier.grow(leaves):
            self._made.setdefault(level, (first, []))[1].extend(row)

    def head(self, link: bytes | None = None) -> Head:
        """Root of what is in the tree, with `link`; by default that of the last leaf."""
        if self.size == 0:
            return Head(EMPTY_ROOT, FIRST_LINK)
        return Head(self._frontier.root(), self._link if link is None else link)

    def stop(self, kind: str, about: str) -> None:
        """Nothing behind the last leaf can be recomputed."""
        if not self.has_stopped:
            self.has_stopped = True
            self.findings.add(kind, self._next, about)

    def unexplained(self, explained: Ranges, limit: int) -> list[tuple[int, int | None]]:
        """Entries that are missing at other places than `explained`: places and, for the first
        ones, ids."""
        found = []
        for seq in self.missing.without(explained):
            found.append((seq, self._missing_ids.get(seq)))
            if len(found) == limit:
                break
        return found

    def _out_of_order(self, seq: int) -> None:
        if seq < self._next:
            self.stop("leaf-repeated", f"leaf {seq} is there more than once")
        else:
            self.stop("leaf-missing", f"leaf {self._next} is missing; the next one is {seq}")

    def _differs(self, seq: int, entry_id: int, leaf: bytes, link: bytes, hashed: bytes) -> bytes:
        """Says which of the two was altered; returns the leaf hash that the link was made of."""
        if sha256(b"\x00" + self._link + hashed).digest() == link:
            self.findings.add(
                "leaf-changed",
                seq,
                f"entry {entry_id} is as it was, its leaf hash is not",
                entry_id=entry_id,
            )
            return hashed
        self.findings.add(
            "entry-changed", seq, f"entry {entry_id} is not as it was", entry_id=entry_id
        )
        return leaf

    def _note_missing(self, seq: int, entry_id: int) -> None:
        self.missing.add(seq, seq)
        if len(self._missing_ids) < MOST_NAMED:
            self._missing_ids[seq] = entry_id

    def _unlinked(self, seq: int, entry_id: int) -> None:
        self.findings.add(
            "link-broken",
            seq,
            f"entry {entry_id} does not follow the one before it: one of the two was put here, or "
            "its hashes were altered",
            entry_id=entry_id,
        )

    def _note_retention(self, seq: int, payload: bytes) -> None:
        try:
            entry = read_payload(payload)
        except AuditBroken:
            return
        if entry["action"] == "retention":
            retention = read_retention(entry["at_us"], entry["detail"], seq)
            if retention is not None:
                self.retentions.append(retention)


def differing_node(made: Levels, stored: Mapping[tuple[int, int], bytes]) -> tuple[int, int, str]:
    """The lowest node that is not stored as it must be: level, number, and `missing`, `wrong` or
    `extra`. There must be one."""
    due = set()
    for level, (first, row) in sorted(made.items()):
        for number, found in enumerate(row, first):
            if (level, number) not in stored:
                return level, number, "missing"
            if stored[level, number] != found:
                return level, number, "wrong"
            due.add((level, number))
    level, number = min(node for node in stored if node not in due)
    return level, number, "extra"
