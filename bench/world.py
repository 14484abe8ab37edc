"""What happens on the mock chain: registrations, feedback, transfers, in blocks. Deterministic.

The same size, density and seed always give the same world. Shares and skew are those of Ethereum
and Base up to August 2026 (erc8004 section 16, counts of public dumps):

    111 registrations to 455 feedbacks to 35 transfers; 1 % of the feedback gets a response,
    0.02 % is revoked, validations are a handful
    half the registrations have no URI, 40 % a data URI of about 1 KB
    one owner registers 15 % of the agents; the most rated agent holds 41,331 feedbacks of one
    client in a world of 1 M events, and the rest is spread by a cubic law
    reviewers are 2.8 % of the feedbacks

A world holds one row of a few integers per action (a transaction); `wire` makes logs of them.
"""

from __future__ import annotations

import math
import random
from array import array
from bisect import bisect_right
from dataclasses import dataclass, field
from enum import IntEnum


class Action(IntEnum):
    """What one transaction does. The number of logs it leaves is `LOGS[action]`."""

    DEPLOY = 0  # all three registries, in block 1
    REGISTER = 1  # register(): no URI
    REGISTER_URI = 2  # register(uri)
    REGISTER_ENTRY = 3  # register(uri, [one metadata entry])
    FEEDBACK = 4
    REVOKE = 5
    RESPOND = 6
    TRANSFER = 7
    SET_URI = 8
    SET_METADATA = 9
    SET_WALLET = 10
    APPROVE_ALL = 11
    REQUEST_VALIDATION = 12
    ANSWER_VALIDATION = 13


LOGS = (9, 3, 4, 5, 1, 1, 1, 2, 2, 1, 1, 1, 1, 1)

OWNERS = 1 << 30
"""Accounts from here on own agents; those below give feedback. Nobody does both, so no feedback
of this world would revert with "Self-feedback not allowed"."""

HEAVY_AGENT, HEAVY_CLIENT = 22, 0
URI_FORMS, FEEDBACK_BODIES, RESPONSE_BODIES = 512, 8192, 64
"""How many different templates `wire` keeps; an action's `body` picks one."""

_DATA_URIS, _HTTPS_URIS = 410, 92  # of URI_FORMS; the rest are ipfs


@dataclass(frozen=True, slots=True)
class Density:
    """How actions fall into blocks.

    mean_gap_blocks     average distance from one block with events to the next
    least, most         actions of a block that has any; an action leaves 1.5 logs on average
    """

    mean_gap_blocks: float
    least: int
    most: int


DENSITIES = {
    "network": Density(mean_gap_blocks=8.0, least=1, most=3),  # 3 events where there are any
    "dense": Density(mean_gap_blocks=1.0, least=33, most=65),  # 50 to 100 events in every block
}


@dataclass(slots=True)
class World:
    """All actions, in order, and the blocks they stand in. Built by `make`, then only read.

    Rows are parallel arrays by action number:

        kind    `Action`
        agent   agent id
        who     client, owner before, or requester; for REVOKE, RESPOND and ANSWER_VALIDATION
                the number of the action it is about
        other   feedback index, new owner, operator, wallet, responder or validator
        body    template number

    `blocks` are the numbers of the blocks that have events, ascending; block `i` holds actions
    `first_action[i]` up to `first_action[i + 1]` and `logs_before[i]` logs precede it.
    """

    density: str
    seed: int
    kind: bytearray = field(default_factory=bytearray)
    agent: array[int] = field(default_factory=lambda: array("I"))
    who: array[int] = field(default_factory=lambda: array("I"))
    other: array[int] = field(default_factory=lambda: array("I"))
    body: array[int] = field(default_factory=lambda: array("H"))
    blocks: array[int] = field(default_factory=lambda: array("I"))
    first_action: array[int] = field(default_factory=lambda: array("I"))
    logs_before: array[int] = field(default_factory=lambda: array("I"))
    agents: int = 0
    clients: int = 0  # accounts 0 .. clients - 1
    owners: int = 0  # accounts OWNERS .. OWNERS + owners - 1
    minted_in: array[int] = field(default_factory=lambda: array("I"))  # action of each agent
    owned_from: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """Of agents that moved: (action number, new owner), in order."""
    counts: dict[str, int] = field(default_factory=dict)

    @property
    def logs(self) -> int:
        """How many logs the whole world leaves."""
        return self.logs_before[-1]

    @property
    def last_block(self) -> int:
        return self.blocks[-1]

    def actions_up_to(self, block: int) -> int:
        """How many actions stand in blocks up to and including `block`."""
        return self.first_action[bisect_right(self.blocks, block)]

    def logs_up_to(self, block: int) -> int:
        """How many logs stand in blocks up to and including `block`."""
        return self.logs_before[bisect_right(self.blocks, block)]

    def owner(self, agent: int, actions: int) -> int | None:
        """Account that owns `agent` after the first `actions` actions; None: not minted yet."""
        if agent >= self.agents or self.minted_in[agent] >= actions:
            return None
        owner = self.who[self.minted_in[agent]]
        for moved_in, account in self.owned_from.get(agent, ()):
            if moved_in < actions:
                owner = account
        return owner

    def last_index(self, agent: int, client: int, actions: int) -> int:
        """Feedback index `client` has reached on `agent` after the first `actions` actions."""
        for i in range(min(actions, len(self.kind)) - 1, -1, -1):
            if self.agent[i] == agent and self.kind[i] == Action.FEEDBACK and self.who[i] == client:
                return self.other[i]
        return 0

    def last_block_rating(self, agent: int, at_or_below: int) -> int | None:
        """The highest block not above `at_or_below` in which `agent` got feedback."""
        for i in range(self.actions_up_to(at_or_below) - 1, -1, -1):
            if self.agent[i] == agent and self.kind[i] == Action.FEEDBACK:
                return self.blocks[bisect_right(self.first_action, i) - 1]
        return None


def make(
    size: int, *, density: str = "network", seed: int = 8004, heavy: int | None = None
) -> World:
    """A world of `size` events, or the few more that its last action takes.

    Args:
        size: events, at least 100.
        density: a key of `DENSITIES`.
        heavy: about how many feedbacks the most rated agent gets of one client; by default
            41,331 for each million events.
    """
    return _Maker(size, density, seed, heavy).run()


# Cumulated weights of everything that is no feedback and no registration, per 601 such actions
# of the network (35 thousand transfers, and the rare ones after them).
_RARE = (
    (35.0, Action.TRANSFER),
    (39.5, Action.RESPOND),
    (40.3, Action.SET_URI),
    (40.9, Action.SET_METADATA),
    (42.4, Action.SET_WALLET),
    (43.4, Action.APPROVE_ALL),
    (43.5, Action.REVOKE),
    (43.57, Action.REQUEST_VALIDATION),
    (43.64, Action.ANSWER_VALIDATION),
)
_FEEDBACK, _REGISTRATION = 455.0, 111.0
_ALL = _FEEDBACK + _REGISTRATION + _RARE[-1][0]
_FEEDBACKS_PER_EVENT = 0.494


class _Maker:
    """The state while a world is made."""

    def __init__(self, size: int, density: str, seed: int, heavy: int | None) -> None:
        self.world = World(density, seed)
        self.size = max(size, 100)
        self.random = random.Random(f"{seed}/{size}/{density}").random
        feedbacks = self.size * _FEEDBACKS_PER_EVENT
        self.world.clients = max(16, round(feedbacks * 0.0278))
        self.world.owners = max(16, round(self.size * 0.12 * 0.4))
        wanted = self.size * 0.041331 if heavy is None else heavy
        self.heavy_share = min(0.9, wanted / feedbacks)
        self.heavy_index = 0
        self.indexes: dict[int, int] = {}  # agent << 32 | client -> last feedback index
        self.owner_now = array("I")
        self.feedbacks = array("I")
        self.revoked: set[int] = set()
        self.requests: list[int] = []

    def run(self) -> World:
        world, rng = self.world, self.random
        gap, least, most = self._density()
        number, logs = 1, LOGS[Action.DEPLOY]
        world.blocks.append(number)
        world.first_action.append(0)
        world.logs_before.append(0)
        self._act(Action.DEPLOY)
        while logs < self.size:
            number += 1 if gap <= 1 else 1 + int(-math.log(1.0 - rng()) * (gap - 1))
            world.blocks.append(number)
            world.first_action.append(len(world.kind))
            world.logs_before.append(logs)
            for _ in range(least + int(rng() * (most - least + 1))):
                logs += LOGS[self._next()]
        world.first_action.append(len(world.kind))
        world.logs_before.append(logs)
        world.agents = len(world.minted_in)
        world.counts = {action.name.lower(): world.kind.count(action) for action in Action}
        world.counts |= {"agents": world.agents, "heavy_feedback": self.heavy_index}
        return world

    def _density(self) -> tuple[float, int, int]:
        density = DENSITIES[self.world.density]
        return density.mean_gap_blocks, density.least, density.most

    def _next(self) -> int:
        rng, agents = self.random, len(self.world.minted_in)
        roll = rng() * _ALL
        if roll < _FEEDBACK and agents:
            return self._feedback(agents)
        roll -= _FEEDBACK
        if roll < _REGISTRATION or not agents:
            return self._register()
        roll -= _REGISTRATION
        for limit, action in _RARE:
            if roll < limit:
                return self._rare(action, agents)
        return self._feedback(agents)

    def _feedback(self, agents: int) -> int:
        rng = self.random
        if agents > HEAVY_AGENT and rng() < self.heavy_share:
            agent, client = HEAVY_AGENT, HEAVY_CLIENT
            index = self.heavy_index = self.heavy_index + 1
        else:
            agent = int(agents * rng() ** 3)
            client = 1 + int((self.world.clients - 1) * rng() ** 3)
            pair = agent << 32 | client
            index = self.indexes[pair] = self.indexes.get(pair, 0) + 1
        self.feedbacks.append(len(self.world.kind))
        return self._act(Action.FEEDBACK, agent, client, index, int(rng() * FEEDBACK_BODIES))

    def _register(self) -> int:
        rng = self.random
        agent = len(self.world.minted_in)
        owner = OWNERS if rng() < 0.15 else OWNERS + int(self.world.owners * rng() ** 2)
        self.world.minted_in.append(len(self.world.kind))
        self.owner_now.append(owner)
        if rng() < 0.5:
            return self._act(Action.REGISTER, agent, owner)
        action = Action.REGISTER_ENTRY if rng() < 0.05 else Action.REGISTER_URI
        return self._act(action, agent, owner, body=int(rng() * URI_FORMS))

    def _rare(self, action: Action, agents: int) -> int:
        rng = self.random
        agent = int(agents * rng())
        account = OWNERS + int(self.world.owners * rng())
        match action:
            case Action.TRANSFER:
                before, self.owner_now[agent] = self.owner_now[agent], account
                self.world.owned_from.setdefault(agent, []).append((len(self.world.kind), account))
                return self._act(action, agent, before, account)
            case Action.RESPOND | Action.REVOKE if self.feedbacks:
                subject = self.feedbacks[int(len(self.feedbacks) * rng())]
                if action is Action.REVOKE:
                    if subject in self.revoked:
                        return self._feedback(agents)
                    self.revoked.add(subject)
                rated = self.world.agent[subject]
                responder = self.owner_now[rated]
                return self._act(action, rated, subject, responder, int(rng() * RESPONSE_BODIES))
            case Action.REQUEST_VALIDATION:
                self.requests.append(len(self.world.kind))
                return self._act(action, agent, self.owner_now[agent], account)
            case Action.ANSWER_VALIDATION if self.requests:
                subject = self.requests[int(len(self.requests) * rng())]
                validator = self.world.other[subject]
                return self._act(
                    action, self.world.agent[subject], subject, validator, int(rng() * 101)
                )
            case Action.SET_URI | Action.SET_METADATA | Action.SET_WALLET | Action.APPROVE_ALL:
                owner = self.owner_now[agent]
                return self._act(action, agent, owner, account, int(rng() * URI_FORMS))
        return self._feedback(agents)  # nothing yet to revoke or answer

    def _act(
        self, action: Action, agent: int = 0, who: int = 0, other: int = 0, body: int = 0
    ) -> int:
        world = self.world
        world.kind.append(action)
        world.agent.append(agent)
        world.who.append(who)
        world.other.append(other)
        world.body.append(body)
        return action
