"""One agent, its metadata, and lists of agents; now and at a past block."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import UNSET, Meta, UnsetType

from renown.api.answers.answer import (
    LISTED_URI_CUT_BYTES,
    URI_CUT_BYTES,
    Answer,
    ChainsPage,
    Version,
    more,
    present,
)
from renown.api.answers.as_of import AsOf, At, as_of, as_of_all, past, past_of_chains
from renown.api.answers.finds import Finds
from renown.api.answers.profiles import ProfileBrief, brief, revision_of
from renown.api.answers.values import (
    Address,
    Block,
    Count,
    Cuttable,
    Hash,
    Id,
    Key,
    Text,
    TextHex,
    Time,
    address,
    address_or_none,
    hex_text,
    registry_key,
    texts,
    whole_text,
)
from renown.derive.fold import Fold
from renown.derive.identity import Identity
from renown.errors import ChainNotFound
from renown.spec.highlights import Fragment
from renown.store import agents as store
from renown.store import facts, reads_reputation
from renown.store.agents import AgentRow, CountsRow, Listed, ProfileRow
from renown.store.marks import Mark
from renown.store.pool import Conn, transaction
from renown.store.reads import NEVER, UNCUT, Head, key_args, no_such_agent, require_chain
from renown.types import AgentKey

WalletState = Literal["unset", "default", "proved", "cleared", "malformed"]


class Counts(msgspec.Struct, kw_only=True, frozen=True):
    """What was said about an agent. Feedback that a restarted registry superseded is in none."""

    feedback: Annotated[Count, Meta(description="Given, revoked ones too.")]
    revoked: Count
    clients: Annotated[Count, Meta(description="Distinct addresses that gave feedback.")]
    responses: Count
    validations: Annotated[Count, Meta(description="Requested.")]
    validations_answered: Count


class ListedAgent(Cuttable, kw_only=True):
    """An agent, as its registry's events make it."""

    key: Key
    uuid: Annotated[str, Meta(description="uuid5(NAMESPACE_URL, key).")]
    chain_id: int
    registry: Address
    agent_id: Id
    owner: Address
    registrant: Annotated[
        Address | None, Meta(description="Who registered it; null if no Registered was seen.")
    ]
    uri: Annotated[Text | None, Meta(description="Null: never said. Empty: said to be empty.")]
    uri_hex: TextHex = msgspec.UNSET
    uri_block: Annotated[Block | None, Meta(description="When the URI was said.")]
    wallet: Annotated[Address | None, Meta(description="See `wallet_state` before paying it.")]
    wallet_state: Annotated[
        WalletState,
        Meta(
            description="`default`: set by registration, without a signature. `proved`: the wallet"
            " signed. `cleared`: by a transfer or on purpose. `unset`: never said. `malformed`:"
            " said, but no address; its bytes stand in the metadata."
        ),
    ]
    approved: Annotated[Address | None, Meta(description="May manage this agent (ERC-721).")]
    transfers: Count
    created_block: Block
    created_at: Time
    created_tx: Hash
    counts: Counts
    profile: Annotated[
        ProfileBrief | None,
        Meta(
            description="What it says of itself. Null until its URI was looked at, and in the past."
        ),
    ]
    marks: Annotated[
        list[Mark],
        Meta(description="This installation's own, of today; nothing of it is on the chain."),
    ]


L = TypeVar("L", bound=ListedAgent)


class Agent(ListedAgent, kw_only=True):
    """One agent."""

    as_of: AsOf


class FoundAgent(ListedAgent, kw_only=True):
    """An agent of a list or a search."""

    highlights: Annotated[
        dict[str, list[list[Fragment]]] | UnsetType,
        Meta(
            description="Of a search for text: the fields that it was found in (`name`,"
            " `description`, `tool`, `skill`, `domain`, `tag`), their texts in pieces. Texts are"
            " the agent's own and no markup; `hit` marks what was looked for."
        ),
    ] = UNSET
    similar_name: Annotated[
        bool | UnsetType, Meta(description="It does not match the text; its name looks like it.")
    ] = UNSET


class AgentPage(ChainsPage[FoundAgent], kw_only=True):
    """A page of agents."""

    search: Annotated[Finds | UnsetType, Meta(description="Of a search only.")] = UNSET


# One agent -----------------------------------------------------------------------------------


async def agent(
    conn: Conn, key: AgentKey, *, at: At | None = None, full: bool = False
) -> Answer[Agent]:
    """One agent. `full` gives its URI whole, however long.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """
    cut = UNCUT if full else URI_CUT_BYTES
    if at is not None:
        return await _past_agent(conn, key, at, cut)
    return answer_of(key, await store.one(conn, key_args(key), uri_cut_bytes=cut))


def answer_of(key: AgentKey, found: store.Found | None) -> Answer[Agent]:
    """What `agent` answers, of what was read for it with a URI cut at `URI_CUT_BYTES`.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent is None:
        raise no_such_agent(key, head)
    answer = _answer((found.agent, found.counts, found.profile), head, found.version)
    return msgspec.structs.replace(answer, present=present(head, found.agent.agent_id))


async def version(conn: Conn, key: AgentKey) -> Version | None:
    """The version of `agent` as it is now; None where there is none. A tenth of the columns."""
    return version_of(key, await store.version(conn, key_args(key)))


def version_of(key: AgentKey, found: store.Version | None) -> Version | None:
    """What `version` answers, of what was read for it. Raises ChainNotFound."""
    if found is None:
        return None
    require_chain(key, found.head)
    said = _said_version(found.head, found.agent_id, found.version, found.revision, found.marks)
    return Version(said, as_of(found.head))


async def version_of_facts(conn: Conn, key: AgentKey) -> Version | None:
    """The version of what is told of an agent's facts alone, such as its metadata and reputation;
    None where there is no such agent."""
    return version_of_facts_of(key, await store.version(conn, key_args(key)))


def version_of_facts_of(key: AgentKey, found: store.Version | None) -> Version | None:
    """What `version_of_facts` answers, of what was read for it. Raises ChainNotFound."""
    if found is None:
        return None
    head = require_chain(key, found.head)
    said = f"{head.epoch:x}.{head.chain_id}.{found.agent_id}.{found.version}"
    return Version(said, as_of(head))


async def uri(conn: Conn, key: AgentKey, *, at: At | None = None) -> tuple[bytes | None, AsOf, str]:
    """An agent's URI as the exact bytes that the registry holds; None if it never said one.

    Beside it stand the block and the version, as in `agent`, whose errors it raises.
    """
    if at is not None:
        async with transaction(conn, "repeatable_read"):
            row, _, head, version = await _past_row(conn, key, at)
            return row.uri, as_of(head), _version(head, row, None, version)
    found = await store.one(conn, key_args(key))
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent is None:
        raise no_such_agent(key, head)
    return found.agent.uri, as_of(head), _version(head, found.agent, None, found.version)


async def _past_agent(conn: Conn, key: AgentKey, at: At, cut: int) -> Answer[Agent]:
    async with transaction(conn, "repeatable_read"):
        row, counts, head, version = await _past_row(conn, key, at)
    return _answer((_cut(row, cut), counts, None), head, version)


async def _past_row(conn: Conn, key: AgentKey, at: At) -> tuple[AgentRow, CountsRow, Head, int]:
    head = await past(conn, key, at)
    found = await store.one(conn, key_args(key), uri_cut_bytes=0)
    if found is None or found.agent is None:
        raise no_such_agent(key, head, past=True)
    rows = await as_they_were(conn, [found.agent], head.block_number)
    if not rows:
        raise no_such_agent(key, head, past=True)
    return (*rows[0], head, found.version)


def _answer(found: Listed, head: Head, version: int) -> Answer[Agent]:
    block = as_of(head)
    row, _, profile = found
    return Answer(
        listed_agent(partial(Agent, as_of=block), *found),
        [block],
        _version(head, row, profile, version),
    )


def _version(head: Head, row: AgentRow, profile: ProfileRow | None, version: int) -> str:
    return _said_version(head, row.agent_id, version, revision_of(profile), row.marks)


def _said_version(
    head: Head, agent_id: int, version: int, revision: int, marks: Sequence[str]
) -> str:
    initials = "".join([f".{mark[0]}" for mark in marks])
    return f"{head.epoch:x}.{head.chain_id}.{agent_id}.{version}.{revision}{initials}"


def listed_agent(
    make: Callable[..., L], row: AgentRow, counts: CountsRow, profile: ProfileRow | None
) -> L:
    """A `ListedAgent` of a row; `make` is its type, or one with what else it needs."""
    uri = whole_text(row.uri, row.uri_bytes)
    said: dict[str, Any] | None = None
    if uri is UNSET:
        said = texts(("uri", row.uri, row.uri_bytes))
        uri = said.pop("uri")
    chain_id, registry, agent_id = row.chain_id, row.registry, str(row.agent_id)
    raw_owner, registrant, wallet, approved = row.owner, row.registrant, row.wallet, row.approved
    owner = address(raw_owner)
    found = make(
        key=registry_key(chain_id, registry) + agent_id,
        uuid=str(row.uuid),
        chain_id=chain_id,
        registry=address(registry),
        agent_id=agent_id,
        owner=owner,
        # Nearly always who owns it registered it, and is paid.
        registrant=owner if registrant == raw_owner else address_or_none(registrant),
        uri=uri,
        uri_block=row.uri_block,
        wallet=owner if wallet == raw_owner else address_or_none(wallet),
        wallet_state=row.wallet_state,
        approved=None if approved is None else address(approved),
        transfers=row.transfer_count,
        created_block=row.created_block,
        created_at=row.created_at,
        created_tx=hex_text(row.created_tx),
        counts=counts_of(counts),
        profile=brief(profile),
        marks=row.marks,
    )
    if said:
        for name, value in said.items():
            setattr(found, name, value)
    return found


def counts_of(counts: CountsRow) -> Counts:
    """The counts of an agent as they are said."""
    return Counts(
        feedback=counts.feedback_count,
        revoked=counts.revoked_count,
        clients=counts.client_count,
        responses=counts.response_count,
        validations=counts.validation_count,
        validations_answered=counts.validation_responded_count,
    )


# The past: folded from facts -------------------------------------------------------------------


async def as_they_were(
    conn: Conn, rows: Sequence[AgentRow], upto_block: int
) -> list[tuple[AgentRow, CountsRow]]:
    """Agents of one chain at the end of a block, in the order given, less those minted later.

    Only who they are is taken from `rows`. URIs come whole.
    """
    if not rows:
        return []
    chain_id, ids = rows[0].chain_id, [row.agent_id for row in rows]
    fold = await identities_at(conn, chain_id, ids, upto_block)
    counts = await reads_reputation.counts_at(conn, chain_id, ids, upto_block)
    return [
        (_as_it_was(row, identity), counts.get(row.agent_id, CountsRow()))
        for row in rows
        if (identity := fold.identities.get(row.agent_id)) is not None
    ]


async def identities_at(conn: Conn, chain_id: int, ids: Sequence[int], upto_block: int) -> Fold:
    """Agents of one chain folded from their identity facts up to a block."""
    found = await facts.of_agents(
        conn, chain_id, ids, upto_block=upto_block, tables=facts.IDENTITY_TABLES
    )
    return Fold().run(found)


def _as_it_was(row: AgentRow, identity: Identity) -> AgentRow:
    return msgspec.structs.replace(
        row,
        owner=identity.owner,
        registrant=identity.registrant,
        uri=identity.uri,
        uri_bytes=None if identity.uri is None else len(identity.uri),
        uri_block=identity.uri_block,
        wallet=identity.wallet,
        wallet_state=identity.wallet_state,
        approved=identity.approved,
        transfer_count=identity.transfer_count,
    )


def _cut(row: AgentRow, cut: int) -> AgentRow:
    if row.uri is None or len(row.uri) <= cut:
        return row
    return msgspec.structs.replace(row, uri=row.uri[:cut])


# Lists ---------------------------------------------------------------------------------------


async def agents(
    conn: Conn,
    *,
    chain_id: int | None = None,
    owner: bytes | None = None,
    at: At | None = None,
    hidden_too: bool = False,
    after: tuple[Any, ...] | None = None,
    limit: int,
) -> Answer[AgentPage]:
    """Agents of one chain or all, newest first; of one owner, by chain and then newest first.
    Those that this installation hides only with `hidden_too`, or of an owner in the past.

    Raises:
        ChainNotFound, BlockBeyondHead, BadParameter.
    """
    start = store.After(*after) if after else store.FROM_NEWEST
    if at is not None:
        async with transaction(conn, "repeatable_read"):
            return await _past_agents(conn, chain_id, owner, at, start, limit, hidden_too)
    ask: dict[str, Any] = {
        "after": start,
        "limit": limit + 1,
        "uri_cut_bytes": LISTED_URI_CUT_BYTES,
        "hidden_too": hidden_too,
    }
    if owner is not None:
        page = await store.of_owner(conn, owner, chain_id=chain_id, **ask)
    elif chain_id is not None:
        page = await store.of_chain(conn, chain_id, **ask)
    else:
        page = await store.newest(conn, **ask)
    _require(chain_id, page.heads)
    version = _page_version(page, limit)
    return _list(page.heads, page.rows, limit, version)


async def _past_agents(
    conn: Conn,
    chain_id: int | None,
    owner: bytes | None,
    at: At,
    start: store.After,
    limit: int,
    hidden_too: bool,
) -> Answer[AgentPage]:
    heads = await past_of_chains(conn, chain_id, at)
    _require(chain_id, heads)
    upto = {head.chain_id: head.block_number for head in heads}
    if owner is not None:
        page = await store.owned_at(
            conn, owner, upto, after=start, limit=limit + 1, uri_cut_bytes=0
        )
    else:
        ask: dict[str, Any] = {
            "upto": _latest_time(heads, at),
            "after": start,
            "limit": limit + 1,
            "uri_cut_bytes": 0,
            "hidden_too": hidden_too,
        }
        if chain_id is not None:
            page = await store.of_chain(conn, chain_id, **ask)
        else:
            page = await store.newest(conn, **ask)
    wanted = [row for row, _, _ in page.rows]
    found: dict[tuple[int, int], tuple[AgentRow, CountsRow]] = {}
    by_chain: defaultdict[int, list[AgentRow]] = defaultdict(list)
    for row in wanted:
        by_chain[row.chain_id].append(row)
    for chain, rows in by_chain.items():
        for was in await as_they_were(conn, rows, upto[chain]):
            found[chain, was[0].agent_id] = was
    kept = [found[place] for row in wanted if (place := (row.chain_id, row.agent_id)) in found]
    return _list(heads, [(_cut(r, LISTED_URI_CUT_BYTES), c, None) for r, c in kept], limit)


def _latest_time(heads: Sequence[Head], at: At) -> datetime:
    if isinstance(at, datetime):
        return at
    return heads[0].block_time or datetime.fromtimestamp(0, NEVER.tzinfo)


def _list(
    heads: Iterable[Head], rows: Sequence[Listed], limit: int, version: str | None = None
) -> Answer[AgentPage]:
    shown, last = more(rows, limit)
    blocks = as_of_all(heads)
    page = AgentPage(as_of=blocks, items=[listed_agent(FoundAgent, *row) for row in shown])
    after = (last[0].created_at, last[0].chain_id, last[0].agent_id) if last else None
    return Answer(page, blocks, version, after=after)


def _page_version(page: store.Page, limit: int) -> str:
    """The versions of all agents on a page, as one: it says nothing else."""
    lives = [f"{head.chain_id}.{head.epoch}" for head in page.heads]
    agents = [
        f"{row.chain_id}.{row.agent_id}.{version}.{revision_of(profile)}.{','.join(row.marks)}"
        for (row, _, profile), version in zip(page.rows[:limit], page.versions, strict=False)
    ]
    said = f"{lives} {agents} {len(page.rows) > limit}"
    return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()


def _require(chain_id: int | None, heads: Sequence[Head]) -> None:
    if chain_id is not None and not heads:
        raise ChainNotFound("this index does not hold that chain", chain_id=chain_id)
