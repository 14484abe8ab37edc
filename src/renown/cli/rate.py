"""`renown rate`, `renown revoke`, `renown respond`: what is said about agents."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from renown.cli import process
from renown.cli.acting import How, acting, acts
from renown.cli.options import Key, examples
from renown.cli.register import Hosted
from renown.errors import BadParameter
from renown.types import checksum_address

Index = Annotated[
    int, typer.Argument(min=1, metavar="INDEX", help="Number of the client's feedback, from 1.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        epilog=examples(
            "renown rate 8453:42 87 --tag1 starred",
            "renown rate 8453:42 99.7 --tag1 uptime --text 'Up all month.'",
            "renown rate 31337:5 90 --paid 0xHASH --devnet-account 1",
        )
    )(acts(rate))
    app.command(epilog=examples("renown revoke 8453:42 1"))(acts(revoke))
    app.command(
        epilog=examples(
            "renown respond 8453:42 0xCLIENT 1 answer.json",
            "renown respond 8453:42 0xCLIENT 1 ipfs://bafy… --dry-run",
        )
    )(acts(respond))


def rate(
    how: How,
    key: Key,
    value: Annotated[
        str,
        typer.Argument(
            metavar="VALUE", help="The number itself, exactly: 87, 99.7, -3.2 (after `--`)."
        ),
    ],
    decimals: Annotated[
        int | None,
        typer.Option(
            min=0, max=18, metavar="N", help="VALUE is the whole number to be read with N decimals."
        ),
    ] = None,
    tag1: Annotated[str, typer.Option(help="What it measures, e.g. `starred`, `uptime`.")] = "",
    tag2: Annotated[str, typer.Option(help="A second tag.")] = "",
    endpoint: Annotated[str, typer.Option(help="Which endpoint of the agent it is about.")] = "",
    text: Annotated[str | None, typer.Option(help="Words; they go into a file.")] = None,
    paid: Annotated[
        str | None,
        typer.Option(metavar="TX", help="The transaction that paid the agent, as proof."),
    ] = None,
    paid_chain: Annotated[
        str | None,
        typer.Option(metavar="CHAIN", help="Its chain; the agent's by default."),
    ] = None,
    hosted: Hosted = False,
) -> None:
    """Rate an agent. Its owner and operators cannot.

    With --text or --paid a file is written, whose hash goes onto the chain. A payment is looked up
    on its chain afterwards, and counts for one feedback.
    """

    async def work() -> int:
        import msgspec

        from renown.cli.acted_on import chain_named, find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.files import File
        from renown.derive.writes import GiveFeedback, exact_value, feedback_file

        number, scale = exact_value(value, decimals)
        paid_by = None if paid is None else _hash(paid)
        given = GiveFeedback(
            value=number,
            decimals=scale,
            tag1=tag1.encode(),
            tag2=tag2.encode(),
            endpoint=endpoint.encode(),
        )
        body: dict[str, Any] = {
            "value": number,
            "decimals": scale,
            "tag1": tag1,
            "tag2": tag2,
            "endpoint": endpoint,
        }
        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            proof = None
            if paid_by is not None:
                if agent.wallet is None:
                    raise BadParameter("--paid: the agent has no wallet that could be paid")
                pay_chain = chain_named(paid_chain, agent.on.slug).chain_id
                proof = {
                    "fromAddress": checksum_address(actor.address),
                    "toAddress": checksum_address(agent.wallet),
                    "chainId": str(pay_chain),
                    "txHash": paid_by,
                }
                body["proof_of_payment"] = {
                    "tx_hash": paid_by,
                    "chain_id": pay_chain,
                    "from": proof["fromAddress"],
                    "to": proof["toAddress"],
                }
            if text is not None or proof is not None:
                said = {"createdAt": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
                said |= {} if text is None else {"text": text}
                body |= {"file": said, "store": "hosted" if hosted else "inline"}
                fields = feedback_file(
                    said,
                    chain_id=agent.on.chain_id,
                    registry=agent.on.identity,
                    agent_id=agent.ref.agent_id,
                    client=actor.address,
                    created_at=said["createdAt"],
                    feedback=given,
                    paid=proof,
                )
                written = msgspec.structs.replace(given, content=File(fields, hosted))
            else:
                written = given
            asked = Asked(
                method="POST",
                path=f"{agent.path}/feedback",
                body=body,
                write=written,
                on=agent.on,
                agent_id=agent.ref.agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)


def revoke(how: How, key: Key, index: Index) -> None:
    """Take a feedback of one's own back, for good. It stays visible as revoked."""

    async def work() -> int:
        from renown.cli.acted_on import find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.writes import RevokeFeedback

        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            client = checksum_address(actor.address)
            asked = Asked(
                method="DELETE",
                path=f"{agent.path}/feedback/{client}/{index}",
                body={},
                write=RevokeFeedback(index),
                on=agent.on,
                agent_id=agent.ref.agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)


def respond(
    how: How,
    key: Key,
    client: Annotated[str, typer.Argument(metavar="CLIENT", help="Who gave the feedback.")],
    index: Index,
    source: Annotated[
        str,
        typer.Argument(metavar="FILE|URI", help="The answer: a JSON file (`-`: stdin) or a URI."),
    ],
    hosted: Hosted = False,
) -> None:
    """Answer a feedback, as the agent's owner or as anybody else."""

    async def work() -> int:
        from renown.cli.acted_on import as_body, content_of, find_agent
        from renown.cli.carrying import Asked, carry_out
        from renown.derive.writes import Respond
        from renown.types import parse_address

        by, content = parse_address(client), content_of(source, hosted=hosted)
        async with acting(how) as actor:
            agent = await find_agent(actor.api, key)
            asked = Asked(
                method="POST",
                path=f"{agent.path}/feedback/{checksum_address(by)}/{index}/responses",
                body=as_body(content),
                write=Respond(client=by, index=index, content=content),
                on=agent.on,
                agent_id=agent.ref.agent_id,
            )
            return await carry_out(actor, asked)

    process.run(work)


def _hash(text: str) -> str:
    import re

    if re.fullmatch(r"0x[0-9a-fA-F]{64}", text) is None:
        raise BadParameter("--paid: a transaction is 0x and 64 hex digits")
    return text.lower()
