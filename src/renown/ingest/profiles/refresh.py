"""Make the rows anew of agents of which something changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec
import structlog

from renown.errors import RenownError
from renown.ingest.profiles import identity
from renown.ingest.profiles.build import build, named
from renown.spec.documents import registration_from
from renown.spec.documents.model import Finding, Registration
from renown.spec.protocols import Declared, declared
from renown.spec.protocols.offers import Offers
from renown.store import domains, endpoints, profile_material, profiles
from renown.store.pool import Conn, Tx, retry_conflicts, transaction
from renown.store.profile_material import PROMINENT_CLIENTS, Material, Neighbour, Place

log = structlog.get_logger()

BATCH_AGENTS = 500


async def refresh(conn: Conn, *, batch_agents: int = BATCH_AGENTS) -> int:
    """Take one batch off `profile_due` and make its rows anew, in one transaction.

    Returns the number of agents looked at; 0 when none was due. Made of the same facts and
    documents a row comes out the same, so whatever is cut short is simply done again.

    A batch that cannot be stored is made agent by agent, and the agent that cannot gets a row with
    nothing but its state and owner: what one stranger writes must not stop the others.

    Raises:
        StoreError: the database failed, not the rows.
    """
    try:
        return await retry_conflicts(lambda: _refresh(conn, batch_agents))
    except RenownError:
        raise
    except Exception as exc:
        log.error("profiles_failed", error=type(exc).__name__, exc_info=exc)
    for number in range(batch_agents):
        try:
            if not await retry_conflicts(lambda: _refresh(conn, 1)):
                return number
        except RenownError:
            raise
        except Exception:  # noqa: BLE001 - said above
            log.error("profile_left_bare", agent=await _leave_bare(conn))
    return batch_agents


async def _leave_bare(conn: Conn) -> str:
    """The next agent's row without anything that strangers wrote; says which agent it is."""
    async with transaction(conn) as tx:
        places = await profiles.take_due(tx, 1)
        found = await profile_material.material(tx, places)
        bare = [
            build(
                msgspec.structs.replace(
                    one, findings=None, template=None, reason=None, final_url=None
                ),
                None,
                declared=(),
                domains=(),
                offers=Offers(),
                beside=(),
            )
            for one in found
        ]
        await profiles.write(tx, bare)
    return ", ".join(f"{chain_id}:{agent_id}" for chain_id, agent_id in places)


async def _refresh(conn: Conn, batch_agents: int) -> int:
    async with transaction(conn) as tx:
        places = await profiles.take_due(tx, batch_agents)
        if not places:
            return 0
        found = await profile_material.material(tx, places)
        agents = [_Known.of(material) for material in found]
        held = [agent.place for agent in agents]
        verdicts = await _domains(tx, agents, held)
        await endpoints.link_many(tx, {agent.place: agent.declared for agent in agents})
        offers = await endpoints.offers(tx, {agent.place: agent.registration for agent in agents})
        beside = await _beside(tx, agents, held, verdicts)
        rows = [
            build(
                agent.material,
                agent.registration,
                declared=agent.declared,
                domains=verdicts[agent.place],
                offers=offers.get(agent.place, Offers()),
                beside=beside[agent.place],
            )
            for agent in agents
        ]
        await profiles.write(tx, rows, gone=sorted(set(places) - set(held)))
    return len(places)


class _Known(msgspec.Struct, frozen=True):
    place: Place
    material: Material
    registration: Registration | None
    declared: tuple[Declared, ...]

    @classmethod
    def of(cls, material: Material) -> _Known:
        said = registration_from(material.registration) if material.registration else None
        place = (material.chain_id, material.agent_id)
        return cls(place, material, said, declared(said) if said else ())


async def _domains(
    tx: Tx, agents: Sequence[_Known], places: Sequence[Place]
) -> dict[Place, list[identity.Judged]]:
    wanted = [
        one
        for agent in agents
        for one in identity.wanted_hosts(agent.material, agent.registration, agent.declared)
    ]
    await domains.claim(tx, places, wanted)
    known = {agent.place: agent for agent in agents}
    judged: dict[Place, list[identity.Judged]] = {place: [] for place in places}
    kept = []
    crowded = await domains.crowded(tx, [one.host for one in wanted if one.by_uri], places)
    for heard in await domains.heard(tx, places):
        agent = known[heard.chain_id, heard.agent_id]
        verdict = identity.judge(
            heard,
            agent.material,
            points_back=identity.names_agent(agent.registration, agent.material),
            crowded=heard.host in crowded,
        )
        judged[agent.place].append(verdict)
        kept.append((*agent.place, heard.host, verdict.state, verdict.alone, heard.attempted_at))
    await domains.judge(tx, kept)
    return judged


# Neighbours --------------------------------------------------------------------------------------

Shared = TypeVar("Shared")


async def _beside(
    tx: Tx,
    agents: Sequence[_Known],
    places: Sequence[Place],
    verdicts: dict[Place, list[identity.Judged]],
) -> dict[Place, list[Finding]]:
    """Findings of comparing each agent with those in the database and those beside it here."""
    found: dict[Place, list[Finding]] = {place: [] for place in places}
    bearers = [_Bearer.of(agent, verdicts[agent.place]) for agent in agents]

    documents = _by(bearers, lambda one: one.known.material.document_id)
    older = await profile_material.oldest_with_document(tx, _rows(documents), places)
    for place, other, one in _oldest(documents, older):
        found[place] += identity.copied(one.known.material, other)

    templates = _by(bearers, lambda one: one.known.material.template)
    older = await profile_material.oldest_with_template(tx, _rows(templates), places)
    for place, other, one in _oldest(templates, older):
        found[place] += identity.template_copy(one.known.material, other)

    names = _by(bearers, lambda one: one.skeleton)
    guarded = await profile_material.guarded_names(tx, _rows(names), places)
    for place, other, one in _oldest(names, guarded, only_prominent=True):
        material = one.known.material
        found[place] += identity.alike(material, one.neighbour.name_key, one.prominent, other)
    return found


class _Bearer(msgspec.Struct, frozen=True):
    """An agent as its neighbours see it."""

    known: _Known
    neighbour: Neighbour
    skeleton: str | None
    prominent: bool

    @classmethod
    def of(cls, known: _Known, domains: Iterable[identity.Judged]) -> _Bearer:
        m = known.material
        key, looks = named(known.registration)
        confirmed = any(one.state == "confirmed" for one in domains)
        prominent = m.client_count >= PROMINENT_CLIENTS or (
            confirmed and identity.names_agent(known.registration, m)
        )
        neighbour = Neighbour(m.chain_id, m.agent_id, m.owner, m.created_at, key, prominent)
        return cls(known, neighbour, looks, prominent)


def _by(
    bearers: Iterable[_Bearer], shared: Callable[[_Bearer], Shared | None]
) -> dict[Shared, list[_Bearer]]:
    groups: dict[Shared, list[_Bearer]] = {}
    for bearer in bearers:
        value = shared(bearer)
        if value is not None:
            groups.setdefault(value, []).append(bearer)
    return groups


def _rows(groups: dict[Shared, list[_Bearer]]) -> list[tuple[int, int, Shared]]:
    return [(*bearer.known.place, value) for value, group in groups.items() for bearer in group]


def _oldest(
    groups: dict[Shared, list[_Bearer]],
    held: dict[Place, Neighbour],
    *,
    only_prominent: bool = False,
) -> Iterable[tuple[Place, Neighbour | None, _Bearer]]:
    """For each agent the oldest other one that shares the value, in the database or here."""
    for group in groups.values():
        here = sorted(
            (one for one in group if one.prominent or not only_prominent),
            key=lambda bearer: _age(bearer.neighbour),
        )
        for one in group:
            others = [held[one.known.place]] if one.known.place in held else []
            others += [o.neighbour for o in here[:2] if o.known.place != one.known.place][:1]
            yield one.known.place, min(others, key=_age, default=None), one


def _age(neighbour: Neighbour) -> tuple[object, int, int]:
    return neighbour.created_at, neighbour.chain_id, neighbour.agent_id
