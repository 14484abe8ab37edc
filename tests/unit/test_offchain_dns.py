from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from renown.offchain import dns
from renown.offchain.dns import SystemResolver


class Library:
    """The C library's resolver, scripted; blocks while `held`."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.free = threading.Event()
        self.free.set()
        self.most_at_once = self.at_once = 0

    def getaddrinfo(self, host, port, **_):
        self.asked.append(host)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.free.wait(5)
        self.at_once -= 1
        if host.startswith("none"):
            raise socket.gaierror
        if host.startswith("odd"):
            raise UnicodeError
        return [(2, 1, 6, "", (f"192.0.2.{n % 30}", 0)) for n in range(40)]


@pytest.fixture
def library(monkeypatch) -> Library:
    fake = Library()
    monkeypatch.setattr(socket, "getaddrinfo", fake.getaddrinfo)
    return fake


async def test_resolve__again__is_remembered_and_distinct_and_bounded(library):
    resolver = SystemResolver()
    first = await resolver.resolve("a.example")
    second = await resolver.resolve("a.example")

    assert library.asked == ["a.example"]
    assert first == second
    assert len(first) == len(set(first)) == dns.MOST_ADDRESSES


@pytest.mark.parametrize("host", ["none.example", "odd.example"])
async def test_resolve__no_address__raises_and_is_remembered(library, host):
    resolver = SystemResolver()
    for _ in range(2):
        with pytest.raises(OSError, match="no address"):
            await resolver.resolve(host)

    assert library.asked == [host]


async def test_resolve__equal_ones_at_once__are_one_lookup(library):
    resolver = SystemResolver()
    library.free.clear()
    waiting = [asyncio.create_task(resolver.resolve("a.example")) for _ in range(20)]
    await asyncio.sleep(0.05)
    waiting[0].cancel()  # calls off nobody else
    library.free.set()

    found = await asyncio.gather(*waiting[1:])

    assert library.asked == ["a.example"]
    assert all(one == found[0] for one in found)


async def test_resolve__nameservers_that_hang__take_no_more_threads_than_allowed(library):
    resolver = SystemResolver(threads=3)
    library.free.clear()
    waiting = [asyncio.create_task(resolver.resolve(f"h{n}.example")) for n in range(20)]
    await asyncio.sleep(0.1)
    held = len(library.asked)
    library.free.set()
    await asyncio.gather(*waiting)

    assert held == 3
    assert library.most_at_once <= 3
    assert len(library.asked) == 20


async def test_resolve__many_names__are_not_remembered_for_ever(library, monkeypatch):
    monkeypatch.setattr(dns, "MOST_KEPT", 5)
    resolver = SystemResolver()
    for number in range(8):
        await resolver.resolve(f"h{number}.example")
    await resolver.resolve("h7.example")
    await resolver.resolve("h0.example")

    assert len(library.asked) == 9
    assert len(resolver._kept) == 5
