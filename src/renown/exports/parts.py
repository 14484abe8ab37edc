"""One part of a table into one file: read, made into columns and written, the three at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import BinaryIO, cast

import msgspec

from renown.exports import batches, formats, past
from renown.exports.folder import Folder
from renown.exports.past import Past
from renown.store import exporting
from renown.store.exported import ExportFile, Format
from renown.store.exporting import Pin, Place
from renown.store.exporting_tables import AGENTS, Table
from renown.store.pool import Conn, Tx, transaction

SLICE_AGENTS = 10_000
"""Agents read by one statement; those of them that changed since are folded back before it."""


class Stretch(msgspec.Struct, frozen=True):
    """The rows of a table from one key to another, both included."""

    table: Table
    place: Place
    pin: Pin | None
    first: int
    last: int


async def write_part(
    conn: Conn,
    folder: Folder,
    name: str,
    form: Format,
    of: Stretch,
    about: dict[str, str],
) -> ExportFile:
    """Write the rows of a stretch, in one snapshot, to the file `name`.

    Memory is bounded by the cuts and row groups, whatever the part's size. `about` is for the file.

    Raises:
        ExportConflict: the chain has no longer the block of the stretch's pin.
        OutputFailed, StoreError.
    """
    table, place = of.table, of.place
    with folder.file(name) as output:
        writer = formats.writer_for(form, table, cast(BinaryIO, output), about)
        rows = 0

        def write(was: Past, lines: bytes) -> None:
            nonlocal rows
            columns = batches.decode(table, lines)
            made = batches.table(table, past.put_back(columns, was))
            rows += made.num_rows
            writer.write(made)

        # Left only once the thread is idle, so nobody writes to a file that is being discarded.
        with ThreadPoolExecutor(1) as thread:
            ahead = _Ahead(thread)
            async with transaction(conn, "repeatable_read") as tx:
                await exporting.prepare(tx, of.pin)
                async for slice_, was in _slices(tx, of):
                    await _copy(tx, slice_, ahead, partial(write, was))
            await ahead.settle()
            await ahead.run(writer.close)
            await ahead.settle()
    return ExportFile(
        name=name,
        chain_id=place.chain_id,
        rows=rows,
        bytes=output.size_bytes,
        sha256=output.sha256,
    )


async def _copy(tx: Tx, of: Stretch, ahead: _Ahead, write: Callable[[bytes], None]) -> None:
    lines = batches.Lines()

    async def hand_on(cuts: Iterator[bytes]) -> None:
        for cut in cuts:
            await ahead.run(partial(write, cut))

    async def sink(piece: bytes) -> None:
        await hand_on(lines.feed(piece))

    await exporting.copy(tx, of.table, of.place, of.first, of.last, sink)
    await hand_on(lines.rest())


async def _slices(tx: Tx, of: Stretch) -> AsyncIterator[tuple[Stretch, Past]]:
    """What one statement reads at a time, and who of it is to be put back."""
    if of.table is not AGENTS or of.place.chain_id is None:
        yield of, Past()
        return
    chain_id, block, first = of.place.chain_id, of.place.block_number, of.first
    while first <= of.last:
        end = await exporting.last_of_part(
            tx, of.table, of.place, first, rows=SLICE_AGENTS, size_bytes=0
        )
        end = min(end, of.last)
        touched = await exporting.touched_since(tx, chain_id, block, first, end)
        was = await past.as_they_were(tx, chain_id, touched, block)
        yield msgspec.structs.replace(of, first=first, last=end), was
        first = end + 1


class _Ahead:
    """Work in a thread, in order, one piece at a time while the next is being read."""

    def __init__(self, thread: ThreadPoolExecutor) -> None:
        self._thread = thread
        self._running: asyncio.Future[None] | None = None

    async def run(self, work: Callable[[], None]) -> None:
        """Begin `work` once the work of before is done. Raises what that raised."""
        await self.settle()
        self._running = asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def settle(self) -> None:
        """Wait for the work that runs. Raises what it raised."""
        running, self._running = self._running, None
        if running is not None:
            await running
