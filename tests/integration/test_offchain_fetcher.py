"""What the fetcher takes from strangers, and how much of it: security rules A4, A5, A6, A9."""

from __future__ import annotations

import asyncio
import gzip
import subprocess
import sys
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import chain, repeat

import pytest

from renown.errors import BadSettings
from renown.offchain.fetcher import Fetcher, Limits
from renown.spec.uris import parse_uri
from tests.fakes.authority import Authority
from tests.fakes.origin import Origin, endless, raw, redirect, repeated, reply

MIB = 2**20
OK = b"HTTP/1.1 200 OK\r\n"
SHORT = Limits(deadline_seconds=0.6)


def uri(text: str):
    return parse_uri(text.encode())


def fetcher_for(origin: Origin, **options) -> Fetcher:
    return Fetcher(opened=[origin.detour], **options)


def bomb(coding: str, size: int) -> bytes:
    """`size` zeros, compressed a thousandfold; gzip twice over by "gzip, gzip"."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31 if coding != "deflate" else 15)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()
    return gzip.compress(packed) if coding == "gzip, gzip" else packed


# What goes out -----------------------------------------------------------------------------------


async def test_request__to_a_stranger__says_who_we_are_and_nothing_else(monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "http://user:password@127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    async with (
        Origin() as origin,
        fetcher_for(origin, contact="https://us.example/why", version="1.2") as fetcher,
    ):
        origin.on("*", reply(b"{}", headers={"Set-Cookie": "session=1; Domain=example"}))
        for _ in range(2):
            assert (await fetcher.read(uri("https://a.example/f?q=1"))).outcome == "ok"

    for seen in origin.requests:
        assert (seen.method, seen.path) == ("GET", "/f?q=1")
        assert seen.headers == {
            "host": "a.example",
            "user-agent": "Renown/1.2 (+https://us.example/why)",
            "accept": "application/json, */*;q=0.5",
            "accept-encoding": "identity",
        }


@pytest.mark.parametrize(
    "headers",
    [
        *({"Host": "b.example"}, {"Cookie": "a=b"}, {"authorization": "Bearer x"}),
        *({"Accept-Encoding": "gzip"}, {"X": "a\r\nY: b"}, {"X\r\nY": "b"}, {"X": "\u2713"}),
        {"Content-Length": "9"},
    ],
)
async def test_request__headers_that_are_not_the_callers__are_not_sent(headers):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        fetched = await fetcher.send("GET", "http://a.example/", headers=headers)

    assert (fetched.outcome, fetched.reason) == ("refused", "bad-header")
    assert origin.requests == []


async def test_request__unchanged_file__is_not_sent_again():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("a.example/", reply(status=304, headers={"ETag": '"1"'}))
        conditional = await fetcher.read(
            uri("http://a.example/"), etag='"1"', last_modified="Thu, 01 Jan 2026 00:00:00 GMT"
        )
        hostile = await fetcher.read(uri("http://a.example/"), etag='"1"\r\nX: y')

    assert (conditional.outcome, conditional.good) == ("not-modified", True)
    assert (hostile.outcome, hostile.status) == ("http-error", 304)  # we asked for no such thing
    first, second = (seen.headers for seen in origin.requests)
    assert first["if-none-match"] == '"1"'
    assert first["if-modified-since"] == "Thu, 01 Jan 2026 00:00:00 GMT"
    assert "if-none-match" not in second
    assert "x" not in second


@pytest.mark.parametrize(
    "contact", ["", "a\r\nX: y", "ü@us.example", "a(b)", "x" * 201, " a", "a "]
)
def test_contact__that_fits_no_header__stops_the_start(contact):
    with pytest.raises(BadSettings, match="RENOWN_FETCH_CONTACT"):
        Fetcher(contact=contact)


# A4: bombs ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", ["gzip", "deflate", "gzip, gzip", "br", "zstd"])
@pytest.mark.parametrize("status", [200, 500, 302])
async def test_a4_bomb__in_any_answer__is_never_inflated_whole(coding, status):
    packed = bomb(coding, 4 * MIB)
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        headers = {"Content-Encoding": coding, "Location": "/b"}
        origin.on("/", reply(packed, status=status, headers=headers))
        origin.on("/b", reply(b"{}"))
        fetched = await fetcher.read(uri("http://a.example/"))

    if status == 302:
        assert (fetched.outcome, fetched.body) == ("ok", b"{}")
    elif status == 500:
        assert fetched.outcome == "http-error"
        assert len(fetched.body or b"") <= 65_536
    else:
        inflates = coding in ("gzip", "deflate")
        assert fetched.outcome == ("too-large" if inflates else "broken")
        assert fetched.body is None


FETCH_BOMBS = """
import asyncio, resource, sys
from renown.offchain.fetcher import Fetcher
from renown.spec.uris import parse_uri

async def main(origin, paths):
    async with Fetcher(opened=["*.example=" + origin]) as fetcher:
        await fetcher.read(parse_uri(b"http://warm.example/none"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for path in paths:
            fetched = await fetcher.read(parse_uri(f"http://a.example/{path}".encode()))
            assert fetched.outcome in ("too-large", "http-error", "broken"), fetched.outcome
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)

asyncio.run(main(sys.argv[1], sys.argv[2:]))
"""


@pytest.mark.slow
async def test_a4_bomb__of_256_mebibytes__grows_memory_by_less_than_32():
    packed = bomb("gzip", 256 * MIB)
    async with Origin() as origin:
        origin.on("/good", reply(packed, headers={"Content-Encoding": "gzip"}))
        origin.on("/error", reply(packed, status=500, headers={"Content-Encoding": "gzip"}))
        chunked = OK + b"Transfer-Encoding: chunked\r\n\r\n"
        origin.on("/endless", repeated(chunked, b"10000\r\n" + bytes(65_536) + b"\r\n"))
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", FETCH_BOMBS, origin.url, "good", "error", "endless"),
            stdout=subprocess.PIPE,
        )
        out, _ = await process.communicate()

    assert process.returncode == 0
    assert int(out) < 32 * 1024  # ru_maxrss counts in KiB


# A5: drips ---------------------------------------------------------------------------------------


DRIPS = [
    (OK + b"Content-Length: 1000\r\n\r\n", b"x"),
    (OK + b"\r\n", b"x"),
    (OK + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (OK, b"A: b\r\n"),
    (OK + b"A: ", b"b"),
    (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    (b"", b"\r\n"),
    (OK + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"{}")[:10], b""),
]


async def test_a5_drip__byte_after_byte__ends_at_the_deadline():
    async with Origin() as origin, fetcher_for(origin, limits=SHORT) as fetcher:
        for number, (head, piece) in enumerate(DRIPS):
            origin.on(f"h{number}.example/", repeated(head, piece, pause_seconds=0.05))
        begun = time.monotonic()
        drips = await asyncio.gather(
            *(fetcher.read(uri(f"http://h{number}.example/")) for number in range(len(DRIPS)))
        )
        took = time.monotonic() - begun

    assert len(origin.requests) == len(DRIPS)
    assert {(one.outcome, one.reason) for one in drips} == {("timeout", "deadline")}
    assert 0.5 < took < 5
    assert all(500 < one.duration_ms < 5_000 for one in drips)


async def test_a5_drip__over_redirects__has_one_deadline_for_all():
    async with Origin() as origin, fetcher_for(origin, limits=SHORT) as fetcher:
        slow = reply(status=302, headers={"Location": "/"}, after_seconds=0.25)
        origin.on("*", slow)
        fetched = await fetcher.read(uri("http://a.example/"))

    assert (fetched.outcome, fetched.reason) == ("timeout", "deadline")


async def test_a5_drip__names_and_connections_that_never_come__end_too():
    class Never:
        async def resolve(self, host: str):
            await asyncio.sleep(60)

    async with Fetcher(resolver=Never(), limits=SHORT) as fetcher:
        fetched = await fetcher.read(uri("http://a.example/"))
    assert (fetched.outcome, fetched.reason) == ("timeout", "deadline")

    async with Origin() as origin:  # speaks no TLS, and says nothing at all
        silent = Fetcher(opened=[f"*.example=https://127.0.0.1:{origin.port}"], limits=SHORT)
        async with silent as fetcher:
            fetched = await fetcher.read(uri("https://a.example/"))
    assert (fetched.outcome, fetched.reason) == ("timeout", "deadline")


async def test_a5_headers__a_million__are_too_many():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", endless(chain([OK], repeat(b"A: b\r\n" * 1_000, 1_000))))
        begun = time.monotonic()
        fetched = await fetcher.read(uri("http://a.example/"))

    assert (fetched.outcome, fetched.reason) == ("too-large", "headers")
    assert time.monotonic() - begun < 5


async def test_cancelling__a_fetch__hangs_up_and_passes():
    begun, left = asyncio.Event(), asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        begun.set()
        await reader.read()  # the other side has gone
        left.set()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        async with Fetcher(opened=[f"127.0.0.1:{port}"]) as fetcher:
            task = asyncio.create_task(fetcher.send("GET", f"http://127.0.0.1:{port}/"))
            await begun.wait()
            task.cancel()

            with pytest.raises(asyncio.CancelledError):
                await task
            await asyncio.wait_for(left.wait(), 5)


# A6: sizes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "outcome", "reason"),
    [
        (reply(bytes(2 * MIB)), "ok", None),
        (reply(bytes(2 * MIB + 1)), "too-large", "body"),
        (raw(OK + b"Content-Length: 99999999999\r\n\r\n", b"{}"), "too-large", "body"),
        (raw(OK + b"Content-Length: 3\r\n\r\n", b"{}"), "broken", "truncated"),
        (raw(OK + b"Content-Length: 2\r\n\r\n", b"{}and more"), "ok", None),
        (raw(OK + b"\r\n", b"{}"), "ok", None),
        (raw(OK + b"Transfer-Encoding: chunked\r\n\r\n", b"2\r\n{}\r\n"), "broken", "truncated"),
        (repeated(OK + b"\r\n", bytes(65_536)), "too-large", "body"),
        (
            repeated(
                OK + b"Transfer-Encoding: chunked\r\n\r\n", b"8000\r\n" + bytes(32_768) + b"\r\n"
            ),
            *("too-large", "body"),
        ),
        (raw(b"garbage\r\n\r\n"), "broken", "malformed"),
        (raw(b""), "broken", "no-answer"),
        (reply(b"{}", status=206), "broken", "partial"),
        (reply(b"", status=204), "ok", None),
        (reply(b"gone", status=410), "http-error", None),
    ],
)
async def test_a6_size__as_sent_and_as_declared__is_bounded(answer, outcome, reason):
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", answer)
        fetched = await fetcher.read(uri("http://a.example/"))

    assert (fetched.outcome, fetched.reason) == (outcome, reason)
    assert (fetched.body is not None) == (outcome in ("ok", "http-error"))


# A9: one origin, many agents ---------------------------------------------------------------------


@pytest.mark.slow
async def test_a9_crowd__ten_thousand_at_one_origin__never_more_than_two_at_once():
    done: list[int] = []
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", reply(b"{}"))
        for number in range(10):  # long enough for the origin to see them side by side
            origin.on(f"crowd.example/{number}", reply(b"{}", after_seconds=0.02))
        under_way = asyncio.Event()

        async def one(number: int) -> str:
            fetched = await fetcher.read(uri(f"https://crowd.example/{number}"))
            done.append(number)
            under_way.set()
            return fetched.outcome

        crowd = [asyncio.create_task(one(number)) for number in range(10_000)]
        await under_way.wait()
        other = await fetcher.read(uri("https://quiet.example/"))
        waited_for = len(done)
        outcomes = set(await asyncio.gather(*crowd))

    assert outcomes == {"ok"}
    assert other.outcome == "ok"
    assert waited_for < 500  # another host's file did not queue behind the crowd
    assert max(abs(place - number) for place, number in enumerate(done)) <= 2  # as they came
    assert len(origin.requests) == 10_001
    assert origin.busiest["crowd.example"] == 2
    assert origin.connections <= 10  # connections are kept: no TLS handshake per file


async def test_a9_crowd__many_hosts__never_more_in_use_than_allowed():
    async with Origin() as origin, fetcher_for(origin, connections=5) as fetcher:
        origin.on("*", reply(b"{}", after_seconds=0.01))
        fetched = await asyncio.gather(
            *(fetcher.read(uri(f"http://h{number}.example/")) for number in range(50))
        )

    assert {one.outcome for one in fetched} == {"ok"}
    assert origin.most_answering == 5


async def test_connection__kept_ones__are_bounded_and_end(monkeypatch):
    monkeypatch.setattr("renown.offchain.fetcher.MOST_KEPT", 4)
    monkeypatch.setattr("renown.offchain.idle.KEPT_SECONDS", 0.2)
    async with Origin() as origin, fetcher_for(origin, connections=2) as fetcher:
        origin.on("*", reply(b"{}"))
        for number in range(10):
            assert (await fetcher.read(uri(f"http://h{number}.example/"))).outcome == "ok"
        most = origin.most_open
        await asyncio.sleep(0.5)

        assert most <= 6  # four kept, one in use, one on its way out
        assert origin.open_now == 0


async def test_a9_crowd__redirected_to_a_slow_host__waits_no_longer_than_the_deadline():
    async with Origin() as origin, fetcher_for(origin, limits=SHORT) as fetcher:
        origin.on("*", redirect("http://slow.example/x"))
        origin.on("slow.example/x", reply(b"{}", after_seconds=30))
        begun = time.monotonic()
        fetched = await asyncio.gather(
            *(fetcher.read(uri(f"http://h{number}.example/")) for number in range(20))
        )

    assert time.monotonic() - begun < 5
    assert {one.outcome for one in fetched} == {"timeout"}
    assert {one.reason for one in fetched} == {"deadline", "busy-host"}


# Connections and TLS ------------------------------------------------------------------------------


async def test_connection__closed_while_kept__is_replaced_unnoticed():
    async with Origin() as origin, fetcher_for(origin) as fetcher:

        async def once(seen, writer):
            writer.write(OK + b"Content-Length: 2\r\n\r\n{}")
            await writer.drain()
            if seen.path == "/last":
                await asyncio.sleep(0.05)
                writer.close()

        origin.on("*", once)
        outcomes = [
            (await fetcher.read(uri(f"http://a.example/{path}"))).outcome
            for path in ("", "last", "after")
        ]
        await asyncio.sleep(0.1)
        outcomes.append((await fetcher.read(uri("http://a.example/later"))).outcome)

    assert outcomes == ["ok"] * 4


async def test_connection__of_a_call__is_never_a_kept_one():
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", reply(b"{}"))
        for _ in range(3):
            await fetcher.send("POST", "http://a.example/", body=b"{}")

    assert len({seen.connection for seen in origin.requests}) == 3


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.0 400 This is no TLS\r\n\r\n")
    await writer.drain()
    writer.close()


@pytest.mark.slow
async def test_tls__name_chain_and_dates__are_checked_and_the_name_is_sent(tmp_path):
    authority = Authority(tmp_path)
    async with (
        Origin(certificate=authority.issue("a.example")) as good,
        Origin(certificate=authority.issue("a.example", expired=True)) as expired,
        await asyncio.start_server(hang_up, "127.0.0.1", 0) as plain,
    ):
        good.on("*", reply(b"{}"))

        async def fetch(
            origin_url: str, url: str, *, trusting: bool = True
        ) -> tuple[str, str | None]:
            tls = authority.trusting() if trusting else None
            async with Fetcher(opened=[f"*.example={origin_url}"], tls=tls) as fetcher:
                fetched = await fetcher.read(uri(url))
                return fetched.outcome, fetched.reason

        assert await fetch(good.url, "https://a.example/") == ("ok", None)
        assert good.requests[0].sni == "a.example"
        assert good.requests[0].host == "a.example"
        assert await fetch(good.url, "https://b.example/") == ("tls-failed", "wrong-name")
        assert await fetch(expired.url, "https://a.example/") == ("tls-failed", "expired")
        untrusting = await fetch(good.url, "https://a.example/", trusting=False)
        assert untrusting == ("tls-failed", "untrusted")
        no_tls = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
        assert (await fetch(no_tls, "https://a.example/"))[0] == "tls-failed"
    assert len(good.requests) == 1


async def test_opened__host_and_port__is_reached_and_no_other_port():
    async with Origin() as origin, Fetcher(opened=[f"127.0.0.1:{origin.port}"]) as fetcher:
        origin.on("*", reply(b"{}"))
        here = await fetcher.send("GET", f"http://127.0.0.1:{origin.port}/")
        there = await fetcher.send("GET", "http://127.0.0.1:1/")

    assert here.outcome == "ok"
    assert (there.outcome, there.reason) == ("refused", "port")


async def test_nobody_there__connection_or_name__is_an_outcome():
    async with Origin() as origin:
        port = origin.port
    async with Fetcher(opened=[f"*.example=http://127.0.0.1:{port}"]) as fetcher:
        fetched = await fetcher.read(uri("http://a.example/"))
        assert (fetched.outcome, fetched.reason) == ("connect-failed", "unreachable")
        unknown = await fetcher.read(uri("https://no-such-name.invalid.renown-test.example.com/"))
        assert unknown.outcome in ("dns-failed", "timeout", "refused")


@pytest.mark.parametrize(
    ("value", "least", "most"),
    [
        ("120", 120, 120),
        ("0", 0, 0),
        ("99999999999999999999", 604_800, 604_800),
        ("in an hour", 3_590, 3_600),
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 -2359", None, None),
        *((text, None, None) for text in ("", "-5", "soon", "1.5", "²", "Thu, 99 Xyz", "1" * 65)),
    ],
)
async def test_retry_after__number_or_date__is_read_within_bounds(value, least, most):
    if value == "in an hour":  # from now on, not from when the tests were collected
        value = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    async with Origin() as origin, fetcher_for(origin) as fetcher:
        origin.on("*", reply(b"", status=429, headers={"Retry-After": value}))
        fetched = await fetcher.send("GET", "http://a.example/")

    if least is None:
        assert fetched.retry_after_seconds in (None, 604_800)
    else:
        assert fetched.retry_after_seconds is not None
        assert least <= fetched.retry_after_seconds <= most


async def test_enough__event_stream_that_stays_open__is_read_to_its_answer():
    head = OK + b"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with Origin() as origin, fetcher_for(origin, limits=SHORT) as fetcher:
        origin.on(
            "*", repeated(head + b"a\r\ndata: {}\n\n\r\n", b"3\r\n:\n\n\r\n", pause_seconds=0.05)
        )
        fetched = await fetcher.send(
            "POST", "http://a.example/", body=b"{}", enough=lambda body: b"\n\n" in body
        )

    assert (fetched.outcome, fetched.body) == ("ok", b"data: {}\n\n")


def test_process__with_a_lookup_under_way__ends_at_once():
    code = (
        "import asyncio, socket, time\n"
        "socket.getaddrinfo = lambda *a, **k: time.sleep(30)\n"
        "from renown.offchain.fetcher import Fetcher, Limits\n"
        "async def main():\n"
        "    async with Fetcher(limits=Limits(deadline_seconds=0.1)) as fetcher:\n"
        "        print((await fetcher.send('GET', 'http://a.example/')).outcome)\n"
        "asyncio.run(main())\n"
    )
    begun = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=True,
    )  # fmt: skip

    assert done.stdout.strip() == "timeout"
    assert time.monotonic() - begun < 15
