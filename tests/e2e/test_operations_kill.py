"""kill -9 of the API and the watcher during 200 writes to a chain: none is lost, none takes effect
twice, and whoever asks again with the same key gets the same answer.

`renown serve` and `renown watch` are processes of their own, and so is the chain. Clients write
over HTTP and know nothing of the deaths: they send the same request with the same idempotency key
until it is answered. Most writes are signed by the server's signer, the others by their callers,
who make mistakes now and then. How many kills: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import msgspec
import pytest

from renown.chain.accounts import Account
from renown.chain.devnet.addresses import CHAIN_ID, IDENTITY, REPUTATION
from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.place import place_registries
from renown.chain.devnet.wallets import devnet_wallets
from renown.chain.rpc import Node
from renown.chain.tx.signer import LocalSigner
from renown.spec import calls
from renown.spec.abi import NEW_FEEDBACK
from renown.spec.deployments import DEPLOYMENTS, DEVNET_FINAL_BLOCKS
from renown.spec.transactions import UnsignedTransaction
from renown.store import operations
from renown.store.accounts import create_account
from renown.store.operations import OperationRow
from renown.store.pool import Conn, Pool, connect_pool
from renown.store.signer_grants import grant_wallet
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.access import PEPPER, PLENTY, Holder, give_key
from tests.anvil import need_anvil
from tests.counts import OPERATION_KILLS
from tests.e2e.devnet import index
from tests.fakes.writing import from_json

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
WRITES = 200
AT_ONCE = 12
SEED = 8004
DEADLINE_SECONDS = 180.0
PASSWORD = "of no use elsewhere"
OWNER, *CLIENTS = devnet_wallets()
MANAGED, CALLERS = CLIENTS[:6], CLIENTS[6:]
CALLER_KEYS = LocalSigner.from_keys([wallet.private_key for wallet in CALLERS])
TOO_LITTLE_GAS = 60_000
USED_NONCES = 9
LONG = OPERATION_KILLS > 3

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


# What runs ----------------------------------------------------------------------------------------


@pytest.fixture
async def node() -> AsyncIterator[tuple[Node, str]]:
    """A chain with one agent, and callers who have used some nonces."""
    need_anvil()
    async with Anvil() as anvil:
        rpc = Node(anvil.url)
        await place_registries(rpc)
        await _past_us(rpc, OWNER.address, IDENTITY, calls.register())
        for caller in CALLERS * USED_NONCES:
            await _past_us(rpc, caller.address, OWNER.address, b"")
        yield rpc, anvil.url
        await rpc.close()


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    opened = await connect_pool(fresh_database_url, min_size=1, max_size=2)
    yield opened
    await opened.close(grace_seconds=2)


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
        "RENOWN_SIGNER_DAILY_ETHER": "1000",
    }


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """How its processes are started, again and again. `url` is the database's."""

    url: str
    node_url: str
    port: int
    signing: dict[str, str]
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[tuple[Any, Any]]:
        """The API and the watcher, until the block ends: then they are killed, API first."""
        with self.log.open("a") as stderr:
            started = [self._start(stderr, name) for name in ("serve", "watch")]
        try:
            yield started[0], started[1]
        finally:
            for process in started:
                process.send_signal(signal.SIGKILL)
            for process in started:
                process.wait()

    def _start(self, stderr: Any, name: str) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
        ours = {
            "DATABASE_URL": self.url,
            "RPC_URL": self.node_url,
            "CHAIN": "devnet",
            "RENOWN_HOST": "127.0.0.1",
            "RENOWN_PORT": str(self.port),
            "RENOWN_PUBLIC_URL": self.base,
            "RENOWN_CURSOR_SECRET": "a secret of the tests",
            "RENOWN_KEY_PEPPER": PEPPER,
            "RENOWN_LIMITS": PLENTY,
        }
        return subprocess.Popen(
            [*PROGRAM, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=inherited | ours | self.signing,
        )


# Who writes ---------------------------------------------------------------------------------------


class Answered(msgspec.Struct, frozen=True):
    """A request, and what it was answered first as far as the client has heard."""

    path: str
    key: str
    body: dict[str, Any]
    status: int
    said: bytes


class Clients:
    """Writes over HTTP, each until it is answered.

    Attributes:
        answered: every request.
        cut: how often somebody died over a request.
        replayed: requests that were done by somebody who died before saying so.
    """

    def __init__(self, base: str, holder: Holder) -> None:
        self._base, self._holder = base, holder
        self._nonces: Counter[bytes] = Counter({bytes(one.address): USED_NONCES for one in CALLERS})
        self._room = asyncio.Semaphore(AT_ONCE)
        self.answered: list[Answered] = []
        self.made: dict[int, UUID] = {}
        self.cut = self.replayed = 0

    async def write(self, http: httpx.AsyncClient, number: int) -> None:
        """The write with this number: a rating of agent 0, whose value is the number."""
        async with self._room:
            made = await self._written(http, number)
        self.made[number] = UUID(made["id"])

    async def _written(self, http: httpx.AsyncClient, number: int) -> Any:
        path, key = f"/v1/agents/{CHAIN_ID}:0/feedback", f"write-{number}"
        if number % 8 < 5:
            sender = checksum_address(MANAGED[number % len(MANAGED)].address)
            body = {"from": sender, "mode": "managed", "value": number}
            return await self._ask(http, path, key, body)
        caller = bytes(CALLERS[number % len(CALLERS)].address)
        if number % 8 == 7:  # signed before
            calldata = calls.give_feedback(0, number)
            raw = await self._signed(number, caller, REPUTATION, calldata)
            return await self._ask(http, path, key, {"mode": "relay", "transactions": [raw]})
        body = {"from": checksum_address(caller), "value": number}
        made = await self._ask(http, path, key, body)
        wanted = from_json(made["transactions"][0]["unsigned"])
        raw = await self._signed(number, caller, wanted.to, wanted.calldata)
        path = f"/v1/operations/{made['id']}/transactions"
        return await self._ask(http, path, f"signed-{number}", {"transactions": [raw]})

    async def _signed(self, number: int, caller: bytes, to: bytes, calldata: bytes) -> str:
        wrong = mistake(number)
        nonce = number // 24  # which it has used
        if wrong != "nonce":
            nonce = self._nonces[caller]
            self._nonces[caller] += 1
        wanted = UnsignedTransaction(
            chain_id=CHAIN_ID,
            sender=caller,
            to=to,
            calldata=calldata,
            nonce=nonce,
            gas=TOO_LITTLE_GAS if wrong == "gas" else 400_000,
            max_fee_wei=10**10,
            priority_fee_wei=10**9,
        )
        return f"0x{(await CALLER_KEYS.sign(wanted)).hex()}"

    async def _ask(self, http: httpx.AsyncClient, path: str, key: str, body: dict[str, Any]) -> Any:
        was_cut = False
        while True:
            try:
                answer = await self._send(http, path, key, body)
            except httpx.TransportError as exc:
                if not isinstance(exc, httpx.ConnectError):  # somebody was there
                    self.cut += 1
                    was_cut = True
                await asyncio.sleep(0.1)
                continue
            if answer.status_code in (409, 503) and "Retry-After" in answer.headers:
                await asyncio.sleep(0.2)  # who died still holds the key
                continue
            break
        assert answer.status_code < 300, answer.text
        if answer.headers.get("Idempotent-Replayed") == "true":
            assert was_cut
            self.replayed += 1
        self.answered.append(Answered(path, key, body, answer.status_code, answer.content))
        return answer.json()

    async def _send(
        self, http: httpx.AsyncClient, path: str, key: str, body: dict[str, Any]
    ) -> httpx.Response:
        headers = self._holder.headers | {"Idempotency-Key": key}
        return await http.post(self._base + path, json=body, headers=headers)

    async def hear_the_same_again(self, http: httpx.AsyncClient) -> None:
        """Every request, sent once more, is answered as it was."""

        async def one(first: Answered) -> None:
            async with self._room:
                answer = await self._send(http, first.path, first.key, first.body)
            assert (answer.status_code, answer.content) == (first.status, first.said)
            assert answer.headers["Idempotent-Replayed"] == "true"

        async with asyncio.TaskGroup() as group:
            for first in self.answered:
                group.create_task(one(first))


def mistake(number: int) -> str | None:
    """What a caller does wrong who signs this write."""
    return {5: "nonce", 6: "gas"}.get(number % 24)


# When they die ------------------------------------------------------------------------------------

CLAIMED = "SELECT DISTINCT claimed_by FROM operation WHERE claimed_by IS NOT NULL"
OVER = "SELECT count(*) FROM operation WHERE state IN ('included', 'final', 'failed', 'dropped')"
CLAIMS_RUN_OUT = """
UPDATE operation SET claimed_until = now(), due_at = now()
 WHERE claimed_by IS NOT NULL AND claimed_by <> ALL($1::uuid[])
"""
KEYS_HELD = "SELECT count(*) FROM idempotency WHERE status IS NULL AND locked_until > now()"
LOCKS_RUN_OUT = "UPDATE idempotency SET locked_until = now() WHERE status IS NULL"
STILL_CLAIMED = "SELECT count(*) FROM operation WHERE claimed_by = ANY($1::uuid[])"


async def killed_at_work(conn: Conn, watcher: Any) -> list[UUID]:
    """Kill a watcher while it holds something, which it does for moments only; whose claims these
    are."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            watcher.send_signal(signal.SIGSTOP)
            await asyncio.sleep(0.05)  # until what it said last is done
            if found := [row[0] for row in await conn.fetch(CLAIMED)]:
                break
            watcher.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.02)
    watcher.send_signal(signal.SIGKILL)
    return found


async def test_api_and_watcher__killed_at_random_moments__every_write_once_and_none_lost(
    fresh_database_url: str,
    pool: Pool,
    node: tuple[Node, str],
    signing: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    rpc, node_url = node
    began, dice = time.monotonic(), random.Random(SEED)
    await indexed(fresh_database_url, rpc, node_url)
    holder = await account(pool)
    here = Installation(
        url=fresh_database_url,
        node_url=node_url,
        port=free_port(),
        signing=signing,
        log=tmp_path / "log",
    )
    clients = Clients(here.base, holder)
    share = WRITES // (OPERATION_KILLS + 1)
    places: list[tuple[int, int]] = []
    # Whoever died first is not helped: what it held is free when its claims have run out.
    first_dead: list[UUID] = []
    left_claimed = keys_held = 0
    async with (
        pool.connection() as conn,
        httpx.AsyncClient(trust_env=False, timeout=DEADLINE_SECONDS) as http,
        asyncio.timeout(2 * DEADLINE_SECONDS + 20 * OPERATION_KILLS),
        asyncio.TaskGroup() as writing,
    ):
        for number in range(WRITES):
            writing.create_task(clients.write(http, number))
        for kill in range(OPERATION_KILLS):
            enough = kill * share + dice.randrange(share)
            with here.running() as (api, watcher):
                while len(clients.made) <= enough:
                    require_alive(here, api, watcher)
                    await asyncio.sleep(0.005)
                await asyncio.sleep(dice.uniform(0, 0.2))
                require_alive(here, api, watcher)
                if kill == 0:
                    first_dead = await killed_at_work(conn, watcher)
            places.append((len(clients.made), await conn.fetchval(OVER)))
            if kill == 0:
                left_claimed = await conn.fetchval(STILL_CLAIMED, first_dead)
            await conn.execute(CLAIMS_RUN_OUT, first_dead)
            keys_held += await conn.fetchval(KEYS_HELD)
            if kill < OPERATION_KILLS - 1 or not LONG:  # a minute, which only the long run has
                await conn.execute(LOCKS_RUN_OUT)
        with here.running() as (api, watcher):
            while len(clients.made) < WRITES or await conn.fetchval(OVER) < WRITES:
                require_alive(here, api, watcher)
                await asyncio.sleep(0.05)
            await clients.hear_the_same_again(http)
            await rpc.call("anvil_mine", [hex(2 * DEVNET_FINAL_BLOCKS)], Any)
            await indexed(fresh_database_url, rpc, node_url)
            rows = await all_final(conn, holder.account.account_id)
    counts = await true_states(rpc, rows, clients)
    assert left_claimed
    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of API and watcher: {OPERATION_KILLS} kills; writes (answered, over) at"
            f" death {places} of {WRITES}; {clients.cut} requests died over, of"
            f" which {keys_held} left their key held and {clients.replayed} were done;"
            f" {left_claimed} claims of the dead ran out by themselves; at the end {dict(counts)},"
            f" {len(clients.answered)} answers heard again, nothing lost, nothing twice;"
            f" {time.monotonic() - began:.0f} s\n"
        )


# What came of it ----------------------------------------------------------------------------------


async def all_final(conn: Conn, account_id: int) -> list[OperationRow]:
    """Every operation, as soon as all that are in a block are final."""
    async with asyncio.timeout(DEADLINE_SECONDS):
        while True:
            if not await conn.fetchval("SELECT count(*) FROM operation WHERE state = 'included'"):
                break
            await asyncio.sleep(0.2)
    ids = [row[0] for row in await conn.fetch("SELECT operation_id FROM operation")]
    found = [await operations.load(conn, UUID(bytes=one.bytes), account_id) for one in ids]
    return [row for row in found if row is not None]


async def true_states(rpc: Node, rows: Sequence[OperationRow], clients: Clients) -> Counter[str]:
    """What the database says of each write is what the chain says, and what its client was told."""
    assert sorted(clients.made) == list(range(WRITES))
    found = {row.operation_id: row for row in rows}
    assert len(rows) == WRITES == len(found)
    assert set(clients.made.values()) == set(found)
    rated, nonces = await _ratings(rpc), defaultdict[bytes, list[int]](list)
    for number, operation_id in clients.made.items():
        row = found[operation_id]
        step = row.steps[0]
        used = {one.nonce for one in step.signed}
        assert len(used) == 1, (number, step)
        wrong = mistake(number)
        if wrong != "nonce":
            nonces[row.sender] += used
        if wrong is None:
            assert (row.state, step.tx_hash) == ("final", rated.pop(number)), step
            continue
        assert row.state == {"gas": "failed", "nonce": "dropped"}[wrong], step
        assert step.reason
    assert rated == {}
    for sender, given in nonces.items():
        first = USED_NONCES if sender in {bytes(one.address) for one in CALLERS} else 0
        assert sorted(given) == list(range(first, first + len(given)))
        where = [f"0x{sender.hex()}", "latest"]
        count = int(await rpc.call("eth_getTransactionCount", where, str), 16)
        assert count == first + len(given)
    return Counter(row.state for row in rows)


async def _ratings(rpc: Node) -> dict[int, bytes]:
    """By the number that was given, the transaction that gave it; each was given once."""
    topics = [f"0x{NEW_FEEDBACK.topic0.hex()}"]
    wanted = [{"fromBlock": "0x0", "toBlock": "latest", "topics": topics}]
    logs = await rpc.call("eth_getLogs", wanted, list[dict[str, Any]])
    words = [bytes.fromhex(log["data"][2:]) for log in logs]
    numbers = [int.from_bytes(one[32:64], signed=True) for one in words]  # after feedbackIndex
    assert len(numbers) == len(set(numbers))
    hashes = [bytes.fromhex(log["transactionHash"][2:]) for log in logs]
    return dict(zip(numbers, hashes, strict=True))


async def account(pool: Pool) -> Holder:
    """Has a key, the callers' wallets, and the use of the server's signer."""
    async with pool.transaction() as tx:
        row = await create_account(tx, "test")
        for wallet in MANAGED:
            await grant_wallet(tx, row.account_id, bytes(wallet.address))
        for caller in CALLERS:
            await add_wallet(tx, row.account_id, bytes(caller.address), 0, "signature")
    made = await give_key(pool, row.account_id)
    return Holder(row, made.text, made.row.key_id)


async def indexed(url: str, rpc: Node, node_url: str) -> None:
    """The index holds the chain's newest block."""
    head = int(await rpc.call("eth_blockNumber", [], str), 16)
    await index(url, DEPLOYMENTS[CHAIN_ID], node_url, until=head)


def require_alive(here: Installation, *processes: Any) -> None:
    """Raises where one ended by itself."""
    if any(process.poll() is not None for process in processes):
        raise AssertionError(f"it ended by itself: {here.log.read_text()[-2_000:]}")


def free_port() -> int:
    """One that nobody listens on, and that stays ours to take."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


async def _past_us(rpc: Node, sender: bytes, to: bytes, calldata: bytes) -> None:
    call = {"from": sender, "to": to, "data": calldata}
    told = {name: f"0x{value.hex()}" for name, value in call.items()}
    await rpc.call("eth_sendTransaction", [told], str)
