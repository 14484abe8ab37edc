"""Entries of requests: a write is in the log before it is answered, a read about a second later."""

from __future__ import annotations

from time import monotonic, perf_counter
from typing import Any
from uuid import UUID

import msgspec
import structlog
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from renown.api import problems
from renown.api.access.client_address import TrustedProxies, comes_from_proxy
from renown.api.access.marks import ADDRESS, AUTH_FAILURE, PRINCIPAL, WALLET
from renown.api.access.principal import ANONYMOUS, Principal
from renown.api.access.pseudonyms import Pseudonyms
from renown.api.access.user_agent import user_agent
from renown.api.audited.book import Book, Read, milliseconds
from renown.api.audited.refusals import Refusals
from renown.api.audited.request_ids import new_request_id
from renown.api.bodies import RAW_BODY
from renown.api.wire import REQUEST_ID
from renown.errors import AuditUnavailable, StoreError
from renown.obs.acting import ACTING, Acting
from renown.spec.redaction import shown_body, shown_text
from renown.store.audit_entries import NewEntry

READS = frozenset({"GET", "HEAD", "OPTIONS"})
REFUSED = frozenset({401, 403})
UNMATCHED = "unmatched"
MOST_HELD_BYTES = 1024 * 1024
"""Of an answer that is held back until its entry is written; one that goes on is let go then."""
_MOST_PATH = 200
_Header = tuple[bytes, bytes]

log = structlog.get_logger(__name__)


class Audited:
    """ASGI middleware, inside of `Wire`, around the app.

    Every answer gets an `X-Request-Id`: a trusted proxy's own, if that is a UUID, else a new one.
    Log lines and entries have it, too.

    Args:
        body_bytes: most that is kept of a body; 0: none is.
        keeps_entries: false: ids are given, but nothing is written.
    """

    def __init__(
        self,
        app: ASGIApp,
        book: Book,
        pseudonyms: Pseudonyms,
        refusals: Refusals,
        *,
        trusted: TrustedProxies,
        body_bytes: int,
        keeps_entries: bool,
    ) -> None:
        self._app = app
        self._book = book
        self._pseudonyms = pseudonyms
        self._refusals = refusals
        self._trusted = trusted
        self._body_bytes = body_bytes
        self._keeps_entries = keeps_entries

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        asked = self.begin(scope)
        before = ACTING.set(Acting(request_id=asked.request_id))
        try:
            if not self._keeps_entries:
                await self._app(scope, receive, asked.marking(send))
            elif scope["method"] in READS:
                await self._answer_read(asked, receive, send)
            else:
                await self._answer_write(asked, receive, send)
        finally:
            ACTING.reset(before)

    def begin(self, scope: Scope) -> Asked:
        """A request comes in: what tells it from others, and when that was."""
        request_id = None
        if self._trusted and comes_from_proxy(scope, self._trusted):
            request_id = _proxys_id(scope)
        return Asked(scope, request_id or new_request_id())

    async def read_answered(self, asked: Asked, status: int) -> None:
        """A read is about to be answered with `status`: if it is turned away for who it is, that
        is in the log before it learns so."""
        if status >= 400 and self._keeps_entries and _is_refusal(asked.scope, status):
            await self._tell_refusal(asked, status)

    def read_left(self, asked: Asked, status: int) -> None:
        """A read was answered with `status`, or came to nothing. `read_answered` came before it,
        if it was answered at all."""
        if self._keeps_entries and not (status >= 400 and _is_refusal(asked.scope, status)):
            self._note_read(asked, status)

    async def _answer_read(self, asked: Asked, receive: Receive, send: Send) -> None:
        status, is_told = 500, False
        scope, header = asked.scope, asked.header

        async def watched(message: Message) -> None:
            nonlocal status, is_told
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"].append(header)
                if status >= 400 and _is_refusal(scope, status):
                    is_told = True
                    await self._tell_refusal(asked, status)
            await send(message)

        try:
            await self._app(scope, receive, watched)
        finally:
            if not is_told:
                self._note_read(asked, status)

    def _note_read(self, asked: Asked, status: int) -> None:
        scope = asked.scope
        principal: Principal = scope.get(PRINCIPAL, ANONYMOUS)
        if principal.account_id is None:
            return
        self._book.note(
            Read(
                asked.moment,
                asked.request_id,
                principal.account_id,
                principal.key_id,
                principal.address,
                user_agent(scope),
                scope["method"],
                route_of(scope),
                status,
                perf_counter() - asked.began,
            )
        )

    async def _answer_write(self, asked: Asked, receive: Receive, send: Send) -> None:
        marking = asked.marking(send)
        held: list[Message] = []
        state = "held"  # then "going" or "dropped"
        size = 0
        read_status: int | None = None  # where it turns out to change nothing

        async def holding(message: Message) -> None:
            nonlocal state, size, read_status
            if state == "dropped":
                return
            if state == "going":
                await marking(message)
                return
            if message["type"] == "http.response.start" and _is_read(asked.scope, message):
                state, read_status = "going", message["status"]
                await marking(message)
                return
            held.append(message)
            if message["type"] == "http.response.body":
                size += len(message.get("body", b""))
                if message.get("more_body") and size <= MOST_HELD_BYTES and not _streams(held[0]):
                    return
                state = "dropped"
                if await self._tell_write(asked, held):
                    state = "going"
                    for one in held:
                        await marking(one)
                else:
                    error = AuditUnavailable("done, but not written into the audit log")
                    refusal = problems.respond(Request(asked.scope), error)
                    await refusal(asked.scope, receive, marking)

        try:
            await self._app(asked.scope, receive, holding)
        finally:
            if read_status is not None:
                self._note_read(asked, read_status)
            elif state == "held":  # cut short: nobody is answered
                entry = await self._write_entry(asked, [], 500)
                address = asked.scope.get(ADDRESS, "")
                if asked.is_strangers and not self._refusals.may_be_written(address):
                    self._book.count_refusal(_with(entry, None))
                else:
                    self._book.keep(entry)

    async def _tell_write(self, asked: Asked, held: list[Message]) -> bool:
        """Write the entry; false if it is not written and the answer must not go out."""
        status: int = held[0]["status"]
        if _is_refusal(asked.scope, status):
            await self._tell_refusal(asked, status, held)
            return True
        if status >= 400 and asked.is_strangers:
            await self._tell_strangers_failure(asked, status)
            return True
        entry = await self._write_entry(asked, held, status)
        if await self._written(entry):
            return True
        return status >= 400

    async def _tell_refusal(
        self, asked: Asked, status: int, held: list[Message] | None = None
    ) -> None:
        scope = asked.scope
        reason = scope.get(AUTH_FAILURE)
        address = scope.get(ADDRESS, "")
        entry = await self._entry(asked, "refused", status)
        if not self._refusals.may_be_written(address):
            detail = None if reason is None else {"reason": reason}
            self._book.count_refusal(_with(entry, detail))
            return
        detail = {} if reason is None else {"reason": reason}
        detail |= self._bodies(scope, held or [])
        await self._written(_with(entry, detail or None))

    async def _tell_strangers_failure(self, asked: Asked, status: int) -> None:
        """Like a refusal, or anybody could fill the log: nothing was changed, and nobody known
        asked. What no gate took note of, as where there is no route, is not told at all."""
        address = asked.scope.get(ADDRESS)
        if address is None:
            return
        entry = await self._entry(asked, "request", status)
        if self._refusals.may_be_written(address):
            await self._written(entry)
        else:
            self._book.count_refusal(entry)

    async def _written(self, entry: NewEntry) -> bool:
        try:
            await self._book.write(entry)
        except StoreError as exc:
            log.warning("audit_entry_not_written", error=exc.slug, route=entry.route)
        except Exception as exc:  # noqa: BLE001 - a body that the database will not take
            log.error("audit_entry_refused", error=type(exc).__name__, route=entry.route)
            entry = _with(entry, {"unwritable": type(exc).__name__})
        else:
            return True
        self._book.keep(entry)
        return False

    async def _write_entry(self, asked: Asked, held: list[Message], status: int) -> NewEntry:
        scope = asked.scope
        detail = self._bodies(scope, held)
        if status < 400 and (given := scope.get("path_params")):
            # What a route took is the name of something; what it refused might be anything.
            detail["path"] = {name: shown_text(str(it), _MOST_PATH) for name, it in given.items()}
        if held and any(name == b"idempotent-replayed" for name, _ in held[0]["headers"]):
            detail["replayed"] = True
        return _with(await self._entry(asked, "request", status), detail or None)

    async def _entry(self, asked: Asked, action: str, status: int) -> NewEntry:
        scope = asked.scope
        principal: Principal = scope.get(PRINCIPAL, ANONYMOUS)
        address = scope.get(ADDRESS)
        route = route_of(scope)
        return NewEntry(
            action=action,
            subject=route,
            moment=monotonic(),
            request_id=asked.request_id,
            account_id=principal.account_id,
            key_id=principal.key_id,
            wallet=scope.get(WALLET),
            address=None if address is None else await self._pseudonyms.of(address),
            user_agent=user_agent(scope),
            method=_method(scope["method"]),
            route=route,
            status=status,
            duration_ms=milliseconds(perf_counter() - asked.began),
        )

    def _bodies(self, scope: Scope, held: list[Message]) -> dict[str, Any]:
        if not self._body_bytes:
            return {}
        answer = b"".join(
            message.get("body", b"") for message in held if message["type"] == "http.response.body"
        )
        bodies = {
            "request": shown_body(scope.get(RAW_BODY) or b"", self._body_bytes),
            "response": _shown_answer(answer, held, self._body_bytes),
        }
        return {name: body for name, body in bodies.items() if body is not None}


class Asked:
    """One request, from when it came in. `header` tells its id."""

    __slots__ = ("began", "header", "moment", "request_id", "scope")

    def __init__(self, scope: Scope, request_id: UUID) -> None:
        self.scope = scope
        self.request_id = request_id
        self.header: _Header = (REQUEST_ID, str(request_id).encode())
        self.moment = monotonic()
        self.began = perf_counter()

    @property
    def is_strangers(self) -> bool:
        """Whether nobody is known to ask."""
        principal: Principal = self.scope.get(PRINCIPAL, ANONYMOUS)
        return principal.account_id is None

    def marking(self, send: Send) -> Send:
        """`send`, with the id on the answer."""

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"].append(self.header)
            await send(message)

        return marked


def route_of(scope: Scope) -> str:
    """The pattern of the route that answers, never the path."""
    return getattr(scope.get("route"), "path", UNMATCHED)


def _proxys_id(scope: Scope) -> UUID | None:
    for name, value in scope["headers"]:
        if name == REQUEST_ID:
            try:
                return UUID(value.decode("ascii")) if len(value) == 36 else None
            except ValueError:
                return None
    return None


def _is_read(scope: Scope, start: Message) -> bool:
    """Whether what is being answered is a read though its method is not one's, as where the names
    of many agents do not fit into an address."""
    access = getattr(scope.get("route"), "access", None)
    return access is not None and access.is_read and not _is_refusal(scope, start["status"])


def _is_refusal(scope: Scope, status: int) -> bool:
    return status in REFUSED or scope.get(AUTH_FAILURE) is not None


def _streams(start: Message) -> bool:
    return any(
        name == b"content-type" and value.startswith(b"text/event-stream")
        for name, value in start.get("headers", ())
    )


def _shown_answer(body: bytes, held: list[Message], most_bytes: int) -> Any:
    """Of a problem only which it is: its words quote the path, and what was wrong with it."""
    shown = shown_body(body, most_bytes)
    if held and held[0].get("status", 500) >= 400:
        return {"type": shown["type"]} if isinstance(shown, dict) and "type" in shown else None
    return shown


def _method(name: str) -> str:
    return name if name.isascii() and name.isalpha() and len(name) <= 20 else "other"


def _with(entry: NewEntry, detail: dict[str, Any] | None) -> NewEntry:
    return msgspec.structs.replace(entry, detail=detail)
