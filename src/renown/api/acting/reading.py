"""Bodies as writes: texts become bytes, files get what the standard demands. Pure."""

from __future__ import annotations

from typing import Any

import msgspec

from renown.api.acting.bodies import (
    Acting,
    FeedbackBody,
    HexValue,
    ProofOfPayment,
    RegisterBody,
    ResponseBody,
    UpdateBody,
    ValidationBody,
    ValidationResponseBody,
    WithFile,
)
from renown.derive.files import NO_HASH, Content, File, Link, naming_itself, registry_name
from renown.derive.writes import (
    AnswerValidation,
    GiveFeedback,
    Register,
    RequestValidation,
    Respond,
    Update,
    exact_value,
    feedback_file,
    refused,
)
from renown.errors import BadBody
from renown.spec.deployments import Deployment
from renown.types import checksum_address, parse_address


def require_texts(value: Any) -> None:
    """Raises BadBody where a text of a body holds NUL, which neither files nor databases keep."""
    if isinstance(value, str):
        if "\0" in value:
            raise BadBody("a text holds a NUL character")
    elif isinstance(value, dict):
        for name, one in value.items():
            require_texts(name)
            require_texts(one)
    elif isinstance(value, list):
        for one in value:
            require_texts(one)


def hash_of(text: str) -> bytes:
    """The bytes of a hexadecimal text that its type has checked."""
    return bytes.fromhex(text[2:])


def required(value: Any, field: str) -> Any:
    """Raises BadBody for a field that only `relay` may leave out."""
    if value is None:
        raise refused(field, "is needed")
    return value


def content_of(body: WithFile, base_url: str) -> Content | None:
    """The file that comes with a body; None where none does."""
    if body.file is None:
        if body.uri is None:
            if body.content_hash is not None:
                raise refused("content_hash", "of what? give `uri`, too")
            return None
        given = NO_HASH if body.content_hash is None else hash_of(body.content_hash)
        return Link(body.uri.encode(), given)
    if body.uri is not None or body.content_hash is not None:
        raise refused("file", "not together with `uri` or `content_hash`")
    return File(body.file, body.store == "hosted", base_url)


def register_of(body: RegisterBody, base_url: str) -> Register:
    """A registration."""
    if any(value is None or value == "" for value in body.metadata.values()):
        raise refused("metadata", "a new agent has none that could be removed")
    return Register(
        content=content_of(body, base_url) or Link(),
        metadata=_entries(body.metadata),
        names_itself=body.names_itself,
    )


def update_of(body: UpdateBody, base_url: str, on: Deployment, agent_id: int) -> Update:
    """An update; a file that we write names the agent, unless that is not wanted."""
    content = content_of(body, base_url)
    if isinstance(content, File) and body.names_itself:
        fields = naming_itself(content.fields, on.chain_id, on.identity, agent_id)
        content = File(fields, content.hosted, content.base_url)
    return Update(content=content, metadata=_entries(body.metadata))


def feedback_of(
    body: FeedbackBody,
    base_url: str,
    on: Deployment,
    agent_id: int,
    *,
    client: bytes,
    wallet: bytes | None,
    created_at: str,
) -> GiveFeedback:
    """A rating, with its file where there is one.

    Args:
        wallet: the agent's, for a proof of payment that does not say whom.
        created_at: ISO 8601, UTC.
    """
    value, decimals = exact_value(required(body.value, "value"), body.decimals)
    content = content_of(body, base_url)
    said = GiveFeedback(
        value=value,
        decimals=decimals,
        tag1=body.tag1.encode(),
        tag2=body.tag2.encode(),
        endpoint=body.endpoint.encode(),
        content=content or Link(),
    )
    proof = body.proof_of_payment
    if isinstance(content, Link) and proof is not None:
        raise refused("proof_of_payment", "goes into the file: with `uri`, put it there yourself")
    if (content is None and proof is None) or isinstance(content, Link):
        return said
    fields = feedback_file(
        content.fields if content is not None else {},
        chain_id=on.chain_id,
        registry=on.identity,
        agent_id=agent_id,
        client=client,
        created_at=created_at,
        feedback=said,
        paid=None if proof is None else _paid(proof, on, client, wallet),
    )
    return GiveFeedback(
        value=value,
        decimals=decimals,
        tag1=said.tag1,
        tag2=said.tag2,
        endpoint=said.endpoint,
        content=File(fields, body.store == "hosted", base_url),
    )


def response_of(body: ResponseBody, base_url: str, client: bytes, index: int) -> Respond:
    """An answer to a feedback."""
    return Respond(client=client, index=index, content=content_of(body, base_url) or Link())


def validation_of(
    body: ValidationBody, base_url: str, on: Deployment, agent_id: int, *, salt: str
) -> RequestValidation:
    """A request for validation. A file that we write is salted: its hash is a key that somebody
    who guesses it could take first (ERC-8004, validation registry, rules)."""
    contract = contract_of(body.contract, on)
    validator = parse_address(required(body.validator, "validator"))
    content = content_of(body, base_url)
    if isinstance(content, File):
        own = {
            "agentRegistry": registry_name(on.chain_id, on.identity),
            "agentId": agent_id,
            "validatorAddress": f"eip155:{on.chain_id}:{checksum_address(validator)}",
            "salt": salt,
        }
        content = File({**own, **content.fields}, content.hosted, content.base_url)
        if body.request_hash is not None:
            raise refused("request_hash", "is that of the `file`, which we write")
    return RequestValidation(
        contract=contract,
        validator=validator,
        content=content or Link(),
        request_hash=None if body.request_hash is None else hash_of(body.request_hash),
    )


def validation_response_of(
    body: ValidationResponseBody, base_url: str, contract: bytes, request_hash: bytes
) -> AnswerValidation:
    """A validator's answer."""
    return AnswerValidation(
        contract=contract,
        request_hash=request_hash,
        response=required(body.response, "response"),
        tag=body.tag.encode(),
        content=content_of(body, base_url) or Link(),
    )


def contract_of(text: str | None, on: Deployment) -> bytes:
    """A validation registry of the chain. Raises BadBody for any other contract."""
    known = on.validation
    if text is None:
        if not known:
            raise refused("contract", f"no validation registry of {on.name} is known")
        return known[0]
    contract = parse_address(text)
    if contract not in known:
        raise refused("contract", f"no validation registry of {on.name} that is followed here")
    return contract


def asked(body: Acting) -> dict[str, Any]:
    """What was asked, to be kept for people. Files and signed transactions are kept elsewhere."""
    kept: dict[str, Any] = msgspec.to_builtins(body)
    for name in ("transactions", "dry_run", "file"):
        kept.pop(name, None)
    return {name: value for name, value in kept.items() if value not in (None, "", {})}


def _entries(values: dict[str, str | HexValue | None]) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((key.encode(), _value(value)) for key, value in values.items())


def _value(value: str | HexValue | None) -> bytes:
    if value is None:
        return b""
    return hash_of(value.hex) if isinstance(value, HexValue) else value.encode()


def _paid(
    proof: ProofOfPayment, on: Deployment, client: bytes, wallet: bytes | None
) -> dict[str, Any]:
    if proof.payee is None and wallet is None:
        raise refused("proof_of_payment.to", "is needed: the agent has no wallet")
    payee = wallet if proof.payee is None else parse_address(proof.payee)
    payer = client if proof.payer is None else parse_address(proof.payer)
    assert payee is not None
    return {
        "fromAddress": checksum_address(payer),
        "toAddress": checksum_address(payee),
        "chainId": str(proof.chain_id or on.chain_id),
        "txHash": proof.tx_hash.lower(),
    }
