"""Bulk files over HTTP: listed, described, downloaded in pieces; and nothing else of the disk."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest

from renown.api.app import create_app
from renown.settings import Settings
from renown.store.pool import connect_pool
from tests.command import renown
from tests.factories import ALICE, CAROL, Story
from tests.integration.api import SETTINGS, get, refused

FIRST, SECOND = "20260101T000000Z", "20260102T000000Z"
FILE = "agents-31337-00000.parquet"


@pytest.fixture(scope="module")
def folder(database_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two finished exports, an unfinished one and things that are none."""
    story = Story().mint(0, ALICE, b"ipfs://one").mint(1).give(0, CAROL, 1).next_block()
    asyncio.run(story.write(database_url, final=story.number))
    folder = tmp_path_factory.mktemp("exports")
    for name, form in ((FIRST, "parquet"), (SECOND, "csv")):
        out = ("--out", str(folder / name), "--format", form)
        outcome = renown("export", *out, DATABASE_URL=database_url, RENOWN_DATA_DIR=str(folder))
        assert outcome.code == 0, outcome.err
    (folder / "secret.txt").write_text("not yours")
    (folder / FIRST / "private.parquet").write_text("not yours")
    (folder / "20260103T000000Z").mkdir()
    (folder / "20260103T000000Z" / "progress.json").write_text("{}")
    evil = folder / "evil"
    evil.mkdir()
    found = json.loads((folder / FIRST / "manifest.json").read_text())
    found["tables"][0]["files"][0]["name"] = "../secret.txt"
    (evil / "manifest.json").write_text(json.dumps(found))
    return folder


@pytest.fixture
async def client(database_url: str, folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    pool = await connect_pool(database_url, min_size=1, max_size=2)
    app = create_app(Settings(**SETTINGS, exports_dir=folder), pool=pool)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client
    await pool.close(grace_seconds=2)


async def test_exports__of_the_folder__are_listed_newest_first_and_only_finished_ones(
    client: httpx.AsyncClient,
) -> None:
    body = await get(client, "/v1/exports")

    assert [item["id"] for item in body["items"]] == [SECOND, FIRST]
    newest = body["items"][0]
    assert newest["format"] == "csv"
    assert newest["as_of"] == body["as_of"]
    assert (newest["as_of"][0]["chain_id"], newest["as_of"][0]["finality"]) == (31337, "final")
    assert {"name": "agents", "rows": 2, "files": 1}.items() <= newest["tables"][0].items()
    assert newest["rows"] == sum(one["rows"] for one in newest["tables"])


async def test_exports__page_by_page__give_each_once(client: httpx.AsyncClient) -> None:
    first = await get(client, "/v1/exports", limit=1)
    second = await get(client, "/v1/exports", limit=1, cursor=first["next_cursor"])

    assert [one["items"][0]["id"] for one in (first, second)] == [SECOND, FIRST]
    assert second["next_cursor"] is None


async def test_exports__no_folder__is_an_empty_list(tmp_path: Path, database_url: str) -> None:
    pool = await connect_pool(database_url, min_size=1, max_size=2)
    app = create_app(Settings(**SETTINGS, exports_dir=tmp_path / "none"), pool=pool)
    transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        assert (await get(client, "/v1/exports"))["items"] == []
    await pool.close(grace_seconds=2)


@pytest.mark.parametrize("path", ["/v1/exports", f"/v1/exports/{FIRST}"])
async def test_answers__real_ones__conform_to_the_document(
    client: httpx.AsyncClient, path: str
) -> None:
    document = (await client.get("/openapi.json")).json()
    template = "/v1/exports/{export}" if path.endswith(FIRST) else path
    described = document["paths"][template]["get"]["responses"]["200"]
    schema = described["content"]["application/json"]["schema"]

    whole = {**schema, "components": document["components"]}
    jsonschema_rs.validator_for(whole, validate_formats=True).validate(await get(client, path))


async def test_manifest__of_an_export__is_its_file_and_may_be_kept(
    client: httpx.AsyncClient, folder: Path
) -> None:
    answer = await client.get(f"/v1/exports/{FIRST}")

    assert "immutable" in answer.headers["cache-control"]
    found = json.loads((folder / FIRST / "manifest.json").read_text())
    assert [block.pop("slug") for block in found["as_of"]] == ["devnet"]
    assert answer.json() == found
    again = await client.get(
        f"/v1/exports/{FIRST}", headers={"If-None-Match": answer.headers["etag"]}
    )
    assert (again.status_code, again.content) == (304, b"")


async def test_file__whole__has_its_digest_for_tag_and_type(
    client: httpx.AsyncClient, folder: Path
) -> None:
    answer = await client.get(f"/v1/exports/{FIRST}/{FILE}")

    raw = (folder / FIRST / FILE).read_bytes()
    digest = hashlib.sha256(raw)
    assert (answer.status_code, answer.content) == (200, raw)
    assert answer.headers["etag"] == f'"{digest.hexdigest()}"'
    expected = base64.b64encode(digest.digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{expected}:"
    assert answer.headers["content-type"] == "application/vnd.apache.parquet"
    assert answer.headers["content-length"] == str(len(raw))
    assert "immutable" in answer.headers["cache-control"]
    assert "attachment" in answer.headers["content-disposition"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    known = {"If-None-Match": answer.headers["etag"]}
    assert (await client.get(f"/v1/exports/{FIRST}/{FILE}", headers=known)).status_code == 304


@pytest.mark.parametrize(
    ("asked", "status", "first", "end"),
    [
        ("bytes=0-9", 206, 0, 10),
        ("bytes=10-", 206, 10, None),
        ("bytes=-10", 206, -10, None),
        ("bytes=5-99999999", 206, 5, None),
        ("bytes=0-", 200, 0, None),
        ("bytes=-999999999", 200, 0, None),
        ("bytes=9-5", 200, 0, None),
        ("bytes=0-1,4-5", 200, 0, None),
        ("lines=0-1", 200, 0, None),
        ("bytes=x", 200, 0, None),
        ("bytes=" + ",".join(["0-"] * 5_000), 200, 0, None),
    ],
)
async def test_file__a_range__is_those_bytes_or_the_whole(
    client: httpx.AsyncClient,
    folder: Path,
    asked: str,
    status: int,
    first: int,
    end: int | None,
) -> None:
    raw = (folder / FIRST / FILE).read_bytes()

    answer = await client.get(f"/v1/exports/{FIRST}/{FILE}", headers={"Range": asked})

    assert (answer.status_code, answer.content) == (status, raw[first:end])
    if status == 206:
        begin = first % len(raw)
        last = begin + len(answer.content) - 1
        assert answer.headers["content-range"] == f"bytes {begin}-{last}/{len(raw)}"


async def test_file__download_that_broke_off__goes_on_only_with_the_same_file(
    client: httpx.AsyncClient, folder: Path
) -> None:
    path, raw = f"/v1/exports/{FIRST}/{FILE}", (folder / FIRST / FILE).read_bytes()
    tag = (await client.get(path, headers={"Range": "bytes=0-99"})).headers["etag"]

    rest = await client.get(path, headers={"Range": "bytes=100-", "If-Range": tag})
    other = await client.get(path, headers={"Range": "bytes=100-", "If-Range": '"other"'})

    assert raw[:100] + rest.content == raw
    assert (other.status_code, other.content) == (200, raw)


@pytest.mark.parametrize("asked", ["bytes={size}-", "bytes=99999999999-", "bytes=-0"])
async def test_file__a_range_behind_its_end__is_not_satisfiable(
    client: httpx.AsyncClient, folder: Path, asked: str
) -> None:
    size = (folder / FIRST / FILE).stat().st_size

    answer = await client.get(
        f"/v1/exports/{FIRST}/{FILE}", headers={"Range": asked.format(size=size)}
    )

    assert answer.status_code == 416
    assert answer.headers["content-range"] == f"bytes */{size}"
    assert answer.json()["type"] == "/problems/range-not-satisfiable"


async def test_file__head__says_its_length_and_reads_nothing(
    client: httpx.AsyncClient, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unread(*_: Any) -> None:
        raise AssertionError("a HEAD read the file")

    monkeypatch.setattr("renown.api.files._pieces", unread)
    answer = await client.head(f"/v1/exports/{FIRST}/{FILE}")

    size = (folder / FIRST / FILE).stat().st_size
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(size)


@pytest.mark.parametrize(
    "path",
    [
        "/v1/exports/none",
        "/v1/exports/20260103T000000Z",
        "/v1/exports/evil",
        "/v1/exports/..",
        "/v1/exports/%2e%2e",
        "/v1/exports/.hidden",
        f"/v1/exports/{FIRST}/manifest.json",
        f"/v1/exports/{FIRST}/private.parquet",
        f"/v1/exports/{FIRST}/progress.json",
        f"/v1/exports/{FIRST}/..%2fsecret.txt",
        f"/v1/exports/{FIRST}/%2e%2e%2fsecret.txt",
        f"/v1/exports/{FIRST}/{FILE}%00",
        "/v1/exports/evil/..%2fsecret.txt",
        "/v1/exports/..%2f..%2fetc/passwd",
    ],
)
async def test_paths__that_no_manifest_names__lead_nowhere(
    client: httpx.AsyncClient, path: str
) -> None:
    answer = await client.get(path)

    assert answer.status_code == 404
    assert b"not yours" not in answer.content


async def test_file__lost_cut_or_replaced_by_a_link__is_not_served(
    client: httpx.AsyncClient, folder: Path
) -> None:
    path = folder / SECOND / "agents-31337-00000.csv"
    raw = path.read_bytes()
    url = f"/v1/exports/{SECOND}/{path.name}"
    try:
        path.write_bytes(raw[:-1])
        await refused(client, url, 404, "export-not-found")
        path.unlink()
        await refused(client, url, 404, "export-not-found")
        (folder / "copy").write_bytes(raw)
        path.symlink_to(folder / "copy")
        await refused(client, url, 404, "export-not-found")
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(raw)


def test_process__that_serves_or_lists_commands__never_imports_pyarrow() -> None:
    code = """
import sys
import renown.api.app, renown.cli.app, renown.cli.up
renown.api.app.create_app(renown.api.app.Settings(database_url='postgresql://h/d',
                                                  cursor_secret='0123456789abcdef',
                                                  key_pepper='0123456789abcdef'))
print([name for name in sys.modules if name.split('.')[0] in ('pyarrow', 'numpy')
       or name.startswith('renown.exports')])
"""
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )

    assert found.stdout.strip() == "[]"
