"""Files that we serve for accounts, at URIs that the chain holds."""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Access, wants
from renown.api.deps import desk_of
from renown.api.headers import OF_A_FILE
from renown.api.openapi import problem_answers
from renown.api.routing import StrictRoute
from renown.errors import BadParameter, FileNotHosted, StoreError
from renown.store import hosted

router = APIRouter(route_class=StrictRoute, tags=["acting"])
IMMUTABLE = "public, max-age=31536000, immutable"
FOR_ALL = Access(None, "read")
"""Also where reads are closed: the chain sends everybody here."""

ShaParam = Annotated[
    str,
    Path(pattern="^0x[0-9a-fA-F]{64}$", description="SHA-256 of the file, in hexadecimal."),
]
_FILE: dict[str, Any] = {
    "description": "The file's bytes. They never change.",
    "headers": OF_A_FILE,
    "content": {"application/json": {"schema": {"type": "object"}}},
}


@router.get(
    "/v1/files/{sha256}",
    responses={
        200: _FILE,
        304: {"description": "You have it already.", "headers": OF_A_FILE},
        **problem_answers(BadParameter, FileNotHosted, StoreError),
    },
)
@wants(FOR_ALL)
async def get_file(request: Request, sha256: ShaParam) -> Response:
    """A file that an account has us host, by its hash."""
    name = bytes.fromhex(sha256[2:])
    headers = {
        "Cache-Control": IMMUTABLE,
        "ETag": f'"{name.hex()}"',
        "Repr-Digest": f"sha-256=:{base64.b64encode(name).decode()}:",
    }
    async with desk_of(request).reading() as conn:
        found = await hosted.load(conn, name)
    if found is None:
        raise FileNotHosted("no account has us host a file of this hash")
    if name.hex() in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(found.content, media_type=found.media_type, headers=headers)
