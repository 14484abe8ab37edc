"""The Model Context Protocol over HTTP: who a server is and which tools it lists. Pure.

Two eras are spoken. Up to 2025-11-25 a session is opened with `initialize` and
`notifications/initialized`. From 2026-07-28 on there is no session: every request says its version
in `_meta` and in headers, and `server/discover` says who answers.

Source: specification 2025-11-25, "Lifecycle" and "Transports"; 2026-07-28, "Versioning and
Compatibility", "Streamable HTTP" and "Tools".
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from renown.spec.protocols.capabilities import text
from renown.spec.protocols.rpc import Reply, notice, question

SESSION_VERSION = "2025-11-25"
"""Newest revision that opens a session."""
STATELESS_VERSION = "2026-07-28"
"""First revision without one. Revisions are dates, and sort as text."""

_REVISION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_META = "io.modelcontextprotocol/"
_UNSUPPORTED_VERSION = -32022
_MODERN_ERRORS = (-32020, -32021, _UNSUPPORTED_VERSION)


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """Who answered. Texts are cleaned; `versions` are those it says it speaks."""

    versions: tuple[str, ...]
    server: str | None = None
    version: str | None = None
    lists_tools: bool = True

    @property
    def version_to_speak(self) -> str:
        """What goes into our headers, within a session: the revision agreed on, if it is one."""
        agreed = self.versions[0]
        return agreed if _REVISION.fullmatch(agreed) else SESSION_VERSION


class ToolsPage(msgspec.Struct, frozen=True):
    """One page of `tools/list`: names as served, and where the next page begins."""

    names: tuple[str, ...]
    next_cursor: str | None = None


def headers(*, version: str | None, session: str | None = None, method: str = "") -> dict[str, str]:
    """Headers of a POST. `version` is None before one has been agreed on.

    Args:
        session: what the server gave in `Mcp-Session-Id`.
        method: of the body; sent in the stateless era only.
    """
    found = {
        "Accept": "application/json, text/event-stream",
        "Content-Type": "application/json",
    }
    if version is not None:
        found["MCP-Protocol-Version"] = version
    if session is not None:
        found["Mcp-Session-Id"] = session
    if method and version is not None and version >= STATELESS_VERSION:
        found["Mcp-Method"] = method
    return found


def initialize(request_id: str, *, client_version: str) -> bytes:
    """Open a session."""
    params = {
        "protocolVersion": SESSION_VERSION,
        "capabilities": {},
        "clientInfo": {"name": "renown", "version": client_version},
    }
    return question(request_id, "initialize", params)


def initialized() -> bytes:
    """Say that the session may begin."""
    return notice("notifications/initialized")


def discover(request_id: str, *, client_version: str) -> bytes:
    """Ask a stateless server who it is."""
    return stateless(request_id, "server/discover", client_version=client_version)


def list_tools(request_id: str, cursor: str | None, *, client_version: str | None) -> bytes:
    """Ask for one page of tools; within a session `client_version` is None."""
    params = {} if cursor is None else {"cursor": cursor}
    if client_version is None:
        return question(request_id, "tools/list", params)
    return stateless(request_id, "tools/list", params, client_version=client_version)


def stateless(
    request_id: str, method: str, params: dict[str, Any] | None = None, *, client_version: str
) -> bytes:
    """Any request of the stateless era."""
    meta = {
        f"{_META}protocolVersion": STATELESS_VERSION,
        f"{_META}clientInfo": {"name": "renown", "version": client_version},
        f"{_META}clientCapabilities": {},
    }
    return question(request_id, method, {**(params or {}), "_meta": meta})


def read_greeting(reply: Reply) -> Greeting | None:
    """Read the result of `initialize` or `server/discover`; None where it is neither's."""
    result = reply.value if reply.kind in ("result", "foreign") else None
    if not isinstance(result, dict):
        return None
    said = result.get("supportedVersions")
    versions = said if isinstance(said, list) else [result.get("protocolVersion")]
    clean = tuple(v for one in versions[:16] if (v := text(one, longest=40)) is not None)
    info, offers = result.get("serverInfo"), result.get("capabilities")
    if not clean or not isinstance(offers, dict):
        return None
    meta = result.get("_meta")
    if not isinstance(info, dict) and isinstance(meta, dict):
        info = meta.get(f"{_META}serverInfo")
    if not isinstance(info, dict):
        info = {}
    return Greeting(
        versions=clean,
        server=text(info.get("name")),
        version=text(info.get("version"), longest=40),
        lists_tools="tools" in offers,
    )


def read_refusal(reply: Reply) -> tuple[str, ...] | None:
    """The versions a stateless server offers instead; None where this is no error of such a one."""
    if reply.error_code not in _MODERN_ERRORS:
        return None
    data = reply.value.get("data")
    offered = data.get("supported") if isinstance(data, dict) else None
    several = offered[:16] if isinstance(offered, list) else []
    return tuple(v for one in several if (v := text(one, longest=40)) is not None)


def read_tools(reply: Reply) -> ToolsPage | None:
    """Read the result of `tools/list`; None where it is none."""
    result = reply.value if reply.kind == "result" else None
    tools = result.get("tools") if isinstance(result, dict) else None
    if not isinstance(result, dict) or not isinstance(tools, list):
        return None
    names = (tool.get("name") for tool in tools if isinstance(tool, dict))
    cursor = result.get("nextCursor")
    return ToolsPage(
        tuple(name for name in names if isinstance(name, str)),
        cursor if isinstance(cursor, str) and 0 < len(cursor) <= 4096 else None,
    )


def read_session(value: str | None) -> str | None:
    """The session id of a header, if it is one that may be sent back: visible ASCII, bounded."""
    if value is None or not 0 < len(value) <= 512:
        return None
    return value if all("!" <= c <= "~" for c in value) else None
