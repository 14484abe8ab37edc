"""Whether a real answer is what the OpenAPI document says, and says no more."""

from __future__ import annotations

import httpx
import jsonschema_rs

from tests.integration.test_api_contract import closed


async def require_conforming(client: httpx.AsyncClient, route: str, path: str) -> None:
    """The JSON that GET `path` gives is what the document says of `route`; no member is unnamed."""
    document = closed((await client.get("/openapi.json")).json())
    answer = await client.get(path)
    described = document["paths"][route]["get"]["responses"][str(answer.status_code)]
    schema = described["content"]["application/json"]["schema"]
    jsonschema_rs.validator_for(
        {**schema, "components": document["components"]}, validate_formats=True
    ).validate(answer.json())
