"""Secrets planted in every input of the API and of services come out nowhere that lasts.

The ways out: every column of the audit log and of what is made of it, log lines at their most
talkative, metrics, and the errors that clients are told (of what they did not send themselves).
"""

from __future__ import annotations

import io
import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import coincurve
import pytest
import structlog

from renown.chain.tx.signed import sign_with
from renown.cli.settings_seen import note
from renown.obs.logging import configure_logging
from renown.settings import Settings, describe
from renown.spec.api_keys import RANDOM_BYTES, new_key
from renown.store.pool import connect
from tests.access import PEPPER, bearer
from tests.audited import entries, flushed
from tests.fakes.writing import from_json
from tests.hostile import OWN, OWN_KEY, Target, target_on

CANARY = "c4n4ry7h4tM4yN0tSh0w"
HEX_CANARY = "c4a4" * 16
LONG_CANARY = "d00d" * 60
STRANGE_KEY = new_key("live", b"\x07" * RANDOM_BYTES)
NODE_URL = f"https://user:{CANARY}@node.example/v3/{CANARY}?key={CANARY}"
JWT = f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}"
SECRETS = (CANARY, HEX_CANARY, LONG_CANARY, STRANGE_KEY.secret)
NAMES = (
    *("signature", "private_key", "privateKey", "seed_phrase", "mnemonic", "raw", "signedTx"),
    *("password", "api_key", "token", "secret", "message", "pepper", "authorization"),
)


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
    given: dict[str, Any] = {"trusted_proxies": ("127.0.0.1",), "cursor_secret": CANARY}
    async with target_on(fresh_database_url, **given) as target:
        yield target


def poisoned(headers: dict[str, str]) -> dict[str, str]:
    """`headers`, with a canary in every other that anybody may set."""
    return headers | {
        "User-Agent": f"agent Bearer {CANARY} password={CANARY} {STRANGE_KEY.text} {JWT}",
        "X-Forwarded-For": f"192.0.2.7, {CANARY}",
        "Forwarded": f"for={CANARY}",
        "X-Request-Id": CANARY,
        "Referer": NODE_URL,
        "Cookie": f"session={CANARY}",
        "Idempotency-Key": f"{CANARY}-{len(headers)}",
        "X-Api-Key": STRANGE_KEY.text,
        "Origin": NODE_URL,
    }


async def everything_kept(target: Target) -> list[tuple[str, str]]:
    found = []
    async with target.pool.connection() as conn:
        tables = await conn.fetch(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p', 'v', 'm')"
            " AND relnamespace = 'public'::regnamespace"
            " AND (relname LIKE 'audit%' OR relname LIKE 'v_audit%'"
            "      OR relname IN ('installation_setting', 'policy'))"
        )
        assert {"audit_log", "audit_pending", "v_audit_log"} <= {row[0] for row in tables}
        for (name,) in tables:
            rows = await conn.fetch(f"SELECT t::text AS t FROM {name} AS t")
            found += [(f"table {name}", row["t"]) for row in rows]
    metrics = await target.client.get("/metrics")
    assert metrics.status_code == 200
    return [*found, ("metrics", metrics.text)]


def require_none(found: list[tuple[str, str]], *secrets: str) -> None:
    seen = [
        (secret[:8], where, text[max(0, text.lower().find(secret.lower()) - 80) :][:200])
        for secret in secrets
        for where, text in found
        if secret.lower() in text.lower()
    ]
    assert not seen, seen[:5]


async def test_canaries__in_every_input__are_in_no_entry_line_metric_or_error(
    target: Target, log: io.StringIO
) -> None:
    me = target.me.headers
    errors: list[tuple[str, str]] = []

    async def ask(method: str, path: str, headers: dict[str, str] = me, **given: Any) -> Any:
        answer = await target.client.request(method, path, headers=poisoned(headers), **given)
        if answer.status_code >= 500:
            told = answer.json()
            assert told.pop("instance") == path.partition("?")[0]  # as they asked
            errors.append((f"{method} {path}", json.dumps(told)))
        assert answer.headers["x-request-id"] != CANARY
        return answer

    # Who asks: keys that are none, in the header, in the query and in the path.
    for presented in (f"Bearer {STRANGE_KEY.text}", f"Bearer {CANARY}", f"Basic {CANARY}", CANARY):
        await ask("GET", "/v1/account", {"Authorization": presented})
        await ask("POST", "/v1/keys", {"Authorization": presented}, json={"name": CANARY})
    for query in (f"api_key={STRANGE_KEY.text}", f"token={CANARY}", f"q={CANARY}&cursor={CANARY}"):
        await ask("GET", f"/v1/account?{query}")
        await ask("POST", f"/v1/agents?{query}", json={})
    for path in (f"/v1/agents/{CANARY}", f"/v1/keys/{CANARY}", f"/{CANARY}", f"/v1/{CANARY}"):
        for method in ("GET", "POST", "PATCH", "DELETE"):
            await ask(method, path, json={"a": 1})
    await ask(f"X{CANARY}", "/v1/agents")

    # What they send: under every telling name, deep and shallow; as what it is not.
    for method, path, body in target.writes.values():
        for name in NAMES:
            await ask(method, path, json=body | {name: CANARY})
        nested = {"a": [{"b": dict.fromkeys(NAMES, CANARY)}], f"x {JWT}": NODE_URL}
        await ask(method, path, json=body | {"file": nested, "uri": NODE_URL})
        await ask(method, path, json=[nested, f"Bearer {CANARY}", STRANGE_KEY.text, LONG_CANARY])
        await ask(method, path, json={"signing_key": HEX_CANARY, "key": "0x" + HEX_CANARY})
        await ask(method, path, json={"pad": "x" * 8_150, "signature": CANARY, "raw": CANARY})
    for raw in (
        f"password={CANARY}".encode(),
        b"\xff\xfe" + CANARY.encode(),
        f'{{"signature": "{CANARY}"'.encode(),
        f'{{"signature": "{CANARY}", "signature": "{CANARY}", "x": "\\ud800"}}'.encode(),
        b'{"a":' * 200 + json.dumps(CANARY).encode() + b"}" * 200,
    ):
        for content_type in ("application/json", "text/plain", f"x/{CANARY}"):
            headers = me | {"Content-Type": content_type}
            await ask("POST", "/v1/agents", headers, content=raw)

    # The database is away: errors, and lines about them.
    desk = target.api.app.state.desk
    desk.pool = None
    for path in (f"/v1/chains/{CANARY}", f"/v1/chains/{STRANGE_KEY.text}", "/v1/chains"):
        assert (await ask("GET", path)).status_code == 503
    assert (await ask("PATCH", "/v1/agents/31337:7", json={"uri": NODE_URL})).status_code == 503
    desk.pool = target.pool
    assert "request_failed" in log.getvalue()

    await flushed(target.api)
    told = await entries(target.pool, "request", "refused", "read")
    assert len(told) > 300
    assert {"request", "refused", "read"} == {one.action for one in told}
    # What the client of this test logs of its own requests is not ours.
    lines = [line for line in log.getvalue().splitlines() if '"logger": "httpx"' not in line]
    logged = [("log", line) for line in lines]
    require_none([*await everything_kept(target), *errors, *logged], *SECRETS)


async def test_signatures__keys_and_signed_bytes_of_requests_that_work__are_in_no_entry(
    target: Target, log: io.StringIO
) -> None:
    me = target.me.headers
    # A sign-in that works.
    given = await target.client.post("/v1/sessions/challenge", json={"address": OWN.address})
    message = given.json()["message"]
    signature = OWN.sign(message)
    session = await target.client.post(
        "/v1/sessions", json={"message": message, "signature": signature}
    )
    assert session.status_code == 201
    key = session.json()["key"]
    assert (await target.client.get("/v1/account", headers=bearer(key))).status_code == 200
    # Keys that are made, and turned.
    made = await target.client.post("/v1/keys", json={"name": "n", "scopes": ["read"]}, headers=me)
    turned = await target.client.post(f"/v1/keys/{made.json()['id']}/rotate", headers=me)
    assert (made.status_code, turned.status_code) == (201, 201)
    # A transaction that is signed elsewhere and handed in.
    method, path, body = target.writes["register"]
    operation = (await target.client.request(method, path, json=body, headers=me)).json()
    unsigned = from_json(operation["transactions"][0]["unsigned"])
    raw = sign_with(coincurve.PrivateKey.from_int(OWN_KEY), unsigned).hex()
    sent = await target.client.post(
        f"/v1/operations/{operation['id']}/transactions",
        json={"transactions": [f"0x{raw}"]},
        headers=me,
    )
    assert sent.status_code == 200, sent.text
    # And typed data that a wallet signs.
    method, path, body = target.writes["signed"]
    await target.client.request(method, path, json=body, headers=me)

    await flushed(target.api)
    found = [*await everything_kept(target), ("log", log.getvalue())]
    keys = [key, target.me.key, target.other.key, made.json()["key"], turned.json()["key"]]
    nonce = next(line for line in message.splitlines() if line.startswith("Nonce: "))[7:]
    require_none(
        found,
        *(one.split("_")[3] for one in keys),
        *(signature[2:], raw[8:], raw[-64:], nonce, body["signature"][2:], PEPPER),
        f"{OWN_KEY:064x}",
    )
    told = [one.route for one in await entries(target.pool, "request")]
    assert {"/v1/sessions", "/v1/keys", "/v1/operations/{operation_id}/transactions"} <= {*told}


async def test_settings__that_are_secret__are_told_as_set_and_no_more(
    target: Target, log: io.StringIO, fresh_database_url: str
) -> None:
    secret = {
        "redis_url": f"redis://user:{CANARY}@127.0.0.1/0",
        "rpc_url": NODE_URL,
        "key_pepper": CANARY,
        "cursor_secret": CANARY,
        "audit_key": HEX_CANARY,
        "api_key": STRANGE_KEY.text,
        "traces_url": NODE_URL,
        "database_replica_url": f"postgresql://u:{CANARY}@h/db",
    }
    settings = Settings(**secret, public_url="https://renown.example")  # type: ignore[arg-type]
    await note(lambda: connect(fresh_database_url), "api", settings)
    async with target.pool.connection() as conn:
        rows = await conn.fetch("SELECT variable, value FROM installation_setting")
    values = {row["variable"]: row["value"] for row in rows}

    assert set(values) == {row.variable for row in describe()}
    assert values["RENOWN_KEY_PEPPER"] == values["RPC_URL"] == "set"
    assert values["RENOWN_AUDIT_BODY_BYTES"] == "8192"
    assert values["RENOWN_PUBLIC_URL"] == "https://renown.example"
    require_none([*await everything_kept(target), ("log", log.getvalue())], *SECRETS)


async def test_settings__that_did_not_change__are_no_entries_and_one_that_did_is_one(
    target: Target, fresh_database_url: str
) -> None:
    for settings in (Settings(), Settings()):
        await note(lambda: connect(fresh_database_url), "crawler", settings)
    first = await entries(target.pool, "insert", "update", "delete")
    changed = Settings(audit_body_bytes=100, key_pepper=PEPPER)  # type: ignore[arg-type]
    await note(lambda: connect(fresh_database_url), "crawler", changed)
    told = await entries(target.pool, "insert", "update", "delete", after=first[-1].entry_id)

    assert len([one for one in first if one.subject == "installation_setting"]) == len(describe())
    assert [(one.action, one.subject_key) for one in told] == [
        ("update", "crawler,RENOWN_AUDIT_BODY_BYTES"),
        ("update", "crawler,RENOWN_KEY_PEPPER"),
    ]
    assert (told[0].before["value"], told[0].after["value"]) == ("8192", "100")
    assert (told[1].before["value"], told[1].after["value"]) == ("unset", "set")
