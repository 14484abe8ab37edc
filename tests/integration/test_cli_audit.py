"""`renown audit` and `renown notary` as an operator, and as a stranger with a proof, runs them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from renown.errors import EX_DATAERR, EX_NOINPUT, EX_USAGE
from renown.ingest.notary.folder import LOG
from tests.auditing import SEED, SIGNER, a_log, checked_at, opened, request, written
from tests.command import Outcome, renown

Cli = Callable[..., Outcome]

REQUESTS = (
    "SELECT count(*) FROM audit_leaf JOIN audit_log USING (entry_id) WHERE action = 'request'"
)


@pytest.fixture
def cli(fresh_database_url: str, tmp_path: Path) -> Cli:
    asyncio.run(a_log(fresh_database_url, tmp_path / "audit"))
    settings = {
        "DATABASE_URL": fresh_database_url,
        "RENOWN_DATA_DIR": str(tmp_path),
        "RENOWN_AUDIT_KEY": SEED.hex(),
        "RENOWN_AUDIT_ORIGIN": SIGNER.verifier.name,
    }
    return lambda *args, **more: renown(*args, **(settings | more))


def told(outcome: Outcome) -> dict[str, Any]:
    assert outcome.code == 0, outcome.err
    found: dict[str, Any] = json.loads(outcome.out)
    return found


def change(url: str, statement: str) -> None:
    async def run() -> None:
        async with opened(url) as conn, conn.transaction():
            await conn.execute("SET LOCAL session_replication_role = replica")
            await conn.execute(statement)

    asyncio.run(run())


def test_verify__a_log_as_it_was__leaves_with_0_and_one_that_was_changed_with_65(
    cli: Cli, fresh_database_url: str, tmp_path: Path
) -> None:
    whole = told(cli("audit", "verify", "--json"))
    assert (whole["is_whole"], whole["leaves"], whole["covered"]) == (True, 40, 40)

    aside = tmp_path / "audit" / LOG
    elsewhere = tmp_path / "elsewhere"
    aside.rename(elsewhere)
    alone = cli("audit", "verify")
    assert alone.code == 0
    assert "a rewrite of everything would not be seen" in alone.err
    assert cli("audit", "verify", "--checkpoints", str(elsewhere)).code == 0

    change(fresh_database_url, "UPDATE audit_log SET status = 1 WHERE entry_id = 6")
    broken = cli("audit", "verify", "--checkpoints", str(elsewhere))
    assert broken.code == EX_DATAERR
    assert broken.err.splitlines()[-1] == "entry 5: entry 6 is not as it was (entry-changed)"
    assert "BROKEN" in broken.out


def test_prove_and_check__by_a_stranger_without_a_database__and_nothing_changed_passes(
    cli: Cli, tmp_path: Path
) -> None:
    proof = told(cli("audit", "prove", "14", "--json"))
    file = tmp_path / "proof.json"

    def checked(*more: str, **changes: Any) -> Outcome:
        file.write_text(json.dumps(proof | changes))
        return renown("audit", "check", str(file), *more)

    good = checked("--key", SIGNER.verifier.text)
    assert good.code == 0, good.err
    assert "policy" in good.out
    assert "the key is the proof's own" in checked().err
    assert checked(payload=proof["payload"].replace("policy", "police")).code == EX_DATAERR
    assert checked(seq=proof["seq"] + 1).code == EX_DATAERR
    assert checked(proof=proof["proof"][1:]).code == EX_DATAERR
    assert checked(checkpoint=proof["checkpoint"].replace("\n40\n", "\n41\n")).code == EX_DATAERR
    assert checked(payload=None).code == 0
    assert checked(verifier="").code == EX_USAGE
    assert checked(format="other").code == EX_USAGE
    assert checked("--key", "no key").code == EX_USAGE
    assert cli("audit", "prove", "999").code == EX_NOINPUT


def test_prove__an_entry_that_was_changed__gives_no_proof(
    cli: Cli, fresh_database_url: str
) -> None:
    change(fresh_database_url, "UPDATE audit_log SET status = 1 WHERE entry_id = 6")

    assert cli("audit", "prove", "6").code == EX_DATAERR


def test_consistency__of_two_sizes__shows_both_roots(cli: Cli) -> None:
    found = told(cli("audit", "consistency", "12", "40", "--json"))
    shown = told(cli("audit", "checkpoint", "--json"))

    assert shown["checkpoint"].split("\n")[2] == found["new_root"]
    assert shown["size"] == 40
    assert shown["verifier"] == SIGNER.verifier.text
    assert cli("audit", "consistency", "40", "41").code == EX_USAGE


def test_checkpoint__now__numbers_and_signs_what_waits(cli: Cli, fresh_database_url: str) -> None:
    asyncio.run(written(fresh_database_url, [request(1)]))
    assert told(cli("audit", "checkpoint", "--json"))["size"] == 40

    assert told(cli("audit", "checkpoint", "--now", "--json"))["size"] == 41


def test_checkpoint__of_a_restored_database__is_refused_until_the_operator_accepts_it(
    cli: Cli, fresh_database_url: str, tmp_path: Path
) -> None:
    for table in ("audit_log", "audit_leaf"):
        change(fresh_database_url, f"DELETE FROM {table} WHERE entry_id > 12")
    change(fresh_database_url, "DELETE FROM audit_node WHERE (index + 1) << level::int > 12")
    change(fresh_database_url, "DELETE FROM audit_checkpoint WHERE size > 12")

    refused = cli("audit", "checkpoint", "--now")
    assert refused.code == EX_DATAERR
    assert "the database is an older copy" in refused.err
    asked = cli("audit", "checkpoint", "--accept-restore")
    assert "nothing was changed" in asked.err
    assert cli("audit", "checkpoint", "--now").code == EX_DATAERR

    assert cli("audit", "checkpoint", "--accept-restore", "--yes").code == 0

    assert told(cli("audit", "checkpoint", "--now", "--json"))["size"] == 13
    assert cli("audit", "verify").code == 0
    proof = told(cli("audit", "prove", "41", "--json"))
    assert '"restore"' in proof["payload"]
    assert list((tmp_path / "audit").glob("checkpoints-given-up-*.log"))


async def test_notary__killed_and_then_told_to_stop__signs_all_that_was_written(
    fresh_database_url: str, tmp_path: Path
) -> None:
    url = fresh_database_url
    env = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {
        "DATABASE_URL": url,
        "RENOWN_DATA_DIR": str(tmp_path),
        "RENOWN_AUDIT_KEY": SEED.hex(),
        "RENOWN_AUDIT_ORIGIN": SIGNER.verifier.name,
    }

    async def started() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", "import renown.cli as c; c.main()", "notary"),
            env=env,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def numbered(count: int) -> None:
        async with opened(url) as conn, asyncio.timeout(40):
            while True:
                if await conn.fetchval(REQUESTS) >= count:  # it tells of its settings, too
                    return
                await asyncio.sleep(0.02)

    await written(url, [request(n) for n in range(5)])
    first = await started()
    await numbered(5)
    await written(url, [request(n) for n in range(5)])
    first.kill()
    await first.wait()
    second = await started()
    await written(url, [request(5)])  # the first may have taken the others before it was killed
    await numbered(11)
    await written(url, [request(n) for n in range(2)])
    second.send_signal(signal.SIGTERM)

    assert await second.wait() == 0
    found = await checked_at(url, tmp_path / "audit")
    assert found.is_whole, found.findings
    assert (found.covered, found.pending) == (found.leaves, 0)
    await numbered(13)
