"""One hash over the facts of a stretch of blocks, as the audit log has it of each commit. Pure.

It is the SHA-256 of one line per log in chain order, each with a line feed behind it: facts and
quarantined logs among each other, by block number and log index. A line is the log as a JSON array
without white space: its kind (the table's name, or `quarantined`), then its fields in the order of
`spec.events`; numbers are written out, bytes in base64 (RFC 4648, padded). `contract` is left out
of the kinds of which a chain has one registry, as it is in their tables. Logs whose place in the
chain cannot be read are left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from renown.spec.events import KINDS, Fact, Quarantined

QUARANTINED = "quarantined"

_encode_lines = msgspec.json.Encoder().encode_lines


def names_its_contract(kind: type[Fact]) -> bool:
    """Whether facts of this kind can come from several contracts of a chain."""
    return KINDS[kind].startswith(("validation_", "registry_", "legacy_"))


_BARE: dict[type[Fact], str] = {
    kind: name for kind, name in KINDS.items() if not names_its_contract(kind)
}
_WHOLE: dict[type[Fact], str] = {
    kind: name for kind, name in KINDS.items() if names_its_contract(kind)
} | {Quarantined: QUARANTINED}


class FactsHash:
    """The hash, over as many parts as there are."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self.logs = 0

    def add(self, events: Iterable[Fact]) -> None:
        """Add logs in chain order, all of them behind those that were added before."""
        rows: list[tuple[Any, ...]] = []
        astuple, bare_name = msgspec.structs.astuple, _BARE.get
        for event in events:
            kind = type(event)
            row = astuple(event)
            name = bare_name(kind)
            if name is None:
                rows.append((_WHOLE[kind], *row))
            else:
                rows.append((name, *row[:3], *row[4:]))
        self.logs += len(rows)
        if rows:
            self._hash.update(_encode_lines(rows))

    def hexdigest(self) -> str:
        """64 hexadecimal digits."""
        return self._hash.hexdigest()


def facts_hash(facts: Sequence[Fact], quarantined: Sequence[Quarantined] = ()) -> str:
    """The hash of a stretch. `facts` are in chain order; quarantined logs in any."""
    total = FactsHash()
    placed = [log for log in quarantined if log.block_number >= 0]
    total.add(_in_order(facts, placed) if placed else facts)
    return total.hexdigest()


def _in_order(facts: Sequence[Fact], quarantined: Sequence[Fact]) -> list[Fact]:
    return sorted((*facts, *quarantined), key=lambda e: (e.block_number, e.log_index))
