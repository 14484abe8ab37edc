"""One API over HTTP: keys, problems, patience.

Reads are repeated where the API cannot be reached or asks for patience. Writes are, too, but only
those with an Idempotency-Key, which make the API do a thing once however often it is asked.
"""

from __future__ import annotations

import asyncio
import email.utils
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

from renown.errors import BadSettings, RenownError
from renown.sdk.problems import ApiUnavailable, error_of, is_retryable

ATTEMPTS = 5
DEADLINE_SECONDS = 60.0
"""For one answer: a write may wait for a node."""
LONGEST_PAUSE_SECONDS = 60.0
MAX_ANSWER_BYTES = 16 * 1024 * 1024

_WRITES = ("POST", "PATCH", "PUT", "DELETE")


def idempotency_key() -> str:
    """A new key for one thing to be done once: 128 bits at random, as hex."""
    return secrets.token_hex(16)


class Client:
    """An API: `async with Client("http://localhost:8004", key="ak_…") as api: await api.get(…)`.

    Every method raises the error that the API's problem names (`renown.errors`), or ApiUnavailable
    where it cannot be reached or answers with something else than JSON.

    Args:
        url: of the API, without `/v1`. Redirects are not followed: they could leak the key.
        key: an API key; None reads what is open to everybody.
        attempts: how often a request is sent, at most.
        sleep, clock: waiting and Unix time, for tests.

    Raises:
        BadSettings: `url` is no http or https URL.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        attempts: int = ATTEMPTS,
        deadline_seconds: float = DEADLINE_SECONDS,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.url = url.rstrip("/")
        self._host = _host(url)
        self._key = key
        self._attempts = attempts
        self._deadline_seconds = deadline_seconds
        self._sleep = sleep
        self._clock = clock
        self._session: aiohttp.ClientSession | None = None

    def __repr__(self) -> str:
        return f"Client({self._host})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Give back connections."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(self, path: str, **parameters: str | int | None) -> dict[str, Any]:
        """The body of `GET path`, which begins with `/v1`; None leaves a parameter out."""
        return await self.send("GET", path, parameters=parameters)

    async def post(
        self, path: str, body: Mapping[str, Any], *, key: str | None = None
    ) -> dict[str, Any]:
        """The body that answers `POST path`. `key` is its Idempotency-Key."""
        return await self.send("POST", path, body=body, key=key)

    async def send(
        self,
        method: str,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        parameters: Mapping[str, str | int | None] | None = None,
        key: str | None = None,
    ) -> dict[str, Any]:
        """The body of the answer, a JSON object; empty where there is none (204).

        Args:
            key: Idempotency-Key of a write. Without one a write is sent once only.
        """
        attempts = self._attempts if method not in _WRITES or key is not None else 1
        for attempt in range(1, attempts + 1):
            try:
                status, headers, answer = await self._exchange(method, path, body, parameters, key)
            except ApiUnavailable:
                if attempt == attempts:
                    raise
                await self._sleep(_pause_seconds(attempt))
                continue
            if status < 300:
                return _object(answer) if answer else {}
            error = error_of(status, answer)
            if attempt == attempts or not is_retryable(status, error):
                raise error
            asked = _asked_seconds(headers.get("Retry-After"), self._clock())
            if asked is not None and asked > LONGEST_PAUSE_SECONDS:
                raise error
            await self._sleep(asked if asked is not None else _pause_seconds(attempt))
        raise AssertionError("unreachable")

    async def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None,
        parameters: Mapping[str, str | int | None] | None,
        key: str | None,
    ) -> tuple[int, Mapping[str, str], bytes]:
        headers = {"Accept": "application/json"}
        if self._key is not None:
            headers["Authorization"] = f"Bearer {self._key}"
        if key is not None:
            headers["Idempotency-Key"] = key
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = msgspec.json.encode(body)
        failure: RenownError
        try:
            async with self._open().request(
                method,
                self.url + path,
                params={k: str(v) for k, v in (parameters or {}).items() if v is not None},
                data=content,
                headers=headers,
                allow_redirects=False,
            ) as response:
                if response.status >= 300 and response.status < 400:
                    raise BadSettings(f"{self._host} leads elsewhere: name the API's own URL")
                return response.status, response.headers, await _read(response, self._host)
        except TimeoutError:
            failure = ApiUnavailable(f"{self._host} did not answer in time")
        except aiohttp.ClientConnectorError:
            failure = ApiUnavailable(
                f"the API at {self._host} cannot be reached: is it running, is the address right?"
            )
        except (aiohttp.ClientError, OSError, ValueError) as exc:
            # aiohttp may quote headers in its messages: keep the type only.
            failure = ApiUnavailable(f"the API at {self._host} fails: {type(exc).__name__}")
        raise failure  # outside the handler, so that no context drags the key along

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None or self._session.closed:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._deadline_seconds),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"User-Agent": "renown-sdk"},
                trust_env=False,
            )
        return self._session


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises for one that is none
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise BadSettings("the API's URL looks like http://localhost:8004")
    return parts.netloc.rpartition("@")[2]


async def _read(response: aiohttp.ClientResponse, host: str) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            response.close()
            raise ApiUnavailable(f"{host} answered with more than {MAX_ANSWER_BYTES:,} bytes")
        parts.append(part)
    return b"".join(parts)


def _object(answer: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(answer, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError):
        raise ApiUnavailable("the answer is no JSON object: is that the API?") from None


def _asked_seconds(retry_after: str | None, now: float) -> float | None:
    """`Retry-After` in seconds from now (RFC 9110, 10.2.3); None where it says nothing."""
    if retry_after is None:
        return None
    if retry_after.strip().isdecimal():
        return float(retry_after[:12])
    try:
        moment = email.utils.parsedate_to_datetime(retry_after)
        return max(0.0, moment.timestamp() - now)
    except (TypeError, ValueError, OverflowError):
        return None


def _pause_seconds(attempt: int) -> float:
    """Longer each time, and never the same for two who began together."""
    return min(10.0, 0.25 * 2.0**attempt) * random.uniform(0.5, 1.0)
