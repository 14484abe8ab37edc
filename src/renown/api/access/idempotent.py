"""`Idempotency-Key`: a request that is sent again is answered again, and done once.

The contract is Stripe's. The first answer counts for a day, also when it is a refusal, once the
work has begun. What is refused before, by what a node says or the account still lacks, is nobody's
last word: the key stays free, as it does where trying again may help (429, 502, 503). The answer is
kept in the transaction of the change it tells of: there is never one without the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

import structlog
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import Principal
from renown.api.bodies import raw_body
from renown.api.deps import desk_of
from renown.api.problems import respond
from renown.errors import (
    BadParameter,
    IdempotencyInProgress,
    IdempotencyMismatch,
    RenownError,
    Unauthorized,
)
from renown.store import idempotency
from renown.store.pool import Isolation, Tx, retry_conflicts

HEADER = "Idempotency-Key"
REPLAYED = "Idempotent-Replayed"

log = structlog.get_logger(__name__)

P = TypeVar("P")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_UNKEPT = frozenset({b"content-length", b"date"})


async def once(
    request: Request,
    principal: Principal,
    work: Callable[[Tx], Awaitable[Response]],
    *,
    isolation: Isolation = "read_committed",
) -> Response:
    """What `work` answers, done at most once per key of the account.

    `work` has one transaction, which commits together with the kept answer; it is run again where
    PostgreSQL undid it in favour of another, so it must have no other effect. Without the header it
    is simply run. Never for answers that hold a secret: the answer is kept in the database.

    Raises:
        BadParameter: the key is not 1 to 255 visible ASCII characters.
        IdempotencyInProgress, IdempotencyMismatch.
    """

    async def nothing() -> None:
        return None

    async def alone(tx: Tx, _: None) -> Response:
        return await work(tx)

    return await prepared_once(request, principal, nothing, alone, isolation=isolation)


async def prepared_once(
    request: Request,
    principal: Principal,
    prepare: Callable[[], Awaitable[P]],
    work: Callable[[Tx, P], Awaitable[Response]],
    *,
    isolation: Isolation = "read_committed",
    committed: Callable[[P], None] | None = None,
) -> Response:
    """As `once`, with what must be found out before: `prepare` may ask nodes and take its time.

    It runs when the key is ours and outside the transaction, so a request that is sent again asks
    nobody. What it raises is not kept: nothing was done, and what lies outside may change.
    `committed` is called after the change is in the database, and not for a replay.
    """
    if principal.account_id is None:
        raise Unauthorized("a key is needed to change things")
    desk = desk_of(request)
    key = _key(request)
    held = None
    if key is not None:
        held = _Held(request, principal.account_id, key, await _request_hash(request))
        if (kept := await held.begin()) is not None:
            return kept
    try:
        found = await prepare()
    except Exception:
        if held is not None:
            await held.release()
        raise

    async def attempt() -> Response:
        async with desk.writing(isolation) as tx:
            response = await work(tx, found)
            if held is not None:
                await held.keep(tx, response)
            return response

    try:
        response = await retry_conflicts(attempt)
    except Exception as exc:
        if held is not None:
            await held.failed(exc)
        raise
    if committed is not None:
        committed(found)
    return response


class _Held:
    """The key of a request, from the moment it is ours."""

    def __init__(self, request: Request, account_id: int, key: str, request_hash: bytes) -> None:
        self._request = request
        self._desk = desk_of(request)
        self._account_id = account_id
        self._key_hash = hashlib.sha256(key.encode()).digest()
        self._request_hash = request_hash
        self._attempt: UUID

    async def begin(self) -> Response | None:
        """Take the key; the kept answer where there is one already."""
        async with self._desk.reading() as conn:
            found = await idempotency.begin(
                conn, self._account_id, self._key_hash, self._request_hash
            )
        match found:
            case idempotency.Begun(attempt):
                self._attempt = attempt
                return None
            case idempotency.Kept():
                return _replayed(found)
            case idempotency.Running():
                raise IdempotencyInProgress("the first request with this key is not answered yet")
            case idempotency.OtherRequest():
                raise IdempotencyMismatch(
                    "the key was used with another method, path or body; use a new one"
                )

    async def keep(self, tx: Tx, response: Response) -> None:
        """Keep `response`. Raises IdempotencyInProgress where the lock ran out and was taken."""
        if not await idempotency.keep(
            tx, self._account_id, self._key_hash, self._attempt, _to_keep(response)
        ):
            raise IdempotencyInProgress("this took so long that another request took the key over")

    async def release(self) -> None:
        """Free the key: nothing was done."""
        try:
            async with self._desk.reading() as conn:
                await idempotency.release(conn, self._account_id, self._key_hash, self._attempt)
        except RenownError as also:
            _left(also)

    async def failed(self, exc: Exception) -> None:
        """Keep the refusal, or free the key where another try may fare better."""
        error = exc if isinstance(exc, RenownError) else RenownError("unexpected")
        if error.retryable:
            await self.release()
            return
        try:
            async with self._desk.writing() as tx:
                await self.keep(tx, respond(self._request, error))
        except RenownError as also:
            _left(also)


def _left(error: RenownError) -> None:
    # The lock runs out by itself; what the caller must hear is the first failure.
    log.warning("idempotency_key_left", error=error.slug, detail=error.detail)


def _key(request: Request) -> str | None:
    given = request.headers.getlist(HEADER)
    if not given:
        return None
    if len(given) > 1 or _KEY.fullmatch(given[0]) is None:
        raise BadParameter(
            f"`{HEADER}` takes 1 to 255 visible ASCII characters, once", parameter=HEADER
        )
    return given[0]


async def _request_hash(request: Request) -> bytes:
    scope = request.scope
    parts = (request.method.encode(), scope["path"].encode(), scope["query_string"])
    body = hashlib.sha256(await raw_body(request)).digest()
    return hashlib.sha256(b"\0".join((*parts, body))).digest()


def _to_keep(response: Response) -> idempotency.Kept:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in response.raw_headers
        if name.lower() not in _UNKEPT
    ]
    return idempotency.Kept(response.status_code, headers, bytes(response.body))


def _replayed(kept: idempotency.Kept) -> Response:
    response = Response(kept.body, kept.status)
    length = [pair for pair in response.raw_headers if pair[0] == b"content-length"]
    pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in kept.headers]
    response.raw_headers = [*length, *pairs, (REPLAYED.lower().encode(), b"true")]
    return response
