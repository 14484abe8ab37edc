"""A call as one sentence that a person can check before signing it. Pure.

Everything in it is read from the calldata, so it says what will happen and not what somebody meant.
Strangers' text is quoted, cut and made harmless; where it is cut, its length is said.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from renown.spec import calldata
from renown.spec.calldata import Call
from renown.spec.text import clean_text, shown
from renown.types import checksum_address

MAX_QUOTED_CHARACTERS = 80


def describe_call(call: Call, *, contract_name: str) -> str:
    """One sentence, e.g. `On the identity registry of Base: set the URI of agent 7 to "ipfs://x".`

    Args:
        contract_name: what is called, for people: `the identity registry of Base`.
    """
    sentence = _SENTENCES[call.function](call.arguments)
    return f"On {contract_name}: {sentence[0].lower()}{sentence[1:]}."


def quoted(raw: bytes) -> str:
    """Foreign text in quotation marks, on one line; with its length where it is cut."""
    text = shown(clean_text(raw[: 8 * MAX_QUOTED_CHARACTERS]))
    line = " ".join(text.split()).replace('"', "\u201d")
    if len(raw) <= 8 * MAX_QUOTED_CHARACTERS and len(line) <= MAX_QUOTED_CHARACTERS:
        return f'"{line}"'
    return f'"{line[:MAX_QUOTED_CHARACTERS]}\u2026" ({len(raw):,} bytes)'


def decimal(value: int, decimals: int) -> str:
    """`value / 10**decimals` exactly, e.g. `99.77`; trailing zeros stay."""
    if decimals == 0:
        return str(value)
    digits = str(abs(value)).rjust(decimals + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-decimals]}.{digits[-decimals:]}"


def _register(said: Mapping[str, Any]) -> str:
    text = "Register a new agent, owned by the sender"
    if said.get("uri"):
        text += f", with the URI {quoted(said['uri'])}"
    else:
        text += ", without a URI"
    if said.get("metadata"):
        text += f" and metadata {_listed([quoted(key) for key, _ in said['metadata']])}"
    return text


def _set_uri(said: Mapping[str, Any]) -> str:
    if not said["uri"]:
        return f"Empty the URI of agent {said['agent_id']}"
    return f"Set the URI of agent {said['agent_id']} to {quoted(said['uri'])}"


def _set_metadata(said: Mapping[str, Any]) -> str:
    key, agent = quoted(said["key"]), said["agent_id"]
    if not said["value"]:
        return f"Clear the metadata {key} of agent {agent}"
    return f"Set the metadata {key} of agent {agent} to {_value(said['value'])}"


def _set_wallet(said: Mapping[str, Any]) -> str:
    wallet = checksum_address(said["wallet"])
    until = _moment(said["deadline"])
    return f"Set the wallet of agent {said['agent_id']} to {wallet}, by {until}"


def _unset_wallet(said: Mapping[str, Any]) -> str:
    return f"Empty the wallet of agent {said['agent_id']}"


def _feedback(said: Mapping[str, Any]) -> str:
    text = f"Rate agent {said['agent_id']} with {decimal(said['value'], said['decimals'])}"
    tags = [quoted(said[tag]) for tag in ("tag1", "tag2") if said[tag]]
    if tags:
        text += f", {'tag' if len(tags) == 1 else 'tags'} {_listed(tags)}"
    if said["endpoint"]:
        text += f", for the endpoint {quoted(said['endpoint'])}"
    if said["uri"]:
        text += f", with the file {quoted(said['uri'])}"
    return text


def _revoke(said: Mapping[str, Any]) -> str:
    return f"Revoke the sender's feedback {said['index']} to agent {said['agent_id']}, for good"


def _respond(said: Mapping[str, Any]) -> str:
    client = checksum_address(said["client"])
    return (
        f"Answer feedback {said['index']} of {client} to agent {said['agent_id']}"
        f" with {quoted(said['uri'])}"
    )


def _request(said: Mapping[str, Any]) -> str:
    text = (
        f"Ask {checksum_address(said['validator'])} to validate agent {said['agent_id']},"
        f" under the request hash 0x{said['request_hash'].hex()}"
    )
    return text + (f", with the file {quoted(said['uri'])}" if said["uri"] else "")


def _validate(said: Mapping[str, Any]) -> str:
    text = (
        f"Answer the validation request 0x{said['request_hash'].hex()}"
        f" with {said['response']} of 100"
    )
    if said["tag"]:
        text += f", tag {quoted(said['tag'])}"
    return text + (f", with the file {quoted(said['uri'])}" if said["uri"] else "")


def _value(raw: bytes) -> str:
    """Metadata holds any bytes: text where it is text, else hexadecimal."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if text.isprintable() and text:
        return quoted(raw)
    cut = raw[: MAX_QUOTED_CHARACTERS // 2]
    return f"0x{cut.hex()}" + (f"\u2026 ({len(raw):,} bytes)" if len(cut) < len(raw) else "")


def _moment(seconds: int) -> str:
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return f"second {seconds}"


def _listed(items: list[str]) -> str:
    if len(items) > 8:
        items = [*items[:8], f"{len(items) - 8} more"]
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"


_SENTENCES: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    calldata.REGISTER: _register,
    calldata.REGISTER_URI: _register,
    calldata.REGISTER_METADATA: _register,
    calldata.SET_AGENT_URI: _set_uri,
    calldata.SET_METADATA: _set_metadata,
    calldata.SET_AGENT_WALLET: _set_wallet,
    calldata.UNSET_AGENT_WALLET: _unset_wallet,
    calldata.GIVE_FEEDBACK: _feedback,
    calldata.REVOKE_FEEDBACK: _revoke,
    calldata.APPEND_RESPONSE: _respond,
    calldata.VALIDATION_REQUEST: _request,
    calldata.VALIDATION_RESPONSE: _validate,
}
