"""What tests of operations share: an account, operations, a chain that is indexed up to a block."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from renown.chain.devnet.wallets import devnet_wallet
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import LocalSigner
from renown.derive.operation import AwaitsAgentId, Kind, Mode, PlannedStep
from renown.ingest.operations import Watcher
from renown.spec import calls
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.transactions import SignedTransaction, UnsignedTransaction
from renown.store import operations
from renown.store.operations import NewOperation, OperationRow
from renown.store.pool import Conn, connect, transaction
from tests.fakes.acting_chain import GWEI, ActingChain

CHAIN = DEPLOYMENTS[DEVNET_CHAIN_ID]
WALLET = devnet_wallet(0)
SIGNER = LocalSigner.from_keys([devnet_wallet(n).private_key for n in range(3)])
SENDER = bytes(WALLET.address)

_numbers = itertools.count(1)


class Bench:
    """Operations in a database, and one fake chain to watch them on.

    Args:
        url: of a database that nothing else uses meanwhile.
    """

    def __init__(self, url: str, conn: Conn, account_id: int, chain: Any) -> None:
        self.url = url
        self.conn = conn
        self.account_id = account_id
        self.chain = chain
        self.watcher = self.new_watcher()

    @classmethod
    async def open(cls, url: str, chain: Any = None) -> Bench:
        """An account, and a chain that is indexed and of which nothing is final."""
        conn = await connect(url)
        for table in (
            "operation",
            "hosted_file",
            "account",
            "feedback_given",
            "checkpoint",
            "block",
            "chain",
        ):
            await conn.execute(f"DELETE FROM {table}")
        account_id = await conn.fetchval(
            "INSERT INTO account (name) VALUES ('test') RETURNING account_id"
        )
        await conn.execute(
            """INSERT INTO chain (chain_id, slug, name, testnet, identity, reputation, start_block)
               VALUES ($1, $2, $2, true, $3, $4, 0)""",
            *(CHAIN.chain_id, CHAIN.slug, CHAIN.identity, CHAIN.reputation),
        )
        await conn.execute(
            "INSERT INTO checkpoint (chain_id, block_number) VALUES ($1, 0)", CHAIN.chain_id
        )
        return cls(url, conn, account_id, chain or ActingChain())

    def new_watcher(self, **more: object) -> Watcher:
        """Another watcher of the same chain, as a process of its own would have it. Its signer is
        open, unless `more` says otherwise."""
        return Watcher(
            lambda: connect(self.url),
            {self.chain.chain_id: self.chain},
            SIGNER,
            **({"signer_is_open": True} | more),  # type: ignore[arg-type]
        )

    async def ask(
        self,
        *steps: PlannedStep,
        kind: Kind = "feedback",
        mode: Mode = "managed",
        sender: bytes = SENDER,
        prepared: Sequence[UnsignedTransaction | None] = (),
    ) -> UUID:
        """Store an operation; without `steps`, of one feedback that no other has."""
        planned = steps or (feedback(next(_numbers)),)
        async with transaction(self.conn) as tx:
            return await operations.create(
                tx,
                NewOperation(
                    account_id=self.account_id,
                    chain_id=CHAIN.chain_id,
                    kind=kind,
                    mode=mode,
                    sender=sender,
                    agent_id=None,
                    request={},
                ),
                planned,
                prepared or [None] * len(planned),
            )

    async def relay(self, operation_id: UUID, step: int, signed: SignedTransaction) -> None:
        """What the caller signed arrives."""
        async with transaction(self.conn) as tx:
            await operations.add_signed(tx, operation_id, step, signed)

    async def resume(self, operation_id: UUID, *steps: int) -> None:
        """Have steps tried again."""
        async with transaction(self.conn) as tx:
            await operations.prepare_again(tx, operation_id, dict.fromkeys(steps))

    async def load(self, operation_id: UUID) -> OperationRow:
        """How an operation stands."""
        found = await operations.load(self.conn, operation_id, self.account_id)
        assert found is not None
        return found

    async def states(self, operation_id: UUID) -> list[str]:
        """What each of its events said, in order."""
        return [event.state for event in (await self.load(operation_id)).events]

    async def look(self, times: int = 1, *, aged_seconds: float = 60.0) -> None:
        """Look at everything, due or not, as if that much time had passed since the last time."""
        for _ in range(times):
            await self.age(aged_seconds)
            await self.watcher.run_once()

    async def age(self, seconds: float) -> None:
        """Let time pass for all that is watched."""
        await self.conn.execute(
            """UPDATE operation SET due_at = now() WHERE due_at IS NOT NULL AND
                      (claimed_until IS NULL OR claimed_until <= now())"""
        )
        await self.conn.execute(
            "UPDATE operation_step SET updated_at = updated_at - $1 * interval '1 second'", seconds
        )
        await self.conn.execute(
            "UPDATE operation_transaction SET sent_at = sent_at - $1 * interval '1 second'",
            seconds,
        )

    async def claims_run_out(self) -> None:
        """Whoever held operations is taken for dead."""
        await self.conn.execute(
            """UPDATE operation SET claimed_until = now(), due_at = now()
                WHERE claimed_by IS NOT NULL"""
        )

    async def indexed(self, tx_hash: bytes, block: int) -> None:
        """The index holds what a transaction of this block did."""
        await self.conn.execute("SELECT ensure_fact_partitions($1, 0)", CHAIN.chain_id)
        await self.conn.execute(
            """INSERT INTO feedback_given
               VALUES ($1, $2, 0, $3, 1, $4, 1, 1, 0, '', '', '', '', '')""",
            *(CHAIN.chain_id, block, tx_hash, SENDER),
        )

    async def finalise(self, block: int | None = None) -> None:
        """The index holds blocks up to this one for final; None: all there are."""
        last = await self.chain.head() if block is None else block
        for number in range(1, last + 1):
            block_hash = await self.chain.block_hash(number)
            await self.conn.execute(
                """INSERT INTO block (chain_id, number, hash, parent_hash, time, fact_count)
                   VALUES ($1, $2, $3, $3, now(), 1)
                   ON CONFLICT (chain_id, number) DO UPDATE SET hash = $3""",
                *(CHAIN.chain_id, number, block_hash),
            )
        await self.conn.execute("UPDATE checkpoint SET final_block = $1", last)


def feedback(number: int) -> PlannedStep:
    """A step that nothing is waited for."""
    calldata = calls.give_feedback(number, number)
    return PlannedStep(
        function=calls.GIVE_FEEDBACK,
        contract=CHAIN.reputation,
        summary=f"Rate agent {number}.",
        calldata=calldata,
    )


def registration(name: str = "Ada") -> tuple[PlannedStep, PlannedStep]:
    """`register()`, then `setAgentURI` with a file that names the agent's id."""
    return (
        PlannedStep(
            function=calls.REGISTER,
            contract=CHAIN.identity,
            summary="Register an agent.",
            calldata=calls.register(),
        ),
        PlannedStep(
            function=calls.SET_AGENT_URI,
            contract=CHAIN.identity,
            summary="Name its file.",
            template=AwaitsAgentId(file={"name": name}),
        ),
    )


async def signed(
    step: PlannedStep,
    nonce: int,
    *,
    max_fee_wei: int = 3 * GWEI,
    sender: bytes = SENDER,
    gas: int = 400_000,
) -> SignedTransaction:
    """A step as its caller signs it."""
    wanted = unsigned(step, nonce, max_fee_wei=max_fee_wei, sender=sender, gas=gas)
    return read_signed(await SIGNER.sign(wanted))


def unsigned(
    step: PlannedStep,
    nonce: int = 0,
    *,
    max_fee_wei: int = 3 * GWEI,
    sender: bytes = SENDER,
    gas: int = 400_000,
) -> UnsignedTransaction:
    """A step as it is prepared."""
    assert step.calldata is not None
    return UnsignedTransaction(
        chain_id=CHAIN.chain_id,
        sender=sender,
        to=step.contract,
        calldata=step.calldata,
        nonce=nonce,
        gas=gas,
        max_fee_wei=max_fee_wei,
        priority_fee_wei=min(GWEI, max_fee_wei),
    )
