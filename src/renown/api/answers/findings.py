"""Findings: of one agent, across the network, and what each means."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Literal

from msgspec import Meta, Struct

from renown.api.answers.answer import Answer
from renown.api.answers.as_of import AsOf, as_of, as_of_all
from renown.api.answers.values import Count, Key, agent_key
from renown.derive.profile import State
from renown.derive.terms import term
from renown.errors import ChainNotFound, NotFound
from renown.spec.documents import findings_from
from renown.spec.documents.model import Finding as Observed
from renown.spec.findings import FINDINGS, FindingKind, Severity, Subject
from renown.store import read_documents as store
from renown.store import read_findings
from renown.store.pool import Conn
from renown.store.reads import key_args, no_such_agent, require_chain
from renown.types import AgentKey

CheckedAt = Annotated[datetime, Meta(tz=True, description="Our own clock, UTC.")]
SeverityText = Annotated[
    Severity,
    Meta(
        description="`error`: readers lose or mistake something because of it. `warning`: some"
        " will. `info`: nothing is wrong."
    ),
]
Code = Annotated[
    str, Meta(description="Stable; filter agents with `GET /v1/agents?finding={code}`.")
]


class Finding(Struct, kw_only=True, frozen=True):
    """One observation. Texts are ours, but `detail` may quote strangers."""

    code: Code
    subject: Subject
    severity: SeverityText
    title: str
    fix: Annotated[str, Meta(description="What the author can do.")]
    path: Annotated[str, Meta(description="Where in the file: a JSON pointer; empty for none.")]
    detail: str


class AgentFindings(Struct, kw_only=True):
    """What was found about one agent, worst first."""

    as_of: AsOf
    key: Key
    state: State | None
    current: Annotated[
        bool,
        Meta(description="False where the agent's URI or file changed since: look again soon."),
    ]
    found_at: Annotated[
        CheckedAt | None, Meta(description="When this last changed; null: not looked at yet.")
    ]
    items: list[Finding]


class ChainCount(Struct, kw_only=True, frozen=True):
    """Agents of one chain."""

    chain_id: int
    agents: Count


class FindingCount(Struct, kw_only=True, frozen=True):
    """One code: what it means, and how many agents have it."""

    code: Code
    subject: Subject
    severity: SeverityText
    title: str
    fix: str
    agents: Annotated[
        Count | None,
        Meta(description="Null for findings about feedback and validation files: not counted."),
    ]
    chains: list[ChainCount]


class FindingCounts(Struct, kw_only=True):
    """Every code there is, with how many agents have it."""

    as_of: list[AsOf]
    counted_at: Annotated[
        CheckedAt | None, Meta(description="When agents were counted; null: not yet.")
    ]
    items: list[FindingCount]


class FindingMeaning(FindingCount, kw_only=True, frozen=True):
    """One code: what it means, and how many agents have it."""

    as_of: list[AsOf]
    counted_at: CheckedAt | None


def said(found: Iterable[Observed]) -> list[Finding]:
    """Findings with their meaning, worst first, else in the order given."""
    return sorted((_finding(one) for one in found), key=lambda one: _RANK[one.severity])


async def of_agent(conn: Conn, key: AgentKey) -> Answer[AgentFindings]:
    """What was found about an agent: its file, identity, URI and endpoints.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    found = await store.current(conn, key_args(key), uri_cut_bytes=0)
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head)
    profile, block = found.profile, as_of(head)
    body = AgentFindings(
        as_of=block,
        key=agent_key(head.chain_id, head.registry, found.agent_id),
        state=profile.state if profile else None,  # type: ignore[arg-type]
        current=profile is not None and profile.current,
        found_at=profile.changed_at if profile else None,
        items=said(findings_from(profile.findings)) if profile else [],
    )
    return Answer(body, [block])


async def counts(
    conn: Conn,
    *,
    chain_id: int | None = None,
    severity: Severity | None = None,
    subject: Subject | None = None,
) -> Answer[FindingCounts]:
    """Every code with its count, most frequent first, those of one severity or subject if asked.

    Raises:
        ChainNotFound.
    """
    kinds = [
        kind
        for kind in FINDINGS.values()
        if severity in (None, kind.severity) and subject in (None, kind.subject)
    ]
    blocks, counted_at, items = await _counted(conn, kinds, chain_id)
    items.sort(key=lambda item: (-(item.agents or 0), item.agents is None))
    return Answer(FindingCounts(as_of=blocks, counted_at=counted_at, items=items), blocks)


async def meaning(conn: Conn, code: str) -> Answer[FindingMeaning]:
    """What one code means. Raises NotFound."""
    kind = FINDINGS.get(code)
    if kind is None:
        raise NotFound("there is no such finding; GET /v1/findings lists them", code=code[:100])
    blocks, counted_at, (item,) = await _counted(conn, [kind], None)
    body = FindingMeaning(
        **{name: getattr(item, name) for name in item.__struct_fields__},
        as_of=blocks,
        counted_at=counted_at,
    )
    return Answer(body, blocks)


_RANK: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}
_UNCOUNTED: Literal["attachment"] = "attachment"


def _finding(one: Observed) -> Finding:
    # A newer crawler may know codes that this process does not.
    kind = FINDINGS.get(one.code) or FindingKind(one.code, "document", "info", one.code, "")
    return Finding(
        code=one.code,
        subject=kind.subject,
        severity=kind.severity,
        title=kind.title,
        fix=kind.fix,
        path=one.path,
        detail=one.detail,
    )


async def _counted(
    conn: Conn, kinds: list[FindingKind], chain_id: int | None
) -> tuple[list[AsOf], datetime | None, list[FindingCount]]:
    heads = await read_findings.heads(conn, chain_id=chain_id)
    if chain_id is not None and not heads:
        raise ChainNotFound("this index does not hold that chain", chain_id=chain_id)
    terms = {term("finding", kind.code): kind.code for kind in kinds}
    rows = await read_findings.counts(conn, list(terms), chain_id=chain_id)
    chains: defaultdict[str, list[ChainCount]] = defaultdict(list)
    for row in rows:
        chains[terms[row.term]].append(ChainCount(chain_id=row.chain_id, agents=row.agent_count))
    items = [
        FindingCount(
            code=kind.code,
            subject=kind.subject,
            severity=kind.severity,
            title=kind.title,
            fix=kind.fix,
            agents=None
            if kind.subject == _UNCOUNTED
            else sum(one.agents for one in chains[kind.code]),
            chains=chains[kind.code],
        )
        for kind in kinds
    ]
    return as_of_all(heads), min((row.counted_at for row in rows), default=None), items
