"""Head and body go out in one write, and nothing is held for longer than the loop's next round."""

from __future__ import annotations

import asyncio
from typing import Any

from renown.cli.joined_writes import _Joining


class Wrote:
    def __init__(self) -> None:
        self.said: list[bytes | str] = []

    def write(self, data: bytes) -> None:
        self.said.append(data)

    def close(self) -> None:
        self.said.append("closed")

    def is_closing(self) -> bool:
        return "closed" in self.said

    def get_extra_info(self, name: str) -> str:
        return name

    def pause_reading(self) -> str:
        return "paused"


def joining() -> tuple[Any, Wrote]:
    wrote = Wrote()
    return _Joining(wrote, asyncio.get_running_loop()), wrote  # type: ignore[arg-type]


async def test_write__head_and_body__are_one() -> None:
    transport, wrote = joining()
    for number in range(3):
        transport.write(b"head %d " % number)
        transport.write(b"body")
    await asyncio.sleep(0)

    assert wrote.said == [b"head 0 body", b"head 1 body", b"head 2 body"]


async def test_write__a_head_alone__goes_out_in_the_next_round() -> None:
    transport, wrote = joining()
    transport.write(b"head")
    assert wrote.said == []
    await asyncio.sleep(0)
    assert wrote.said == [b"head"]

    transport.write(b"a piece")
    await asyncio.sleep(0)
    assert wrote.said == [b"head", b"a piece"]


async def test_close__something_held__is_written_first() -> None:
    transport, wrote = joining()
    transport.write(b"head")
    transport.close()
    await asyncio.sleep(0)

    assert wrote.said == [b"head", "closed"]
    assert transport.is_closing()
    assert (transport.pause_reading(), transport.get_extra_info("x")) == ("paused", "x")
