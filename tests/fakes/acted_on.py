"""A chain for an API that is asked anything: it takes what would pass and knows some payments."""

from __future__ import annotations

from typing import Any

from tests.fakes.payment_chain import PaymentChain
from tests.fakes.writing import FakeWriter


class AnyChain(FakeWriter):
    """`FakeWriter`, with `payments` for whoever asks about transactions. No address has code."""

    def __init__(self) -> None:
        super().__init__()
        self.payments = PaymentChain(first_time=1_700_000_000)

    async def code(self, address: bytes, **_: Any) -> bytes:
        return b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.payments, name)
