"""The pages about findings: all there are, and what one means."""

from __future__ import annotations

from typing import get_args

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import chains, findings
from renown.api.answers.findings import FindingCount
from renown.api.deps import desk_of
from renown.api.routing import GatedRoute
from renown.api.web.page import render
from renown.spec.findings import Subject

router = APIRouter(include_in_schema=False, route_class=GatedRoute)
_HEADINGS: dict[Subject, str] = {
    "document": "Files",
    "identity": "Identity",
    "uri": "URIs",
    "endpoint": "Endpoints",
    "attachment": "Files beside feedback and validations",
}


@router.get("/findings")
async def all_findings(request: Request) -> Response:
    """Every finding there is, by what it is about, the most frequent first."""
    async with desk_of(request).reading_public() as conn:
        body = (await findings.counts(conn)).body
    subjects: dict[Subject, list[FindingCount]] = {one: [] for one in get_args(Subject)}
    for item in body.items:
        subjects[item.subject].append(item)
    return render(
        "findings.html", subjects=subjects, headings=_HEADINGS, counted_at=body.counted_at
    )


@router.get("/findings/{code}")
async def one_finding(request: Request, code: str) -> Response:
    """What one finding means, and where it is found."""
    async with desk_of(request).reading_public() as conn:
        found = (await findings.meaning(conn, code)).body
        known = (await chains.chains(conn)).body
    return render(
        "finding.html", finding=found, slugs={one.chain_id: one.slug for one in known.items}
    )
