"""An MCP server of the devnet: streamable HTTP, `initialize` and `tools/list`. Pure.

It keeps nothing: a session's id follows from the host. Calling a tool is refused.

Source: Model Context Protocol 2025-06-18, "Transports" and "Lifecycle".
"""

from __future__ import annotations

from typing import Any

import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet.asked import NOT_ALLOWED, Asked, Reply, json_reply
from renown.chain.devnet.personas import Persona
from renown.chain.devnet.registrations import MCP_VERSION, to_bytes, tools_of
from renown.chain.devnet.trades import TRADES

TOOLS_A_PAGE = 2

_VERSIONS = ("2025-11-25", MCP_VERSION, "2025-03-26")


def answer_mcp(agent: Persona, edition: int, asked: Asked) -> Reply:
    """What the agent's server says to a message."""
    if asked.method != "POST":
        return NOT_ALLOWED
    try:
        message = msgspec.json.decode(asked.body)
    except (msgspec.DecodeError, RecursionError):
        return _error(None, -32700, "Parse error", 400)
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        return _error(None, -32600, "Invalid Request", 400)
    method, number = message.get("method"), message.get("id")
    session = keccak(agent.host.encode()).hex()[:32]
    if method == "initialize":
        return _said(agent, asked, number, _initialized(agent, edition, message), session)
    if asked.headers.get("mcp-session-id") != session:
        return _error(number, -32000, "No such session", 404)
    if number is None:
        return Reply(status=202)
    if method == "tools/list":
        return _said(agent, asked, number, _tools(agent, edition, message))
    if method == "ping":
        return _said(agent, asked, number, {})
    return _error(number, -32601, "Method not found")


def served_tools(agent: Persona, edition: int) -> dict[str, str]:
    """Tools it has, with what they do: those of its file, if it is honest."""
    if agent.honest:
        return {name: agent.trade.tools[name] for name in tools_of(agent, edition)}
    return dict(TRADES[(TRADES.index(agent.trade) + 1) % len(TRADES)].tools)


def _initialized(agent: Persona, edition: int, message: dict[str, Any]) -> dict[str, Any]:
    wanted = _params(message).get("protocolVersion")
    return {
        "protocolVersion": wanted if wanted in _VERSIONS else MCP_VERSION,
        "capabilities": {"tools": {"listChanged": False}},
        "serverInfo": {"name": agent.name, "version": f"1.{edition}.0"},
        "instructions": agent.trade.deeds[0],
    }


def _tools(agent: Persona, edition: int, message: dict[str, Any]) -> dict[str, Any]:
    tools = list(served_tools(agent, edition).items())
    cursor = _params(message).get("cursor", "0")
    start = int(cursor) if isinstance(cursor, str) and cursor.isdecimal() else 0
    page = tools[start : start + TOOLS_A_PAGE]
    listed: dict[str, Any] = {
        "tools": [
            {"name": name, "description": told, "inputSchema": {"type": "object"}}
            for name, told in page
        ]
    }
    if start + TOOLS_A_PAGE < len(tools):
        listed["nextCursor"] = str(start + TOOLS_A_PAGE)
    return listed


def _params(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params")
    return params if isinstance(params, dict) else {}


def _said(
    agent: Persona, asked: Asked, number: object, result: object, session: str | None = None
) -> Reply:
    """As JSON, or as the one event of a stream where the agent streams and the client can read."""
    said = to_bytes({"jsonrpc": "2.0", "id": number, "result": result})
    headers = {"mcp-session-id": session} if session else {}
    if agent.streams and "text/event-stream" in asked.headers.get("accept", ""):
        event = b"event: message\ndata: " + said + b"\n\n"
        return Reply(body=event, content_type="text/event-stream", headers=headers)
    return Reply(body=said, headers=headers)


def _error(number: object, code: int, message: str, status: int = 200) -> Reply:
    said = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": message}}
    return json_reply(said, status)
