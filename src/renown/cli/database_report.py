"""`renown db roles`, `settings`, `report`: who may do what, how the server is set, how it fares."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_json, print_lines, print_table, say
from renown.cli.options import Json, Yes, examples
from renown.errors import EX_DATAERR

if TYPE_CHECKING:
    from renown.store.report import Report

Memory = Annotated[
    str | None,
    typer.Option(
        metavar="SIZE",
        help="Memory of the server's machine, `32GB`; by default of this one, if the server runs "
        "here.",
    ),
]
SHOWN_ROWS = 12


def add_to(group: typer.Typer) -> None:
    """Add the commands."""
    group.command(
        "roles",
        epilog=examples(
            "renown db roles",
            "renown db roles --yes",
            "renown db roles --prefix renown_test --print | psql renown_test",
        ),
    )(roles_)
    group.command(
        "settings",
        epilog=examples("renown db settings", "renown db settings --memory 32GB > renown.conf"),
    )(settings_)
    group.command(
        "report",
        epilog=examples("renown db report", "renown db report --json --fail-on warning"),
    )(report_)


def roles_(
    prefix: Annotated[
        str, typer.Option(metavar="PREFIX", help="What the roles' names begin with.")
    ] = "renown",
    printed: Annotated[
        bool, typer.Option("--print", help="Print the SQL, for somebody who may run it.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Make roles that own nothing, and give each what its processes need, table by table.

    PREFIX_api is for API processes, PREFIX_writer for workers, PREFIX_readonly for analysts. Make
    your logins members of them: CREATE ROLE api1 LOGIN PASSWORD '…' IN ROLE renown_api. Then run
    this again, for limits of time are set on logins.
    """
    from renown.cli.runtime import database, load
    from renown.store import roles

    names = roles.named(prefix)
    if printed:
        print_lines(f"{statement};" for statement in roles.script(names))
        return
    settings = load()

    async def work() -> None:
        async with database(settings) as where, where.reading():
            conn = await where.own()
            try:
                held = await roles.existing(conn)
                if not yes:
                    for kind in roles.KINDS:
                        state = "is there" if kind in held else "will be made"
                        say(f"{held.get(kind, names.of(kind))}: {state}")
                    say("nothing was changed; add --yes to make them and grant their rights anew")
                    return
                for statement in await roles.apply(conn, names):
                    say(f"not done, this user may not: {statement}")
            finally:
                conn.terminate()
            say(f"{', '.join(names.of(kind) for kind in roles.KINDS)} have the rights they need")

    process.run(work)


def settings_(
    memory: Memory = None,
    json: Json = False,
) -> None:
    """Print the server settings that suit this work, as lines for postgresql.conf.

    Lines that the server has already are comments. The embedded server, which shares its machine,
    sets its own.
    """
    from renown.cli.runtime import database, load
    from renown.store.server_settings import differing, machine_memory_bytes, recommended

    memory_bytes = _memory(memory) or machine_memory_bytes()
    settings = load()

    async def work() -> None:
        async with database(settings) as where, where.reading() as conn:
            differ = {one.name: one for one in await differing(conn, memory_bytes)}
            local = where.roles is not None
        wanted = recommended(memory_bytes)
        if json:
            rows = [
                {
                    "name": one.name,
                    "value": one.value,
                    "reason": one.reason,
                    "differs": one.name in differ,
                    "on_server": differ[one.name].value if one.name in differ else one.value,
                    "needs_restart": one.name in differ and differ[one.name].needs_restart,
                }
                for one in wanted
            ]
            print_json(rows)
            return
        width = max(len(f"{one.name} = '{one.value}'") for one in wanted) + 2
        for one in wanted:
            line = f"{one.name} = '{one.value}'"
            if one.name not in differ:
                print_lines([f"# {line.ljust(width)}# as it is"])
                continue
            have = differ[one.name]
            restart = "; needs a restart" if have.needs_restart else ""
            print_lines([f"{line.ljust(width)}  # {one.reason}; is {have.value}{restart}"])
        say(f"{len(differ)} of {len(wanted)} differ, for a machine with {_gib(memory_bytes)}")
        if local:
            say("this is the embedded server: it sets its own, for a machine that others use, too")

    process.run(work)


def report_(
    memory: Memory = None,
    fail_on: Annotated[
        str | None,
        typer.Option(
            metavar="SEVERITY",
            help="Leave with 65 if there is a finding at least so severe: `warning` or `info`.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Say what wants doing in the database, and how it fares.

    Use of indexes, idle and doubled ones, dead rows and air, slow statements, hits of the cache,
    locks and long transactions, age of views, sizes of partitions, roles and settings.
    """
    from renown.cli.runtime import database, load
    from renown.errors import BadParameter
    from renown.store.report import report
    from renown.store.server_settings import machine_memory_bytes

    if fail_on not in (None, "warning", "info"):
        raise BadParameter("--fail-on is `warning` or `info`", parameter="--fail-on")
    memory_bytes = _memory(memory)
    settings = load()

    async def work() -> int:
        async with database(settings) as where, where.reading():
            conn = await where.own()
            try:
                # Settings of the embedded server are ours; of another machine nothing is known.
                here = where.roles is None and re.search(r"localhost|127\.0\.0\.1", where.place)
                found = await report(
                    conn,
                    memory_bytes=memory_bytes or (machine_memory_bytes() if here else None),
                )
            finally:
                conn.terminate()
        if json:
            print_json(found)
        else:
            _print(found)
        severe = {"warning"} if fail_on == "warning" else {"warning", "info"}
        failed = fail_on is not None and any(f.severity in severe for f in found.findings)
        return EX_DATAERR if failed else 0

    process.run(work)


def _print(found: Report) -> None:
    say(f"{len(found.findings)} findings")
    print_table(
        ("severity", "code", "subject", "what", "do"),
        [(f.severity, f.code, f.subject, f.what, f.do) for f in found.findings],
    )
    _section("overview", ("name", "value"), list(found.overview.items()))
    for title, rows, columns in (
        ("tables", found.tables, ("table", "live_rows", "dead_rows", "table_bytes", "index_bytes")),
        ("indexes", found.indexes, ("index", "table", "scans", "bytes")),
        (f"idle indexes {found.idle.when()}", found.idle.indexes, ("index", "table", "bytes")),
        ("statements", found.statements or [], ("total_ms", "calls", "mean_ms", "statement")),
        ("activity", found.activity, ("pid", "program", "state", "transaction_seconds")),
        ("locks", found.locks, ("waiting_pid", "waiting_program", "blocking_pid")),
        ("views", found.views, ("view", "age_seconds", "duration_ms")),
        ("partitions", found.partitions, ("partition", "estimated_rows", "bytes")),
    ):
        _section(title, columns, [[row[column] for column in columns] for row in rows])


def _section(title: str, head: tuple[str, ...], rows: list[Any]) -> None:
    if not rows:
        return
    more = f", the largest {SHOWN_ROWS} of {len(rows)}" if len(rows) > SHOWN_ROWS else ""
    print_lines(["", f"{title}{more}"])
    print_table(head, [tuple(map(_rounded, row)) for row in rows[:SHOWN_ROWS]])


def _rounded(value: Any) -> Any:
    return f"{value:,.1f}" if isinstance(value, float) else value


def _memory(given: str | None) -> int | None:
    from renown.errors import BadParameter

    if given is None:
        return None
    match = re.fullmatch(r"(\d{1,6}) ?(MB|GB|TB)", given)
    if match is None or not int(match[1]):
        raise BadParameter("write a size such as 32GB", parameter="--memory")
    return int(match[1]) * {"MB": 2**20, "GB": 2**30, "TB": 2**40}[match[2]]


def _gib(size_bytes: int) -> str:
    return f"{size_bytes / 2**30:.1f} GiB"
