"""Feedback cells: what has happened to the record (agent, client, index), and what it counts for.

A cell is the list of records given under one key. There is more than one only where a registry
restarted its indexes (two testnets did): the newest is the live one, the others are superseded
and count for nothing. Counts and sums form a group, so a change is the new contribution less the
old one and nobody has to read an agent's other feedback.
"""

from __future__ import annotations

import hashlib

import msgspec

from renown.spec.events import FeedbackGiven, FeedbackRevoked, ResponseAppended

CellKey = tuple[int, bytes, int]
"""(agent id, client, feedback index)."""
TagsKey = tuple[int, bytes, bytes]
"""(agent id, tag1, tag2)."""

SCALE_DECIMALS = 18
_SCALES = tuple(10 ** (SCALE_DECIMALS - decimals) for decimals in range(SCALE_DECIMALS + 1))


class Record(msgspec.Struct, gc=False):
    """One given feedback and its marks.

    A mark is the (block, log index) of the fact that made it.
    """

    block_number: int
    log_index: int
    value: int
    decimals: int
    tag1: bytes
    tag2: bytes
    revoked: tuple[int, int] | None = None
    superseded: tuple[int, int] | None = None
    response_count: int = 0

    @property
    def marked(self) -> bool:
        """Whether anything happened to it since it was given."""
        return bool(self.revoked or self.superseded or self.response_count)


Cell = list[Record]
"""Records of one key in chain order; only the last can be live."""


class AgentCounts(msgspec.Struct):
    """An agent's counts, or a change of them. Superseded feedback is in none."""

    feedback_count: int = 0
    revoked_count: int = 0
    client_count: int = 0
    response_count: int = 0
    validation_count: int = 0
    validation_responded_count: int = 0

    def __bool__(self) -> bool:
        return any(msgspec.structs.astuple(self))


class TagCounts(msgspec.Struct):
    """Counts and the exact sum of one agent under one pair of tags, or a change of them.

    `live_sum` is the sum of `value * 10**(18 - decimals)` over live feedback: an integer, no float.
    """

    given_count: int = 0
    live_count: int = 0
    live_sum: int = 0

    def __bool__(self) -> bool:
        return bool(self.given_count or self.live_count or self.live_sum)


def tags_hash(tag1: bytes, tag2: bytes) -> bytes:
    """16 bytes that stand for a pair of tags of any length in an index."""
    prefix = len(tag1).to_bytes(8)
    return hashlib.blake2b(prefix + tag1 + tag2, digest_size=16).digest()


def give(cell: Cell, fact: FeedbackGiven) -> None:
    """Put a record on top of `cell`; one below it is superseded."""
    if cell:
        cell[-1].superseded = (fact.block_number, fact.log_index)
    cell.append(
        Record(fact.block_number, fact.log_index, fact.value, fact.decimals, fact.tag1, fact.tag2)
    )


def revoke(cell: Cell, fact: FeedbackRevoked) -> bool:
    """Revoke the live record. False, and no change, when there is none or it is revoked already."""
    if not cell or cell[-1].revoked:
        return False
    cell[-1].revoked = (fact.block_number, fact.log_index)
    return True


def respond(cell: Cell, fact: ResponseAppended) -> bool:
    """Count a response to the newest record, revoked or not. False when there is none."""
    if not cell:
        return False
    cell[-1].response_count += 1
    return True


def contribute(
    key: CellKey,
    cell: Cell,
    sign: int,
    agents: dict[int, AgentCounts],
    tags: dict[TagsKey, TagCounts],
) -> None:
    """Add `sign` (1 or -1) times what `cell` counts for to the sums of its agent and tags."""
    if not cell:
        return
    agent_id, _, feedback_index = key
    record = cell[-1]
    counts = agents.get(agent_id)
    if counts is None:
        counts = agents[agent_id] = AgentCounts()
    counts.feedback_count += sign
    counts.response_count += sign * record.response_count
    if feedback_index == 1:  # indexes are gapless per client, so each client has one first
        counts.client_count += sign
    tag_key = (agent_id, record.tag1, record.tag2)
    tag_counts = tags.get(tag_key)
    if tag_counts is None:
        tag_counts = tags[tag_key] = TagCounts()
    tag_counts.given_count += sign
    if record.revoked:
        counts.revoked_count += sign
    else:
        tag_counts.live_count += sign
        tag_counts.live_sum += sign * record.value * _SCALES[record.decimals]
