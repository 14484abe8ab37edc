"""`renown audit retention`: old entries go, and the log says which."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, Yes, examples

if TYPE_CHECKING:
    from renown.store.audit_retention import Month


def add_to(group: typer.Typer) -> None:
    """Add the command to `renown audit`."""
    group.command(
        "retention",
        epilog=examples("renown audit retention", "renown audit retention --older-than 365 --yes"),
    )(retention)


def retention(
    older_than: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=36_500,
            metavar="DAYS",
            help="Age at which entries go.  [default: the policy `retention`: 730]",
        ),
    ] = None,
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Remove entries that are old enough, and the keys of old pseudonyms.

    Entries that wait for a review stay. Leaves, nodes and checkpoints stay, so that the log can be
    verified as before; each month's removal is an entry itself. Run it as the database's owner.
    """
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        from renown.store import audit_retention
        from renown.store.clock import clock
        from renown.store.policies import retention_days

        async with database(settings) as where, where.reading() as conn:
            days = older_than if older_than is not None else await retention_days(conn)
            # Neither clock, when it is ahead, makes entries old.
            now = min(datetime.now(UTC), await clock(conn))
            before = now - timedelta(days=days)
            months = await audit_retention.plan(conn, before)
            keys = await audit_retention.address_keys_before(conn, before)
            rows = [_row(month) for month in months]
            if not yes:
                if json:
                    print_json(_shape(before, rows, keys, done=False))
                    return
                if rows:
                    print_table(tuple(rows[0]), (tuple(row.values()) for row in rows))
                going = sum(month.go for month in months)
                say(
                    f"nothing was removed; --yes removes {going:,} entries from before "
                    f"{before:%Y-%m-%d %H:%M} and the keys of {keys} days' pseudonyms"
                )
                return
            removed = 0
            keys = await audit_retention.destroy_address_keys(conn, before)
            for month, row in zip(months, rows, strict=True):
                if not month.go:
                    continue
                done = await audit_retention.remove(conn, month)
                removed += done.entries
                row |= {"go": done.entries, "whole": done.is_dropped}
                say(f"{row['month']}: {done.entries:,} removed, {month.stay:,} stay")
        if json:
            print_json(_shape(before, rows, keys, done=True))
        else:
            say(f"{removed:,} entries removed; the keys of {keys} days' pseudonyms destroyed")

    process.run(work)


def _row(month: Month) -> dict[str, Any]:
    return {
        "month": f"{month.first:%Y-%m}",
        "go": month.go,
        "stay": month.stay,
        "whole": month.is_whole,
        "partition": month.partition,
    }


def _shape(before: datetime, rows: list[dict[str, Any]], keys: int, *, done: bool) -> Any:
    return {"before": before, "done": done, "address_keys": keys, "months": rows}
