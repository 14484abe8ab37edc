"""Feedback files: normalised, compared with their record, and their hash checked. Pure.

The chain wins: a file that says otherwise gets a finding, and the record stays as it is.

Source: ERC-8004, "Off-Chain Feedback File Structure"; older and flat keys as met in the wild.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any, Literal

import msgspec
from eth_hash.auto import keccak

from renown.spec.documents.canonical import NotCanonical, agent0_py, agent0_ts, jcs
from renown.spec.documents.claims import read_claims
from renown.spec.documents.model import Document, Finding
from renown.spec.documents.notes import Notes
from renown.spec.documents.values import items, moment, text, whole
from renown.spec.text import clean_text, shown

Verdict = Literal["absent", "bytes", "jcs", "agent0-py", "agent0-ts", "mismatch"]

_ACCOUNT = re.compile(r"(?:eip155:([0-9]{1,18}):)?(0x[0-9a-fA-F]{40})", re.ASCII)
_HASH = re.compile(r"0x[0-9a-fA-F]{64}", re.ASCII)
_CHAIN = re.compile(r"(?:eip155:)?([0-9]{1,18})", re.ASCII)
_MOST_REWRITTEN_BYTES = 256 * 1024
"""Larger files are hashed as they are only: writing them anew takes Python too long."""
_LARGEST = Decimal(10) ** 80
_LONGEST_TEXT = 16_384
_NAMING_AGENT = ("agentRegistry", "agentId", "agent_id", "chainId", "identityRegistry")


class Payment(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that the client paid; nothing here has been checked. None: not said, or unreadable.

    Addresses are 0x and 40, the transaction 0x and 64 hex digits, lower case.
    """

    payer: str | None = None
    payee: str | None = None
    chain_id: int | None = None
    transaction: str | None = None


class FeedbackFile(msgspec.Struct, frozen=True, kw_only=True):
    """An off-chain feedback file, normalised. None means not said, or not readable.

    Attributes:
        chain_id, registry, agent_id: the agent it says it is about; registry in lower case.
        client, client_chain_id: the account it says it is by, in lower case.
        created_at: Unix seconds.
        value, decimals: exact: `value / 10^decimals`. Decimals None where the file has none.
    """

    chain_id: int | None = None
    registry: str | None = None
    agent_id: int | None = None
    client: str | None = None
    client_chain_id: int | None = None
    created_at: int | None = None
    value: int | None = None
    decimals: int | None = None
    tag1: str | None = None
    tag2: str | None = None
    endpoint: str | None = None
    mcp_tool: str | None = None
    mcp_prompt: str | None = None
    mcp_resource: str | None = None
    a2a_skills: tuple[str, ...] = ()
    a2a_context_id: str | None = None
    a2a_task_id: str | None = None
    oasf_skills: tuple[str, ...] = ()
    oasf_domains: tuple[str, ...] = ()
    text: str | None = None
    payment: Payment | None = None


def read_feedback_file(document: Document) -> FeedbackFile | None:
    """The feedback file that a document is; None where it is no JSON object."""
    if document.content is None:
        return None
    value = msgspec.json.decode(document.content)
    if not isinstance(value, dict):
        return None
    named = {key: value[key] for key in _NAMING_AGENT if key in value}
    claim = read_claims([named], "", Notes())[0]
    client, client_chain_id = _account(_first(value, "clientAddress", "client_address", "client"))
    number, decimals = _number(value)
    return FeedbackFile(
        chain_id=claim.chain_id,
        registry=claim.registry,
        agent_id=claim.agent_id,
        client=client,
        client_chain_id=client_chain_id,
        created_at=moment(_first(value, "createdAt", "created_at", "timestamp")),
        value=number,
        decimals=decimals,
        tag1=_tag(value.get("tag1")),
        tag2=_tag(value.get("tag2")),
        endpoint=text(value.get("endpoint"), 2_048),
        mcp_tool=_said(value, "mcp", "tool", "mcpTool"),
        mcp_prompt=_said(value, "mcp", "prompt", "mcpPrompt"),
        mcp_resource=_said(value, "mcp", "resource", "mcpResource"),
        a2a_skills=items(_nested(value, "a2a", "skills", "a2aSkills") or value.get("skill")),
        a2a_context_id=_said(value, "a2a", "contextId", "a2aContextId"),
        a2a_task_id=_said(value, "a2a", "taskId", "a2aTaskId"),
        oasf_skills=items(_nested(value, "oasf", "skills", "oasfSkills")),
        oasf_domains=items(_nested(value, "oasf", "domains", "oasfDomains")),
        text=text(_first(value, "text", "reasoning", "comment", "review"), _LONGEST_TEXT),
        payment=_payment(_first(value, "proofOfPayment", "proof_of_payment")),
    )


def payment_in(content: str | bytes) -> Payment | None:
    """The payment that a feedback file names, of its JSON as kept; None where it names none."""
    value = msgspec.json.decode(content)
    if not isinstance(value, dict):
        return None
    return _payment(_first(value, "proofOfPayment", "proof_of_payment"))


def compare_feedback(
    file: FeedbackFile,
    *,
    chain_id: int,
    registry: bytes,
    agent_id: int,
    client: bytes,
    value: int,
    decimals: int,
    tag1: bytes,
    tag2: bytes,
) -> tuple[Finding, ...]:
    """Where a file contradicts its record; what it does not say contradicts nothing.

    Args:
        registry: the identity registry's address, 20 bytes; `client` likewise.
        value, decimals: of the record. A file without decimals may give the value either way.
        tag1, tag2: as on the chain.
    """
    notes = Notes()
    for path, told, fact in (
        ("/agentRegistry", file.chain_id, chain_id),
        ("/agentRegistry", file.registry, f"0x{registry.hex()}"),
        ("/agentId", file.agent_id, agent_id),
    ):
        if told is not None and told != fact:
            notes.add("file-of-another-agent", path, f"{told}, not {fact}")
    if file.client is not None and file.client != f"0x{client.hex()}":
        notes.add(
            "file-of-another-client", "/clientAddress", f"{file.client}, not 0x{client.hex()}"
        )
    if file.value is not None and not _same_value(file, value, decimals):
        said = f"{file.value} and {file.decimals} decimals, not {value} and {decimals}"
        notes.add("file-value-differs", "/value", said)
    for path, tag, raw in (("/tag1", file.tag1, tag1), ("/tag2", file.tag2, tag2)):
        if tag is not None and tag != shown(clean_text(raw))[:_LONGEST_TEXT]:
            notes.add("file-tags-differ", path, tag)
    return notes.sorted()


def hash_verdict(raw: bytes, content_hash: bytes | None) -> Verdict:
    """How the hash that a record carries fits the bytes behind its URI. Never raises.

    "bytes" and "jcs" vouch for the whole file, "agent0-py" for its values, "agent0-ts" for the
    outermost ones only. Zero is what the registry has for no hash.

    Source: ERC-8004 (keccak256 of the content); RFC 8785; agent0-py, agent0-ts.
    """
    if content_hash is None or not any(content_hash):
        return "absent"
    if keccak(raw) == content_hash:
        return "bytes"
    if len(raw) > _MOST_REWRITTEN_BYTES:
        return "mismatch"
    try:
        value = json.loads(raw)
    except (ValueError, RecursionError):
        return "mismatch"
    verdict: Verdict
    for verdict, write in (("jcs", jcs), ("agent0-py", agent0_py), ("agent0-ts", agent0_ts)):
        if verdict == "agent0-ts" and not isinstance(value, dict):
            continue
        try:
            written = write(value)
        except (NotCanonical, ValueError, RecursionError):
            continue
        if keccak(written) == content_hash:
            return verdict
    return "mismatch"


def _same_value(file: FeedbackFile, value: int, decimals: int) -> bool:
    assert file.value is not None
    if file.decimals is None:
        return file.value in (value, Decimal(value).scaleb(-decimals))
    return bool(file.value * 10**decimals == value * 10**file.decimals)


def _number(value: dict[str, Any]) -> tuple[int | None, int | None]:
    """Value and decimals without a float between: a fraction gives its digits and their count."""
    given = _first(value, "value", "score", "rating")
    decimals = whole(_first(value, "valueDecimals", "value_decimals", "decimals"))
    if decimals is not None and decimals > 77:
        decimals = None
    if given is None or isinstance(given, bool) or not isinstance(given, int | float | str):
        return None, decimals
    try:
        number = Decimal(str(given)[:100].strip())
    except InvalidOperation:
        return None, decimals
    if not number.is_finite() or abs(number) > _LARGEST:
        return None, decimals
    exponent = -int(number.normalize().as_tuple().exponent)
    if exponent <= 0:
        return int(number), decimals
    if exponent > 77:
        return None, decimals
    return int(number.scaleb(exponent)), exponent + (decimals or 0)


def _account(value: Any) -> tuple[str | None, int | None]:
    match = _ACCOUNT.fullmatch(value.strip()) if isinstance(value, str) else None
    if match is None:
        return None, None
    return match[2].lower(), int(match[1]) if match[1] else None


def _payment(value: Any) -> Payment | None:
    if not isinstance(value, dict):
        return None
    chain = _first(value, "chainId", "chain_id", "network")
    match = _CHAIN.fullmatch(str(chain).strip()) if isinstance(chain, int | str) else None
    transaction = _first(value, "txHash", "tx_hash", "transactionHash")
    found = Payment(
        payer=_account(_first(value, "fromAddress", "from_address", "payer", "from"))[0],
        payee=_account(_first(value, "toAddress", "to_address", "payee", "to"))[0],
        chain_id=int(match[1]) if match else None,
        transaction=transaction.lower()
        if isinstance(transaction, str) and _HASH.fullmatch(transaction)
        else None,
    )
    return None if found == Payment() else found


def _tag(value: Any) -> str | None:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else None


def _said(value: dict[str, Any], group: str, key: str, flat: str) -> str | None:
    return text(_nested(value, group, key, flat), 500)


def _nested(value: dict[str, Any], group: str, key: str, flat: str) -> Any:
    inner = value.get(group)
    found = inner.get(key) if isinstance(inner, dict) else None
    return value.get(flat) if found is None else found


def _first(value: dict[str, Any], *keys: str) -> Any:
    return next((value[key] for key in keys if value.get(key) is not None), None)
