"""One agent's row from all that is known of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from renown.derive.profile import Profile
from renown.derive.quality import quality
from renown.derive.terms import MOST_TERMS, paths, term, three
from renown.ingest.profiles.identity import Judged, identity_findings, names_agent
from renown.ingest.profiles.reach import state_of, uri_findings
from renown.spec.documents import findings_from
from renown.spec.documents.model import Finding, Registration
from renown.spec.names import name_key, skeleton
from renown.spec.protocols import Declared
from renown.spec.protocols.offers import Offers
from renown.spec.words import Texts, texts_of
from renown.store.profile_material import Material

DESCRIPTION_CHARS = 2_000
MOST_FINDINGS = 200


def named(registration: Registration | None) -> tuple[str | None, str | None]:
    """How a name is compared, and what it looks like (UTS #39); None for no name."""
    if registration is None or not registration.name:
        return None, None
    return name_key(registration.name) or None, skeleton(registration.name) or None


def build(
    material: Material,
    registration: Registration | None,
    *,
    declared: Sequence[Declared],
    domains: Sequence[Judged],
    offers: Offers,
    beside: Iterable[Finding],
) -> Profile:
    """The row. `beside` are the findings that come of comparing the agent with others."""
    verified = tuple(
        one.host
        for one in domains
        if one.state == "confirmed" and names_agent(registration, material)
    )
    findings = {
        *(findings_from(material.findings) if material.findings else ()),
        *uri_findings(material),
        *identity_findings(material, registration, domains),
        *offers.findings,
        *beside,
    }
    codes = sorted({finding.code for finding in findings})
    state = state_of(material)
    said = registration or Registration()
    key, looks = named(registration)
    return Profile(
        chain_id=material.chain_id,
        agent_id=material.agent_id,
        state=state,
        owner=material.owner,
        wallet=material.wallet,
        created_at=material.created_at,
        active_at=material.active_at,
        uri_id=material.uri_id,
        document_id=material.document_id,
        name=said.name,
        description=said.description[:DESCRIPTION_CHARS] if said.description else None,
        image=said.image,
        name_key=key,
        skeleton=looks,
        x402=said.x402,
        active=said.active,
        alive=offers.alive,
        findings=tuple(sorted(findings))[:MOST_FINDINGS],
        domains=verified,
        terms=_terms(material, said, state, codes, verified, offers),
        texts=texts_of(registration, (*offers.tools, *offers.skills)) if registration else Texts(),
        template=material.template,
        quality=quality(
            state=state,
            described=bool(said.description),
            callable_services=len(declared),
            active=said.active,
            alive=offers.alive,
            verified=bool(verified),
            client_count=material.client_count,
            codes=codes,
        ),
        feedback_count=material.feedback_count,
        client_count=material.client_count,
    )


def _terms(
    material: Material,
    said: Registration,
    state: str,
    codes: Sequence[str],
    verified: Sequence[str],
    offers: Offers,
) -> tuple[str, ...]:
    """Sorted, no two alike. What cannot be left out comes first, so that a file full of skills
    crowds out its own skills only."""
    found = [
        term("chain", material.chain_id),
        term("owner", "0x" + material.owner.hex()),
        term("state", state),
        three("x402", said.x402),
        three("active", said.active),
        three("alive", offers.alive),
        three("verified", bool(verified)),
        three("name", bool(said.name)),
        *(term("finding", code) for code in codes),
        *(term("host", host) for host in verified),
    ]
    if material.wallet:
        found.append(term("wallet", "0x" + material.wallet.hex()))
    for service in said.services:
        found.append(term("kind", service.kind))
        if service.version:
            found.append(term("version", f"{service.kind}/{service.version}"))
    found += [term("trust", model) for model in said.trust]
    found += [term("tag", tag) for tag in said.tags]
    found += [term("tool", tool) for tool in offers.tools]
    for service in said.services:
        found += paths("skill", service.skills)
        found += paths("domain", service.domains)
        found += [term("tool", tool) for tool in service.tools]
    found += paths("skill", offers.skills)
    return tuple(sorted(dict.fromkeys(found[:MOST_TERMS])))
