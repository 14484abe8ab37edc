"""Documents by content address, through gateways that may lie: security rule A8."""

from __future__ import annotations

import asyncio
import base64
import hashlib

import pytest

from renown.errors import BadSettings
from renown.offchain.fetcher import Fetcher, Limits
from renown.offchain.unixfs import file_block
from renown.spec.uris import Uri, parse_uri
from tests.fakes.origin import Origin, redirect, reply

FILE = b'{"name": "An agent"}'
HTML = b"<!doctype html><title>Oops</title>"
RAW = {"Content-Type": "application/vnd.ipld.raw"}
PAGE = {"Content-Type": "text/html; charset=utf-8"}
TRANSACTION = "A" * 43
LIMITED = b'{"error": "rate limit exceeded"}'


def cid_v1(codec: int, block: bytes) -> str:
    data = bytes([1, codec, 0x12, 0x20]) + hashlib.sha256(block).digest()
    return "b" + base64.b32encode(data).decode().lower().rstrip("=")


def field(number: int, value: bytes | int) -> bytes:
    if isinstance(value, int):
        return bytes([number << 3, value])
    assert len(value) < 128
    return bytes([number << 3 | 2, len(value)]) + value


def folder_block(**files: bytes) -> bytes:
    """A UnixFS folder of small files; `_` in a name stands for a dot."""
    links = b""
    for name, content in files.items():
        target = b"\x12\x20" + hashlib.sha256(file_block(content)).digest()
        links += field(2, field(1, target) + field(2, name.replace("_", ".").encode()))
    return links + field(1, field(1, 1))


RAW_CID = cid_v1(0x55, FILE)
FILE_CID = cid_v1(0x70, file_block(FILE))
FOLDER = folder_block(agent_json=FILE, other_json=b"{}")
FOLDER_CID = cid_v1(0x70, FOLDER)
PARTS = field(2, field(1, b"\x12\x20" + bytes(32))) + field(1, field(1, 2))
PARTS_CID = cid_v1(0x70, PARTS)


def gateway(origin: Origin, host: str, cid: str, block: bytes, file: bytes = FILE) -> None:
    """An honest one for one file."""
    origin.on(f"{host}/ipfs/{cid}?format=raw", reply(block, headers=RAW))
    origin.on(f"{host}/ipfs/{cid}", reply(file))


def fetcher_for(origin: Origin, **options) -> Fetcher:
    gateways = ("http://one.example", "http://two.example")
    return Fetcher(opened=[origin.detour], ipfs_gateways=gateways, ar_gateways=gateways, **options)


def uri(text: str) -> Uri:
    return parse_uri(text.encode())


@pytest.mark.parametrize(
    ("cid", "block"), [(RAW_CID, FILE), (FILE_CID, file_block(FILE))], ids=["raw", "dag-pb"]
)
async def test_a8_ipfs__one_block__is_verified(cid, block):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", cid, block)
        fetched = await fetcher.read(uri(f"ipfs://{cid}"))

    assert (fetched.outcome, fetched.body, fetched.verified) == ("ok", FILE, True)
    assert fetched.final_url is None
    assert len(origin.requests) == 1


@pytest.mark.parametrize(
    ("cid", "block"), [(RAW_CID, FILE), (FILE_CID, file_block(FILE))], ids=["raw", "dag-pb"]
)
async def test_a8_ipfs__gateway_that_knows_no_blocks__is_verified_all_the_same(cid, block):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"/ipfs/{cid}?format=raw", reply(FILE))
        ignoring = await fetcher.read(uri(f"ipfs://{cid}"))
        origin.on(f"/ipfs/{cid}?format=raw", reply(b"what?", status=400))
        origin.on(f"/ipfs/{cid}", reply(FILE))
        refusing = await fetcher.read(uri(f"ipfs://{cid}"))

    assert (ignoring.outcome, ignoring.body, ignoring.verified) == ("ok", FILE, True)
    assert (refusing.outcome, refusing.body, refusing.verified) == ("ok", FILE, True)


@pytest.mark.parametrize("lie", [b"{}", FILE + b" ", b"", HTML, file_block(b"{}")])
@pytest.mark.parametrize("cid", [RAW_CID, FILE_CID, PARTS_CID])
async def test_a8_ipfs__gateway_that_lies__is_passed_over(cid, lie):
    block = {RAW_CID: FILE, FILE_CID: file_block(FILE), PARTS_CID: PARTS}[cid]
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", cid, lie, lie)
        gateway(origin, "two.example", cid, block)
        fetched = await fetcher.read(uri(f"ipfs://{cid}"))

    assert (fetched.outcome, fetched.body) == ("ok", FILE)
    assert fetched.verified is (None if cid == PARTS_CID else True)


@pytest.mark.parametrize(
    ("cid", "answer", "reason"),
    [
        (RAW_CID, reply(b"{}"), "other-hash"),
        (RAW_CID, reply(HTML, headers=PAGE), "other-hash"),
        (FILE_CID, reply(file_block(b"{}"), headers=RAW), "other-hash"),
        (FILE_CID, reply(HTML, headers=PAGE), "html-page"),
    ],
)
async def test_a8_ipfs__every_gateway_lies__is_wrong_content(cid, answer, reason):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", answer)
        fetched = await fetcher.read(uri(f"ipfs://{cid}"))

    assert (fetched.outcome, fetched.reason, fetched.body) == ("wrong-content", reason, None)
    assert {seen.host for seen in origin.requests} == {"one.example", "two.example"}


async def test_a8_ipfs__several_blocks__are_taken_unverified():
    large = b"[" + b"1," * 9_000 + b"1]"
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", PARTS_CID, PARTS, large)
        fetched = await fetcher.read(uri(f"ipfs://{PARTS_CID}"))

    assert (fetched.outcome, fetched.body, fetched.verified) == ("ok", large, None)
    assert {seen.host for seen in origin.requests} == {"one.example"}  # none could prove it


async def test_a8_ipfs__several_blocks__are_asked_of_the_next_where_one_lacks_some():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"one.example/ipfs/{PARTS_CID}?format=raw", reply(PARTS, headers=RAW))
        gateway(origin, "two.example", PARTS_CID, PARTS)
        fetched = await fetcher.read(uri(f"ipfs://{PARTS_CID}"))

    assert (fetched.outcome, fetched.body, fetched.verified) == ("ok", FILE, None)


async def test_a8_ipfs__unprovable_at_one_gateway__is_asked_of_the_next():
    large = b"not it, but who knows" + b" " * 256 * 1024
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"one.example/ipfs/{FILE_CID}?format=raw", reply(large))
        gateway(origin, "two.example", FILE_CID, file_block(FILE))
        proven = await fetcher.read(uri(f"ipfs://{FILE_CID}"))
        origin.on(f"two.example/ipfs/{FILE_CID}?format=raw", reply(b"", status=404))
        unproven = await fetcher.read(uri(f"ipfs://{FILE_CID}"))

    assert (proven.body, proven.verified) == (FILE, True)
    assert (unproven.body, unproven.verified) == (large, None)


@pytest.mark.parametrize("path", ["", "/agent.json"])
@pytest.mark.parametrize("knows_blocks", [True, False])
async def test_a8_ipfs__error_with_status_200__is_never_the_file(path, knows_blocks):
    cid = FOLDER_CID if path else FILE_CID
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("one.example/*", reply(status=404))
        for place in (cid, f"{cid}{path}"):
            if knows_blocks and place == FOLDER_CID:
                origin.on(f"one.example/ipfs/{place}?format=raw", reply(FOLDER, headers=RAW))
            else:
                origin.on(f"one.example/ipfs/{place}?format=raw", reply(LIMITED))
            origin.on(f"one.example/ipfs/{place}", reply(LIMITED))
        alone = await fetcher.read(uri(f"ipfs://{cid}{path}"))
        if path:
            gateway(origin, "two.example", FOLDER_CID, FOLDER)
        gateway(origin, "two.example", f"{cid}{path}", file_block(FILE))
        with_another = await fetcher.read(uri(f"ipfs://{cid}{path}"))

    assert (alone.outcome, alone.body) == ("wrong-content", None)
    assert alone.reason == ("same-for-all" if path and not knows_blocks else "other-hash")
    assert (with_another.body, with_another.verified) == (FILE, True)


async def test_a8_ipfs__several_blocks_of_another_size__are_not_the_file():
    block = PARTS[:-4] + field(1, field(1, 2) + field(3, len(FILE)))
    cid = cid_v1(0x70, block)
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", cid, block, LIMITED)
        gateway(origin, "two.example", cid, block, LIMITED)
        wrong = await fetcher.read(uri(f"ipfs://{cid}"))
        gateway(origin, "two.example", cid, block)
        right = await fetcher.read(uri(f"ipfs://{cid}"))

    assert (wrong.outcome, wrong.reason) == ("wrong-content", "other-size")
    assert (right.outcome, right.body, right.verified) == ("ok", FILE, None)


async def test_ipfs__folder_of_a_gateway_that_knows_no_blocks__is_read_unverified():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"one.example/ipfs/{FOLDER_CID}?format=raw", reply(HTML, headers=PAGE))
        origin.on(f"one.example/ipfs/{FOLDER_CID}/agent.json", reply(FILE))
        fetched = await fetcher.read(uri(f"ipfs://{FOLDER_CID}/agent.json"))

    assert (fetched.outcome, fetched.body, fetched.verified) == ("ok", FILE, None)


async def test_a8_ipfs__folder_whose_block_is_broken__is_no_file():
    block = FOLDER + field(2, b"\x0a\xff")
    cid = cid_v1(0x70, block)
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", cid, block)
        fetched = await fetcher.read(uri(f"ipfs://{cid}/agent.json"))

    assert (fetched.outcome, fetched.reason) == ("unsupported", "no-file")


async def test_gateway__busy_with_others__costs_a_read_none_of_its_time():
    async with (
        Origin() as origin,
        fetcher_for(origin, limits=Limits(deadline_seconds=0.7)) as fetcher,
    ):
        place = f"one.example/ipfs/{FOLDER_CID}"
        origin.on(f"{place}?format=raw", reply(FOLDER, headers=RAW, after_seconds=0.1))
        origin.on(
            f"{place}/agent.json?format=raw",
            reply(file_block(FILE), headers=RAW, after_seconds=0.1),
        )
        fetched = await asyncio.gather(
            *(fetcher.read(uri(f"ipfs://{FOLDER_CID}/agent.json")) for _ in range(20))
        )

    assert {(one.outcome, one.verified) for one in fetched} == {("ok", True)}
    assert max(one.duration_ms for one in fetched) < 1_000
    assert origin.busiest["one.example"] == 2


async def test_gateway__busy_for_too_long__is_told(monkeypatch):
    monkeypatch.setattr("renown.offchain.exchange.LONGEST_WAIT_SECONDS", 0.1)
    async with (
        Origin() as origin,
        Fetcher(
            opened=[origin.detour], ipfs_gateways=["http://one.example"], per_host=1
        ) as fetcher,
    ):
        place = f"one.example/ipfs/{FOLDER_CID}"
        origin.on(f"{place}?format=raw", reply(FOLDER, headers=RAW, after_seconds=0.2))
        origin.on(f"{place}/slow?format=raw", reply(b"", after_seconds=0.5))
        reading = asyncio.create_task(fetcher.read(uri(f"ipfs://{FOLDER_CID}/agent.json")))
        await asyncio.sleep(0.01)
        others = (fetcher.send("GET", f"http://{place}/slow?format=raw") for _ in range(2))
        fetched, *_ = await asyncio.gather(reading, *others)

    assert (fetched.outcome, fetched.reason) == ("timeout", "busy-host")


async def test_a8_ipfs__file_in_a_folder__is_verified_step_by_step():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        gateway(origin, "one.example", FOLDER_CID, FOLDER, HTML)
        gateway(origin, "one.example", f"{FOLDER_CID}/agent.json", file_block(FILE))
        found = await fetcher.read(uri(f"ipfs://{FOLDER_CID}/agent.json"))
        missing = await fetcher.read(uri(f"ipfs://{FOLDER_CID}/none.json"))
        folder = await fetcher.read(uri(f"ipfs://{FOLDER_CID}/"))
        origin.on(f"one.example/ipfs/{FOLDER_CID}/agent.json?format=raw", reply(b"{}", headers=RAW))
        swapped = await fetcher.read(uri(f"ipfs://{FOLDER_CID}/agent.json"))

    assert (found.outcome, found.body, found.verified) == ("ok", FILE, True)
    assert (missing.outcome, missing.reason) == ("http-error", "no-such-path")
    assert (folder.outcome, folder.reason) == ("unsupported", "folder")
    assert (swapped.outcome, swapped.reason) == ("wrong-content", "other-hash")


@pytest.mark.parametrize(
    ("path", "outcome", "reason"),
    [
        ("/..", "refused", "bad-path"),
        ("/../../etc/passwd", "refused", "bad-path"),
        ("/a/%2e%2e/b", "refused", "bad-path"),
        ("/a%2f..%2fb", "refused", "bad-path"),
        ("/..%5c", "refused", "bad-path"),
        ("/a%00", "refused", "bad-path"),
        ("/a" * 9, "refused", "bad-path"),
    ],
)
async def test_a8_ipfs__path_that_leads_out__is_never_asked(path, outcome, reason):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        for given in (
            Uri(kind="ipfs", text="", fixed=True, cid=FILE_CID, path=path),
            Uri(kind="ar", text="", fixed=True, cid=TRANSACTION, path=path),
        ):
            direct = await fetcher.read(given)
            parsed = await fetcher.read(uri(f"{given.kind}://{given.cid}{path}"))
            assert (direct.outcome, direct.reason) == (outcome, reason)
            assert parsed.outcome in ("refused", "unsupported", "http-error")

    assert all(".." not in seen.path for seen in origin.requests)


@pytest.mark.parametrize(
    "text",
    [
        "ipns://k51qzi5uqu5dlvj2baxnqndepeb86cbk3ng7n3i46uzyxzyqj2xjonzllnv0v8",
        "ipfs://0xdeadbeef",
        "ipfs://",
        "ipfs://Qm" + "0" * 44,
        "ipfs://" + cid_v1(0x72, b"a key: a name that moves"),
        "ar://short",
        "ftp://a.example/",
        "data:application/json,{}",
        '{"name": "x"}',
        "",
    ],
)
async def test_a8_uri__that_no_gateway_can_read__is_unsupported(text):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        fetched = await fetcher.read(uri(text))

    assert fetched.outcome == "unsupported"
    assert fetched.reason
    assert origin.requests == []


async def test_ipfs__content_within_the_cid__needs_no_gateway():
    data = bytes([1, 0x55, 0x00, len(FILE)]) + FILE
    cid = "b" + base64.b32encode(data).decode().lower().rstrip("=")
    async with Fetcher(ipfs_gateways=()) as fetcher:
        fetched = await fetcher.read(
            Uri(kind="ipfs", text=f"ipfs://{cid}", host="ipfs:", fixed=True, cid=cid)
        )
        nowhere = await fetcher.read(uri(f"ipfs://{FILE_CID}"))

    assert (fetched.outcome, fetched.body, fetched.verified) == ("ok", FILE, True)
    assert (nowhere.outcome, nowhere.reason) == ("unsupported", "no-gateway")


async def test_gateway__that_is_unwell__steps_back_for_a_while():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("one.example/*", reply(status=404))
        origin.on(f"one.example/ipfs/{RAW_CID}?format=raw", reply(b"busy", status=503))
        gateway(origin, "two.example", RAW_CID, FILE)
        for _ in range(3):
            assert (await fetcher.read(uri(f"ipfs://{RAW_CID}"))).verified

    assert [seen.host for seen in origin.requests] == ["one.example"] + ["two.example"] * 3


async def test_gateway__slow_one__leaves_the_next_its_own_time():
    async with (
        Origin() as origin,
        fetcher_for(origin, limits=Limits(deadline_seconds=0.5)) as fetcher,
    ):
        origin.on(f"one.example/ipfs/{RAW_CID}?format=raw", reply(FILE, after_seconds=30))
        origin.on(f"two.example/ipfs/{RAW_CID}?format=raw", reply(FILE, after_seconds=0.3))
        fetched = await fetcher.read(uri(f"ipfs://{RAW_CID}"))

    assert (fetched.outcome, fetched.verified) == ("ok", True)
    assert 700 < fetched.duration_ms < 5_000


async def test_gateway__none_has_it__is_told_with_what_they_said():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        fetched = await fetcher.read(uri(f"ipfs://{RAW_CID}"))

    assert (fetched.outcome, fetched.reason, fetched.status) == ("http-error", "gateway-404", 404)


async def test_gateway__in_a_private_network__is_the_operators_and_nobody_elses():
    async with Origin() as origin:
        origin.on(f"/ipfs/{RAW_CID}?format=raw", reply(FILE))
        async with Fetcher(ipfs_gateways=[origin.url], opened=[]) as fetcher:
            ours, theirs = await asyncio.gather(
                fetcher.read(uri(f"ipfs://{RAW_CID}")),
                fetcher.send("GET", f"{origin.url}/ipfs/{RAW_CID}"),
            )
            later = await fetcher.send("GET", f"{origin.url}/ipfs/{RAW_CID}")

    assert (ours.outcome, ours.verified) == ("ok", True)
    assert (theirs.outcome, theirs.reason) == ("refused", "port")
    assert (later.outcome, later.reason) == ("refused", "port")  # nor over the kept connection


@pytest.mark.parametrize("location", ["http://169.254.169.254/", "http://127.0.0.1:1/"])
async def test_a8_gateway__that_redirects_inwards__is_refused(location):
    async with Origin() as origin, Fetcher(ipfs_gateways=[origin.url]) as fetcher:
        origin.on("*", redirect(location))
        fetched = await fetcher.read(uri(f"ipfs://{RAW_CID}"))

    assert fetched.outcome == "refused"


async def test_ar__transaction__is_read_unverified():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"one.example/{TRANSACTION}", redirect(f"http://x.one.example/{TRANSACTION}"))
        origin.on(f"x.one.example/{TRANSACTION}", reply(FILE))
        origin.on(f"two.example/{TRANSACTION}/agent.json", reply(b"{}"))
        whole = await fetcher.read(uri(f"ar://{TRANSACTION}"))
        inside = await fetcher.read(uri(f"ar://{TRANSACTION}/agent.json"))
        origin.on("*", reply(b"Pending", status=202))
        pending = await fetcher.read(uri(f"ar://{'B' * 43}"))

    assert (whole.outcome, whole.body, whole.verified) == ("ok", FILE, None)
    assert (inside.outcome, inside.body) == ("ok", b"{}")
    assert (pending.outcome, pending.reason) == ("http-error", "not-mined")


async def test_ar__page_for_people__is_taken_where_nobody_has_anything_else():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on(f"one.example/{TRANSACTION}", reply(HTML, headers=PAGE))
        alone = await fetcher.read(uri(f"ar://{TRANSACTION}"))
        origin.on(f"two.example/{TRANSACTION}", reply(FILE))
        with_another = await fetcher.read(uri(f"ar://{TRANSACTION}"))

    assert (alone.outcome, alone.body) == ("ok", HTML)
    assert (with_another.outcome, with_another.body) == ("ok", FILE)


@pytest.mark.parametrize(
    "url", ["", "ipfs.io", "ftp://ipfs.io", "https://ipfs.io/ipfs/", "https://"]
)
def test_gateway__that_is_no_origin__stops_the_start(url):
    with pytest.raises(BadSettings, match="RENOWN_IPFS_GATEWAYS"):
        Fetcher(ipfs_gateways=[url])
    with pytest.raises(BadSettings, match="RENOWN_AR_GATEWAYS"):
        Fetcher(ar_gateways=[url])
