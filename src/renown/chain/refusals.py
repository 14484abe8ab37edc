"""What a node's own errors become: refusals, and calls that the contract reverted."""

from __future__ import annotations

from typing import Any

from renown.errors import NodeRefused


class Refusal(NodeRefused):
    """A chain node answered with an error."""

    def __init__(
        self,
        detail: str,
        /,
        *,
        code: int | None = None,
        http_status: int = 200,
        retry_after_seconds: float | None = None,
        transient: bool = False,
        **context: Any,
    ) -> None:
        super().__init__(detail, **context)
        self.code = code
        self.http_status = http_status
        self.retry_after_seconds = retry_after_seconds
        self.transient = transient  # the transport failed, not the request


class CallReverted(NodeRefused):
    """A contract call was reverted."""

    retryable = False

    def __init__(self, detail: str, /, *, revert_data: bytes, **context: Any) -> None:
        super().__init__(detail, **context)
        self.revert_data = revert_data

    @property
    def selector(self) -> bytes:
        """First four bytes of the revert data; empty where the node gave none."""
        return self.revert_data[:4]
