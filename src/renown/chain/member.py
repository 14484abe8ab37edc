"""One node among its peers: how it is treated, what was learnt about it, what of it is shown."""

from __future__ import annotations

import asyncio
import math
from typing import Protocol

import msgspec

from renown.chain.pace import Pace
from renown.chain.ranges import RangeSizer
from renown.chain.rpc import Node


class Patience(msgspec.Struct, frozen=True):
    """How long and how often nodes are asked.

    attempts              questions put before giving up, over all nodes
    backoff_seconds       first parking time; doubles with every failure in a row
    slowest_rate          requests a second below which no 429 pushes us
    wait_seconds          most that one question waits for nodes that are parked, all in all: where
                          somebody waits for the answer, no answer soon is the better one
    """

    attempts: int = 12
    backoff_seconds: float = 0.125
    backoff_cap_seconds: float = 30.0
    deadline_seconds: float = 30.0
    chain_check_seconds: float = 3_600.0
    slowest_rate: float = 0.5
    wait_seconds: float = math.inf


class NodeObserver(Protocol):
    """Told about every question, for metrics. Must not block and must not raise."""

    def node_asked(self, chain_id: int, host: str, what: str, outcome: str, seconds: float) -> None:
        """`outcome` is ok, reverted, narrowed, behind, limited, refused, failed or inconsistent."""


class NodeStatus(msgspec.Struct, frozen=True):
    """One node's health, fit to show: named by host only.

    state is ok, parked, wrong-chain or unchecked; head is the highest block it ever showed.
    """

    host: str
    state: str
    head: int | None
    failures: int
    contradictions: int
    parked_seconds: float
    latency_seconds: float | None
    range_blocks: int
    requests_per_second: float | None
    requests: int
    last_error: str | None


class Member:
    """One node among its peers: the endpoint, and what was learnt about it."""

    def __init__(self, node: Node, sizer: RangeSizer, pace: Pace) -> None:
        self.node = node
        self.sizer = sizer
        self.pace = pace
        self.head: int | None = None  # never decreases
        self.failures = 0  # in a row
        self.contradictions = 0
        self.parked_until = 0.0
        self.parked_in_doubt = False  # it answers, but contradicted itself or others
        self.checked_at: float | None = None
        self.wrong_chain = False
        self.by_hash = True  # takes eth_getLogs with blockHash
        self.in_flight = 0
        self.latency_seconds: float | None = None
        self.last_error: str | None = None
        self.checking = asyncio.Lock()

    @property
    def host(self) -> str:
        """The only name it is shown by."""
        return self.node.host

    @property
    def operator(self) -> str:
        """Who runs it, as far as its URL tells."""
        return self.node.operator

    def saw_head(self, number: int) -> None:
        """The node showed block `number`."""
        if self.head is None or number > self.head:
            self.head = number
