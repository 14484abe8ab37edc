"""One HTTP answer, read from the bytes of a connection as they come. Pure.

llhttp (by httptools) takes the bytes apart; every bound is ours and holds while they come in.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import httptools
import msgspec

from renown.offchain.body import Body, body_for
from renown.offchain.failed import Failed
from renown.offchain.limits import MOST_HEAD_BYTES, MOST_HEADERS, Limits

KEPT_HEADERS = 64
LONGEST_VALUE = 8_192
NOT_MODIFIED = 304
_WITHOUT_BODY = (204, NOT_MODIFIED)


class Answer(msgspec.Struct, frozen=True):
    """A whole answer.

    Attributes:
        headers: names in lower case, equal ones joined; the first 64, values cut. Without cookies.
        body: inflated; None where it was not read (redirects, HEAD, an error page in a coding we
            do not know). Of an error page at most `Limits.error_body_bytes`.
    """

    status: int
    headers: dict[str, str]
    body: bytes | None


class AnswerReader:
    """Makes an Answer of the bytes that follow one request.

    `feed` until it returns something, `end` when the connection closes before. `reusable` says
    afterwards whether another request may follow on the same connection.
    """

    def __init__(
        self, method: str, limits: Limits, enough: Callable[[bytes], bool] | None = None
    ) -> None:
        """`enough`, asked with what has come of a good body, may end the reading early."""
        self._method = method
        self._limits = limits
        self._enough = enough
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)
        self._result: Answer | Failed | None = None
        self._begun = False
        self._head_bytes = 0
        self._header_count = 0
        self._headers: dict[str, str] = {}
        self._status = 0
        self._in_body = False
        self._until_close = False
        self._body: Body | None = None
        self._wire_bytes = 0
        self.reusable = False

    def feed(self, data: bytes) -> Answer | Failed | None:
        """Take in what came; the outcome as soon as it is known."""
        parser = self._parser
        if parser is None:
            return self._result
        self._begun = True
        if self._in_body:
            self._wire_bytes += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):  # nobody asked for one
            self._fail("broken", "malformed")
            self.reusable = False
        self._check_bounds(len(data))
        if self._result is not None:
            self._parser = (
                None  # it knows us, we know it: without this, bodies wait for the collector
            )
        return self._result

    def end(self, *, cut: bool) -> Answer | Failed:
        """The connection closed; `cut`: not in an orderly way."""
        if self._result is None:
            if self._until_close and not cut:
                self._finish()
            elif self._begun:
                self._fail("broken", "truncated")
            else:
                self._result = Failed("broken", "no-answer", unheard=True)
        self.reusable = False
        assert self._result is not None
        return self._result

    # What the parser calls. Once there is a result, what follows is not looked at.

    def on_message_begin(self) -> None:
        if self._result is not None:
            self.reusable = False  # more than one answer to one request
        self._headers = {}

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._result is not None or self._in_body:  # trailers say nothing that we need
            return
        self._header_count += 1
        self._head_bytes += len(name) + len(value)
        if self._header_count > MOST_HEADERS or self._head_bytes > MOST_HEAD_BYTES:
            self._fail("too-large", "headers")
            return
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        before = self._headers.get(key)
        self._headers[key] = text if before is None else f"{before}, {text}"

    def on_headers_complete(self) -> None:
        if self._result is not None or self._parser is None:
            return
        status = self._parser.get_status_code()
        if status < 200:  # interim: the answer proper follows
            return
        self._status, self._in_body = status, True
        if self._method == "HEAD" or (300 <= status < 400 and status != NOT_MODIFIED):
            self._finish()  # a redirect's body may be as long as it likes: we do not read it
            self.reusable = self._headers.get("content-length") == "0" and self._keeps_alive()
            return
        self._begin_body()

    def on_body(self, data: bytes) -> None:
        if self._result is not None or self._body is None:
            return
        self._body.feed(data)
        if self._body.over and self._good:
            self._fail("too-large", "body")
        elif self._body.over:
            self._finish(early=True)

    def on_message_complete(self) -> None:
        if self._result is None and self._in_body:
            self._finish()
            self.reusable = self._keeps_alive()

    def _has_enough(self) -> bool:
        return bool(
            self._enough is not None
            and self._good
            and self._body is not None
            and self._enough(self._body.so_far())
        )

    def _check_bounds(self, size: int) -> None:
        if self._result is not None:
            return
        if not self._in_body:
            self._head_bytes += size
            if self._head_bytes > MOST_HEAD_BYTES:
                self._fail("too-large", "headers")
        elif self._wire_bytes > 4 * self._limits.body_bytes + MOST_HEAD_BYTES:
            self._fail("too-large", "framing")  # chunks of one byte, or trailers without end
        elif self._has_enough():
            self._finish(early=True)

    @property
    def _good(self) -> bool:
        return 200 <= self._status < 300

    def _keeps_alive(self) -> bool:
        return self._parser is not None and bool(self._parser.should_keep_alive())

    def _begin_body(self) -> None:
        headers = self._headers
        length, transfer = headers.get("content-length"), headers.get("transfer-encoding")
        if transfer is not None and transfer.lower() != "chunked":
            self._fail("broken", "transfer-coding")
        elif transfer is not None and length is not None:
            self._fail("broken", "two-lengths")
        else:
            self._until_close = (
                transfer is None and length is None and self._status not in _WITHOUT_BODY
            )
            most = self._limits.body_bytes if self._good else self._limits.error_body_bytes
            self._body = body_for(headers.get("content-encoding", ""), most)
            if self._good and self._body is None:
                self._fail("broken", "content-coding")
            elif self._good and length is not None and length.isdigit() and int(length) > most:
                self._fail("too-large", "body")

    def _finish(self, *, early: bool = False) -> None:
        body = None
        if self._body is not None:
            body = self._body.so_far() if early else self._body.whole()
            if body is None and self._good:
                self._fail("broken", "broken-coding")
                return
        kept = list(self._headers.items())[:KEPT_HEADERS]
        self._result = Answer(
            self._status,
            {
                name: text[:LONGEST_VALUE]
                for name, text in kept
                if not name.startswith("set-cookie")
            },
            body,
        )

    def _fail(self, outcome: Literal["broken", "too-large"], reason: str) -> None:
        if self._result is None:
            self._result = Failed(outcome, reason)
