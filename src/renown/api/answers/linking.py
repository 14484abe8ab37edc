"""Linking a payment: which transaction is meant, how it stands on its chain, what it comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from msgspec import Struct

from renown.api.answers.payments import LinkPayment
from renown.api.answers.values import agent_key, hex_text
from renown.chain.payment_looks import Node, look
from renown.derive.payment import Counted, Seen, State, Verdict
from renown.errors import (
    AlreadyLinked,
    BadBody,
    PaymentRefused,
    RenownError,
    TransactionNotFound,
    WrongReceiver,
)
from renown.spec.tokens import Tokens
from renown.spec.transfers import network_id, read_settlement
from renown.store import agents, payment_claims, payments
from renown.store.payment_claims import Linked
from renown.store.pool import Conn, Tx
from renown.store.reads import key_args, no_such_agent, require_chain
from renown.types import AgentKey


class Meant(Struct, frozen=True):
    """The agent and the transaction that are meant. `final_block` is of the chain of the latter;
    None where that is not indexed here."""

    agent: str
    chain_id: int
    agent_id: int
    pay_chain_id: int
    tx_hash: bytes
    log_index: int | None
    payer: bytes | None
    final_block: int | None


class Looked(Struct, frozen=True):
    """The same, and how the transaction stands."""

    meant: Meant
    seen: Seen


async def meant(conn: Conn, key: AgentKey, asked: LinkPayment) -> Meant:
    """Read a request to link.

    Raises:
        AgentNotFound, ChainNotFound.
        BadBody: it names no transaction, or two.
    """
    found = await agents.one(conn, key_args(key), uri_cut_bytes=0)
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent is None:
        raise no_such_agent(key, head)
    pay_chain_id, tx_hash, payer = _named(asked, head.chain_id)
    return Meant(
        agent_key(head.chain_id, head.registry, found.agent.agent_id),
        head.chain_id,
        found.agent.agent_id,
        pay_chain_id,
        tx_hash,
        asked.log_index,
        payer,
        await payments.final_block(conn, pay_chain_id),
    )


async def look_for(meant: Meant, nodes: Mapping[int, Node]) -> Looked:
    """Ask the chain for the transaction.

    Raises:
        TransactionNotFound: no node has ever heard of it.
        PaymentRefused: no node of that chain is configured.
        NodeError: nobody could say.
    """
    node = nodes.get(meant.pay_chain_id)
    if node is None:
        raise PaymentRefused(
            f"no node of chain {meant.pay_chain_id} is configured here",
            reason="chain-not-read",
            chain_id=meant.pay_chain_id,
        )
    seen = await look(node, meant.tx_hash, final_block=meant.final_block)
    if not seen.is_known:
        raise TransactionNotFound(
            f"no node of chain {meant.pay_chain_id} knows this transaction",
            tx_hash=hex_text(meant.tx_hash),
            chain_id=meant.pay_chain_id,
        )
    return Looked(meant, seen)


async def link(tx: Tx, looked: Looked, *, account_id: int, tokens: Tokens) -> tuple[UUID, State]:
    """Keep the claim and settle it. Gives its id and how it stands.

    A party's word goes before a stranger's: it takes a payment over that one linked who is none.

    Raises:
        AlreadyLinked, WrongReceiver, PaymentRefused: it does not count, or did before; nothing is
            to be kept.
    """
    one = looked.meant
    claim_id = await payment_claims.link(
        tx,
        Linked(
            account_id=account_id,
            chain_id=one.chain_id,
            agent_id=one.agent_id,
            pay_chain_id=one.pay_chain_id,
            tx_hash=one.tx_hash,
            log_index=one.log_index,
            payer=one.payer,
        ),
    )
    settled = await payments.settle_transaction(
        tx,
        one.pay_chain_id,
        one.tx_hash,
        looked.seen,
        tokens=tokens,
        now=datetime.now(UTC),
        made=claim_id,
    )
    verdict = settled.verdicts[claim_id]
    if verdict.state == "refused":
        raise _refusal(verdict, one)
    if verdict.state != "pending":
        _require_new(claim_id, settled.counted, one)
    return claim_id, verdict.state


def _require_new(claim_id: UUID, counted: Sequence[Counted], one: Meant) -> None:
    holders = [
        held.claim_id
        for held in counted
        if (held.chain_id, held.agent_id) == (one.chain_id, one.agent_id)
        and one.log_index in (None, held.transfer.log_index)
    ]
    if claim_id not in holders:
        raise AlreadyLinked("this payment is linked to the agent already", claim=str(holders[0]))


def _named(asked: LinkPayment, agent_chain_id: int) -> tuple[int, bytes, bytes | None]:
    """Chain, hash and payer (None: not said) of the transaction that is asked for."""
    if (asked.tx_hash is None) == (asked.settlement is None):
        raise BadBody("name the transaction by `tx_hash`, or by `settlement`: by one of them")
    try:
        chain_id = None if asked.chain is None else network_id(asked.chain)
        if asked.tx_hash is not None:
            return chain_id or agent_chain_id, bytes.fromhex(asked.tx_hash[2:]), None
        settled = read_settlement(asked.settlement)
    except ValueError as exc:
        raise BadBody(str(exc)[:300]) from None
    if chain_id not in (None, settled.chain_id):
        raise BadBody("`chain` is not the chain that `settlement` names")
    return settled.chain_id, settled.tx_hash, settled.payer


def _refusal(verdict: Verdict, one: Meant) -> RenownError:
    kinds: dict[str | None, type[RenownError]] = {
        "wrong-receiver": WrongReceiver,
        "before-registration": WrongReceiver,
        "used-by-other-agent": AlreadyLinked,
    }
    kind = kinds.get(verdict.reason, PaymentRefused)
    return kind(
        verdict.detail or "the transaction is no payment that counts",
        reason=verdict.reason,
        agent=one.agent,
        chain_id=one.pay_chain_id,
        tx_hash=hex_text(one.tx_hash),
    )
