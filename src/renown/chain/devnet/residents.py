"""How the hosts of the devnet answer where they have no file: servers, proofs, moods. Pure.

A host's temper comes first: the dead are dead for their files too.
"""

from __future__ import annotations

import html
from typing import Any

from renown.chain.devnet.asked import NOT_ALLOWED, NOT_FOUND, Asked, Reply, json_reply
from renown.chain.devnet.files import HTML, WELL_KNOWN, helper_host
from renown.chain.devnet.mcp_server import answer_mcp, served_tools
from renown.chain.devnet.personas import Persona
from renown.chain.devnet.registrations import A2A_VERSION, claim, registration
from renown.chain.devnet.x402_wall import challenge

CARD_PATHS = ("/.well-known/agent-card.json", "/.well-known/agent.json")

FICKLE_SECONDS = 600
"""How long a fickle host is up, and then down."""


def mood(agent: Persona, asked: Asked) -> Reply | None:
    """What the host answers to everything just now; None: it works."""
    match agent.temper:
        case "gone":
            return NOT_FOUND
        case "failing":
            return json_reply({"error": "out of order"}, 503, Retry_After="120")
        case "fickle" if int(asked.at_seconds) // FICKLE_SECONDS % 2:
            return json_reply({"error": "bad gateway"}, 502)
    return None


def answer(agent: Persona, edition: int, asked: Asked) -> Reply:
    """What the agent's servers answer, where its host has no such file."""
    match agent.temper:
        case "hollow":
            return _page(agent)
        case "parrot":
            return json_reply({"jsonrpc": "2.0", "id": 1, "result": {"ok": True}})
        case "tollgate":
            return challenge(agent, f"https://{agent.host}{asked.path}")
    if asked.path == "/mcp" and "MCP" in agent.services:
        return answer_mcp(agent, edition, asked)
    if asked.path == "/a2a" and "A2A" in agent.services and asked.method == "POST":
        error = {"code": -32601, "message": "Method not found"}
        return json_reply({"jsonrpc": "2.0", "id": None, "error": error})
    if asked.method not in ("GET", "HEAD"):
        return NOT_ALLOWED
    if asked.path in CARD_PATHS and "A2A" in agent.services:
        return json_reply(agent_card(agent, edition))
    if asked.path == "/pay" and "x402" in agent.services:
        return challenge(agent, f"https://{agent.host}/pay")
    if asked.path == "/" and "web" in agent.services:
        return _page(agent)
    if asked.path == WELL_KNOWN:
        return _well_known(agent, edition)
    return NOT_FOUND


def agent_card(agent: Persona, edition: int) -> dict[str, Any]:
    """An A2A agent card, version 0.3."""
    return {
        "protocolVersion": A2A_VERSION,
        "name": agent.name if agent.honest else f"{agent.name} Classic",
        "description": agent.saying or f"{agent.name} {agent.trade.deeds[0]}.",
        "url": f"https://{agent.host}/a2a",
        "preferredTransport": "JSONRPC",
        "version": f"1.{edition}.0",
        "capabilities": {"streaming": agent.streams},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain", "application/json"],
        "skills": [
            {"id": name, "name": name, "description": told, "tags": list(agent.trade.tags)}
            for name, told in served_tools(agent, edition).items()
        ],
    }


def _well_known(agent: Persona, edition: int) -> Reply:
    match agent.domain_proof:
        case "confirms":
            return json_reply({"registrations": [claim(agent.agent_id)]})
        case "confirms fully":
            return json_reply(registration(agent, edition))
        case "contradicts":
            return json_reply({"registrations": [claim(agent.agent_id + 1)]})
        case "redirects":
            return json_reply({}, 302, Location=f"https://{helper_host(agent)}{WELL_KNOWN}")
    return NOT_FOUND


def _page(agent: Persona) -> Reply:
    name, deed = html.escape(agent.name), html.escape(agent.trade.deeds[0])
    page = f"<!doctype html><title>{name}</title><h1>{name}</h1><p>{name} {deed}.</p>"
    return Reply(body=page.encode(), content_type=HTML)
