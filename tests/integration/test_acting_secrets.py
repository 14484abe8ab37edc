"""What only one party may know comes out nowhere: canaries in every secret, and every way out read.

The ways out: answers and problems, the log at its most talkative, metrics, the contract, whatever a
traceback or a debugger shows of our objects, and the database itself.
"""

from __future__ import annotations

import io
import json
import logging
import secrets
import traceback
from collections.abc import AsyncIterator, Iterator
from typing import Any

import coincurve
import pytest
import structlog

from renown.api.access import wallet_challenge
from renown.api.app import create_app
from renown.chain.tx.signed import sign_with
from renown.chain.tx.signer import LocalSigner
from renown.chain.tx.writer import writers_for
from renown.errors import SignerError
from renown.obs.logging import configure_logging, redact_text
from renown.settings import Settings
from renown.shared.redis import SharedStore
from renown.spec.api_keys import RANDOM_BYTES, new_key
from renown.spec.deployments import DEVNET_CHAIN_ID
from tests.access import PEPPER, bearer
from tests.fakes.writing import from_json
from tests.hostile import OWN, OWN_KEY, Target, target_on

CURSOR = "canary-cursor-b82d40"
PASSWORD = "canary-password-c9e1"
PATH_KEY = "canary-path-4411aa"
REDIS_URL = f"redis://user:{PASSWORD}@127.0.0.1:1/0"
RPC_URL = f"http://user:{PASSWORD}@127.0.0.1:1/{PATH_KEY}"
SIGNER_KEY = bytes.fromhex("ca" * 32)
WRONG_SIGNATURE = "0x" + "c4" * 64 + "1b"
FOREIGN_RAW = "0x02f8" + "c5" * 120


@pytest.fixture
def log() -> Iterator[io.StringIO]:
    """All that is logged, at its most talkative."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    stream = io.StringIO()
    configure_logging("json", "debug", stream=stream)
    yield stream
    structlog.reset_defaults()
    logging.captureWarnings(False)
    root.handlers[:], root.level = handlers, level


@pytest.fixture
async def target(fresh_database_url: str, log: io.StringIO) -> AsyncIterator[Target]:
    given = {"redis_url": REDIS_URL, "cursor_secret": CURSOR}
    async with target_on(fresh_database_url, **given) as target:
        yield target


class Seen:
    """Everything that came out, to be searched for what must not."""

    def __init__(self) -> None:
        self.texts: list[tuple[str, str]] = []

    def add(self, where: str, text: str) -> None:
        self.texts.append((where, text))

    def require_none_of(self, **canaries: str) -> None:
        found = [
            (name, where)
            for name, canary in canaries.items()
            for where, text in self.texts
            if canary.lower() in text.lower()
        ]
        assert not found, found


async def test_secrets__after_everything_went_wrong__are_nowhere(
    target: Target, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = Seen()
    desk = target.api.app.state.desk
    key, other = target.me.key, target.other.key

    async def ask(method: str, path: str, body: Any = None, key: str = key) -> Any:
        answer = await target.client.request(method, path, json=body, headers=bearer(key))
        seen.add(f"{method} {path} {answer.status_code}", f"{answer.text} {answer.headers}")
        return answer

    # Ordinary requests, and refusals of every kind.
    for write, (method, path, body) in target.writes.items():
        if write not in (
            "key",
            "rotate",
            "sign-in",
            "challenge",
        ):  # whose answers are for the asker
            await ask(method, path, body)
            await ask(method, path, body | {"nobody": key})
            await ask(method, path, body, key=key[:-1] + "0")
            await ask(method, path, body, key=other)
    for path in ("/v1/account", "/v1/keys", "/v1/operations", "/openapi.json", "/metrics", "/docs"):
        await ask("GET", path)
    given = await ask("POST", "/v1/account/wallets/challenge", {"address": OWN.address})
    signed = {"message": given.json()["message"], "signature": WRONG_SIGNATURE}
    assert (await ask("POST", "/v1/account/wallets", signed)).status_code == 422
    given = await ask("POST", "/v1/sessions/challenge", {"address": OWN.address})
    good = OWN.sign(given.json()["message"])
    session = await target.client.post(
        "/v1/sessions", json={"message": given.json()["message"], "signature": good}
    )
    assert session.status_code == 201
    relay = {"mode": "relay", "chain": "devnet", "transactions": [FOREIGN_RAW]}
    assert (await ask("POST", "/v1/agents", relay)).status_code == 422

    # Nodes that are away, with passwords in their addresses.
    writer = writers_for({DEVNET_CHAIN_ID: [RPC_URL]})[DEVNET_CHAIN_ID]
    try:
        desk.writers = {DEVNET_CHAIN_ID: writer}
        for write in ("register", "payment"):
            answer = await ask(*target.writes[write])
            assert answer.status_code == 502, answer.text
        seen.add("writer", f"{writer!r} {vars(writer)!r}")
    finally:
        await writer.close()

    # A mistake of ours whose words hold what they should not.
    async def broken(*_: Any, **__: Any) -> Any:
        raise RuntimeError(
            f"lost Authorization: Bearer {key} at {RPC_URL}, also {key}, {REDIS_URL}"
        )

    monkeypatch.setattr(wallet_challenge, "keep_challenge", broken)
    answer = await ask("POST", "/v1/account/wallets/challenge", {"address": OWN.address})
    assert answer.status_code == 500

    # What a debugger or a traceback shows of our objects.
    signer = LocalSigner.from_keys([SIGNER_KEY])
    settings = Settings(redis_url=REDIS_URL, rpc_url=RPC_URL, key_pepper=PEPPER, api_key=key)  # type: ignore[arg-type]
    for one in (signer, desk.signer, settings, desk, desk.gate, desk.gate.authenticator.peppers):
        seen.add(type(one).__name__, f"{one!r} {one}")
    for kept in desk.gate.authenticator._kept.values():
        seen.add("kept key", f"{kept.principal!r} {kept!r}")

    seen.add("log", log.getvalue())
    assert "request_broke" in log.getvalue()  # the log was on
    async with target.pool.connection() as conn:
        for table in ("api_key", "account", "wallet_challenge", "idempotency", "operation_event"):
            rows = await conn.fetch(f"SELECT t::text AS t FROM {table} AS t")
            seen.add(f"table {table}", "\n".join(row["t"] for row in rows))
    session_key = session.json()["key"]
    seen.require_none_of(
        key=_secret(key),
        other=_secret(other),
        session=_secret(session_key),
        pepper=PEPPER,
        cursor=CURSOR,
        password=PASSWORD,
        path=PATH_KEY,
        signer=SIGNER_KEY.hex(),
        wrong_signature=WRONG_SIGNATURE[2:],
        signature=good[2:],
        raw=FOREIGN_RAW[6:],
    )


async def test_operation__with_signed_bytes__shows_them_to_nobody(target: Target) -> None:
    made = (await _send(target, "register")).json()
    unsigned = from_json(made["transactions"][0]["unsigned"])
    raw = sign_with(coincurve.PrivateKey.from_int(OWN_KEY), unsigned).hex()
    path = f"/v1/operations/{made['id']}"
    sent = await target.client.post(
        f"{path}/transactions", json={"transactions": [f"0x{raw}"]}, headers=target.me.headers
    )
    assert sent.status_code == 200, sent.text
    for holder in (target.me, target.other):
        for one in (path, "/v1/operations"):
            answer = await target.client.get(one, headers=holder.headers)
            assert raw not in answer.text


def test_errors__of_settings_and_keystores__do_not_quote_what_they_hold(tmp_path: Any) -> None:
    seen = Seen()
    for make in (
        lambda: SharedStore(f"http://user:{PASSWORD}@h/0"),
        lambda: Settings(redis_url=f"ftp://{PASSWORD}@h"),  # type: ignore[arg-type]
        lambda: Settings(key_pepper="c9e1"),  # type: ignore[arg-type]
        lambda: Settings(signer_url=f"ftp://{PASSWORD}"),  # type: ignore[arg-type]
        lambda: LocalSigner.from_keys([SIGNER_KEY + b"x"]),
    ):
        try:
            make()
        except Exception:  # noqa: BLE001 - whatever it is, it is read
            seen.add("error", traceback.format_exc(limit=0))
    seen.require_none_of(password=PASSWORD, pepper="c9e1", key=SIGNER_KEY.hex())
    assert len(seen.texts) >= 3


async def test_keystore__that_does_not_open__keeps_the_password_to_itself(
    tmp_path: Any, log: io.StringIO
) -> None:
    path = tmp_path / "key.json"
    seen = Seen()
    for text in ("", "{", json.dumps({"version": 3, "crypto": {"kdf": PATH_KEY}}), "[" * 10_000):
        path.write_text(text)
        with pytest.raises(SignerError) as caught:
            await LocalSigner.from_keystores([path], PASSWORD)
        shown = "".join(traceback.format_exception(caught.value))
        seen.add("error", f"{shown} {caught.value.problem('/')}")
    seen.add("log", log.getvalue())
    seen.require_none_of(password=PASSWORD, content=PATH_KEY)


def test_app__made_by_a_server_from_the_environment__logs_no_variables(
    log: io.StringIO, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    structlog.reset_defaults()
    monkeypatch.setenv("DATABASE_URL", f"postgresql://user:{PASSWORD}@127.0.0.1:1/x")
    monkeypatch.setenv("RENOWN_KEY_PEPPER", PEPPER)
    monkeypatch.setenv("RENOWN_CURSOR_SECRET", CURSOR)
    create_app()

    held = secrets.token_hex(8)  # not in the source lines, which a traceback shows

    def breaks(held: str) -> None:
        raise RuntimeError("broke")

    try:
        breaks(held)
    except RuntimeError as exc:
        structlog.get_logger().error("request_broke", exc_info=exc)
    said = capsys.readouterr()
    assert "broke" in said.err
    for secret in (held, PASSWORD, PEPPER, CURSOR):
        assert secret not in said.out + said.err


def test_api_keys__in_any_text_of_a_log_line__are_hidden() -> None:
    for env in ("live", "dev"):
        key = new_key(env, bytes(range(RANDOM_BYTES)))
        for text in (key.text, f"key={key.text},", f"https://h/?k={key.text}", f"'{key.text}'"):
            assert key.secret not in redact_text(text)


def _secret(key: str) -> str:
    return key.split("_")[3]


async def _send(target: Target, write: str) -> Any:
    method, path, body = target.writes[write]
    return await target.client.request(method, path, json=body, headers=target.me.headers)
