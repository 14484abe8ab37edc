"""Bulk files: which there are, what is in them, and the files themselves."""

from __future__ import annotations

import asyncio
import base64
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Path
from starlette.requests import Request
from starlette.responses import Response

from renown.api.answers import exports
from renown.api.deps import CursorParam, LimitParam, desk_of, page_reply, position
from renown.api.files import file_reply
from renown.api.openapi import answers, problem_answers
from renown.api.replies import reply
from renown.api.routing import StrictRoute
from renown.errors import (
    BadCursor,
    BadParameter,
    ExportNotFound,
    RangeNotSatisfiable,
    StoreError,
)

router = APIRouter(route_class=StrictRoute, tags=["exports"])
log = structlog.get_logger(__name__)

NEVER_CHANGES = "public, max-age=31536000, immutable"
MEDIA = {
    "parquet": "application/vnd.apache.parquet",
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/x-ndjson",
}
ExportParam = Annotated[
    str, Path(max_length=100, description="Id of the export.", examples=["20261122T101500Z"])
]
_FILE: dict[int | str, dict[str, Any]] = {
    status: {
        "description": description,
        "headers": {
            name: {"description": about, "schema": {"type": "string"}}
            for name, about in {
                "ETag": "The file's SHA-256.",
                "Repr-Digest": "The same, as RFC 9530 has it; of the whole file.",
                "Content-Range": "Which bytes of how many these are.",
                "Content-Disposition": "`attachment`, with its name.",
                "Accept-Ranges": "`bytes`.",
            }.items()
            if name != "Content-Range" or status == 206
        },
        "content": {
            media.partition(";")[0]: {"schema": {"type": "string", "format": "binary"}}
            for media in MEDIA.values()
        },
    }
    for status, description in ((200, "The file."), (206, "The range asked for."))
}


@router.get("/v1/exports", responses=answers(exports.Exports, BadCursor))
async def list_exports(
    request: Request, limit: LimitParam = 20, cursor: CursorParam = None
) -> Response:
    """Finished exports, the newest first. The operator makes them with `renown export`."""
    after: Any = position(request, cursor)
    folder = desk_of(request).exports
    answer = await asyncio.to_thread(exports.exports, folder, after=after, limit=limit)
    return page_reply(request, answer)


@router.get("/v1/exports/{export}", responses=answers(exports.Export, ExportNotFound))
async def get_export(request: Request, export: ExportParam) -> Response:
    """The manifest of one export: what it is of, its columns, its files with their checksums."""
    answer = await asyncio.to_thread(exports.export, desk_of(request).exports, export)
    return reply(request, answer, cache=NEVER_CHANGES)


@router.get(
    "/v1/exports/{export}/{file}",
    responses={
        **_FILE,
        304: {**_FILE[200], "description": "You have it already.", "content": {}},
        **problem_answers(BadParameter, ExportNotFound, RangeNotSatisfiable, StoreError),
    },
)
async def get_export_file(
    request: Request,
    export: ExportParam,
    file: Annotated[str, Path(max_length=100, description="A file that the manifest names.")],
) -> Response:
    """One file of an export. Takes `Range`, so that a download that broke off can go on."""
    path, found = await asyncio.to_thread(exports.file, desk_of(request).exports, export, file)
    digest = base64.b64encode(bytes.fromhex(found.sha256)).decode()
    headers = {
        "Content-Type": MEDIA[path.suffix.removeprefix(".")],
        "Content-Disposition": f'attachment; filename="{found.name}"',
        "Repr-Digest": f"sha-256=:{digest}:",
        "Cache-Control": NEVER_CHANGES,
    }
    try:
        return await file_reply(
            request, path, size_bytes=found.bytes, tag=f'"{found.sha256}"', headers=headers
        )
    except OSError as exc:
        log.error("export_file_lost", export=export, file=found.name, reason=type(exc).__name__)
        raise ExportNotFound(
            "this file is gone, or is not what its manifest says", export=export, file=found.name
        ) from exc
