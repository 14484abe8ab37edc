"""A worker's own little server: metrics, and whether it is alive and ready."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from renown.cli.beside import beside
from renown.cli.console import say
from renown.cli.settings_seen import note
from renown.ingest.measuring import measure_disks_for_ever
from renown.obs import metrics
from renown.obs.tracing import TRACES
from renown.settings import Settings

if TYPE_CHECKING:
    from starlette.applications import Starlette

    from renown.cli.runtime import Database
    from renown.store.pulse import Pulse


def folders_of(settings: Settings, *parts: str) -> dict[str, Path]:
    """The folders that a process of these parts writes to, by the names they have in metrics.

    All of them for `up`, and where the data directory holds the database: then all is on one disk,
    which is everybody's matter.
    """
    folders = {
        "data": settings.data_dir,
        "exports": settings.exports_folder,
        "audit": settings.audit_folder,
    }
    if "up" in parts or settings.database_url is None:
        return folders
    return {"audit": folders["audit"]} if "notary" in parts else {}


@asynccontextmanager
async def measured_here(
    settings: Settings, where: Database, *parts: str, once: bool = False
) -> AsyncIterator[None]:
    """Tell of this process for as long as the block runs: `/metrics`, `/healthz` and `/readyz` on
    RENOWN_METRICS_PORT, and traces to RENOWN_TRACES_URL, where they are set. Its settings are noted
    for the audit log.

    Args:
        parts: what this process runs, of `metrics.COMPONENTS`; the first is what it is called.
        once: it only does what is due and ends: nobody will ask it.

    Raises:
        SetupError: the port is in use or not ours to take.
        BadSettings: traces are wanted without the `tracing` extra.
    """
    port = None if once else settings.metrics_port
    if not once:
        await note(where.connect, parts[0], settings)
    metrics.configured(
        **dict.fromkeys(parts, True),
        metrics=port is not None,
        traces=settings.traces_url is not None,
    )
    async with AsyncExitStack() as stack:
        if settings.traces_url is not None:
            TRACES.start(settings.traces_url.get_secret_value(), share=settings.traces_share)
            stack.push_async_callback(asyncio.to_thread, TRACES.stop)
        if port is not None:
            disks = measure_disks_for_ever(folders_of(settings, *parts))
            await stack.enter_async_context(beside(disks))
            await stack.enter_async_context(_serving(settings.metrics_host, port, where))
        yield


@asynccontextmanager
async def _serving(host: str, port: int, where: Database) -> AsyncIterator[None]:
    from renown.cli.listening import bind, serving, url
    from renown.store.pulse import Pulse

    pulse = Pulse(where.reading)
    with bind(host, port) as bound:
        async with beside(pulse.run()), serving(_app(pulse), bound):
            say(f"measuring: {url(host, bound.getsockname()[1])}/metrics")
            yield


def _app(pulse: Pulse) -> Starlette:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import PlainTextResponse, Response
    from starlette.routing import Route

    from renown.store.pulse import PERIOD_SECONDS

    unkept = {"Cache-Control": "no-store"}

    async def alive(_: Request) -> Response:
        return PlainTextResponse("alive\n", headers=unkept)

    async def ready(_: Request) -> Response:
        beat = await pulse.beat(2 * PERIOD_SECONDS)
        if beat.failure is not None:
            return PlainTextResponse(f"not ready: {beat.failure.slug}\n", 503, headers=unkept)
        return PlainTextResponse("ready\n", headers=unkept)

    async def measured(_: Request) -> Response:
        text = await asyncio.to_thread(metrics.exposition)
        return Response(text, media_type=metrics.CONTENT_TYPE, headers=unkept)

    return Starlette(
        routes=[
            Route("/healthz", alive),
            Route("/readyz", ready),
            Route("/metrics", measured),
        ]
    )
