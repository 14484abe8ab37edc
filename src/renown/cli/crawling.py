"""Reading documents and calling endpoints beside what else a command does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from renown.cli.beside import beside

if TYPE_CHECKING:
    from renown.cli.runtime import Database
    from renown.offchain.fetcher import Fetcher
    from renown.settings import Settings


class Neighbourhood(msgspec.Struct, frozen=True):
    """Hosts of a development chain: `opened` beside those of the settings, gateways before them."""

    opened: tuple[str, ...] = ()
    ipfs_gateways: tuple[str, ...] = ()
    ar_gateways: tuple[str, ...] = ()
    is_alone: bool = False
    """Whether there is nobody else to ask: patience with strangers is not needed."""


NOWHERE = Neighbourhood()
APART_SECONDS, ROUND_SECONDS = 600.0, 15.0
"""Between two rounds of checks of an endpoint; the latter where all hosts are ours."""


def fetcher(settings: Settings, near: Neighbourhood = NOWHERE) -> Fetcher:
    """Who asks strangers, as the settings bound it. To be entered.

    Raises:
        BadSettings: an entry of RENOWN_FETCH_OPEN, or a gateway, is malformed.
    """
    from renown.offchain.fetcher import Fetcher

    return Fetcher(
        contact=settings.fetch_contact,
        opened=(*settings.fetch_open, *near.opened),
        ipfs_gateways=near.ipfs_gateways or settings.ipfs_gateways,
        ar_gateways=near.ar_gateways or settings.ar_gateways,
        connections=settings.fetch_connections,
        per_host=settings.fetch_per_host,
    )


@asynccontextmanager
async def reading_documents(
    settings: Settings, where: Database, near: Neighbourhood = NOWHERE
) -> AsyncIterator[None]:
    """Crawl and probe, as the settings want it, for as long as the block runs.

    Where all hosts are ours, endpoints are called unless the settings say no: nobody minds.
    """
    from renown.ingest.crawler import BRISK, Crawler, Pauses
    from renown.ingest.prober import Prober
    from renown.ingest.profiles import refresh

    probe = settings.probe or (near.is_alone and "probe" not in settings.model_fields_set)
    if not (settings.crawl or probe):
        yield
        return
    async with AsyncExitStack() as stack:
        asking = await stack.enter_async_context(fetcher(settings, near))
        work: list[Coroutine[Any, Any, None]] = []
        if settings.crawl:
            crawler = Crawler(
                where.connect,
                asking,
                connections=settings.fetch_connections,
                per_host=settings.fetch_per_host,
                refresh=refresh,
                pauses=BRISK if near.is_alone else Pauses(),
            )
            work.append(crawler.run())
        if probe:
            prober = Prober(
                where.connect,
                asking,
                opt_out=settings.probe_opt_out,
                apart_seconds=ROUND_SECONDS if near.is_alone else APART_SECONDS,
            )
            work.append(prober.run())
        await stack.enter_async_context(beside(*work))
        yield
