"""Where the fetcher goes, and where it does not: security rules A1, A2, A3."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import Sequence

import pytest

from renown.offchain import dial
from renown.offchain.fetcher import Fetcher, Limits
from renown.spec.uris import parse_uri
from tests.fakes.origin import Origin, endless, redirect, repeated, reply

PUBLIC = "93.184.216.34"


class Names:
    """A resolver of a test: each look-up of a name takes the next of its answers."""

    def __init__(self, **answers: Sequence[Sequence[str]]) -> None:
        self._answers = {
            name.replace("_", "."): itertools.chain(given, itertools.repeat(given[-1]))
            for name, given in answers.items()
        }
        self.asked: list[str] = []

    async def resolve(self, host: str) -> Sequence[str]:
        self.asked.append(host)
        if host not in self._answers:
            raise OSError("no such name")
        return next(self._answers[host])


class Posing(socket.socket):
    """A socket that says it is connected to somebody else."""

    poses_as = PUBLIC

    def getpeername(self):
        return (self.poses_as, 80)


@pytest.fixture
def connected(monkeypatch) -> list[tuple[str, int]]:
    """What was connected to. Nothing is, in truth: all of it fails."""
    seen: list[tuple[str, int]] = []

    async def connect(address: str, port: int) -> socket.socket:
        seen.append((address, port))
        raise ConnectionRefusedError

    monkeypatch.setattr(dial, "connect_socket", connect)
    return seen


def pose_as(monkeypatch, origin: Origin, address: str) -> list[str]:
    """Connections lead to `origin` and pose as `address`; what was asked for is returned."""
    seen: list[str] = []

    async def connect(asked: str, _: int) -> socket.socket:
        seen.append(asked)
        sock = Posing(socket.AF_INET, socket.SOCK_STREAM)
        sock.poses_as = address
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", origin.port))
        return sock

    monkeypatch.setattr(dial, "connect_socket", connect)
    return seen


LITERALS = (
    *("127.0.0.1", "127.0.0.2", "127.1", "127.0.1", "0", "0.0.0.0", "2130706433", "0x7f000001"),
    *("0x7f.0.0.1", "0177.0.0.1", "017700000001", "127.0.0.1.", "0x7F.1", "127.0x0.1"),
    *("00000177.0.0.1", "127.00.00.01", "127.0.0.01", "4294967295", "256.256.256.256"),
    *("10.0.0.1", "100.64.0.1", "100.100.100.200", "169.254.169.254", "2852039166"),
    *("0xA9FEA9FE", "169.254.43518", "172.16.0.1", "192.168.1.1", "192.0.0.192"),
    *("168.63.129.16", "198.18.0.1", "224.0.0.1", "239.255.255.250", "240.0.0.1"),
    *("255.255.255.255", "203.0.113.5"),
    # Digits and dots that are ASCII only after normalising.
    *("１２７.0.0.1", "127。0。0。1", "127．0．0．1", "127｡0｡0｡1", "①②⑦.0.0.1", "𝟭𝟮𝟳.0.0.1"),
    *("[::1]", "[::]", "[::127.0.0.1]", "[::ffff:127.0.0.1]", "[::ffff:a9fe:a9fe]"),
    *("[::ffff:0:127.0.0.1]", "[64:ff9b::a9fe:a9fe]", "[64:ff9b:1::1]", "[2002:a9fe:a9fe::]"),
    *("[2001:0:53aa:64c::1]", "[fe80::1]", "[fe80::1%25eth0]", "[fe80::1%eth0]", "[fec0::1]"),
    *("[fc00::1]", "[fd00:ec2::254]", "[ff02::1]", "[2001:db8::1]", "[100::1]", "[::1]."),
    *("[0:0:0:0:0:0:0:1]", "[::1", "::1", "[::1]]", "[v1.x]"),
    *("localhost", "LOCALHOST.", "a.localhost", "ⓛocalhost", "metadata.google.internal"),
    *("kubernetes", "router.lan", "intranet", "x.local", "host.home.arpa"),
    *("%31%32%37.0.0.1", "127.0.0.1%00.good.example", "localhost%2egood.example"),
    *("good.example@127.0.0.1", "good.example:80@127.0.0.1", "127.0.0.1\\@good.example"),
    *("127.0.0.1:22", "127.0.0.1:8080", "good.example:22", "good.example:6379"),
    *(" 127.0.0.1", "\t127.0.0.1", "127.0.0.1\t", "127.0.0.1 ", "12\t7.0.0.1", "127.0.0.1\n"),
    *("127.0.0.1\r\nHost: good.example", "good.example\x00.evil.example", "", "#@good.example"),
)
RESOLVING = {
    "loopback.evil.example": ["127.0.0.1"],
    "metadata.evil.example": ["169.254.169.254"],
    "shared.evil.example": ["100.100.100.200"],
    "mapped.evil.example": ["::ffff:10.0.0.1"],
    "nat64.evil.example": ["64:ff9b::a00:1"],
    "six-to-four.evil.example": ["2002:7f00:1::"],
    "zone.evil.example": ["fe80::1%eth0"],
    "multicast.evil.example": ["224.0.0.251"],
    "nonsense.evil.example": ["not an address"],
    "kubernetes.default.svc": ["10.96.0.1"],
    "mixed.evil.example": [PUBLIC, "10.0.0.1"],
    "mixed-six.evil.example": [PUBLIC, "::1"],
    "many.evil.example": [PUBLIC] * 15 + ["192.168.0.1"],
}


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_a1_hosts__private_or_disguised__are_refused_before_connecting(connected, scheme):
    names = Names(good_example=[[PUBLIC]])
    refused = {}
    async with Fetcher(resolver=names) as fetcher:
        for host in LITERALS:
            url = f"{scheme}://{host}/agent.json"
            sent = await fetcher.send("GET", url)
            read = await fetcher.read(parse_uri(url.encode()))
            refused[host] = (sent.outcome, read.outcome)
            assert sent.reason, host
            assert read.reason, host

    assert len(LITERALS) > 60
    assert {h for h, outcomes in refused.items() if outcomes[0] != "refused"} == set()
    assert {
        h for h, outcomes in refused.items() if outcomes[1] not in ("refused", "unsupported")
    } == set()
    assert connected == []
    assert names.asked == []


async def test_a1_hosts__public_name_of_a_private_address__is_refused(connected):
    names = Names(**{name.replace(".", "_"): [found] for name, found in RESOLVING.items()})
    async with Fetcher(resolver=names) as fetcher:
        for host in RESOLVING:
            fetched = await fetcher.read(parse_uri(f"https://{host}/".encode()))
            assert (fetched.outcome, fetched.reason) == ("refused", "private-address"), host

    assert connected == []


async def test_a1_hosts__public__are_connected_to_at_80_and_443(connected):
    names = Names(good_example=[[PUBLIC, "2606:4700::1"]])
    async with Fetcher(resolver=names) as fetcher:
        for url in ("http://good.example/", "https://good.example/", "http://1.1.1.1:443/"):
            fetched = await fetcher.send("GET", url)
            assert (fetched.outcome, fetched.reason) == ("connect-failed", "unreachable")

    assert connected == [
        *((PUBLIC, 80), ("2606:4700::1", 80), (PUBLIC, 443), ("2606:4700::1", 443)),
        ("1.1.1.1", 443),
    ]


async def test_a2_rebinding__second_answer_is_loopback__goes_to_the_first_alone(monkeypatch):
    names = Names(rebinding_test_com=[[PUBLIC], ["127.0.0.1"]])
    async with Origin() as origin, Fetcher(resolver=names) as fetcher:
        origin.on("*", reply(b"{}", headers={"Connection": "close"}))
        connected = pose_as(monkeypatch, origin, PUBLIC)
        first = await fetcher.send("GET", "http://rebinding.test.com/")
        second = await fetcher.send("GET", "http://rebinding.test.com/")

    assert (first.outcome, first.body) == ("ok", b"{}")
    assert (second.outcome, second.reason) == ("refused", "private-address")
    assert connected == [PUBLIC]
    assert names.asked == ["rebinding.test.com"] * 2  # once per fetch: what was checked is used
    assert [seen.host for seen in origin.requests] == ["rebinding.test.com"]


async def test_a2_rebinding__between_redirects__is_caught(monkeypatch):
    names = Names(rebinding_test_com=[[PUBLIC], ["10.0.0.1"]])
    async with Origin() as origin, Fetcher(resolver=names) as fetcher:
        origin.on("*", reply(status=302, headers={"Location": "/again", "Connection": "close"}))
        connected = pose_as(monkeypatch, origin, PUBLIC)
        fetched = await fetcher.send("GET", "http://rebinding.test.com/", redirects=True)

    assert (fetched.outcome, fetched.reason) == ("refused", "private-address")
    assert connected == [PUBLIC]


async def test_a2_rebinding__socket_leads_elsewhere__is_refused(monkeypatch):
    async with Origin() as origin, Fetcher(resolver=Names(a_test_com=[[PUBLIC]])) as fetcher:
        pose_as(monkeypatch, origin, "10.0.0.1")
        fetched = await fetcher.send("GET", "http://a.test.com/")

    assert (fetched.outcome, fetched.reason) == ("refused", "changed-address")
    assert origin.requests == []


@pytest.mark.parametrize(
    ("location", "outcome", "reason"),
    [
        ("http://169.254.169.254/latest/meta-data/", "refused", "private-address"),
        ("//169.254.169.254/", "refused", "private-address"),
        ("http://[::ffff:169.254.169.254]/", "refused", "private-address"),
        ("http://2852039166/", "refused", "bad-host"),
        ("http://localhost:5432/", "refused", "port"),
        ("http://metadata.google.internal/", "refused", "private-host"),
        ("http://user@evil.example/", "refused", "userinfo"),
        ("file:///etc/passwd", "refused", "scheme"),
        ("data:application/json,{}", "refused", "scheme"),
        ("ipfs://QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", "refused", "scheme"),
        ("javascript:alert(1)", "refused", "scheme"),
        ("", "broken", "no-location"),
    ],
)
async def test_a3_redirect__to_where_we_do_not_go__is_refused_at_the_hop(location, outcome, reason):
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("*", redirect(location))
        fetched = await fetcher.read(parse_uri(b"http://a.example/"))

    assert (fetched.outcome, fetched.reason) == (outcome, reason)
    assert len(origin.requests) == 1


async def test_a3_redirect__https_to_http__is_refused():
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("*", redirect("http://a.example/"))
        fetched = await fetcher.read(parse_uri(b"https://a.example/"))

    assert (fetched.outcome, fetched.reason) == ("refused", "downgrade")


async def test_a3_redirect__three__are_followed_and_a_fourth_is_not():
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        for hop in range(4):
            origin.on(f"h{hop}.example/", redirect(f"https://h{hop + 1}.example/", status=307))
        origin.on("h4.example/", reply(b"{}"))
        four = await fetcher.read(parse_uri(b"http://h0.example/"))
        three = await fetcher.read(parse_uri(b"https://h1.example/"))

    assert (four.outcome, four.reason) == ("refused", "too-many-redirects")
    assert (three.outcome, three.body, three.final_url) == ("ok", b"{}", "https://h4.example/")
    assert len(origin.requests) == 4 + 4


async def test_a3_redirect__loop__ends():
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("*", redirect("/"))
        fetched = await fetcher.read(
            parse_uri(b"http://a.example/"), limits=Limits(redirects=50, deadline_seconds=5)
        )

    assert (fetched.outcome, fetched.reason) == ("refused", "too-many-redirects")
    assert len(origin.requests) == 51


async def test_a3_redirect__with_a_huge_body__is_followed_unread():
    sent = 0

    def body():
        nonlocal sent
        yield b"HTTP/1.1 302 Found\r\nLocation: /b\r\nContent-Length: 1000000000\r\n\r\n"
        for _ in range(16_000):
            sent += 65_536
            yield bytes(65_536)

    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("/a", endless(body()))
        origin.on("/b", reply(b"{}"))
        fetched = await fetcher.read(parse_uri(b"http://a.example/a"))

    assert (fetched.outcome, fetched.body) == ("ok", b"{}")
    assert sent < 20_000_000  # what fits into the buffers between us


async def test_a3_redirect__of_a_call__keeps_only_what_another_host_may_see():
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("a.example/same", redirect("/x", status=307))
        origin.on("a.example/other", redirect("http://b.example/x", status=307))
        origin.on("a.example/get", redirect("/x", status=303))
        origin.on("/x", reply(b"{}"))
        headers = {"Mcp-Session-Id": "secret", "Content-Type": "application/json"}
        for path in ("same", "other", "get"):
            await fetcher.send(
                "POST", f"http://a.example/{path}", headers=headers, body=b"[]", redirects=True
            )

    same, other, got = (seen for seen in origin.requests if seen.path == "/x")
    assert (same.method, same.body, same.headers["mcp-session-id"]) == ("POST", b"[]", "secret")
    assert (other.method, other.body, other.headers.get("mcp-session-id")) == ("POST", b"[]", None)
    assert (got.method, got.body, got.headers.get("content-type")) == ("GET", b"", None)


async def test_a3_redirect__of_a_call_that_does_not_follow__is_told_not_gone():
    async with Origin() as origin, Fetcher(opened=[origin.detour]) as fetcher:
        origin.on("*", repeated(b"HTTP/1.1 301 Moved\r\nLocation: http://10.0.0.1/\r\n\r\n", b"x"))
        fetched = await fetcher.send("GET", "http://a.example/")

    assert (fetched.outcome, fetched.status, fetched.body) == ("http-error", 301, None)
    assert fetched.headers["location"] == "http://10.0.0.1/"
