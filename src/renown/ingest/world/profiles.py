"""What was found behind agents' URIs, and their rows for search, by the project's own code.

Documents are read, endpoints compared, hosts judged and rows built as the crawler would; only what
the network answered is drawn.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from renown.derive.profile import Profile
from renown.ingest.crawler.reading import read
from renown.ingest.profiles import identity
from renown.ingest.profiles.build import build, named
from renown.ingest.world.answers import (
    NOT_TRIED,
    agent_fetch,
    asked_of,
    failures,
    keep_endpoint,
    keep_uri,
    keep_well_known,
    outcome_of,
    shared_fetch,
    well_known_fetch,
)
from renown.ingest.world.files import (
    Agent,
    Said,
    mint_host,
    minted,
    mints,
    platform_host,
    platforms,
    said_by,
    shared_body,
    shared_files,
    shared_uri,
)
from renown.ingest.world.numbers import Numbers, host_of
from renown.ingest.world.size import BEGAN_AT, ChainPart, WorldSize
from renown.spec.documents import findings_json, registration_from
from renown.spec.documents.model import Finding, Registration
from renown.spec.protocols import Checked, Declared, declared, offers
from renown.spec.protocols.offers import Offers
from renown.spec.uris import parse_uri
from renown.store.documents import DocumentRow
from renown.store.domains import Heard
from renown.store.profile_material import PROMINENT_CLIENTS, Material, Neighbour
from renown.store.world_found import Found
from renown.store.world_profiles import AgentNow, Known

Row = tuple[Any, ...]


class Profiles:
    """Makes the rows of the agents of one chain."""

    def __init__(
        self,
        size: WorldSize,
        part: ChainPart,
        holders: dict[tuple[str, int], list[Known]],
        guarded: dict[int, list[Known]],
    ) -> None:
        self.size, self.part = size, part
        self._holders, self._guarded = holders, guarded
        self._numbers = Numbers(size)
        self.found = Found.nothing()
        self.rows: list[Row] = []

    def add(self, now: AgentNow) -> None:
        """Make all rows of one agent."""
        ordinal = self.part.first + now.agent_id
        identity_registry = self.part.deployment.identity
        agent = Agent(self.part.chain_id, identity_registry, now.agent_id, ordinal)
        said = said_by(self.size.seed, self.size.agents, agent)
        document = self._document(said)
        registration = _registration(document)
        material = self._material(now, said, document, ordinal)
        called = declared(registration) if registration else ()
        judged = self._domains(material, registration, called)
        offered = self._offers(said, material, registration, called)
        beside = self._beside(material, registration, judged, said)
        profile = build(
            material,
            registration,
            declared=called,
            domains=judged,
            offers=offered,
            beside=beside,
        )
        leads = all(one.code != "template-copy" for one in beside)
        self.rows.append(_profile_row(profile, ordinal + 1, leads=leads))

    def _document(self, said: Said) -> DocumentRow | None:
        if said.source == "shared":
            return _shared_document(self.size.seed, self.size.agents, said.number)
        return read(said.body) if said.body is not None else None

    def _material(
        self, now: AgentNow, said: Said, document: DocumentRow | None, ordinal: int
    ) -> Material:
        part, uri = self.part, parse_uri(said.uri) if said.uri else None
        uri_id = self._numbers.uri(said, ordinal) if uri else None
        fetch = NOT_TRIED
        if uri is not None and uri_id is not None:
            if said.source == "shared":
                fetch = shared_fetch(self.size.seed, said.number)
            else:
                fetch = agent_fetch(self.size.seed, ordinal, uri.kind, document, now.created_at)
                keep_uri(self.found, uri_id, said.uri, fetch, document, now.created_at)
            if not fetch.attempts:
                document = None
        at = part.time_of
        return Material(
            chain_id=part.chain_id,
            agent_id=now.agent_id,
            registry=part.deployment.identity,
            owner=now.owner,
            wallet=now.wallet,
            wallet_state=now.wallet_state,
            uri=now.uri,
            created_at=now.created_at,
            active_at=max(at(now.newest_block), now.created_at),
            owner_since=None if now.owner_since_block is None else at(now.owner_since_block),
            uri_since=None if now.uri_block is None else at(now.uri_block),
            feedback_count=now.feedback_count,
            client_count=now.client_count,
            uri_id=uri_id,
            uri_kind=uri.kind if uri else None,
            fixed=uri.fixed if uri else None,
            attempts=fetch.attempts if uri else None,
            failures=failures(fetch, document) if uri else None,
            outcome=outcome_of(uri.kind, fetch) if uri else None,
            reason=(uri.reason or fetch.reason) if uri else None,
            status=fetch.status,
            verified=fetch.verified,
            final_url=None,
            file_since=fetch.first_at if uri and document and not uri.fixed else None,
            document_id=uri_id if document else None,
            document_class=document.klass if document else None,
            reading=document.reading if document else None,
            registration=document.registration if document else None,
            findings=document.findings if document else None,
            template=document.template if document else None,
        )

    # Endpoints -----------------------------------------------------------------------------------

    def _offers(
        self,
        said: Said,
        material: Material,
        registration: Registration | None,
        called: tuple[Declared, ...],
    ) -> Offers:
        checked = []
        own = said.source not in ("shared", "mint")
        ordinal = self.part.first + material.agent_id
        for n, one in enumerate(called):
            endpoint_id = self._numbers.endpoint(said, ordinal, n)
            if own:
                keep_endpoint(self.found, self.size.seed, endpoint_id, one)
            verdict, capabilities = asked_of(self.size.seed, endpoint_id, one.protocol)
            checked.append(Checked(one.position, one.protocol, verdict, capabilities))
            self.found.links.append(
                (material.chain_id, material.agent_id, one.position, one.protocol, endpoint_id)
            )
        checked.sort(key=lambda one: (one.position, one.protocol))
        return offers(registration, checked)

    # Hosts ---------------------------------------------------------------------------------------

    def _domains(
        self,
        material: Material,
        registration: Registration | None,
        called: tuple[Declared, ...],
    ) -> list[identity.Judged]:
        judged = []
        points_back = identity.names_agent(registration, material)
        for wanted in sorted(
            identity.wanted_hosts(material, registration, called), key=lambda one: one.host
        ):
            uri_id = self._numbers.well_known(wanted.host)
            kind, _ = host_of(wanted.host)
            if kind == "a":
                keep_well_known(self.found, self.size.seed, uri_id, wanted.host)
            fetch = well_known_fetch(self.size.seed, uri_id)
            heard = Heard(
                chain_id=wanted.chain_id,
                agent_id=wanted.agent_id,
                host=wanted.host,
                by_uri=wanted.by_uri,
                uri_id=uri_id,
                attempts=fetch.attempts,
                outcome=fetch.outcome,
                status=fetch.status,
                attempted_at=fetch.last_at,
                final_url=None,
                names_agent=None,
            )
            one = identity.judge(heard, material, points_back=points_back, crowded=kind != "a")
            judged.append(one)
            self.found.domains.append(
                (
                    *(wanted.chain_id, wanted.agent_id, wanted.host, one.state, wanted.by_uri),
                    *(uri_id, heard.attempted_at, one.alone),
                )
            )
        return judged

    # Neighbours ----------------------------------------------------------------------------------

    def _beside(
        self,
        material: Material,
        registration: Registration | None,
        judged: list[identity.Judged],
        said: Said,
    ) -> list[Finding]:
        if material.document_id is None or said.source not in ("shared", "mint"):
            return []
        place = (material.chain_id, material.agent_id)
        key, looks = named(registration)
        held = self._holders.get((said.source, said.number), [])
        older = next((_neighbour(o, key, False) for o in held if _place(o) != place), None)
        beside = identity.template_copy(material, older) if material.template else []
        if said.source == "mint":
            return beside
        beside += identity.copied(material, older)
        guards = self._guarded.get(said.number, [])
        other = next((_neighbour(o, key, True) for o in guards if _place(o) != place), None)
        if looks is not None:
            prominent = material.client_count >= PROMINENT_CLIENTS
            beside += identity.alike(material, key, prominent, other)
        return beside


def make_shared(size: WorldSize) -> Found:
    """The files, hosts and endpoints that several agents have."""
    found, numbers = Found.nothing(), Numbers(size)
    for number in range(shared_files(size.agents)):
        uri_id = numbers.shared(number)
        document = _shared_document(size.seed, size.agents, number)
        fetch = shared_fetch(size.seed, number)
        raw = shared_uri(size.seed, size.agents, number)
        keep_uri(found, uri_id, raw, fetch, document, BEGAN_AT)
        _keep_declared(found, size, numbers, Said("shared", number, raw, None), document)
    for number in range(mints(size.agents)):
        keep_well_known(found, size.seed, numbers.well_known(mint_host(number)), mint_host(number))
        body = minted(size.seed, number, Agent(8453, bytes(20), 0, 0))
        _keep_declared(found, size, numbers, Said("mint", number, b"", body), read(body))
    for number in range(platforms(size.agents)):
        host = platform_host(number)
        keep_well_known(found, size.seed, numbers.well_known(host), host)
    return found


def _keep_declared(
    found: Found, size: WorldSize, numbers: Numbers, said: Said, document: DocumentRow
) -> None:
    registration = _registration(document)
    for n, one in enumerate(declared(registration) if registration else ()):
        keep_endpoint(found, size.seed, numbers.endpoint(said, 0, n), one)


@lru_cache(maxsize=256)
def _shared_document(seed: int, agents: int, number: int) -> DocumentRow:
    return read(shared_body(seed, agents, number))


def _registration(document: DocumentRow | None) -> Registration | None:
    if document is None or document.registration is None:
        return None
    return registration_from(document.registration)


def _profile_row(p: Profile, revision: int, *, leads: bool) -> Row:
    texts = p.texts
    return (
        *(p.agent_id, p.uri_id, p.document_id, p.state, p.name, p.description, p.image),
        *(p.name_key, p.skeleton, p.x402, p.active, p.alive, findings_json(p.findings)),
        *(p.domains, p.terms, texts.name, texts.offers, texts.tags, texts.description),
        *(p.template, leads, p.quality, p.owner, p.wallet, p.feedback_count, p.client_count),
        *(p.created_at, p.active_at, revision),
    )


def _place(known: Known) -> tuple[int, int]:
    return known.chain_id, known.agent_id


def _neighbour(known: Known, name_key: str | None, prominent: bool) -> Neighbour:
    place = (known.chain_id, known.agent_id)
    return Neighbour(*place, known.owner, known.created_at, name_key, prominent)
