"""Folded state as rows in key order: the form in which it is stored, hashed and compared.

The columns are those of `store.hashing` for the same section.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from renown.derive.fold import Fold
from renown.derive.ratings import AgentCounts, tags_hash

Row = tuple[Any, ...]


def rows(fold: Fold, section: str) -> Iterator[Row]:
    """The rows of one state section (`state_hash.STATE_SECTIONS`) of a whole fold, in key order."""
    return _SECTIONS[section](fold)


def _agents(fold: Fold) -> Iterator[Row]:
    for agent_id in sorted(fold.identities):
        a = fold.identities[agent_id]
        yield (
            *(agent_id, a.owner, a.registrant, a.uri, a.uri_block, a.wallet, a.wallet_state),
            *(a.approved, a.created_block, a.created_log_index, a.created_tx, a.transfer_count),
        )


def _metadata(fold: Fold) -> Iterator[Row]:
    for agent_id in sorted(fold.identities):
        for key_hash, e in sorted(fold.identities[agent_id].entries.items()):
            yield agent_id, key_hash, e.key, e.value, e.block_number, e.log_index


def _ownership(fold: Fold) -> Iterator[Row]:
    for agent_id in sorted(fold.identities):
        for i in fold.identities[agent_id].ownership:
            yield agent_id, i.from_block, i.from_log_index, i.owner, i.to_block, i.to_log_index


def _marks(fold: Fold) -> Iterator[Row]:
    none = (None, None)
    for key in sorted(fold.cells):
        for r in fold.cells[key]:
            if r.marked:
                yield (
                    *(*key, r.block_number, r.log_index, *(r.revoked or none)),
                    *(*(r.superseded or none), r.response_count),
                )


def _stats(fold: Fold) -> Iterator[Row]:
    nothing = AgentCounts()
    for agent_id in sorted(fold.identities):
        yield agent_id, *msgspec.structs.astuple(fold.agents.get(agent_id, nothing))


def _tags(fold: Fold) -> Iterator[Row]:
    keyed = (
        (agent_id, tags_hash(tag1, tag2), tag1, tag2, c.given_count, c.live_count, c.live_sum)
        for (agent_id, tag1, tag2), c in fold.tags.items()
        if c.given_count
    )
    yield from sorted(keyed)


def _validations(fold: Fold) -> Iterator[Row]:
    for key in sorted(fold.requests):
        yield *key, *msgspec.structs.astuple(fold.requests[key])


_SECTIONS = {
    "agent": _agents,
    "agent_metadata": _metadata,
    "agent_ownership": _ownership,
    "feedback_mark": _marks,
    "agent_stats": _stats,
    "agent_tag_stats": _tags,
    "validation": _validations,
}
