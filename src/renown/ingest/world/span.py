"""What happens in one span of a chain: registrations, feedback and payments, in blocks. Pure.

A span needs nothing of those before it but how many agents there were. What is counted over several
facts (a client rates an agent again) happens within one span: most clients are seen in one span
only, as wallets made for a purpose are, and those who stay rate each agent in the span that is its
own for them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import NamedTuple

from eth_hash.auto import keccak

from renown.derive.files import file_bytes, inline_uri
from renown.derive.identity import AGENT_WALLET
from renown.ingest.world.draws import (
    address,
    digest,
    place_random,
    share,
    word,
    words,
    zipf,
)
from renown.ingest.world.files import Agent, own_host, registry_named, said_by
from renown.ingest.world.people import Popular, owner_and_wallet
from renown.ingest.world.sayings import SAYINGS, Saying, sayings
from renown.ingest.world.size import ChainPart, WorldSize, action_blocks
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackRevoked,
    MetadataRefreshed,
    MetadataSet,
    OperatorSet,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)
from renown.types import ZERO_ADDRESS, checksum_address

HEAVY_AGENT = 22
_CLIENT_SKEW = 3.0
_STEADY_SHARE = 0.2  # of feedback, by clients who stay
_FILE_SHARE = 0.02  # of feedback
_FILES_READ, _FILES_DEAD = 0.5, 0.8
NO_HASH = bytes(32)
_WALLET_HASH = keccak(AGENT_WALLET)
_METADATA_KEYS = [word(n).encode() for n in range(1, 40)]
_KEY_HASHES = {key: keccak(key) for key in _METADATA_KEYS}
_UPDATES = 23


class Given(NamedTuple):
    """One feedback: where it stands, and what it says."""

    block_number: int
    log_index: int
    tx_hash: bytes
    agent_id: int
    client: bytes
    feedback_index: int
    said: Saying
    endpoint: bytes
    uri: bytes
    content_hash: bytes


class Mark(NamedTuple):
    """What became of one feedback since."""

    given: Given
    revoked: tuple[int, int] | None
    response_count: int


class Attached(NamedTuple):
    """A feedback with a file. `body` is None where the file cannot be had; `tried` whether anybody
    looked."""

    given: Given
    number: int
    tried: bool
    body: bytes | None


class Holder(NamedTuple):
    """An agent that has a file which others may have later."""

    created_at: datetime
    agent_id: int
    owner: bytes


class Span(NamedTuple):
    """A span of a chain.

    Attributes:
        facts: in chain order, all but feedback.
        given: feedback in chain order.
        blocks: (number, facts) of every block to be stored, ascending.
        holders: of each file or mint that several agents name, the two oldest here, by
            (`shared` or `mint`, its number).
    """

    facts: list[Fact]
    given: list[Given]
    marks: list[Mark]
    attached: list[Attached]
    blocks: list[tuple[int, int]]
    holders: dict[tuple[str, int], list[Holder]]
    first_block: int
    last_block: int


@lru_cache(maxsize=4)
def _addresses(seed: int, kind: str, place: int, count: int) -> list[bytes]:
    return [address(seed, kind, place << 24 | n) for n in range(count)]


def make_span(size: WorldSize, part: ChainPart, number: int) -> Span:
    """The span of that number."""
    return _Maker(size, part, number).run()


class _Maker:
    """The state while a span is made."""

    def __init__(self, size: WorldSize, part: ChainPart, number: int) -> None:
        self.size, self.part, self.number = size, part, number
        self.rng = place_random(size.seed, "span", part.chain_id, number)
        self.random = self.rng.random
        self.first, self.behind = part.span_blocks(number)
        self.minted = part.agents_before(number)
        self.agents_upto = part.agents_before(number + 1)
        self.popular = Popular(part.agents)
        self.identity = part.deployment.identity
        self.reputation = part.deployment.reputation
        feedbacks = part.span_share(part.feedbacks, number)
        self.clients = _addresses(
            size.seed, "client", part.number << 20 | number, max(2, feedbacks // 12)
        )
        self.steady = _addresses(size.seed, "steady", 0, max(2, part.feedbacks // 8_000))
        self.sayings = sayings(size.seed)
        self.heavy = part.span_share(part.heavy_feedback, number)
        self.feedbacks = feedbacks
        before = part.heavy_feedback * number // part.spans
        self.heavy_agent = min(HEAVY_AGENT, part.agents_before(1) - 1)
        self.indexes: dict[tuple[int, bytes], int] = {}
        if before:
            self.indexes[self.heavy_agent, address(size.seed, "heavy", 0)] = before
        self.facts: list[Fact] = []
        self.given: list[Given] = []
        self.marked: dict[int, Mark] = {}  # by place in `given`
        self.attached: list[Attached] = []
        self.holders: dict[tuple[str, int], list[Holder]] = {}
        self.owners: dict[int, bytes] = {}  # of the agents of this span
        self.requests: list[ValidationRequested] = []
        self.later: dict[int, list[Callable[[], None]]] = {}
        self.block = self.block_at = self.log = 0
        self.tx = NO_HASH

    def run(self) -> Span:
        actions = self._actions()
        blocks = action_blocks(len(actions), self.behind - self.first)
        hashes = self.rng.randbytes(32 * len(actions))
        stored: list[tuple[int, int]] = []
        done = 0
        for n in range(blocks):
            self.block = self.first + (self.behind - self.first) * n // blocks
            self.block_at, self.log = n, 0
            upto = len(actions) * (n + 1) // blocks
            for at in range(done, upto):
                self.tx = hashes[32 * at : 32 * at + 32]
                actions[at]()
            done = upto
            for action in self.later.pop(n, ()):
                self.tx = digest(self.size.seed, b"later", self.block, self.log)
                action()
            if self.log:
                stored.append((self.block, self.log))
        return Span(
            facts=self.facts,
            given=self.given,
            marks=[self.marked[place] for place in sorted(self.marked)],
            attached=self.attached,
            blocks=self._with_window(stored),
            holders=self.holders,
            first_block=self.first,
            last_block=self.behind - 1,
        )

    def _actions(self) -> list[Callable[[], None]]:
        """What happens, in order. Agents come first where there were none."""
        mints = self.agents_upto - self.minted
        self.blocks = action_blocks(mints + self.feedbacks, self.behind - self.first)
        heavy: list[Callable[[], None]] = [self._rate_heavily] * self.heavy
        actions: list[Callable[[], None]] = [
            *([self._rate] * (self.feedbacks - self.heavy)),
            *heavy,
            *([self._respond] * (self.feedbacks // 100)),
            *([self._revoke] * -(-self.feedbacks // 2_000)),
            *([self._transfer] * (mints // 16)),
            *([self._approve] * -(-mints // 100)),
            *([self._request] * -(-mints // 300)),
            *([self._answer] * -(-mints // 400)),
        ]
        early = min(mints, self.heavy_agent + 1) if self.number == 0 else 0
        actions += [self._mint] * (mints - early)
        self.rng.shuffle(actions)
        return [*[self._mint] * early, *actions]

    def _with_window(self, stored: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """The blocks with facts, and of the last ones, which are not final, the others, too."""
        if self.number < self.part.spans - 1:
            return stored
        with_facts = dict(stored)
        window = range(max(self.first, self.part.final_block), self.behind)
        return sorted(with_facts.items() | {(n, 0) for n in window if n not in with_facts})

    def _next_log(self) -> int:
        self.log += 1
        return self.log - 1

    def _place(self) -> tuple[int, int, bytes, bytes]:
        return self.block, self._next_log(), self.tx, self.identity

    def _soon(self, action: Callable[[], None]) -> None:
        at = self.block_at + int((self.blocks - self.block_at) * self.rng.random() ** 2)
        self.later.setdefault(max(at, self.block_at), []).append(action)

    # Identity ------------------------------------------------------------------------------------

    def _mint(self) -> None:
        agent_id, size, part = self.minted, self.size, self.part
        self.minted += 1
        ordinal = part.first + agent_id
        owner, wallet = owner_and_wallet(size.seed, size.agents, ordinal)
        self.owners[agent_id] = owner
        agent = Agent(part.chain_id, self.identity, agent_id, ordinal)
        said = said_by(size.seed, size.agents, agent)
        updates = bool(said.uri) and share(size.seed, _UPDATES, ordinal) < 0.03
        self.facts.append(AgentTransferred(*self._place(), agent_id, ZERO_ADDRESS, owner))
        first_uri = b"" if updates else said.uri
        if first_uri:
            self.facts.append(MetadataRefreshed(*self._place(), agent_id, agent_id))
        self.facts.append(AgentRegistered(*self._place(), agent_id, owner, first_uri))
        self._set(agent_id, AGENT_WALLET, _WALLET_HASH, owner)
        if updates:
            self._soon(lambda: self._update(agent_id, said.uri))
        if wallet is not None:
            self._soon(lambda: self._set(agent_id, AGENT_WALLET, _WALLET_HASH, wallet))
        if self.rng.random() < 0.04:
            self._soon(lambda: self._describe(agent_id))
        if said.source in ("shared", "mint"):
            held = self.holders.setdefault((said.source, said.number), [])
            if len(held) < 2:
                held.append(Holder(part.time_of(self.block), agent_id, owner))

    def _set(self, agent_id: int, key: bytes, key_hash: bytes, value: bytes) -> None:
        self.facts.append(MetadataSet(*self._place(), agent_id, key, key_hash, value))

    def _update(self, agent_id: int, uri: bytes) -> None:
        self.facts.append(UriUpdated(*self._place(), agent_id, self.owners[agent_id], uri))

    def _describe(self, agent_id: int) -> None:
        keys = [_METADATA_KEYS[zipf(self.rng, len(_METADATA_KEYS)) - 1] for _ in range(2)]
        for key in dict.fromkeys(keys):
            self._set(agent_id, key, _KEY_HASHES[key], words(self.rng, 2).encode())

    def _own(self) -> int | None:
        """An agent of this span; None while there is none."""
        first = self.part.agents_before(self.number)
        if self.minted == first:
            return None
        return first + int(self.rng.random() * (self.minted - first))

    def _transfer(self) -> None:
        agent_id = self._own()
        # The oldest holder of a file that others name is known by its owner.
        if agent_id is None or self._is_known(agent_id):
            return
        before, to = self.owners[agent_id], address(self.size.seed, "buyer", agent_id % 997)
        self._set(agent_id, AGENT_WALLET, _WALLET_HASH, b"")
        self.facts.append(AgentTransferred(*self._place(), agent_id, before, to))
        self.owners[agent_id] = to

    def _is_known(self, agent_id: int) -> bool:
        return any(agent_id == one.agent_id for held in self.holders.values() for one in held)

    def _approve(self) -> None:
        agent_id = self._own()
        if agent_id is None:
            return
        owner, operator = self.owners[agent_id], address(self.size.seed, "operator", agent_id % 7)
        if self.rng.random() < 0.5:
            self.facts.append(AgentApproved(*self._place(), agent_id, owner, operator))
        else:
            self.facts.append(OperatorSet(*self._place(), owner, operator, True))

    # Reputation ----------------------------------------------------------------------------------

    def _rate(self) -> None:
        random, minted = self.random, self.minted
        if random() < _STEADY_SHARE:
            steady, spans = int(len(self.steady) * random() ** 2), self.part.spans
            near = self.popular.near(random(), minted, (self.number - steady) % spans, spans)
            if near is not None:
                self._give(near, self.steady[steady])
                return
        client = self.clients[int(len(self.clients) * random() ** _CLIENT_SKEW)]
        self._give(self.popular.agent(random, minted), client)

    def _rate_heavily(self) -> None:
        self._give(self.heavy_agent, address(self.size.seed, "heavy", 0))

    def _give(self, agent_id: int, client: bytes) -> None:
        indexes = self.indexes
        pair = agent_id, client
        index = indexes[pair] = indexes.get(pair, 0) + 1
        said = self.sayings[int(SAYINGS * self.random())]
        lot = self.random()
        uri, content_hash, endpoint = b"", NO_HASH, b""
        if lot < _FILE_SHARE:
            lot /= _FILE_SHARE
            uri, content_hash, body = self._file(agent_id, client, said, lot)
        elif lot > 0.93:
            endpoint = f"https://{own_host(self.part.first + agent_id)}/".encode()
        given = Given(
            self.block, self.log, self.tx, agent_id, client, index, said, endpoint, uri,
            content_hash,
        )  # fmt: skip
        self.log += 1
        if uri:
            self.attached.append(Attached(given, len(self.given), lot < _FILES_DEAD, body))
        self.given.append(given)

    def _file(
        self, agent_id: int, client: bytes, said: Saying, lot: float
    ) -> tuple[bytes, bytes, bytes | None]:
        """URI and content hash of a feedback's file, and the file where it can be read."""
        place = f"{self.part.chain_id}-{self.number}-{len(self.given)}"
        url = f"https://{word(3 + agent_id % 400)}-f.example/feedback/{place}.json".encode()
        if lot >= _FILES_READ:
            return url, NO_HASH if lot < 0.9 else self.rng.randbytes(32), None
        body = file_bytes(
            {
                "agentRegistry": registry_named(self.part.chain_id, self.identity),
                "agentId": agent_id,
                "clientAddress": f"eip155:{self.part.chain_id}:{checksum_address(client)}",
                "createdAt": self.part.time_of(self.block).strftime("%Y-%m-%dT%H:%M:%SZ"),
                "value": said.value,
                "valueDecimals": said.decimals,
                "tag1": said.tag1.decode(),
                "tag2": said.tag2.decode(),
                "comment": words(self.rng, 12),
            }
        )
        content_hash = keccak(body) if lot < 0.35 else NO_HASH
        return inline_uri(body) if lot < 0.15 else url, content_hash, body

    def _subject(self) -> tuple[int, Given] | None:
        """A feedback of this span, and its place; mostly of the newest."""
        if not self.given:
            return None
        last = len(self.given) - 1
        place = last - int(last * self.rng.random() ** 2)
        return place, self.given[place]

    def _respond(self) -> None:
        if (subject := self._subject()) is None:
            return
        place, given = subject
        ordinal = self.part.first + given.agent_id
        first_owner, _ = owner_and_wallet(self.size.seed, self.size.agents, ordinal)
        responder = self.owners.get(given.agent_id, first_owner)
        self.facts.append(
            ResponseAppended(
                *(self.block, self._next_log(), self.tx, self.reputation, given.agent_id),
                client=given.client,
                feedback_index=given.feedback_index,
                responder=responder,
                uri=b"",
                content_hash=NO_HASH,
            )
        )
        mark = self.marked.get(place, Mark(given, None, 0))
        self.marked[place] = mark._replace(response_count=mark.response_count + 1)

    def _revoke(self) -> None:
        if (subject := self._subject()) is None:
            return
        place, given = subject
        mark = self.marked.get(place, Mark(given, None, 0))
        if mark.revoked is not None:
            return
        log = self._next_log()
        self.facts.append(
            FeedbackRevoked(
                *(self.block, log, self.tx, self.reputation),
                *(given.agent_id, given.client, given.feedback_index),
            )
        )
        self.marked[place] = mark._replace(revoked=(self.block, log))

    # Validation ----------------------------------------------------------------------------------

    def _request(self) -> None:
        agent_id = self._own()
        if agent_id is None:
            return
        request = ValidationRequested(
            *(self.block, self._next_log(), self.tx, self.part.deployment.validation[0]),
            *(agent_id, address(self.size.seed, "validator", int(20 * self.rng.random() ** 2))),
            *(self.rng.randbytes(32), b""),
        )
        self.facts.append(request)
        self.requests.append(request)

    def _answer(self) -> None:
        if not self.requests:
            return
        asked = self.requests[int(len(self.requests) * self.rng.random())]
        response = (100, 100, 100, 95, 85, 20, 0, 0)[int(8 * self.rng.random())]
        self.facts.append(
            ValidationResponded(
                *(self.block, self._next_log(), self.tx, asked.contract, asked.agent_id),
                *(asked.validator, asked.request_hash, response, b"", NO_HASH),
                (b"code-audit", b"capability_match", b"tee-attestation")[response % 3],
            )
        )
