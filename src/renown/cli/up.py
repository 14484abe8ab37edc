"""`renown up`, `renown index`, `renown serve`: what runs until it is told to stop."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.console import say
from renown.cli.options import Chains, Host, Port, Until, examples

if TYPE_CHECKING:
    import socket

    from renown.cli.runtime import Database
    from renown.cli.writing import Writing
    from renown.ingest.supervise import Job
    from renown.settings import Settings
    from renown.spec.deployments import Deployment


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "renown up",
            "renown up --chain base --chain ethereum",
            "CHAIN=base RPC_URL=https://node.example/KEY renown up --port 9000",
            "DATABASE_URL=postgresql://renown@db.example/renown renown up",
        )
    )(up)
    app.command(
        epilog=examples(
            "renown index --chain base",
            "renown index --chain sepolia --until 10000000",
        )
    )(index)
    app.command(epilog=examples("renown serve", "renown serve --host 0.0.0.0 --port 80"))(serve)


def up(
    chain: Chains = None,
    port: Port = None,
    host: Host = None,
    until: Until = None,
    api: Annotated[
        bool, typer.Option("--api/--no-api", help="Serve the API and the pages.")
    ] = True,
    crawl: Annotated[
        bool | None,
        typer.Option(
            "--crawl/--no-crawl", help="Read the documents behind URIs.  [default: RENOWN_CRAWL]"
        ),
    ] = None,
    probe: Annotated[
        bool | None,
        typer.Option(
            "--probe/--no-probe",
            help="Call the endpoints that agents declare.  [default: RENOWN_PROBE]",
        ),
    ] = None,
) -> None:
    """Index chains and serve the index: database, indexer, crawler and API in one process.

    Without DATABASE_URL a PostgreSQL of our own runs in the data directory. The chain `devnet`, the
    default, is started here as well unless RPC_URL names one. Stop with Ctrl-C; the next start goes
    on where this one stopped.
    """
    from renown.cli.runtime import chosen, database, load

    settings = load(chain, service=True, port=port, host=host, crawl=crawl, probe=probe)
    chains = chosen(settings)
    check_nodes(settings, chains)

    async def work() -> None:
        from renown.cli.beside import beside
        from renown.cli.listening import bind
        from renown.cli.measured import folders_of
        from renown.cli.notary import notarising
        from renown.cli.settings_seen import note
        from renown.cli.writing import writing
        from renown.ingest.measuring import measure_disks_for_ever
        from renown.obs import metrics

        async with AsyncExitStack() as stack:
            # First, because it is quick and likely to fail.
            bound = stack.enter_context(bind(settings.host, settings.port)) if api else None
            opening = database(settings, alone=True, create=True, service=True)
            where = await stack.enter_async_context(opening)
            await prepare(settings, where, chains)
            await note(where.connect, "up", settings)
            metrics.configured(
                indexer=True,
                watcher=True,
                notary=True,
                crawler=settings.crawl,
                prober=settings.probe,
            )
            disks = measure_disks_for_ever(folders_of(settings, "up"))
            await stack.enter_async_context(beside(disks))
            await stack.enter_async_context(notarising(settings, where))
            alone = all(starts_devnet(settings, deployment) for deployment in chains)
            found = await stack.enter_async_context(writing(settings, own_devnet=alone))
            if bound is not None:
                await stack.enter_async_context(answering(settings, where, bound, found))
            await index_chains(settings, where, chains, until, documents=True, found=found)

    process.run(work, service=until is None)


def index(chain: Chains = None, until: Until = None) -> None:
    """Index chains, without the API.

    Beside a `renown up` on the same data directory it uses that one's database.
    """
    from renown.cli.measured import measured_here
    from renown.cli.runtime import chosen, database, load

    settings = load(chain, service=True)
    chains = chosen(settings)
    check_nodes(settings, chains)

    async def work() -> None:
        async with database(settings, create=True, service=True) as where:
            await prepare(settings, where, chains)
            async with measured_here(settings, where, "indexer", once=until is not None):
                await index_chains(settings, where, chains, until)

    process.run(work, service=until is None)


def serve(port: Port = None, host: Host = None) -> None:
    """Serve the API and the pages of an index, without indexing.

    Writes are taken for the chains that a node is known of; `renown watch` sends and follows them.
    """
    from renown.cli.runtime import chosen, database, load
    from renown.cli.writing import nodes_of, writing

    settings = load(service=True, port=port, host=host)
    chains = chosen(settings)

    async def work() -> None:
        import asyncio

        from renown.cli.listening import bind
        from renown.cli.settings_seen import note

        with bind(settings.host, settings.port) as bound:
            async with database(settings, service=True) as where:
                await where.check_schema()
                await note(where.briefly, "api", settings)
                async with writing(settings) as found:
                    found.reach(nodes_of(settings, chains))
                    async with answering(settings, where, bound, found):
                        await asyncio.Event().wait()

    process.run(work, service=True)


@asynccontextmanager
async def answering(
    settings: Settings, where: Database, bound: socket.socket, found: Writing
) -> AsyncIterator[None]:
    """The API on `bound`, which writes as `found` says, for as long as the block runs."""
    from renown.api.app import create_app
    from renown.cli.listening import serving, url
    from renown.cli.runtime import api_pool

    base = url(settings.host, bound.getsockname()[1])
    # The port is known only now where any free one was asked for.
    public = settings.model_copy(update={"public_url": settings.public_url or base})
    # The pool is opened here, because a server that fails to start does not say why.
    async with AsyncExitStack() as stack:
        app = create_app(
            public,
            pool=await stack.enter_async_context(api_pool(settings, where)),
            listen=where.listen,
            writers=found.writers,
            signer=found.signer,
            signer_is_open=found.signer_is_open,
        )
        serves = serving(
            app,
            bound,
            drain_seconds=settings.drain_seconds,
            pause_seconds=settings.drain_pause_seconds,
        )
        await stack.enter_async_context(serves)
        say(f"serving {base}/ (pages), {base}/v1/agents (API), {base}/docs (its documentation)")
        yield


async def prepare(settings: Settings, where: Database, chains: Sequence[Deployment]) -> None:
    """Bring the database to our schema, and forget the last devnet if a new one will be started.

    In a server of the operator's only what other processes of an older version can live with: the
    rest is for `renown db migrate`, when all are new.
    """
    from renown.cli.own_devnet import forget_the_last

    await where.migrate(phase="all" if settings.database_url is None else "pre")
    if any(starts_devnet(settings, deployment) for deployment in chains):
        await forget_the_last(where)


async def index_chains(
    settings: Settings,
    where: Database,
    chains: Sequence[Deployment],
    until: int | None,
    *,
    documents: bool = False,
    found: Writing | None = None,
) -> None:
    """Follow `chains`, with a devnet of our own among them where no node is named for it.

    Args:
        documents: crawl and probe beside it, as far as the settings want it.
        found: how to write to chains; operations and payments are then followed, too.
    """
    from renown.cli.crawling import NOWHERE, reading_documents
    from renown.cli.following import follow
    from renown.cli.own_devnet import own_devnet
    from renown.cli.runtime import job
    from renown.cli.settling import settling

    async with AsyncExitStack() as stack:
        jobs: list[Job] = []
        near = NOWHERE
        for deployment in chains:
            urls: tuple[str, ...] = ()
            if starts_devnet(settings, deployment):
                url, near = await stack.enter_async_context(own_devnet())
                urls = (url,)
            jobs.append(job(settings, deployment, urls=urls))
        if found is not None:
            found.reach({job.deployment.chain_id: job.urls for job in jobs})
            await stack.enter_async_context(settling(settings, where, found))
        if documents:
            await stack.enter_async_context(reading_documents(settings, where, near))
        await follow(where, jobs, until=until)


def check_nodes(settings: Settings, chains: Sequence[Deployment]) -> None:
    """Raises BadSettings, before anything is started, if a chain has no node."""
    from renown.cli.runtime import job

    for deployment in chains:
        if not starts_devnet(settings, deployment):
            job(settings, deployment)


def starts_devnet(settings: Settings, deployment: Deployment) -> bool:
    """Whether this is the devnet and nobody says where one runs."""
    from renown.spec.deployments import DEVNET_CHAIN_ID

    return deployment.chain_id == DEVNET_CHAIN_ID and deployment.chain_id not in settings.rpc_urls
