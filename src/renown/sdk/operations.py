"""Operations as the API tells of them, and waiting until they are in a block, or final."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec

from renown.sdk.client import Client
from renown.sdk.problems import ApiUnavailable

Until = Literal["included", "final"]

PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 5.0

_REACHED: dict[Until, frozenset[str]] = {
    "included": frozenset({"included", "final"}),
    "final": frozenset({"final"}),
}


class OperationTransaction(msgspec.Struct, frozen=True, kw_only=True):
    """One transaction of an operation. Hashes and addresses are hex.

    `unsigned` is what has to be signed, where that is known (`eth_sendTransaction`).
    """

    step: int
    function: str
    contract: str
    state: str = "prepared"
    summary: str = ""
    unsigned: dict[str, Any] | None = None
    tx_hash: str | None = None
    nonce: int | None = None
    block_number: int | None = None
    indexed: bool = False
    reason: str | None = None
    problem: str | None = None


class OperationAgent(msgspec.Struct, frozen=True, kw_only=True):
    """The agent it is about, once it is known."""

    key: str
    uuid: str | None = None


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One write. `id` is None for a plan that was only asked for.

    `next` is what it waits for: `sign`, `sign-typed-data`, `wait`, `resume`, or None.
    """

    kind: str
    mode: str
    chain_id: int
    sender: str
    state: str = "prepared"
    id: str | None = None
    agent: OperationAgent | None = None
    left: list[int] = []
    next: str | None = None
    typed_data: dict[str, Any] | None = None
    warnings: list[Any] = []
    transactions: list[OperationTransaction] = []

    @property
    def has_failed(self) -> bool:
        """Whether it stopped before all of it was in blocks."""
        return self.state in ("failed", "dropped") or any(
            one.state in ("failed", "dropped") for one in self.transactions
        )

    @property
    def is_waiting_for_fees(self) -> bool:
        """Whether nothing failed, but the next transaction could not be prepared when the last one
        was in a block: `resume` does it, or says why not."""
        return self.next == "resume" and not self.has_failed


def read_operation(body: dict[str, Any]) -> Operation:
    """An operation from the body of an answer. Raises ApiUnavailable for another shape."""
    try:
        return msgspec.convert(body, Operation)
    except (msgspec.ValidationError, RecursionError):
        raise ApiUnavailable("the answer is no operation: is that the API?") from None


async def wait(
    api: Client,
    operation_id: str,
    until: Until,
    *,
    changed: Callable[[Operation], None] | None = None,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> Operation:
    """The operation as soon as it is `until`, or stopped, or waits for somebody to sign.

    Args:
        changed: called with it whenever it is asked for.
    """
    pause_seconds = PAUSE_SECONDS
    while True:
        found = read_operation(await api.get(f"/v1/operations/{operation_id}"))
        if changed is not None:
            changed(found)
        if found.state in _REACHED[until] or found.next != "wait":
            return found
        await sleep(pause_seconds)
        pause_seconds = min(LONGEST_PAUSE_SECONDS, pause_seconds * 1.3)
