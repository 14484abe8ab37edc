"""One look at one endpoint, by the protocol it is declared for."""

from __future__ import annotations

import asyncio
import secrets

import msgspec
import structlog

from renown.ingest.prober.asking import Asker
from renown.ingest.prober.cards import look_at_card
from renown.ingest.prober.outage import Outage
from renown.ingest.prober.pages import look_at_page
from renown.ingest.prober.servers import look_at_server
from renown.ingest.prober.sighting import UNREACHED, Sighting
from renown.store.probes import Target

log = structlog.get_logger()

LOOK_SECONDS = 90.0
"""Longest that one look may take, all its questions together."""


class Looker:
    """Looks at endpoints; stores nothing."""

    def __init__(self, asker: Asker, *, look_seconds: float = LOOK_SECONDS) -> None:
        self._asker = asker
        self._look_seconds = look_seconds
        self._outage = Outage()

    async def look(self, target: Target) -> Sighting:
        """Ask one endpoint what it is asked by its protocol. Never raises for what it answers."""
        token = f"renown-control-{secrets.token_hex(8)}"  # nobody can have made such a path
        try:
            async with asyncio.timeout(self._look_seconds):
                sight = await self._ask(target, token)
        except TimeoutError:
            sight = Sighting(seen="dead", outcome="timeout", reason="slow")
        except Exception:  # one odd answer must not stop all others' turns
            log.exception("look_failed", protocol=target.protocol, host=target.host)
            sight = Sighting(seen="unknown", outcome="broken", reason="internal")
        return self._unless_it_is_us(target, sight)

    async def _ask(self, target: Target, token: str) -> Sighting:
        match target.protocol:
            case "mcp":
                return await look_at_server(self._asker, target.url, token, target.capabilities)
            case "a2a":
                return await look_at_card(self._asker, target.url, token)
            case "x402" | "web":
                return await look_at_page(self._asker, target.url, token)

    def _unless_it_is_us(self, target: Target, sight: Sighting) -> Sighting:
        if sight.status is not None:
            self._outage.answered()
        elif sight.outcome in (*UNREACHED, "timeout"):
            self._outage.silent(target.host, was_good=target.verdict in ("alive", "paywalled"))
            if self._outage.suspected:
                return msgspec.structs.replace(sight, seen="unknown", reason="outage-suspected")
        return sight
