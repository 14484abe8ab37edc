"""`renown search`: agents found by what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, examples

if TYPE_CHECKING:
    from renown.api.answers.agents import FoundAgent
    from renown.api.answers.finds import Finds
    from renown.store.pool import Conn


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown search weather oracle",
            'renown search --filter "kind:mcp AND NOT alive:no" --sort feedback',
            "renown search translate --where chain=base --where kind=mcp,a2a --facets trust --json",
        )
    )(search)


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(metavar="WORDS", help='Words to find; `"a phrase"`, OR and -not work.'),
    ] = None,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="A parameter of the search as GET /v1/agents takes it: `kind=mcp,a2a`, "
            "`chain=!base`, `feedback_min=3`, `tag1=starred`. May be given several times.",
        ),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option("--filter", metavar="CONDITIONS", help="`kind:mcp AND (skill:a OR NOT x:b)`."),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="ORDER", help="`relevance`, `quality`, `newest`, `activity` or `feedback`."
        ),
    ] = None,
    facets: Annotated[
        str | None, typer.Option(metavar="NAMES", help="Counts to add: `kind,trust`.")
    ] = None,
    collapse: Annotated[
        bool, typer.Option("--collapse", help="Of copies of one template, the first only.")
    ] = False,
    limit: Annotated[int, typer.Option(min=1, max=100, metavar="ROWS", help="Rows.")] = 20,
    cursor: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="The next page, as the last one named it.")
    ] = None,
    json: Json = False,
) -> None:
    """Search agents by their names, descriptions, skills and tools, and by what was found there."""
    from renown.api.answers import search as answers
    from renown.api.pages import Cursors
    from renown.api.search_params import from_texts, parse_search, scope_of
    from renown.cli.runtime import database, load
    from renown.store.search_plan import Plans

    texts: list[tuple[str, str]] = [_pair(text) for text in where or ()]
    if words:
        texts.append(("q", " ".join(words)))
    given = {"filter": filter_, "sort": sort, "facets": facets}
    texts += [(name, value) for name, value in given.items() if value is not None]
    if collapse:
        texts.append(("collapse", "true"))
    asked = parse_search(from_texts(texts))
    settings = load()
    cursors, scope = Cursors(settings.cursor_key()), scope_of(texts)
    after = cursors.read(cursor, scope) if cursor else None

    async def run() -> None:
        async with database(settings) as where_, where_.reading() as conn:
            await show(conn)

    async def show(conn: Conn) -> None:
        answer = await answers.agents(conn, Plans(), asked, after=after, limit=limit)
        body = answer.body
        body.next_cursor = cursors.write(answer.after, scope) if answer.after else None
        if json:
            print_json(body)
            return
        print_table(
            ("key", "name", "state", "kinds", "feedback", "description"),
            (_row(item) for item in body.items),
        )
        if body.search:
            _tell(body.search)
        if body.next_cursor:
            say(f"more with --cursor {body.next_cursor}")

    process.run(run)


def _pair(text: str) -> tuple[str, str]:
    from renown.errors import BadParameter

    name, sign, value = text.partition("=")
    if not sign:
        raise BadParameter("--where takes NAME=VALUE, such as kind=mcp", parameter="--where")
    return name.strip(), value


def _row(item: FoundAgent) -> tuple[Any, ...]:
    profile = item.profile
    if profile is None:
        return item.key, None, None, None, item.counts.feedback, None
    description = " ".join((profile.description or "").split())
    return (
        *(item.key, profile.name, profile.state, ", ".join(profile.kinds)),
        *(item.counts.feedback, description[:80]),
    )


def _tell(found: Finds) -> None:
    about = {"exact": "", "at-least": "at least ", "estimate": "about "}[found.total_is]
    say(f"{about}{found.total} found" + (", the best of them ranked" if found.cut else ""))
    if found.misspelt:
        say(f"names like it: {', '.join(found.misspelt)}")
    if found.facets:
        for kind, values in found.facets.values.items():
            counts = ", ".join(f"{one.value} {one.count}" for one in values) or "none"
            say(f"{kind}{' (about)' if found.facets.approximate else ''}: {counts}")
