"""Many agents by their keys. The search itself is `GET /v1/agents`, see `routes.agents`."""

from __future__ import annotations

from typing import Annotated

import msgspec
from fastapi import APIRouter
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import PUBLIC_SEARCH, wants
from renown.api.answers import batch
from renown.api.answers.batch import MOST_KEYS
from renown.api.bodies import raw_body
from renown.api.deps import desk_of
from renown.api.openapi import answers
from renown.api.replies import reply
from renown.api.routing import StrictRoute
from renown.errors import BadParameter, BodyTooLarge

router = APIRouter(route_class=StrictRoute, tags=["agents"])
LONGEST_BODY_BYTES = 262_144


class Keys(msgspec.Struct, forbid_unknown_fields=True):
    """The body: which agents."""

    keys: Annotated[list[str], Meta(min_length=1, max_length=MOST_KEYS)]


@router.post(
    "/v1/agents/batch",
    responses=answers(batch.Batch, BodyTooLarge, not_modified=False),
    openapi_extra={
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "additionalProperties": False,
                        "required": ["keys"],
                        "properties": {
                            "keys": {
                                "type": "array",
                                "minItems": 1,
                                "maxItems": MOST_KEYS,
                                "items": {"type": "string"},
                                "description": "Agent keys in any form, repeats allowed.",
                            }
                        },
                    }
                }
            },
        }
    },
)
@wants(PUBLIC_SEARCH)
async def get_agents(request: Request) -> Response:
    """Up to 1,000 agents by their keys, in the order given. Unknown keys do not fail the others."""
    body = await raw_body(request, most_bytes=LONGEST_BODY_BYTES)
    try:
        asked = msgspec.json.decode(body, type=Keys)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise BadParameter(
            f'the body is a JSON object {{"keys": [...]}} with 1 to {MOST_KEYS} keys: {exc}',
            parameter="keys",
        ) from None
    async with desk_of(request).reading_public() as conn:
        answer = await batch.agents(conn, asked.keys)
    return reply(request, answer, cache="no-store", tagged=False)
