"""Bulk files say what the index said at their block, whatever happens while they are written."""

from __future__ import annotations

import asyncio
import errno
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from renown.api.answers import agents as agent_answers
from renown.api.answers import feedback as feedback_answers
from renown.exports.folder import Output
from renown.spec.events import FeedbackGiven
from renown.store.exported import FORMATS
from renown.store.exporting_tables import TABLES
from renown.store.feedback import Filter
from renown.store.lease import acquire
from renown.store.pool import connect
from tests.activity import DEVNET, Activity
from tests.command import Outcome, renown
from tests.factories import ALICE, BASE, BOB, CAROL, DAVE, Story
from tests.integration.test_api_answers import devnet_story
from tests.integration.test_writer import GENESIS, World, extension, world

FACTS = "agents,feedback,responses"
"""The tables that are wholly of a block."""

Export = Callable[..., Outcome]


@pytest.fixture
def export(tmp_path: Path) -> Export:
    """`export(url, ...)` runs the command with its own data directory."""

    def run(url: str, *args: str) -> Outcome:
        return renown("export", *args, DATABASE_URL=url, RENOWN_DATA_DIR=str(tmp_path / "data"))

    return run


async def fill(url: str, blocks: World, final: int) -> None:
    conn = await connect(url)
    writer = await acquire(conn, DEVNET, start_block=1, genesis_hash=GENESIS, name="test")
    new = [block for block in blocks if block[0].number > writer.checkpoint.block_number]
    for start in range(0, len(new), 5):
        await writer.extend(extension(new[start : start + 5]))
    await writer.report(head=blocks[-1][0].number, final=final, safe=None, phase="follow")
    await writer.close()


async def sql(url: str, *statements: str) -> None:
    conn = await connect(url)
    for statement in statements:
        await conn.execute(statement)
    await conn.close()


def manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def table(folder: Path, name: str) -> list[dict[str, Any]]:
    """All rows of a table of a JSON lines export."""
    files = next(t["files"] for t in manifest(folder)["tables"] if t["name"] == name)
    texts = [(folder / file["name"]).read_text() for file in files]
    return [json.loads(line) for text in texts for line in text.splitlines()]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for path in folder.iterdir() if path.name != "manifest.json"
    }


# As of a block -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(2))
def test_export__at_a_block_of_the_past__has_the_bytes_of_an_index_that_stopped_there(
    new_database: Callable[[str], str], template: str, tmp_path: Path, export: Export, seed: int
) -> None:
    blocks = world(Activity(seed), 1, 60)
    whole, stopped = new_database(template), new_database(template)
    asyncio.run(fill(whole, blocks, final=40))
    asyncio.run(fill(stopped, blocks[:40], final=40))

    now = export(whole, "--format", "jsonl", "--table", FACTS, "--out", str(tmp_path / "whole"))
    then = export(stopped, "--format", "jsonl", "--table", FACTS, "--out", str(tmp_path / "then"))

    assert (now.code, then.code) == (0, 0), now.err + then.err
    assert contents(tmp_path / "whole") == contents(tmp_path / "then")
    assert [b["block_number"] for b in manifest(tmp_path / "whole")["as_of"]] == [40]
    assert all(table(tmp_path / "whole", name) for name in FACTS.split(","))


def test_export__agents_and_feedback__are_what_the_api_answers(
    new_database: Callable[[str], str], template: str, tmp_path: Path, export: Export
) -> None:
    url, out = new_database(template), tmp_path / "out"
    asyncio.run(fill(url, world(Activity(5), 1, 60), final=30))

    async def answered() -> tuple[list[Any], list[Any]]:
        conn = await connect(url, numeric_as_int=True)
        agents = await agent_answers.agents(conn, chain_id=31337, at=45, limit=1000)
        wanted = Filter(revoked=True, superseded=True)
        said = await feedback_answers.across(conn, wanted, chain_id=31337, at=45, limit=1000)
        await conn.close()
        return agents.body.items, said.body.items

    outcome = export(url, "--at", "45", "--format", "jsonl", "--table", FACTS, "--out", str(out))

    assert outcome.code == 0, outcome.err
    agents, said = asyncio.run(answered())
    rows = table(out, "agents")
    assert [row["key"] for row in rows] == [a.key for a in reversed(agents)] != []
    for row, a in zip(rows, reversed(agents), strict=True):
        assert row["uri"] == a.uri
        assert (row["uuid"], row["agent_id"], row["wallet_state"]) == (
            *(a.uuid, a.agent_id, a.wallet_state),
        )
        assert row["owner"] == a.owner.lower()
        assert row["wallet"] == (a.wallet and a.wallet.lower())
        assert (row["uri_block"], row["transfers"]) == (a.uri_block, a.transfers)
        assert row["created_at"] == f"{a.created_at:%Y-%m-%dT%H:%M:%S.%fZ}"
        assert [row[f"{name}_count"] for name in COUNTS] == [
            *(a.counts.feedback, a.counts.revoked, a.counts.clients, a.counts.responses),
            *(a.counts.validations, a.counts.validations_answered),
        ]
    given = table(out, "feedback")
    assert len(given) == len(said) > 5
    for row, one in zip(given, reversed(said), strict=True):
        assert (row["value"], row["decimals"]) == (one.value, one.decimals)
        assert row["tag1"].startswith(one.tag1)  # a page cuts long ones
        assert (row["revoked_block"], row["response_count"]) == (one.revoked_block, one.responses)
        assert row["attached"] == one.attached
        assert row["tx_hash"] == one.tx_hash


COUNTS = ("feedback", "revoked", "client", "response", "validation", "validation_responded")


def test_export__hostile_strings_and_extreme_values__stay_exact_in_every_format(
    fresh_database_url: str, tmp_path: Path, export: Export
) -> None:
    story = devnet_story()
    asyncio.run(story.write(fresh_database_url, final=story.number))
    given = {(f.block_number, f.log_index): f for f in story.facts if isinstance(f, FeedbackGiven)}

    for form in ("jsonl", "parquet", "csv"):
        outcome = export(fresh_database_url, "--format", form, "--out", str(tmp_path / form))
        assert outcome.code == 0, outcome.err
    in_parquet = pq.read_table(tmp_path / "parquet" / "feedback-31337-00000.parquet").to_pylist()

    for rows in (table(tmp_path / "jsonl", "feedback"), in_parquet):
        assert len(rows) == len(given)
        for row in rows:
            fact = given[row["block_number"], row["log_index"]]
            assert (int(row["value"]), row["decimals"]) == (fact.value, fact.decimals)
            for name in ("tag1", "tag2", "endpoint", "uri"):
                beside = row[f"{name}_hex"]
                text = row[name].encode() if beside is None else bytes.fromhex(beside[2:])
                assert text == getattr(fact, name)


# What was found ----------------------------------------------------------------------------------

FOUND = (
    r"""
INSERT INTO document (sha256, raw, size_bytes, class, reading, content, registration, findings,
                      template, reader)
SELECT sha256(convert_to(n::text, 'UTF8')),
       convert_to('{"n":' || n || '}' || E'\t\\N\n', 'UTF8'), 11, 'registration', 'tolerant', '{}',
       jsonb_build_object('name', 'Agent ' || n, 'x402', n % 2 = 0, 'updated_at', 1766000000,
                          'trust', '["reputation", "a\u001fb"]'::jsonb,
                          'services', '[{"kind": "mcp"}]'::jsonb),
       '[{"code": "no-type", "path": "", "detail": ""}]', '\xab', 1
  FROM generate_series(1, 3) n""",
    r"""
INSERT INTO agent_profile (chain_id, agent_id, document_id, state, name, description, findings,
                           domains, terms, owner, created_at, active_at, revision)
SELECT 31337, 0, document_id, 'tolerant', '=1+1', E'two\nlines "and" \\ more', '[
       {"code": "missing-name", "path": "/name", "detail": "a\tb"},
       {"code": "not-known-here", "path": "", "detail": ""}]',
       '{agent.example}', '{kind=mcp,kind=a2a,tool=search,skill=a/b,skill=a,x402=yes,tag=}',
       '\x00', now(), now(), 1
  FROM document ORDER BY document_id LIMIT 1""",
    """
INSERT INTO endpoint (hash, protocol, url, host, capabilities)
VALUES ('', 'mcp', 'https://agent.example/mcp', 'agent.example', '{"tools": ["search"]}')""",
    """
INSERT INTO agent_endpoint SELECT 31337, 0, 2, 'mcp', endpoint_id FROM endpoint""",
    """
INSERT INTO uri (hash, uri, kind, host, fixed, stage)
VALUES (sha256('x'), 'ipfs://r', 'ipfs', 'ipfs:', true, 1)""",
    """
INSERT INTO attachment (chain_id, block_number, log_index, role, agent_id, uri_id, verdict)
SELECT 31337, 1, 0, 'feedback', 0, uri_id, 'mismatch' FROM uri""",
)


def test_export__what_was_found__stands_beside_agents_and_by_itself(
    fresh_database_url: str, tmp_path: Path, export: Export
) -> None:
    story = Story().mint(0, ALICE, b"https://a.example").mint(1, BOB).next_block()
    asyncio.run(story.write(fresh_database_url, final=story.number))
    asyncio.run(sql(fresh_database_url, *FOUND))

    outcome = export(fresh_database_url, "--format", "jsonl", "--out", str(tmp_path / "out"))

    assert outcome.code == 0, outcome.err
    agent, bare = table(tmp_path / "out", "agents")
    assert (agent["name"], agent["description"]) == ("=1+1", 'two\nlines "and" \\ more')
    assert (agent["kinds"], agent["tools"]) == (["mcp", "a2a"], ["search"])
    assert (agent["skills"], agent["tags"]) == (["a/b", "a"], [])
    assert (agent["verified_hosts"], agent["leads"]) == (["agent.example"], True)
    assert {bare[name] for name in ("profile_at", "state", "name", "kinds", "leads")} == {None}
    documents = table(tmp_path / "out", "documents")
    assert documents[0]["raw"] == "eyJuIjoxfQlcTgo="  # {"n":1} tab \N line feed
    assert agent["document_sha256"] == documents[0]["sha256"]
    assert documents[0]["findings"] == [{"code": "no-type", "path": "", "detail": ""}]
    registration = table(tmp_path / "out", "registrations")[1]
    assert (registration["name"], registration["x402"]) == ("Agent 2", True)
    assert registration["trust"] == ["reputation", "a b"]
    assert registration["updated_at"] == "1766000000"
    assert (registration["services"], registration["claims"]) == ([{"kind": "mcp"}], None)
    known, unknown = table(tmp_path / "out", "findings")
    assert (known["key"], known["code"], known["detail"]) == (agent["key"], "missing-name", "a\tb")
    assert (unknown["code"], unknown["severity"]) == ("not-known-here", None)
    (endpoint,) = table(tmp_path / "out", "endpoints")
    assert (endpoint["url"], endpoint["verdict"]) == ("https://agent.example/mcp", "unknown")
    assert endpoint["capabilities"] == {"tools": ["search"]}
    (attachment,) = table(tmp_path / "out", "attachments")
    assert (attachment["uri"], attachment["verdict"]) == ("ipfs://r", "mismatch")


def test_export__manifest__describes_every_file_and_column(
    fresh_database_url: str, tmp_path: Path, export: Export
) -> None:
    story = Story().mint(0, ALICE).next_block()
    asyncio.run(story.write(fresh_database_url, final=1))
    base = Story(BASE, first_block=100).mint(0, ALICE).next_block()
    asyncio.run(base.write(fresh_database_url))

    outcome = export(fresh_database_url, "--out", str(tmp_path / "out"), "--json")

    assert outcome.code == 0, outcome.err
    found = manifest(tmp_path / "out")
    assert json.loads(outcome.out) == found
    assert [t["name"] for t in found["tables"]] == list(TABLES)
    without, devnet = found["as_of"]  # by chain id
    assert (devnet["block_number"], devnet["finality"]) == (1, "final")
    assert devnet["block_hash"] == "0x" + story.hash_of(1).hex()
    assert (without["slug"], without["block_number"]) == ("base", None)
    assert "base: no final block yet" in outcome.err
    for one in found["tables"]:
        assert one["files"]
        for file in one["files"]:
            read = pq.read_table(tmp_path / "out" / file["name"])
            assert read.num_rows == file["rows"]
            assert read.schema.names == [column["name"] for column in one["columns"]]
            assert read.schema.metadata[b"renown.table"].decode() == one["name"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "manifest.json",
        *(file["name"] for one in found["tables"] for file in one["files"]),
    }


# Cut short ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def busy(database_url: str) -> str:
    """An index of 1,200 agents with feedback, everything final up to block 60."""
    story, choose = Story(), random.Random(1)
    for agent in range(1_200):
        story.mint(agent, (ALICE, BOB, CAROL)[agent % 3], b"https://a.example/%d" % agent)
        for index in range(choose.randrange(3)):
            story.give(agent, DAVE, index + 1, choose.randrange(100))
        if agent % 20 == 19:
            story.next_block()
    assert story.number == 61
    story.transfer(7, BOB, CAROL).say_uri(500, b"ipfs://new").revoke(2, DAVE, 1).mint(5_000)
    asyncio.run(story.write(database_url, final=60))
    asyncio.run(sql(database_url, *FOUND[:2]))
    return database_url


SMALL = ("--format", "jsonl", "--part-rows", "200", "--table", f"{FACTS},documents,findings")


def started(url: str, out: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("renown")), "export", *SMALL, "--out", str(out)],
        env={**os.environ, "DATABASE_URL": url, "RENOWN_DATA_DIR": str(out.parent / "data")},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def parts_done(out: Path) -> int:
    try:
        return len(json.loads((out / "progress.json").read_text())["parts"])
    except (OSError, ValueError):
        return -1


@pytest.mark.slow
def test_export__killed_and_interrupted_again_and_again__has_the_bytes_of_one_that_was_not(
    busy: str, tmp_path: Path, export: Export
) -> None:
    assert export(busy, *SMALL, "--out", str(tmp_path / "at-once")).code == 0
    whole = len(contents(tmp_path / "at-once"))
    assert whole > 15

    out, codes = tmp_path / "cut", []
    for blow, after in ((signal.SIGKILL, 0), (signal.SIGKILL, 4), (signal.SIGINT, 9)):
        process = started(busy, out)
        while process.poll() is None and parts_done(out) < after:
            time.sleep(0.002)
        process.send_signal(blow)
        process.communicate(timeout=30)
        codes.append(process.returncode)
        assert parts_done(out) < whole
    assert export(busy, *SMALL, "--out", str(out)).code == 0

    assert codes == [-signal.SIGKILL, -signal.SIGKILL, 130]
    assert contents(out) == contents(tmp_path / "at-once")
    assert manifest(out)["tables"] == manifest(tmp_path / "at-once")["tables"]


@pytest.mark.parametrize("form", FORMATS)
def test_export__disk_full_in_the_middle__says_so_and_goes_on_later(
    busy: str, tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    args = (busy, "--format", form, "--part-rows", "400", "--table", FACTS)
    assert export(*args, "--out", str(tmp_path / "at-once")).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(WRITE, failing_after(manifest(tmp_path / "at-once")["bytes"] * 2 // 3))
        full = export(*args, "--out", str(tmp_path / "out"))

    assert full.code == 75
    assert "no space left on device" in full.err
    noted = json.loads((tmp_path / "out" / "progress.json").read_text())["parts"]
    assert noted
    complete = {part["file"]["name"] for part in noted}
    assert {path.name for path in (tmp_path / "out").iterdir()} == complete | {"progress.json"}
    later = export(*args, "--out", str(tmp_path / "out"))
    assert later.code == 0
    assert "going on with" in later.err
    assert contents(tmp_path / "out") == contents(tmp_path / "at-once")


WRITE = "renown.exports.folder.Output.write"


def failing_after(room: int) -> Callable[..., int]:
    """`Output.write` on a disk with this much room: the system fails, as it would."""
    write = Output.write

    class Full:
        def __init__(self, file: Any) -> None:
            self._file = file

        def write(self, content: Any) -> int:
            nonlocal room
            room -= len(content)
            if room < 0:
                raise OSError(errno.ENOSPC, "of the test")
            return int(self._file.write(content))

        def __getattr__(self, name: str) -> Any:
            return getattr(self._file, name)

    def on_full_disk(self: Output, content: Any) -> int:
        if not isinstance(self._file, Full):
            self._file = Full(self._file)  # type: ignore[assignment]
        return write(self, content)

    return on_full_disk


def test_export__going_on_after_the_chain_went_on__stays_as_of_its_block(
    new_database: Callable[[str], str],
    template: str,
    tmp_path: Path,
    export: Export,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    blocks, url = world(Activity(3), 1, 60), new_database(template)
    asyncio.run(fill(url, blocks[:30], final=30))
    args = ("--format", "jsonl", "--table", FACTS)
    assert export(url, *args, "--out", str(tmp_path / "before")).code == 0
    with monkeypatch.context() as patch:
        patch.setattr(WRITE, failing_after(1_500))
        assert export(url, *args, "--out", str(tmp_path / "after")).code == 75

    asyncio.run(fill(url, blocks, final=60))
    assert export(url, *args, "--out", str(tmp_path / "after")).code == 0

    assert contents(tmp_path / "after") == contents(tmp_path / "before")


def test_export__documents_stored_after_it_began__are_left_out(
    busy: str, tmp_path: Path, export: Export
) -> None:
    assert export(busy, *SMALL, "--out", str(tmp_path / "first")).code == 0
    folder = tmp_path / "second"
    folder.mkdir()
    note = {
        "id": "second", "renown_version": manifest(tmp_path / "first")["renown_version"],
        "wanted": {
            "format": "jsonl", "tables": ["documents"], "chains": None, "at": None,
            "part_rows": 100,
        },
        "started_at": datetime(2020, 1, 1, tzinfo=UTC).isoformat(),
        "as_of": [], "epochs": {}, "parts": [], "format_version": 1,
    }  # fmt: skip
    (folder / "progress.json").write_text(json.dumps(note))

    outcome = export(
        busy, "--format", "jsonl", "--part-rows", "100", "--table", "documents",
        "--out", str(folder),
    )  # fmt: skip

    assert outcome.code == 0, outcome.err
    assert table(folder, "documents") == []
    assert len(table(tmp_path / "first", "documents")) == 3


# Refusals ----------------------------------------------------------------------------------------


def test_export__a_chain_that_lost_its_block__is_refused(
    fresh_database_url: str, tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = Story().mint(0, ALICE).next_block().mint(1, BOB)
    asyncio.run(story.write(fresh_database_url, final=0))
    args = (fresh_database_url, "--at", "2", "--table", "agents,feedback", "--format", "jsonl")
    with monkeypatch.context() as patch:
        patch.setattr(WRITE, failing_after(1_200))
        assert export(*args, "--out", str(tmp_path / "out")).code == 75
    asyncio.run(
        sql(fresh_database_url, r"UPDATE block SET hash = sha256('other') WHERE number = 2")
    )

    outcome = export(*args, "--out", str(tmp_path / "out"))

    assert outcome.code == 65
    assert "no longer has the block 2" in outcome.err


def test_export__a_folder_of_something_else__is_refused(
    busy: str, tmp_path: Path, export: Export
) -> None:
    out = tmp_path / "out"
    args = (busy, "--table", "documents", "--out", str(out))
    assert export(*args).code == 0

    assert export(*args).code == 0  # finished already
    assert export(*args, "--format", "csv").code == 65
    assert export(busy, "--table", "agents", "--out", str(out)).code == 65
    assert export(*args, "--at", "2").code == 65
    strange = tmp_path / "strange"
    strange.mkdir()
    (strange / "letter.txt").write_text("mine")
    outcome = export(busy, "--out", str(strange))
    assert outcome.code == 65
    assert "is not empty" in outcome.err
    assert (strange / "letter.txt").exists()


def test_export__a_folder_another_process_writes_to__is_refused(
    busy: str, tmp_path: Path, export: Export
) -> None:
    held = os.open(tmp_path, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)

    outcome = export(busy, "--out", str(tmp_path))

    os.close(held)
    assert outcome.code == 65
    assert "another process" in outcome.err


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--format", "xlsx"), 64, "--format is one of"),
        (("--table", "agents,wallets"), 64, "no table wallets"),
        (("--chain", "base"), 66, "no chain 8453"),
        (("--at", "1000000"), 64, "indexed up to block"),
        (("--at", "yesterday"), 64, "takes a block number"),
    ],
)
def test_export__what_cannot_be__is_refused_before_anything_is_written(
    busy: str, tmp_path: Path, export: Export, args: tuple[str, ...], code: int, words: str
) -> None:
    outcome = export(busy, *args, "--out", str(tmp_path / "out"))

    assert outcome.code == code
    assert words in outcome.err
    assert not list(tmp_path.glob("out/*"))


def test_export__dry_run__says_how_much_and_writes_nothing(
    busy: str, tmp_path: Path, export: Export
) -> None:
    outcome = export(busy, "--dry-run", "--json")

    assert outcome.code == 0
    planned = json.loads(outcome.out)
    assert planned["tables"]["agents"] == 1_200
    assert planned["as_of"][0]["block_number"] == 60
    assert not (tmp_path / "data" / "exports").exists()


def test_export__without_a_folder__makes_one_named_by_the_time_and_goes_on_there(
    busy: str, tmp_path: Path, export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    exports = tmp_path / "data" / "exports"
    with monkeypatch.context() as patch:
        patch.setattr(WRITE, failing_after(100_000))
        assert export(busy, *SMALL).code == 75
    (first,) = exports.iterdir()
    assert export(busy, *SMALL).code == 0

    assert [path.name for path in exports.iterdir()] == [first.name]
    assert datetime.strptime(first.name, "%Y%m%dT%H%M%SZ").year >= 2026  # noqa: DTZ007
    assert export(busy, *SMALL).code == 0
    assert len(list(exports.iterdir())) == 2


# Verify ------------------------------------------------------------------------------------------


@pytest.fixture
def made(busy: str, tmp_path: Path, export: Export) -> Path:
    args = ("--table", "feedback,documents,endpoints", "--out", str(tmp_path / "made"))
    assert export(busy, *args).code == 0
    return tmp_path / "made"


def test_verify__an_export_as_it_was_written__is_good(made: Path) -> None:
    outcome = renown("export", "verify", str(made), "--json")

    assert outcome.code == 0, outcome.err
    assert json.loads(outcome.out)["wrong"] == []


def test_verify__files_changed_cut_or_lost__are_named(made: Path) -> None:
    names = sorted(contents(made))
    changed, cut, lost = (made / name for name in names[:3])
    raw = bytearray(changed.read_bytes())
    raw[10] ^= 1
    changed.write_bytes(raw)
    cut.write_bytes(cut.read_bytes()[:-1])
    lost.unlink()

    outcome = renown("export", "verify", str(made), "--json")

    assert outcome.code == 65
    assert {w["name"]: w["state"] for w in json.loads(outcome.out)["wrong"]} == {
        names[0]: "wrong-content",
        names[1]: "wrong-length",
        names[2]: "missing",
    }


def test_verify__no_export__is_said(tmp_path: Path) -> None:
    outcome = renown("export", "verify", str(tmp_path))

    assert outcome.code == 66
    assert "no finished export" in outcome.err
