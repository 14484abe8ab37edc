"""Commands that act, given nonsense: one line that says what to do, and the right exit code."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from renown.errors import EX_CONFIG, EX_DATAERR, EX_NOINPUT, EX_USAGE
from renown.sdk import client
from renown.spec.api_keys import RANDOM_BYTES, new_key
from tests.command import renown

KEY = new_key("dev", bytes(RANDOM_BYTES)).text
NOBODY = "http://127.0.0.1:1"  # where nothing listens
ENV = {"RENOWN_API_KEY": KEY, "RENOWN_API_URL": NOBODY, "COLUMNS": "200", "RENOWN_PORT": "1"}
ADDRESS = "0x" + "11" * 20
HASH = "0x" + "22" * 32
AS = ("--devnet-account", "0", "--yes")

USAGE: list[tuple[str, ...]] = [
    ("register", "ipfs://x", "--devnet-account", "10"),
    ("register", "ipfs://x", "--devnet-account", "-1"),
    ("register", "ipfs://x", "--devnet-account", "x"),
    ("register", "ipfs://x", "--yes"),
    ("register", "ipfs://x", "--managed", "--yes"),
    ("register", "ipfs://x", "--managed", "--from", "0x12", "--yes"),
    ("register", "ipfs://x", "--from", ADDRESS, *AS),
    ("register", "ipfs://x", "--wait", "soon", *AS),
    ("register", "ipfs://x", "--chain", "nowhere", *AS),
    ("register", "ipfs://x", "--chain", "9" * 5000, *AS),
    ("register", "ipfs://x", "--metadata", "novalue", *AS),
    ("register", "ipfs://x", "--metadata", "agentWallet=0x00", *AS),
    ("register", "ipfs://x", "--metadata", "=x", *AS),
    ("update", "nonsense", "ipfs://x", *AS),
    ("update", "31337:1", *AS),
    ("update", "31337:1", "--metadata", "agentWallet=x", *AS),
    ("rate", "nonsense", "5", *AS),
    ("rate", "31337:" + "9" * 100, "5", *AS),
    ("rate", "31337:1", *AS),
    ("rate", "31337:1", "much", *AS),
    ("rate", "31337:1", "NaN", *AS),
    ("rate", "31337:1", "1e5", *AS),
    ("rate", "31337:1", "9" * 5000, *AS),
    ("rate", "31337:1", "1", "--decimals", "19", *AS),
    ("rate", "31337:1", "1", "--decimals", "-1", *AS),
    ("rate", "31337:1", "1", "--paid", "0x12", *AS),
    ("revoke", "31337:1", "0", *AS),
    ("revoke", "31337:1", "-1", *AS),
    ("revoke", "31337:1", "one", *AS),
    ("respond", "31337:1", "0x12", "1", "ipfs://x", *AS),
    ("respond", "31337:1", ADDRESS, "0", "ipfs://x", *AS),
    ("wallet", "set", "31337:1", "0x12", *AS),
    ("wallet", "set", "nonsense", ADDRESS, *AS),
    ("wallet", "unset", "nonsense", *AS),
    ("pay", "31337:1", "much", *AS),
    ("pay", "31337:1", "-1", *AS),
    ("pay", "31337:1", "0", *AS),
    ("pay", "nonsense", "1", *AS),
    ("pay", "31337:1", "--link", "0x12", *AS),
    ("validate", "request", "31337:1", "0x12", "ipfs://x", *AS),
    ("validate", "respond", "0x12", "50", *AS),
    ("validate", "respond", HASH, "101", *AS),
    ("validate", "respond", HASH, "-1", *AS),
    ("operation", "nonsense"),
    ("keys", "create"),
    ("keys", "create", "n", "--scope", "everything"),
    ("keys", "create", "n", "--expires", "0"),
    ("keys", "create", "n", "--tier", "golden"),
    ("keys", "rotate", "00000000", "--overlap", "-1"),
    ("keys", "revoke"),
    ("accounts", "tier", "nobody", "golden"),
    ("watch", "--chain", "nowhere"),
]


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "_pause_seconds", lambda attempt: 0.0)


def require_one_line(outcome: object, *codes: int) -> str:
    code, out, err = outcome.code, outcome.out, outcome.err  # type: ignore[attr-defined]
    assert code in codes, (code, err)
    assert out == ""
    assert err.startswith("error: "), err
    assert err.count("\n") == 1, err
    assert "unexpected" not in err, err
    assert "Traceback" not in err
    assert KEY not in err
    return str(err)


@pytest.mark.parametrize("args", USAGE, ids=lambda args: " ".join(args)[:60])
def test_arguments__that_cannot_be__are_a_usage_error_in_one_line(args: tuple[str, ...]) -> None:
    no_such_chain = (EX_NOINPUT,) if "nowhere" in args else ()
    require_one_line(renown(*args, **ENV), EX_USAGE, *no_such_chain)


@pytest.mark.parametrize(
    "args",
    [
        ("register", "ipfs://x", *AS),
        ("update", "31337:1", "ipfs://x", *AS),
        ("rate", "31337:1", "5", *AS),
        ("revoke", "31337:1", "1", *AS),
        ("respond", "31337:1", ADDRESS, "1", "ipfs://x", *AS),
        ("wallet", "prove", *AS),
        ("wallet", "unset", "31337:1", *AS),
        ("pay", "31337:1", "1", *AS),
        ("validate", "respond", HASH, "50", *AS),
        ("operation",),
    ],
    ids=" ".join,
)
def test_api__that_is_not_there_or_wants_a_key__is_said_in_one_line(args: tuple[str, ...]) -> None:
    said = require_one_line(renown(*args, **ENV), 69, 75)
    assert "127.0.0.1:1" in said

    without = {name: value for name, value in ENV.items() if name != "RENOWN_API_KEY"}
    said = require_one_line(renown(*args, **without), EX_CONFIG)
    assert "RENOWN_API_KEY" in said


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", '"x"', "null", "NaN", "\0", "\ud800", '{"name": "\\ud800"}'),
        *("[" * 100_000, '{"a":' * 50_000, '{"n": ' + "9" * 5000 + "}", '{"name": 1, "name": 2'),
        *('{"a": Infinity}', '{"a": "' + "x" * 600_000 + '"}'),
    ],
    ids=lambda text: repr(text[:12]),
)
def test_file__that_is_no_registration__is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "agent.json"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    codes = (EX_USAGE, EX_DATAERR, 69, 75) if text == '{"name": "\\ud800"}' else (64, 65)
    require_one_line(renown("register", str(path), *AS, **ENV), *codes, 69, 75)


def test_file__that_is_not_there_or_no_file__is_said_in_one_line(tmp_path: Path) -> None:
    for place in (tmp_path / "none.json", tmp_path):
        said = require_one_line(renown("register", str(place), *AS, **ENV), 64, 65, 66)
        assert place.name in said


@pytest.mark.parametrize(
    "text",
    ["", "{", "[" * 50_000, json.dumps({"version": 3}), json.dumps({"crypto": {"kdf": "x"}}), "\0"],
    ids=lambda text: repr(text[:12]),
)
def test_keystore__that_is_none__is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "key.json").write_text(text)
    (tmp_path / "password").write_text("canary-password")
    env = ENV | {"RENOWN_KEYSTORE_PASSWORD_FILE": str(tmp_path / "password")}
    args = ("register", "ipfs://x", "--keystore", str(tmp_path / "key.json"), "--yes")
    said = require_one_line(renown(*args, **env), 65, 69, 75, 78)
    assert "keystore" in said
    assert "canary" not in said


@pytest.mark.parametrize("url", ["nonsense", "ftp://h", "http://", "http://h:99999", "file:///etc"])
def test_api_url__that_is_none__is_said_in_one_line(url: str) -> None:
    require_one_line(renown("operation", **ENV | {"RENOWN_API_URL": url}), 64, 69, 75, 78)


@pytest.mark.parametrize("key", ["nonsense", "ak_dev_x", "\u00e4" * 20, "a\nb"])
def test_api_key__that_is_none__is_not_sent_anywhere_and_not_shown(key: str) -> None:
    outcome = renown("operation", **ENV | {"RENOWN_API_KEY": key})
    assert outcome.code in (64, 69, 75, 77, 78), outcome.err
    assert key not in outcome.err
    assert "unexpected" not in outcome.err
    assert outcome.err.count("\n") == 1
