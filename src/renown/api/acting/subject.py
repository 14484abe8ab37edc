"""On whose behalf, on which chain and about which agent a write is; each looked up, and allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

import msgspec

from renown.api.access.principal import Principal
from renown.api.acting.bodies import Acting
from renown.api.acting.signer import managed_sender
from renown.api.deps import Desk
from renown.derive.operation import Kind, Mode
from renown.derive.writes import refused
from renown.errors import (
    ChainNotFound,
    ChainNotWritable,
    FeedbackNotFound,
    TransactionRefused,
    Unauthorized,
    ValidationNotFound,
)
from renown.spec.deployments import DEPLOYMENTS, Deployment
from renown.spec.transactions import SignedTransaction
from renown.store import acting, agents
from renown.store.agents import AgentRow
from renown.store.pool import Conn
from renown.store.reads import Head, key_args, no_such_agent, require_chain
from renown.store.wallets import require_wallet
from renown.types import AgentKey, ShortKey, checksum_address, parse_address

if TYPE_CHECKING:
    from renown.chain.tx.writer import ChainWriter


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What a request names. Exactly one of `key`, `chain` and `request_hash` says where it is.

    Attributes:
        feedback: client and index of one that must exist.
        sender: who alone can send this, where the path says that.
        chain, contract: beside `request_hash` they narrow the search.
    """

    kind: Kind
    key: AgentKey | None = None
    chain: str | None = None
    feedback: tuple[bytes, int] | None = None
    sender: bytes | None = None
    request_hash: bytes | None = None
    contract: bytes | None = None


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """What a write is about: all of it known, and the sender allowed to act.

    Attributes:
        agent: None for a registration only.
        contract: of the validation request that is answered.
        signed: what is relayed, in nonce order.
    """

    on: Deployment
    writer: ChainWriter
    head: Head
    mode: Mode
    account_id: int
    sender: bytes
    agent: AgentRow | None
    contract: bytes | None = None
    signed: tuple[SignedTransaction, ...] = ()

    @property
    def agent_id(self) -> int | None:
        """The agent's id; None for a registration."""
        return None if self.agent is None else self.agent.agent_id

    @property
    def known_agent(self) -> AgentRow:
        """The agent, of every write but a registration."""
        assert self.agent is not None
        return self.agent


async def find_subject(
    desk: Desk,
    conn: Conn,
    principal: Principal,
    target: Target,
    body: Acting,
    signed: tuple[SignedTransaction, ...],
) -> Subject:
    """Who acts, where, on what. The right to act is looked at before what is acted on.

    Raises:
        ChainNotFound, ChainNotWritable, AgentNotFound, FeedbackNotFound, ValidationNotFound
        WalletNotProved, SignerNotAllowed: the account may not speak for the sender.
        BadBody: no sender, or one that contradicts the path or the signatures.
    """
    place = await _place(desk, conn, target)
    on = DEPLOYMENTS.get(place.chain_id)
    if on is None:
        raise ChainNotFound("no registries are known on that chain", chain_id=place.chain_id)
    if principal.account_id is None:
        raise Unauthorized("a key is needed to change things")
    mode: Mode = "managed" if body.mode == "managed" else "client"
    if mode == "managed":
        wanted = target.sender
        if body.sender is not None:
            wanted = parse_address(body.sender)
            _require_same(wanted, target.sender)
        sender = await managed_sender(desk, conn, principal.account_id, on, wanted)
    else:
        sender = _own_sender(body, target, signed, on)
        await require_wallet(conn, principal.account_id, on.chain_id, sender)
    writer = desk.writers.get(on.chain_id)
    if writer is None:
        raise ChainNotWritable(
            f"this installation has no node to write to {on.name} through", chain_id=on.chain_id
        )
    head, agent = await _agent(conn, place)
    if target.feedback is not None and agent is not None:
        client, index = target.feedback
        if not await acting.feedback_exists(conn, on.chain_id, agent.agent_id, client, index):
            raise FeedbackNotFound(
                f"{checksum_address(client)} gave this agent no feedback {index}, as far as it is"
                " indexed"
            )
    return Subject(
        on=on,
        writer=writer,
        head=head,
        mode=mode,
        account_id=principal.account_id,
        sender=sender,
        agent=agent,
        contract=place.contract,
        signed=signed,
    )


class _Place(msgspec.Struct, frozen=True):
    """The chain, and what was looked up on the way to it."""

    chain_id: int
    key: AgentKey | None = None
    contract: bytes | None = None


async def _place(desk: Desk, conn: Conn, target: Target) -> _Place:
    if target.request_hash is not None:
        return await _place_of_request(desk, conn, target)
    if target.key is None:
        chain_id = await desk.chain_id(conn, target.chain)
        assert chain_id is not None
        return _Place(chain_id)
    if not isinstance(target.key, UUID):
        return _Place(target.key.chain_id, target.key)
    found = await agents.one(conn, key_args(target.key), uri_cut_bytes=0)
    head = require_chain(target.key, found.head if found else None)
    return _Place(head.chain_id, target.key)


async def _place_of_request(desk: Desk, conn: Conn, target: Target) -> _Place:
    assert target.request_hash is not None
    chain_id = await desk.chain_id(conn, target.chain)
    rows = await acting.validation_requests(conn, target.request_hash, chain_id, target.contract)
    if not rows:
        raise ValidationNotFound("nobody asked for it under this hash, as far as it is indexed")
    if len(rows) > 1:
        raise refused("chain", "several registries have a request of this hash: name one")
    row = rows[0]
    return _Place(row.chain_id, ShortKey(row.chain_id, row.agent_id), row.contract)


async def _agent(conn: Conn, place: _Place) -> tuple[Head, AgentRow | None]:
    if place.key is None:
        head = await acting.head_of(conn, place.chain_id)
        if head is None:
            raise ChainNotFound("this index does not hold that chain", chain_id=place.chain_id)
        return head, None
    found = await agents.one(conn, key_args(place.key), uri_cut_bytes=0)
    head = require_chain(place.key, found.head if found else None)
    if found is None or found.agent is None:
        raise no_such_agent(place.key, head)
    return head, found.agent


def _own_sender(
    body: Acting, target: Target, signed: tuple[SignedTransaction, ...], on: Deployment
) -> bytes:
    given = None if body.sender is None else parse_address(body.sender)
    for position, one in enumerate(signed):
        if one.chain_id != on.chain_id:
            raise _refused_at(position, f"it is for chain {one.chain_id}", chain_id=one.chain_id)
        if one.sender != signed[0].sender:
            raise _refused_at(position, "another wallet signed it than the others")
        if one.value_wei:
            raise _refused_at(position, "it sends value along")
    sender = signed[0].sender if signed else given or target.sender
    if sender is None:
        raise refused("from", "is needed: the wallet that sends the transactions")
    _require_same(sender, given)
    _require_same(sender, target.sender)
    return sender


def _require_same(sender: bytes, other: bytes | None) -> None:
    if other is not None and sender != other:
        raise refused("from", f"{checksum_address(other)} is the one to send this")


def _refused_at(position: int, why: str, **context: Any) -> TransactionRefused:
    return TransactionRefused(
        f"transaction {position + 1} cannot be relayed: {why}", position=position, **context
    )
