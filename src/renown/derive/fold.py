"""`step` over all kinds of facts, in chain order: from what was held to what is held.

One `Fold` serves every use. Empty and given all facts, it makes the whole state (rebuild, verify,
the past). Preloaded with the subjects that some new facts touch, it makes the change (following).
Because a subject's state depends only on the facts before it, both give the same.

A fact whose subject is not there when its turn comes is `unattached`. It attaches when an earlier
fact is learnt (a quarantined log replayed) and its agent is folded again; nothing looks ahead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from renown.derive import identity as identities
from renown.derive import ratings, validations
from renown.derive.identity import Identity
from renown.derive.ratings import AgentCounts, Cell, CellKey, TagCounts, TagsKey
from renown.derive.validations import RequestKey, Validation
from renown.spec.events import (
    KINDS,
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    MetadataRefreshed,
    MetadataSet,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)
from renown.types import ZERO_ADDRESS


class Unattached(msgspec.Struct, frozen=True, gc=False):
    """A good fact without a subject. `reason` as in table `unattached`."""

    block_number: int
    log_index: int
    kind: str
    agent_id: int
    reason: str


class Fold:
    """State under construction.

    Args:
        known: whether an agent exists that is not in `identities`. A whole fold needs none; an
            incremental one loads identities only for agents whose identity facts it will see.

    Attributes:
        identities: by agent id.
        cells: feedback cells by key; those of the facts given, and those preloaded.
        requests: validations by key.
        agents, tags: the *change* of counts since this Fold was made (for a whole fold, all).
        unattached: facts that found no subject, in order.
        touched: agents whose answer changed.
        minted: agents created by this fold, in order.
        changed_identities, changed_cells, changed_requests: keys whose stored form is out of date.
        known: as given.
    """

    def __init__(self, known: Callable[[int], bool] | None = None) -> None:
        self.identities: dict[int, Identity] = {}
        self.cells: dict[CellKey, Cell] = {}
        self.requests: dict[RequestKey, Validation] = {}
        self.agents: dict[int, AgentCounts] = {}
        self.tags: dict[TagsKey, TagCounts] = {}
        self.unattached: list[Unattached] = []
        self.touched: set[int] = set()
        self.changed_identities: set[int] = set()
        self.changed_cells: set[CellKey] = set()
        self.changed_requests: set[RequestKey] = set()
        self.minted: list[int] = []
        self.known = known or (lambda _agent_id: False)

    def run(self, facts: Iterable[Fact]) -> Fold:
        """Step through `facts`, which are in chain order. Returns itself."""
        steps = _STEPS
        for fact in facts:
            handler = steps.get(type(fact))
            if handler is not None:
                handler(self, fact)
        return self

    def step(self, fact: Fact) -> None:
        """One fact further. Kinds without state (operators, notices, legacy) change nothing."""
        handler = _STEPS.get(type(fact))
        if handler is not None:
            handler(self, fact)

    def _exists(self, agent_id: int) -> bool:
        return agent_id in self.identities or self.known(agent_id)

    def _leave(self, fact: Fact, agent_id: int, reason: str) -> None:
        self.unattached.append(
            Unattached(fact.block_number, fact.log_index, KINDS[type(fact)], agent_id, reason)
        )

    def _identity(self, fact: identities.IdentityFact) -> None:
        agent_id = fact.agent_id
        held = self.identities.get(agent_id)
        if held is None:
            if isinstance(fact, AgentTransferred) and fact.from_address == ZERO_ADDRESS:
                self.identities[agent_id] = identities.mint(fact)
                self.minted.append(agent_id)
            else:
                self._leave(fact, agent_id, "unknown-agent")
                return
        elif isinstance(fact, AgentTransferred) and fact.from_address == ZERO_ADDRESS:
            self._leave(fact, agent_id, "twice")
            return
        else:
            identities.step(held, fact)
        self.touched.add(agent_id)
        self.changed_identities.add(agent_id)

    def _refresh(self, fact: MetadataRefreshed) -> None:
        held = self.identities.get(fact.first_agent_id)
        if held is not None and fact.first_agent_id == fact.last_agent_id:
            identities.refresh(held, fact)

    def _give(self, fact: FeedbackGiven) -> None:
        agent_id = fact.agent_id
        if not (agent_id in self.identities or self.known(agent_id)):
            self._leave(fact, agent_id, "unknown-agent")
            return
        key = (agent_id, fact.client, fact.feedback_index)
        cell = self.cells.get(key)
        if cell is None:
            cell = self.cells[key] = []
        elif cell:
            ratings.contribute(key, cell, -1, self.agents, self.tags)
            self.changed_cells.add(key)
        ratings.give(cell, fact)
        ratings.contribute(key, cell, 1, self.agents, self.tags)
        self.touched.add(agent_id)

    def _revoke(self, fact: FeedbackRevoked) -> None:
        self._mark(fact, ratings.revoke)

    def _respond(self, fact: ResponseAppended) -> None:
        self._mark(fact, ratings.respond)

    def _mark(
        self, fact: FeedbackRevoked | ResponseAppended, mark: Callable[[Cell, Any], bool]
    ) -> None:
        key = (fact.agent_id, fact.client, fact.feedback_index)
        cell = self.cells.get(key)
        if not cell:
            self._leave(
                fact,
                fact.agent_id,
                "unknown-feedback" if self._exists(fact.agent_id) else "unknown-agent",
            )
            return
        ratings.contribute(key, cell, -1, self.agents, self.tags)
        changed = mark(cell, fact)
        ratings.contribute(key, cell, 1, self.agents, self.tags)
        if changed:
            self.changed_cells.add(key)
            self.touched.add(fact.agent_id)
        else:
            self._leave(fact, fact.agent_id, "twice")

    def _request(self, fact: ValidationRequested) -> None:
        key = (fact.agent_id, fact.contract, fact.request_hash)
        if not self._exists(fact.agent_id):
            self._leave(fact, fact.agent_id, "unknown-agent")
        elif key in self.requests:
            self._leave(fact, fact.agent_id, "twice")
        else:
            self.requests[key] = validations.request(fact)
            self._counts(fact.agent_id).validation_count += 1
            self.changed_requests.add(key)
            self.touched.add(fact.agent_id)

    def _answer(self, fact: ValidationResponded) -> None:
        key = (fact.agent_id, fact.contract, fact.request_hash)
        validation = self.requests.get(key)
        pending = validation is not None and validation.response is None
        if validation is None or not validations.respond(validation, fact):
            self._leave(
                fact,
                fact.agent_id,
                "unknown-request" if self._exists(fact.agent_id) else "unknown-agent",
            )
            return
        if pending:
            self._counts(fact.agent_id).validation_responded_count += 1
        self.changed_requests.add(key)
        self.touched.add(fact.agent_id)

    def _counts(self, agent_id: int) -> AgentCounts:
        counts = self.agents.get(agent_id)
        if counts is None:
            counts = self.agents[agent_id] = AgentCounts()
        return counts


_STEPS: dict[type[Fact], Callable[..., None]] = {
    AgentRegistered: Fold._identity,
    UriUpdated: Fold._identity,
    MetadataSet: Fold._identity,
    AgentTransferred: Fold._identity,
    AgentApproved: Fold._identity,
    MetadataRefreshed: Fold._refresh,
    FeedbackGiven: Fold._give,
    FeedbackRevoked: Fold._revoke,
    ResponseAppended: Fold._respond,
    ValidationRequested: Fold._request,
    ValidationResponded: Fold._answer,
}


def fold(facts: Iterable[Fact]) -> Fold:
    """The whole state that `facts`, all of them and in chain order, give."""
    return Fold().run(facts)
