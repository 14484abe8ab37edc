"""What commands that read have in common: a connection, pages and their cursors."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlencode

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say

if TYPE_CHECKING:
    from renown.api.answers.answer import Answer
    from renown.settings import Settings
    from renown.store.pool import Conn

Limit = Annotated[int, typer.Option(min=1, max=100, metavar="ROWS", help="Rows of a page.")]
CursorOption = Annotated[
    str | None, typer.Option(metavar="CURSOR", help="The next page, as the last one named it.")
]


def answer_with(work: Callable[[Conn], Awaitable[None]], settings: Settings | None = None) -> None:
    """Run `work` on a connection of the database that the settings name."""
    from renown.cli.runtime import database, load

    settings = settings or load()

    async def run() -> None:
        async with database(settings) as where, where.reading() as conn:
            await work(conn)

    process.run(run)


def print_page(
    read: Callable[[Conn, tuple[Any, ...] | None], Awaitable[Answer[Any]]],
    scope: str,
    cursor: str | None,
    json: bool,
    head: tuple[str, ...],
    row: Callable[[Any], tuple[Any, ...]],
) -> None:
    """Print one page, and how to get the next."""
    from renown.api.pages import Cursors
    from renown.cli.runtime import load

    settings = load()

    async def work(conn: Conn) -> None:
        cursors = Cursors(settings.cursor_key())
        answer = await read(conn, cursors.read(cursor, scope) if cursor else None)
        body = answer.body
        body.next_cursor = cursors.write(answer.after, scope) if answer.after else None
        if json:
            print_json(body)
            return
        print_table(head, (row(item) for item in body.items))
        if body.next_cursor:
            say(f"more with --cursor {body.next_cursor}")

    answer_with(work, settings)


def page_scope(path: str, **parameters: str | None) -> str:
    """What a page cursor is bound to: the query as the REST API has it, so that both share them."""
    given = sorted((name, value) for name, value in parameters.items() if value is not None)
    return f"{path}?{urlencode(given, errors='replace')}"


def flat(fields: dict[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """The fields of a nested object, their names joined by dots."""
    for name, value in fields.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
