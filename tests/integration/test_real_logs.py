"""Logs that others captured from public chains, kept beside the checkout, not in it."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from renown.decode import Decoder
from renown.spec import events
from renown.spec.logs import RawLog

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "data" / "real" / "events"
FILES = (
    "identity-raw-logs-ethereum.jsonl",
    "captured-logs-base-and-base-sepolia.jsonl",
    "validation-logs-base.jsonl",
    "feedback-revoked-logs-base.jsonl",
)
KIND_OF_EVENT: dict[str, type[events.Fact]] = {
    "Registered": events.AgentRegistered,
    "URIUpdated": events.UriUpdated,
    "MetadataSet": events.MetadataSet,
    "Transfer": events.AgentTransferred,
    "MetadataUpdate": events.MetadataRefreshed,
    "NewFeedback": events.FeedbackGiven,
    "FeedbackRevoked": events.FeedbackRevoked,
    "ValidationRequest": events.ValidationRequested,
    "ValidationResponse": events.ValidationResponded,
}
FIELD_OF_ARGUMENT = {
    "agentId": "agent_id",
    "clientAddress": "client",
    "feedbackIndex": "feedback_index",
    "validatorAddress": "validator",
    "requestHash": "request_hash",
    "requestURI": "uri",
    "response": "response",
    "responseURI": "uri",
    "responseHash": "content_hash",
    "tag": "tag",
}
MAINNET = ("8004a169fb4a3325136eb29fa0ceb6d2e539a432", "8004baa17c55a88189ae136b182e5fda19de9b63")
TESTNET = ("8004a818bfb912233c491871b3d84c89a494bd9e", "8004b663056a597dffe9eccc1965a193b7388713")

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no captured logs in {FOLDER}")


def records() -> Iterator[dict[str, Any]]:
    for name in FILES:
        with (FOLDER / name).open() as lines:
            yield from map(json.loads, lines)


def raw_log(record: dict[str, Any]) -> RawLog:
    return RawLog(
        address=record["address"].lower(),
        topics=tuple(record["topics"]),
        data=record["data"],
        block_number=hex(record["blockNumber"]),
        block_hash=record.get("blockHash", "0x" + "00" * 32),
        transaction_hash=record["transactionHash"],
        log_index=hex(record["logIndex"] or 0),  # some sources did not keep it
    )


def decoder(records: list[dict[str, Any]]) -> Decoder:
    """For the official registries of both kinds, and every contract seen validating."""
    registries = TESTNET if records[0]["chainId"] == 84532 else MAINNET
    validating = {
        bytes.fromhex(record["address"][2:])
        for record in records
        if record["event"].startswith("Validation")
    }
    identity, reputation = map(bytes.fromhex, registries)
    return Decoder(identity, reputation, validating)


def test_real_logs__all_of_them__become_the_facts_their_source_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    by_chain: dict[int, list[dict[str, Any]]] = {}
    for record in records():
        by_chain.setdefault(record["chainId"], []).append(record)
    kinds: Counter[str] = Counter()
    for chain, of_chain in by_chain.items():
        facts = decoder(of_chain).decode_many(raw_log(record) for record in of_chain)
        for record, fact in zip(of_chain, facts, strict=True):
            reason = f" {fact.reason}" if isinstance(fact, events.Quarantined) else ""
            kinds[f"{chain} {type(fact).__name__}{reason}"] += 1
            assert isinstance(fact, KIND_OF_EVENT[record["event"]]), record["transactionHash"]
            for argument, value in record.get("args", {}).items():
                field = getattr(fact, FIELD_OF_ARGUMENT[argument])
                assert told(field, value) == value, (argument, record["transactionHash"])

    with capsys.disabled():  # the counts are part of the test's output
        sys.stdout.write("\n" + "".join(f"{n:5} {kind}\n" for kind, n in sorted(kinds.items())))


def told(field: int | bytes, as_source: Any) -> Any:
    """`field` in the form the source wrote it in."""
    if isinstance(field, int):
        return type(as_source)(field)
    if isinstance(as_source, str) and as_source.startswith("0x"):
        digits = field.hex()
        return as_source if as_source[2:].lower() == digits else "0x" + digits
    return field.decode()
