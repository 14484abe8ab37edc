"""All commands under one roof."""

from __future__ import annotations

from collections.abc import Sequence

import typer

from renown.cli import (
    accounts,
    audit,
    bench,
    chains,
    crawl,
    database,
    devnet,
    documents,
    export,
    keys,
    leaderboard,
    lint,
    mark,
    notary,
    operation,
    pay,
    payments,
    probe,
    proof,
    quarantine,
    rate,
    read,
    register,
    search,
    up,
    validate,
    wallet,
    watch,
)
from renown.cli.failing import fail
from renown.obs.unfailing import unfailing_stderr

app = typer.Typer(
    name="renown",
    help="Renown, the self-hosted index of ERC-8004 agents.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
up.add_to(app)
devnet.add_to(app)
read.add_to(app)
search.add_to(app)
payments.add_to(app)
leaderboard.add_to(app)
documents.add_to(app)
lint.add_to(app)
register.add_to(app)
rate.add_to(app)
wallet.add_to(app)
pay.add_to(app)
validate.add_to(app)
operation.add_to(app)
crawl.add_to(app)
watch.add_to(app)
probe.add_to(app)
chains.add_to(app)
database.add_to(app)
proof.add_to(app)
quarantine.add_to(app)
export.add_to(app)
keys.add_to(app)
accounts.add_to(app)
mark.add_to(app)
audit.add_to(app)
notary.add_to(app)
bench.add_to(app)


def run(args: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    with unfailing_stderr():
        try:
            code = app(args=args, standalone_mode=False, prog_name="renown")
        except typer.Abort:
            return 130
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last one to know what to say
            return fail(error)
        return code if isinstance(code, int) else 0
