"""Checkpoints to compare the log with, wherever they were kept, and who signed them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from renown.audit.checkpoint import Checkpoint, Verifier, read_note, verify_note
from renown.audit.walking import Findings
from renown.errors import AuditBroken
from renown.store import audit_proofs

SIGNATURES_FIRST, SIGNATURES_EVERY = 500, 50
"""Signatures are checked of so many checkpoints, then of every so manieth, of the last, and of each
that does not fit: one takes about as long as hashing a thousand entries."""


MOST_SIZES = 10


class Mark(msgspec.Struct, frozen=True):
    """A checkpoint to compare with; `said` is None for one that cannot be read."""

    source: str
    size: int
    note: str
    said: Checkpoint | None


class Marks:
    """Checkpoints of one place, in ascending order of their sizes."""

    def __init__(self, source: str, notes: Iterator[str]) -> None:
        self.count = 0
        self.covered = 0
        self._source = source
        self._notes = notes
        self._ahead: Mark | None = None
        self._size = 0

    def up_to(self, size: int, findings: Findings) -> Iterator[Mark]:
        """The next ones, as far as they are of at most `size` entries."""
        while (mark := self._ahead or self._read(findings)) is not None:
            if mark.size > size:
                self._ahead = mark
                return
            self._ahead = None
            yield mark

    def _read(self, findings: Findings) -> Mark | None:
        for note in self._notes:
            self.count += 1
            said = _read(note)
            if said is None or said.size < self._size:
                how = "cannot be read" if said is None else "is not in its place"
                findings.add(
                    "checkpoint-altered",
                    self._size,
                    f"the {self._source} checkpoint behind that of {self._size} entries {how}",
                )
                continue
            self._size = said.size
            return Mark(self._source, said.size, note, said)
        return None


class Unkept:
    """Checkpoints that were exported and are not in the database: how many, and the first sizes.

    It shows that somebody removed them, or that a notary died right after it had exported one.
    """

    def __init__(self) -> None:
        self.count = 0
        self.sizes: list[int] = []

    def add(self, exported: Sequence[Mark], kept: Sequence[Mark]) -> None:
        """Compare those of the same sizes."""
        there = {mark.size for mark in kept}
        for size in sorted({mark.size for mark in exported} - there):
            self.count += 1
            if len(self.sizes) < MOST_SIZES:
                self.sizes.append(size)


class Signatures:
    """Checks who signed, of as many checkpoints as there is time for."""

    def __init__(self, verifiers: Sequence[Verifier], findings: Findings) -> None:
        self.checked = self.seen = 0
        self._verifiers = verifiers
        self._findings = findings
        self._known: dict[str, bool] = {}
        self._last: Mark | None = None

    @property
    def can_check(self) -> bool:
        return bool(self._verifiers)

    def are_good(self, mark: Mark, fitting: int, *, must: bool) -> bool:
        """Whether a key that is known signed it, as far as that is looked at; `must`: it is."""
        self.seen += 1
        self._last = mark
        if not self._verifiers:
            return True
        if mark.note in self._known:  # the same note, of the other place
            self.checked += 1
            return self._known[mark.note]
        if not must and self.seen > SIGNATURES_FIRST and self.seen % SIGNATURES_EVERY:
            return True
        return self._check(mark, fitting)

    def check_last(self, fitting: int) -> None:
        if self._last is not None and self._verifiers and self._last.note not in self._known:
            self._check(self._last, fitting)

    def _check(self, mark: Mark, fitting: int) -> bool:
        self.checked += 1
        try:
            verify_note(mark.note, self._verifiers)
            good = True
        except AuditBroken as exc:
            good = False
            self._findings.add(
                "checkpoint-forged",
                fitting,
                f"the {mark.source} checkpoint of {mark.size} entries: {exc.detail}",
                beyond=2**63,
            )
        if len(self._known) > 64:
            self._known.clear()
        self._known[mark.note] = good
        return good


def kept_mark(row: audit_proofs.CheckpointRow) -> Mark:
    """The checkpoint of a row of the database; unreadable where its columns say something else."""
    said = _read(row.note)
    if said is not None and (said.size, said.root_hash, said.link_hash) != (
        *(row.size, row.root_hash, row.link_hash),
    ):
        said = None
    return Mark("kept", row.size, row.note, said)


def _read(note: str) -> Checkpoint | None:
    try:
        return read_note(note)
    except AuditBroken:
        return None
