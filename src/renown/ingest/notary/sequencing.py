"""One batch of entries made into leaves: order, rules of review, hashes, tree. One transaction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from renown.audit.chain import FIRST_LINK, link_hash
from renown.audit.merkle import Frontier, cover, leaf_hash
from renown.audit.rules import AuditedEntry, Reviewer, read_rules
from renown.errors import AuditBroken, BadParameter
from renown.store import audit_leaves, audit_proofs, policies
from renown.store.audit_leaves import Leaf, WaitingEntry
from renown.store.pool import Tx

log = structlog.get_logger()

REMEMBERED = 2_000
"""Entries a new reviewer is shown first, so that what it counts over time goes on."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

Point = Callable[[str], None]


class Rules:
    """The rules of review as the policy has them now, with what they have counted."""

    def __init__(self) -> None:
        self._policy: Any = None
        self._reviewer: Reviewer | None = None

    async def reviewer(self, tx: Tx) -> Reviewer:
        """Who applies them; a new one where the policy changed."""
        policy = await policies.review_rules(tx)
        if self._reviewer is None or policy != self._policy:
            self._policy, self._reviewer = policy, _reviewer_of(policy)
            for entry in await audit_leaves.latest(tx, REMEMBERED):
                self._reviewer.rule_of(_audited(entry))
        return self._reviewer


async def sequence(tx: Tx, rules: Rules, limit: int, point: Point) -> audit_leaves.Head | None:
    """Make the first entries that wait into leaves, by their ids. Returns where the sequence ends
    then; None where nothing waited.

    Raises:
        AuditBroken: nodes of the tree are missing, so that it cannot be gone on with.
    """
    found = await audit_leaves.waiting(tx, limit)
    point("read")
    if not found:
        return None
    head = await audit_leaves.head(tx)
    tree = await frontier(tx, head.size)
    ruled = await _ruled(tx, rules, found)
    leaves, link = [], head.link_hash or FIRST_LINK
    for seq, (entry, rule, payload) in enumerate(ruled, head.size):
        leaf = leaf_hash(payload.encode())
        link = link_hash(link, leaf)
        leaves.append(Leaf(seq, entry.entry_id, entry.at, rule, leaf, link))
    made = tree.extend([leaf.leaf_hash for leaf in leaves])
    point("hashed")
    await audit_leaves.append_leaves(tx, leaves, made)
    point("written")
    return audit_leaves.Head(head.size + len(leaves), link)


async def frontier(tx: Tx, size: int) -> Frontier:
    """The tree of the first `size` leaves, from the nodes that are held.

    Raises:
        AuditBroken: some are not held.
    """
    nodes = cover(size)
    held = await audit_proofs.node_hashes(tx, nodes)
    if any(node not in held for node in nodes):
        raise AuditBroken(f"nodes of the audit log's tree of {size} entries are missing", size=size)
    return Frontier.of(size, [held[node] for node in nodes])


async def _ruled(
    tx: Tx, rules: Rules, found: Sequence[WaitingEntry]
) -> list[tuple[WaitingEntry, str | None, str]]:
    """Entries with the rule that wants a person for them, and what is hashed."""
    reviewer = await rules.reviewer(tx)
    named = [(entry, reviewer.rule_of(_audited(entry))) for entry in found]
    marked = await audit_leaves.payloads_with_rules(
        tx, [(entry, rule) for entry, rule in named if rule is not None]
    )
    return [(e, rule, e.payload if rule is None else marked[e.entry_id]) for e, rule in named]


def _reviewer_of(policy: Any) -> Reviewer:
    try:
        return Reviewer(read_rules(policy))
    except BadParameter as exc:  # set by other means than ours
        log.error("review_policy_unreadable", reason=exc.detail)
        return Reviewer()


def _audited(entry: WaitingEntry) -> AuditedEntry:
    return AuditedEntry(
        entry_id=entry.entry_id,
        at_us=(entry.at - _EPOCH) // _MICROSECOND,
        action=entry.action,
        subject=entry.subject,
        account_id=entry.account_id,
        key_id=entry.key_id,
        address=entry.address,
        method=entry.method,
        route=entry.route,
        status=entry.status,
        request_id=entry.request_id,
        db_user=entry.db_user,
        program=entry.program,
        before=_object(entry.before),
        after=_object(entry.after),
        detail=_object(entry.detail),
    )


def _object(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    try:
        found = msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # PostgreSQL takes deeper ones
        return None
    return found if isinstance(found, dict) else None
