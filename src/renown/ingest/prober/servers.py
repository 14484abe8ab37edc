"""Looking at an MCP server: a greeting, its tools, and whether nonsense gets the same."""

from __future__ import annotations

import secrets
from importlib.metadata import version as installed_version
from typing import Literal

import msgspec

from renown.ingest.prober.asking import Asker, Heard
from renown.ingest.prober.pages import WANTS_LOGIN, challenge_of, guarded, paywalled, same_page
from renown.ingest.prober.sighting import Sighting, sighting, unanswered
from renown.spec.protocols import mcp
from renown.spec.protocols.capabilities import MOST_NAMES, Capabilities, names
from renown.spec.protocols.controls import nonsense_url
from renown.spec.protocols.rpc import Reply, answered, event_names, question, read_reply

Era = Literal["session", "stateless"]

MOST_PAGES = 5
"""Of a list of tools."""

_CLIENT = installed_version("renown")
_MAY_BE_SSE = (400, 404, 405)


async def look_at_server(
    asker: Asker, url: str, token: str, known: Capabilities | None = None
) -> Sighting:
    """Greet the server at `url` and list its tools; nothing is ever called.

    alive: it greets, repeats our random ids, and refuses a method and a path that do not exist.
    hollow: one of these it answers as if it did. paywalled: it asks to be paid by x402. dead: what
    answers speaks no MCP.

    Args:
        known: what it offered last time, which tells the revision to begin with.
    """
    spoken = known.protocol_version if known else None
    eras: list[Era] = ["session", "stateless"]
    if spoken and spoken >= mcp.STATELESS_VERSION:
        eras.reverse()
    first: _Opening | None = None
    for era in eras:
        opening = await _open(asker, url, era)
        if opening.greeting is not None:
            return await _Conversation(asker, url, token, opening).hold()
        first = first or opening
        if not _other_era_worth_trying(opening):
            break
    assert first is not None
    return await _without_greeting(asker, first, url, token)


class _Opening(msgspec.Struct, frozen=True):
    """The first question to a server, and its answer."""

    era: Era
    heard: Heard
    reply: Reply
    greeting: mcp.Greeting | None


async def _open(asker: Asker, url: str, era: Era) -> _Opening:
    request_id = secrets.token_hex(8)
    if era == "session":
        headers = mcp.headers(version=None)
        body = mcp.initialize(request_id, client_version=_CLIENT)
    else:
        headers = mcp.headers(version=mcp.STATELESS_VERSION, method="server/discover")
        body = mcp.discover(request_id, client_version=_CLIENT)
    heard, reply = await _put(asker, url, headers, body, request_id)
    greeting = mcp.read_greeting(reply)
    if era == "stateless" and greeting is None and (versions := mcp.read_refusal(reply)):
        greeting = mcp.Greeting(versions=versions, lists_tools=False)  # newer than we are
    return _Opening(era, heard, reply, greeting)


async def _put(
    asker: Asker, url: str, headers: dict[str, str], body: bytes, request_id: str
) -> tuple[Heard, Reply]:
    """Put one question. A stream is listened to until its answer is there, not to its end."""
    heard = await asker.ask(
        "POST", url, headers=headers, body=body, enough=lambda said: answered(said, request_id)
    )
    return heard, read_reply(heard.fetched.body, heard.content_type, request_id)


def _other_era_worth_trying(opening: _Opening) -> bool:
    """A server of the other era says so in JSON-RPC, or with a 400; others need no second call."""
    status = opening.heard.fetched.status
    return opening.reply.kind == "error" or status == 400 or opening.era == "stateless"


class _Conversation:
    """With a server that greeted."""

    def __init__(self, asker: Asker, url: str, token: str, opening: _Opening) -> None:
        assert opening.greeting is not None
        self._asker = asker
        self._declared = url
        self._url = opening.heard.url  # where a redirect led, if anywhere
        self._token = token
        self._opening = opening
        self._greeting = opening.greeting
        self._session: str | None = None
        self._version = mcp.STATELESS_VERSION
        if opening.era == "session":
            self._session = mcp.read_session(opening.heard.fetched.headers.get("mcp-session-id"))
            self._version = opening.greeting.version_to_speak

    async def hold(self) -> Sighting:
        """Go on from the greeting to the verdict."""
        heard = self._opening.heard
        if self._opening.reply.kind == "foreign":
            return sighting("hollow", heard.fetched, "wrong-id")
        if self._opening.era == "session":
            await self._say_initialized()
        if await self._answers_any_method():
            return sighting("hollow", heard.fetched, "any-method")
        if await self._answers_any_path():
            return sighting("hollow", heard.fetched, "any-path")
        offered = Capabilities(
            server=self._greeting.server,
            version=self._greeting.version,
            protocol_version=self._version,
            transport="streamable-http",
        )
        return await self._with_tools(offered)

    async def _say_initialized(self) -> None:
        headers = mcp.headers(version=self._version, session=self._session)
        await self._asker.ask("POST", self._url, headers=headers, body=mcp.initialized())

    async def _answers_any_method(self) -> bool:
        method = f"renown/{self._token}"
        request_id = secrets.token_hex(8)
        body = (
            question(request_id, method, {})
            if self._opening.era == "session"
            else mcp.stateless(request_id, method, client_version=_CLIENT)
        )
        _, reply = await self._post(method, body, request_id)
        return reply.kind in ("result", "foreign")

    async def _answers_any_path(self) -> bool:
        control = await _open(
            self._asker, nonsense_url(self._declared, self._token), self._opening.era
        )
        return control.greeting == self._greeting

    async def _with_tools(self, offered: Capabilities) -> Sighting:
        found: list[str] = []
        cursor: str | None = None
        first = self._opening.heard.fetched
        for _ in range(MOST_PAGES if self._greeting.lists_tools else 0):
            request_id = secrets.token_hex(8)
            client = None if self._opening.era == "session" else _CLIENT
            body = mcp.list_tools(request_id, cursor, client_version=client)
            heard, reply = await self._post("tools/list", body, request_id)
            if heard.fetched.status in WANTS_LOGIN:
                offered = msgspec.structs.replace(offered, login=True)
                break
            if (challenge := challenge_of(heard)) is not None:
                offered = offered.priced(challenge.version, challenge.prices)
                return sighting("paywalled", first, capabilities=offered)
            page = mcp.read_tools(reply)
            if page is None:
                break
            found += page.names
            cursor = page.next_cursor
            if cursor is None or len(found) > MOST_NAMES:
                break
        tools, cut = names(found)
        offered = msgspec.structs.replace(offered, tools=tools, cut=cut or cursor is not None)
        return sighting("alive", first, capabilities=offered)

    async def _post(self, method: str, body: bytes, request_id: str) -> tuple[Heard, Reply]:
        headers = mcp.headers(version=self._version, session=self._session, method=method)
        return await _put(self._asker, self._url, headers, body, request_id)


async def _without_greeting(asker: Asker, opening: _Opening, url: str, token: str) -> Sighting:
    heard = opening.heard
    early = unanswered(heard.fetched)
    if early is not None:
        return early
    headers = mcp.headers(version=None)
    body = mcp.initialize(secrets.token_hex(8), client_version=_CLIENT)
    challenge = challenge_of(heard)
    if challenge is not None:
        return await paywalled(
            asker, heard, challenge, token, method="POST", headers=headers, body=body
        )
    neighbour = nonsense_url(url, token)
    if heard.fetched.status in WANTS_LOGIN:
        return await guarded(asker, heard, neighbour, method="POST", headers=headers, body=body)
    if heard.success:
        control = await asker.ask("POST", neighbour, headers=headers, body=body)
        if same_page(heard, control, url, token):
            return sighting("hollow", heard.fetched, "any-path")
    elif heard.fetched.status in _MAY_BE_SSE and opening.reply.kind == "none":
        older = await _older_transport(asker, url, neighbour)
        if older is not None:
            return older
    return sighting("dead", heard.fetched, "no-mcp")


async def _older_transport(asker: Asker, url: str, neighbour: str) -> Sighting | None:
    """The sighting of a server of 2024-11-05, which opens a stream to a GET; None if it is none.

    The stream does not end: it is listened to until it names where to send messages. None are
    sent, so its tools stay unknown.
    """
    heard = await _listen(asker, url)
    if not _opens_stream(heard):
        return None
    if _opens_stream(await _listen(asker, neighbour)):
        return sighting("hollow", heard.fetched, "any-path")
    offered = Capabilities(protocol_version="2024-11-05", transport="sse")
    return sighting("alive", heard.fetched, "older-transport", capabilities=offered)


async def _listen(asker: Asker, url: str) -> Heard:
    headers = {"Accept": "text/event-stream"}
    return await asker.ask("GET", url, headers=headers, enough=_names_endpoint)


def _names_endpoint(said: bytes) -> bool:
    return "endpoint" in event_names(said)


def _opens_stream(heard: Heard) -> bool:
    stream = "text/event-stream" in heard.content_type.lower()
    return heard.success and stream and _names_endpoint(heard.fetched.body or b"")
