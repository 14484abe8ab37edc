"""`renown rebuild`, `renown verify`, `renown state-hash`: that the index is what the chain said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.bars import bar
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, OneChain, deployments, examples
from renown.errors import EX_DATAERR, EX_TEMPFAIL, ChainNotFound

if TYPE_CHECKING:
    from renown.ingest.coverage import Coverage
    from renown.ingest.repair import StateVerdict
    from renown.settings import Settings
    from renown.spec.deployments import Deployment
    from renown.store.pool import Conn


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("renown rebuild", "renown rebuild --chain base"))(rebuild)
    app.command(
        epilog=examples(
            "renown verify",
            "renown verify --chain base --sample 32 --json",
            "renown verify --chain base --offline",
        )
    )(verify)
    app.command(
        "state-hash",
        epilog=examples("renown state-hash", "renown state-hash --chain base --at 36000000"),
    )(state_hash)


def rebuild(chain: OneChain = None) -> None:
    """Fold the state of every agent again from the stored facts.

    The indexer of the chain must be stopped. May be stopped and run again at any point: every step
    leaves a state that equals the fold of the facts.
    """
    from renown.cli.runtime import database, load
    from renown.ingest import repair

    settings = load()

    async def work() -> None:
        async with database(settings) as where:
            async with where.reading() as reading:
                chains = await indexed(reading, chain)
            for deployment in chains:
                conn = await where.connect()
                try:
                    with bar(deployment.slug, "agents") as advance:
                        count = await repair.rebuild(
                            conn, deployment, name="renown rebuild", on_progress=advance
                        )
                finally:
                    conn.terminate()
                say(f"{deployment.slug}: {count:,} agents folded again")

    process.run(work)


def verify(
    chain: OneChain = None,
    sample: Annotated[
        int,
        typer.Option(
            min=2, max=10_000, metavar="N", help="Ranges of blocks to count logs in again."
        ),
    ] = 8,
    offline: Annotated[
        bool, typer.Option("--offline", help="Ask no node: compare state and facts only.")
    ] = False,
    json: Json = False,
) -> None:
    """Prove the index: state equals the fold of its facts, and the facts are all the chain has.

    Exit code 0 only if all is right; 65 if something differs or is missing, 75 if the nodes could
    not answer. Reads only, and may run beside the indexer.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> int:
        from renown.ingest import repair

        results: list[tuple[Deployment, StateVerdict, Coverage | None]] = []
        async with database(settings) as where, where.reading() as conn:
            for deployment in await indexed(conn, chain):
                say(f"{deployment.slug}: folding all facts")
                verdict = await repair.verify_state(conn, deployment.chain_id)
                coverage = None
                if not offline:
                    say(f"{deployment.slug}: asking the nodes")
                    coverage = await _coverage(settings, conn, deployment, sample)
                results.append((deployment, verdict, coverage))
        if json:
            print_json({"items": [_shape(*result) for result in results]})
        else:
            print_table(_HEAD, (_row(*result) for result in results))
            for deployment, verdict, coverage in results:
                for finding in _findings(verdict, coverage):
                    say(f"{deployment.slug}: {finding}")
        return _exit_code(results, offline=offline)

    process.run(work)


def state_hash(
    chain: OneChain = None,
    at: Annotated[
        int | None,
        typer.Option(min=0, help="At this block, folded from the facts.", metavar="BLOCK"),
    ] = None,
    json: Json = False,
) -> None:
    """Print the hash of a chain's whole state: equal hashes are equal indexes.

    A fresh sync, a rebuild, a restore and another installation give the same at the same block.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store import hashing
        from renown.store.extent import above
        from renown.store.pool import transaction

        found: list[dict[str, Any]] = []
        async with database(settings) as where, where.reading() as conn:
            for deployment in await indexed(conn, chain):
                chain_id = deployment.chain_id
                async with transaction(conn, "repeatable_read"):
                    block = (await above(conn, chain_id, 0)).block_number if at is None else at
                    if at is None:
                        value = await hashing.stored_hash(conn, chain_id)
                    else:
                        value = await hashing.folded_hash(conn, chain_id, at=at)
                found.append(
                    {
                        "chain_id": chain_id,
                        "slug": deployment.slug,
                        "block_number": block,
                        "state_hash": value,
                    }
                )
        if json:
            print_json({"items": found})
        else:
            print_table(
                ("chain", "block", "state hash"),
                ((f["slug"], f["block_number"], f["state_hash"]) for f in found),
            )

    process.run(work)


async def indexed(conn: Conn, name: str | None) -> list[Deployment]:
    """The chain called `name`, or all, as far as the index has them.

    Raises:
        ChainNotFound: no chain is called so, or the index does not hold it.
    """
    from renown.spec.deployments import DEPLOYMENTS
    from renown.store.chains import chains

    held = {row.head.chain_id for row in await chains(conn)}
    if name is None:
        return [DEPLOYMENTS[chain_id] for chain_id in sorted(held) if chain_id in DEPLOYMENTS]
    wanted = deployments([name])
    for deployment in wanted:
        if deployment.chain_id not in held:
            raise ChainNotFound(
                f"this index has no chain {deployment.slug}", chain_id=deployment.chain_id
            )
    return wanted


async def _coverage(
    settings: Settings, conn: Conn, deployment: Deployment, sample: int
) -> Coverage | None:
    from renown.chain.source import ChainSource
    from renown.cli.following import BRIEF
    from renown.cli.runtime import job
    from renown.errors import RenownError
    from renown.ingest import coverage

    nodes = job(settings, deployment)
    try:
        async with ChainSource(
            *(deployment, nodes.urls),
            contracts=await coverage.contracts(conn, deployment),
            seed=nodes.seed,
            patience=BRIEF,
        ) as source:
            return await coverage.check(source, conn, deployment, seed=nodes.seed, ranges=sample)
    except RenownError as exc:
        if not exc.retryable:
            raise
        say(f"{deployment.slug}: {exc.detail}")
        return None


_HEAD = ("chain", "state", "coverage", "block", "agents", "on chain", "ranges", "pairs")


def _row(deployment: Deployment, verdict: StateVerdict, coverage: Coverage | None) -> Sequence[Any]:
    state = "equal" if verdict.equal else "differs"
    if coverage is None:
        return (deployment.slug, state, *["-"] * 6)
    return (
        *(deployment.slug, state, coverage.state, coverage.checked_block, coverage.agents_held),
        *(coverage.agents_on_chain, coverage.ranges_checked, coverage.pairs_checked),
    )


def _shape(
    deployment: Deployment, verdict: StateVerdict, coverage: Coverage | None
) -> dict[str, Any]:
    return {
        "chain_id": deployment.chain_id,
        "slug": deployment.slug,
        "state": verdict,
        "coverage": coverage,
    }


def _findings(verdict: StateVerdict, coverage: Coverage | None) -> list[str]:
    found = [f"{name} differs from the fold of the facts" for name in verdict.differing]
    if not verdict.equal:
        found.append("run `renown rebuild` to fold the state again")
    return found + (coverage.findings if coverage else [])


def _exit_code(
    results: Sequence[tuple[Deployment, StateVerdict, Coverage | None]], *, offline: bool
) -> int:
    if any(not v.equal or (c is not None and c.state == "gap") for _, v, c in results):
        return EX_DATAERR
    if not offline and any(c is None or c.state == "unknown" for _, _, c in results):
        return EX_TEMPFAIL
    return 0
