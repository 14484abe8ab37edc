"""kill -9 of the watcher during 200 writes to a chain: none is lost, none takes effect twice.

`renown watch` is a process of its own, and so is the chain. Three quarters of the writes are signed
by the server's signer, the others by their callers. How many kills: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from renown.chain.accounts import Account
from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.rpc import Node
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import LocalSigner
from renown.derive.operation import Mode, PlannedStep
from renown.spec import calls
from renown.spec.abi import NEW_FEEDBACK
from renown.spec.deployments import DEPLOYMENTS, DEVNET_CHAIN_ID
from renown.spec.transactions import UnsignedTransaction
from renown.store import operations
from renown.store.operations import NewOperation
from renown.store.pool import Conn, connect, transaction
from tests.anvil import need_anvil
from tests.counts import OPERATION_KILLS

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
CHAIN = DEPLOYMENTS[DEVNET_CHAIN_ID]
WRITES = 200
SEED = 8004
DEADLINE_SECONDS = 180.0
PASSWORD = "of no use elsewhere"
OWNER, *CLIENTS = devnet_wallets()
MANAGED, CALLERS = CLIENTS[:6], CLIENTS[6:]
DOOMED = 7
"""Every so many writes are ratings that the registry refuses."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


@pytest.fixture
async def node() -> AsyncIterator[tuple[Node, str]]:
    need_anvil()
    async with Anvil() as anvil:
        rpc = Node(anvil.url)
        await place_registries(rpc)
        await rpc.call(
            "eth_sendTransaction",
            [_call(OWNER.address, CHAIN.identity, calls.register())],
            str,
        )
        yield rpc, anvil.url
        await rpc.close()


@pytest.fixture
def signing(tmp_path: Path) -> dict[str, str]:
    """Keystores of the managed wallets, as settings name them."""
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    stores = []
    for number, wallet in enumerate(MANAGED):
        store = tmp_path / f"wallet-{number}.json"
        # One round of hashing: these keys are public anyway.
        content = Account.encrypt(wallet.private_key, PASSWORD, kdf="pbkdf2", iterations=1)
        store.write_text(json.dumps(content))
        stores.append(str(store))
    return {
        "RENOWN_SIGNER_KEYSTORES": ",".join(stores),
        "RENOWN_SIGNER_PASSWORD_FILE": str(secret),
    }


@contextlib.contextmanager
def watching(url: str, node_url: str, signing: dict[str, str], log: Path) -> Iterator[Any]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
    ours = {"DATABASE_URL": url, "RPC_URL": node_url, "CHAIN": "devnet", **signing}
    with log.open("a") as stderr:
        process = subprocess.Popen(
            [*PROGRAM, "watch"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=inherited | ours,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


async def ask(conn: Conn, account_id: int, number: int, nonces: Counter[bytes]) -> UUID:
    """The write with this number: a rating of agent 0, or of an agent that is not there."""
    managed = number % 4 != 3
    mode: Mode = "managed" if managed else "client"
    wallets = MANAGED if managed else CALLERS
    sender = bytes(wallets[number % len(wallets)].address)
    agent_id = 0 if number % DOOMED else 10**9
    calldata = calls.give_feedback(agent_id, number, 0, b"%d" % number)
    step = PlannedStep(
        function=calls.GIVE_FEEDBACK, contract=CHAIN.reputation, summary="", calldata=calldata
    )
    wanted = UnsignedTransaction(
        chain_id=CHAIN.chain_id,
        sender=sender,
        to=CHAIN.reputation,
        calldata=calldata,
        nonce=nonces[sender],
        gas=400_000,
        max_fee_wei=10**10,
        priority_fee_wei=10**9,
    )
    async with transaction(conn) as tx:
        made = await operations.create(
            tx,
            NewOperation(
                account_id=account_id,
                chain_id=CHAIN.chain_id,
                kind="feedback",
                mode=mode,
                sender=sender,
                agent_id=agent_id,
                request={"number": number},
            ),
            [step],
            [wanted],
        )
        if not managed:
            nonces[sender] += 1
            raw = await CALLER_KEYS.sign(wanted)
            await operations.add_signed(tx, made, 1, read_signed(raw))
    return made


CALLER_KEYS = LocalSigner.from_keys([wallet.private_key for wallet in CALLERS])


async def over(conn: Conn) -> int:
    found: int = await conn.fetchval(
        "SELECT count(*) FROM operation WHERE state NOT IN ('prepared', 'submitted', 'orphaned')"
    )
    return found


async def more_than(conn: Conn, stood: int, process: Any) -> None:
    """Wait until something is over that was not."""
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    while await over(conn) <= stood:
        assert process.poll() is None, "it ended by itself"
        assert time.monotonic() < give_up_at
        await asyncio.sleep(0.01)


CLAIMS_RUN_OUT = """
UPDATE operation SET claimed_until = now(), due_at = now() WHERE claimed_by IS NOT NULL
"""


async def test_watcher__killed_at_random_moments__every_write_once_and_none_lost(
    fresh_database_url: str,
    node: tuple[Node, str],
    signing: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rpc, node_url = node
    dice, log = random.Random(SEED), tmp_path / "watch.log"
    conn = await connect(fresh_database_url)
    account_id = await conn.fetchval(
        "INSERT INTO account (name) VALUES ('test') RETURNING account_id"
    )
    nonces: Counter[bytes] = Counter()
    places = []
    numbers = iter(range(WRITES))
    share = -(-WRITES // (OPERATION_KILLS + 1))
    for _ in range(OPERATION_KILLS):
        for number in [next(numbers) for _ in range(share)]:
            await ask(conn, account_id, number, nonces)
        with watching(fresh_database_url, node_url, signing, log) as doomed:
            await more_than(conn, await over(conn), doomed)
            await asyncio.sleep(dice.uniform(0, 4.0) / (OPERATION_KILLS + 1))
        places.append(await over(conn))
        await conn.execute(CLAIMS_RUN_OUT)
    for number in numbers:
        await ask(conn, account_id, number, nonces)
    with watching(fresh_database_url, node_url, signing, log) as last:
        give_up_at = time.monotonic() + DEADLINE_SECONDS
        while await over(conn) < WRITES:
            assert last.poll() is None, log.read_text()[-2_000:]
            assert time.monotonic() < give_up_at, log.read_text()[-2_000:]
            await asyncio.sleep(0.05)
        counts = await _true_states(conn, rpc, account_id)
    await conn.close()
    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of the watcher: {OPERATION_KILLS} kills, writes over at death {places} of"
            f" {WRITES}; at the end {dict(counts)}, nothing lost, nothing twice\n"
        )


async def _true_states(conn: Conn, rpc: Node, account_id: int) -> Counter[str]:
    """What the database says of each write is what the chain says."""
    topics = [f"0x{NEW_FEEDBACK.topic0.hex()}"]
    logs = await rpc.call(
        "eth_getLogs",
        [{"fromBlock": "0x0", "toBlock": "latest", "topics": topics}],
        list[dict[str, Any]],
    )
    on_chain = Counter(log["transactionHash"] for log in logs)
    assert set(on_chain.values()) == {1}
    states: Counter[str] = Counter()
    given: list[str] = []
    for found in await operations.page(conn, account_id, limit=WRITES):
        step = found.steps[0]
        states[found.state] += 1
        hashes = [f"0x{one.tx_hash.hex()}" for one in step.signed]
        mined = [tx_hash for tx_hash in hashes if tx_hash in on_chain]
        assert len({one.nonce for one in step.signed}) <= 1
        if found.request["number"] % DOOMED:
            assert found.state == "included", step
            assert step.tx_hash is not None
            assert mined == [f"0x{step.tx_hash.hex()}"]
            given += mined
        else:
            assert found.state == "failed"
            assert "ERC721NonexistentToken" in (step.reason or ""), step.reason
            assert mined == []
    assert sorted(given) == sorted(on_chain)
    assert sum(states.values()) == WRITES
    return states


def _call(sender: bytes, to: bytes, calldata: bytes) -> dict[str, str]:
    return {"from": f"0x{sender.hex()}", "to": f"0x{to.hex()}", "data": f"0x{calldata.hex()}"}
