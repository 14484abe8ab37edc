"""Reading what a content address names, from one gateway after the other.

`ipfs` verifies what can be verified. Of `ar` nothing can: a transaction id is no hash of the bytes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import quote, unquote

import msgspec

from renown.offchain.answer import Answer
from renown.offchain.cid import AS_THEY_ARE, LIBP2P_KEY, read_cid
from renown.offchain.exchange import Exchange, Request, Run
from renown.offchain.failed import Failed
from renown.offchain.found import Ask, Found, is_page
from renown.offchain.gateways import Gateways
from renown.offchain.ipfs import read_ipfs
from renown.offchain.limits import Limits
from renown.offchain.opened import Opened
from renown.offchain.target import Target

MOST_STEPS = 8
"""Of a path behind a CID."""

_NOT_MINED_YET = 202
"""An Arweave gateway's answer for a transaction that it knows of, but does not have."""
_TELLING = ("wrong-content", "too-large", "unsupported", "http-error", "broken", "timeout")
"""Which failure to tell when every gateway failed: the one that says most of the content."""


class Content:
    """Reads `ipfs://` and `ar://`. Each gateway gets the whole deadline of a fetch."""

    def __init__(self, exchange: Exchange, opened: Opened, *, ipfs: Gateways, ar: Gateways) -> None:
        self._exchange = exchange
        self._opened = opened
        self._ipfs = ipfs
        self._ar = ar

    async def ipfs(self, cid_text: str, path: str, limits: Limits) -> tuple[Found, float]:
        """The file at `path` behind a CID, and the seconds it took.

        Refused: `bad-path`. Unsupported: `bad-cid`, `ipns`, `folder` and `no-file` (what the CID
        names is none). `wrong-content`: no gateway gave the bytes that the CID names.
        """
        steps, cid = _steps(path), read_cid(cid_text)
        if steps is None:
            return Found(Failed("refused", "bad-path")), 0.0
        if cid is None:
            return Found(Failed("unsupported", "bad-cid")), 0.0
        if cid.codec == LIBP2P_KEY:
            return Found(Failed("unsupported", "ipns")), 0.0
        if not steps and cid.inline is not None and cid.codec in AS_THEY_ARE:
            return Found(Answer(200, {}, cid.inline), verified=True), 0.0
        return await self._first(self._ipfs, limits, partial(read_ipfs, cid_text, cid, steps))

    async def ar(self, transaction: str, path: str, limits: Limits) -> tuple[Found, float]:
        """The data of an Arweave transaction, or the file at `path` of its manifest."""
        steps = _steps(path)
        if steps is None:
            return Found(Failed("refused", "bad-path")), 0.0
        path = "/".join(["", quote(transaction, safe=""), *(quote(s, safe="") for s in steps)])
        return await self._first(self._ar, limits, partial(_read_ar, path))

    async def _first(
        self, gateways: Gateways, limits: Limits, read: Callable[[Ask], Awaitable[Found]]
    ) -> tuple[Found, float]:
        """What the first gateway gives that has it; one that proves it before one that cannot."""
        opened = self._opened.also(gateways.owns)
        unproven: Found | None = None
        failures: list[Found] = []
        seconds = 0.0
        for gateway in gateways.in_order():
            run = Run(limits.deadline_seconds)
            found = await read(partial(self._ask, gateway, limits, opened, run))
            seconds += run.seconds()
            gateways.judge(gateway, found.result)
            if found.final:
                return found, seconds
            if found.good:
                unproven = unproven or found
            else:
                failures.append(found)
        return unproven or _most_telling(failures), seconds

    async def _ask(
        self,
        gateway: Target,
        limits: Limits,
        opened: Opened,
        run: Run,
        path: str,
        *,
        accept: str = "*/*",
    ) -> Answer | Failed:
        target = msgspec.structs.replace(gateway, resource=path)
        request = Request("GET", {"Accept": accept})
        return (await self._exchange.ask(target, request, limits, opened, run)).result


async def _read_ar(path: str, ask: Ask) -> Found:
    result = await ask(path)
    if isinstance(result, Answer) and result.status == _NOT_MINED_YET:
        return Found(Failed("http-error", "not-mined"))
    found = Found(result)
    page = isinstance(result, Answer) and is_page(result)  # whatever another has comes before it
    return msgspec.structs.replace(found, final=found.good and not page)


def _steps(path: str) -> list[str] | None:
    """The names in a path, unescaped; None for one that could lead elsewhere, or too far."""
    steps = [unquote(step) for step in path.split("/") if step]
    if len(steps) > MOST_STEPS or any(
        step in (".", "..") or "/" in step or "\\" in step or "\0" in step for step in steps
    ):
        return None
    return steps


def _most_telling(failures: list[Found]) -> Found:
    if not failures:
        return Found(Failed("unsupported", "no-gateway"))

    def rank(found: Found) -> int:
        outcome = found.result.outcome if isinstance(found.result, Failed) else "http-error"
        return _TELLING.index(outcome) if outcome in _TELLING else len(_TELLING)

    return min(failures, key=rank)
