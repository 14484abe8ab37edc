"""The watcher: signs, sends and watches operations, as many processes of it as one likes."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import structlog

from renown.chain.tx.signer import Signer
from renown.errors import NodeError, RenownError, StoreError
from renown.ingest.operations import measured
from renown.ingest.operations.attending import Attending, Desk
from renown.ingest.operations.looking import Sights, look
from renown.ingest.operations.seen_chain import Chain
from renown.store import operation_claims as claims
from renown.store.changes import OPERATION_CHANNEL
from renown.store.operation_claims import ClaimLost
from renown.store.operations import OperationRow
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

CLAIM_SECONDS = 30.0
"""By then a watcher has let go of what it claimed or claims it anew; if it died, others go on."""
LET_GO_SECONDS = 2.0
BATCH = 20
WORKERS = 4
LONGEST_IDLE_SECONDS = 5.0
BACKLOG_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0


class Watcher:
    """Looks after all operations of the chains it can write to.

    Restartable, and killable, at any point: what it does is in the database before anybody else
    sees it. Several share the work, by claims that expire. Uses a connection per worker and one to
    listen.

    Args:
        connect: opens a direct connection to the database.
        writers: the chains, by id.
        signer: signs managed operations; None: they wait for a watcher that has one.
        max_fee_wei: most that is offered per unit of gas when the server signs.
        workers: batches that are looked at beside each other.
        claim_seconds: after which the operations of a watcher that died are taken over.
        point: called where a death would matter, with the name of the place; for tests.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        writers: Mapping[int, Chain],
        signer: Signer | None = None,
        *,
        max_fee_wei: int | None = None,
        workers: int = WORKERS,
        claim_seconds: float = CLAIM_SECONDS,
        point: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._writers = writers
        self._workers = workers
        self._claim_seconds = claim_seconds
        self._turns: dict[tuple[int, bytes], asyncio.Lock] = {}
        self._blind: dict[int, int] = {}
        self._news = asyncio.Event()
        self.me = uuid.uuid4()
        self._desk = Desk(self.me, signer, max_fee_wei, self._turn, point)

    async def run(self) -> None:
        """Watch, for ever; a database or a chain that is away is waited for.

        Raises:
            RenownError: what trying again cannot mend.
        """
        pause = FIRST_PAUSE_SECONDS
        clock = asyncio.get_running_loop().time
        try:
            while True:
                began = clock()
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._listen())
                        for _ in range(self._workers):
                            group.create_task(self._work())
                except ExceptionGroup as failed:  # one odd answer must not end what runs beside
                    _raise_lasting(failed)
                if clock() - began > LONGEST_PAUSE_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)
        finally:
            await self._let_go()

    async def run_once(self) -> int:
        """Look once at everything that is due now. Returns at how many operations.

        Raises:
            StoreError
        """
        conn = await self._connect()
        try:
            count = 0
            while found := await self._round(conn):
                count += found
            return count
        finally:
            conn.terminate()

    async def _let_go(self) -> None:
        """Leave what is claimed to others at once, if there is time for that."""
        with suppress(Exception):
            async with asyncio.timeout(LET_GO_SECONDS):
                conn = await self._connect()
                try:
                    await claims.release_all(conn, self.me)
                finally:
                    conn.terminate()

    # Waiting ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hear of operations that are due now, and count what there is."""
        conn = await self._connect()
        lost = asyncio.Event()
        try:
            conn.add_termination_listener(lambda _: lost.set())
            with naming_failures():
                await conn.add_listener(OPERATION_CHANNEL, lambda *_: self._news.set())
            while not lost.is_set():
                with naming_failures():
                    counted = await claims.backlog(conn)
                slugs = {w.chain_id: w.deployment.slug for w in self._writers.values()}
                measured.waiting(
                    {slug: counted.watched.get(chain, 0) for chain, slug in slugs.items()},
                    counted.oldest_due_seconds,
                )
                with suppress(TimeoutError):
                    async with asyncio.timeout(BACKLOG_SECONDS):
                        await lost.wait()
            raise StoreError("the connection that listens for operations broke")
        finally:
            conn.terminate()

    async def _work(self) -> None:
        conn = await self._connect()
        try:
            while True:
                self._news.clear()
                with naming_failures():
                    found = await self._round(conn)
                    wait = await claims.next_due_seconds(conn, list(self._writers))
                if found:
                    continue
                idle = LONGEST_IDLE_SECONDS if wait is None else min(wait, LONGEST_IDLE_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.02, idle)):
                        await self._news.wait()
        finally:
            conn.terminate()

    # Looking ------------------------------------------------------------------------------------

    async def _round(self, conn: Conn) -> int:
        """Claim some operations, and look after them."""
        claimed = await claims.claim(
            conn, self.me, BATCH, self._claim_seconds, chains=list(self._writers)
        )
        self._desk.point("claimed")
        by_chain: dict[int, list[OperationRow]] = {}
        for operation in claimed:
            by_chain.setdefault(operation.chain_id, []).append(operation)
        for chain_id, some in by_chain.items():
            await self._look_after(conn, self._writers[chain_id], some)
        return len(claimed)

    async def _look_after(self, conn: Conn, chain: Chain, some: list[OperationRow]) -> None:
        try:
            sights = await look(conn, chain, some)
        except NodeError as exc:
            self._cannot_see(chain, exc)
            for operation in some:
                await claims.release(conn, operation.operation_id, self.me, self._pause(chain))
            return
        self._desk.point("looked")
        attending = Attending(self._desk, conn, chain)
        ids = [operation.operation_id for operation in some]
        clock = asyncio.get_running_loop().time
        renewed = clock()
        for number, operation in enumerate(some):
            if clock() - renewed > self._claim_seconds / 4:
                await claims.renew(conn, ids[number:], self.me, self._claim_seconds)
                renewed = clock()
            due = await self._attend(conn, chain, attending, operation, sights)
            await claims.release(conn, operation.operation_id, self.me, due)
            self._desk.point("released")

    async def _attend(
        self,
        conn: Conn,
        chain: Chain,
        attending: Attending,
        operation: OperationRow,
        sights: Sights,
    ) -> float | None:
        try:
            # Well before the claim ends: two watchers at one operation would only wait in turn.
            async with asyncio.timeout(self._claim_seconds / 2):
                due = await attending.attend(operation, sights)
            self._blind.pop(chain.chain_id, None)
            return due
        except ClaimLost:
            log.info("operation_taken_over", operation=str(operation.operation_id))
            return None  # it is not ours to release
        except (NodeError, TimeoutError) as exc:
            self._cannot_see(chain, exc)
            return self._pause(chain)
        except StoreError:
            raise
        except Exception as exc:
            log.error("operation_not_attended", operation=str(operation.operation_id), exc_info=exc)
            return LONGEST_PAUSE_SECONDS

    def _cannot_see(self, chain: Chain, exc: Exception) -> None:
        failures = self._blind[chain.chain_id] = self._blind.get(chain.chain_id, 0) + 1
        measured.unseen(chain.deployment.slug)
        if failures & (failures - 1) == 0:  # ever more rarely
            log.warning(
                "chain_unseen",
                chain=chain.deployment.slug,
                failures=failures,
                error=type(exc).__name__,
                reason=getattr(exc, "detail", ""),
            )

    def _pause(self, chain: Chain) -> float:
        failures = self._blind.get(chain.chain_id, 1)
        seconds = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 10))
        return seconds * random.uniform(0.8, 1.2)

    def _turn(self, chain_id: int, sender: bytes) -> asyncio.Lock:
        return self._turns.setdefault((chain_id, sender), asyncio.Lock())


def _raise_lasting(failed: ExceptionGroup[Exception]) -> None:
    """Raise what trying again cannot mend; write down the rest."""
    for exc in failed.exceptions:
        if isinstance(exc, RenownError) and not exc.retryable:
            raise exc from None
    first = failed.exceptions[0]
    if isinstance(first, RenownError):
        log.warning("watcher_interrupted", error=type(first).__name__, reason=first.detail)
    else:
        log.error("watcher_interrupted", error=type(first).__name__, exc_info=first)
