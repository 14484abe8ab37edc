"""What an index must answer at a block, told again from the events alone and as simply as can be.

Nothing of the product's folding, SQL or caching is used here: a branch of the chain is replayed
from its first block, agent by agent, into plain dictionaries. Only how a value is spelt
(checksummed addresses, foreign strings, keys) is the product's own, which other tests hold.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.api.answers.values import address, address_or_none, hex_text, texts
from renown.derive.ratings import tags_hash
from renown.spec import events as e
from renown.spec.deployments import Deployment
from renown.spec.text import is_clean
from renown.store.feedback import LABEL_CUT_BYTES
from renown.types import ZERO_ADDRESS, AgentRef
from tests.fakes.chain import FakeBlock, FakeChain

WALLET = b"agentWallet"
Body = dict[str, Any]


class RememberingChain(FakeChain):
    """A chain that forgets no block and knows which facts each one tells, orphans included."""

    def __init__(self, seed: int, **more: Any) -> None:
        self.told: dict[str, tuple[FakeBlock, list[e.Fact]]] = {}
        super().__init__(seed, **more)

    def append(self, logs: Iterable[Any] = (), facts: Sequence[e.Fact] = ()) -> FakeBlock:
        """One more block; `facts` are what its logs say, in their order."""
        block = super().append(logs)
        known = [
            msgspec.structs.replace(
                fact,
                block_number=block.number,
                tx_hash=bytes.fromhex(log["transactionHash"][2:]),
            )
            for fact, log in zip(facts, block.logs, strict=True)
        ]
        self.told[block.hash] = block, known
        return block

    def branch(self, block_hash: str) -> list[tuple[FakeBlock, list[e.Fact]]]:
        """Every block up to the one of this hash, oldest first."""
        path = []
        while block_hash in self.told:
            path.append(self.told[block_hash])
            block_hash = path[-1][0].header["parentHash"]
        return path[::-1]


class Oracle:
    """Answers to reads at any block that `chain` ever had."""

    def __init__(self, chain: RememberingChain, deployment: Deployment) -> None:
        self._chain = chain
        self._deployment = deployment
        self._states: Callable[[str], _State] = functools.lru_cache(64)(self._replayed)
        self._said: dict[tuple[str, str], Body | None] = {}

    def answer(self, block_hash: str, path: str) -> Body | None:
        """The body of a GET of `path` (see `_READS`) at a block, without `as_of`; None where it is
        a 404. Pages come without `next_cursor`."""
        key = (block_hash, path)
        if key not in self._said:
            self._said[key] = self._of(self._states(block_hash), path)
        return self._said[key]

    def agents(self, block_hash: str) -> list[int]:
        """The agents there are at a block."""
        return sorted(self._states(block_hash).agents)

    def _of(self, state: _State, path: str) -> Body | None:
        resource, _, query = path.partition("?")
        asked = dict(part.split("=") for part in query.split("&") if part)
        asked.pop("at", None)
        if resource == "/v1/agents":
            return state.listed(**asked)
        name, _, what = resource.removeprefix("/v1/agents/").partition("/")
        agent = state.agents.get(int(name.partition(":")[2]))
        return None if agent is None else _READS[what](state, agent, **asked)

    def _replayed(self, block_hash: str) -> _State:
        state = _State(self._deployment)
        for block, facts in self._chain.branch(block_hash):
            state.time_of[block.number] = int(block.header["timestamp"], 16)
            for fact in facts:
                if fact.contract in self._contracts:
                    state.hear(fact)
        return state

    @property
    def _contracts(self) -> set[bytes]:
        deployment = self._deployment
        return {deployment.identity, deployment.reputation, *deployment.validation}


class _State:
    """All that was said up to a block."""

    def __init__(self, deployment: Deployment) -> None:
        self.deployment = deployment
        self.agents: dict[int, Body] = {}
        self.time_of: dict[int, int] = {}
        self._refreshed: dict[int, bytes] = {}  # by agent: transaction of a notice just heard

    def hear(self, fact: e.Fact) -> None:
        if isinstance(fact, e.AgentTransferred) and fact.from_address == ZERO_ADDRESS:
            if fact.agent_id not in self.agents:
                self.agents[fact.agent_id] = _minted(fact)
            return
        of = fact.first_agent_id if isinstance(fact, e.MetadataRefreshed) else _subject(fact)
        agent = self.agents.get(of) if of is not None else None
        if agent is None:
            return
        if isinstance(fact, e.MetadataRefreshed):
            if fact.first_agent_id == fact.last_agent_id:
                agent["refreshed"] = fact.tx_hash
            return
        hearing = _HEARD.get(type(fact))
        if hearing is not None:
            hearing(agent, fact)
        if isinstance(fact, _OF_IDENTITY):
            agent["refreshed"] = None

    def listed(self, owner: str = "", chain: str = "", limit: str = "50") -> Body:
        """A list of agents, newest first."""
        assert chain in ("", str(self.deployment.chain_id))
        found = [
            agent
            for _, agent in sorted(self.agents.items(), reverse=True)
            if not owner or agent["owner"] == bytes.fromhex(owner[2:].lower())
        ]
        return {"items": [_agent(self, one) for one in found[: int(limit)]]}

    def time(self, number: int) -> str:
        at = datetime.fromtimestamp(self.time_of[number], UTC)
        return at.isoformat().replace("+00:00", "Z")


# What is heard ----------------------------------------------------------------------------------

_OF_IDENTITY = (
    *(e.AgentRegistered, e.UriUpdated, e.MetadataSet, e.AgentTransferred, e.AgentApproved),
)


def _subject(fact: e.Fact) -> int | None:
    return getattr(fact, "agent_id", None)


def _minted(fact: e.AgentTransferred) -> Body:
    return {
        "id": fact.agent_id, "owner": fact.to_address, "mint": fact, "registrant": None,
        "uri": None, "uri_block": None, "wallet": None, "wallet_state": "unset", "approved": None,
        "transfers": 0, "metadata": {}, "feedback": [], "validations": [], "refreshed": None,
        "wallet_tx": None, "registration_tx": None,
    }  # fmt: skip


def _transferred(agent: Body, fact: e.AgentTransferred) -> None:
    agent |= {"owner": fact.to_address, "approved": None, "transfers": agent["transfers"] + 1}


def _registered(agent: Body, fact: e.AgentRegistered) -> None:
    agent |= {"registrant": fact.owner, "registration_tx": fact.tx_hash}
    if fact.uri or agent["uri"] is None or agent["refreshed"] == fact.tx_hash:
        agent |= {"uri": fact.uri, "uri_block": fact.block_number}


def _uri_said(agent: Body, fact: e.UriUpdated) -> None:
    agent |= {"uri": fact.uri, "uri_block": fact.block_number}


def _approved(agent: Body, fact: e.AgentApproved) -> None:
    agent["approved"] = None if fact.approved == ZERO_ADDRESS else fact.approved


def _metadata_set(agent: Body, fact: e.MetadataSet) -> None:
    if fact.key == WALLET:
        _wallet_set(agent, fact)
    elif fact.value:
        agent["metadata"][fact.key] = fact
    else:
        agent["metadata"].pop(fact.key, None)


def _wallet_set(agent: Body, fact: e.MetadataSet) -> None:
    again = agent["wallet_tx"] == fact.tx_hash
    by_registration = agent["registration_tx"] == fact.tx_hash and fact.value == agent["registrant"]
    agent["wallet_tx"] = fact.tx_hash
    if by_registration:
        agent["registration_tx"] = None
        if again:
            return
    agent["metadata"].pop(WALLET, None)
    if not fact.value:
        agent |= {"wallet": None, "wallet_state": "cleared"}
    elif len(fact.value) in (20, 32):
        state = "default" if by_registration else "proved"
        agent |= {"wallet": fact.value[-20:], "wallet_state": state}
    else:
        agent |= {"wallet": None, "wallet_state": "malformed"}
        agent["metadata"][WALLET] = fact


def _given(agent: Body, fact: e.FeedbackGiven) -> None:
    for record in agent["feedback"]:
        same = (record["fact"].client, record["fact"].feedback_index)
        if same == (fact.client, fact.feedback_index) and record["superseded"] is None:
            record["superseded"] = fact.block_number
    agent["feedback"].append({"fact": fact, "revoked": None, "superseded": None, "responses": 0})


def _live(agent: Body, fact: Any) -> Body | None:
    for record in agent["feedback"]:
        of = (record["fact"].client, record["fact"].feedback_index)
        if of == (fact.client, fact.feedback_index) and record["superseded"] is None:
            return record  # type: ignore[no-any-return]
    return None


def _revoked(agent: Body, fact: e.FeedbackRevoked) -> None:
    record = _live(agent, fact)
    if record is not None and record["revoked"] is None:
        record["revoked"] = fact.block_number


def _responded(agent: Body, fact: e.ResponseAppended) -> None:
    record = _live(agent, fact)
    if record is not None:
        record["responses"] += 1


def _requested(agent: Body, fact: e.ValidationRequested) -> None:
    for one in agent["validations"]:
        if (one["asked"].contract, one["asked"].request_hash) == (fact.contract, fact.request_hash):
            return
    agent["validations"].append({"asked": fact, "answer": None, "answers": 0})


def _answered(agent: Body, fact: e.ValidationResponded) -> None:
    for one in agent["validations"]:
        asked = one["asked"]
        if (asked.contract, asked.request_hash, asked.validator) == (
            *(fact.contract, fact.request_hash, fact.validator),
        ):
            one |= {"answer": fact, "answers": one["answers"] + 1}


_HEARD: dict[type[Any], Callable[[Body, Any], None]] = {
    e.AgentTransferred: _transferred,
    e.AgentRegistered: _registered,
    e.UriUpdated: _uri_said,
    e.AgentApproved: _approved,
    e.MetadataSet: _metadata_set,
    e.FeedbackGiven: _given,
    e.FeedbackRevoked: _revoked,
    e.ResponseAppended: _responded,
    e.ValidationRequested: _requested,
    e.ValidationResponded: _answered,
}


# What is read -----------------------------------------------------------------------------------


def _counts(agent: Body) -> Body:
    held = [r for r in agent["feedback"] if r["superseded"] is None]
    return {
        "feedback": len(held),
        "revoked": sum(r["revoked"] is not None for r in held),
        "clients": len({r["fact"].client for r in held if r["fact"].feedback_index == 1}),
        "responses": sum(r["responses"] for r in held),
        "validations": len(agent["validations"]),
        "validations_answered": sum(v["answer"] is not None for v in agent["validations"]),
    }


def _agent(state: _State, agent: Body, full: str = "") -> Body:
    deployment, mint = state.deployment, agent["mint"]
    ref = AgentRef(deployment.chain_id, deployment.identity, agent["id"])
    return {
        **texts(("uri", agent["uri"], None)),
        "key": ref.key,
        "uuid": str(ref.uuid),
        "chain_id": deployment.chain_id,
        "registry": address(deployment.identity),
        "agent_id": str(agent["id"]),
        "owner": address(agent["owner"]),
        "registrant": address_or_none(agent["registrant"]),
        "uri_block": agent["uri_block"],
        "wallet": address_or_none(agent["wallet"]),
        "wallet_state": agent["wallet_state"],
        "approved": address_or_none(agent["approved"]),
        "transfers": agent["transfers"],
        "created_block": mint.block_number,
        "created_at": state.time(mint.block_number),
        "created_tx": hex_text(mint.tx_hash),
        "counts": _counts(agent),
        "profile": None,
        "marks": [],
    }


def _label(name: str, raw: bytes) -> tuple[str, bytes, int]:
    return name, raw[:LABEL_CUT_BYTES], len(raw)


def _reputation(state: _State, agent: Body) -> Body:
    sums: dict[tuple[bytes, bytes], list[int]] = {}
    for record in agent["feedback"]:
        if record["superseded"] is None:
            fact = record["fact"]
            of = sums.setdefault((fact.tag1, fact.tag2), [0, 0, 0])
            of[0] += 1
            if record["revoked"] is None:
                of[1] += 1
                of[2] += fact.value * 10 ** (18 - fact.decimals)
    rows = sorted(sums.items(), key=lambda item: tags_hash(*item[0]))
    tags = [
        {
            **texts(_label("tag1", tag1), _label("tag2", tag2)),
            "given": given,
            "live": live,
            "live_sum": str(total),
        }
        for (tag1, tag2), (given, live, total) in rows
    ]
    key = AgentRef(state.deployment.chain_id, state.deployment.identity, agent["id"]).key
    return {"key": key, "counts": _counts(agent), "tags": tags, "summary": None}


def _feedback(
    state: _State,
    agent: Body,
    limit: str = "50",
    tag1: str | None = None,
    client: str = "",
    include_revoked: str = "",
    include_superseded: str = "",
) -> Body:
    items = []
    for record in reversed(agent["feedback"]):
        fact = record["fact"]
        hidden = (record["revoked"] is not None and not include_revoked) or (
            record["superseded"] is not None and not include_superseded
        )
        other_tag = tag1 is not None and fact.tag1 != tag1.encode()
        if hidden or other_tag or (client and address(fact.client) != client):
            continue
        items.append(
            {
                **texts(
                    _label("tag1", fact.tag1),
                    _label("tag2", fact.tag2),
                    _label("endpoint", fact.endpoint),
                    _label("uri", fact.uri),
                ),
                "client": address(fact.client),
                "index": str(fact.feedback_index),
                "value": str(fact.value),
                "decimals": fact.decimals,
                "content_hash": hex_text(fact.content_hash),
                "revoked": record["revoked"] is not None,
                "revoked_block": record["revoked"],
                "superseded": record["superseded"] is not None,
                "superseded_block": record["superseded"],
                "responses": record["responses"],
                "document": None,
                "payment": None,
                "block_number": fact.block_number,
                "log_index": fact.log_index,
                "time": state.time(fact.block_number),
                "tx_hash": hex_text(fact.tx_hash),
            }
        )
    return {"items": items[: int(limit)]}


def _metadata(state: _State, agent: Body) -> Body:
    return {
        "items": [
            {
                **texts(("key", fact.key, None)),
                "value_hex": hex_text(fact.value),
                "value_text": fact.value.decode() if is_clean(fact.value) else None,
                "set_block": fact.block_number,
            }
            for _, fact in sorted(agent["metadata"].items(), key=lambda item: keccak(item[0]))
        ]
    }  # fmt: skip


def _validations(state: _State, agent: Body) -> Body:
    items = []
    for one in reversed(agent["validations"]):
        asked, answer = one["asked"], one["answer"]
        items.append(
            {
                **texts(
                    ("request_uri", asked.uri, None),
                    ("response_uri", answer.uri if answer else None, None),
                    ("tag", answer.tag if answer else None, None),
                ),
                "contract": address(asked.contract),
                "request_hash": hex_text(asked.request_hash),
                "validator": address(asked.validator),
                "requested_block": asked.block_number,
                "requested_at": state.time(asked.block_number),
                "pending": answer is None,
                "response": answer.response if answer else None,
                "response_hash": hex_text(answer.content_hash) if answer else None,
                "responded_block": answer.block_number if answer else None,
                "request_document": None,
                "response_document": None,
                "answers": one["answers"],
            }
        )
    return {"items": items}


def _stats(state: _State, agent: Body) -> Body:
    counts, deployment, mint = _counts(agent), state.deployment, agent["mint"]
    return {
        "key": AgentRef(deployment.chain_id, deployment.identity, agent["id"]).key,
        "chain_id": deployment.chain_id,
        "agent_id": str(agent["id"]),
        "identity": {
            "owner": address(agent["owner"]),
            "wallet": address_or_none(agent["wallet"]),
            "wallet_state": agent["wallet_state"],
            "registered_block": mint.block_number,
            "registered_at": state.time(mint.block_number),
            "transfers": agent["transfers"],
        },
        "feedback": {
            "given": counts["feedback"],
            "revoked": counts["revoked"],
            "clients": counts["clients"],
            "responses": counts["responses"],
            "paid": 0,
        },
        "payments": {
            "payments": 0, "confirmed": 0, "payers": 0, "totals": [], "first_at": None,
            "last_at": None, "open_claims": 0, "success": None,
        },
        "validations": {
            "requested": counts["validations"],
            "responded": counts["validations_answered"],
        },
        "trust": {"level": "unrated"},
    }  # fmt: skip


_READS: dict[str, Callable[..., Body]] = {
    "": _agent,
    "reputation": _reputation,
    "feedback": _feedback,
    "metadata": _metadata,
    "validations": _validations,
    "stats": _stats,
}
