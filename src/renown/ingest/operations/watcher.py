"""The watcher: signs, sends and watches operations, as many processes of it as one likes."""

from __future__ import annotations

import asyncio
import random
import uuid
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from uuid import UUID

import msgspec
import structlog

from renown.chain.tx.signer import Signer
from renown.errors import NodeError, RenownError, StoreError
from renown.ingest.operations import measured
from renown.ingest.operations.attending import Attending, Desk
from renown.ingest.operations.looking import Sights, look
from renown.ingest.operations.seen_chain import Chain
from renown.ingest.operations.signing import Rules
from renown.spec.allowance import Allowance
from renown.store import operation_claims as claims
from renown.store.changes import OPERATION_CHANNEL
from renown.store.operation_claims import ClaimLost, Reach
from renown.store.operations import OperationRow
from renown.store.pool import Conn, naming_failures

log = structlog.get_logger()

CLAIM_SECONDS = 30.0
"""By then a watcher has let go of what it claimed or claims it anew; if it died, others go on."""
LET_GO_SECONDS = 2.0
BATCH = 20
WORKERS = 3
LONGEST_IDLE_SECONDS = 5.0
UNSIGNED_SECONDS = 5.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0
PAUSE_OF_ONE_SECONDS = 5.0
"""Of one operation that could not be looked at, though its chain can be seen."""
LEFT_SECONDS = 60.0
"""After which somebody says of an operation that nobody who signs for it has come."""


class Blind(msgspec.Struct, frozen=True):
    """A chain that could not be seen so many times on end, and until when it is left alone, by the
    loop's clock."""

    failures: int
    until: float


class Watcher:
    """Looks after all operations of the chains it can write to.

    Restartable, and killable, at any point: what it does is in the database before anybody else
    sees it. Several share the work, by claims that expire. Uses a connection per worker and one to
    listen: four by default.

    Args:
        connect: opens a direct connection to the database.
        writers: the chains, by id.
        signer: signs managed operations; None: they wait for a watcher that has one.
        max_fee_wei: most that is offered per unit of gas when the server signs.
        allowance: how much the signer does for an account.
        signer_is_open: it acts for every account, as every wallet of it, and without a daily bound.
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
        allowance: Allowance | None = None,
        signer_is_open: bool = False,
        workers: int = WORKERS,
        claim_seconds: float = CLAIM_SECONDS,
        point: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connect = connect
        self._writers = writers
        self._workers = workers
        self._claim_seconds = claim_seconds
        self._turns: dict[tuple[int, bytes], asyncio.Lock] = {}
        self._blind: dict[int, Blind] = {}
        self._trying = False
        self._claims: set[UUID] = set()
        self._news = asyncio.Event()
        rules = Rules(allowance or Allowance(), signer_is_open)
        sign_seconds = claim_seconds / 6  # well within one look at one operation
        self._desk = Desk(signer, sign_seconds, rules, max_fee_wei, self._turn, point)

    async def run(self) -> None:
        """Watch, for ever; a database or a chain that is away is waited for.

        Raises:
            RenownError: what trying again cannot mend.
        """
        pause = FIRST_PAUSE_SECONDS
        try:
            while True:
                began = _now()
                try:
                    async with asyncio.TaskGroup() as group:
                        group.create_task(self._listen())
                        for _ in range(self._workers):
                            group.create_task(self._work())
                except ExceptionGroup as failed:  # one odd answer must not end what runs beside
                    _raise_lasting(failed)
                    # All workers have ended: what they held is nobody's, and need not run out.
                    await self._let_go()
                if _now() - began > LONGEST_PAUSE_SECONDS:
                    pause = FIRST_PAUSE_SECONDS
                await asyncio.sleep(pause * random.uniform(0.8, 1.2))
                pause = min(LONGEST_PAUSE_SECONDS, 2 * pause)
        finally:
            await self._let_go()

    async def run_once(self) -> int:
        """Look once at everything that is due now, also on chains that could not be seen before.
        Returns at how many operations.

        Raises:
            StoreError
        """
        conn = await self._connect()
        try:
            self._blind.clear()
            await claims.note_unsigned(conn, self._reach(self._writers), LEFT_SECONDS)
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
                    await claims.release_all(conn, list(self._claims))
                    self._claims.clear()
                finally:
                    conn.terminate()

    # Waiting ------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        """Hear of operations that are due now, and say of those that nobody signs why they wait."""
        conn = await self._connect()
        lost = asyncio.Event()
        try:
            conn.add_termination_listener(lambda _: lost.set())
            with naming_failures():
                await conn.add_listener(OPERATION_CHANNEL, lambda *_: self._news.set())
            while not lost.is_set():
                with naming_failures():
                    await claims.note_unsigned(conn, self._reach(self._writers), LEFT_SECONDS)
                with suppress(TimeoutError):
                    async with asyncio.timeout(UNSIGNED_SECONDS):
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
                if found:
                    continue
                with naming_failures():
                    wait = await claims.next_due_seconds(conn, self._reach(self._seen()))
                idle = LONGEST_IDLE_SECONDS if wait is None else min(wait, LONGEST_IDLE_SECONDS)
                if not self._trying:
                    idle = min([idle, *(blind.until - _now() for blind in self._blind.values())])
                with suppress(TimeoutError):
                    async with asyncio.timeout(max(0.02, idle)):
                        await self._news.wait()
        finally:
            conn.terminate()

    # Looking ------------------------------------------------------------------------------------

    async def _round(self, conn: Conn) -> int:
        """Claim some operations of one chain, and look after them."""
        return await self._try_blind(conn) or await self._batch(conn, self._seen())

    async def _try_blind(self, conn: Conn) -> int:
        """Look whether a chain can be seen again. One worker at a time does, so that however many
        chains are away the others look after the rest."""
        due = [chain_id for chain_id, blind in self._blind.items() if blind.until <= _now()]
        if self._trying or not due:
            return 0
        self._trying = True
        try:
            found = await self._batch(conn, due[:1])
            if not found:  # nobody waits for it
                self._blind.pop(due[0], None)
            return found
        finally:
            self._trying = False

    async def _batch(self, conn: Conn, chains: Collection[int]) -> int:
        if not chains:
            return 0
        claim_id = uuid.uuid4()
        self._claims.add(claim_id)
        some = await claims.claim(
            conn, claim_id, BATCH, self._claim_seconds, reach=self._reach(chains)
        )
        self._desk.point("claimed")
        if some:
            await self._look_after(conn, self._writers[some[0].chain_id], some, claim_id)
        self._claims.discard(claim_id)  # kept after a failure: it may hold some still
        return len(some)

    async def _look_after(
        self, conn: Conn, chain: Chain, some: list[OperationRow], claim_id: UUID
    ) -> None:
        try:
            async with asyncio.timeout(self._claim_seconds / 2):
                sights = await look(conn, chain, some)
        except (NodeError, TimeoutError) as exc:
            self._cannot_see(chain, exc)
            await self._put_off(conn, chain, some, claim_id)
            return
        self._desk.point("looked")
        self._blind.pop(chain.chain_id, None)
        attending = Attending(self._desk, conn, chain, claim_id)
        renewed, wasted_seconds = -self._claim_seconds, 0.0
        for number, operation in enumerate(some):
            began = _now()
            if began - renewed > self._claim_seconds / 4:
                left = [one.operation_id for one in some[number:]]
                await claims.renew(conn, left, claim_id, self._claim_seconds)
                renewed = began
            due, failure = await self._attend(attending, operation, sights)
            if failure is not None:
                wasted_seconds += _now() - began
            await claims.release(conn, operation.operation_id, claim_id, due)
            self._desk.point("released")
            if failure is not None and wasted_seconds > self._claim_seconds / 4:
                self._cannot_see(chain, failure)  # it was there when all were looked at
                await self._put_off(conn, chain, some[number + 1 :], claim_id)
                return

    async def _attend(
        self, attending: Attending, operation: OperationRow, sights: Sights
    ) -> tuple[float | None, Exception | None]:
        """Seconds until the next look, and why its chain could not be asked all that it takes."""
        place = {"operation": str(operation.operation_id)}
        try:
            # Well before the claim ends: two watchers at one operation would only wait in turn.
            async with asyncio.timeout(self._claim_seconds / 2):
                return await attending.attend(operation, sights), None
        except ClaimLost:
            log.info("operation_taken_over", **place)
            return None, None  # it is not ours to release
        except (NodeError, TimeoutError) as exc:
            measured.unseen(self._writers[operation.chain_id].deployment.slug)
            reason = getattr(exc, "detail", "")
            log.info("operation_unseen", **place, error=type(exc).__name__, reason=reason)
            return PAUSE_OF_ONE_SECONDS * random.uniform(0.8, 1.2), exc
        except StoreError:
            raise
        except Exception as exc:
            log.error("operation_not_attended", **place, exc_info=exc)
            return LONGEST_PAUSE_SECONDS, None

    async def _put_off(
        self, conn: Conn, chain: Chain, some: list[OperationRow], claim_id: UUID
    ) -> None:
        """Leave them until the chain is tried again."""
        seconds = max(0.0, self._blind[chain.chain_id].until - _now())
        for operation in some:
            await claims.release(conn, operation.operation_id, claim_id, seconds)

    # What can be seen ---------------------------------------------------------------------------

    def _cannot_see(self, chain: Chain, exc: Exception) -> None:
        """Leave the chain alone for a while, the longer the more often it could not be seen."""
        before = self._blind.get(chain.chain_id)
        failures = 1 if before is None else before.failures + 1
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures, 10))
        until = _now() + pause * random.uniform(0.8, 1.2)
        self._blind[chain.chain_id] = Blind(failures, until)
        measured.unseen(chain.deployment.slug)
        if failures & (failures - 1) == 0:  # ever more rarely
            log.warning(
                "chain_unseen",
                chain=chain.deployment.slug,
                failures=failures,
                error=type(exc).__name__,
                reason=getattr(exc, "detail", ""),
            )

    def _seen(self) -> list[int]:
        return [chain_id for chain_id in self._writers if chain_id not in self._blind]

    def _reach(self, chains: Collection[int]) -> Reach:
        signer = self._desk.signer
        if signer is None:
            return Reach(list(chains))
        return Reach(list(chains), signer.addresses, signer.chains)

    def _turn(self, chain_id: int, sender: bytes) -> asyncio.Lock:
        return self._turns.setdefault((chain_id, sender), asyncio.Lock())


def _now() -> float:
    return asyncio.get_running_loop().time()


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
