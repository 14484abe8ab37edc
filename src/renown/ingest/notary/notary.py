"""The one that numbers the entries of the audit log, and signs where it stands.

Entries are written by whoever does something, in transactions that end in any order. The notary
takes those that are committed, gives each the next number, and puts leaf, link and nodes behind the
others, in one transaction. It holds nothing that the database does not say, so it may die anywhere;
two of them cannot number twice, because a number is the primary key of its leaf.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import NoReturn

import structlog

from renown.audit.checkpoint import Signer
from renown.errors import AuditBroken, OutputFailed, RenownError, StoreError
from renown.ingest.notary import measured
from renown.ingest.notary.folder import CheckpointFolder
from renown.ingest.notary.looking_back import SECONDS as LOOK_SECONDS
from renown.ingest.notary.looking_back import LookingBack
from renown.ingest.notary.sequencing import Point, Rules, sequence
from renown.ingest.notary.signing import checkpoint
from renown.ingest.persisting import persist
from renown.store import audit_alarms, audit_leaves, audit_proofs, audit_triggers
from renown.store.audit_leaves import Head
from renown.store.locks import only_one
from renown.store.pool import Conn, Tx, naming_failures, transaction

log = structlog.get_logger()

LOCK = "notary"
BATCH = 1_000
"""Entries of one transaction: what runs beside in this process waits while they are hashed."""
IDLE_SECONDS = 0.5
STANDBY_SECONDS = 5.0
COUNT_SECONDS = 5.0
TRIGGERS_SECONDS = 60.0
PARTITIONS_SECONDS, PARTITIONS_RETRY_SECONDS = 86_400.0, 600.0
LAST_SECONDS = 5.0
"""How long a notary that is stopped may take for what still waits, and for a last checkpoint."""
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 30.0


class Notary:
    """Numbers entries and signs checkpoints; one works per database, others stand by.

    Args:
        connect: opens a direct connection to the database; two are open at a time.
        signer: signs checkpoints.
        folder: where they are written to, outside the database.
        checkpoint_seconds: time between two checkpoints.
        batch: entries of one transaction.
        point: called where a death would matter, with the name of the place; for tests.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[Conn]],
        signer: Signer,
        folder: CheckpointFolder,
        *,
        checkpoint_seconds: float = 60.0,
        batch: int = BATCH,
        point: Point = lambda _: None,
    ) -> None:
        self.leaves = 0
        self._connect = connect
        self._signer = signer
        self._folder = folder
        self._checkpoint_seconds = checkpoint_seconds
        self._batch = batch
        self._point = point
        self._rules = Rules()
        self._left: Head | None = None
        self._lasting: str | None = None
        self._refused: str | None = None
        self._altered: str | None = None
        self._raised: set[str] = set()  # of these
        self._standing: list[str] = []
        self._back = LookingBack()
        self._next_look = self._next_triggers = self._next_alarms = 0.0
        self._next_checkpoint = self._next_count = self._next_partitions = 0.0

    async def run(self) -> NoReturn:
        """Work for ever; a database that is away is waited for. When it is cancelled, it takes what
        still waits and signs a last checkpoint, as far as there is time.

        Raises:
            RenownError: what trying again cannot mend.
        """
        await persist(
            self._session,
            done=lambda: self.leaves,
            failed=self._interrupted,
            first_seconds=FIRST_PAUSE_SECONDS,
            longest_seconds=LONGEST_PAUSE_SECONDS,
        )

    async def run_until_idle(self, on_wait: Callable[[], None] | None = None) -> str | None:
        """Take all that waits, and sign. Returns the newest checkpoint; None for an empty log.

        Args:
            on_wait: called once if another notary works; raise there not to wait for it.

        Raises:
            AuditBroken, OutputFailed, StoreError: see `signing.checkpoint`.
        """
        async with only_one(self._connect, LOCK, on_wait=on_wait):
            conn = await self._connect()
            try:
                while await self._take(conn):
                    pass
                return await checkpoint(conn, self._signer, self._folder, self._point)
            finally:
                conn.terminate()

    # A session: as long as the lock holds --------------------------------------------------------

    async def _session(self) -> None:
        standing_by = only_one(
            self._connect,
            LOCK,
            retry_seconds=STANDBY_SECONDS,
            on_wait=lambda: log.info("notary_standing_by"),
        )
        async with standing_by:
            conn = await self._connect()
            try:
                await self._work(conn)
            except asyncio.CancelledError:
                await self._finish(conn)
                raise
            finally:
                conn.terminate()

    async def _work(self, conn: Conn) -> NoReturn:
        while True:
            await self._keep_partitions(conn)
            try:
                taken = await self._take(conn)
            except AuditBroken as exc:  # there is nothing to put leaves behind
                self._found_broken(exc.detail)
                taken = 0
            await self._count(conn)
            await self._look(conn)
            await self._sign(conn)
            await self._keep_alarms(conn)
            if taken < self._batch:
                await asyncio.sleep(IDLE_SECONDS)

    async def _take(self, conn: Conn) -> int:
        """Number one batch. Returns how many entries."""
        async with transaction(conn) as tx:
            await self._compare(tx)
            head = await sequence(tx, self._rules, self._batch, self._point)
            before = self._left.size if self._left is not None else 0
            if head is None:
                return 0
        self._point("committed")
        self._left = head
        self.leaves = head.size
        measured.sequenced(head.size)
        return max(1, head.size - before)

    async def _finish(self, conn: Conn) -> None:
        """What is left to do when we are told to stop."""
        if conn.is_closed() or conn.is_in_transaction():
            return
        with suppress(RenownError, TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                while await self._take(conn):
                    pass
                await checkpoint(conn, self._signer, self._folder, self._point)

    # What it watches ------------------------------------------------------------------------------

    async def _compare(self, tx: Tx) -> None:
        """The log must end where we left it: nobody else numbers."""
        head = await audit_leaves.head(tx)
        left, self._left = self._left, head
        if left is None or left == head or not left.size:
            if left is None:
                measured.sequenced(head.size)
                self.leaves = head.size
            return
        # A commit whose answer was lost may have brought it further than we know.
        if head.size < left.size or await audit_proofs.link_at(tx, left.size - 1) != left.link_hash:
            self._found_broken(
                f"the audit log ended with entry {left.size - 1} and does so no more: "
                "leaves were removed or altered, or the database is an older copy"
            )

    async def _count(self, conn: Conn) -> None:
        now = _now()
        if now < self._next_count:
            return
        self._next_count = now + COUNT_SECONDS
        with naming_failures():
            found = await audit_leaves.backlog(conn)
            if found.entries:
                await audit_leaves.forget_taken(conn)
        measured.waiting(found)
        if found.lost:
            self._found_broken(f"{found.lost} entries that waited for the notary were removed")

    async def _look(self, conn: Conn) -> None:
        """Check some of what is there already, and the triggers that write it."""
        now = _now()
        if now < self._next_look:
            return
        self._next_look = now + LOOK_SECONDS
        try:
            found = await self._back.look(conn)
            if now >= self._next_triggers:
                self._next_triggers = now + TRIGGERS_SECONDS
                with naming_failures():
                    altered = await audit_triggers.altered(conn)
                self._found_altered(altered)
        except StoreError as exc:
            if conn.is_closed():
                raise
            log.warning("audit_not_looked_at", reason=exc.detail)
            return
        if found is not None:
            self._found_broken(found)

    async def _sign(self, conn: Conn) -> None:
        now = _now()
        if now < self._next_checkpoint:
            return
        self._next_checkpoint = now + self._checkpoint_seconds
        try:
            await checkpoint(conn, self._signer, self._folder, self._point)
        except AuditBroken as exc:
            self._refused = exc.detail
        except OutputFailed as exc:
            log.error("audit_checkpoint_not_written", reason=exc.detail)
            return
        else:
            self._refused = None
        self._say_broken()

    async def _keep_alarms(self, conn: Conn) -> None:
        """What was found is said by every process, and after a restart, until a person has
        acknowledged it."""
        new = [reason for reason in self._reasons() if reason not in self._raised]
        now = _now()
        if not new and now < self._next_alarms:
            return
        self._next_alarms = now + COUNT_SECONDS
        with naming_failures():
            for reason in new:
                await audit_alarms.raise_alarm(conn, reason)
            standing = await audit_alarms.standing(conn)
        self._raised.update(new)
        if self._standing and not standing:
            self._lasting = None
            self._raised = set(self._reasons())
        self._standing = standing
        measured.broken(bool(self._reasons() or standing))

    def _reasons(self) -> list[str]:
        return [reason for reason in (self._lasting, self._refused, self._altered) if reason]

    def _found_broken(self, reason: str) -> None:
        """Something that no later check takes back."""
        if self._lasting is None:
            self._lasting = reason
            self._say_broken()

    def _found_altered(self, altered: list[str]) -> None:
        before, self._altered = self._altered, "; ".join(altered[:3]) or None
        if before != self._altered:
            self._say_broken()

    def _say_broken(self) -> None:
        """Tell of what contradicts, as often as a checkpoint is due; not until it is mended."""
        reasons = self._reasons()
        measured.broken(bool(reasons or self._standing))
        for reason in reasons:
            log.error("audit_broken", reason=reason)

    async def _keep_partitions(self, conn: Conn) -> None:
        now = _now()
        if now < self._next_partitions:
            return
        self._next_partitions = now + PARTITIONS_SECONDS
        try:
            async with transaction(conn) as tx:
                made = await audit_leaves.ensure_partitions(tx)
        except StoreError as exc:
            if conn.is_closed():
                raise
            self._next_partitions = now + PARTITIONS_RETRY_SECONDS
            log.warning("audit_partitions_not_made", reason=exc.detail)
        else:
            if made:
                log.info("audit_partitions_made", partitions=made)

    def _interrupted(self, exc: Exception) -> None:
        if isinstance(exc, RenownError):
            log.warning("notary_interrupted", error=type(exc).__name__, reason=exc.detail)
        else:
            log.error("notary_interrupted", error=type(exc).__name__, exc_info=exc)


def _now() -> float:
    return asyncio.get_running_loop().time()
