"""Opening connections: only to addresses that were checked, and to exactly those.

The name is looked up once. Every address it has must be one that may be asked, else none is; the
connection goes to one of these very addresses, never to the name, so a second answer of the same
nameserver changes nothing. What the socket says it is connected to is compared once more.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
from collections.abc import Sequence
from functools import cached_property

import msgspec

from renown.offchain.addresses import is_public
from renown.offchain.dns import Resolver
from renown.offchain.failed import Failed
from renown.offchain.opened import Opened
from renown.offchain.target import DEFAULT_PORTS, Scheme, Target, literal_address
from renown.offchain.wire import Wire
from renown.spec.hosts import is_private

MOST_TRIED = 4
"""Addresses of one host that are tried, one after the other."""
TRY_SECONDS = 4.0
"""For one of several addresses."""

_CERTIFICATE_REASONS = {9: "not-yet-valid", 10: "expired", 62: "wrong-name", 64: "wrong-name"}


class Route(msgspec.Struct, frozen=True):
    """Where a target is asked; equal routes can share a connection.

    Attributes:
        host: to look up, or an address.
        name: the host of the URL: for SNI, and what the certificate must be for.
        private: the operator opened it: its addresses may be private.
    """

    scheme: Scheme
    host: str
    port: int
    name: str
    private: bool


def route_to(target: Target, opened: Opened) -> Route | Failed:
    """How `target` may be asked, as far as it can be told without looking its name up.

    Refused, with a reason: `port` (neither 80 nor 443), `private-host` (a name that leads nowhere
    public), `private-address`.
    """
    origin = opened.origin_for(target)
    if origin is not None:
        return Route(origin.scheme, origin.host, origin.port, target.host, private=True)
    private = opened.admits(target)
    if not private:
        if target.port not in DEFAULT_PORTS.values():
            return Failed("refused", "port")
        if target.address is not None and not is_public(target.address):
            return Failed("refused", "private-address")
        if target.address is None and is_private(target.host):
            return Failed("refused", "private-host")
    return Route(target.scheme, target.host, target.port, target.host, private)


class Dialler:
    """Opens connections along routes."""

    def __init__(self, resolver: Resolver, tls: ssl.SSLContext | None = None) -> None:
        self._resolver = resolver
        self._given_tls = tls

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        if self._given_tls is not None:
            return self._given_tls
        context = ssl.create_default_context()  # reads the system's certificates: not done in vain
        context.set_alpn_protocols(["http/1.1"])
        return context

    async def dial(self, route: Route) -> Wire | Failed:
        """Connect, with TLS where the route says so. Tries a few addresses in turn."""
        addresses = await self._addresses(route)
        if isinstance(addresses, Failed):
            return addresses
        failed = Failed("connect-failed", "no-address")
        tried = addresses[:MOST_TRIED]
        for address in tried:
            seconds = None if len(tried) == 1 else TRY_SECONDS
            try:
                async with asyncio.timeout(seconds):
                    wire = await self._open(route, address)
            except TimeoutError:
                wire = Failed("connect-failed", "timeout")
            if isinstance(wire, Wire):
                return wire
            failed = wire
        return failed

    async def _addresses(self, route: Route) -> Sequence[str] | Failed:
        literal = literal_address(route.host)
        if literal is not None:
            addresses: Sequence[str] = (literal,)
        else:
            try:
                addresses = await self._resolver.resolve(route.host)
            except (OSError, ValueError):
                addresses = ()
            if not addresses:
                return Failed("dns-failed", "no-address")
        if not route.private and not all(is_public(address) for address in addresses):
            return Failed("refused", "private-address")
        return addresses

    async def _open(self, route: Route, address: str) -> Wire | Failed:
        try:
            sock = await connect_socket(address, route.port)
        except OSError:
            return Failed("connect-failed", "unreachable")
        if not _leads_to(sock, address):
            sock.close()
            return Failed("refused", "changed-address")
        try:
            return await self._speak(route, sock)
        except ssl.SSLCertVerificationError as exc:
            return Failed("tls-failed", _CERTIFICATE_REASONS.get(exc.verify_code, "untrusted"))
        except (ssl.SSLError, ValueError):  # a name that TLS cannot carry is a ValueError
            return Failed("tls-failed", "handshake")
        except OSError:
            return Failed("tls-failed" if route.scheme == "https" else "connect-failed", "closed")

    async def _speak(self, route: Route, sock: socket.socket) -> Wire:
        loop = asyncio.get_running_loop()
        name = route.name.strip("[]")
        try:
            if route.scheme == "https":
                _, wire = await loop.create_connection(
                    Wire, sock=sock, ssl=self._tls, server_hostname=name
                )
            else:
                _, wire = await loop.create_connection(Wire, sock=sock)
        except BaseException:
            sock.close()
            raise
        return wire


async def connect_socket(address: str, port: int) -> socket.socket:
    """A TCP connection to exactly this address. Raises OSError."""
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _leads_to(sock: socket.socket, address: str) -> bool:
    try:
        peer = str(sock.getpeername()[0])
        # An IPv6 address has many spellings.
        return peer == address or ipaddress.ip_address(peer) == ipaddress.ip_address(address)
    except (OSError, ValueError):
        return False
