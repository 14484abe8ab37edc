"""What was found behind agents' URIs, and their rows for search, by the project's own code.

Documents are read, endpoints compared, hosts judged and rows built as the crawler would; only what
the network answered is drawn. Of agents that are alike but for names and numbers, one is made so
and the others are filled in (`prototypes`).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from renown.derive.files import inline_uri
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
from renown.ingest.world.prototypes import (
    MARKED_ID,
    MARKED_ORDINAL,
    Prototype,
    marked,
    profile_row,
    remembered,
)
from renown.ingest.world.size import BEGAN_AT, ChainPart, WorldSize
from renown.spec.documents import registration_from
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
        self._prototypes = remembered(size, part.number)
        self.found = Found.nothing()
        self.rows: list[Row] = []

    def add(self, now: AgentNow) -> None:
        """Make all rows of one agent."""
        ordinal = self.part.first + now.agent_id
        said = self._said(now.agent_id, ordinal)
        if said.source in ("none", "mint") and now.owner_since_block is None:
            self._add_alike(now, said, ordinal)
        else:
            self._add_read(now, said, ordinal)

    def add_read(self, now: AgentNow) -> None:
        """Make them as the crawler would, whatever others are like it: what `add` must equal."""
        ordinal = self.part.first + now.agent_id
        self._add_read(now, self._said(now.agent_id, ordinal), ordinal)

    def _said(self, agent_id: int, ordinal: int) -> Said:
        part = self.part
        agent = Agent(part.chain_id, part.deployment.identity, agent_id, ordinal)
        return said_by(self.size.seed, self.size.agents, agent)

    def _add_alike(self, now: AgentNow, said: Said, ordinal: int) -> None:
        leads = not any(self._is_older(one, now) for one in self._held(said)[:1])
        prototype = self._prototype(now, said, leads=leads)
        if (body := said.body) is not None:
            assert prototype.uri is not None
            document = prototype.document_of(body, now.agent_id, ordinal)
            uri, uri_id = prototype.uri, self._numbers.uri(said, ordinal)
            fetch = agent_fetch(self.size.seed, ordinal, uri.kind, document, now.created_at)
            keep_uri(self.found, uri_id, said.uri, fetch, document, now.created_at, uri=uri)
            self.found.links.extend(
                (row[0], now.agent_id, *row[2:]) for row in prototype.found.links
            )
            self.found.domains.extend(
                (row[0], now.agent_id, *row[2:]) for row in prototype.found.domains
            )
        active_at = max(self.part.time_of(now.newest_block), now.created_at)
        self.rows.append(prototype.row_of(now, ordinal, active_at))

    def _prototype(self, now: AgentNow, said: Said, *, leads: bool) -> Prototype:
        """What agents have in common whose rows differ by names and numbers only."""
        # Of the clients only the order of magnitude counts, see `derive.quality`.
        clients, paid = now.client_count.bit_length(), now.wallet is not None
        key = said.source, said.number, now.wallet_state, paid, clients, leads
        found = self._prototypes.get(key)
        if found is None:
            of_mark = self._said_by_mark(said)
            making = Profiles(self.size, self.part, {}, {})
            beside = [] if leads else [Finding("template-copy")]
            making._add_read(marked(now, of_mark.uri), of_mark, MARKED_ORDINAL, beside)
            uri = parse_uri(of_mark.uri) if of_mark.uri else None
            found = self._prototypes[key] = Prototype(making.rows[0], making.found, uri)
        return found

    def _said_by_mark(self, said: Said) -> Said:
        if said.source == "none":
            return said
        registry = self.part.deployment.identity
        agent = Agent(self.part.chain_id, registry, MARKED_ID, MARKED_ORDINAL)
        body = minted(self.size.seed, said.number, agent)
        return Said(said.source, said.number, inline_uri(body), body)

    def _add_read(
        self, now: AgentNow, said: Said, ordinal: int, beside: list[Finding] | None = None
    ) -> None:
        """Make the rows as the crawler would; `beside` where the neighbours are known already."""
        document = self._document(said)
        registration = _registration(document)
        material = self._material(now, said, document, ordinal)
        called = declared(registration) if registration else ()
        judged = self._domains(material, registration, called)
        offered = self._offers(said, material, registration, called)
        if beside is None:
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
        self.rows.append(profile_row(profile, ordinal + 1, leads=leads))

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

    def _held(self, said: Said) -> list[Known]:
        return self._holders.get((said.source, said.number), [])

    def _is_older(self, other: Known, now: AgentNow) -> bool:
        mine = (now.created_at, self.part.chain_id, now.agent_id)
        return (other.created_at, other.chain_id, other.agent_id) < mine

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
        held = self._held(said)
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


def _place(known: Known) -> tuple[int, int]:
    return known.chain_id, known.agent_id


def _neighbour(known: Known, name_key: str | None, prominent: bool) -> Neighbour:
    place = (known.chain_id, known.agent_id)
    return Neighbour(*place, known.owner, known.created_at, name_key, prominent)
