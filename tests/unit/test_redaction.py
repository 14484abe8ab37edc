"""What is kept of bodies: what names and looks tell to be secret is hidden, the rest stays."""

from __future__ import annotations

import json
from typing import Any

import pytest

from renown.spec.redaction import (
    HIDDEN,
    redact,
    redact_text,
    shown_body,
    shown_text,
)

CAP = 8_192
KEY = "ak_live_4x9k2m7q_" + "Zz9" * 12
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl"
ADDRESS = "0x" + "ab" * 20


def body(value: Any, cap: int = CAP) -> Any:
    return shown_body(json.dumps(value).encode(), cap)


@pytest.mark.parametrize(
    "name",
    [
        *("signature", "Signature", "server_signature", "rawTransaction", "raw", "raw_tx"),
        *("private_key", "privateKey", "PRIVATE", "seed", "seedPhrase", "seed_phrase", "mnemonic"),
        *("pepper", "key_pepper", "password", "passphrase", "api_key", "apiKey", "Authorization"),
        *("cookie", "access_token", "token", "dsn", "message", "siwe", "jwt", "r", "s", "yParity"),
        *("signedTransaction", "signed_message", "client_secret", "credentials"),
        *("pwd", "db_pwd", "pass", "auth", "session", "session_id", "otp", "pin", "accessKeyId"),
    ],
)
@pytest.mark.parametrize("value", ["x1", 7, ["x1"], {"a": "x1"}])
def test_members__whose_names_tell_a_secret__are_hidden_whole(name: str, value: Any) -> None:
    assert body({"a": {name: value}}) == {"a": {name: HIDDEN}}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("uri", "ipfs://x"), ("from", ADDRESS), ("token", ADDRESS), ("token_id", 5)),
        *(("nonce", 12), ("tag1", "starred"), ("key", "8453:42"), ("assigned", "x")),
        *(("values", [1, 2]), ("strategy", "x"), ("is_private", True), ("withdrawn", "x")),
        *(("passed", 3), ("author", "x"), ("pinned", "x"), ("options", "x")),
        *(("password", None), ("content_hash", "0x" + "5c" * 32), ("response", 9)),
        ("value", 2**127),
    ],
)
def test_members__that_are_public__stay(name: str, value: Any) -> None:
    assert body({name: value}) == {name: value}


@pytest.mark.parametrize("name", ["key", "pk", "sk", "owner_pk", "signing_key", "priv", "wif"])
def test_texts__that_could_be_private_keys__are_hidden_under_such_names_only(name: str) -> None:
    for text in ("ca" * 32, "0x" + "ca" * 32):
        assert body({name: text}) == {name: HIDDEN}
        assert body({"tx_hash": text}) == {"tx_hash": text}


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"use {KEY} now", KEY[17:]),
        (f"x{KEY}", KEY[17:]),
        (KEY.upper(), KEY[17:].upper()),
        ("Bearer abc.def-ghi", "abc.def-ghi"),
        ("basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
        ("see https://user:pw1234@node.example/v3/k3y?q=1", "pw1234"),
        ("see https://node.example/v3/k3y4567?q=1", "k3y4567"),
        ("0https://u:pw1234@node.example/", "pw1234"),
        (f"jwt={JWT}", JWT[21:]),
        (f"a_{JWT}.tail", JWT[21:]),
        ("0x02f8" + "c5" * 120, "c5c5"),
        ("c4" * 64, "c4c4"),
        ('password = "hunter 22"', "hunter 22"),
        ('{"signature": "0x11aa22"}', "0x11aa22"),
        ("Authorization: t0k3n-x", "t0k3n-x"),
        ("authorization: Token t0k3n-x", "t0k3n-x"),
        ('{"Authorization": "Token t0k3n-x"}', "t0k3n-x"),
        ("Cookie: a=1; sid=t0k3n-x", "t0k3n-x"),
        ("password: two words", "words"),
        ("mnemonic: legal winner thank year", "winner"),
        ("ghp_" + "a1B2" * 9, "a1B2"),
        ("sk-" + "a1B2" * 9, "a1B2"),
        ('{\\"private_key\\":\\"0x11aa22\\"}', "0x11aa22"),
        ("data:application/json;base64,aHVudGVyMjI=", "aHVudGVyMjI"),
    ],
)
def test_texts__that_look_like_secrets__are_hidden_in_values_and_names(
    text: str, secret: str
) -> None:
    for kept in (body({"a": [text]}), body({text: 1}), body(text), shown_text(text, 200)):
        assert secret not in json.dumps(kept), kept


def test_values__beside_a_name_that_tells_a_secret__are_hidden() -> None:
    headers = [{"name": "Authorization", "value": "x1"}, {"name": "Accept", "value": "x1"}]
    assert body(headers) == [
        *({"name": "Authorization", "value": HIDDEN}, {"name": "Accept", "value": "x1"}),
    ]


@pytest.mark.parametrize(
    "raw",
    [
        *(b"\xff\xfe", b"{", b"[" * 100_000, b'{"a":' * 50_000, b'"\\ud800"', b"1e999", b"NaN"),
        *(b"hello password=hunter22", b"PK\x03\x04" + bytes(50), b"1" * 9_000, b"{} {}"),
    ],
)
def test_body__that_is_not_json__is_told_by_size_and_digest(raw: bytes) -> None:
    kept = shown_body(raw, CAP)
    assert set(kept) == {"bytes", "sha256"}
    assert kept["bytes"] == len(raw)


def test_body__that_is_empty__is_nothing() -> None:
    assert shown_body(b"", CAP) is None


def test_body__with_members_given_twice__shows_neither_secret() -> None:
    assert shown_body(b'{"signature":"one","signature":"two"}', CAP) == {"signature": HIDDEN}


def test_body__that_is_too_long__is_redacted_before_it_is_cut() -> None:
    for size in range(60, 160, 3):
        value = {
            "a": "x" * 40,
            "b": f"Bearer {'s3cret' * 20}",
            "signature": "s3cret",
            "c": "y" * 99,
        }
        kept = body(value, size)
        assert kept["truncated"] is True
        assert kept["bytes"] == len(json.dumps(value))
        assert len(kept["start"].encode()) <= size
        assert "s3" not in kept["start"]


@pytest.mark.parametrize(
    ("text", "secret"),
    [
        (f"my key {KEY}", KEY[17:]),
        (f"x {JWT}", JWT.split(".")[1]),
        ("https://user:pa55word@node.example/v3", "pa55"),
        ("0x" + "c4" * 100, "c4c4"),
        ("data:application/json;base64,aHVudGVyMjI=", "aHVud"),
    ],
)
def test_text__cut_anywhere__shows_no_part_of_a_secret(text: str, secret: str) -> None:
    for most in range(1, 200):
        for shown in (shown_text(text, most), json.dumps(body({"a": text}, most))):
            assert secret[:4] not in shown, most


def test_body__that_is_deep__is_cut_at_a_level() -> None:
    raw = b"[" * 60 + b"1" + b"]" * 60
    assert json.dumps(shown_body(raw, CAP)).count("[") == 32


def test_body__of_half_a_megabyte__is_looked_at_as_far_as_it_is_shown() -> None:
    value = {"a": ["x" * 100] * 5_000}
    kept = body(value)
    assert (kept["truncated"], kept["bytes"]) == (True, len(json.dumps(value)))
    assert len(kept["start"].encode()) <= CAP


def test_text__that_no_database_takes__is_made_one_it_does() -> None:
    assert shown_text("a\0b\x1b[31m\ud800", 200) == "a\ufffdb\ufffd[31m\ufffd"
    assert redact({"a\0": "\0"}) == {"a\ufffd": "\ufffd"}


def test_redaction__of_what_is_redacted__changes_nothing() -> None:
    for text in (KEY, JWT, "Bearer abcdef", "password=hunter22", "https://u:p@h/x?y", "c4" * 64):
        once = redact_text(text)
        assert redact_text(once) == once
