"""What goes wrong at night, with everything running: no room on the disk, and deaths.

Nothing that was answered is lost, nothing is done twice, no entry of the audit log is half there,
and when the cause is gone all goes on by itself. Writers are reviews of an entry: each is a row, an
entry of that row, and an entry of the request.
"""

from __future__ import annotations

import asyncio
import os
import random
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
import httpx
import msgspec
import psutil
import pytest
from bench.rig import MockChain

from renown.chain.devnet.addresses import CHAIN_ID, DOLLAR
from renown.chain.devnet.dollars import transfer
from renown.cli.beside import beside
from renown.ingest.notary.verifying import Verdict
from renown.store import roles
from renown.store.accounts import set_operator
from renown.store.audit_facts import check_facts
from renown.store.embedded import EmbeddedPostgres
from renown.store.embedded.ephemeral import EPHEMERAL
from renown.store.embedded.programs import account_for
from renown.store.migrate import migrate
from renown.store.pool import Conn, Pool, connect_pool
from tests.access import PEPPER, PLENTY, Holder, acting_api, give_account
from tests.anvil import need_anvil
from tests.auditing import SEED, checked_at, notary
from tests.command import data_directory
from tests.counts import NIGHT_KILLS
from tests.e2e.acting.stack import Stack, standing
from tests.e2e.acting.stack import until as until_so
from tests.e2e.acting.test_registration import FILE
from tests.e2e.test_operations_kill import PROGRAM, free_port
from tests.integration.test_faults_database import (
    CHAIN,
    consistent_state,
    indexing,
    small_disk,
    stored,
    until,
    whole_state,
)
from tests.reading import reading
from tests.redis import valkey

DEADLINE_SECONDS = 60.0
SEED_OF_DICE = 8004
AT_ONCE = 6

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1_200)]


# Who writes and reads -----------------------------------------------------------------------------


class Read(msgspec.Struct, frozen=True):
    """A read with a key that was answered, and when, by the monotonic clock."""

    request_id: UUID
    at: float


class Clients:
    """Write reviews, each until it is taken, and read with a key.

    Attributes:
        done: by the number of the write, the id of the request that was answered with 201.
        refused: answers that were none, by status and problem.
        reads: with a key, answered with 200.
        cut: requests that nobody answered.
    """

    def __init__(self, http: httpx.AsyncClient, holder: Holder, entry_id: int) -> None:
        self.done: dict[int, UUID] = {}
        self.refused: Counter[str] = Counter()
        self.reads: list[Read] = []
        self.cut = 0
        self._http, self._holder, self._entry_id = http, holder, entry_id
        self._room = asyncio.Semaphore(AT_ONCE)

    async def write(self, number: int) -> None:
        """The write with this number: a review whose note is the number and much noise."""
        async with self._room:
            body = {"note": f"{number} {secrets.token_hex(1_900)}"}
            headers = self._holder.headers | {"Idempotency-Key": f"night-{number}"}
            while True:
                path = f"/v1/audit/{self._entry_id}/review"
                answer = await self._ask("POST", path, json=body, headers=headers)
                if answer is not None and answer.status_code == 201:
                    self.done[number] = UUID(answer.headers["X-Request-Id"])
                    return
                if answer is not None:
                    self._note(answer)
                await asyncio.sleep(0.1)

    async def read(self) -> int:
        """One read with a key; its status, 0 for no answer."""
        answer = await self._ask("GET", "/v1/account", headers=self._holder.headers)
        if answer is None:
            return 0
        if answer.status_code == 200:
            self.reads.append(Read(UUID(answer.headers["X-Request-Id"]), time.monotonic()))
        else:
            self._note(answer)
        return answer.status_code

    async def read_on(self, pause_seconds: float = 0.02) -> None:
        """Read until cancelled."""
        while True:
            await self.read()
            await asyncio.sleep(pause_seconds)

    async def _ask(self, method: str, path: str, **given: Any) -> httpx.Response | None:
        try:
            return await self._http.request(method, path, **given)
        except httpx.ConnectError:  # nobody is there
            return None
        except httpx.TransportError:
            self.cut += 1
            return None

    def _note(self, answer: httpx.Response) -> None:
        """A refusal says what it is, and when to come again."""
        assert answer.status_code in (409, 503), (answer.status_code, answer.text)
        assert answer.headers["content-type"] == "application/problem+json"
        assert int(answer.headers["Retry-After"]) >= 1
        problem = answer.json()["type"].removeprefix("/problems/")
        self.refused[f"{answer.status_code} {problem}"] += 1


async def operator(pool: Pool) -> tuple[Holder, int]:
    """Somebody who may review, and an entry to be reviewed."""
    holder = await give_account(pool)
    async with pool.transaction() as tx:
        await set_operator(tx, holder.account.account_id, True)
        entry_id = await tx.fetchval("SELECT min(entry_id) FROM audit_log")
    return holder, entry_id


REVIEWS = """
SELECT split_part(note, ' ', 1)::int AS number, review_id::text AS review_id FROM audit_review
"""
ROWS = """
SELECT subject_key, request_id FROM audit_log WHERE action = 'insert' AND subject = 'audit_review'
"""
ANSWERS = "SELECT request_id, status FROM audit_log WHERE action = 'request'"
READS = "SELECT request_id FROM audit_log WHERE action = 'read'"
WAITING = "SELECT count(*) FROM audit_pending"


async def every_write_once(url: str, clients: Clients) -> int:
    """Each write that was answered is one row, one entry of it, and has the entry of its answer.
    Returns how many entries of requests there are."""
    async with reading(url) as conn:
        reviews = await conn.fetch(REVIEWS)
        rows = {row["subject_key"]: row["request_id"] for row in await conn.fetch(ROWS)}
        answers = {row["request_id"]: row["status"] for row in await conn.fetch(ANSWERS)}
        told = await conn.fetchval("SELECT count(*) FROM audit_log WHERE action = 'request'")
    assert sorted(row["number"] for row in reviews) == sorted(clients.done)
    assert rows.keys() == {row["review_id"] for row in reviews}
    assert len(set(rows.values())) == len(rows)
    assert {answers.get(one) for one in clients.done.values()} == {201}
    count: int = told
    return count


async def all_taken(url: str) -> None:
    """Wait until every entry is numbered."""
    give_up_at = time.monotonic() + DEADLINE_SECONDS
    async with reading(url) as conn:
        while await conn.fetchval(WAITING):
            assert time.monotonic() < give_up_at
            await asyncio.sleep(0.1)


def require_whole(found: Verdict) -> None:
    assert found.is_whole, found.findings
    assert found.pending == 0
    assert found.entries == found.leaves


# No room ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chain() -> Iterator[MockChain]:
    with MockChain(5_000, "network") as running:
        yield running
    assert running._process.stdout is not None
    running._process.stdout.close()


FIRST, ALL = 10, 60
"""Writes before the disk is full, and in all."""
ROOM_BYTES = 2**20
"""What a ballast leaves of the disk."""


async def night_without_room(
    disk: Path, url: str, chain: MockChain, *, lives: bool
) -> tuple[Clients, Verdict]:
    """API, indexer and notary at work on a disk that fills up and is emptied again.

    Args:
        lives: the database lives on without room, and can be read.
    """
    ballast, folder = disk / "ballast", disk / "audit"
    pool = await connect_pool(url, min_size=1, max_size=8, timeout_seconds=1)
    async with acting_api(url, pool=pool) as api:
        clients = Clients(api.client, *await operator(api.pool))
        async with beside(notary(url, folder, checkpoint_seconds=0.2).run()):
            await asyncio.gather(*map(clients.write, range(FIRST)))
            async with indexing(url, chain) as supervisor, asyncio.TaskGroup() as writing:
                await until(lambda: stored(supervisor) > 0, "progress")
                with ballast.open("wb") as file:
                    os.posix_fallocate(file.fileno(), 0, shutil.disk_usage(disk).free - ROOM_BYTES)
                last = chain.world["last_block"]
                await until(
                    lambda: CHAIN in supervisor.problems or stored(supervisor) >= last, "trouble"
                )
                assert stored(supervisor) < last
                for number in range(FIRST, ALL):
                    writing.create_task(clients.write(number))
                await until(lambda: clients.refused.total() >= AT_ONCE, "refusals")
                for path in ("/v1/agents", "/v1/feedback", "/v1/account"):
                    headers = clients._holder.headers if path == "/v1/account" else {}
                    answer = await api.client.get(path, headers=headers)
                    assert answer.status_code == 200 if lives else answer.status_code in (200, 503)
                if lives:
                    async with reading(url) as conn:
                        await consistent_state(conn)
                assert len(clients.done) < ALL
                ballast.unlink()
            await api.app.state.desk.book.close()
            await all_taken(url)
        found = await checked_at(url, folder)
    require_whole(found)
    return clients, found


async def test_disk__full_under_the_tables__reads_are_served_and_all_goes_on_when_there_is_room(
    postgres: EmbeddedPostgres, chain: MockChain, capsys: pytest.CaptureFixture[str]
) -> None:
    with small_disk(owner=psutil.Process(postgres.pid).uids().real) as disk:
        async with reading(postgres.dsn()) as admin:
            await admin.execute(f"CREATE TABLESPACE night LOCATION '{disk}'")
            await admin.execute("CREATE DATABASE at_night TABLESPACE night TEMPLATE template0")
        try:
            url = postgres.dsn("at_night")
            await migrate(url)
            clients, found = await night_without_room(disk, url, chain, lives=True)
            told = await every_write_once(url, clients)
            state = await whole_state(url, chain)
        finally:
            async with reading(postgres.dsn()) as admin:
                await admin.execute("DROP DATABASE at_night WITH (FORCE)")
                await admin.execute("DROP TABLESPACE night")
    assert clients.refused.keys() & {"503 database-full", "503 audit-unavailable"}
    _print(capsys, "full disk under the tables", clients, found, told, state)


async def test_disk__full_under_the_log__goes_on_when_there_is_room(
    chain: MockChain, capsys: pytest.CaptureFixture[str]
) -> None:
    with data_directory() as place, small_disk(owner=account_for(place).uid) as disk:
        settings = {**EPHEMERAL, "max_wal_size": "1GB", "min_wal_size": "2MB"}
        options = ("--wal-segsize=1", "--no-sync", f"--waldir={disk / 'wal'}")
        with EmbeddedPostgres(place, settings=settings, initdb_options=options) as server:
            async with beside(server.keep_running(check_seconds=0.2)):
                url = server.dsn()
                await migrate(url)
                clients, found = await night_without_room(disk, url, chain, lives=False)
                told = await every_write_once(url, clients)
                state = await whole_state(url, chain)
    assert clients.refused.keys() & {"503 database-unavailable", "503 database-full"}
    _print(capsys, "full disk under the log", clients, found, told, state)


def _print(
    capsys: pytest.CaptureFixture[str],
    what: str,
    clients: Clients,
    found: Verdict,
    told: int,
    state: str,
) -> None:
    with capsys.disabled():
        sys.stdout.write(
            f"\n{what}: {dict(clients.refused)}; then {len(clients.done)} writes done once,"
            f" {told} entries of requests; audit log of {found.leaves} entries whole under"
            f" {found.checkpoints}; state {state[:12]} is that of the facts\n"
        )


# Deaths -------------------------------------------------------------------------------------------


class Installation(msgspec.Struct, frozen=True, kw_only=True):
    """API and notary, as they are started, again and again."""

    url: str
    port: int
    folder: Path
    log: Path

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator[list[Any]]:
        """Both, until the block ends: then they are killed."""
        with self.log.open("a") as stderr:
            started = [self._start(stderr, name) for name in ("serve", "notary")]
        try:
            yield started
        finally:
            for process in started:
                process.send_signal(signal.SIGKILL)
            for process in started:
                process.wait()

    def _start(self, stderr: Any, name: str) -> subprocess.Popen[bytes]:
        inherited = {k: v for k, v in os.environ.items() if not k.startswith("RENOWN_")}
        ours = {
            "DATABASE_URL": self.url,
            "DB_POOL_MIN_SIZE": "1",
            "DB_POOL_MAX_SIZE": "4",
            "RENOWN_HOST": "127.0.0.1",
            "RENOWN_PORT": str(self.port),
            "RENOWN_PUBLIC_URL": self.base,
            "RENOWN_DATA_DIR": str(self.folder),
            "RENOWN_AUDIT_DIR": str(self.folder / "audit"),
            "RENOWN_AUDIT_CHECKPOINT_SECONDS": "1",
            "RENOWN_AUDIT_KEY": SEED.hex(),
            "RENOWN_AUDIT_ORIGIN": "log.example",
            "RENOWN_CURSOR_SECRET": "a secret of the tests",
            "RENOWN_KEY_PEPPER": PEPPER,
            "RENOWN_LIMITS": PLENTY,
        }
        return subprocess.Popen(
            [*PROGRAM, name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env=inherited | ours,
        )


WRITES_A_LIFE = 60
LEAVES = "SELECT coalesce(max(seq), -1) FROM audit_leaf"


@pytest.fixture
async def pool(fresh_database_url: str) -> AsyncIterator[Pool]:
    opened = await connect_pool(fresh_database_url, min_size=1, max_size=2)
    yield opened
    await opened.close(grace_seconds=2)


async def test_api_and_notary__killed_at_random_moments__the_log_is_whole_and_no_write_is_missing(
    fresh_database_url: str, pool: Pool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, dice, began = fresh_database_url, random.Random(SEED_OF_DICE), time.monotonic()
    here = Installation(url=url, port=free_port(), folder=tmp_path, log=tmp_path / "log")
    deaths: list[float] = []
    async with (
        httpx.AsyncClient(base_url=here.base, trust_env=False, timeout=DEADLINE_SECONDS) as http,
        asyncio.timeout(2 * DEADLINE_SECONDS + 20 * NIGHT_KILLS),
    ):
        clients = Clients(http, *await operator(pool))
        async with reading(url) as conn, working(clients) as writing:
            for _ in range(NIGHT_KILLS):
                with here.running() as started:
                    await at_work(here, started, conn)
                    writing += more_writes(clients, len(writing))
                    enough = len(clients.done) + dice.randrange(1, WRITES_A_LIFE)
                    while len(clients.done) < enough:
                        require_alive(here, started)
                        await asyncio.sleep(0.001)
                    deaths.append(time.monotonic())
                await release_keys(pool)
            with here.running() as started:
                await at_work(here, started, conn)
                writing += more_writes(clients, len(writing))
                await asyncio.gather(*writing)
                await all_taken(url)
                last = time.monotonic()
                await asyncio.sleep(1.5)  # reads are told in batches, checkpoints every second
                require_alive(here, started)
    await notary(url, tmp_path / "audit").run_until_idle()

    found = await checked_at(url, tmp_path / "audit")
    require_whole(found)
    assert found.checkpoints["exported"] > NIGHT_KILLS
    assert found.covered == found.leaves
    told = await every_write_once(url, clients)
    async with reading(url) as conn:
        there = {row["request_id"] for row in await conn.fetch(READS)}
    missing = [one.at for one in clients.reads if one.request_id not in there and one.at < last]
    # How long before the next death each was answered. Some are heard when the server is dead.
    before = [min(death - at for death in deaths if death >= at - 1) for at in missing]
    assert max(before, default=0.0) < 5.0  # of a busy machine; see what is printed
    with capsys.disabled():
        sys.stdout.write(
            f"\nkill -9 of API and notary: {NIGHT_KILLS} kills over {len(clients.done)} writes and"
            f" {len(clients.reads)} reads; {clients.cut} requests died over,"
            f" {dict(clients.refused)}; {told} entries of requests, none missing; {len(missing)}"
            f" entries of reads missing, answered at most {max(before, default=0.0):.2f} s before a"
            f" death; log of {found.leaves} entries whole under {found.checkpoints};"
            f" {time.monotonic() - began:.0f} s\n"
        )


@asynccontextmanager
async def working(clients: Clients) -> AsyncIterator[list[asyncio.Task[None]]]:
    """Reads all the time, and the writes that are put into the list."""
    writing: list[asyncio.Task[None]] = []
    reading_on = asyncio.create_task(clients.read_on())
    try:
        yield writing
    finally:
        for task in (*writing, reading_on):
            task.cancel()
        await asyncio.gather(*writing, reading_on, return_exceptions=True)


async def at_work(here: Installation, started: list[Any], conn: Conn) -> None:
    """Wait until both work: a read was told, and numbered."""
    before = await conn.fetchval(LEAVES)
    while await conn.fetchval(LEAVES) == before:
        require_alive(here, started)
        await asyncio.sleep(0.02)


def more_writes(clients: Clients, first: int) -> list[asyncio.Task[None]]:
    """Writes of one life, begun."""
    return [asyncio.create_task(clients.write(first + n)) for n in range(WRITES_A_LIFE)]


async def release_keys(pool: Pool) -> None:
    """Who died holds idempotency keys for a minute, which nobody waits for here."""
    async with pool.connection() as conn:
        await conn.execute("UPDATE idempotency SET locked_until = now() WHERE status IS NULL")


def require_alive(here: Installation, processes: list[Any]) -> None:
    if any(process.poll() is not None for process in processes):
        raise AssertionError(f"it ended by itself: {here.log.read_text()[-2_000:]}")


# The least rights ---------------------------------------------------------------------------------

NAMES = roles.named("renown_night")
FORBIDDEN_TO_ALL = (
    *(f"UPDATE {table} SET at = at" for table in ("audit_log", "audit_leaf", "audit_review")),
    *(f"DELETE FROM {table}" for table in ("audit_log", "audit_leaf", "audit_node")),
    *(f"TRUNCATE {table}" for table in ("audit_log", "audit_checkpoint", "account", "agent")),
    *(f"DROP TABLE {table}" for table in ("audit_log", "audit_log_rest", "account")),
    "DELETE FROM audit_log_rest",
    "INSERT INTO audit_log_rest (action, subject, at) VALUES ('x', 'x', now())",
    "INSERT INTO audit_log (action, subject, db_user) VALUES ('x', 'x', 'postgres')",
    "INSERT INTO audit_log (action, subject, entry_id) VALUES ('x', 'x', 1)",
    "SELECT setval('audit_entry_id', 1)",
    "SELECT audit_add('insert', 'account', '1', NULL, NULL, NULL)",
    "ALTER TABLE audit_log DISABLE TRIGGER ALL",
    "ALTER TABLE account DISABLE TRIGGER audit_insert",
    "SET session_replication_role = replica",
    "UPDATE account SET is_operator = true",
    "INSERT INTO account (name, is_operator) VALUES ('me', true)",
    "INSERT INTO policy (name, value) VALUES ('review', '{}')",
    "CREATE TABLE mine (id int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine SUPERUSER",
    "SET ROLE renown",
    "SET SESSION AUTHORIZATION renown",
    "COPY account TO PROGRAM 'cat'",
    "SELECT pg_read_file('PG_VERSION')",
)
FORBIDDEN = {
    "api": (
        "SET ROLE renown_night_writer",
        "UPDATE agent SET owner = owner",
        "DELETE FROM feedback_given",
        "DELETE FROM audit_pending",
        "DELETE FROM audit_address_key",
        "UPDATE audit_address_key SET key = key",
        "INSERT INTO audit_leaf SELECT * FROM audit_leaf",
        "INSERT INTO audit_checkpoint SELECT * FROM audit_checkpoint",
        "SELECT refresh_view('network')",
        "SELECT ensure_audit_partitions()",
        "SELECT FROM v_db_activity",
    ),
    "writer": (
        "SET ROLE renown_night_api",
        "SELECT FROM audit_address_key",
        "INSERT INTO api_key SELECT * FROM api_key",
        "UPDATE api_key SET scopes = scopes",
        "INSERT INTO installation_mark (chain_id, agent_id, mark) VALUES (1, 1, 'hidden')",
        "INSERT INTO audit_review (entry_id, reviewer, note) VALUES (1, 'me', 'fine')",
        "INSERT INTO signer_grant SELECT * FROM signer_grant",
    ),
}


@asynccontextmanager
async def logins(url: str) -> AsyncIterator[dict[str, str]]:
    """URLs of a login that is an API's, and of a worker's, as an operator makes them."""
    made: dict[str, str] = {}
    async with reading(url) as owner:
        await roles.apply(owner, NAMES)
        for kind in ("api", "writer"):
            name, password = f"night_login_{kind}", secrets.token_hex(8)
            await owner.execute(
                f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {NAMES.of(kind)}"
            )
            parts = urlsplit(url)
            made[kind] = parts._replace(
                netloc=f"{name}:{password}@{parts.hostname}:{parts.port}"
            ).geturl()
        await roles.apply(owner, NAMES)  # limits go to logins
    try:
        yield made
    finally:
        async with reading(url) as owner:
            everyone = [*(NAMES.of(kind) for kind in roles.KINDS)]
            everyone += [f"night_login_{kind}" for kind in made]
            for name in everyone:
                await owner.execute(f"DROP OWNED BY {name}; DROP ROLE {name}")


async def test_everything__under_logins_with_the_least_rights__works_and_can_do_no_more(
    postgres: EmbeddedPostgres,
    fresh_database_url: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    need_anvil()
    valkey()
    url, server_log = fresh_database_url, postgres.data_dir / "server.log"
    begins = server_log.stat().st_size
    async with logins(url) as by:
        async with (
            beside(notary(by["writer"], tmp_path, checkpoint_seconds=0.2).run()),
            standing(url, {}, services=(by["writer"], by["api"])) as stack,
        ):
            await a_day_of_work(stack)
        await all_taken(url)
        said = server_log.read_bytes()[begins:].decode(errors="replace")
        for kind, forbidden in FORBIDDEN.items():
            async with reading(by[kind]) as conn:
                for statement in (*FORBIDDEN_TO_ALL, *forbidden):
                    with pytest.raises(asyncpg.PostgresError) as refused:
                        await conn.execute(statement)
                    assert refused.value.sqlstate == "42501", statement
    assert "permission denied" not in said, said[-3_000:]
    require_whole(await checked_at(url, tmp_path))
    async with reading(url) as conn:
        facts = await check_facts(conn, CHAIN_ID)
        rows = await conn.fetch("SELECT action, db_user, count(*) FROM audit_log GROUP BY 1, 2")
    assert facts.equal
    told = {(row["action"], row["db_user"]): row["count"] for row in rows}
    assert "foreign-write" not in {action for action, _ in told}
    assert told[("commit", "night_login_writer")]
    assert told[("request", "night_login_api")]
    with capsys.disabled():
        sys.stdout.write(f"\nunder two logins: {sum(told.values())} entries of {told}\n")


async def a_day_of_work(stack: Stack) -> None:
    """Something of everything that processes do: registered, crawled, rated, paid, validated."""
    owner, rater = await stack.account(), await stack.account()
    server = stack.server_wallet()
    managed = await stack.account(0, signer_wallets=[server])
    async with stack.pool.transaction() as tx:
        await set_operator(tx, owner.holder.account.account_id, True)
        entry_id = await tx.fetchval("SELECT min(entry_id) FROM audit_log")
    body = {"chain": "devnet", "from": owner.me, "file": FILE, "metadata": {"team": "north"}}
    made = await owner.act("POST", "/v1/agents", body)
    agent = f"/v1/agents/{made['agent']['key']}"
    hosted = {"chain": "devnet", "mode": "managed", "from": "0x" + server.hex(), "file": FILE}
    other = await managed.done("POST", "/v1/agents", hosted | {"store": "hosted"})
    await managed.until(other, "included", "final")
    await stack.give_dollars(rater.wallet)
    pay = transfer(owner.wallet.raw, 2_500_000)
    proof, claim = [
        {"tx_hash": f"0x{(await stack.act(rater.wallet, DOLLAR, pay)).tx_hash.hex()}"}
        for _ in range(2)
    ]
    await rater.act(
        "POST", f"{agent}/feedback", {"from": rater.me, "value": 90, "proof_of_payment": proof}
    )
    feedback = f"{agent}/feedback/{rater.me}/1"
    await owner.act("POST", f"{feedback}/responses", {"from": owner.me, "uri": "ipfs://y"})
    await rater.act("DELETE", feedback, {"from": rater.me})
    await stack.finalise()
    linked = await rater.ask("POST", f"{agent}/payments", claim)
    assert linked.status_code == 201, linked.text
    key = await owner.done("POST", "/v1/keys", {"name": "n", "scopes": ["read"]})
    await owner.done("POST", f"/v1/keys/{key['id']}/rotate", {"overlap_seconds": 5})
    await owner.done("POST", f"/v1/audit/{entry_id}/review", {"note": "seen"})
    await owner.done("PUT", f"{agent}/marks/reviewed", {"note": "a person looked"})
    assert (await owner.ask("DELETE", f"{agent}/marks/reviewed")).status_code == 204
    challenge = await owner.done("POST", "/v1/account/wallets/challenge", {"address": rater.me})
    assert challenge["message"]

    async def crawled() -> bool:
        found = await stack.client.get("/v1/agents", params={"q": "weather"})
        return found.status_code == 200 and len(found.json()["items"]) >= 2

    await until_so(crawled)

    async def refreshed() -> bool:
        async with stack.pool.connection() as conn:
            return not await conn.fetchval(
                "SELECT count(*) FROM v_view_age WHERE refreshed_at IS NULL"
            )

    await until_so(refreshed)
    for path in ("/v1/agents", agent, "/v1/feedback", "/v1/network", "/v1/status", "/readyz",
                 "/v1/audit", "/v1/audit/summary", "/v1/operations", "/v1/account",
                 "/metrics", "/status", "/health"):  # fmt: skip
        answer = await owner.ask("GET", path)
        assert answer.status_code == 200, (path, answer.text)
    checks = (await stack.get("/health"))["checks"]
    assert "down" not in {one["status"] for one in checks.values()}, checks
