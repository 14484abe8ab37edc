"""E4: every operation of the OpenAPI document for every role. `pytest -s` prints the matrix."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fastapi import APIRouter
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import OPEN, SCOPES, Access, access_of, wants
from renown.api.routing import GatedRoute, StrictRoute, add_routes
from renown.store.api_keys import revoke_key
from tests.access import Api, acting_api, bearer, give_account, give_key

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "access-matrix.md"
ROLES = ("nobody", *SCOPES, "revoked")
PLACES = {
    "key": "31337:0",
    "client": "0x" + "11" * 20,
    "address": "0x" + "11" * 20,
    "hash": "0x" + "22" * 32,
    "index": "1",
    "id": "00000000",
    "chain": "devnet",
    "operation_id": "00000000-0000-0000-0000-000000000000",
    "claim": "00000000-0000-0000-0000-000000000000",
    "entry_id": "1",
    "mark": "reviewed",
    "request_hash": "0x" + "22" * 32,
    "sha256": "0x" + "22" * 32,
}


class Operation(msgspec.Struct):
    """One operation as the document describes its access."""

    method: str
    path: str
    scope: str | None
    is_public: bool
    has_body: bool
    responses: dict[str, Any]

    @property
    def url(self) -> str:
        url = self.path
        while "{" in url:
            head, _, rest = url.partition("{")
            name, _, tail = rest.partition("}")
            url = head + PLACES.get(name, "1") + tail
        return url

    def lets_in(self, role: str, *, closed: bool) -> int | None:
        """None where the role is let in, else the status that turns it away."""
        if self.scope is None:
            return None
        if role == "revoked":
            return 401
        if self.is_public and not closed:
            return None
        if role == "nobody":
            return 401
        return None if role == self.scope else 403


def operations(document: dict[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield Operation(
                method.upper(),
                path,
                operation.get("x-renown-scope"),
                {} in operation["security"],
                "requestBody" in operation,
                operation["responses"],
            )


@pytest.fixture(params=[False, True], ids=["open reads", "closed reads"])
async def api(request: pytest.FixtureRequest, database_url: str) -> AsyncIterator[Api]:
    async with acting_api(database_url, public_reads=not request.param) as api:
        yield api


async def test_matrix__every_operation_for_every_role__lets_in_whom_the_document_says(api: Api):
    closed = not api.app.state.desk.gate.public_reads
    holder = await give_account(api.pool, SCOPES)
    account_id = holder.account.account_id
    headers: dict[str, dict[str, str]] = {"nobody": {}} | {
        scope: bearer((await give_key(api.pool, account_id, [scope])).text) for scope in SCOPES
    }
    revoked = await give_key(api.pool, account_id)
    async with api.pool.transaction() as tx:
        await revoke_key(tx, revoked.row.key_id)
    headers["revoked"] = bearer(revoked.text)
    found = sorted(operations(api.app.openapi()), key=lambda one: (one.path, one.method))
    width = max(len(one.path) for one in found) + 8
    print()  # noqa: T201
    print("".ljust(width), *(role.ljust(7) for role in ROLES))  # noqa: T201

    wrong = []
    for one in found:
        cells = []
        for role in ROLES:
            answer = await api.client.request(
                one.method,
                one.url,
                headers=headers[role],
                content=b"[]" if one.has_body else None,  # the shape of no body we take
            )
            expected = one.lets_in(role, closed=closed)
            status = answer.status_code
            is_turned_away = status == 401 or (
                status == 403 and answer.json()["type"] == "/problems/scope-missing"
            )
            if expected is None:
                right = not is_turned_away and status < 500
            else:
                right = status == expected and is_turned_away
            if not right:
                wrong.append((one.method, one.path, role, expected, status, answer.text[:200]))
            cells.append(str(status) if expected is not None else f"ok {status}")
        print(f"{one.method:7} {one.path}".ljust(width), *(cell.ljust(7) for cell in cells))  # noqa: T201

    assert len(found) > 25
    assert not wrong, wrong


async def test_document__of_each_operation__says_what_the_gate_does(api: Api):
    for one in operations(api.app.openapi()):
        where = (one.method, one.path)
        if one.scope is not None:
            assert {"401", "403", "429"} <= one.responses.keys(), where
        if one.method != "GET":
            assert "400" in one.responses, where
        if one.is_public:
            assert one.scope == "read", where


def test_document__of_every_route_that_changes_things__speaks(api: Api):
    described = {(one.method, one.path) for one in operations(api.app.openapi())}
    for route in api.app.routes:
        if not isinstance(route, APIRoute):
            continue
        for method in route.methods or ():
            is_v1 = route.path_format.startswith("/v1/")
            if is_v1 or method not in ("GET", "HEAD"):
                assert (method, route.path_format) in described, (method, route.path_format)


def test_page_of_the_matrix__has_every_operation(api: Api):
    page = PAGE.read_text()
    for one in operations(api.app.openapi()):
        assert f"| `{one.method} {one.path}` |" in page, "run `make docs`"


def test_routes__every_one_of_the_app__is_behind_the_gate_or_open_to_all(api: Api):
    for route in api.app.routes:
        if isinstance(route, APIRoute) and not isinstance(route, GatedRoute):
            assert access_of(route.endpoint) == OPEN, route.path
        elif not isinstance(route, APIRoute):
            assert getattr(route, "path", "") in ("/static", "/openapi.json"), route


def test_route__that_changes_things_and_says_nothing__keeps_the_app_from_starting():
    router = APIRouter(route_class=StrictRoute)

    async def forgotten(request: Request) -> Response:
        return Response()

    with pytest.raises(TypeError, match="wants"):
        router.post("/v1/forgotten")(forgotten)
    router.post("/v1/marked")(wants(Access("write", "write"))(forgotten))


def test_route__that_passes_no_gate__keeps_the_app_from_starting(api: Api):
    router = APIRouter()

    @router.get("/v1/plain")
    async def plain(request: Request) -> Response:
        return Response()

    with pytest.raises(TypeError, match="gate"):
        add_routes(api.app, router)
