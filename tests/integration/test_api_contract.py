"""The OpenAPI document tells the truth: real answers conform, and have no member it leaves out.

`test_api_fuzz` asks for what nobody thought of.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema_rs
import pytest

from tests.factories import CAROL
from tests.integration.api import api_on, get
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
            told = {status for status in operation["responses"] if status < "300"}
            assert told
            assert {"400", "503"} <= operation["responses"].keys()
            for status in operation["responses"].keys() - told - {"304"}:
                refused = operation["responses"][status]
                assert [*refused["content"]] == ["application/problem+json"], status
            assert operation["description"]
            assert all(p.get("description") for p in operation.get("parameters", []))
