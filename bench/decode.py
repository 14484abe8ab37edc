"""Decoding against the JSON parse of the same logs and against eth-abi, in one run.

    python bench/decode.py

The logs are made from a fixed seed. "NewFeedback" is that event alone. "mix" has the shares counted
on Ethereum and Base up to August 2026: for 455 feedbacks 111 registrations (each Transfer,
MetadataUpdate, Registered and MetadataSet) and 35 later transfers (each MetadataSet and Transfer).

Agents and clients are drawn with the skew of Base: the busiest of 30,000 rated agents has 2.7 % of
all feedback, the busiest of 12,000 clients 10 %. Tags come from the common ones; index, value, URI
and hash of every feedback and owner and URI of every registration are new. Each round takes logs
no round has seen, in answers of 500: every answer is parsed, decoded by us, decoded by eth-abi.
CPU time counts; the figures are medians over rounds.
"""

from __future__ import annotations

import json
import os
import platform
import random
import statistics
import time
from collections.abc import Iterator
from itertools import accumulate, islice
from typing import Any

import msgspec
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode
from eth_hash.auto import keccak

from renown.decode import Decoder
from renown.spec import abi
from renown.spec.events import Quarantined
from renown.spec.logs import RawLog

IDENTITY = bytes.fromhex("8004a169fb4a3325136eb29fa0ceb6d2e539a432")
REPUTATION = bytes.fromhex("8004baa17c55a88189ae136b182e5fda19de9b63")
ROUNDS = 15
LOGS_PER_ROUND = 2_000
LOGS_PER_ANSWER = 500
LIMITS = {
    "NewFeedback": {"parse": 3.5, "eth_abi": 0.2},
    "mix": {"parse": 2.0, "eth_abi": 0.2},
}
"""The most time decoding may take, as a multiple of each contender's."""

AGENTS, AGENT_SKEW = 30_000, 0.8
CLIENTS, CLIENT_SKEW = 12_000, 1.0
TAGS = [b"starred", b"reachable", b"trust", b"liveness", b"quality", b"responseTime", b"uptime"]
WALLET_KEY = b"agentWallet"

Log = dict[str, Any]


def run() -> dict[str, Any]:
    """Nanoseconds a log and ratios (medians over rounds), for each set of logs."""
    return {
        "machine": f"{platform.machine()}, {os.cpu_count()} CPUs",
        "python": platform.python_version(),
        "rounds": ROUNDS,
        "NewFeedback": _measure("NewFeedback", feedback_only()),
        "mix": _measure("mix", mix()),
    }


def _measure(name: str, logs: Iterator[Log]) -> dict[str, Any]:
    parser = msgspec.json.Decoder(list[RawLog])
    decoder = Decoder(IDENTITY, REPUTATION, ())
    times: dict[str, list[float]] = {"parse": [], "decode": [], "eth_abi": []}
    size = 0
    for _ in range(ROUNDS + 1):
        spent = dict.fromkeys(times, 0.0)
        for _ in range(LOGS_PER_ROUND // LOGS_PER_ANSWER):
            answer = json.dumps(list(islice(logs, LOGS_PER_ANSWER))).encode()
            size += len(answer)
            started = time.process_time()
            parsed = parser.decode(answer)
            after_parse = time.process_time()
            results = decoder.decode_many(parsed)
            after_decode = time.process_time()
            for log in parsed:
                _by_library(log)
            spent["eth_abi"] += time.process_time() - after_decode
            spent["decode"] += after_decode - after_parse
            spent["parse"] += after_parse - started
            assert not any(isinstance(result, Quarantined) for result in results), "all decode"
        for contender, seconds in spent.items():
            times[contender].append(seconds / LOGS_PER_ROUND * 1e9)
    for rounds in times.values():
        del rounds[0]  # the first round warms up
    ratios = {
        against: statistics.median(
            ours / theirs for ours, theirs in zip(times["decode"], times[against], strict=True)
        )
        for against in LIMITS[name]
    }
    return {
        "logs": ROUNDS * LOGS_PER_ROUND,
        "bytes_per_log": size // ((ROUNDS + 1) * LOGS_PER_ROUND),
        "ns_per_log": {name: round(statistics.median(rounds)) for name, rounds in times.items()},
        "decode_against": {against: round(ratio, 3) for against, ratio in ratios.items()},
        "limits": LIMITS[name],
        "within": all(ratios[against] <= limit for against, limit in LIMITS[name].items()),
    }


def feedback_only() -> Iterator[Log]:
    """Logs of NewFeedback, without end."""
    chain = _Chain(seed=1)
    while True:
        yield from chain.feedback()


def mix() -> Iterator[Log]:
    """Logs of all kinds in the network's shares, transaction by transaction, without end."""
    chain = _Chain(seed=2)
    jobs = [chain.feedback, chain.registration, chain.sale]
    while True:
        (job,) = chain.random.choices(jobs, [455, 111, 35])
        yield from job()


class _Chain:
    """Writes the logs of one transaction after another, as a node would send them."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.transactions = 0
        self.log_index = 0
        self.registered = AGENTS
        self.agents = _skewed(AGENTS, AGENT_SKEW)
        self.clients = _skewed(CLIENTS, CLIENT_SKEW)

    def feedback(self) -> list[Log]:
        rng = self.random
        agent, tag1 = self._agent(), rng.choice(TAGS)
        fields = (
            rng.randint(1, 40),
            rng.randint(0, 1_000),
            rng.choice([0, 0, 0, 2]),
            tag1,
            rng.choice([b"", b"", b"week"]),
            rng.choice([b"", b"https://agent-%d.example/api" % agent]),
            b"ipfs://bafkrei" + rng.randbytes(26).hex().encode(),
            rng.randbytes(32),
        )
        (client,) = rng.choices(range(CLIENTS), cum_weights=self.clients)
        topics = [_number(agent), _account(client), "0x" + keccak(tag1).hex()]
        return self._transaction((REPUTATION, abi.NEW_FEEDBACK, topics, fields))

    def registration(self) -> list[Log]:
        agent, owner = _number(self.registered), _account(self.random.getrandbits(64))
        self.registered += 1
        uri = b"https://agents.example/%d/card.json" % self.random.randrange(10**9)
        return self._transaction(
            (IDENTITY, abi.TRANSFER, [_number(0), owner, agent], ()),
            (IDENTITY, abi.METADATA_UPDATE, [], (int(agent, 16),)),
            (IDENTITY, abi.REGISTERED, [agent, owner], (uri,)),
            (IDENTITY, abi.METADATA_SET, [agent, WALLET_TOPIC], (WALLET_KEY, _bytes20(owner))),
        )

    def sale(self) -> list[Log]:
        agent = _number(self._agent())
        seller, buyer = _account(self.random.getrandbits(64)), _account(self.random.getrandbits(64))
        return self._transaction(
            (IDENTITY, abi.METADATA_SET, [agent, WALLET_TOPIC], (WALLET_KEY, b"")),
            (IDENTITY, abi.TRANSFER, [seller, buyer, agent], ()),
        )

    def _agent(self) -> int:
        return self.random.choices(range(AGENTS), cum_weights=self.agents)[0]

    def _transaction(self, *events: Any) -> list[Log]:
        self.transactions += 1
        block = 24_000_000 + self.transactions // 2  # two transactions of ours share one
        tx_hash = "0x" + self.random.randbytes(32).hex()
        logs = []
        for contract, event, topics, fields in events:
            self.log_index = (self.log_index + self.random.randint(1, 9)) % 700
            logs.append(
                {
                    "address": "0x" + contract.hex(),
                    "topics": ["0x" + event.topic0.hex(), *topics],
                    "data": "0x" + encode(_data_types(event), fields).hex(),
                    "blockNumber": hex(block),
                    "blockHash": "0x" + keccak(b"%d" % block).hex(),
                    "blockTimestamp": hex(block * 12),
                    "transactionHash": tx_hash,
                    "transactionIndex": "0x1f",
                    "logIndex": hex(self.log_index),
                    "removed": False,
                }
            )
        return logs


def _skewed(count: int, skew: float) -> list[float]:
    """Cumulated weights of ranks 1 to `count`, each `rank ** -skew`."""
    return list(accumulate(rank**-skew for rank in range(1, count + 1)))


def _number(value: int) -> str:
    return f"0x{value:064x}"


def _account(number: int) -> str:
    return "0x" + "0" * 24 + keccak(b"%d" % number)[12:].hex()


def _bytes20(topic: str) -> bytes:
    return bytes.fromhex(topic[26:])


def _data_types(event: abi.EventAbi) -> list[str]:
    # strings as bytes, as we read them: both sides then do the same work
    fields = [param.type for param in event.params if not param.indexed]
    return ["bytes" if type_ == "string" else type_ for type_ in fields]


WALLET_TOPIC = "0x" + keccak(WALLET_KEY).hex()

_DATA_TYPES = {"0x" + event.topic0.hex(): _data_types(event) for event in abi.CURRENT}


def _by_library(log: RawLog) -> tuple[Any, ...]:
    """The data's fields by eth-abi; topics and place are left to it as a present."""
    return abi_decode(_DATA_TYPES[log.topics[0]], bytes.fromhex(log.data[2:]))


if __name__ == "__main__":
    print(json.dumps(run(), indent=2))
