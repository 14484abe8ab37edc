"""Carry one request to one node, over HTTP; and what of a node's URL may be shown."""

from __future__ import annotations

from typing import Protocol
from urllib.parse import urlsplit

import aiohttp
import msgspec

from renown.chain.refusals import Refusal
from renown.errors import BadSettings, NodeError, RangeTooWide


class Answer(msgspec.Struct, frozen=True):
    """What a transport brings back."""

    status: int
    body: bytes
    retry_after: str | None = None


class Transport(Protocol):
    """Carries one request body to one node."""

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        """The answer, whole. Raises NodeError for anything that is not an HTTP answer."""

    async def close(self) -> None:
        """Give back connections."""


class HttpTransport:
    """HTTP to one URL. Follows no redirect and no proxy variable: both could leak the key."""

    def __init__(self, url: str, *, connections: int = 16) -> None:
        self._url = url
        self._host = host_of(url)
        self._connections = connections
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"HttpTransport({self._host})"

    async def post(self, body: bytes, *, max_bytes: int) -> Answer:
        """One POST of `body`. Raises RangeTooWide past `max_bytes`, Refusal where HTTP fails."""
        session = self._session
        if session is None or session.closed:
            session = self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=self._connections, ttl_dns_cache=300),
                headers={"Content-Type": "application/json", "Accept-Encoding": "gzip"},
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=2**20,
                trust_env=False,
            )
        failure: NodeError
        try:
            async with session.post(self._url, data=body, allow_redirects=False) as response:
                answer = await self._read(response, max_bytes)
                if answer is not None:
                    return answer
            failure = RangeTooWide(
                f"{self._host} answered with more than {max_bytes} bytes", host=self._host
            )
        except (aiohttp.ClientError, OSError, ValueError, EOFError) as exc:
            # aiohttp writes the whole URL into some of its messages: keep the type only.
            failure = Refusal(
                f"{self._host}: {type(exc).__name__}", transient=True, host=self._host
            )
        raise failure  # outside the handler, so that no context drags the URL along

    @staticmethod
    async def _read(response: aiohttp.ClientResponse, max_bytes: int) -> Answer | None:
        if (response.content_length or 0) > max_bytes:
            response.close()
            return None
        parts: list[bytes] = []
        size = 0
        async for part in response.content.iter_any():
            size += len(part)
            if size > max_bytes:
                response.close()
                return None
            parts.append(part)
        body = parts[0] if len(parts) == 1 else b"".join(parts)
        return Answer(response.status, body, response.headers.get("Retry-After"))

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def host_of(url: str) -> str:
    """The host of a node URL, with its port where one is written: all that may be shown.

    Raises:
        BadSettings: not an http or https URL. The message does not repeat it.
    """
    problem = "a node URL must be http:// or https:// with a host"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port, parts = None, None, None
    if parts is None or parts.scheme not in ("http", "https") or not host:
        raise BadSettings(problem)
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def operator_of(url: str) -> str:
    """Who runs a node, as far as its URL tells: the host. On this machine each port is one."""
    host = urlsplit(url).hostname or ""
    loopback = host in ("localhost", "::1") or host.startswith("127.")
    return host_of(url) if loopback else host


def secrets_of(url: str) -> tuple[str, ...]:
    """The parts of a URL that may be a key, longest first."""
    parts = urlsplit(url)
    found = {url, parts.query, parts.path.strip("/"), parts.username or "", parts.password or ""}
    found.update(parts.path.split("/"))
    found.update(piece for item in parts.query.split("&") for piece in item.split("="))
    return tuple(sorted((s for s in found if len(s) >= 6), key=len, reverse=True))
