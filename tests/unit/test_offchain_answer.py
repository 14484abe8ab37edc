import gzip
import zlib

import pytest

from renown.offchain.answer import Answer, AnswerReader
from renown.offchain.failed import Failed
from renown.offchain.limits import Limits

LIMITS = Limits(body_bytes=1_000, error_body_bytes=100)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def read(data: bytes, *, method: str = "GET", limits: Limits = LIMITS) -> Answer | Failed:
    return read_on(data, method=method, limits=limits)[0]


def read_on(
    data: bytes, *, method: str = "GET", limits: Limits = LIMITS
) -> tuple[Answer | Failed, bool]:
    reader = AnswerReader(method, limits)
    result = reader.feed(data) if data else None
    reusable = reader.reusable
    return (result or reader.end(cut=False)), reusable


def body_of(data: bytes) -> bytes | None:
    result = read(data)
    assert isinstance(result, Answer), result
    return result.body


def sent(body: bytes, *lines: bytes, status: int = 200) -> bytes:
    head = [b"HTTP/1.1 %d X" % status, b"Content-Length: %d" % len(body), *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("data", "body", "reusable"),
    [
        (sent(b"{}"), b"{}", True),
        (sent(b""), b"", True),
        (sent(b"{}", b"Connection: close"), b"{}", False),
        (sent(b"{}").replace(b"1.1", b"1.0"), b"{}", False),
        (b"HTTP/1.1 200 OK\r\n\r\nto the end", b"to the end", False),
        (b"HTTP/1.1 200\r\nContent-Length: 2\r\n\r\n{}", b"{}", True),
        (CHUNKED + b"2;x=y\r\n{}\r\n0\r\nTrailer: t\r\n\r\n", b"{}", True),
        (b"HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" + sent(b"{}"), b"{}", True),
        (sent(b"{}") + b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", b"{}", False),
        (sent(b"{}") + b"surplus", b"{}", False),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
        (sent(b"x" * 1_000), b"x" * 1_000, True),
        (sent(gzip.compress(b"{}"), b"Content-Encoding: gzip"), b"{}", True),
        (sent(gzip.compress(b"{}"), b"Content-Encoding: X-GZIP"), b"{}", True),
        (sent(zlib.compress(b"{}"), b"Content-Encoding: deflate"), b"{}", True),
        (sent(zlib.compress(b"{}", wbits=-15), b"Content-Encoding: deflate"), b"{}", True),
        (sent(b"{}", b"Content-Encoding: identity"), b"{}", True),
    ],
)
def test_answer__whole__has_its_body(data, body, reusable):
    result, can_be_reused = read_on(data)

    assert isinstance(result, Answer), result
    assert (result.body or b"", can_be_reused) == (body, reusable)


@pytest.mark.parametrize(
    ("data", "outcome", "reason"),
    [
        (b"", "broken", "no-answer"),
        (b"HTTP/1.1 200 OK\r\nA: b", "broken", "truncated"),
        (sent(b"x" * 20)[:-1], "broken", "truncated"),
        (CHUNKED + b"5\r\nabc", "broken", "truncated"),
        (CHUNKED + b"5\r\nabcde\r\n", "broken", "truncated"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "broken", "malformed"),
        (b"220 mail.example ESMTP\r\n", "broken", "malformed"),
        (b"\x16\x03\x01\x00\x00", "broken", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "broken", "malformed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n", "broken", "malformed"),
        (sent(b"{}", b"Content-Length: 3"), "broken", "malformed"),
        (b"HTTP/1.1 200 OK\r\nA\x00: b\r\n\r\n", "broken", "malformed"),
        (CHUNKED + b"zz\r\n", "broken", "malformed"),
        (b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n", "broken", None),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "broken", None),
        (sent(b"{}", b"Content-Encoding: br"), "broken", "content-coding"),
        (sent(b"{}", b"Content-Encoding: zstd"), "broken", "content-coding"),
        (sent(b"{}", b"Content-Encoding: gzip, gzip"), "broken", "content-coding"),
        (
            sent(b"{}", b"Content-Encoding: gzip", b"Content-Encoding: br"),
            *("broken", "content-coding"),
        ),
        (sent(b"{}", b"Content-Encoding: gzip"), "broken", "broken-coding"),
        (sent(b"", b"Content-Encoding: gzip"), "broken", "broken-coding"),
        (sent(gzip.compress(b"{}")[:-9], b"Content-Encoding: gzip"), "broken", "broken-coding"),
        (sent(gzip.compress(b"{}") * 2, b"Content-Encoding: gzip"), "broken", "broken-coding"),
        (sent(b"x" * 1_001), "too-large", "body"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n", "too-large", "body"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1_001, "too-large", "body"),
        (CHUNKED + b"3e9\r\n" + b"x" * 1_001, "too-large", "body"),
        (
            sent(gzip.compress(bytes(1_001)), b"Content-Encoding: gzip"),
            *("too-large", "body"),
        ),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 300 + b"\r\n", "too-large", "headers"),
        (b"HTTP/1.1 200 OK\r\nA: " + b"b" * 70_000, "too-large", "headers"),
        (b"HTTP/1.1 200 " + b"b" * 70_000, "too-large", "headers"),
        (b"HTTP/1.1 100 C\r\n\r\n" * 5_000, "too-large", "headers"),
    ],
)
def test_a6_answer__broken_or_too_much__says_how(data, outcome, reason):
    result = read(data)

    assert isinstance(result, Failed), result
    assert (result.outcome, result.reason) == (outcome, reason or result.reason)


@pytest.mark.parametrize(
    ("begin", "again", "reason"),
    [
        (CHUNKED, b"1\r\nx\r\n", "framing"),
        (CHUNKED, b"1;" + b"e" * 500 + b"\r\nx\r\n", "framing"),
        (CHUNKED + b"0\r\n", b"Trailer: of many\r\n", "framing"),
        (b"", b"HTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\n", b"A: b\r\n", "headers"),
        (b"HTTP/1.1 200 OK\r\nA: ", b"bbbbbbbbbbbbbbbbbbbbbbbbbb", "headers"),
    ],
)
def test_a5_answer__never_ends_in_small_pieces__is_ended(begin, again, reason):
    reader = AnswerReader("GET", Limits(body_bytes=300_000))
    result, fed = reader.feed(begin) if begin else None, 0
    while result is None:
        result = reader.feed(again * 1_000)
        fed += len(again) * 1_000
        assert fed < 4_000_000

    assert result == Failed("too-large", reason)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308, 300])
def test_a3_answer__redirect__body_is_not_waited_for(status):
    head = b"HTTP/1.1 %d Moved\r\nLocation: /x\r\nContent-Length: 1000000000\r\n\r\n" % status

    result, reusable = read_on(head)

    assert isinstance(result, Answer)
    assert (result.body, result.headers["location"], reusable) == (None, "/x", False)


def test_answer__error_page__is_cut_and_never_a_failure():
    cut = read(sent(b"x" * 5_000, status=404))
    bomb = read(sent(gzip.compress(bytes(10**7)), b"Content-Encoding: gzip", status=500))
    unread = read(sent(b"?", b"Content-Encoding: br", status=500))

    assert isinstance(cut, Answer)
    assert isinstance(bomb, Answer)
    assert isinstance(unread, Answer)
    assert (cut.body, bomb.body, unread.body) == (b"x" * 100, bytes(100), None)


def test_answer__headers__are_bounded_joined_and_without_cookies():
    lines = [b"Set-Cookie: s=1", b"X-Two: a", b"x-two: b", b"X-Long: " + b"v" * 20_000]
    lines += [b"H%d: %d" % (n, n) for n in range(100)]

    result = read(sent(b"", *lines))

    assert isinstance(result, Answer)
    assert "set-cookie" not in result.headers
    assert result.headers["x-two"] == "a, b"
    assert len(result.headers["x-long"]) == 8_192
    assert len(result.headers) <= 64


def test_answer__to_head__has_no_body():
    assert read(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", method="HEAD") == Answer(
        200, {"content-length": "5"}, None
    )


def test_answer__enough__ends_before_the_stream_does():
    reader = AnswerReader("POST", LIMITS, lambda body: b"\n\n" in body)

    assert reader.feed(CHUNKED + b"6\r\ndata: \r\n") is None
    result = reader.feed(b"3\r\n1\n\n\r\n")

    assert isinstance(result, Answer)
    assert (result.body, reader.reusable) == (b"data: 1\n\n", False)
