"""`renown audit policy`: which entries need a person, and how long entries stay."""

from __future__ import annotations

import json as json_text
from typing import TYPE_CHECKING, Annotated, Any

import typer

from renown.cli import process
from renown.cli.console import print_fields, print_json, say
from renown.cli.options import Json, Yes, examples
from renown.errors import BadParameter

if TYPE_CHECKING:
    from renown.store.policies import PolicyName
    from renown.store.pool import Conn

_policy = typer.Typer(
    name="policy",
    help="What operators decide: which entries need a review, how long entries stay.",
    no_args_is_help=True,
    rich_markup_mode=None,
    epilog=examples(
        "renown audit policy show", """renown audit policy set retention '{"days": 365}'"""
    ),
)
Name = Annotated[str, typer.Argument(metavar="NAME", help="`review` or `retention`.")]
LONGEST_RETENTION_DAYS = 36_500


def add_to(group: typer.Typer) -> None:
    """Add the commands to `renown audit`."""
    _policy.command(
        "show", epilog=examples("renown audit policy show", "renown audit policy show review")
    )(show)
    _policy.command(
        "set",
        epilog=examples(
            """renown audit policy set retention '{"days": 365}' --yes""",
            """renown audit policy set review '{"bulk-edit": {"at_least": 50}}' --yes""",
            """renown audit policy set review '{"feedback-revoked": false}' --yes""",
        ),
    )(set_)
    _policy.command("unset", epilog=examples("renown audit policy unset review --yes"))(unset)
    group.add_typer(_policy)


def show(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="`review` or `retention`; both without.")
    ] = None,
    json: Json = False,
) -> None:
    """Show policies as they are in force, defaults included."""
    from renown.cli.runtime import database, load
    from renown.store.policies import NAMES

    wanted = NAMES if name is None else (_named(name),)
    settings = load()

    async def work() -> None:
        async with database(settings) as where, where.reading() as conn:
            found = {one: await _in_force(conn, one) for one in wanted}
        if json:
            print_json(found)
            return
        for policy, (value, is_set) in found.items():
            say(f"{policy} ({'set' if is_set else 'as it comes'})")
            print_fields((f"{policy}.{part}", said) for part, said in value.items())

    process.run(work)


def set_(
    name: Name,
    value: Annotated[
        str, typer.Argument(metavar="JSON", help="The policy: a JSON object; see the manual.")
    ],
    yes: Yes = False,
) -> None:
    """Set a policy. Rules that `review` does not name stay as they come."""
    from renown.cli.runtime import database, load

    of = _named(name)
    wanted = _read(of, value)
    settings = load()

    async def work() -> None:
        from renown.store.policies import load_policy, set_policy
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn:
            before = await load_policy(conn, of)
            say(f"was: {_text(None if before is None else before.value)}")
            say(f"new: {_text(wanted)}")
            if not yes:
                say("nothing was changed; add --yes to set it")
                return
            async with transaction(conn) as tx:
                await set_policy(tx, of, wanted)
        say(f"{of} is set; the notary follows within a second")

    process.run(work)


def unset(name: Name, yes: Yes = False) -> None:
    """Go back to what a policy is as it comes."""
    from renown.cli.runtime import database, load

    of = _named(name)
    settings = load()

    async def work() -> None:
        from renown.store.policies import load_policy, unset_policy
        from renown.store.pool import transaction

        async with database(settings) as where, where.reading() as conn:
            before = await load_policy(conn, of)
            if before is None:
                say(f"{of} is not set")
                return
            say(f"was: {_text(before.value)}")
            if not yes:
                say("nothing was changed; add --yes to unset it")
                return
            async with transaction(conn) as tx:
                await unset_policy(tx, of)
        say(f"{of} is as it comes")

    process.run(work)


async def _in_force(conn: Conn, name: PolicyName) -> tuple[dict[str, Any], bool]:
    from renown.audit.rules import read_rules
    from renown.store.policies import load_policy, retention_days

    is_set = await load_policy(conn, name)
    if name == "retention":
        return {"days": await retention_days(conn)}, is_set is not None
    rules = read_rules({} if is_set is None else is_set.value)
    return {rule: dict(numbers) for rule, numbers in rules.items()}, is_set is not None


def _named(name: str) -> PolicyName:
    from renown.store.policies import NAMES

    for one in NAMES:
        if one == name:
            return one
    raise BadParameter(f"a policy is one of {', '.join(NAMES)}", parameter="NAME")


def _read(name: PolicyName, text: str) -> dict[str, Any]:
    from renown.audit.rules import read_rules

    try:
        value = json_text.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadParameter(f"not JSON: {exc}"[:200], parameter="JSON") from None
    if not isinstance(value, dict):
        raise BadParameter("a policy is a JSON object", parameter="JSON")
    if name == "review":
        read_rules(value)
        return value
    days = value.get("days")
    if set(value) != {"days"} or type(days) is not int or not 1 <= days <= LONGEST_RETENTION_DAYS:
        raise BadParameter(
            f'retention is {{"days": N}}, N from 1 to {LONGEST_RETENTION_DAYS}', parameter="JSON"
        )
    return value


def _text(value: object) -> str:
    return "as it comes" if value is None else json_text.dumps(value)
