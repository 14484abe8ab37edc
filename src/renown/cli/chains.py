"""`renown chains` and `renown version`: what needs neither settings nor database."""

from __future__ import annotations

import platform
from importlib.metadata import version as version_of

import typer

from renown.cli.console import print_json, print_lines, print_table
from renown.cli.options import Json, examples
from renown.spec.deployments import DEPLOYMENTS, Deployment, endpoints
from renown.types import checksum_address


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(epilog=examples("renown chains", "renown chains --json"))(chains)
    app.command(epilog=examples("renown version"))(version)


def chains(json: Json = False) -> None:
    """List every chain with an official deployment of the registries."""
    known = sorted(DEPLOYMENTS.values(), key=lambda d: (d.testnet, d.chain_id))
    if json:
        print_json({"items": [_shape(deployment) for deployment in known]})
        return
    print_table(
        ("slug", "chain id", "name", "testnet", "start block", "public nodes"),
        (
            (
                *(d.slug, d.chain_id, d.name, d.testnet),
                "looked for" if d.start_block is None else d.start_block,
                len(endpoints(d.chain_id)) or "none: set RPC_URL",
            )
            for d in known
        ),
    )


def version() -> None:
    """Print the version of Renown."""
    print_lines([f"renown {version_of('renown')} (Python {platform.python_version()})"])


def _shape(deployment: Deployment) -> dict[str, object]:
    return {
        "chain_id": deployment.chain_id,
        "slug": deployment.slug,
        "name": deployment.name,
        "testnet": deployment.testnet,
        "identity_registry": checksum_address(deployment.identity),
        "reputation_registry": checksum_address(deployment.reputation),
        "validation_registries": [checksum_address(a) for a in deployment.validation],
        "start_block": deployment.start_block,
        "start_block_unsure": deployment.start_block_unsure,
        "explorer": deployment.explorer or None,
        "public_endpoints": len(endpoints(deployment.chain_id)),
    }
