"""All of it, running: chain, database, Redis, indexer, crawler, watcher, payments, and the API.

Put together by what `renown up` is put together by, in the test's process, over real HTTP. The
chain makes a block for each transaction, and more when asked. Tests of one module share a stack and
have accounts, wallets and agents of their own.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from uuid import uuid4

import httpx
import msgspec
from eth_hash.auto import keccak

from renown.chain.devnet.addresses import CHAIN_ID, DOLLAR, IDENTITY
from renown.chain.devnet.anvil import Anvil
from renown.chain.devnet.dollars import mint
from renown.chain.devnet.place import place_registries
from renown.chain.rpc import Node
from renown.chain.tx.signed import read_signed
from renown.chain.tx.signer import LocalSigner
from renown.chain.tx.writer import ChainWriter, writers_for
from renown.cli.beside import beside
from renown.cli.listening import bind, url
from renown.cli.runtime import Database, chosen
from renown.cli.up import answering, index_chains
from renown.cli.writing import Writing
from renown.settings import Settings
from renown.spec import calls
from renown.spec.transactions import Receipt, UnsignedTransaction
from renown.store.accounts import AccountTier, create_account
from renown.store.pool import Pool, connect_pool
from renown.store.signer_grants import grant_wallet
from renown.store.wallets import add_wallet
from renown.types import checksum_address
from tests.access import ALL_SCOPES, PEPPER, PLENTY, Holder, give_key
from tests.e2e.acting.line import Line
from tests.fakes.writing import from_json
from tests.redis import RedisServer

SECONDS = 20.0
"""How long anything may take that does not wait for a clock."""
FINAL_BLOCKS = 8
FUNDS_WEI = 10**20
DOLLARS = 10**9
SERVER_WALLETS = 12


class Wallet:
    """A wallet with a key of its own."""

    def __init__(self, seed: bytes) -> None:
        self._key = keccak(seed)
        self.signer = LocalSigner.from_keys([self._key])
        self.raw = self.signer.addresses[0]
        self.address = checksum_address(self.raw)

    @property
    def private_key(self) -> bytes:
        return self._key

    async def sign(self, unsigned: dict[str, str], **changed: Any) -> str:
        """What was prepared, less what is `changed`, signed: as it goes to a node."""
        wanted = msgspec.structs.replace(from_json(unsigned), **changed)
        return await self.sign_call(wanted)

    async def sign_call(self, wanted: UnsignedTransaction) -> str:
        """The same, of any transaction."""
        return "0x" + (await self.signer.sign(wanted)).hex()

    async def consent(self, typed_data: dict[str, Any]) -> str:
        """Typed data, signed."""
        return "0x" + (await self.signer.sign_typed_data(self.raw, typed_data)).hex()

    async def say(self, message: str) -> str:
        """`personal_sign`."""
        return "0x" + (await self.signer.sign_message(self.raw, message.encode())).hex()


class Stack:
    """What runs. `writer` and `node` ask the chain directly, the others through `line`."""

    def __init__(
        self,
        *,
        base: str,
        where: Database,
        node: Node,
        writer: ChainWriter,
        line: Line,
        redis: RedisServer,
        pool: Pool,
        client: httpx.AsyncClient,
        found: Writing,
    ) -> None:
        self.base, self.where, self.node, self.writer = base, where, node, writer
        self.line, self.redis, self.pool, self.client = line, redis, pool, client
        self.found = found
        self._numbers = itertools.count(1)
        assert found.signer is not None
        self._of_server = iter(found.signer.addresses)

    # Who acts -----------------------------------------------------------------------------------

    async def wallet(self, wei: int = FUNDS_WEI) -> Wallet:
        """One that nobody else has."""
        made = Wallet(b"wallet %d" % next(self._numbers))
        if wei:
            await self.fund(made.raw, wei)
        return made

    async def account(
        self,
        wallets: int = 1,
        *,
        scopes: Sequence[str] = ALL_SCOPES,
        tier: AccountTier = "free",
        signer_wallets: Sequence[bytes] = (),
    ) -> Caller:
        """One with a key, and that many proved wallets."""
        held = [await self.wallet() for _ in range(wallets)]
        async with self.pool.transaction() as tx:
            row = await create_account(tx, "test", tier=tier)
            for address in signer_wallets:
                await grant_wallet(tx, row.account_id, address)
            for wallet in held:
                await add_wallet(tx, row.account_id, wallet.raw, 0, "signature")
        made = await give_key(self.pool, row.account_id, scopes, pepper=PEPPER)
        return Caller(self, Holder(row, made.text, made.row.key_id), held)

    def server_wallet(self) -> bytes:
        """One of the server's signer that no other test has."""
        return next(self._of_server)

    async def fund(self, address: bytes, wei: int = FUNDS_WEI) -> None:
        """From now on it has that much ether."""
        await self.node.call("anvil_setBalance", [f"0x{address.hex()}", hex(wei)], Any)

    async def give_dollars(self, wallet: Wallet, units: int = DOLLARS) -> None:
        """So that it can pay."""
        await self.act(wallet, DOLLAR, mint(wallet.raw, units))

    # The chain ----------------------------------------------------------------------------------

    async def call(
        self, sender: bytes, to: bytes, calldata: bytes, **changed: Any
    ) -> UnsignedTransaction:
        """A transaction that would do, less what is `changed`."""
        fees = await self.writer.fees()
        usual = UnsignedTransaction(
            chain_id=CHAIN_ID,
            sender=sender,
            to=to,
            calldata=calldata,
            nonce=await self.writer.nonce(sender, "pending"),
            gas=2_000_000,
            max_fee_wei=fees.max_fee_wei,
            priority_fee_wei=fees.priority_fee_wei,
        )
        return msgspec.structs.replace(usual, **changed)

    async def act(self, wallet: Wallet, to: bytes, calldata: bytes) -> Receipt:
        """Done past the API, and in a block; it must not have failed."""
        raw = bytes.fromhex((await wallet.sign_call(await self.call(wallet.raw, to, calldata)))[2:])
        said = await self.writer.send(raw)
        assert said.verdict in ("taken", "known"), said
        receipt = await self.receipt(read_signed(raw).tx_hash)
        assert receipt.succeeded
        return receipt

    async def receipt(self, tx_hash: bytes) -> Receipt:
        """Of a transaction that is in a block soon."""

        async def found() -> Receipt | None:
            return await self.writer.receipt(tx_hash)

        receipt: Receipt = await until(found)
        return receipt

    async def agent(self, owner: Wallet, uri: bytes = b"") -> str:
        """A new agent's key, `31337:7`, indexed. The owner is its wallet."""
        receipt = await self.act(owner, IDENTITY, calls.register(uri))
        agent_id = int.from_bytes(receipt.logs[0].topics[3])
        await self.indexed()
        return f"{CHAIN_ID}:{agent_id}"

    async def mine(self, blocks: int = 1) -> None:
        """More blocks."""
        await self.node.call("anvil_mine", [hex(blocks)], Any)

    async def finalise(self) -> None:
        """What is in a block now is final, and indexed."""
        await self.mine(FINAL_BLOCKS)
        await self.indexed()

    async def mine_by_hand(self) -> None:
        """From now on a block comes with `mine` only."""
        await self.node.call("evm_setAutomine", [False], Any)

    async def mine_by_itself(self) -> None:
        """A block comes with each transaction again; those that wait are in one now."""
        await self.node.call("evm_setAutomine", [True], Any)
        await self.mine()

    async def indexed(self) -> None:
        """The index holds the chain's newest block."""
        head = await self.writer.head()
        wanted = await self.writer.block_hash(head)

        async def there() -> bool:
            async with self.pool.connection() as conn:
                row = await conn.fetchrow(
                    "SELECT block_number, block_hash FROM checkpoint WHERE chain_id = $1", CHAIN_ID
                )
            if row is None or row["block_number"] < head:
                return False
            return bool(row["block_number"] > head or row["block_hash"] == wanted)

        await until(there)

    # What is told -------------------------------------------------------------------------------

    async def get(self, path: str, **params: Any) -> Any:
        """What anybody reads; it must be there."""
        answer = await self.client.get(path, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric over all series that have these labels, as `/metrics` has them."""
        total = 0.0
        for line in (await self.client.get("/metrics")).text.splitlines():
            series, _, number = line.rpartition(" ")
            if series.partition("{")[0] == name and all(
                f'{label}="{value}"' in series for label, value in labels.items()
            ):
                total += float(number)
        return total

    async def count(self, table: str, where: str = "true") -> int:
        """Rows of a table."""
        async with self.pool.connection() as conn:
            found: int = await conn.fetchval(f"SELECT count(*) FROM {table} WHERE {where}")
        return found


class Caller:
    """An account that asks the API; `me` is the address of its first wallet."""

    def __init__(self, stack: Stack, holder: Holder, wallets: list[Wallet]) -> None:
        self.stack, self.holder, self.wallets = stack, holder, wallets

    @property
    def wallet(self) -> Wallet:
        return self.wallets[0]

    @property
    def me(self) -> str:
        return self.wallet.address

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Any answer. Underscores in the names of `headers` are hyphens. What the server is to sign
        has an Idempotency-Key."""
        if isinstance(body, dict) and body.get("mode") == "managed":
            headers = {"Idempotency_Key": str(uuid4())} | headers
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.stack.client.request(
            method, path, json=body, headers=self.holder.headers | named
        )

    async def done(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        """The body of an answer that is no refusal."""
        answer = await self.ask(method, path, body, **headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def refused(
        self, status: int, slug: str, method: str, path: str, body: Any = None
    ) -> Any:
        """The problem, which must be this one."""
        answer = await self.ask(method, path, body)
        assert answer.status_code == status, answer.text
        problem = answer.json()
        assert problem["type"] == f"/problems/{slug}", problem
        return problem

    async def now(self, operation: Any) -> Any:
        """How an operation stands."""
        return await self.done("GET", f"/v1/operations/{operation['id']}")

    async def relay(self, operation: Any, *raws: str) -> Any:
        """Signed transactions, handed over."""
        path = f"/v1/operations/{operation['id']}/transactions"
        return await self.done("POST", path, {"transactions": list(raws)})

    async def sign(self, operation: Any, **changed: Any) -> Any:
        """Every transaction that can be signed now, signed and handed over."""
        by = next(wallet for wallet in self.wallets if wallet.address == operation["sender"])
        raws = [
            await by.sign(one["unsigned"], **changed)
            for one in operation["transactions"]
            if one["unsigned"] is not None
        ]
        return await self.relay(operation, *raws)

    async def until(self, operation: Any, *states: str) -> Any:
        """The operation, as soon as it is in one of these states."""

        async def there() -> Any:
            found = await self.now(operation)
            return found if found["state"] in states else None

        return await until(there, lambda: f"it is {operation}, not {states}")

    async def act(self, method: str, path: str, body: Any = None) -> Any:
        """A write, prepared, signed, in a block and indexed."""
        made = await self.sign(await self.done(method, path, body))
        made = await self.until(made, "included", "final")
        await self.stack.indexed()
        return made


async def until(
    there: Callable[[], Awaitable[Any]],
    otherwise: Callable[[], str] = lambda: "it did not come about",
    *,
    seconds: float = SECONDS,
) -> Any:
    """What `there` gives, as soon as it is something."""
    pause = 0.01
    try:
        async with asyncio.timeout(seconds):
            while not (found := await there()):
                await asyncio.sleep(pause)
                pause = min(0.1, pause * 1.3)
    except TimeoutError:
        raise AssertionError(otherwise()) from None
    return found


@asynccontextmanager
async def standing(
    database_url: str, given: dict[str, Any], *, services: tuple[str, str] | None = None
) -> AsyncIterator[Stack]:
    """Everything, for as long as the block runs. `given` are settings that a test wants so.

    Args:
        services: URLs by which the workers and the API go to the database; None: both as its owner.
    """
    async with AsyncExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        anvil = await stack.enter_async_context(Anvil())
        node = Node(anvil.url)
        stack.push_async_callback(node.close)
        await place_registries(node)
        line = await stack.enter_async_context(Line(anvil.url))
        bound = stack.enter_context(bind("127.0.0.1", 0))
        settings = _settings(database_url, line.url, redis.url, bound.getsockname()[1], given)
        of_workers, of_api = services or (database_url, database_url)
        where, asked = Database(of_workers, of_workers), Database(of_api, of_api)
        found = await stack.enter_async_context(_writing())
        found.reach(settings.rpc_urls)
        await stack.enter_async_context(
            beside(
                index_chains(settings, where, chosen(settings), None, documents=True, found=found)
            )
        )
        await stack.enter_async_context(answering(settings, asked, bound, found))
        writer = writers_for({CHAIN_ID: [anvil.url]})[CHAIN_ID]
        stack.push_async_callback(writer.close)
        pool = await connect_pool(database_url, min_size=1, max_size=4)
        stack.push_async_callback(pool.close)
        base = str(settings.public_url)
        client = httpx.AsyncClient(base_url=base, trust_env=False, timeout=SECONDS)
        await stack.enter_async_context(client)
        made = Stack(
            base=base,
            where=where,
            node=node,
            writer=writer,
            line=line,
            redis=redis,
            pool=pool,
            client=client,
            found=found,
        )
        for address in found.signer.addresses if found.signer else ():
            await made.fund(address)
        await made.indexed()
        yield made


@asynccontextmanager
async def _writing() -> AsyncIterator[Writing]:
    """As the settings would have it that name a signer: keystores take a second each to open."""
    keys = [keccak(b"server %d" % number) for number in range(SERVER_WALLETS)]
    found = Writing({}, LocalSigner.from_keys(keys))
    try:
        yield found
    finally:
        for writer in found.writers.values():
            await writer.close()


def _settings(
    database_url: str, node_url: str, redis_url: str, port: int, given: dict[str, Any]
) -> Settings:
    base = url("127.0.0.1", port)
    usual: dict[str, Any] = {
        "database_url": database_url,
        "redis_url": redis_url,
        "rpc_url": node_url,
        "chains": ("devnet",),
        "host": "127.0.0.1",
        "public_url": base,
        "poll_seconds": 0.05,
        "cursor_secret": "a secret of the tests",
        "key_pepper": PEPPER,
        "limits_json": PLENTY,
        "probe": False,
        "fetch_open": (f"localhost:{port}",),
    }
    return Settings(**(usual | given))
