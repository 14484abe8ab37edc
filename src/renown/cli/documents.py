"""`renown registration`, `diff`, `findings`: what agents say of themselves, and what was found."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from renown.cli import process
from renown.cli.console import clean, print_fields, print_json, print_table, say
from renown.cli.options import At, Json, Key, OneChain, examples
from renown.errors import BadParameter

if TYPE_CHECKING:
    from renown.api.answers.documents import Change, DocumentDiff, DocumentVersion
    from renown.api.answers.findings import Finding
    from renown.api.answers.registration import Registration
    from renown.store.pool import Conn

LONGEST_VALUE = 400
"""Of a value in a diff for people."""
_COLOURS = {"-": "\x1b[31m", "+": "\x1b[32m", "@": "\x1b[36m"}


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "renown registration 8453:42",
            "renown registration 8453:42 --at 36000000 --json",
            "renown registration 8453:42 --served > agent.json",
        )
    )(registration)
    app.command(
        "diff",
        epilog=examples(
            "renown diff 8453:42",
            "renown diff 8453:42 --list",
            "renown diff 8453:42 --from 1 --to 3 --json",
        ),
    )(diff)
    app.command(epilog=examples("renown findings 8453:42", "renown findings --chain base --json"))(
        findings
    )


def registration(
    key: Key,
    raw: Annotated[
        bool, typer.Option("--raw", help="The JSON of the file as found, sanitised.")
    ] = False,
    served: Annotated[
        bool, typer.Option("--served", help="The bytes exactly as they were fetched.")
    ] = False,
    at: At = None,
    json: Json = False,
) -> None:
    """Show the file behind an agent's URI: what it says, when it was read, what is wrong with it.

    With --at it is the file of the URI that held then: for a URI that determines its bytes whenever
    they were read, for another the last one read by then.
    """
    from renown.api.answers import registration as answers
    from renown.api.answers.as_of import parse_at
    from renown.types import parse_agent_key

    if served and (raw or json):
        raise BadParameter("--served prints bytes: leave --raw and --json out")
    if served and sys.stdout.isatty():
        raise BadParameter("--served would print a stranger's bytes on your terminal: redirect it")
    wanted, moment = parse_agent_key(key), parse_at(at)

    async def read(conn: Conn) -> None:
        if served:
            found = await answers.served(conn, wanted, at=moment)
            sys.stdout.buffer.write(found.raw)
            sys.stdout.flush()
            return
        form: answers.Form = "raw" if raw else "normalised"
        body = (await answers.of_agent(conn, wanted, form=form, at=moment)).body
        if json:
            print_json(body)
        elif raw:
            print_json(body.content)
        else:
            _print_registration(body)

    _read(read)


def diff(
    key: Key,
    before: Annotated[
        int | None, typer.Option("--from", min=1, metavar="N", help="Number of the older version.")
    ] = None,
    after: Annotated[
        int | None, typer.Option("--to", min=1, metavar="M", help="Number of the newer version.")
    ] = None,
    versions: Annotated[
        bool, typer.Option("--list", help="List the versions with their numbers instead.")
    ] = False,
    json: Json = False,
) -> None:
    """Show what changed in an agent's file: at its last change, or between two versions."""
    from renown.api.answers import documents as answers
    from renown.types import parse_agent_key

    if versions and (before or after):
        raise BadParameter("--list lists all versions: leave --from and --to out")
    wanted = parse_agent_key(key)

    async def read(conn: Conn) -> None:
        if versions:
            _print_versions(await answers.numbered(conn, wanted), json)
            return
        body = (await answers.compare(conn, wanted, before=before, after=after)).body
        if json:
            print_json(body)
        else:
            _print_diff(body)

    _read(read)


def findings(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[KEY]", help="An agent; without, counts over the whole index."),
    ] = None,
    chain: OneChain = None,
    json: Json = False,
) -> None:
    """Show what was found about an agent, or how many agents have each finding."""
    from renown.api.answers import findings as answers
    from renown.spec.deployments import find
    from renown.types import parse_agent_key

    wanted = parse_agent_key(key) if key is not None else None
    if wanted is not None and chain is not None:
        raise BadParameter("--chain is for counts: leave it out with an agent's key")
    chain_id = find(chain).chain_id if chain else None

    async def read(conn: Conn) -> None:
        if wanted is not None:
            one = (await answers.of_agent(conn, wanted)).body
            if json:
                print_json(one)
                return
            _print_findings(one.items)
            if not one.current:
                say("the agent changed since: look again soon")
            return
        body = (await answers.counts(conn, chain_id=chain_id)).body
        if json:
            print_json(body)
            return
        print_table(
            ("agents", "severity", "code", "title"),
            ((i.agents, i.severity, i.code, i.title) for i in body.items if i.agents),
        )
        if body.counted_at is None:
            say("agents are not counted yet")

    _read(read)


def _print_registration(body: Registration) -> None:
    shown: list[tuple[str, Any]] = [
        ("key", body.key),
        ("state", body.state),
        ("uri", body.uri),
        ("fetched", body.fetched_at),
        ("sha256", body.sha256),
    ]
    if body.moment is not None:
        shown.insert(1, ("at", body.moment))
    if body.attempt is not None:
        told = (body.attempt.outcome, body.attempt.reason, body.attempt.status)
        said = " ".join(str(one) for one in told if one is not None)
        shown.append(("last attempt", f"{body.attempt.at} {said}"))
    file = body.registration
    if isinstance(file, msgspec.Struct):
        shown += [
            *(("name", file.name), ("description", file.description), ("image", file.image)),
            *(("x402", file.x402), ("active", file.active), ("trust", ", ".join(file.trust))),
            ("registrations", sum(claim.this for claim in file.claims) > 0),
        ]
        shown += [
            (f"service {service.position}", f"{service.name}: {service.endpoint or '-'}")
            for service in file.services
        ]
    shown += [
        ("finding", f"{one.severity} {one.code} {one.path} {one.detail}".rstrip())
        for one in body.findings
    ]
    print_fields(shown)


def _print_findings(items: Iterable[Finding]) -> None:
    print_table(
        ("severity", "code", "where", "detail", "title"),
        ((f.severity, f.code, f.path, f.detail, f.title) for f in items),
    )


def _print_versions(items: list[DocumentVersion], json: bool) -> None:
    if json:
        print_json({"items": items})
        return
    print_table(
        ("number", "said at block", "first seen", "last seen", "state", "sha256", "uri"),
        (
            (v.number, v.said_block, v.first_seen, v.last_seen, v.state, v.sha256, v.uri)
            for v in items
        ),
    )


def _print_diff(body: DocumentDiff) -> None:
    colour = sys.stdout.isatty()
    lines = [_header("---", body.before), _header("+++", body.after)]
    for change in body.changes:
        lines += _changed(change)
    if not body.changes:
        say("the two are the same")
    for line in lines:
        text = clean(line)
        paint = _COLOURS.get(text[0]) if colour else None
        sys.stdout.write(f"{paint}{text}\x1b[0m\n" if paint else text + "\n")
    sys.stdout.flush()
    if body.more_changes:
        say("there are more changes than are shown; compare the files themselves")


def _header(mark: str, version: DocumentVersion) -> str:
    seen = f"{version.first_seen:%Y-%m-%dT%H:%M:%SZ}" if version.first_seen else "-"
    return f"{mark} version {version.number}  {seen}  {version.sha256 or '-'}  {version.uri}"


def _changed(change: Change) -> list[str]:
    lines = [f"@ {change.path or '/'}"]
    if change.op != "add":
        lines.append(f"- {_value(change.before)}")
    if change.op != "remove":
        lines.append(f"+ {_value(change.after)}")
    return lines


def _value(value: Any) -> str:
    text = msgspec.json.encode(value).decode()
    return text if len(text) <= LONGEST_VALUE else text[:LONGEST_VALUE] + "…"


def _read(work: Callable[[Conn], Awaitable[None]]) -> None:
    from renown.cli.runtime import database, load

    settings = load()

    async def run() -> None:
        async with database(settings) as where, where.reading() as conn:
            await work(conn)

    process.run(run)
