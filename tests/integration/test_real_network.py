"""Logs and records that others took from public chains, decoded, stored and folded; none is lost.

What the sources lack is staged, here and nowhere else, and never counts as coverage:

- A log without its index (`feedback-revoked`) gets a free one of its block, in the order loaded. So
  does a record that its source had decoded (`registered-index-ethereum`, `registered-decoded-bsc`).
- A mint of the index becomes the `Transfer` to the owner the source names. A registration of BSC is
  encoded to the log it came from. Feedback without its value, index or tags cannot be a fact and is
  not loaded; the one whole record is.
- A block's hash is zero and its time 1970 where the log does not tell them.
"""

from __future__ import annotations

import json
import random
import sys
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from eth_hash.auto import keccak

from renown.chain.source import LogCount
from renown.decode import Decoder
from renown.ingest import coverage
from renown.ingest.repair import verify_state
from renown.spec.deployments import Deployment, find
from renown.spec.events import (
    KINDS,
    AgentRegistered,
    AgentTransferred,
    Fact,
    FeedbackGiven,
    Quarantined,
)
from renown.spec.logs import RawLog
from renown.store import facts as fact_tables
from renown.store.lease import acquire
from renown.store.pool import Conn, connect
from renown.store.writer import Extension, Writer
from renown.types import ZERO_ADDRESS, BlockRef
from tests.encode import log_of
from tests.integration.api import api_on, get
from tests.integration.test_real_logs import FILES, FOLDER, MAINNET, raw_log

Place = tuple[int, int]  # block number, log index

MINTS = "registered-index-ethereum.jsonl"
BSC = "registered-decoded-bsc.jsonl"
COMMIT_LOGS = 500

pytestmark = pytest.mark.skipif(not FOLDER.is_dir(), reason=f"no captured logs in {FOLDER}")


class Sample(msgspec.Struct):
    """What is loaded of one chain, and which file each log is from."""

    deployment: Deployment
    logs: dict[Place, Fact] = msgspec.field(default_factory=dict)
    files: dict[Place, str] = msgspec.field(default_factory=dict)
    hashes: dict[int, bytes] = msgspec.field(default_factory=dict)
    times: dict[int, int] = msgspec.field(default_factory=dict)

    def take(self, name: str, event: Fact, record: Mapping[str, Any]) -> None:
        """One log of the file `name`. Two logs of one place would be a fault of the staging."""
        place = (event.block_number, event.log_index)
        assert place not in self.logs, (name, place)
        self.logs[place], self.files[place] = event, name
        if "blockHash" in record:
            self.hashes[event.block_number] = bytes.fromhex(record["blockHash"][2:])
        if seconds := record.get("timestamp") or record.get("blockTimestamp"):
            self.times[event.block_number] = seconds

    def free(self, block: int, taken: Iterable[int] = ()) -> int:
        """The lowest log index of `block` that no log has."""
        indexes = {index for number, index in self.logs if number == block} | set(taken)
        return next(index for index in range(len(indexes) + 1) if index not in indexes)

    def ref(self, number: int) -> BlockRef:
        unknown = bytes(32)
        return BlockRef(
            number, self.hashes.get(number, unknown), unknown, self.times.get(number, 0)
        )


def lines(name: str) -> Iterator[dict[str, Any]]:
    with (FOLDER / name).open() as found:
        yield from map(json.loads, found)


def captured(harm: Callable[[RawLog], RawLog] = lambda log: log) -> dict[int, Sample]:
    """The raw logs of all four files by chain; those with an index first, so that none is taken.

    Args:
        harm: what happens to a log on its way here.
    """
    records = [(name, record) for name in FILES for record in lines(name)]
    validating: dict[int, set[bytes]] = defaultdict(set)
    for _, record in records:
        if record["event"].startswith("Validation"):
            validating[record["chainId"]].add(bytes.fromhex(record["address"][2:]))
    samples: dict[int, Sample] = {}
    for name, record in sorted(records, key=lambda each: each[1]["logIndex"] is None):
        chain_id = record["chainId"]
        if chain_id not in samples:
            deployment = find(str(chain_id))
            contracts = sorted(validating[chain_id]) or deployment.validation
            samples[chain_id] = Sample(
                msgspec.structs.replace(deployment, validation=tuple(contracts))
            )
        sample = samples[chain_id]
        if record["logIndex"] is None:
            record["logIndex"] = sample.free(record["blockNumber"])
        sample.take(name, decoder(sample.deployment).decode(harm(raw_log(record))), record)
    return samples


def decoder(of: Deployment) -> Decoder:
    return Decoder(of.identity, of.reputation, of.validation)


@asynccontextmanager
async def stored(url: str, sample: Sample) -> AsyncIterator[Conn]:
    """Everything through the writer, some blocks a commit; then the writer's connection."""
    conn = await connect(url)
    try:
        writer = await acquire(
            conn, sample.deployment, start_block=min(sample.logs)[0], genesis_hash=None, name="test"
        )
        await store(writer, sample)
        yield conn
    finally:
        await conn.close()


async def store(writer: Writer, sample: Sample) -> None:
    places = sorted(sample.logs)
    while places:
        last = places[min(COMMIT_LOGS, len(places)) - 1][0]
        now = [place for place in places if place[0] <= last]
        places = places[len(now) :]
        found = [sample.logs[place] for place in now]
        await writer.extend(
            Extension(
                last=sample.ref(last),
                facts=[fact for fact in found if not isinstance(fact, Quarantined)],
                quarantined=[fact for fact in found if isinstance(fact, Quarantined)],
                blocks=[sample.ref(number) for number in sorted({place[0] for place in now})],
            )
        )
    await writer.report(head=last, final=last, safe=None, phase="follow")


async def ends(conn: Conn, sample: Sample) -> dict[Place, str]:
    """How each log that is stored ended, by place: `folded`, `unattached: …`, `quarantined: …`."""
    chain_id = sample.deployment.chain_id
    found: dict[Place, str] = {}
    for kind, table in fact_tables.TABLES.items():
        for row in await conn.fetch(f"SELECT * FROM {table.name} WHERE chain_id = $1", chain_id):
            place = row["block_number"], row["log_index"]
            assert place not in found
            assert type(sample.logs[place]) is kind
            found[place] = "folded"
    for row in await conn.fetch("SELECT * FROM unattached WHERE chain_id = $1", chain_id):
        place = row["block_number"], row["log_index"]
        assert found[place] == "folded"
        found[place] = f"unattached: {row['reason']}"
    for row in await conn.fetch("SELECT * FROM quarantine WHERE chain_id = $1", chain_id):
        place = row["block_number"], row["log_index"]
        assert place not in found
        found[place] = f"quarantined: {row['reason']}"
    return found


async def assert_whole(url: str, conn: Conn, sample: Sample) -> dict[Place, str]:
    """Nothing is lost, state is the fold of facts, and coverage claims nothing."""
    chain_id = sample.deployment.chain_id
    found = await ends(conn, sample)
    assert found.keys() == sample.logs.keys()
    counted = await conn.fetchrow(
        "SELECT k.events, (SELECT sum(fact_count) FROM block WHERE chain_id = $1),"
        " (SELECT count(*) FROM quarantine WHERE chain_id = $1)"
        "  FROM checkpoint k WHERE k.chain_id = $1",
        chain_id,
    )
    assert counted is not None
    facts, in_blocks, quarantined = counted
    assert facts + quarantined == in_blocks == len(sample.logs)
    verdict = await verify_state(conn, chain_id)
    assert verdict.equal, verdict.differing
    assert verdict.stored_hash == verdict.folded_hash
    async with api_on(url) as client:
        shown = await get(client, "/v1/status")
    (state,) = [c["coverage"]["state"] for c in shown["items"] if c["chain_id"] == chain_id]
    assert state == "unknown"
    return found


def table(samples: Iterable[tuple[Sample, dict[Place, str]]], title: str) -> str:
    """Counts by file, kind and end."""
    counts: Counter[tuple[str, str, str]] = Counter()
    for sample, found in samples:
        for place, end in found.items():
            kind = KINDS.get(type(sample.logs[place]), "quarantine")
            file = f"{sample.files[place]} ({sample.deployment.slug})"
            counts[file, kind, end] += 1
    text = [f"\n{title}: {sum(counts.values()):,} logs\n"]
    for file in dict.fromkeys(key[0] for key in sorted(counts)):
        of_file = {key[1:]: n for key, n in sorted(counts.items()) if key[0] == file}
        text.append(f"  {file}: {sum(of_file.values()):,}\n")
        text += [f"    {n:7,} {kind:22} {end}\n" for (kind, end), n in of_file.items()]
    return "".join(text)


async def test_real_logs__stored_as_they_are__each_is_folded_unattached_or_quarantined(
    database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes = []
    for sample in captured().values():
        async with stored(database_url, sample) as conn:
            outcomes.append((sample, await assert_whole(database_url, conn, sample)))

    assert sum(len(found) for _, found in outcomes) == sum(1 for name in FILES for _ in lines(name))
    receipt = [
        end
        for sample, found in outcomes
        for end in found.values()
        if sample.deployment.slug == "base-sepolia"
    ]
    assert receipt == ["folded"] * 4  # the one whole receipt: its agent is there
    with capsys.disabled():  # the counts are part of the test's output
        sys.stdout.write(table(outcomes, "the real network's logs, as they are"))


async def test_real_logs__harmed_on_their_way__are_still_all_there(
    fresh_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dice = random.Random(8004)

    def harm(log: RawLog) -> RawLog:
        words = len(log.data) // 64
        if words == 0 or dice.random() < 0.3:
            topics = log.topics[:-1] if dice.random() < 0.5 else (*log.topics[:-1], "0x" + "f" * 64)
            return msgspec.structs.replace(log, topics=topics)
        place = 2 + 64 * dice.randrange(words)
        change = dice.choice(
            ("", "ff" * 32, "00" * 31 + "01", "00" * 24 + "7fffffffffffffff", "zz")
        )
        data = log.data[:place] + change + log.data[place + 64 :]
        return msgspec.structs.replace(log, data=data)

    outcomes = []
    for sample in captured(harm).values():
        async with stored(fresh_database_url, sample) as conn:
            outcomes.append((sample, await assert_whole(fresh_database_url, conn, sample)))

    reasons = Counter(end for _, found in outcomes for end in found.values())
    assert sum("quarantined" in end for end in reasons) >= 4, reasons
    with capsys.disabled():
        sys.stdout.write(table(outcomes, "the same, each harmed"))


async def test_real_logs__with_the_mint_index_loaded__attach_to_their_agents(
    fresh_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = captured()[1]
    said = {fact.agent_id for fact in sample.logs.values()}  # type: ignore[attr-defined]
    mints = sorted(lines(MINTS), key=lambda r: (r["block_number"], r["agent_id"] not in said))
    blocks: dict[int, set[int]] = defaultdict(set)
    for number, index in sample.logs:
        blocks[number].add(index)
    for record in mints:
        taken, index = blocks[record["block_number"]], 0
        while index in taken:
            index += 1
        taken.add(index)
        sample.take(MINTS, mint_of(record, index, sample.deployment), record)

    minted = {record["agent_id"] for record in mints}
    async with stored(fresh_database_url, sample) as conn:
        found = await assert_whole(fresh_database_url, conn, sample)
        await assert_never_proven(conn, sample, max(minted))

    for place, fact in sample.logs.items():
        known = fact.agent_id in minted  # type: ignore[attr-defined]
        assert found[place] == ("folded" if known else "unattached: unknown-agent")
    with capsys.disabled():
        sys.stdout.write(table([(sample, found)], "the same with the mint index as subjects"))


async def test_decoded_registrations__encoded_again__are_the_facts_their_source_says(
    fresh_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    sample = Sample(find("56"))
    for record in lines(BSC):
        block = record["block_number"]
        given = AgentRegistered(
            block,
            sample.free(block),
            bytes.fromhex(record["tx_hash"][2:]),
            sample.deployment.identity,
            agent_id=int(record["agent_id"]),
            owner=bytes.fromhex(record["owner"][2:]),
            uri=record["agent_uri"].encode(),
        )
        read = decoder(sample.deployment).decode(raw(given))
        assert read == given
        sample.take(BSC, read, record)

    async with stored(fresh_database_url, sample) as conn:
        found = await assert_whole(fresh_database_url, conn, sample)

    # A registration is no mint: without its Transfer there is no agent to fold it into.
    assert set(found.values()) == {"unattached: unknown-agent"}
    with capsys.disabled():
        sys.stdout.write(table([(sample, found)], "decoded records"))


def test_decoded_feedback__encoded_again__is_the_fact_its_source_says(
    capsys: pytest.CaptureFixture[str],
) -> None:
    reasons: Counter[str] = Counter()
    with (FOLDER.parent / "feedback.jsonl").open() as found:
        for record in map(json.loads, found):
            lacking = [
                n for n in ("value", "feedback_index", "tag1", "tx_hash") if record[n] is None
            ]
            reasons[f"without {', '.join(lacking)}" if lacking else "whole"] += 1
            if lacking:
                continue
            given = feedback_of(record)
            assert keccak(given.tag1).hex() == record["tag1_hash"][2:]
            assert decoder(find("base")).decode(raw(given)) == given

    assert reasons["whole"] >= 1
    with capsys.disabled():
        sys.stdout.write(f"\nfeedback.jsonl, not loaded but for the whole: {dict(reasons)}\n")


def mint_of(record: Mapping[str, Any], log_index: int, of: Deployment) -> AgentTransferred:
    return AgentTransferred(
        record["block_number"],
        log_index,
        bytes.fromhex(record["tx_hash"][2:]),
        of.identity,
        agent_id=record["agent_id"],
        from_address=ZERO_ADDRESS,
        to_address=bytes.fromhex(record["owner"][2:]),
    )


def feedback_of(record: Mapping[str, Any]) -> FeedbackGiven:
    return FeedbackGiven(
        record["block_number"],
        record["log_index"],
        bytes.fromhex(record["tx_hash"][2:]),
        bytes.fromhex(MAINNET[1]),
        agent_id=record["agent_id"],
        client=bytes.fromhex(record["client"][2:]),
        feedback_index=record["feedback_index"],
        value=int(record["value"]),
        decimals=record["value_decimals"],
        tag1=record["tag1"].encode(),
        tag2=record["tag2"].encode(),
        endpoint=record["endpoint"].encode(),
        uri=record["feedback_uri"].encode(),
        content_hash=bytes.fromhex(record["feedback_hash"][2:]),
    )


def raw(fact: Fact) -> RawLog:
    """The log that a contract would have emitted."""
    log = log_of(fact)
    return RawLog(
        address=log["address"],
        topics=tuple(log["topics"]),
        data=log["data"],
        block_number=hex(fact.block_number),
        block_hash="0x" + "00" * 32,
        transaction_hash="0x" + fact.tx_hash.hex(),
        log_index=hex(fact.log_index),
    )


async def assert_never_proven(conn: Conn, sample: Sample, highest: int) -> None:
    """Even where two operators count just the logs we hold, ids with gaps are no proof."""
    row = await conn.fetchrow(
        "SELECT block_number, block_hash FROM checkpoint WHERE chain_id = $1",
        sample.deployment.chain_id,
    )
    assert row is not None
    tip = BlockRef(row[0], row[1], bytes(32), 0)
    source = Agreeing(sample, highest, tip)
    outcome = await coverage.check(source, conn, sample.deployment, seed=1)
    assert outcome.state == "gap"
    assert outcome.findings[0].startswith("agents held")


class Agreeing:
    """Two operators' nodes with the logs of `sample`, on which agents run up to `highest`."""

    def __init__(self, sample: Sample, highest: int, tip: BlockRef) -> None:
        self._tip = tip
        self.operators = {"one.example", "two.example"}
        self._sample = sample
        self._highest = highest

    async def block(self, number: int) -> BlockRef | None:
        return self._tip

    async def highest_agent_id(self, at_block: int) -> int | None:
        return self._highest

    async def count_logs(self, first: int, last: int, *, avoid_host: str | None = None) -> LogCount:
        logs = [log for (block, _), log in self._sample.logs.items() if first <= block <= last]
        return LogCount(
            first,
            last,
            "one.example" if avoid_host is None else "two.example",
            len(logs),
            Counter(log.block_number for log in logs),
            Counter(log.contract for log in logs),
        )

    async def call(self, to: bytes, calldata: bytes, at_block: int) -> bytes:
        return bytes(32)
