"""`renown mark`: what this installation itself thinks of an agent, or of one feedback."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from renown.cli import process
from renown.cli.console import print_json, print_table, say
from renown.cli.options import Json, Key, examples
from renown.errors import BadParameter
from renown.types import parse_address, parse_agent_key

if TYPE_CHECKING:
    from renown.store.marks import Mark

_mark = typer.Typer(
    name="mark",
    help="Marks on agents and feedback: suspended, hidden, reviewed.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples(
        'renown mark agent 8453:42 hidden --note "spam"',
        "renown mark agent 8453:42 hidden --remove",
    ),
)
MarkArgument = Annotated[
    str, typer.Argument(metavar="MARK", help="`suspended`, `hidden` or `reviewed`.")
]
Note = Annotated[str, typer.Option(metavar="TEXT", help="Why; up to 2,000 characters.")]
Remove = Annotated[bool, typer.Option("--remove", help="Take the mark back.")]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    _mark.command(
        epilog=examples(
            'renown mark agent 8453:42 suspended --note "does not answer"',
            "renown mark agent 8453:42 suspended --remove",
        )
    )(agent)
    _mark.command(
        epilog=examples(
            "renown mark feedback 8453:42 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 1 reviewed"
        )
    )(feedback)
    app.add_typer(_mark)


def agent(
    key: Key, mark: MarkArgument, note: Note = "", remove: Remove = False, json: Json = False
) -> None:
    """Mark an agent. Lists and searches leave out those marked `hidden`."""
    _change(key, mark, note=note, remove=remove, json=json)


def feedback(
    key: Key,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Address of who gave it.")],
    index: Annotated[int, typer.Argument(metavar="INDEX", min=1, help="Its index, from 1.")],
    mark: MarkArgument,
    note: Note = "",
    remove: Remove = False,
    json: Json = False,
) -> None:
    """Mark one feedback."""
    _change(
        key, mark, note=note, remove=remove, json=json, client=parse_address(client), index=index
    )


def _change(
    key: str,
    mark: str,
    *,
    note: str,
    remove: bool,
    json: bool,
    client: bytes | None = None,
    index: int | None = None,
) -> None:
    from renown.cli.runtime import database, load
    from renown.store.marks import LONGEST_NOTE

    wanted, named = parse_agent_key(key), _named(mark)
    if len(note) > LONGEST_NOTE:
        raise BadParameter(f"a note has up to {LONGEST_NOTE} characters", parameter="--note")
    settings = load()

    async def work() -> None:
        from renown.api.answers import marks as shown
        from renown.store.marks import Place, remove_mark, set_mark
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            held = await shown.agent_of(tx, wanted)
            place = Place(
                chain_id=held.chain_id,
                agent_id=held.agent_id,
                client=client,
                feedback_index=index,
            )
            if remove:
                await remove_mark(tx, place, named)
            else:
                await set_mark(tx, place, named, note=note, account_id=None)
            found = await shown.of_agent(tx, held)
        if json:
            print_json(found)
        elif found.items:
            print_table(
                ("mark", "client", "index", "note", "created_at"),
                ((m.mark, m.client, m.index, m.note, m.created_at) for m in found.items),
            )
        else:
            say(f"{found.key} has no marks")

    process.run(work)


def _named(text: str) -> Mark:
    from renown.store.marks import MARKS

    for one in MARKS:
        if one == text:
            return one
    raise BadParameter(f"a mark is one of {', '.join(MARKS)}", parameter="MARK")
