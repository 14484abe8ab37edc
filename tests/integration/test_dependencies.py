"""The database as a dependency of FastAPI, for whoever adds a route in the usual way."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import JSONResponse, Response

from renown.api.access.principal import OPEN, wants
from renown.api.deps import Reading, Writing
from renown.api.routing import add_routes
from tests.access import acting_api


async def test_route__with_reading_and_writing__gets_both_and_gives_them_back(
    fresh_database_url: str,
) -> None:
    router = APIRouter()

    @router.get("/v1/counted")
    @wants(OPEN)
    async def counted(reading: Reading) -> Response:
        async with reading as conn:
            return JSONResponse({"n": await conn.fetchval("SELECT count(*) FROM written")})

    @router.post("/v1/counted")
    @wants(OPEN)
    async def count(writing: Writing, fails: bool = False) -> Response:
        async with writing as tx:
            await tx.execute("INSERT INTO written VALUES (1)")
            if fails:
                raise KeyError("x")
        return JSONResponse({}, 201)

    async with acting_api(fresh_database_url) as api:
        async with api.pool.connection() as conn:
            await conn.execute("CREATE TABLE written (n int)")
        add_routes(api.app, router)

        assert (await api.client.post("/v1/counted")).status_code == 201
        assert (await api.client.post("/v1/counted?fails=true")).status_code == 500
        answer = await api.client.get("/v1/counted")

        assert answer.json() == {"n": 1}
        assert api.pool.stats().busy == 0
