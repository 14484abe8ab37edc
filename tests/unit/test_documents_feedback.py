"""Feedback files: normalised, compared with their record, their hash checked in every form."""

from __future__ import annotations

import json
from typing import Any

import pytest
from eth_hash.auto import keccak

from renown.spec.documents import read_document
from renown.spec.documents.canonical import NotCanonical, agent0_ts, es6_number, jcs
from renown.spec.documents.feedback import (
    FeedbackFile,
    Payment,
    compare_feedback,
    hash_verdict,
    read_feedback_file,
)

REGISTRY = "0x8004A169FB4a3325136EB29fA0ceB6D2e539a432"
CLIENT = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
PAYEE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
VECTOR: dict[str, Any] = {
    "agentRegistry": f"eip155:1:{REGISTRY}",
    "agentId": 22,
    "clientAddress": f"eip155:1:{CLIENT}",
    "createdAt": "2026-02-01T12:00:00Z",
    "value": 87,
    "valueDecimals": 0,
    "tag1": "starred",
    "proofOfPayment": {
        "fromAddress": CLIENT,
        "toAddress": PAYEE,
        "chainId": "8453",
        "txHash": "0x" + "11" * 32,
    },
}
COMPACT = json.dumps(VECTOR, separators=(",", ":")).encode()
INDENTED = json.dumps(VECTOR, indent=2).encode()


@pytest.mark.parametrize(
    ("raw", "content_hash", "verdict"),
    [
        (COMPACT, "186556bfb7b3e5904ef129177d7fd7a7e1b04b3bc100437786be326848453d96", "bytes"),
        (INDENTED, "3d8c23ebaf185e5fb677ae2954f247288809af2a002d63922c284b7132b77501", "bytes"),
        (INDENTED, "380a0e236a0fb4fd50a316eeda5cd0f67bc04e8bd720e18d88b5de9b9e0f36fc", "jcs"),
        (INDENTED, "805525a16765a89edae98bc055112ab0cfccad94755336fbc0bb040a4dece4bb", "agent0-py"),
        (INDENTED, "e1cc9a21edb215424c08015dd06fc25379bff4191b581aafe99e0212d3a1e521", "agent0-ts"),
        (INDENTED, "11" * 32, "mismatch"),
        (INDENTED, "00" * 32, "absent"),
    ],
)
def test_hash_verdict__vectors__are_told_by_form(
    raw: bytes, content_hash: str, verdict: str
) -> None:
    assert hash_verdict(raw, bytes.fromhex(content_hash)) == verdict


@pytest.mark.parametrize(
    "raw",
    [b"", b"{", b"\xff", b"[" * 100_000, b'{"a":1e999}', b'{"a":"\\ud800"}', b'{"a":NaN}', b"5",
     b'{"a":' + b"9" * 5_000 + b"}", b"[" * 300 + b"]" * 300, b"x" * 3_000_000],
)  # fmt: skip
def test_hash_verdict__of_anything_else__is_mismatch_and_never_raises(raw: bytes) -> None:
    assert hash_verdict(raw, b"\x01" * 32) == "mismatch"
    assert hash_verdict(raw, keccak(raw)) == "bytes"
    assert hash_verdict(raw, None) == "absent"


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (1, "1"), (-5, "-5"), (1.5, "1.5"), (100.0, "100"),
        (1e21, "1e+21"),
        (1e20, "100000000000000000000"), (123456789012345680000, "123456789012345680000"),
        (1e-6, "0.000001"), (1e-7, "1e-7"), (1.25e-9, "1.25e-9"),
        (0.1 + 0.2, "0.30000000000000004"),
        (5e-324, "5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"), (4.5, "4.5"),
        (2**53 + 1, "9007199254740992"), (1e16, "10000000000000000"), (0.00001, "0.00001"),
    ],
)  # fmt: skip
def test_es6_number__as_rfc_8785_has_it__is_written(number: float, text: str) -> None:
    assert es6_number(number) == text


def test_jcs__the_standards_examples__are_written() -> None:
    value = {
        "\u20ac": "Euro",
        "\r": "CR",
        "\ufb33": 1,
        "1": "One",
        "\U0001f600": 2,
        "\x80": 3,
        "ö": 4,
    }

    assert jcs(value).decode() == (
        '{"\\r":"CR","1":"One","\x80":3,"ö":4,"€":"Euro","\U0001f600":2,"\ufb33":1}'
    )
    assert jcs({"a": '€$\x0f\nA\'B"\\"/'}) == '{"a":"€$\\u000f\\nA\'B\\"\\\\\\"/"}'.encode()
    with pytest.raises(NotCanonical):
        jcs(float("inf"))
    with pytest.raises(NotCanonical):
        jcs(10**400)


def test_agent0_ts__nested_keys_that_are_not_outermost_ones__are_dropped() -> None:
    value = {"b": {"a": 1, "c": 2}, "a": [{"x": 1}, {"b": None}]}

    assert agent0_ts(value) == b'{"a":[{},{"b":null}],"b":{"a":1}}'


def read(value: Any) -> FeedbackFile | None:
    return read_feedback_file(read_document(json.dumps(value).encode()))


def test_feedback_file__as_the_standard_has_it__is_normalised() -> None:
    assert read({**VECTOR, "mcp": {"tool": "search"}, "a2a": {"skills": ["s"], "taskId": "t"}}) == (
        FeedbackFile(
            chain_id=1,
            registry=REGISTRY.lower(),
            agent_id=22,
            client=CLIENT.lower(),
            client_chain_id=1,
            created_at=1_769_947_200,
            value=87,
            decimals=0,
            tag1="starred",
            mcp_tool="search",
            a2a_skills=("s",),
            a2a_task_id="t",
            payment=Payment(
                payer=CLIENT.lower(),
                payee=PAYEE.lower(),
                chain_id=8453,
                transaction="0x" + "11" * 32,
            ),
        )
    )


@pytest.mark.parametrize(
    ("value", "field", "expected"),
    [
        ({"mcpTool": "x"}, "mcp_tool", "x"),
        ({"a2aSkills": ["x"]}, "a2a_skills", ("x",)),
        ({"oasfDomains": ["x/y"]}, "oasf_domains", ("x/y",)),
        ({"score": 90}, "value", 90),
        ({"value": "12345678901234567890123456789"}, "value", 12345678901234567890123456789),
        ({"value": 12345678901234567890}, "value", 12345678901234567890),
        ({"value": -3.25}, "value", -325),
        ({"value": -3.25}, "decimals", 2),
        ({"value": "1e999999"}, "value", None),
        ({"value": "NaN"}, "value", None),
        ({"value": True}, "value", None),
        ({"valueDecimals": 5_000}, "decimals", None),
        ({"agentId": "22"}, "agent_id", 22),
        ({"id": 5}, "agent_id", None),
        ({"clientAddress": CLIENT}, "client", CLIENT.lower()),
        ({"clientAddress": "nobody"}, "client", None),
        ({"proof_of_payment": {"chainId": 1}}, "payment", Payment(chain_id=1)),
        ({"proofOfPayment": {"x": 1}}, "payment", None),
        ({"reasoning": "because"}, "text", "because"),
        ({"tag1": ""}, "tag1", ""),
        ({"tag1": 5}, "tag1", None),
    ],
)
def test_feedback_file__in_other_spellings__is_taken_as_meant(
    value: dict[str, Any], field: str, expected: Any
) -> None:
    assert getattr(read(value), field) == expected


@pytest.mark.parametrize("value", [[], "x", 5, None])
def test_feedback_file__no_object__is_none(value: Any) -> None:
    assert read(value) is None


RECORD: dict[str, Any] = {
    "chain_id": 1,
    "registry": bytes.fromhex(REGISTRY[2:]),
    "agent_id": 22,
    "client": bytes.fromhex(CLIENT[2:]),
    "value": 87,
    "decimals": 0,
    "tag1": b"starred",
    "tag2": b"",
}


@pytest.mark.parametrize(
    ("changed", "codes"),
    [
        ({}, []),
        ({"agentId": 23}, ["file-of-another-agent"]),
        ({"agentRegistry": f"eip155:10:{REGISTRY}"}, ["file-of-another-agent"]),
        ({"agentRegistry": f"eip155:1:{PAYEE}"}, ["file-of-another-agent"]),
        ({"clientAddress": PAYEE}, ["file-of-another-client"]),
        ({"value": 88}, ["file-value-differs"]),
        ({"value": 870, "valueDecimals": 1}, []),
        ({"valueDecimals": 1}, ["file-value-differs"]),
        ({"tag1": "Starred"}, ["file-tags-differ"]),
        ({"tag2": "x"}, ["file-tags-differ"]),
    ],
)
def test_compare_feedback__what_the_file_says_otherwise__is_found(
    changed: dict[str, Any], codes: list[str]
) -> None:
    file = read({**VECTOR, **changed})

    assert file is not None
    assert [finding.code for finding in compare_feedback(file, **RECORD)] == codes


def test_compare_feedback__a_file_that_says_nothing__contradicts_nothing() -> None:
    assert compare_feedback(FeedbackFile(), **RECORD) == ()


def test_compare_feedback__value_without_decimals__may_be_either_way() -> None:
    record = {**RECORD, "value": 9_977, "decimals": 2}

    assert compare_feedback(FeedbackFile(value=9_977), **record) == ()
    assert compare_feedback(FeedbackFile(value=9_977, decimals=2), **record) == ()
    assert compare_feedback(FeedbackFile(value=99), **record) != ()


def test_compare_feedback__tags_that_are_no_text__are_compared_as_they_are_shown() -> None:
    file = read({"tag1": "a\x00\u202e"})

    assert file is not None
    assert compare_feedback(file, **{**RECORD, "tag1": "a\x00\u202e".encode()}) == ()
