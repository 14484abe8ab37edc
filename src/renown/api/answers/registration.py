"""The file behind an agent's URI: normalised, as found, as served; now and then."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from renown.api.answers.agents import identities_at
from renown.api.answers.answer import URI_CUT_BYTES, Answer
from renown.api.answers.as_of import AsOf, At, as_of, past
from renown.api.answers.findings import CheckedAt, Finding, said
from renown.api.answers.values import (
    Block,
    Count,
    Cuttable,
    Hash,
    Id,
    Key,
    Text,
    TextHex,
    Time,
    agent_key,
    hex_text,
    texts,
)
from renown.derive.document_state import document_state
from renown.errors import NotFound
from renown.spec.documents import findings_from, registration_from
from renown.spec.documents.model import Class, Reading, ServiceKind
from renown.spec.documents.model import Registration as Normalised
from renown.store import agents as agents_store
from renown.store import read_documents as store
from renown.store.pool import Conn, transaction
from renown.store.read_documents import DocumentRow, ProfileRow, UriRow
from renown.store.reads import Head, key_args, key_text, no_such_agent, require_chain
from renown.types import AgentKey

Form = Literal["normalised", "raw"]
DocumentState = Literal[
    "none",
    "pending",
    "unsupported",
    "unreachable",
    "unreadable",
    "foreign",
    "tolerant",
    "strict",
    "unknown",
]
StateText = Annotated[
    DocumentState,
    Meta(
        description="`none`: no URI. `pending`: not read yet. `unsupported`: nobody can follow the"
        " URI. `unreachable`: never read with success. `unreadable`: bytes, but no JSON object."
        " `foreign`: an object that is no registration. `tolerant`, `strict`: a registration, with"
        " allowances or exactly as the standard has it. `unknown`: of the past, and nothing was"
        " read of the URI by then."
    ),
]
Said = Annotated[str | None, Meta(description="Cleaned; written by strangers. Null: not said.")]
Names = Annotated[list[str], Meta(description="Cleaned; written by strangers.")]


class Attempt(Struct, kw_only=True, frozen=True):
    """The last attempt to read the URI, up to the moment asked for."""

    at: CheckedAt
    outcome: Annotated[str, Meta(description="`ok`, `not-modified`, or how it failed.")]
    reason: Annotated[str | None, Meta(description="A stable code that refines the outcome.")]
    status: Annotated[int | None, Meta(description="HTTP status of the last answer.")]


class FileService(Struct, kw_only=True, frozen=True):
    """One entry of `services`."""

    position: Annotated[Count, Meta(description="In the file, from 0.")]
    kind: ServiceKind
    name: str
    endpoint: Annotated[
        Said, Meta(description="As written, whatever it is: not checked, not to be followed.")
    ]
    version: Said
    description: Said
    skills: Names
    domains: Names
    tools: Names
    prompts: Names
    resources: Names


class FileClaim(Struct, kw_only=True, frozen=True):
    """One entry of `registrations`: an agent that the file says it is of. Null: not readable."""

    chain_id: int | None
    registry: str | None
    agent_id: Id | None
    this: Annotated[bool, Meta(description="It is the agent asked for.")]


class RegistrationFile(Struct, kw_only=True, frozen=True):
    """A registration file in one shape, whatever shape it came in. All of it is a claim."""

    type: Said
    name: Said
    description: Said
    image: Annotated[Said, Meta(description="As written; load it at your own risk.")]
    services: list[FileService]
    x402: bool | None
    active: bool | None
    claims: list[FileClaim]
    trust: Names
    tags: Names
    updated_at: Annotated[int | None, Meta(description="Unix seconds, as the file says.")]
    other: Annotated[
        dict[str, Any], Meta(description="Fields that the standard does not know, sanitised.")
    ]


class Registration(Cuttable, kw_only=True):
    """The file behind an agent's URI.

    It has two times: `moment`, at which the chain held the URI, and `fetched_at`, when the file was
    read. A URI that determines its bytes (`fixed`) gives the same file whenever it is read; of
    another, the last file read at or before `moment` is given.
    """

    as_of: AsOf
    key: Key
    moment: Annotated[
        Time | None, Meta(description="The time asked for with `at`; null for the present.")
    ]
    state: StateText
    uri: Text | None
    uri_hex: TextHex = UNSET
    uri_block: Annotated[Block | None, Meta(description="When the URI was said.")]
    uri_kind: Annotated[
        str | None, Meta(description="`https`, `ipfs`, `data` …; null: not looked at yet.")
    ]
    fixed: Annotated[bool | None, Meta(description="The URI determines the bytes.")]
    attempt: Attempt | None
    fetched_at: Annotated[
        CheckedAt | None, Meta(description="When this file was last read with success.")
    ]
    final_url: Annotated[str | None, Meta(description="Where redirects led, if elsewhere.")]
    verified: Annotated[
        bool | None,
        Meta(description="The bytes are those that the content address names; null: none to check"),
    ]
    sha256: Annotated[Hash | None, Meta(description="Of the bytes; see GET /v1/documents/{sha256}")]
    size_bytes: Count | None
    document_class: Annotated[Class | None, Meta(description="What kind of thing the bytes are.")]
    reading: Reading | None
    registration: Annotated[
        RegistrationFile | UnsetType | None,
        Meta(description="Only with form=normalised; null where the file is no registration."),
    ] = UNSET
    content: Annotated[
        Any, Meta(description="Only with form=raw: the file's JSON, sanitised; null for no JSON.")
    ] = UNSET
    findings_about: Annotated[
        Literal["agent", "document"],
        Meta(
            description="`document`: of the bytes alone, because the rest was not looked at since"
            " the file changed, or is not known of the past."
        ),
    ]
    findings: list[Finding]


async def of_agent(
    conn: Conn, key: AgentKey, *, form: Form = "normalised", at: At | None = None
) -> Answer[Registration]:
    """The file behind an agent's URI and what is known of it, in whatever state it is.

    Raises:
        AgentNotFound, ChainNotFound, BlockBeyondHead, BadParameter.
    """
    found = await _found(conn, key, form, at)
    block = as_of(found.head)
    return Answer(_registration(found, form, block), [block])


class Served(Struct, frozen=True):
    """A document's bytes exactly as they were fetched."""

    raw: bytes
    sha256: bytes
    as_of: AsOf


async def served(conn: Conn, key: AgentKey, *, at: At | None = None) -> Served:
    """The bytes behind an agent's URI.

    Raises:
        NotFound: there are none. And as `of_agent`.
    """
    found = await _found(conn, key, "served", at)
    document = found.document
    if document is None or document.raw is None:
        state = _state(found)
        raise NotFound(
            f"there are no bytes to serve: the document's state is `{state}`",
            key=key_text(key),
            state=state,
        )
    return Served(document.raw, document.sha256, as_of(found.head))


# Now and then ------------------------------------------------------------------------------------


class _Found(Struct, frozen=True, kw_only=True):
    """An agent's URI and what is behind it, at `moment` or (None) now."""

    head: Head
    agent_id: int
    uri: bytes | None
    uri_bytes: int | None
    uri_block: int | None
    read: UriRow | None
    document: DocumentRow | None
    profile: ProfileRow | None = None
    moment: datetime | None = None


async def _found(conn: Conn, key: AgentKey, form: store.Form, at: At | None) -> _Found:
    if at is not None:
        async with transaction(conn, "repeatable_read"):
            return await _then(conn, key, form, at)
    row = await store.current(conn, key_args(key), form=form, uri_cut_bytes=URI_CUT_BYTES)
    head = require_chain(key, row.head if row else None)
    if row is None or row.agent_id is None:
        raise no_such_agent(key, head)
    return _Found(
        head=head,
        agent_id=row.agent_id,
        uri=row.uri,
        uri_bytes=row.uri_bytes,
        uri_block=row.uri_block,
        read=row.read,
        document=row.document,
        profile=row.profile if row.profile and row.profile.current else None,
    )


async def _then(conn: Conn, key: AgentKey, form: store.Form, at: At) -> _Found:
    head = await past(conn, key, at)
    one = await agents_store.one(conn, key_args(key), uri_cut_bytes=0)
    if one is None or one.agent is None:
        raise no_such_agent(key, head, past=True)
    agent_id = one.agent.agent_id
    fold = await identities_at(conn, head.chain_id, [agent_id], head.block_number)
    identity = fold.identities.get(agent_id)
    if identity is None or head.block_time is None:
        raise no_such_agent(key, head, past=True)
    moment = at if isinstance(at, datetime) else head.block_time
    read, document = None, None
    if identity.uri:
        read, document = await store.at(conn, identity.uri, moment, form=form)
    return _Found(
        head=head,
        agent_id=agent_id,
        uri=identity.uri[:URI_CUT_BYTES] if identity.uri is not None else None,
        uri_bytes=len(identity.uri) if identity.uri is not None else None,
        uri_block=identity.uri_block,
        read=read,
        document=document,
        moment=moment,
    )


def _state(found: _Found) -> DocumentState:
    if not found.uri_bytes:
        return "none"
    if found.profile is not None:
        return found.profile.state  # type: ignore[return-value]
    read, document = found.read, found.document
    state = document_state(
        kind=read.kind if read else None,
        attempts=read.attempts if read else 0,
        outcome=read.outcome if read else None,
        document_class=document.document_class if document else None,
        reading=document.reading if document else None,
    )
    unread = found.moment is not None and read is not None and not read.fixed
    return "unknown" if unread and state == "pending" else state


def _registration(found: _Found, form: Form, block: AsOf) -> Registration:
    read, document, profile = found.read, found.document, found.profile
    findings = profile.findings if profile else document.findings if document else "[]"
    body = Registration(
        **texts(("uri", found.uri, found.uri_bytes)),
        as_of=block,
        key=agent_key(found.head.chain_id, found.head.registry, found.agent_id),
        moment=found.moment,
        state=_state(found),
        uri_block=found.uri_block,
        uri_kind=read.kind if read else None,
        fixed=read.fixed if read else None,
        attempt=_attempt(read),
        fetched_at=read.fetched_at if read else None,
        final_url=read.final_url if read else None,
        verified=read.verified if read else None,
        sha256=hex_text(document.sha256) if document else None,
        size_bytes=document.size_bytes if document else None,
        document_class=document.document_class if document else None,  # type: ignore[arg-type]
        reading=document.reading if document else None,  # type: ignore[arg-type]
        findings_about="agent" if profile else "document",
        findings=said(findings_from(findings)),
    )
    content = document.content if document else None
    if form == "raw":
        body.content = msgspec.Raw(content.encode()) if content is not None else None
    else:
        body.registration = None
        if content is not None:
            body.registration = file_of(registration_from(content), found.head, found.agent_id)
    return body


def _attempt(read: UriRow | None) -> Attempt | None:
    if read is None or read.attempted_at is None:
        return None
    return Attempt(
        at=read.attempted_at,
        outcome=read.outcome or "ok",
        reason=read.reason,
        status=read.status,
    )


def file_of(said: Normalised, head: Head, agent_id: int) -> RegistrationFile:
    """A normalised registration as it is answered, seen from one agent of the chain of `head`."""
    registry = "0x" + head.registry.hex()
    return RegistrationFile(
        type=said.type,
        name=said.name,
        description=said.description,
        image=said.image,
        services=[
            FileService(
                position=service.position,
                kind=service.kind,
                name=service.name,
                endpoint=service.endpoint,
                version=service.version,
                description=service.description,
                skills=list(service.skills),
                domains=list(service.domains),
                tools=list(service.tools),
                prompts=list(service.prompts),
                resources=list(service.resources),
            )
            for service in said.services
        ],
        x402=said.x402,
        active=said.active,
        claims=[
            FileClaim(
                chain_id=claim.chain_id,
                registry=claim.registry,
                agent_id=None if claim.agent_id is None else str(claim.agent_id),
                this=(claim.chain_id, claim.registry, claim.agent_id)
                == (head.chain_id, registry, agent_id),
            )
            for claim in said.claims
        ],
        trust=list(said.trust),
        tags=list(said.tags),
        updated_at=said.updated_at,
        other=said.other,
    )
