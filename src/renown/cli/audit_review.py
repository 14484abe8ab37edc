"""`renown audit log`, `show` and `review`: the log, read and reviewed on the database itself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from renown.cli import process
from renown.cli.accounts import account_named
from renown.cli.console import print_fields, print_json, print_table, say
from renown.cli.options import Json, examples
from renown.cli.person import person
from renown.errors import BadParameter

if TYPE_CHECKING:
    from renown.store.audit_reading import ReviewState

EntryId = Annotated[int, typer.Argument(metavar="ID", min=0, help="The entry's id.")]
SHOWN = ("id", "at", "action", "subject", "subject_key", "status", "who", "rule", "review")


def add_to(group: typer.Typer) -> None:
    """Add the commands to `renown audit`."""
    group.command(
        "log",
        epilog=examples(
            "renown audit log --review open",
            "renown audit log --subject api_key --since 2026-11-01 --json",
        ),
    )(log)
    group.command("show", epilog=examples("renown audit show 1042"))(show)
    group.command(
        "review",
        epilog=examples(
            'renown audit review 1042 --note "the key of the old laptop"',
            'renown audit review 1042 1043 1044 --reviewer Rita --note "planned"',
        ),
    )(review)


def log(
    account: Annotated[
        str | None,
        typer.Option(metavar="ACCOUNT", help="Whose key acted: its UUID, or its name."),
    ] = None,
    key: Annotated[str | None, typer.Option(metavar="ID", help="With which key.")] = None,
    action: Annotated[
        str | None, typer.Option(metavar="ACTION", help="Such as `update` or `request`.")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(metavar="SUBJECT", help="A table, a route's pattern, or `chain:ID`."),
    ] = None,
    row: Annotated[str | None, typer.Option(metavar="KEY", help="Which row of the table.")] = None,
    status: Annotated[
        str | None, typer.Option(metavar="STATUS", help="`404`, or a class as `4xx`.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="From this time on, UTC: `2026-11-01`.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time.")] = None,
    request: Annotated[
        str | None, typer.Option(metavar="UUID", help="Entries of one request.")
    ] = None,
    state: Annotated[
        str | None,
        typer.Option("--review", metavar="STATE", help="open, reviewed, not-needed or pending."),
    ] = None,
    rule: Annotated[
        str | None, typer.Option(metavar="RULE", help="That wants a person to look.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, metavar="ROWS", help="How many at most.")
    ] = 50,
    json: Json = False,
) -> None:
    """List what happened, newest first."""
    from renown.cli.runtime import database, load
    from renown.store.audit_reading import Wanted, statuses

    least, most = statuses(status)
    wanted = Wanted(
        key_id=key,
        action=action,
        subject=subject,
        subject_key=row,
        status_least=least,
        status_most=most,
        since=_time(since, "--since"),
        until=_time(until, "--until"),
        request_id=_uuid(request),
        review=_state(state),
        rule=rule,
    )
    settings = load()

    async def work() -> None:
        import msgspec

        from renown.api.answers import audit

        async with database(settings) as where, where.reading() as conn:
            if account is not None:
                of = (await account_named(conn, account)).account_id
                asked = msgspec.structs.replace(wanted, account_id=of)
            else:
                asked = wanted
            page, _ = await audit.page(conn, asked, after=None, limit=limit)
        if json:
            print_json(page)
        elif page.items:
            print_table(SHOWN, (_row(item) for item in page.items))
        else:
            say("there are no such entries")

    process.run(work)


def show(entry_id: EntryId, json: Json = False) -> None:
    """Show one entry, whole, with its reviews."""
    from renown.cli.runtime import database, load

    settings = load()

    async def work() -> None:
        import msgspec

        from renown.api.answers import audit

        async with database(settings) as where, where.reading() as conn:
            found = await audit.entry(conn, entry_id, None)
        if json:
            print_json(found)
            return
        print_fields(
            (name, value) for name, value in msgspec.to_builtins(_told(found)).items() if value
        )

    process.run(work)


def review(
    entry_ids: Annotated[list[int], typer.Argument(metavar="ID...", min=0, help="Which entries.")],
    note: Annotated[
        str, typer.Option(metavar="TEXT", help="What was found; up to 4,000 characters.")
    ],
    reviewer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Who looked. Default: who is logged in.")
    ] = None,
    json: Json = False,
) -> None:
    """Say that a person looked at entries. A review is never changed; there may be several."""
    from renown.cli.runtime import database, load
    from renown.store.audit_review import LONGEST_NOTE, LONGEST_REVIEWER

    who = reviewer or person()
    if not 1 <= len(note) <= LONGEST_NOTE:
        raise BadParameter(f"a note has 1 to {LONGEST_NOTE} characters", parameter="--note")
    if len(who) > LONGEST_REVIEWER:
        raise BadParameter(
            f"a name has up to {LONGEST_REVIEWER} characters", parameter="--reviewer"
        )
    settings = load()

    async def work() -> None:
        from renown.api.answers import audit
        from renown.store import audit_review
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn, transaction(conn) as tx:
            made = [
                await audit_review.review(tx, entry_id, account_id=None, reviewer=who, note=note)
                for entry_id in sorted(set(entry_ids))
            ]
        if json:
            print_json({"items": [audit.review(one) for one in made]})
        else:
            say(f"{len(made)} reviewed by {who}")

    process.run(work)


def _row(item: Any) -> tuple[Any, ...]:
    who = item.account_name or _command(item) or item.db_user
    at = f"{item.at:%Y-%m-%d %H:%M:%S}"
    return (
        *(item.id, at, item.action, item.subject, item.subject_key, item.status, who),
        *(item.rule, item.review),
    )


def _command(item: Any) -> str | None:
    import msgspec

    detail = None if item.detail is None else msgspec.json.decode(bytes(item.detail))
    command = detail.get("command") if isinstance(detail, dict) else None
    return command if isinstance(command, str) else None


def _told(entry: Any) -> dict[str, Any]:
    import msgspec

    fields = msgspec.structs.asdict(entry)
    for name in ("before", "after", "detail"):
        if fields[name] is not None:
            fields[name] = msgspec.json.decode(bytes(fields[name]))
    return fields


def _time(text: str | None, option: str) -> datetime | None:
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
        return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise BadParameter(
            "a time is written as 2026-11-01 or 2026-11-01T12:00:00Z", parameter=option
        ) from None


def _uuid(text: str | None) -> UUID | None:
    try:
        return None if text is None else UUID(text)
    except ValueError:
        raise BadParameter("a request's id is a UUID", parameter="--request") from None


def _state(text: str | None) -> ReviewState | None:
    from renown.store.audit_reading import REVIEW_STATES

    for one in REVIEW_STATES:
        if one == text:
            return one
    if text is None:
        return None
    raise BadParameter(f"one of {', '.join(REVIEW_STATES)}", parameter="--review")
