"""A span's rows: facts, the state that they fold to, blocks, files of feedback, payments."""

from __future__ import annotations

import struct
from functools import lru_cache

from renown.derive.fold import Fold
from renown.ingest.crawler.reading import read
from renown.ingest.world.answers import ENDED_AT, feedback_fetch, keep_uri
from renown.ingest.world.draws import digest
from renown.ingest.world.numbers import Numbers
from renown.ingest.world.payments import Claim, make_claims
from renown.ingest.world.sayings import Saying
from renown.ingest.world.size import BEGAN_AT, ChainPart, WorldSize, chain_parts
from renown.ingest.world.span import NO_HASH, Attached, Given, Span, make_span
from renown.spec.documents import findings_json, read_document
from renown.spec.documents.feedback import compare_feedback, hash_verdict, read_feedback_file
from renown.spec.documents.model import Finding
from renown.spec.events import Fact, FeedbackRevoked, ResponseAppended
from renown.store import facts, state, world, world_copy, world_found
from renown.store.pool import Tx
from renown.store.world_copy import NULL, bigint, cell, microseconds, moment, numeric, smallint
from renown.store.world_found import Found

_MARK_COLUMNS = (
    *("chain_id", "block_number", "log_index", "agent_id", "client", "feedback_index"),
    *("revoked_block", "revoked_log_index", "response_count"),
)
_ATTACHMENT_COLUMNS = (
    *("chain_id", "block_number", "log_index", "role", "agent_id", "uri_id", "content_hash"),
    *("document_id", "verdict", "findings", "checked_at"),
)
_OUTBOX_COLUMNS = (
    *("chain_id", "position", "kind", "from_block", "to_block", "block_hash", "fact_count"),
    "written_at",
)
_HOLDER_COLUMNS = ("source", "number", "created_at", "chain_id", "agent_id", "owner")
_BEGAN_US = microseconds(BEGAN_AT)
_MARKING = (FeedbackRevoked, ResponseAppended)


async def store_span(tx: Tx, size: WorldSize, part: ChainPart, number: int) -> None:
    """Make a span and keep all of it."""
    span = make_span(size, part, number)
    chain_id = part.chain_id
    await facts.ensure_partitions(tx, chain_id, span.first_block, span.last_block)
    await _store_identities(tx, part, span.facts)
    await facts.append(tx, facts.rows_of(chain_id, span.facts))
    rows = [_feedback_row(chain_id, one) for one in span.given]
    await world_copy.copy(tx, "feedback_given", world_copy.FEEDBACK_COLUMNS, rows)
    await world.copy_rows(
        tx,
        "feedback_mark",
        _MARK_COLUMNS,
        [
            (
                *(chain_id, m.given.block_number, m.given.log_index, m.given.agent_id),
                *(m.given.client, m.given.feedback_index),
                *(m.revoked or (None, None)),
                m.response_count,
            )
            for m in span.marks
        ],
    )
    await _store_blocks(tx, size, part, span)
    await _store_files(tx, size, part, number, span.attached)
    await _store_payments(tx, size, part, number, span)
    await world.copy_rows(
        tx,
        "bench.holder",
        _HOLDER_COLUMNS,
        [
            (*key, one.created_at, chain_id, one.agent_id, one.owner)
            for key, held in span.holders.items()
            for one in held
        ],
    )
    last = span.last_block
    outbox = (
        *(chain_id, number + 1, "extend", span.first_block, last),
        *(_block_hash(size.seed, chain_id, last), len(span.facts) + len(span.given)),
        part.time_of(last),
    )
    await world.copy_rows(tx, "outbox", _OUTBOX_COLUMNS, [outbox])


async def _store_identities(tx: Tx, part: ChainPart, found: list[Fact]) -> None:
    """Fold the facts about agents' identities and validations, which all begin in this span."""
    fold = Fold().run(fact for fact in found if type(fact) not in _MARKING)
    prefix = b"eip155:%d:0x%s:" % (part.chain_id, part.deployment.identity.hex().encode())
    await state.write_identities(tx, part.chain_id, prefix, fold, set(fold.minted), part.time_of)
    await state.write_requests(tx, part.chain_id, fold)


def _feedback_row(chain_id: int, one: Given) -> bytes:
    block, log, tx_hash, agent_id, client, index, saying, endpoint, uri, content_hash = one
    said = _said(saying)
    if endpoint or uri:
        said += cell(endpoint) + cell(uri) + cell(content_hash)
    else:
        said += _NOTHING_ELSE
    return world_copy.feedback(chain_id, block, log, tx_hash, agent_id, client, index, said)


_NOTHING_ELSE = cell(b"") + cell(b"") + cell(NO_HASH)


@lru_cache(maxsize=50_000)
def _said(one: Saying) -> bytes:
    return numeric(one.value) + smallint(one.decimals) + cell(one.tag1) + cell(one.tag2)


# Blocks ------------------------------------------------------------------------------------------


def _block_hash(seed: int, chain_id: int, number: int) -> bytes:
    return digest(seed, b"block", chain_id, number)


async def _store_blocks(tx: Tx, size: WorldSize, part: ChainPart, span: Span) -> None:
    rows = []
    before, before_hash = -1, NO_HASH
    for number, count in span.blocks:
        parent = before_hash if number == before + 1 else None
        own = _block_hash(size.seed, part.chain_id, number)
        rows.append(
            world_copy.block(
                *(part.chain_id, number, own),
                parent or _block_hash(size.seed, part.chain_id, number - 1),
                *(_BEGAN_US + part.seconds_of(number) * 1_000_000, count),
            )
        )
        before, before_hash = number, own
    await world_copy.copy(tx, "block", world_copy.BLOCK_COLUMNS, rows)


# Files of feedback --------------------------------------------------------------------------------


async def _store_files(
    tx: Tx, size: WorldSize, part: ChainPart, number: int, attached: list[Attached]
) -> None:
    numbers, found, rows = Numbers(size), Found.nothing(), []
    before = sum(p.feedbacks for p in chain_parts(size)[: part.number])
    before += part.feedbacks * number // part.spans
    for one in attached:
        given = one.given
        uri_id = numbers.feedback(before + one.number)
        at = part.time_of(given.block_number)
        document = read(one.body) if one.body is not None else None
        fetch = feedback_fetch(given.uri, at, tried=one.tried, served=document is not None)
        keep_uri(found, uri_id, given.uri, fetch, document, at, stage=1)
        content_hash = None if given.content_hash == NO_HASH else given.content_hash
        rows.append(
            (
                *(part.chain_id, given.block_number, given.log_index, "feedback"),
                *(given.agent_id, uri_id, content_hash),
                *_verdict(part, one, content_hash, uri_id),
                fetch.last_at,
            )
        )
    await world_found.keep(tx, found)
    await world.copy_rows(tx, "attachment", _ATTACHMENT_COLUMNS, rows)


def _verdict(
    part: ChainPart, one: Attached, content_hash: bytes | None, uri_id: int
) -> tuple[int | None, str, str]:
    """Document, verdict and findings, as the crawler judges files."""
    if not one.tried:
        return None, "pending", "[]"
    if one.body is None:
        return None, "unfetchable", "[]"
    found = hash_verdict(one.body, content_hash)
    file, given = read_feedback_file(read_document(one.body)), one.given
    if file is None:
        return uri_id, found, findings_json((Finding("file-unreadable"),))
    compared = compare_feedback(
        file,
        chain_id=part.chain_id,
        registry=part.deployment.identity,
        agent_id=given.agent_id,
        client=given.client,
        value=given.said.value,
        decimals=given.said.decimals,
        tag1=given.said.tag1,
        tag2=given.said.tag2,
    )
    return uri_id, found, findings_json(tuple(sorted(compared)))


# Payments -----------------------------------------------------------------------------------------


async def _store_payments(
    tx: Tx, size: WorldSize, part: ChainPart, number: int, span: Span
) -> None:
    claims: list[bytes] = []
    payments: list[bytes] = []
    for one in make_claims(size, part, number, span):
        at_us = _BEGAN_US + part.seconds_of(one.at_block) * 1_000_000
        claims.append(_claim_row(part, one, at_us))
        if one.amount:
            payments.append(_payment_row(size, part, one, at_us))
    await world_copy.copy(tx, "payment_claim", world_copy.CLAIM_COLUMNS, claims)
    await world_copy.copy(tx, "payment", world_copy.PAYMENT_COLUMNS, payments)


_BYTEA_ARRAY = struct.Struct(">i iii ii i20s").pack
_LATER_US = 90_000_000  # from a payment to its claim, and from there to the look at it
_WAITING_US = microseconds(ENDED_AT) + 10 * 365 * 86_400 * 1_000_000
_NO_FEEDBACK = 4 * NULL
_PAYER = (20).to_bytes(4)


def _claim_row(part: ChainPart, one: Claim, at_us: int) -> bytes:
    given = one.feedback
    if given is None:
        rest = (
            _BYTEA_ARRAY(44, 1, 0, 17, 1, 1, 20, one.payer)
            + _state(one.state, one.reason)
            + bigint(one.account)
            + _NO_FEEDBACK
            + _PAYER
            + one.payer
            + NULL
        )
    else:
        rest = (
            world_copy.NO_BYTES
            + _state(one.state, one.reason)
            + NULL
            + world_copy.of_feedback(
                given.block_number, given.log_index, given.client, given.feedback_index
            )
            + _PAYER
            + one.payer
            + cell(one.payee)
        )
    return world_copy.claim(
        one.claim_id,
        (part.chain_id, one.agent_id),
        (one.pay_chain_id, one.tx_hash),
        at_us + _LATER_US,
        at_us + 2 * _LATER_US,
        is_final=given is not None and given.block_number <= part.final_block,
        tries=1,
        rest=rest,
    )


@lru_cache(maxsize=64)
def _state(state: str, reason: str | None) -> bytes:
    """The cells `state` to `due_at`."""
    settled = state in ("confirmed", "refused")
    due = NULL if settled else moment(_WAITING_US)
    return cell(state.encode()) + cell(reason.encode() if reason else None) + due


@lru_cache(maxsize=4_096)
def _money(token: bytes, basis: str, amount: int) -> bytes:
    return cell(token) + cell(basis.encode()) + numeric(amount)


def _payment_row(size: WorldSize, part: ChainPart, one: Claim, at_us: int) -> bytes:
    paid_in = _block_of(part, one)
    return world_copy.payment(
        (one.pay_chain_id, one.tx_hash, one.log_index),
        (part.chain_id, one.agent_id),
        one.claim_id,
        one.payer,
        one.payee,
        is_final=one.state == "confirmed",
        block_number=paid_in,
        block_hash=_block_hash(size.seed, one.pay_chain_id, paid_in),
        paid_us=at_us,
        rest=cell(one.claim_id if one.feedback else None)
        + _money(one.token, one.basis, one.amount),
    )


def _block_of(part: ChainPart, one: Claim) -> int:
    """The block of a payment: of the agent's chain, or one like it of another."""
    return one.at_block if one.pay_chain_id == part.chain_id else 20_000_000 + one.at_block // 7
