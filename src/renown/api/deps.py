"""What the routes share: the desk they work at, and parameters with their meaning."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Path, Query
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from renown.api.access.principal import own_account
from renown.api.answers import chains
from renown.api.answers.answer import MOST_ROWS, Answer
from renown.api.cache.dear import Dear
from renown.api.cache.kept import Kept
from renown.api.crossings import Crossings
from renown.api.pages import Cursors
from renown.api.replies import COMMON, REVALIDATE, reply
from renown.errors import BadParameter, DatabaseUnavailable, PastNotServed
from renown.spec.allowance import Allowance
from renown.spec.tokens import KNOWN_TOKENS, Tokens
from renown.store.audit_entries import say_who
from renown.store.pool import Conn, Isolation, Pool, Tx
from renown.store.replica import Replica, ReplicaFailed
from renown.store.search_plan import Plans
from renown.types import MAX_BIGINT, Address, parse_address

if TYPE_CHECKING:
    from renown.api.access.gate import Gate
    from renown.api.audited.book import Book
    from renown.api.health import Watch
    from renown.chain.tx.signer import Signer
    from renown.chain.tx.writer import ChainWriter

_PRIMARY_ONLY: ContextVar[bool] = ContextVar("primary_only", default=False)

B = TypeVar("B", bound=Struct)
R = TypeVar("R")

KeyParam = Annotated[
    str,
    Path(
        max_length=300,
        description="An agent key: `eip155:{chainId}:{registry}:{agentId}`, `{chainId}:{agentId}`"
        " or the agent's UUID. `#` or `/` before the id is taken too, percent-encoded.",
        examples=["8453:42", "eip155:8453:0x8004a169fb4a3325136eb29fa0ceb6d2e539a432:42"],
    ),
]
ClientParam = Annotated[
    str, Path(max_length=100, description="Address of the client that gave the feedback.")
]
IndexParam = Annotated[int, Path(ge=1, le=MAX_BIGINT, description="Index of the feedback, from 1.")]
AtParam = Annotated[
    str | None,
    Query(
        max_length=64,
        description="Answer as of the past: a block number (of exactly one chain), a time such as"
        " `2026-03-01T12:00:00Z`, or Unix seconds as `@1772366400`. The last stored block at or"
        " before it counts.",
    ),
]
NoPastParam = Annotated[
    str | None,
    Query(max_length=64, description="Not served here: this answer exists for the present only."),
]
ChainParam = Annotated[
    str | None, Query(max_length=64, description="Only this chain: its id or its short name.")
]
ChainNeeded = Annotated[str, Query(max_length=64, description="A chain's id or short name.")]
LimitParam = Annotated[int, Query(ge=1, le=MOST_ROWS, description="Rows of a page at most.")]
CursorParam = Annotated[
    str | None, Query(max_length=600, description="`next_cursor` of the page before.")
]
TagParam = Annotated[
    str | None, Query(max_length=10_000, description="Compared byte by byte, as UTF-8.")
]
AddressParam = Annotated[str | None, Query(max_length=100, description="0x and 40 hex digits.")]


class Desk:
    """What every request works with. One per app, in `app.state.desk`.

    Args:
        pool: may be set later, when the app opens its own.
        exports: folder of bulk files, which need not exist.
        public_url: where clients find us, without a slash at the end.
        writers: the nodes of each chain that can be written to, by chain id.
        signer: whose wallets the server signs with; None: with none.
        signer_is_open: whether every account may use it, on the chains that it signs for.
        allowance: how much it does for an account.
        sign_up: whether signing in with a wallet nobody knows makes an account.
        tokens: that count as payment.

    Attributes:
        gate: what every request passes; set as soon as the desk stands.
        book: writes the audit log's entries of requests.
        watch: knows whether what the desk works with is well; set as soon, too.
        kept, dear: caches, which only read until the app runs.
    """

    gate: Gate
    book: Book
    watch: Watch

    def __init__(
        self,
        pool: Pool | None,
        cursors: Cursors,
        exports: FilePath,
        *,
        public_url: str = "http://localhost",
        writers: Mapping[int, ChainWriter] | None = None,
        signer: Signer | None = None,
        signer_is_open: bool = False,
        allowance: Allowance | None = None,
        sign_up: bool = False,
        tokens: Tokens = KNOWN_TOKENS,
    ) -> None:
        self.tokens = tokens
        self.sign_up = sign_up
        self.public_url = public_url
        self.writers = {} if writers is None else writers
        self.signer = signer
        self.signer_is_open = signer_is_open
        self.allowance = allowance or Allowance()
        self.pool = pool
        self.replica: Replica | None = None
        self.cursors = cursors
        self.plans = Plans()
        self.exports = exports
        self.kept = Kept()
        self.crossings = Crossings(self.reading, lambda: self.pool)
        self.dear = Dear(is_on=False)
        self._chain_ids: dict[str, int] = {}

    def reading(self) -> AbstractAsyncContextManager[Conn]:
        """A connection to the primary for one request.

        For what must see the account's own writes, and for answers that are kept: words of what
        changed come from the primary, and a replica may not have it yet.
        """
        if self.pool is None:
            raise DatabaseUnavailable("the API has no connection to its database yet")
        return self.pool.connection()

    def reading_public(self) -> AbstractAsyncContextManager[Conn]:
        """A connection for one request that reads the index: to the replica while there is one
        that is well, else to the primary. The answer's `as_of` is of the same snapshot."""
        replica = self.replica
        if replica is None or not replica.is_fit or _PRIMARY_ONLY.get():
            return self.reading()
        return replica.connection()

    async def answered(self, answer: Callable[[Request], Awaitable[R]], request: Request) -> R:
        """What `answer` gives; if the replica failed it, what it gives on the primary."""
        try:
            return await answer(request)
        except ReplicaFailed:
            token = _PRIMARY_ONLY.set(True)
            try:
                return await answer(request)
            finally:
                _PRIMARY_ONLY.reset(token)

    @asynccontextmanager
    async def writing(self, isolation: Isolation = "read_committed") -> AsyncIterator[Tx]:
        """A connection with an open transaction: all of one request's changes, or none. The audit
        log learns from it who asked."""
        if self.pool is None:
            raise DatabaseUnavailable("the API has no connection to its database yet")
        async with self.pool.transaction(isolation) as tx:
            await say_who(tx)
            yield tx

    async def chain_id(self, conn: Conn, name: str | None) -> int | None:
        """The id of a chain by id or short name, None for none. Raises ChainNotFound.

        A number needs no look-up here: the read that it is for tells whether it is held.
        """
        if name is None:
            return None
        if name.isascii() and name.isdigit() and len(name) < 20 and int(name) <= MAX_BIGINT:
            return int(name)
        known = self._chain_ids.get(name)
        if known is None:  # a chain's short name never changes
            known = self._chain_ids[name] = await chains.chain_id(conn, name)
        return known


def desk_of(request: Request) -> Desk:
    """The app's desk."""
    desk: Desk = request.app.state.desk
    return desk


def common(desk: Desk) -> str:
    """`Cache-Control` of what counts the whole network. Where reads are for holders of keys, no
    cache on the way may hand an answer to one of them to others."""
    return COMMON if desk.gate.public_reads else REVALIDATE


def reading_connection(request: Request) -> AbstractAsyncContextManager[Conn]:
    """`Desk.reading_public` as a dependency of FastAPI: `Annotated[..., Depends(...)]`.

    It is the block to enter, not the connection, so that a route lets go of it before it answers:
    `async with reading as conn`.
    """
    return desk_of(request).reading_public()


def writing_transaction(request: Request) -> AbstractAsyncContextManager[Tx]:
    """`Desk.writing` as a dependency of FastAPI, to be entered as with `reading_connection`."""
    return desk_of(request).writing()


Reading = Annotated[AbstractAsyncContextManager[Any], Depends(reading_connection)]
Writing = Annotated[AbstractAsyncContextManager[Any], Depends(writing_transaction)]


def position(request: Request, cursor: str | None) -> tuple[Any, ...] | None:
    """Where the page asked for begins; None for the first. Raises BadCursor."""
    if cursor is None:
        return None
    return desk_of(request).cursors.read(cursor, _scope(request))


def page_reply(request: Request, answer: Answer[B]) -> Response:
    """`reply` for a page: its `next_cursor` is made here, where the query is known."""
    return reply(request, with_cursor(request, answer))


def with_cursor(request: Request, answer: Answer[B]) -> Answer[B]:
    """`answer` with its `next_cursor` set, if there is a next page."""
    if (cursor := next_cursor(request, answer.after)) is not None:
        answer.body.next_cursor = cursor  # type: ignore[attr-defined]
    return answer


def next_cursor(request: Request, after: tuple[Any, ...] | None) -> str | None:
    """The cursor of the page of this query that begins behind `after`; None for none."""
    return None if after is None else desk_of(request).cursors.write(after, _scope(request))


def own_position(request: Request, cursor: str | None) -> tuple[Any, ...] | None:
    """`position` in what belongs to the account that asks: another's cursor is none."""
    return None if cursor is None else desk_of(request).cursors.read(cursor, _own_scope(request))


def own_cursor(request: Request, after: tuple[Any, ...] | None) -> str | None:
    """`next_cursor` in what belongs to the account that asks."""
    return None if after is None else desk_of(request).cursors.write(after, _own_scope(request))


def present_only(at: str | None) -> None:
    """Raises PastNotServed if a past moment is asked for."""
    if at is not None:
        raise PastNotServed(
            "this answer exists for the present only: leave `at` out", parameter="at"
        )


def address_param(text: str | None) -> Address | None:
    """An optional address. Raises BadAddress."""
    return None if text is None else parse_address(text)


def tag_param(text: str | None) -> bytes | None:
    """An optional tag as the bytes that the chain has."""
    return None if text is None else text.encode("utf-8", "replace")


def addresses_param(text: str, *, most: int) -> list[bytes]:
    """Addresses separated by commas, repeats kept. Raises BadAddress, BadParameter."""
    parts = text.split(",")
    if len(parts) > most:
        raise BadParameter(
            f"at most {most} addresses, got {len(parts)}", parameter="clients", most=most
        )
    return [parse_address(part.strip()) for part in parts]


def _own_scope(request: Request) -> str:
    return f"{own_account(request)}:{_scope(request)}"


def _scope(request: Request) -> str:
    query = [
        pair
        for pair in sorted(request.query_params.multi_items())
        if pair[0] not in ("cursor", "limit")
    ]
    return f"{request.url.path}?{urlencode(query, errors='replace')}"
