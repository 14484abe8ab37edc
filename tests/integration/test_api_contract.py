"""The OpenAPI document tells the truth: real answers conform, and no request breaks the app."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import jsonschema_rs
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from renown.api.app import create_app
from renown.settings import Settings
from tests.factories import CAROL
from tests.integration.api import SECRET, api_on, get
from tests.integration.test_api_answers import HOSTILE, devnet_story

REAL = [
    *(f"/v1/agents/31337:{agent_id}" for agent_id in HOSTILE),
    *("/v1/agents", "/v1/agents?chain=devnet&at=4", "/v1/agents/31337:0/metadata"),
    *("/v1/agents/31337:0/feedback?include_revoked=true", "/v1/agents/31337:4/feedback"),
    *(f"/v1/agents/31337:0/feedback/0x{CAROL.hex()}/1", "/v1/agents/31337:0/reputation"),
    *(f"/v1/agents/31337:0/reputation?clients=0x{CAROL.hex()}", "/v1/agents/31337:0/validations"),
    *("/v1/agents/31337:0/history?limit=100", "/v1/agents/31337:5/history", "/v1/feedback"),
    *("/v1/chains", "/v1/chains/devnet", "/v1/status", "/v1/network", "/v1/quarantine"),
    *("/v1/outbox?chain=devnet", "/v1/agents/31337:98", "/v1/agents?foo=1"),
]


@pytest.fixture(scope="module")
def stored(database_url: str) -> str:
    asyncio.run(devnet_story().write(database_url, final=3))
    return database_url


@pytest.fixture
async def client(stored: str) -> AsyncIterator[httpx.AsyncClient]:
    async with api_on(stored) as client:
        yield client


def closed(schema: Any) -> Any:
    """`schema` with no member allowed that it does not name: ours must name all."""
    if isinstance(schema, dict):
        made = {name: closed(part) for name, part in schema.items()}
        if "properties" in made and made.get("title") != "Problem":
            made.setdefault("additionalProperties", False)
        return made
    return [closed(part) for part in schema] if isinstance(schema, list) else schema


@pytest.mark.parametrize("path", REAL)
async def test_answer__real_one__conforms_to_the_document_and_has_no_undocumented_member(
    client: httpx.AsyncClient, path: str
) -> None:
    document = closed((await client.get("/openapi.json")).json())
    answer = await client.get(path)
    template = _template(path)
    described = document["paths"][template]["get"]["responses"][str(answer.status_code)]
    kind = answer.headers["content-type"]

    schema = {**described["content"][kind]["schema"], "components": document["components"]}
    jsonschema_rs.validator_for(schema, validate_formats=True).validate(answer.json())
    for name, header in described.get("headers", {}).items():
        assert name in answer.headers or not header.get("required")


def _template(path: str) -> str:
    parts = path.split("?", maxsplit=1)[0].split("/")
    if len(parts) > 3:
        parts[3] = "{key}" if parts[2] == "agents" else "{chain}"
    if len(parts) > 5:
        parts[5:7] = ["{client}", "{index}"]
    return "/".join(parts)


async def test_document__every_route_below_v1__is_described_with_all_its_problems(
    client: httpx.AsyncClient,
) -> None:
    document = await get(client, "/openapi.json")

    jsonschema_rs.meta.validate(document["components"]["schemas"]["Agent"])
    for path, methods in document["paths"].items():
        assert path.startswith("/v1/")
        for operation in methods.values():
            assert {"200", "400", "503"} <= set(operation["responses"])
            assert "422" not in operation["responses"]
            assert operation["description"]
            assert all(p.get("description") for p in operation.get("parameters", []))


@pytest.fixture(scope="module")
def served(stored: str) -> Iterator[str]:
    """Address of the app behind a real server, in a thread of its own."""
    given: Any = {"database_url": stored, "cursor_secret": SECRET, "db_pool_max_size": 2}
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(create_app(Settings(**given)), log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    yield "http://{}:{}".format(*listener.getsockname())
    server.should_exit = True
    thread.join(10)


CHECKS: Any = [
    *(not_a_server_error, status_code_conformance, content_type_conformance),
    response_schema_conformance,
]
OPERATIONS = schemathesis.openapi.from_dict(
    create_app(Settings(database_url="postgresql://h/d", cursor_secret=SECRET)).openapi()  # type: ignore[arg-type]
)


@pytest.mark.parametrize(
    ("path", "method"),
    sorted((p, method) for p, of in OPERATIONS.raw_schema["paths"].items() for method in of),
)
def test_requests__generated_from_the_document__never_break_the_app(
    served: str, path: str, method: str
) -> None:
    operation = OPERATIONS[path][method]

    @settings(
        max_examples=25,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def hold(case: Any) -> None:
        answer = case.call(base_url=served)
        case.validate_response(answer, checks=CHECKS)
        assert answer.status_code < 500

    hold()
