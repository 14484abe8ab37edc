"""Reads while the chain forks under them: each answer is recomputed at the block it names.

`renown index` and `renown serve` are processes of their own, the node is a model that forks at
random, and readers ask over HTTP as fast as they are answered. An oracle that knows the events of
every branch (`tests.oracle`) says what each answer should have been. In the end PostgreSQL's own
checker looks into every index. How many reads: `tests.counts`.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from renown.api.answers.values import address
from renown.ingest.repair import verify_state
from renown.store.pool import connect
from tests.access import PEPPER, PLENTY
from tests.activity import DEVNET, Activity
from tests.counts import CHECKED_READS
from tests.encode import log_of
from tests.fakes.node import FakeNode
from tests.integrity import check_indexes
from tests.oracle import Oracle, RememberingChain
from tests.reading import reading

PROGRAM = [sys.executable, "-c", "from renown.cli import main; main()"]
CHAIN = DEVNET.chain_id
READERS = 8
FINAL_BLOCKS = 64
DEEPEST_FORK = 24
FIRST_BLOCKS = 60
BEAT_SECONDS = 0.1

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_800)]


class Network:
    """A chain on which things happen and which forks, and the node that shows it."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.chain = RememberingChain(seed, finality_lag=FINAL_BLOCKS)
        for contract in DEVNET.contracts:
            self.chain.deploy(contract)
        self.node = FakeNode(self.chain, seed=seed)
        self._activity = Activity(seed)
        self.forks = 0
        for _ in range(FIRST_BLOCKS):
            self._block()

    async def go_on(self) -> None:
        """For ever: blocks, and every third time a fork."""
        while True:
            if self.dice.random() < 0.3:
                self.fork()
            else:
                for _ in range(self.dice.randint(1, 3)):
                    self._block()
            await asyncio.sleep(BEAT_SECONDS * self.dice.choice((0.3, 1, 1.5)))

    def fork(self) -> None:
        """Another branch, at least as long; at times the first one wins in the end."""
        depth = self.dice.choice((1, 1, 2, 3, 7, self.dice.randint(1, DEEPEST_FORK)))
        orphans = self.chain.reorg(depth, [])
        for _ in range(depth + self.dice.randint(0, 1)):
            self._block()
        if self.dice.random() < 0.2:
            self.chain.adopt(orphans)
            self._block()
        self.forks += 1

    def _block(self) -> None:
        facts = self.dice.choice((0, 1, 2, 6))
        _, found = self._activity.block(self.chain.head.number + 1, bytes(32), facts=facts)
        self.chain.append([log_of(fact) for fact in found], found)


class Readers:
    """Clients that ask, and compare what they are told with the oracle."""

    def __init__(self, network: Network, url: str, most: int) -> None:
        self._network, self._url, self._most = network, url, most
        self._oracle = Oracle(network.chain, DEVNET)
        self.asked = 0
        self.checked: Counter[str] = Counter()
        self.blocks: set[str] = set()
        self.orphaned = 0

    async def all_of_them(self) -> None:
        async with aiohttp.ClientSession(self._url) as session, asyncio.TaskGroup() as group:
            for number in range(READERS):
                group.create_task(self._one(session, random.Random(number)))

    async def _one(self, session: aiohttp.ClientSession, dice: random.Random) -> None:
        held: dict[str, tuple[str, Any]] = {}
        while self.asked < self._most:
            self.asked += 1
            path = self._path(dice)
            headers, known = {}, held.get(path)
            if known is not None and dice.random() < 0.5:
                headers["If-None-Match"] = known[0]
            async with session.get(path, headers=headers) as answer:
                if answer.status == 304:
                    assert known is not None
                    self._check(path, _block_named(answer.headers["Renown-As-Of"]), known[1], "304")
                elif answer.status == 200:
                    body = await answer.json()
                    if "at=" not in path:
                        held[path] = answer.headers["ETag"], body
                    self._check(path, _block_of(body), body, "200")
                else:
                    self._refused(path, answer.status, await answer.text())

    def _path(self, dice: random.Random) -> str:
        roll = dice.random()
        if roll < 0.05:
            who = address(dice.choice(self._network._activity._accounts))
            return f"/v1/agents?owner={who}&limit=100"
        if roll < 0.08:
            return f"/v1/agents?chain={CHAIN}&limit=20"
        what = dice.choice(
            (
                *("", "", "/reputation", "/reputation", "/stats", "/metadata", "/validations"),
                *("/feedback", "/feedback?limit=3", "/feedback?tag1=starred"),
                "/feedback?include_revoked=true&include_superseded=true&limit=100",
            )
        )
        path = f"/v1/agents/{CHAIN}:{dice.randrange(10)}{what}"
        if roll < 0.2 and what != "/stats":
            head = self._network.chain.head.number
            path += f"{'&' if '?' in path else '?'}at={max(1, head - dice.randint(0, 60))}"
        return path

    def _check(self, path: str, block: str, body: Any, status: str) -> None:
        wanted = self._oracle.answer(block, path)
        said = {k: v for k, v in body.items() if k not in ("as_of", "next_cursor")}
        said.pop("search", None)
        assert said == wanted, (status, path, block)
        kind = "past" if "at=" in path else status
        self.checked[f"{kind} {re.sub(r'[0-9]+:[0-9]+', '{key}', path.partition('?')[0])}"] += 1
        self.blocks.add(block)
        self.orphaned += self._network.chain.block_by_hash(block) is None

    def _refused(self, path: str, status: int, text: str) -> None:
        """No agent of that number at the moment of asking; and no past beyond the index's head."""
        assert (status == 404 and "agent-not-found" in text) or (
            status == 400 and "at=" in path and ("beyond" in text or "start" in text)
        ), (path, status, text)
        self.checked[f"refused {status}"] += 1


def _block_of(body: Any) -> str:
    block = body["as_of"]
    return str((block[0] if isinstance(block, list) else block)["block_hash"])


def _block_named(header: str) -> str:
    found = re.search(r'hash="(0x[0-9a-f]{64})"', header)
    assert found, header
    return found[1]


@contextmanager
def running(log: Path, *args: str, **settings: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command of ours in a process of its own."""
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
    with log.open("w") as output:
        process = subprocess.Popen(
            [*PROGRAM, *args],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=inherited | settings,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def installation(url: str, node_url: str, folder: Path) -> AsyncIterator[str]:
    """The indexer and the API, following the node; yields where the API listens."""
    index, serve = folder / "index.log", folder / "serve.log"
    settings = {"DATABASE_URL": url, "RENOWN_DATA_DIR": str(folder / "renown")}
    following = {"RPC_URL": node_url, "RENOWN_POLL_SECONDS": "0.05"}
    answering = {"RENOWN_KEY_PEPPER": PEPPER, "RENOWN_LIMITS": PLENTY}
    with (
        running(index, "index", "--chain", "devnet", **settings, **following) as indexer,
        running(serve, "serve", "--port", "0", **settings, **answering) as api,
    ):
        async with asyncio.timeout(60):
            while (found := re.search(r"serving (http://\S+)/ ", serve.read_text())) is None:
                assert api.poll() is None, serve.read_text()
                await asyncio.sleep(0.05)
            async with reading(url) as conn:
                while not await conn.fetchval("SELECT phase = 'follow' FROM checkpoint"):
                    assert indexer.poll() is None, index.read_text()
                    await asyncio.sleep(0.05)
        yield found[1]
        assert indexer.poll() is None, index.read_text()[-3_000:]


async def test_reads__under_load_while_the_chain_forks__are_true_at_the_block_they_name(
    fresh_database_url: str, tmp_path: Path
) -> None:
    network = Network(seed=8004)
    async with (
        network.node.serve() as node_url,
        installation(fresh_database_url, node_url, tmp_path) as url,
    ):
        happening = asyncio.create_task(network.go_on())
        readers = Readers(network, url, CHECKED_READS)
        await readers.all_of_them()
        assert not happening.done()
        happening.cancel()
        async with reading(fresh_database_url) as conn:
            retractions = await conn.fetchval("SELECT count(*) FROM outbox WHERE kind = 'retract'")

    lines = [
        (
            f"{sum(readers.checked.values()):,} reads checked at {len(readers.blocks):,} blocks, "
            f"{readers.orphaned:,} of them orphaned since; {network.forks} forks, "
            f"{retractions} retractions"
        ),
        *(f"  {number:7,}  {kind}" for kind, number in sorted(readers.checked.items())),
    ]
    sys.stdout.write("\n" + "\n".join(lines) + "\n")
    assert readers.asked == CHECKED_READS
    assert retractions > 3
    assert readers.orphaned > 0
    assert any(kind.startswith("304") for kind in readers.checked)
    conn = await connect(fresh_database_url)
    try:
        assert (await verify_state(conn, CHAIN)).equal
        checked, wrong = await check_indexes(conn)
        sys.stdout.write(f"  {checked} indexes checked\n")
        assert checked > 50
        assert wrong == []
    finally:
        await conn.close()


async def test_index_check__of_an_index_that_lacks_a_row__finds_it(
    fresh_database_url: str,
) -> None:
    async with reading(fresh_database_url) as conn:
        await conn.execute("SET allow_system_table_mods = on")
        await conn.execute(
            "UPDATE pg_index SET indisready = false WHERE indexrelid = 'host_pkey'::regclass"
        )
        await conn.execute("INSERT INTO host (host, rest_until) VALUES ('a.example', now())")
        await conn.execute(
            "UPDATE pg_index SET indisready = true WHERE indexrelid = 'host_pkey'::regclass"
        )

        _, wrong = await check_indexes(conn)

    assert len(wrong) == 1
    assert "host_pkey" in wrong[0]


@pytest.mark.parametrize(
    ("what", "change"),
    [
        ("owner", lambda agent: agent | {"owner": address(bytes(20))}),
        ("a count", lambda agent: agent | {"counts": agent["counts"] | {"feedback": 10**6}}),
    ],
    ids=lambda part: part if isinstance(part, str) else "",
)
def test_oracle__of_a_wrong_answer__refuses_it(
    what: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    network = Network(seed=1)
    readers = Readers(network, "", 1)
    block = network.chain.head.hash
    path = f"/v1/agents/{CHAIN}:0"
    right = readers._oracle.answer(block, path)
    assert right is not None

    readers._check(path, block, right, "200")
    with pytest.raises(AssertionError):
        readers._check(path, block, change(right), "200")
