"""`renown operation`: what was asked of the chain, and what is left of it."""

from __future__ import annotations

import re
from typing import Annotated

import typer

from renown.cli import process
from renown.cli.acting import How, acting, acts
from renown.cli.console import print_json, print_table, say
from renown.cli.options import examples
from renown.errors import BadParameter

_ID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown operation",
            "renown operation 6f1c7e0a-… --wait final",
            "renown operation 6f1c7e0a-… --resume --keystore wallet.json",
        )
    )(acts(operation))


def operation(
    how: How,
    operation_id: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One of them; without, the newest.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Try again what is left of it.")] = False,
) -> None:
    """Show the account's operations, or how far one is; try again what is left of it.

    A transaction to be signed again is shown as what it does, read from its calldata here.
    """
    if resume and operation_id is None:
        raise BadParameter("--resume: which one?")

    if operation_id is not None and _ID.fullmatch(operation_id) is None:
        raise BadParameter(f"{operation_id[:100]}: an operation's id is a UUID")

    async def work() -> int:
        from renown.cli.runtime import load

        if operation_id is None:
            return await _list(how)
        if resume:
            return await _resume(how, operation_id)
        from renown.cli.acting import connected
        from renown.cli.carrying import report
        from renown.sdk import read_operation, wait

        async with connected(load()) as api:
            if how.wait == "none":
                found = read_operation(await api.get(f"/v1/operations/{operation_id}"))
            else:
                found = await wait(api, operation_id, how.wait)
            return report(found, how)

    process.run(work)


async def _list(how: How) -> int:
    from renown.cli.acting import connected
    from renown.cli.runtime import load

    async with connected(load()) as api:
        body = await api.get("/v1/operations", limit=50)
    if how.json:
        print_json(body)
        return 0
    rows = [
        (one.get("id"), one.get("kind"), one.get("state"), one.get("next"), one.get("created_at"))
        for one in body.get("items", [])
        if isinstance(one, dict)
    ]
    print_table(("operation", "kind", "state", "next", "made"), rows)
    return 0


async def _resume(how: How, operation_id: str) -> int:
    from renown.cli.acting import confirm
    from renown.cli.carrying import ether, report, sign_and_relay, to_sign, tried_again, watched
    from renown.cli.checking import check_by_itself, cost_wei, highest_fee_wei
    from renown.sdk import read_operation

    async with acting(how) as actor:
        found = read_operation(await actor.api.get(f"/v1/operations/{operation_id}"))
        if how.dry_run:
            return report(found, how)
        for number in range(len(found.transactions)):
            if found.is_waiting_for_fees or (number == 0 and found.next == "resume"):
                found = await tried_again(actor, found)
            if found.next == "sign" and actor.signer is not None:
                ready = to_sign(found)
                for one in ready:
                    say(f"{one.step}. {check_by_itself(one, found, actor.address)}")
                say(f"costs at most {ether(cost_wei(ready))} ether")
                confirm(how, "Sign and send?")
                found = await sign_and_relay(actor, found, highest_fee_wei(ready))
            found = await watched(actor, found)
            if not (found.next == "sign" or found.is_waiting_for_fees) or how.wait == "none":
                break
        return report(found, how)
