"""Plans: what a write is as transactions, before any node is asked. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from renown.derive.files import File, Placed, naming_itself, placed
from renown.derive.operation import AwaitsAgentId, AwaitsWalletSignature, Kind, PlannedStep
from renown.derive.writes import (
    AnswerValidation,
    GiveFeedback,
    Register,
    RequestValidation,
    Respond,
    RevokeFeedback,
    SetWallet,
    UnsetWallet,
    Update,
    Write,
    refused,
)
from renown.errors import TransactionRefused
from renown.spec import calls
from renown.spec.deployments import Deployment
from renown.spec.telling import describe_call
from renown.types import checksum_address

MOST_CALLDATA_BYTES = 127 * 1024
"""Nodes take transactions of 128 KiB into their pools; the rest is what stands around it."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """A write as transactions of one sender, in order.

    `files` are those that we must serve by the time the transactions are sent.
    """

    kind: Kind
    steps: tuple[PlannedStep, ...]
    files: tuple[bytes, ...] = ()


def plan(write: Write, on: Deployment, agent_id: int | None) -> Plan:
    """`write` as a plan. `agent_id` is None for a registration, and unused for an answer to a
    validation.

    Raises:
        BadBody: a contract would refuse it whoever sends it, or no node would take so long a
            transaction; names the field.
    """
    write.check()
    if isinstance(write, Register):
        return _register(write, on)
    if isinstance(write, AnswerValidation):
        return _validation_response(write, on)
    if agent_id is None:
        raise ValueError("of which agent?")
    match write:
        case Update():
            return _update(write, on, agent_id)
        case SetWallet() | UnsetWallet():
            return Plan(kind="wallet", steps=(wallet_step(write, on, agent_id),))
        case GiveFeedback():
            return _feedback(write, on, agent_id)
        case RevokeFeedback():
            calldata = calls.revoke_feedback(agent_id, write.index)
            return Plan(kind="revoke", steps=(call_step(on, on.reputation, calldata),))
        case Respond():
            return _response(write, on, agent_id)
        case RequestValidation():
            return _validation_request(write, on, agent_id)


def fill_agent_id(
    template: AwaitsAgentId, agent_id: int, chain_id: int, registry: bytes
) -> tuple[bytes, bytes | None]:
    """The `setAgentURI` that a registration ends with, now that the agent's id is known.

    Returns:
        The calldata, and the file that must be hosted before it is sent; None: the URI holds it.
    """
    fields = naming_itself(template.file, chain_id, registry, agent_id)
    place = placed(File(fields, template.hosted, template.base_url))
    return calls.set_agent_uri(agent_id, place.uri), place.hosted


# Calls that somebody else made ---------------------------------------------------------------

_FUNCTIONS: Mapping[Kind, tuple[str, ...]] = {
    "register": (calls.REGISTER, calls.REGISTER_URI, calls.REGISTER_METADATA),
    "update": (calls.SET_AGENT_URI, calls.SET_METADATA),
    "wallet": (calls.SET_AGENT_WALLET, calls.UNSET_AGENT_WALLET),
    "feedback": (calls.GIVE_FEEDBACK,),
    "revoke": (calls.REVOKE_FEEDBACK,),
    "response": (calls.APPEND_RESPONSE,),
    "validation-request": (calls.VALIDATION_REQUEST,),
    "validation-response": (calls.VALIDATION_RESPONSE,),
}
_SEVERAL: frozenset[Kind] = frozenset({"update"})


def plan_of_calls(
    kind: Kind,
    on: Deployment,
    sent: Sequence[tuple[bytes | None, bytes]],
    expected: Mapping[str, Any],
) -> Plan:
    """The plan that signed transactions amount to: (contract, calldata) each, in nonce order.

    Args:
        expected: arguments by name that each call must have, e.g. `agent_id`.

    Raises:
        TransactionRefused: one is not such a call of such a registry; its `position` says which.
    """
    if len(sent) > 1 and kind not in _SEVERAL:
        raise TransactionRefused("this write is one transaction", position=1)
    steps = []
    for position, (contract, calldata) in enumerate(sent):
        try:
            call = calls.read_call(calldata)
        except ValueError as exc:
            raise TransactionRefused(str(exc), position=position) from None
        if call.function not in _FUNCTIONS[kind]:
            raise TransactionRefused(f"it calls {call.function}", position=position)
        if contract not in _contracts(kind, on):
            raise TransactionRefused("it is not sent to the registry", position=position)
        for name, value in expected.items():
            if call.arguments.get(name, value) != value:
                raise TransactionRefused(f"its `{name}` is another", position=position)
        steps.append(call_step(on, contract, calldata))
    return Plan(kind=kind, steps=tuple(steps))


def _contracts(kind: Kind, on: Deployment) -> tuple[bytes, ...]:
    if kind in ("register", "update", "wallet"):
        return (on.identity,)
    if kind in ("feedback", "revoke", "response"):
        return (on.reputation,)
    return on.validation


# Steps ---------------------------------------------------------------------------------------


def call_step(on: Deployment, contract: bytes, calldata: bytes) -> PlannedStep:
    """A step that is known whole; what it says it does is read from its calldata.

    Raises:
        BadBody: too long for a transaction.
    """
    if len(calldata) > MOST_CALLDATA_BYTES:
        raise refused(
            "file", f"makes a transaction of more than {MOST_CALLDATA_BYTES} bytes: let us host it"
        )
    call = calls.read_call(calldata)
    summary = describe_call(call, contract_name=_contract_name(on, contract))
    return PlannedStep(
        function=call.function, contract=contract, summary=summary, calldata=calldata
    )


def wallet_step(write: SetWallet | UnsetWallet, on: Deployment, agent_id: int) -> PlannedStep:
    """The one step of a wallet's change; without calldata while the signature is missing."""
    if isinstance(write, UnsetWallet):
        return call_step(on, on.identity, calls.unset_agent_wallet(agent_id))
    # The sentence is that of the finished call, which differs in the signature alone.
    finished = call_step(
        on,
        on.identity,
        calls.set_agent_wallet(agent_id, write.wallet, write.deadline, write.signature or b""),
    )
    if write.signature is not None:
        return finished
    template = AwaitsWalletSignature(
        checksum_address(write.wallet), checksum_address(write.owner), write.deadline
    )
    return msgspec.structs.replace(finished, calldata=None, template=template)


def _contract_name(on: Deployment, contract: bytes) -> str:
    role = "validation"
    if contract == on.identity:
        role = "identity"
    elif contract == on.reputation:
        role = "reputation"
    return f"the {role} registry of {on.name}"


# Plans of several parts ------------------------------------------------------------------------


def _register(write: Register, on: Deployment) -> Plan:
    if write.names_itself and isinstance(write.content, File):
        # The file waits for the id: an agent that has no URI yet is better than one whose first
        # file is paid for and thrown away.
        content = write.content
        first = call_step(on, on.identity, calls.register(None, write.metadata))
        template = AwaitsAgentId(dict(content.fields), content.hosted, content.base_url)
        _require_room(template, on)
        second = PlannedStep(
            function=calls.SET_AGENT_URI,
            contract=on.identity,
            summary=f"On {_contract_name(on, on.identity)}: set the URI of the new agent to its"
            " file, with the id that the registration gave it.",
            template=template,
        )
        return Plan(kind="register", steps=(first, second))
    place = placed(write.content)
    calldata = calls.register(place.uri or None, write.metadata)
    return _one("register", on, on.identity, calldata, place)


def _require_room(template: AwaitsAgentId, on: Deployment) -> None:
    """Raises BadBody where the file would be too long for a transaction, whatever the id."""
    calldata, _ = fill_agent_id(template, 2**63 - 1, on.chain_id, on.identity)
    call_step(on, on.identity, calldata)


def _update(write: Update, on: Deployment, agent_id: int) -> Plan:
    """The URI first, then what is set, then what is removed: each a transaction of its own."""
    made = []
    files: tuple[bytes, ...] = ()
    if write.content is not None:
        place = placed(write.content)
        made.append(calls.set_agent_uri(agent_id, place.uri))
        files = _files(place)
    for key, value in sorted(write.metadata, key=lambda entry: not entry[1]):
        made.append(calls.set_metadata(agent_id, key, value))
    steps = tuple(call_step(on, on.identity, calldata) for calldata in made)
    return Plan(kind="update", steps=steps, files=files)


def _feedback(write: GiveFeedback, on: Deployment, agent_id: int) -> Plan:
    place = placed(write.content)
    calldata = calls.give_feedback(
        *(agent_id, write.value, write.decimals, write.tag1, write.tag2, write.endpoint),
        *(place.uri, place.content_hash),
    )
    return _one("feedback", on, on.reputation, calldata, place)


def _response(write: Respond, on: Deployment, agent_id: int) -> Plan:
    place = placed(write.content)
    calldata = calls.append_response(
        agent_id, write.client, write.index, place.uri, place.content_hash
    )
    return _one("response", on, on.reputation, calldata, place)


def _validation_request(write: RequestValidation, on: Deployment, agent_id: int) -> Plan:
    place = placed(write.content)
    request_hash = write.request_hash or place.content_hash
    calldata = calls.validation_request(write.validator, agent_id, place.uri, request_hash)
    return _one("validation-request", on, write.contract, calldata, place)


def _validation_response(write: AnswerValidation, on: Deployment) -> Plan:
    place = placed(write.content)
    calldata = calls.validation_response(
        write.request_hash, write.response, place.uri, place.content_hash, write.tag
    )
    return _one("validation-response", on, write.contract, calldata, place)


def _one(kind: Kind, on: Deployment, contract: bytes, calldata: bytes, place: Placed) -> Plan:
    return Plan(kind=kind, steps=(call_step(on, contract, calldata),), files=_files(place))


def _files(place: Placed) -> tuple[bytes, ...]:
    return () if place.hosted is None else (place.hosted,)
