"""Arguments and options that several commands share, so that they are called and mean the same."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated

import typer

from renown.spec.deployments import Deployment, find

Chains = Annotated[
    list[str] | None,
    typer.Option(
        "--chain",
        metavar="CHAIN",
        help="Chain by slug, id or name (`base`, `8453`); may be given several times. "
        "By default what CHAIN says.",
    ),
]
OneChain = Annotated[
    str | None,
    typer.Option(
        "--chain", metavar="CHAIN", help="Chain by slug, id or name; all of the index by default."
    ),
]
ChainArgument = Annotated[
    str, typer.Argument(metavar="CHAIN", help="Chain by slug, id or name: `base`, `8453`.")
]
Key = Annotated[
    str,
    typer.Argument(
        metavar="KEY",
        help="An agent: `8453:42`, `eip155:8453:0x8004…a432:42` or its UUID.",
    ),
]
At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="MOMENT",
        help="As of this block, or of this time (`2026-09-01T12:00:00Z`, `@1788264000`).",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, as the REST API answers.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would happen.")]
Until = Annotated[
    int | None, typer.Option(min=0, help="Stop once this block is stored.", metavar="BLOCK")
]
Host = Annotated[
    str | None, typer.Option(metavar="ADDRESS", help="Address to listen on; default RENOWN_HOST.")
]
Port = Annotated[
    int | None,
    typer.Option(min=0, max=65535, metavar="PORT", help="Port to listen on; default RENOWN_PORT."),
]


def examples(*lines: str) -> str:
    """The end of a command's help. `lines` are commands as one types them."""
    return "\b\nExamples:\n" + "\n".join(f"  {line}" for line in lines)


def deployments(names: Iterable[str]) -> list[Deployment]:
    """The deployments called `names`, which may hold several with commas; each once, in order.

    Raises:
        ChainNotFound: nobody is called so; the message says what comes close.
    """
    words = [word for name in names for word in name.split(",") if word.strip()]
    return list({d.chain_id: d for d in map(find, words)}.values())


def slugs(chains: Sequence[Deployment]) -> str:
    """Their names for a message."""
    return ", ".join(chain.slug for chain in chains)
