"""JSON-RPC 2.0 over HTTP: questions made, answers read, plain or as server-sent events. Pure.

Every question carries an id that cannot be guessed, so that an answer which repeats it was made
for the question, and one that does not was there before.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec

_MOST_EVENTS = 256


class Reply(msgspec.Struct, frozen=True):
    """What an HTTP body says to one question.

    Attributes:
        kind: `result` and `error` answer it; `foreign` is a result that answers another id;
            `none` is no JSON-RPC response at all.
        value: of `result` and `foreign` the result, of `error` the error object.
    """

    kind: Literal["result", "error", "foreign", "none"]
    value: Any = None

    @property
    def error_code(self) -> int | None:
        """Of an error: its number."""
        code = self.value.get("code") if self.kind == "error" else None
        return code if isinstance(code, int) else None


NO_REPLY = Reply("none")


def question(request_id: str, method: str, params: Mapping[str, Any] | None = None) -> bytes:
    """The body of one request."""
    message: dict[str, Any] = {"jsonrpc": "2.0", "id": request_id, "method": method}
    if params is not None:
        message["params"] = params
    return msgspec.json.encode(message)


def notice(method: str) -> bytes:
    """The body of a notification, which is not answered."""
    return msgspec.json.encode({"jsonrpc": "2.0", "method": method})


def read_reply(body: bytes | None, content_type: str, request_id: str) -> Reply:
    """Find the response to `request_id` in a body of JSON, a batch, or a stream of events.

    An error counts without an id too: JSON-RPC has none where the question was not understood.
    Never raises.
    """
    if not body:
        return NO_REPLY
    stream = "text/event-stream" in content_type.lower() or body.lstrip()[:6] in _STREAM_STARTS
    found = NO_REPLY
    for text in _events(body) if stream else [body]:
        for message in _messages(text):
            reply = _read(message, request_id)
            if reply.kind in ("result", "error"):
                return reply
            if reply.kind == "foreign":
                found = reply
    return found


def answered(body: bytes, request_id: str) -> bool:
    """Whether the beginning of a stream of events holds the response already.

    Servers may leave a stream open after it; nothing that follows matters.
    """
    if not body.endswith((b"\n\n", b"\r\n\r\n")) or body.lstrip()[:1] in (b"{", b"["):
        return False
    return read_reply(body, "text/event-stream", request_id).kind in ("result", "error")


def event_names(body: bytes) -> list[str]:
    """The names of the events in a stream, in order."""
    lines = body[:4096].decode("utf-8", "replace").splitlines()
    return [line[6:].strip() for line in lines if line.startswith("event:")]


def read_json(body: bytes | None) -> Any:
    """The JSON value in `body`; None where there is none, or it is nested deeper than
    `MOST_DEPTH`. Never raises."""
    if not body or _may_be_deep(body):
        return None
    try:
        return msgspec.json.decode(body.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return None


MOST_DEPTH = 200
_ALL_BUT_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")


def _may_be_deep(body: bytes) -> bool:
    # The parser goes down by the interpreter's recursion limit, and whoever raises that limit
    # (some libraries do when imported) hands strangers a way to end the process.
    depth = 0
    for bracket in body.translate(None, _ALL_BUT_BRACKETS):
        depth += 1 if bracket in b"[{" else -1
        if depth > MOST_DEPTH:
            return True
    return False


_STREAM_STARTS = (b"event:", b"data: ", b"data:{", b"id: 0\n")
_END_OF_EVENT = re.compile(rb"\r\n\r\n|\n\n|\r\r")


def _events(body: bytes) -> Iterator[bytes]:
    """The data of each event (HTML standard, 9.2.6), of the first ones."""
    for event in _END_OF_EVENT.split(body, _MOST_EVENTS)[:_MOST_EVENTS]:
        data = [line[5:].removeprefix(b" ") for line in event.splitlines() if line[:5] == b"data:"]
        if data:
            yield b"\n".join(data)


def _messages(text: bytes) -> list[dict[str, Any]]:
    value = read_json(text)
    several = value if isinstance(value, list) else [value]
    return [one for one in several[:64] if isinstance(one, dict)]


def _read(message: dict[str, Any], request_id: str) -> Reply:
    if message.get("jsonrpc") != "2.0":
        return NO_REPLY
    error, same_id = message.get("error"), message.get("id") == request_id
    if isinstance(error, dict) and (same_id or message.get("id") is None):
        return Reply("error", error)
    if "result" in message:
        return Reply("result" if same_id else "foreign", message["result"])
    return NO_REPLY
