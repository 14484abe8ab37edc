"""What came of asking a stranger for something. Never an exception: failure is an outcome."""

from __future__ import annotations

from typing import Literal, get_args

import msgspec

Outcome = Literal[
    "ok",  # a body, whole
    "not-modified",  # 304 to our validators
    "http-error",  # an answer with another status than 2xx; see `status`
    "refused",  # we did not ask: `reason` says which rule forbids it
    "dns-failed",  # the name does not resolve
    "connect-failed",  # nobody answers at the address
    "tls-failed",  # no trusted certificate for the name
    "timeout",  # not all there within the deadline
    "too-large",  # more bytes than allowed, before or after inflating
    "broken",  # the answer breaks HTTP, or was cut off
    "undecodable",  # inline: the URI's own coding is broken
    "unsupported",  # a scheme nobody can follow, or text that is no URI
    "wrong-content",  # bytes that are not those the content address names
]
OUTCOMES: tuple[str, ...] = get_args(Outcome)


class Fetched(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt.

    Attributes:
        reason: a stable code that refines the outcome (`private-address`, `too-many-redirects`,
            `gateway-404`); never text from outside.
        status: of the last answer, None where there was none.
        body: whole and inflated; None unless the outcome is "ok" or "http-error". Of an error page
            at most the first 64 KiB.
        headers: of the last answer, names in lower case, the first 64 of them, values cut.
        final_url: where redirects led, None if nowhere else.
        verified: whether the body is what a content address names; None where there is none, or
            where it cannot be told (a CID of several blocks).
        duration_ms: from the first look-up to the last byte.
        retry_after_seconds: what the host asked for with 429 or 503.
    """

    outcome: Outcome
    reason: str | None = None
    status: int | None = None
    body: bytes | None = None
    headers: dict[str, str] = {}
    final_url: str | None = None
    verified: bool | None = None
    duration_ms: int = 0
    retry_after_seconds: float | None = None

    @property
    def good(self) -> bool:
        """Whether there is a document: whole now, or the one of before."""
        return self.outcome in ("ok", "not-modified")
