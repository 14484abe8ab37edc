"""No request that can be made from the OpenAPI document breaks the app or what it promises.

Every operation, for nobody, for a key that only reads and for one that may do everything, with
requests that fit the document and such that do not. Behind it is a chain that takes everything: no
node fails, so no answer may say so.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
import requests
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation.modes import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from renown.api.app import create_app
from renown.chain.tx.signer import LocalSigner
from renown.settings import Settings
from renown.spec.deployments import DEVNET_CHAIN_ID
from renown.store.pool import connect_pool
from renown.store.wallets import add_wallet
from tests.access import SETTINGS, Signer, bearer, give_account, give_key
from tests.factories import CAROL
from tests.fakes.acted_on import AnyChain
from tests.fakes.payment_chain import Move
from tests.integration.test_api_answers import devnet_story
from tests.integration.test_writes import FILE

EXAMPLES = int(os.environ.get("RENOWN_FUZZ_EXAMPLES", "6"))
"""Requests of each kind to each operation for each role."""
OWN = Signer(0xF0221)
SERVED = Signer(0xF0222)
ROLES = ("nobody", "reader", "holder")
# What any server says of any answer; all else stands in the document.
COMMON = {
    *("content-type", "content-length", "date", "server", "cache-control", "vary", "allow"),
    *("x-content-type-options", "referrer-policy", "x-frame-options", "content-security-policy"),
    *("cross-origin-resource-policy", "access-control-allow-origin"),
    *("access-control-expose-headers", "age", "connection", "transfer-encoding"),
    *("content-encoding", "x-request-id"),
}
CHECKS: Any = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    *(response_schema_conformance, response_headers_conformance),
]
_NOWHERE: dict[str, Any] = SETTINGS | {"database_url": "postgresql://h/d"}
DOCUMENT = create_app(Settings(**_NOWHERE)).openapi()
OPERATIONS = schemathesis.openapi.from_dict(DOCUMENT)
ALL = sorted((path, method) for path, of in DOCUMENT["paths"].items() for method in of)


class Served(msgspec.Struct):
    """The app behind a real server, the headers of each role, and what there is to be named."""

    url: str
    headers: dict[str, dict[str, str]]
    real: dict[str, list[Any]]
    session: Any
    answered: Counter[str]


@pytest.fixture(scope="module")
def served(database_url: str) -> Iterator[Served]:
    chain = AnyChain()
    payment = chain.payments.pay("paid", 1, Move(OWN.raw, OWN.raw))
    headers = asyncio.run(_stored(database_url))
    app = create_app(
        Settings(database_url=database_url, db_pool_max_size=2, **SETTINGS),  # type: ignore[arg-type]
        writers={DEVNET_CHAIN_ID: chain},  # type: ignore[dict-item]
        signer=LocalSigner.from_keys([(0xF0222).to_bytes(32)]),
        signer_is_open=True,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    url = "http://{}:{}".format(*listener.getsockname())
    with requests.Session() as session:
        real = _named(url, headers["holder"], payment)
        made = Served(url, headers, real, session, Counter())
        yield made
    server.should_exit = True
    thread.join(10)
    print("\nanswers by status:", dict(sorted(made.answered.items())))  # noqa: T201


async def _stored(url: str) -> dict[str, dict[str, str]]:
    story = devnet_story()
    story.mint(7, OWN.raw).give(0, OWN.raw, 1, value=80).ask_validation(0, b"mine", OWN.raw)
    await story.write(url, final=3)
    pool = await connect_pool(url, min_size=1, max_size=2)
    try:
        holder = await give_account(pool)
        account_id = holder.account.account_id
        reader = await give_key(pool, account_id, ["read"])
        async with pool.transaction() as tx:
            await add_wallet(tx, account_id, OWN.raw, 0, "signature")
    finally:
        await pool.close(grace_seconds=2)
    return {"nobody": {}, "reader": bearer(reader.text), "holder": holder.headers}


def _named(url: str, headers: dict[str, str], payment: bytes) -> dict[str, list[Any]]:
    """Names of what is there, by parameter or member of a body."""
    with httpx.Client(base_url=url, headers=headers, timeout=30) as client:
        own = client.get("/v1/agents/31337:7").raise_for_status().json()
        body = {"chain": "devnet", "from": OWN.address, "uri": "ipfs://x"}
        operation = client.post("/v1/agents", json=body).raise_for_status().json()
        hosted = {"chain": "devnet", "from": OWN.address, "file": FILE, "store": "hosted"}
        made = client.post("/v1/agents", json=hosted).raise_for_status().json()
        unsigned = bytes.fromhex(made["transactions"][0]["unsigned"]["data"][2:])
        place = unsigned.index(b"/v1/files/") + len(b"/v1/files/")
        asked = client.get("/v1/agents/31337:0/validations").raise_for_status().json()["items"]
    return {
        "key": ["31337:7", "31337:0", own["uuid"], "31337:4"],
        "client": [OWN.address, f"0x{CAROL.hex()}"],
        "index": [1, 2],
        "chain": ["devnet", "31337"],
        "operation_id": [operation["id"], made["id"]],
        "sha256": [unsigned[place : place + 66].decode()],
        "request_hash": [one["request_hash"] for one in asked],
        "from": [OWN.address, SERVED.address],
        "wallet": [OWN.address, None],
        "mode": ["prepare", "managed"],
        "tx_hash": ["0x" + payment.hex()],
    }


@pytest.mark.parametrize(("path", "method"), ALL, ids=str)
def test_requests__generated_from_the_document__are_answered_as_it_says(
    served: Served, path: str, method: str
) -> None:
    operation = OPERATIONS[path][method]
    public = {} in operation.definition.raw["security"] or not operation.definition.raw["security"]

    def hold(case: Any, role: str, real: bool) -> None:
        if real:
            _make_real(case, served.real)
        for name in [*case.headers]:
            if name.lower() in ("authorization", "content-length", "host"):
                del case.headers[name]
        answer = case.call(
            base_url=served.url, headers=served.headers[role], session=served.session
        )
        served.answered[str(answer.status_code)] += 1
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code < 500, answer.text
        said = _headers_of(path, method, answer.status_code)
        assert not {*map(str.lower, answer.headers)} - COMMON - said, answer.headers
        if role == "nobody" and not public:
            assert answer.status_code == 401
        if "etag" in answer.headers:
            _require_304(served, role, case, answer)

    def _require_304(served: Served, role: str, case: Any, answer: Any) -> None:
        known = served.headers[role] | {"If-None-Match": answer.headers["etag"][0]}
        again = case.call(base_url=served.url, headers=known, session=served.session)
        case.validate_response(again, checks=CHECKS)
        assert again.status_code == 304
        assert not {*map(str.lower, again.headers)} - COMMON - _headers_of(path, method, 304)

    for mode, most in ((GenerationMode.POSITIVE, EXAMPLES), (GenerationMode.NEGATIVE, 2)):
        try:
            cases = operation.as_strategy(generation_mode=mode)
        except Exception:  # noqa: BLE001 - an operation without anything that could be wrong
            continue
        for role in ROLES:
            few = most if role == "holder" else max(1, most // 4)
            try:
                _run(cases, few, hold, role)
            except Unsatisfiable:  # without parameters there is nothing to be wrong
                assert mode is GenerationMode.NEGATIVE


def _run(cases: Any, most: int, hold: Any, role: str) -> None:
    @settings(
        max_examples=most,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases, real=st.booleans())
    def run(case: Any, real: bool) -> None:
        hold(case, role, real)

    run()


def _make_real(case: Any, real: dict[str, list[Any]]) -> None:
    """Name what is there instead of what is not, so that more of the route is reached."""

    def one(name: str, instead_of: Any) -> Any:
        return real[name][len(str(instead_of)) % len(real[name])]

    for place in (case.path_parameters, case.query):
        for name in (place or {}).keys() & real.keys():
            place[name] = one(name, place[name])
    body = case.body
    if isinstance(body, dict):
        for name in ("transactions", "content_hash", "request_hash", "contract", "signature"):
            body.pop(name, None)
        if "uri" in body:
            body.pop("file", None)
        for name in real.keys() & (body.keys() | {"from"} if "mode" in body else body.keys()):
            body[name] = one(name, body.get(name))


def _headers_of(path: str, method: str, status: int) -> set[str]:
    described = DOCUMENT["paths"][path][method]["responses"].get(str(status), {})
    return {name.lower() for name in described.get("headers", {})}
