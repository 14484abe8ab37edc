"""From facts to what lies behind them: URIs to be read, files to be checked, agents to look at.

The index moves on and back; the trail follows it by blocks, and by the outbox where something was
taken back. Each step reads one snapshot and then writes what follows from it together with the
place it leads to, so a step that is cut short is simply taken again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from typing import Literal, TypeAlias

import msgspec
import structlog

from renown.ingest.crawler import judging, measured
from renown.spec.uris import parse_uri
from renown.store import attachments, trail, uris
from renown.store.attachments import NewAttachment
from renown.store.pool import Conn, Tx, transaction
from renown.store.trail import News, Place, Saying, Standing
from renown.store.uris import AGENT_STAGE, FILE_STAGE, NewUri

log = structlog.get_logger()

STEP_FACTS = 5_000
STEP_BYTES = 8 * 2**20
"""URIs that one step reads at most, about; the URIs of one block are never divided."""


class StepBack(msgspec.Struct, frozen=True):
    """Facts above `block_number` were taken back or learnt late: walk again from there.

    What hangs on facts at or above `drop_from` goes; None where none were taken back.
    """

    block_number: int
    drop_from: int | None
    refolded: bool


class Walk(msgspec.Struct, frozen=True):
    """Take in the facts between the trail and the index."""


Move: TypeAlias = Literal["begin", "rest"] | StepBack | Walk


def next_move(standing: Standing, news: News | None) -> Move:
    """What is to be done about a chain. Pure.

    Args:
        news: what the outbox says between trail and index; None when they are at one position.
    """
    now, place = standing.now, standing.trail
    if place is None or place.epoch != now.epoch or place.position > now.position:
        return "begin"
    if news is not None:
        if news.lost:
            return "begin"
        again = [b - 1 for b in (news.retracted_from, news.learnt_from) if b is not None]
        if again or news.refolded:
            to = min([place.block_number, *again])
            return StepBack(to, news.retracted_from, news.refolded)
    elif place.block_number >= now.block_number:
        return "rest"
    return Walk()


async def follow(conn: Conn, now: datetime) -> int:
    """One step for each chain of the index. Returns how many moved; 0 when all are at the tip."""
    moved = 0
    for standing in await trail.standings(conn):
        if standing.trail != standing.now and await _step(conn, standing.chain_id, now):
            moved += 1
    return moved


async def _step(conn: Conn, chain_id: int, now: datetime) -> bool:
    async with transaction(conn, "repeatable_read") as tx:
        found = await trail.standings(tx, chain_id)
        if not found:
            return False
        standing, news = found[0], None
        place, index = standing.trail, standing.now
        if place is not None and place.position < index.position:
            args = {"after": place.position, "upto": index.position}
            news = await trail.news(tx, chain_id, **args)
        move = next_move(standing, news)
        stretch = await _read(tx, standing) if isinstance(move, Walk) else None
        back_to = None
        if isinstance(move, StepBack):
            back_to = await trail.block_of(tx, chain_id, move.block_number)
    if stretch is not None:
        await _walk(conn, standing, stretch, now)
    elif isinstance(move, StepBack) and back_to is not None:
        await _step_back(conn, standing, move, back_to, now)
    elif move == "begin":
        async with transaction(conn) as tx:
            await trail.begin(tx, standing)
        log.info("trail_begun", chain=standing.slug)
    if stretch is not None:
        measured.trailed(standing.slug, index.block_number - stretch.upto)
    return move != "rest"


async def _step_back(
    conn: Conn,
    standing: Standing,
    move: StepBack,
    block: tuple[bytes | None, datetime | None],
    now: datetime,
) -> None:
    chain_id, place, index = standing.chain_id, _place(standing), standing.now
    to = move.block_number
    async with transaction(conn) as tx:
        if not await trail.move(
            tx, chain_id, place, position=index.position, block_number=to, block=block
        ):
            return
        agents: set[int] = set()
        if move.drop_from is not None:
            agents.update(await trail.drop_attachments(tx, chain_id, move.drop_from))
        args = {"after": place.position, "upto": index.position}
        agents.update(await trail.taken_back(tx, chain_id, **args))
        if move.refolded:
            agents.update(await trail.folded_since(tx, chain_id, place.position))
        touched = sorted(agents)
        await uris.arm_of_agents(tx, chain_id, touched, now)
        await trail.touch(tx, chain_id, touched)
    log.info("trail_stepped_back", chain=standing.slug, block_number=to, agents=len(touched))


# Walking -----------------------------------------------------------------------------------------


class _Stretch(msgspec.Struct, frozen=True):
    upto: int
    block: tuple[bytes | None, datetime | None]
    sayings: Sequence[Saying]
    new: Sequence[bytes]
    touched: Sequence[int]


async def _read(tx: Tx, standing: Standing) -> _Stretch:
    """The facts that come next, of a bounded number and size, in one snapshot."""
    chain_id, after = standing.chain_id, _place(standing).block_number
    last = max(after, standing.now.block_number)
    upto = await trail.reach(tx, chain_id, after=after, upto=last, most_facts=STEP_FACTS)
    said = await trail.sayings(tx, chain_id, after=after, upto=upto)
    cut = _cut(said)
    if cut is not None:
        upto, said = cut, [one for one in said if one.block_number <= cut]
    by_hash = {one.uri_hash: one for one in said}
    known = await uris.known(tx, list(by_hash))
    unknown = [one for one in by_hash.values() if one.uri_hash not in known]
    return _Stretch(
        upto,
        await trail.block_of(tx, chain_id, upto),
        said,
        await trail.raw_uris(tx, chain_id, unknown) if unknown else [],
        await trail.touched(tx, chain_id, after=after, upto=upto),
    )


def _cut(said: Iterable[Saying]) -> int | None:
    """The block after which the URIs become too many bytes for one step, if they do."""
    seen: set[bytes] = set()
    size = 0
    before: int | None = None
    for number, of_block in groupby(said, key=lambda one: one.block_number):
        for one in of_block:
            if one.uri_hash not in seen:
                seen.add(one.uri_hash)
                size += one.uri_bytes
        if size > STEP_BYTES and before is not None:
            return before
        before = number
    return None


async def _walk(conn: Conn, standing: Standing, stretch: _Stretch, now: datetime) -> None:
    chain_id = standing.chain_id
    of_agents = {one.uri_hash for one in stretch.sayings if one.role == "agent"}
    attached = [one for one in stretch.sayings if one.role != "agent"]
    files = sorted({one.uri_hash for one in attached})
    owners = sorted({one.agent_id for one in stretch.sayings if one.role == "agent"})
    new = [_new_uri(raw, of_agents, {*files}, now) for raw in stretch.new]
    async with transaction(conn) as tx:
        if not await trail.move(
            tx,
            chain_id,
            _place(standing),
            position=standing.now.position,
            block_number=stretch.upto,
            block=stretch.block,
        ):
            return
        await uris.learn(tx, new)
        await attachments.add(tx, chain_id, [_attachment(one) for one in attached])
        await uris.arm(tx, files, now)
        await uris.arm_of_agents(tx, chain_id, owners, now)
        # Files that were read before anybody named them again are not read again for it.
        if files:
            await judging.judge(tx, await attachments.tried(tx, files), now, pending=True)
        await trail.touch(tx, chain_id, stretch.touched)


def _new_uri(raw: bytes, of_agents: set[bytes], files: set[bytes], now: datetime) -> NewUri:
    """A URI that nobody named before. One whose bytes may change is read only while somebody has
    it: that of an agent becomes due by `arm_of_agents`, if the agent still has it."""
    digest = sha256(raw).digest()
    uri = parse_uri(raw)
    wanted = uri.kind != "unsupported" and (uri.fixed or digest in files)
    return NewUri(
        hash=digest,
        uri=raw,
        kind=uri.kind,
        host=uri.host,
        fixed=uri.fixed,
        stage=AGENT_STAGE if digest in of_agents else FILE_STAGE,
        due_at=now if wanted else None,
        reason=uri.reason,
    )


def _attachment(one: Saying) -> NewAttachment:
    return NewAttachment(
        *(one.block_number, one.log_index, one.role, one.agent_id),
        *(one.uri_hash, one.content_hash),
    )


def _place(standing: Standing) -> Place:
    assert standing.trail is not None
    return standing.trail
