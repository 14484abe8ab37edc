"""The fold: however the facts are cut or ordered, one state comes out, and it is what they say.

The facts are wild: few agents, clients and indexes, so that everything collides with everything,
and much that no contract would emit. Transactions stay within their block, as they do on chains.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterable, Sequence
from fractions import Fraction
from itertools import groupby
from typing import Any

import msgspec
import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from renown.derive.fold import Fold, fold
from renown.derive.identity import AGENT_WALLET, Identity, Interval
from renown.derive.ratings import AgentCounts, TagCounts
from renown.derive.rows import rows
from renown.derive.state_hash import STATE_SECTIONS
from renown.spec.events import (
    AgentApproved,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    FeedbackRevoked,
    LegacyEvent,
    MetadataRefreshed,
    MetadataSet,
    OperatorSet,
    RegistryChanged,
    ResponseAppended,
    UriUpdated,
    ValidationRequested,
    ValidationResponded,
)
from renown.types import ZERO_ADDRESS

ALICE, BOB = b"a" * 20, b"b" * 20
REGISTRY = b"r" * 20
MAX_VALUE = 10**38
State = dict[str, list[Any]]

agents = st.sampled_from((0, 0, 0, 1, 2))
people = st.sampled_from((ALICE, ALICE, BOB))
indexes = st.sampled_from((1, 1, 1, 2))
uris = st.sampled_from((b"", b"https://a", b"\xff\x00"))
keys = st.sampled_from((AGENT_WALLET, b"AgentWallet", b"name"))
values = st.sampled_from((b"", ALICE, BOB, bytes(12) + BOB, b"text"))
tags = st.sampled_from((b"", b"t", b"\x00\xff"))
hashes = st.sampled_from((b"h" * 32, b"h" * 32, bytes(32)))


def _of(kind: type[Fact], **fields: st.SearchStrategy[Any]) -> st.SearchStrategy[Fact]:
    place = {
        "block_number": st.just(0),
        "log_index": st.just(0),
        "tx_hash": st.sampled_from((b"1" * 32, b"2" * 32)),
        "contract": st.sampled_from((REGISTRY, REGISTRY, b"s" * 20)),
    }
    return st.builds(kind, **place, **fields)


mints = _of(
    AgentTransferred, agent_id=agents, from_address=st.just(ZERO_ADDRESS), to_address=people
)
of_identity = st.one_of(
    mints,
    _of(AgentTransferred, agent_id=agents, from_address=people, to_address=people),
    _of(AgentRegistered, agent_id=agents, owner=people, uri=uris),
    _of(UriUpdated, agent_id=agents, updated_by=people, uri=uris),
    _of(MetadataRefreshed, first_agent_id=agents, last_agent_id=agents),
    _of(MetadataSet, agent_id=agents, key=keys, key_hash=st.just(b""), value=values),
    _of(AgentApproved, agent_id=agents, owner=people, approved=people | st.just(ZERO_ADDRESS)),
)
record = {"agent_id": agents, "client": people, "feedback_index": indexes}
of_feedback = st.one_of(
    _of(
        FeedbackGiven,
        **record,
        value=st.integers(-MAX_VALUE, MAX_VALUE),
        decimals=st.integers(0, 18),
        tag1=tags,
        tag2=tags,
        endpoint=st.just(b""),
        uri=uris,
        content_hash=hashes,
    ),
    _of(FeedbackRevoked, **record),
    _of(ResponseAppended, **record, responder=people, uri=uris, content_hash=hashes),
)
request = {"agent_id": agents, "validator": people, "request_hash": hashes}
of_validation = st.one_of(
    _of(ValidationRequested, **request, uri=uris),
    _of(
        ValidationResponded,
        **request,
        response=st.integers(0, 100),
        uri=uris,
        content_hash=hashes,
        tag=tags,
    ),
)
of_no_state = st.one_of(
    _of(OperatorSet, owner=people, operator=people, approved=st.booleans()),
    _of(RegistryChanged, change=st.just("upgraded"), subject=people),
    _of(
        LegacyEvent,
        event=st.just("old"),
        agent_id=agents,
        client=people,
        topics=hashes,
        payload=st.just(b""),
    ),
)
wild = st.one_of(of_identity, of_feedback, of_validation, of_no_state)


@st.composite
def chains(draw: st.DrawFn, kinds: st.SearchStrategy[Fact] = wild) -> list[Fact]:
    """Facts of some blocks in chain order; most agents are minted early."""
    found = draw(st.lists(mints, max_size=3)) + draw(st.lists(kinds, min_size=10, max_size=60))
    block, placed = 1, []
    for log_index, fact in enumerate(found):
        block += draw(st.integers(0, 1))
        fields: dict[str, Any] = {"block_number": block, "log_index": log_index}
        fields["tx_hash"] = fact.tx_hash[:28] + block.to_bytes(4)
        if isinstance(fact, MetadataSet):
            fields["key_hash"] = keccak(fact.key)
        placed.append(msgspec.structs.replace(fact, **fields))
    return placed


def state(of: Fold) -> State:
    """Everything that is stored and hashed of a whole fold."""
    unattached = sorted(of.unattached, key=lambda u: u.log_index)
    return {name: list(rows(of, name)) for name in STATE_SECTIONS} | {"unattached": unattached}


@given(chains())
def test_fold__step_by_step__equals_the_whole(facts: list[Fact]) -> None:
    one = Fold()
    for fact in facts:
        one.step(fact)

    assert state(one) == state(fold(facts))


@given(chains(), st.data())
def test_fold__cut_anywhere_between_blocks_and_reloaded__equals_the_whole(
    facts: list[Fact], data: st.DataObject
) -> None:
    """Each part is folded onto what a store would give back of the parts before."""
    blocks = [list(found) for _, found in groupby(facts, key=lambda fact: fact.block_number)]
    held = Held()
    while blocks:
        count = data.draw(st.integers(1, len(blocks)))
        held.fold_onto([fact for block in blocks[:count] for fact in block])
        blocks = blocks[count:]

    assert state(held.whole) == state(fold(facts))


class Held:
    """What a store keeps of folds, and gives back: no transactions, no closed intervals."""

    def __init__(self) -> None:
        self.whole = Fold()

    def fold_onto(self, facts: Sequence[Fact]) -> None:
        whole = self.whole
        part = Fold(set(whole.identities).__contains__)
        # As `store.subjects`: an identity is loaded only where its own facts are among the new.
        of_identity = (AgentRegistered, UriUpdated, MetadataSet, AgentTransferred, AgentApproved)
        loaded = {fact.agent_id for fact in facts if isinstance(fact, of_identity)}
        part.identities = {i: _stored(a) for i, a in whole.identities.items() if i in loaded}
        part.cells = copy.deepcopy(whole.cells)
        part.requests = copy.deepcopy(whole.requests)
        part.run(facts)
        for agent_id in part.changed_identities:
            self._keep(part.identities[agent_id])
        whole.cells, whole.requests = part.cells, part.requests
        whole.unattached += part.unattached
        for key, counts in part.agents.items():
            whole.agents[key] = _sum(whole.agents.get(key, AgentCounts()), counts)
        for tag_key, tag_counts in part.tags.items():
            whole.tags[tag_key] = _sum(whole.tags.get(tag_key, TagCounts()), tag_counts)

    def _keep(self, new: Identity) -> None:
        old = self.whole.identities.get(new.agent_id)
        if old is not None:
            new.metadata = {**old.metadata, **new.metadata}
            new.ownership = [*old.ownership[:-1], *new.ownership]
        self.whole.identities[new.agent_id] = new


def _stored(identity: Identity) -> Identity:
    (*_, opened) = identity.ownership
    return msgspec.structs.replace(
        identity,
        metadata={},
        ownership=[Interval(opened.owner, opened.from_block, opened.from_log_index)],
        wallet_tx=b"",
        refreshed_tx=b"",
        registration_tx=b"",
    )


def _sum(one: Any, other: Any) -> Any:
    astuple = msgspec.structs.astuple
    return type(one)(*map(sum, zip(astuple(one), astuple(other), strict=True)))


@given(chains(), st.permutations(range(3)))
def test_fold__agents_one_after_another__equals_the_chains_order(
    facts: list[Fact], order: list[int]
) -> None:
    by_agent: dict[int | None, list[Fact]] = defaultdict(list)
    for fact in facts:
        by_agent[agent_of(fact)].append(fact)

    assert state(fold(f for i in (*order, None) for f in by_agent[i])) == state(fold(facts))


def agent_of(fact: Any) -> int | None:
    """Whose fact it is; a batch notice is nobody's."""
    if isinstance(fact, MetadataRefreshed):
        return fact.first_agent_id if fact.first_agent_id == fact.last_agent_id else None
    found: int | None = getattr(fact, "agent_id", None)
    return found


class Recount:
    """The same by its definitions: lists of all that happened, and comprehensions over them."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.minted: set[int] = set()
        self.given: list[FeedbackGiven] = []
        self.marks: dict[int, list[int | None]] = {}
        """Of the feedback at a log index: what revoked and superseded it, and its responses."""
        self.asked: dict[tuple[int, bytes, bytes], ValidationRequested] = {}
        self.answers: list[ValidationResponded] = []
        for fact in facts:
            self._take(fact)

    def _take(self, fact: Fact) -> None:
        match fact:
            case AgentTransferred(from_address=sender, agent_id=agent_id):
                if sender == ZERO_ADDRESS:
                    self.minted.add(agent_id)
            case FeedbackGiven(agent_id=agent_id) if agent_id in self.minted:
                if before := self._live(fact):
                    before[1] = fact.log_index
                self.given.append(fact)
                self.marks[fact.log_index] = [None, None, 0]
            case FeedbackRevoked():
                marks = self._live(fact)
                if marks and marks[0] is None:
                    marks[0] = fact.log_index
            case ResponseAppended():
                if marks := self._live(fact):
                    marks[2] = (marks[2] or 0) + 1
            case ValidationRequested(agent_id=agent_id) if agent_id in self.minted:
                self.asked.setdefault(_request(fact), fact)
            case ValidationResponded():
                asked = self.asked.get(_request(fact))
                if asked is not None and asked.validator == fact.validator:
                    self.answers.append(fact)
            case _:
                pass

    def _live(self, named: Any) -> list[int | None] | None:
        """The marks of the newest feedback of an agent, client and index."""
        found = [g.log_index for g in self.given if _record(g) == _record(named)]
        return self.marks[found[-1]] if found else None

    def counts(self, agent_id: int) -> tuple[int, ...]:
        live = [
            (g, self.marks[g.log_index])
            for g in self.given
            if g.agent_id == agent_id and self.marks[g.log_index][1] is None
        ]
        return (
            len(live),
            sum(marks[0] is not None for _, marks in live),
            sum(g.feedback_index == 1 for g, _ in live),
            sum(marks[2] or 0 for _, marks in live),
            sum(key[0] == agent_id for key in self.asked),
            len({_request(answer) for answer in self.answers if answer.agent_id == agent_id}),
        )

    def of_tags(self) -> dict[tuple[int, bytes, bytes], tuple[int, int, Fraction]]:
        """Given, live, and the exact sum of the live times 10**18, by agent and tags."""
        found: dict[tuple[int, bytes, bytes], tuple[int, int, Fraction]] = {}
        for g in self.given:
            revoked, superseded, _ = self.marks[g.log_index]
            if superseded is None:
                tags = (g.agent_id, g.tag1, g.tag2)
                given, live, total = found.get(tags, (0, 0, Fraction(0)))
                if revoked is None:
                    live += 1
                    total += Fraction(g.value, 10**g.decimals) * 10**18
                found[tags] = given + 1, live, total
        return found


def _record(fact: Any) -> tuple[int, bytes, int]:
    return fact.agent_id, fact.client, fact.feedback_index


def _request(fact: Any) -> tuple[int, bytes, bytes]:
    return fact.agent_id, fact.contract, fact.request_hash


@given(chains(mints | of_feedback) | chains())
def test_fold__counts_sums_and_marks__are_those_of_a_naive_recount(facts: list[Fact]) -> None:
    naive, found = Recount(facts), fold(facts)

    counted = {row[0]: row[1:] for row in rows(found, "agent_stats")}
    assert counted == {agent_id: naive.counts(agent_id) for agent_id in naive.minted}
    summed = {(row[0], row[2], row[3]): row[4:] for row in rows(found, "agent_tag_stats")}
    assert summed == naive.of_tags()
    assert all(isinstance(total, int) for _, _, total in summed.values())
    marked = {row[4]: [row[6], row[8], row[9]] for row in rows(found, "feedback_mark")}
    assert marked == {place: m for place, m in naive.marks.items() if m != [None, None, 0]}


@given(chains(of_validation))
def test_fold__validations__are_the_first_request_and_its_validators_last_answer(
    facts: list[Fact],
) -> None:
    naive, found = Recount(facts), fold(facts)

    counted = {row[0]: row[1:] for row in rows(found, "agent_stats")}
    assert counted == {agent_id: naive.counts(agent_id) for agent_id in naive.minted}
    assert found.requests.keys() == naive.asked.keys()
    for key, validation in found.requests.items():
        answers = [answer for answer in naive.answers if _request(answer) == key]
        last = answers[-1] if answers else None
        assert validation.requested_log_index == naive.asked[key].log_index
        assert validation.response_count == len(answers)
        assert validation.response == (last.response if last else None)
        assert validation.responded_log_index == (last.log_index if last else None)
        assert validation.tag == (last.tag if last else None)


@given(chains())
def test_fold__every_fact_of_a_subject__is_folded_or_unattached_never_both(
    facts: list[Fact],
) -> None:
    found = fold(facts)

    alone = {u.log_index for u in found.unattached}
    assert len(alone) == len(found.unattached)
    minted: set[int] = set()
    for fact in facts:
        agent_id = agent_of(fact)
        if isinstance(fact, AgentTransferred) and fact.from_address == ZERO_ADDRESS:
            assert (fact.log_index in alone) == (fact.agent_id in minted)
            minted.add(fact.agent_id)
        elif isinstance(fact, OperatorSet | MetadataRefreshed | RegistryChanged | LegacyEvent):
            assert fact.log_index not in alone
        elif agent_id not in minted:
            assert fact.log_index in alone
    assert minted == set(found.identities)


@given(chains())
def test_fold__ownership__is_gapless_and_ends_with_the_owner(facts: list[Fact]) -> None:
    for agent in fold(facts).identities.values():
        first, *_, last = agent.ownership * 2
        assert (first.from_block, first.from_log_index) == (
            agent.created_block,
            agent.created_log_index,
        )
        for one, following in zip(agent.ownership, agent.ownership[1:], strict=False):
            end = (one.to_block, one.to_log_index)
            assert end == (following.from_block, following.from_log_index)
        assert (last.owner, last.to_block, last.to_log_index) == (agent.owner, None, None)
        assert len(agent.ownership) == agent.transfer_count + 1


# Re-entrant registration (erc8004.md, section 14) ------------------------------------------------


class Registration:
    """One transaction that registers agent 7, with what a receiver hook may do in its middle."""

    def __init__(self, owner: bytes = ALICE, tx: bytes = b"x" * 32, block: int = 1) -> None:
        self.facts: list[Fact] = []
        self._owner, self._tx, self._block = owner, tx, block

    def add(self, kind: type[Fact], **fields: Any) -> Registration:
        place = (self._block, len(self.facts), self._tx, REGISTRY)
        self.facts.append(kind(*place, **({"agent_id": 7} | fields)))
        return self

    def mint(self) -> Registration:
        return self.add(AgentTransferred, from_address=ZERO_ADDRESS, to_address=self._owner)

    def refresh(self, agent_id: int = 7, last: int | None = None) -> Registration:
        place = (self._block, len(self.facts), self._tx, REGISTRY)
        self.facts.append(MetadataRefreshed(*place, agent_id, agent_id if last is None else last))
        return self

    def say(self, uri: bytes) -> Registration:
        return self.refresh().add(UriUpdated, updated_by=self._owner, uri=uri)

    def registered(self, uri: bytes = b"") -> Registration:
        return self.add(AgentRegistered, owner=self._owner, uri=uri)

    def metadata(self, value: bytes, key: bytes = AGENT_WALLET) -> Registration:
        return self.add(MetadataSet, key=key, key_hash=keccak(key), value=value)

    def transfer(self, to: bytes) -> Registration:
        self.metadata(b"")
        return self.add(AgentTransferred, from_address=self._owner, to_address=to)

    def later(self, block: int = 2) -> Registration:
        """Another transaction of another block."""
        self._tx, self._block = b"y" * 32, block
        return self

    @property
    def agent(self) -> Identity:
        return fold(self.facts).identities[7]


def minted() -> Registration:
    return Registration().mint()


def whole() -> Registration:
    return minted().registered().metadata(ALICE)


@pytest.mark.parametrize(
    ("told", "uri"),
    [
        (minted().registered(), b""),
        (minted().refresh().registered(b"u"), b"u"),
        (minted().say(b"true").registered(), b"true"),  # register(), whose hook set the URI
        (minted().say(b"true").refresh().registered(), b""),  # register(""), which stores ""
        (minted().say(b"true").refresh().registered(b"u"), b"u"),
        (minted().say(b"").registered(), b""),
        (minted().say(b"true").refresh(8).registered(), b"true"),  # another agent's notice
        (minted().say(b"true").refresh(7, 9).registered(), b"true"),  # a batch names nobody
        (minted().say(b"true").refresh().metadata(b"").registered(), b"true"),  # not right before
        (minted().say(b"true").refresh().refresh(8).registered(), b""),  # nested, of another
        (minted().say(b"true").refresh().later().registered(), b"true"),  # of another transaction
        (whole().later().say(b""), b""),  # an update to nothing is a saying
        (whole().later().say(b"u").later(3).say(b""), b""),
    ],
)
def test_uri__of_a_registration__overwrites_only_what_it_stored(
    told: Registration, uri: bytes
) -> None:
    assert told.agent.uri == uri


hooked = st.lists(
    st.sampled_from(("say", "say nothing", "refresh", "refresh another", "wallet", "name", "move")),
    max_size=5,
)


@given(hooked)
def test_uri__empty_of_registered__counts_iff_a_notice_of_the_agent_is_right_before(
    acts: list[str],
) -> None:
    told, said, notice = minted(), None, False
    for act in acts:
        match act:
            case "say" | "say nothing":
                said = b"u" if act == "say" else b""
                told.say(said)
            case "refresh":
                told.refresh()
            case "refresh another":
                told.refresh(8)
            case "wallet":
                told.metadata(b"")
            case "name":
                told.metadata(b"v", b"name")
            case "move":
                told.transfer(BOB)
        if act != "refresh another":
            notice = act == "refresh"

    assert told.registered().agent.uri == (b"" if said is None or notice else said)


@pytest.mark.parametrize(
    ("told", "wallet", "wallet_state"),
    [
        (minted(), None, "unset"),
        (minted().registered(), None, "unset"),
        (whole(), ALICE, "default"),
        (minted().metadata(b"").registered().metadata(ALICE), None, "cleared"),  # unset in the hook
        (minted().metadata(BOB).registered().metadata(ALICE), BOB, "proved"),  # proved in the hook
        (minted().transfer(BOB).registered().metadata(ALICE), None, "cleared"),  # moved in the hook
        (whole().metadata(BOB), BOB, "proved"),  # after the registration, in its transaction
        (whole().metadata(b""), None, "cleared"),
        (whole().metadata(ALICE), ALICE, "proved"),  # the second is no log of the registration
        (minted().registered().metadata(BOB).metadata(ALICE), BOB, "proved"),
        (whole().later().metadata(ALICE), ALICE, "proved"),
        (whole().later().metadata(b""), None, "cleared"),
        (whole().later().transfer(BOB), None, "cleared"),
        (whole().later().transfer(BOB).metadata(BOB), BOB, "proved"),
        (minted().registered().later().metadata(ALICE), ALICE, "proved"),
        (whole().later().metadata(bytes(12) + BOB), BOB, "proved"),  # padded to a word
        (whole().later().metadata(b"no address"), None, "malformed"),
        (whole().later().metadata(b"no address").metadata(b""), None, "cleared"),
        (whole().later().metadata(b"no address").metadata(BOB), BOB, "proved"),
        (whole().metadata(BOB, b"AgentWallet"), ALICE, "default"),  # the key is case-sensitive
    ],
)
def test_wallet__of_any_past__has_the_state_the_contract_has(
    told: Registration, wallet: bytes | None, wallet_state: str
) -> None:
    assert (told.agent.wallet, told.agent.wallet_state) == (wallet, wallet_state)


def test_wallet__malformed__is_kept_as_metadata_only_as_long_as_it_is_so() -> None:
    odd = whole().later().metadata(b"no address")

    assert [entry.value for entry in odd.agent.entries.values()] == [b"no address"]
    assert not odd.metadata(BOB).agent.entries


def test_owner__of_a_registration_whose_hook_moved_the_agent__is_who_got_it() -> None:
    agent = minted().transfer(BOB).registered().metadata(ALICE).agent

    assert (agent.owner, agent.registrant, agent.transfer_count) == (BOB, ALICE, 1)


def test_approval__is_cleared_by_a_transfer_without_a_log() -> None:
    approved = whole().later().add(AgentApproved, owner=ALICE, approved=BOB)

    assert approved.agent.approved == BOB
    assert approved.transfer(BOB).agent.approved is None
