"""What watches the process: alive, ready, well, measured."""

from __future__ import annotations

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from renown.api.access.principal import OPEN, wants
from renown.api.deps import desk_of
from renown.obs import metrics

router = APIRouter(include_in_schema=False)
_UNKEPT = {"Cache-Control": "no-store"}


@router.get("/healthz")
@wants(OPEN)
async def alive() -> Response:
    """The process answers. Says nothing about the database: restarting would not mend that."""
    return PlainTextResponse("alive\n", headers=_UNKEPT)


@router.get("/readyz")
@wants(OPEN)
async def ready(request: Request) -> Response:
    """The database answers, has the schema that this version needs, and the heads of its chains
    are looked at; a problem, or 503 with the reasons line by line, otherwise and while the process
    ends."""
    draining = getattr(request.app.state, "draining", False)
    reasons = await desk_of(request).watch.unready(draining=draining)
    if reasons:
        text = "".join(f"not ready: {reason}\n" for reason in reasons)
        return PlainTextResponse(text, 503, headers=_UNKEPT)
    return PlainTextResponse("ready\n", headers=_UNKEPT)


@router.get("/health")
@wants(OPEN)
async def health(request: Request) -> Response:
    """How everything is that the API depends on, part by part. 503 when nothing works."""
    found = await desk_of(request).watch.health()
    return Response(
        msgspec.json.encode(found),
        503 if found.status == "down" else 200,
        media_type="application/json",
        headers=_UNKEPT,
    )


@router.get("/metrics")
@wants(OPEN)
async def measured(request: Request) -> Response:
    """Prometheus's text format. Keep it from the public at the proxy if it should not see it."""
    text = await desk_of(request).watch.metrics()
    return Response(text, media_type=metrics.CONTENT_TYPE, headers=_UNKEPT)
