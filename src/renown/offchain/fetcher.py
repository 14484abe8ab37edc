"""The fetcher: the one way from here to a host that a stranger named.

It reads documents behind URIs (`read`) and calls endpoints (`send`). Whatever the other side does
is an outcome, never an exception. docs/explanation/fetching.md has its rules and their reasons.
"""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from importlib.metadata import version as installed_version
from types import TracebackType
from typing import Self

import msgspec
import structlog

from renown.errors import BadSettings
from renown.obs import metrics
from renown.obs.tracing import TRACES
from renown.offchain.answer import NOT_MODIFIED, Answer
from renown.offchain.content import Content
from renown.offchain.dial import Dialler
from renown.offchain.dns import Resolver, SystemResolver
from renown.offchain.exchange import Exchange, Request, Run
from renown.offchain.failed import Failed
from renown.offchain.fetched import Fetched
from renown.offchain.gateways import Gateways
from renown.offchain.idle import Idle
from renown.offchain.limits import Limits
from renown.offchain.opened import Opened
from renown.offchain.target import read_target
from renown.offchain.turns import Turns
from renown.spec.uris import Uri

__all__ = ["Fetcher", "Limits"]

IPFS_GATEWAYS = ("https://ipfs.io", "https://dweb.link")
AR_GATEWAYS = ("https://arweave.net",)
MOST_KEPT = 512
"""Connections kept open while unused: fewer than a process may usually have."""
LONGEST_WAIT_SECONDS = 7 * 86_400.0
"""Most that a Retry-After is taken for."""

_PARTIAL = 206
_ASKS_FOR_REST = (429, 503)
_VALIDATOR = re.compile(r"[\x20-\x7e]{1,512}")
_CONTACT = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")

_BY_OUR_FAULT = Fetched(outcome="broken", reason="internal")

log = structlog.get_logger(__name__)


class Fetcher:
    """Asks strangers, safely. An async context manager; one per process, shared by many tasks.

    Args:
        contact: where a host can complain, a URL or an e-mail address: sent in the user agent.
        opened: private hosts that may be asked, and hosts that are served elsewhere; see Opened.
        ipfs_gateways: origins, asked in this order; may be private. Likewise `ar_gateways`.
        connections: in use at once. MOST_KEPT more may stay open a while for what comes next.
        per_host: requests to one host at once; further ones wait in the order they came.
        tls: trust in certificates, for tests and private authorities. Default: the system's.

    Raises:
        BadSettings: a contact that fits no header, or a malformed entry or gateway.
    """

    def __init__(
        self,
        *,
        contact: str | None = None,
        opened: Sequence[str] = (),
        ipfs_gateways: Sequence[str] = IPFS_GATEWAYS,
        ar_gateways: Sequence[str] = AR_GATEWAYS,
        connections: int = 64,
        per_host: int = 2,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
        version: str | None = None,
    ) -> None:
        self._limits = limits
        self._opened = Opened(opened)
        ipfs = Gateways("RENOWN_IPFS_GATEWAYS", ipfs_gateways)
        ar = Gateways("RENOWN_AR_GATEWAYS", ar_gateways)
        self._idle = Idle(most=max(connections, MOST_KEPT))
        self._exchange = Exchange(
            Dialler(resolver or SystemResolver(threads=2 * connections), tls),
            Turns(in_all=connections, per_host=per_host),
            self._idle,
            user_agent=_user_agent(version or installed_version("renown"), contact),
        )
        self._content = Content(self._exchange, self._opened, ipfs=ipfs, ar=ar)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._idle.close()

    async def read(
        self,
        uri: Uri,
        *,
        etag: str | None = None,
        last_modified: str | None = None,
        limits: Limits | None = None,
    ) -> Fetched:
        """The document behind an https, http, ipfs or ar URI. Other kinds are `unsupported`.

        `etag` and `last_modified`, as an earlier answer of the same URI gave them, make the request
        conditional: `not-modified` where nothing changed. Never raises for what a stranger does.
        """
        limits = limits or self._limits
        try:
            if uri.kind in ("https", "http"):
                fetched = await self._read_url(uri.text, etag, last_modified, limits)
            elif uri.kind in ("ipfs", "ar") and uri.cid:
                fetched = await self._read_content(uri.kind, uri.cid, uri.path, limits)
            else:
                fetched = Fetched(outcome="unsupported", reason=uri.reason or "inline")
        except Exception:  # a bug of ours; the task that reads for everybody must not die of it
            log.exception("fetch_failed_unexpectedly")
            fetched = _BY_OUR_FAULT
        return _measured(fetched)

    async def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        limits: Limits | None = None,
        redirects: bool = False,
        enough: Callable[[bytes], bool] | None = None,
    ) -> Fetched:
        """One request to an endpoint, under the same rules.

        Without `redirects` one is an `http-error` with its status, its Location in `headers` and no
        body. `headers` may not contain those that are the fetcher's own (Host, Cookie,
        Authorization …): `refused`, `bad-header`. `enough`, called with what has come of a good
        body, ends the reading early: event streams often stay open behind their answer.
        """
        limits = limits or self._limits
        request = Request(method, headers or {}, body, follow=redirects, enough=enough)
        try:
            fetched = await self._ask(url, request, limits)
        except Exception:  # as in `read`
            log.exception("fetch_failed_unexpectedly")
            fetched = _BY_OUR_FAULT
        return _measured(fetched)

    async def _read_url(
        self, url: str, etag: str | None, last_modified: str | None, limits: Limits
    ) -> Fetched:
        headers = {
            name: value
            for name, value in (("If-None-Match", etag), ("If-Modified-Since", last_modified))
            if value is not None and _VALIDATOR.fullmatch(value)
        }
        fetched = await self._ask(url, Request("GET", headers), limits)
        if fetched.status == NOT_MODIFIED and fetched.outcome == "http-error" and headers:
            return _replaced(fetched, outcome="not-modified", reason=None, body=None)
        return fetched

    async def _ask(self, url: str, request: Request, limits: Limits) -> Fetched:
        target = read_target(url)
        if isinstance(target, Failed):
            return Fetched(outcome=target.outcome, reason=target.reason)
        run = Run(limits.deadline_seconds)
        reply = await self._exchange.ask(target, request, limits, self._opened, run)
        return _fetched(
            reply.result,
            seconds=run.seconds(),
            final_url=reply.target.url if reply.target != target else None,
        )

    async def _read_content(self, kind: str, cid: str, path: str, limits: Limits) -> Fetched:
        read = self._content.ipfs if kind == "ipfs" else self._content.ar
        found, seconds = await read(cid, path, limits)
        fetched = _fetched(found.result, seconds=seconds)
        if fetched.outcome == "http-error" and fetched.status is not None:
            return _replaced(fetched, reason=f"gateway-{fetched.status}")
        if fetched.outcome == "ok":
            return _replaced(fetched, verified=found.verified)
        return fetched


def _fetched(result: Answer | Failed, *, seconds: float, final_url: str | None = None) -> Fetched:
    duration_ms = min(math.ceil(seconds * 1000), 2**31 - 1)
    if isinstance(result, Failed):
        return Fetched(
            outcome=result.outcome,
            reason=result.reason,
            final_url=final_url,
            duration_ms=duration_ms,
        )
    if result.status == _PARTIAL:  # nobody asked for a part
        return Fetched(
            outcome="broken", reason="partial", status=result.status, duration_ms=duration_ms
        )
    good = 200 <= result.status < 300
    return Fetched(
        outcome="ok" if good else "http-error",
        status=result.status,
        body=(result.body or b"") if good else result.body,
        headers=result.headers,
        final_url=final_url,
        duration_ms=duration_ms,
        retry_after_seconds=_retry_after(result),
    )


def _retry_after(answer: Answer) -> float | None:
    """Seconds to stay away (RFC 9110, section 10.2.3), from a number or a date."""
    text = answer.headers.get("retry-after", "")
    if answer.status not in _ASKS_FOR_REST or not text or len(text) > 64:
        return None
    if text.isdigit() and text.isascii():
        return min(float(text), LONGEST_WAIT_SECONDS)
    try:
        date = parsedate_to_datetime(text)
        seconds = (date.replace(tzinfo=date.tzinfo or UTC) - datetime.now(UTC)).total_seconds()
    except (ValueError, OverflowError, TypeError, IndexError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT_SECONDS)


def _measured(fetched: Fetched) -> Fetched:
    if TRACES.is_on:
        TRACES.asked("fetch", fetched.duration_ms / 1000, {"renown.outcome": fetched.outcome})
    metrics.FETCHES.labels(fetched.outcome).inc()
    metrics.FETCH_SECONDS.observe(fetched.duration_ms / 1000)
    metrics.FETCH_BYTES.inc(len(fetched.body or b""))
    return fetched


def _user_agent(version: str, contact: str | None) -> str:
    if contact is None:
        return f"Renown/{version}"
    if _CONTACT.fullmatch(contact) is None or "(" in contact or ")" in contact:
        raise BadSettings("RENOWN_FETCH_CONTACT: a URL or an e-mail address is needed, in ASCII")
    return f"Renown/{version} (+{contact})"


def _replaced(fetched: Fetched, **changes: object) -> Fetched:
    return msgspec.structs.replace(fetched, **changes)
