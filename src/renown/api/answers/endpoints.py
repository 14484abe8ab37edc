"""What an agent says it can be called at, and how its endpoints and hosts were found."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from renown.api.answers.answer import Answer, Page, more
from renown.api.answers.as_of import as_of
from renown.api.answers.findings import CheckedAt
from renown.api.answers.registration import FileService, file_of
from renown.api.answers.values import Count, Key, agent_key
from renown.spec.documents import registration_from
from renown.spec.protocols import Protocol, Verdict
from renown.spec.protocols.capabilities import Capabilities
from renown.store import read_endpoints as store
from renown.store.pool import Conn
from renown.store.reads import key_args, no_such_agent, require_chain
from renown.types import AgentKey

VerdictText = Annotated[
    Verdict,
    Meta(
        description="`unknown`: never asked, or not often enough to tell. `alive`: it answers as"
        " its protocol wants. `paywalled`: it asks for payment first. `dead`: it does not answer."
        " `hollow`: it answers nonsense the same way. `refused`: we do not call such addresses."
    ),
]
DomainState = Literal["pending", "confirmed", "contradicted", "missing", "unreachable"]


class EndpointCheck(Struct, kw_only=True, frozen=True):
    """One endpoint of a service, by the protocol it is asked in."""

    protocol: Protocol
    url: Annotated[str, Meta(description="As it is asked, normalised.")]
    verdict: VerdictText
    verdict_since: CheckedAt | None
    checked_at: CheckedAt | None
    latency_ms: Annotated[int | None, Meta(description="Of the last answer.")]
    recent_checks: Annotated[Count, Meta(description=f"In the last {store.UPTIME_DAYS} days.")]
    recent_good: Count
    uptime: Annotated[
        Annotated[float, Meta(ge=0, le=1)] | None,
        Meta(description="Good checks of the recent ones; null without any."),
    ]
    capabilities: Annotated[
        Capabilities | None, Meta(description="As its last good answer had them; strangers' words.")
    ]


class AgentService(FileService, kw_only=True, frozen=True):
    """One service as the agent's file declares it, and how its endpoint was found."""

    verdict: VerdictText
    checks: Annotated[
        list[EndpointCheck], Meta(description="Empty where it is nothing that can be asked.")
    ]


class AgentDomain(Struct, kw_only=True, frozen=True):
    """A host that the agent names, and what its `/.well-known/agent-registration.json` says."""

    host: str
    state: Annotated[
        DomainState,
        Meta(
            description="`confirmed`: host and file name each other. `contradicted`: it names other"
            " agents only. `missing`: it has no such file. `unreachable`: it does not answer."
        ),
    ]
    by_uri: Annotated[
        bool, Meta(description="Confirmed because the registration itself is served there.")
    ]
    checked_at: CheckedAt | None


class AgentEndpoints(Page[AgentService], kw_only=True):
    """A page of an agent's services, in the order of its file, and all its hosts."""

    key: Key
    domains: list[AgentDomain]


async def of_agent(
    conn: Conn, key: AgentKey, *, after: tuple[Any, ...] | None = None, limit: int
) -> Answer[AgentEndpoints]:
    """An agent's services with the state of their endpoints. Nothing asked yet is `unknown`.

    Raises:
        AgentNotFound, ChainNotFound.
    """
    found = await store.declared(conn, key_args(key))
    head = require_chain(key, found.head if found else None)
    if found is None or found.agent_id is None:
        raise no_such_agent(key, head)
    services: list[FileService] = []
    if found.registration is not None:
        said = registration_from(found.registration)
        services = file_of(said, head, found.agent_id).services
    checks: defaultdict[int, list[EndpointCheck]] = defaultdict(list)
    if found.current:
        for row in msgspec.json.decode(found.checks, type=list[_Check]):
            checks[row.position].append(_check(row))
    start = after[0] if after else -1
    shown, last = more([one for one in services if one.position > start], limit)
    block = as_of(head)
    body = AgentEndpoints(
        as_of=block,
        key=agent_key(head.chain_id, head.registry, found.agent_id),
        items=[_service(service, checks[service.position]) for service in shown],
        domains=msgspec.json.decode(found.domains, type=list[AgentDomain]),
    )
    return Answer(body, [block], after=(last.position,) if last else None)


class _Check(Struct, frozen=True):
    """What `store.read_endpoints` puts into `checks`."""

    position: int
    protocol: Protocol
    url: str
    verdict: Verdict
    verdict_since: datetime | None
    checked_at: datetime | None
    latency_ms: int | None
    recent_checks: int
    recent_good: int
    capabilities: Capabilities | None


def _check(row: _Check) -> EndpointCheck:
    asked = row.recent_checks
    return EndpointCheck(
        **{name: getattr(row, name) for name in row.__struct_fields__ if name != "position"},
        uptime=round(row.recent_good / asked, 4) if asked else None,
    )


_BEST_FIRST: tuple[Verdict, ...] = ("alive", "paywalled", "hollow", "refused", "dead", "unknown")


def _service(service: FileService, checks: list[EndpointCheck]) -> AgentService:
    verdicts = {check.verdict for check in checks}
    return AgentService(
        **{name: getattr(service, name) for name in service.__struct_fields__},
        verdict=next((one for one in _BEST_FIRST if one in verdicts), "unknown"),
        checks=checks,
    )
