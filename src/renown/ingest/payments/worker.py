"""The payment worker: one process per database that settles claims until they are final."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial

import msgspec
import structlog

from renown.chain.payment_looks import Node, look
from renown.derive.payment import NOT_READ, Seen
from renown.errors import NodeError, RenownError
from renown.ingest.payments import measured
from renown.ingest.payments.naming import name_payments
from renown.ingest.persisting import persist
from renown.spec.tokens import Tokens
from renown.store import payment_claims, payments
from renown.store.audit_entries import say_unattended
from renown.store.locks import only_one
from renown.store.payment_claims import FIRST_PLACE, Due, FactPlace
from renown.store.payments import Settled
from renown.store.pool import Conn, retry_conflicts, transaction

log = structlog.get_logger()

LOCK = "payments"
IDLE_SECONDS = 1.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0
NODE_FAILED_SECONDS = 20.0
"""How long a transaction is left alone when no node could say how it stands."""
CLAIMS_AT_ONCE = 64
LOOKS_AT_ONCE = 8
LOOKED_FOR_SECONDS = 60.0
"""How long all nodes of a chain may take over one transaction."""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Tally(msgspec.Struct):
    """What was done: files looked at, claims that went with their feedback, settled ones."""

    files: int = 0
    gone: int = 0
    transactions: int = 0

    @property
    def work(self) -> int:
        """Whether anything was."""
        return self.files + self.gone + self.transactions


class PaymentWorker:
    """Settles what claims say; further processes stand by.

    Restartable at any point: each transaction is settled in one of the database, and what was not
    is due still. Uses two connections, one of which only holds the lock.

    Args:
        connect: opens a direct connection to the database.
        nodes: by chain id, whom to ask about transactions.
        tokens: that count as payment.
        idle_seconds: between two looks for something due, when nothing was.
        clock: the time, in UTC.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        nodes: Mapping[int, Node],
        *,
        tokens: Tokens,
        idle_seconds: float = IDLE_SECONDS,
        clock: Callable[[], datetime] = _utc_now,
    ) -> None:
        self._connect = connect
        self._nodes = nodes
        self._tokens = tokens
        self._idle_seconds = idle_seconds
        self._now = clock
        self._walked: FactPlace | None = FIRST_PLACE

    async def run(self) -> None:
        """Settle what is due, for ever; a database that is away is waited for.

        Raises:
            RenownError: what trying again cannot mend.
        """
        tally = Tally()
        await persist(
            lambda: self._work(tally, until_idle=False),
            done=lambda: tally.work,
            failed=_log_interruption,
            first_seconds=FIRST_PAUSE_SECONDS,
            longest_seconds=LONGEST_PAUSE_SECONDS,
        )

    async def run_until_idle(self) -> Tally:
        """Do all that is due now, and stop.

        Raises:
            StoreError: the database failed; what was settled so far stays.
        """
        tally = Tally()
        await self._work(tally, until_idle=True)
        return tally

    async def _work(self, tally: Tally, *, until_idle: bool) -> None:
        def stands_by() -> None:
            log.info("payments_stand_by", reason="another process settles for this database")

        async with only_one(self._connect, LOCK, on_wait=stands_by):
            conn = await self._connect()
            try:
                await say_unattended(conn)
                while True:
                    done = await self._round(conn, tally)
                    if not done and until_idle:
                        return
                    if not done:
                        await asyncio.sleep(self._idle_seconds)
            finally:
                conn.terminate()

    async def _round(self, conn: Conn, tally: Tally) -> bool:
        """A bounded piece of everything there is to do. Returns whether there was any."""
        before = tally.work
        is_walking = await self._walk(conn)
        tally.files += await name_payments(conn)
        async with transaction(conn) as tx:
            tally.gone += await payment_claims.gone(tx)
            await payment_claims.stay(tx, self._now())
        due = await payment_claims.due(conn, self._now(), limit=CLAIMS_AT_ONCE)
        for start in range(0, len(due), LOOKS_AT_ONCE):
            await self._settle(conn, due[start : start + LOOKS_AT_ONCE])
        tally.transactions += len(due)
        return is_walking or tally.work > before

    async def _walk(self, conn: Conn) -> bool:
        """Go over the files that were read before anybody looked for payments, once per life."""
        if self._walked is not None:
            self._walked = await payment_claims.walk(conn, self._walked)
        return self._walked is not None

    async def _settle(self, conn: Conn, due: Sequence[Due]) -> None:
        final = {
            chain_id: await payments.final_block(conn, chain_id)
            for chain_id in {one.pay_chain_id for one in due}
        }
        looks = await asyncio.gather(*(self._look(one, final[one.pay_chain_id]) for one in due))
        for one, seen in zip(due, looks, strict=True):
            if seen is None:
                until = self._now() + timedelta(seconds=NODE_FAILED_SECONDS)
                await payment_claims.postpone(conn, one, until)
            else:
                measured.settled(await retry_conflicts(partial(self._keep, conn, one, seen)))

    async def _look(self, one: Due, final_block: int | None) -> Seen | None:
        """How the transaction stands; None where nobody could say."""
        node = self._nodes.get(one.pay_chain_id)
        if node is None:
            return NOT_READ
        try:
            async with asyncio.timeout(LOOKED_FOR_SECONDS):
                return await look(node, one.tx_hash, final_block=final_block)
        except (NodeError, TimeoutError) as exc:
            log.warning(
                "payment_not_seen",
                chain_id=one.pay_chain_id,
                tx_hash=f"0x{one.tx_hash.hex()}",
                error=type(exc).__name__,
            )
            return None

    async def _keep(self, conn: Conn, one: Due, seen: Seen) -> Settled:
        async with transaction(conn) as tx:
            return await payments.settle_transaction(
                tx,
                one.pay_chain_id,
                one.tx_hash,
                seen,
                tokens=self._tokens,
                now=self._now(),
            )


def _log_interruption(exc: Exception) -> None:
    if isinstance(exc, RenownError):
        log.warning("payments_interrupted", error=type(exc).__name__, reason=exc.detail)
    else:
        log.error("payments_interrupted", error=type(exc).__name__, exc_info=exc)
