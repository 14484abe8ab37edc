"""The outermost layer, below any framework: paths, HEAD, CORS, security headers of all answers."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_KEEP_OUT = b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
PAGE_POLICY = (
    b"default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    b" frame-ancestors 'none'; base-uri 'none'"
)
_EXPOSED = (
    b"Age, ETag, Renown-As-Of, Retry-After, Content-Range, Repr-Digest, Location, WWW-Authenticate,"
    b" RateLimit, RateLimit-Policy, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset,"
    b" Idempotent-Replayed, X-Request-Id"
)
_ALWAYS: list[tuple[bytes, bytes]] = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
    (b"vary", b"Accept-Encoding"),
]
_PREFLIGHT: list[tuple[bytes, bytes]] = [
    *_ALWAYS,
    (b"access-control-allow-methods", b"GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
    (
        b"access-control-allow-headers",
        b"Authorization, Content-Type, Idempotency-Key, If-None-Match",
    ),
    (b"access-control-max-age", b"86400"),
    (b"allow", b"GET, HEAD, POST, PATCH, DELETE, OPTIONS"),
    (b"content-length", b"0"),
]


LIMIT_HEADERS = "renown.limit_headers"
"""Where the gate leaves the headers that tell a client how much it has left."""
REQUEST_ID = b"x-request-id"
_HEAD = "renown.head"


def is_head(scope: Scope) -> bool:
    """Whether the client asked with HEAD: what it will not be sent need not be read."""
    return bool(scope.get(_HEAD))


class Wire:
    """ASGI middleware around the whole app.

    - A slash percent-encoded within a segment (`…%2F42` in an agent key) stays in its segment, as
      `#`, which every reader of keys takes for the same.
    - HEAD is GET without the body. OPTIONS is answered here: any page may ask, and nothing
      that a browser adds by itself (cookies) is ever taken for a credential.
    - Every answer to a limited request says how the client stands, whatever it answers; but for
      those that caches on the way may hand to others unasked (`max-age`), which say nothing of who
      asked first: neither how that one stands, nor the id of the request.
    - Every answer forbids sniffing, framing and scripts; pages get a policy of their own.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        method = scope["method"]
        if method == "OPTIONS":
            await send({"type": "http.response.start", "status": 204, "headers": _PREFLIGHT})
            await send({"type": "http.response.body", "body": b""})
            return
        scope["path"] = path_of(scope)
        inner = as_get(scope) if method == "HEAD" else scope
        try:
            await self._app(inner, receive, dressing(inner, send))
        finally:
            if inner is not scope and "route" in inner:
                scope["route"] = inner["route"]  # for those who count


def path_of(scope: Scope) -> str:
    """The path of a request, each segment of which holds what it was sent with."""
    raw_path = scope.get("raw_path") or b""
    path: str = _kept_together(raw_path) if b"%2" in raw_path else scope["path"]
    return path


def as_get(scope: Scope) -> Scope:
    """A HEAD as the GET whose answer it wants without the body."""
    return {**scope, "method": "GET", _HEAD: True}


def dressing(scope: Scope, send: Send) -> Send:
    """`send`, with what every answer says, and without the body for HEAD."""
    bare = is_head(scope)

    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            dress(scope, message["headers"])
        elif bare and message["type"] == "http.response.body":
            if message.get("more_body"):
                return
            message = {"type": "http.response.body", "body": b""}
        await send(message)

    return dressed


def dress(scope: Scope, headers: list[tuple[bytes, bytes]]) -> None:
    """Add the headers that every answer has, and see to it that what is kept for all says nothing
    of one."""
    policy, is_for_others = _KEEP_OUT, False
    for name, value in headers:
        if name == b"content-type":
            if value.startswith(b"text/html"):
                policy = PAGE_POLICY
        elif name == b"cache-control":
            is_for_others = b"max-age" in value and b"private" not in value
    limits = scope.get(LIMIT_HEADERS)
    if is_for_others:
        headers[:] = [header for header in headers if header[0] != REQUEST_ID]
    elif limits is not None:
        headers += limits
    headers += _ALWAYS
    headers.append((b"content-security-policy", policy))


def _kept_together(raw_path: bytes) -> str:
    segments = raw_path.split(b"?", 1)[0].decode("ascii", "replace").split("/")
    return "/".join(unquote(segment, errors="replace").replace("/", "#") for segment in segments)
