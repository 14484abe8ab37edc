"""`renown validate`: ask a validator, and answer as one."""

from __future__ import annotations

import re
import secrets
from typing import Annotated, Any

import typer

from renown.cli import process
from renown.cli.acting import Chain, How, acting, acts
from renown.cli.options import Key, examples
from renown.cli.register import Hosted
from renown.errors import BadParameter
from renown.types import checksum_address

Contract = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="The validation registry; the chain's first by default."),
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(
        help="Ask for a validation, or answer one.",
        epilog=examples("renown validate respond 0xHASH 100 --tag hard"),
        no_args_is_help=True,
    )
    group.command(
        epilog=examples(
            "renown validate request 8453:42 0xVALIDATOR request.json",
            "renown validate request 8453:42 0xVALIDATOR ipfs://bafy… --hash 0xHASH",
        )
    )(acts(request))
    group.command(
        epilog=examples(
            "renown validate respond 0xHASH 100 --tag hard",
            "renown validate respond 0xHASH 0 evidence.json --chain base",
        )
    )(acts(respond))
    app.add_typer(group, name="validate")


def request(
    how: How,
    key: Key,
    validator: Annotated[str, typer.Argument(metavar="VALIDATOR", help="Whose answer is wanted.")],
    source: Annotated[
        str,
        typer.Argument(
            metavar="FILE|URI", help="What is to be validated: a JSON file (`-`: stdin) or a URI."
        ),
    ],
    request_hash: Annotated[
        str | None, typer.Option("--hash", metavar="HASH", help="keccak256 of what is at URI.")
    ] = None,
    contract: Contract = None,
    hosted: Hosted = False,
) -> None:
    """Ask a validator about an agent of one's own.

    A FILE is salted, because its hash is a key that the first to use it has for good.
    """

    async def work() -> int:
        from renown.cli.acted_on import as_body, content_of, find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.files import File, Link, registry_name
        from renown.derive.writes import RequestValidation
        from renown.types import parse_address

        asked_of, content = parse_address(validator), content_of(source, hosted=hosted)
        if isinstance(content, Link) and request_hash is None:
            raise BadParameter("--hash: needed with a URI")
        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            on, agent_id = agent.on, agent.ref.agent_id
            if isinstance(content, File):
                own = {
                    "agentRegistry": registry_name(on.chain_id, on.identity),
                    "agentId": agent_id,
                    "validatorAddress": f"eip155:{on.chain_id}:{checksum_address(asked_of)}",
                    "salt": secrets.token_hex(16),
                }
                content = File({**own, **content.fields}, hosted)
            body: dict[str, Any] = {"validator": checksum_address(asked_of)} | as_body(content)
            registry = _registry(contract, on.validation)
            if contract is not None:
                body["contract"] = checksum_address(registry)
            if request_hash is not None:
                body["request_hash"] = _hash(request_hash)
            write = RequestValidation(
                contract=registry,
                validator=asked_of,
                content=content,
                request_hash=None if request_hash is None else _raw(request_hash),
            )
            asked = Asked(
                method="POST",
                path=f"{agent.path}/validations",
                body=body,
                write=write,
                on=on,
                agent_id=agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)


def respond(
    how: How,
    request_hash: Annotated[str, typer.Argument(metavar="HASH", help="The hash of the request.")],
    response: Annotated[
        int, typer.Argument(min=0, max=100, metavar="RESPONSE", help="0 failed to 100 passed.")
    ],
    source: Annotated[
        str | None,
        typer.Argument(metavar="[FILE|URI]", help="Evidence: a JSON file (`-`: stdin) or a URI."),
    ] = None,
    tag: Annotated[str, typer.Option(help="What kind of answer it is.")] = "",
    chain: Chain = None,
    contract: Contract = None,
    hosted: Hosted = False,
) -> None:
    """Answer a validation request, as the validator that it names."""

    async def work() -> int:
        from renown.cli.acted_on import as_body, chain_named, content_of
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.writes import AnswerValidation

        on, content = chain_named(chain), content_of(source, hosted=hosted)
        registry = _registry(contract, on.validation)
        body: dict[str, Any] = {
            "response": response,
            "tag": tag,
            "chain": on.chain_id,
            "contract": checksum_address(registry),
        }
        async with acting(how) as actor:
            asked = Asked(
                method="POST",
                path=f"/v1/validations/{_hash(request_hash)}/response",
                body=body | as_body(content),
                write=AnswerValidation(
                    contract=registry,
                    request_hash=_raw(request_hash),
                    response=response,
                    tag=tag.encode(),
                    content=content,
                ),
                on=on,
            )
            return await carry_out(actor, asked)

    process.run(work)


def _registry(text: str | None, known: tuple[bytes, ...]) -> bytes:
    from renown.types import parse_address

    if text is not None:
        return parse_address(text)
    if not known:
        raise BadParameter("--contract: no validation registry of that chain is known")
    return known[0]


def _hash(text: str) -> str:
    if re.fullmatch(r"0x[0-9a-fA-F]{64}", text) is None:
        raise BadParameter("a request's hash is 0x and 64 hex digits")
    return text.lower()


def _raw(text: str) -> bytes:
    return bytes.fromhex(_hash(text)[2:])
