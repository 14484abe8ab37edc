"""The nodes of one chain: who is healthy, who is asked next, and what follows from a failure.

A failure parks the node for a growing, jittered while and the question goes to another node. A
node on another chain is left alone until its next check. Nothing here knows what the answers
mean; whoever checks them raises NodeInconsistent, and that parks too.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import TypeVar

import structlog

from renown.chain.member import Member, NodeObserver, NodeStatus, Patience
from renown.chain.pace import Pace
from renown.chain.ranges import (
    BeyondHead as BeyondHeadVerdict,
)
from renown.chain.ranges import (
    Pruned,
    RangeSizer,
    RateLimited,
    classify,
)
from renown.chain.rpc import CallReverted, Node, Refusal
from renown.errors import (
    BeyondHead,
    NodeError,
    NodeInconsistent,
    NodeTimeout,
    NoNodeLeft,
    RangeTooWide,
    WrongChain,
)
from renown.obs.tracing import TRACES

__all__ = ["Member", "NodeObserver", "NodePool", "NodeStatus", "Patience"]

T = TypeVar("T")
log = structlog.get_logger(__name__)


class NodePool:
    """Puts questions to the nodes of one chain until one of them is answered well.

    Args:
        chain_id: what every node must report.
        nodes: best first.
        seed: of the jitter.
    """

    def __init__(
        self,
        chain_id: int,
        nodes: Sequence[Node],
        *,
        seed: int,
        patience: Patience | None = None,
        observer: NodeObserver | None = None,
        first_range_blocks: int = 1_000,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if not nodes:
            raise NoNodeLeft("no node is configured for this chain: set RPC_URL", chain_id=chain_id)
        self.chain_id = chain_id
        self.patience = patience or Patience()
        slowest = self.patience.slowest_rate
        self.members = [
            Member(node, RangeSizer(start_blocks=first_range_blocks), Pace(slowest))
            for node in nodes
        ]
        self._random = random.Random(seed)
        self._observer = observer
        self._clock = clock
        self._sleep = sleep

    async def start(self) -> None:
        """Check every node's chain id. A node that cannot be reached now is checked at first use.

        Raises:
            WrongChain: every node serves another chain.
        """
        await asyncio.gather(*(self._try_check(member) for member in self.members))
        if all(member.wrong_chain for member in self.members):
            raise self._all_wrong()

    async def close(self) -> None:
        """Give back connections."""
        for member in self.members:
            await member.node.close()

    def status(self) -> list[NodeStatus]:
        """Every node's health, in configured order."""
        now = self._clock()
        return [self._status(member, now) for member in self.members]

    def first_choice(self) -> Member:
        """The node that would be asked next, were it asked now."""
        return self._order(self._usable(()) or self.members)[0]

    def in_order(self) -> list[Member]:
        """Every node that may be asked, in the order in which it would be; parked ones last."""
        return self._order(self._usable(()))

    def other_operator(self, member: Member) -> Member | None:
        """A node that somebody else runs and that would answer now, or None.

        A node in disgrace counts: were it left out, whoever contradicts it would be believed.
        """
        now = self._clock()
        others = [
            m
            for m in self._usable((member.operator,))
            if m.parked_until <= now or m.parked_in_doubt
        ]
        return self._order(others)[0] if others else None

    def operators(self) -> set[str]:
        """Everyone who runs a usable node."""
        return {member.operator for member in self.members if not member.wrong_chain}

    async def ask(
        self,
        what: str,
        question: Callable[[Member], Awaitable[T]],
        *,
        reach: int = 0,
        avoid: Collection[str] = (),
    ) -> T:
        """The first good answer to `question`.

        Args:
            what: a word for logs and metrics.
            question: asks one node, checks, and raises NodeError when it is not content.
            reach: nodes known to have this block are asked first.
            avoid: operators that must not be asked.

        Raises:
            RangeTooWide, CallReverted: at once; only the caller can react.
            BeyondHead, NodeInconsistent, NodeRefused: the last failure, where only it is left.
            NoNodeLeft: nobody could be reached, or nobody may be asked.
            WrongChain: every node serves another chain.
        """
        refused_by: set[Member] = set()
        last: NodeError | None = None
        until = self._clock() + self.patience.wait_seconds
        for attempt in range(self.patience.attempts):
            candidates = self._usable(avoid)
            if not candidates:
                break
            if refused_by.issuperset(candidates):
                if isinstance(last, Refusal) and not last.transient and attempt >= 3:
                    break  # everybody said no, and more than once
                refused_by.clear()
                if not await self._wait(self._jittered(self._backoff(attempt)), until):
                    break
            member = await self._free(self._order(candidates, reach, refused_by), until)
            if member is None:
                break
            try:
                return await self.on(member, what, question)
            except (RangeTooWide, CallReverted):
                raise
            except NodeError as exc:
                last = exc
                refused_by.add(member)
        raise self._gave_up(what, last)

    async def on(self, member: Member, what: str, question: Callable[[Member], Awaitable[T]]) -> T:
        """Put one question to one node, and note how it went."""
        wait = member.pace.reserve(self._clock())
        if wait > 0:
            await self._sleep(wait)
        await self._ensure_chain(member)
        member.in_flight += 1
        begun = self._clock()
        outcome = "failed"
        try:
            if TRACES.is_on:
                about: dict[str, str | int]
                about = {"renown.chain_id": self.chain_id, "server.address": member.host}
                with TRACES.asking(f"node: {what}", about):
                    answer = await question(member)
            else:
                answer = await question(member)
            outcome = "ok"
            member.failures = 0
            member.pace.succeeded()
            return answer
        except CallReverted:
            outcome = "reverted"
            raise
        except RangeTooWide:
            outcome = "narrowed"
            raise
        except BeyondHead:
            outcome = "behind"
            raise
        except NodeError as exc:
            outcome, converted = self._failed(member, what, exc)
            if converted is exc:
                raise
        finally:
            member.in_flight -= 1
            seconds = self._clock() - begun
            if outcome == "ok":
                before = member.latency_seconds
                member.latency_seconds = seconds if before is None else before * 0.9 + seconds * 0.1
            if self._observer is not None:
                self._observer.node_asked(self.chain_id, member.host, what, outcome, seconds)
        raise converted

    def contradicted(self, member: Member, why: str) -> None:
        """`member` was caught: park it and remember."""
        member.contradictions += 1
        member.last_error = why
        self._park(member, self._backoff(member.contradictions + 2), in_doubt=True)
        log.warning("node_contradicted", chain_id=self.chain_id, host=member.host, reason=why)

    # Failures ------------------------------------------------------------------------------

    def _failed(self, member: Member, what: str, exc: NodeError) -> tuple[str, NodeError]:
        """Health after `exc`; the outcome's name, and the error to raise in its stead."""
        if isinstance(exc, NodeInconsistent):
            self.contradicted(member, exc.detail)
            exc.context.setdefault("host", member.host)
            return "inconsistent", exc
        member.last_error = exc.detail
        if isinstance(exc, Refusal):
            said = exc.context.get("node_message", "")
            verdict = classify(exc.code, said, http_status=exc.http_status, blocks=1)
            match verdict:
                case RateLimited():
                    member.pace.refused(self._clock())
                    self._park(member, exc.retry_after_seconds or self._backoff(1))
                    log.info("node_rate_limited", chain_id=self.chain_id, host=member.host)
                    return "limited", exc
                case BeyondHeadVerdict():
                    return "behind", BeyondHead(exc.detail, host=member.host)
                case Pruned():
                    log.info("node_pruned", chain_id=self.chain_id, host=member.host, what=what)
                    return "refused", exc
            if not exc.transient:
                log.warning(
                    "node_refused",
                    chain_id=self.chain_id,
                    host=member.host,
                    what=what,
                    reason=exc.detail,
                )
                return "refused", exc
        member.failures += 1
        after = exc.retry_after_seconds if isinstance(exc, Refusal) else None
        self._park(member, after or self._backoff(member.failures))
        log.info(
            "node_failed",
            chain_id=self.chain_id,
            host=member.host,
            what=what,
            failures=member.failures,
            reason=exc.detail,
        )
        return ("timeout" if isinstance(exc, NodeTimeout) else "failed"), exc

    def _park(self, member: Member, seconds: float, *, in_doubt: bool = False) -> None:
        until = self._clock() + self._jittered(seconds)
        member.parked_in_doubt = in_doubt
        member.parked_until = max(member.parked_until, until)

    def _backoff(self, failures: int) -> float:
        doubled = self.patience.backoff_seconds * 2.0 ** min(max(failures - 1, 0), 20)
        return min(self.patience.backoff_cap_seconds, doubled)

    def _jittered(self, seconds: float) -> float:
        return seconds * self._random.uniform(0.75, 1.25)

    def _gave_up(self, what: str, last: NodeError | None) -> NodeError:
        if all(member.wrong_chain for member in self.members):
            return self._all_wrong()
        if isinstance(last, (NodeInconsistent, BeyondHead)):
            return last
        if isinstance(last, Refusal) and not last.transient and len(self.members) == 1:
            return last
        nodes = {m.host: m.last_error or "not asked" for m in self.members}
        if last is not None:
            why = last.detail
        else:
            paused = [m.last_error for m in self.members if m.parked_until > self._clock()]
            why = next(filter(None, paused), None) or "no other operator's node"
        log.error("no_node_left", chain_id=self.chain_id, what=what, nodes=nodes)
        return NoNodeLeft(
            f"no node of chain {self.chain_id} gave {what}; the last said: {why}",
            chain_id=self.chain_id,
            nodes=nodes,
        )

    # Choice --------------------------------------------------------------------------------

    def _usable(self, avoid: Collection[str]) -> list[Member]:
        now = self._clock()
        again = self.patience.chain_check_seconds
        return [
            member
            for member in self.members
            if member.operator not in avoid
            and not (
                member.wrong_chain
                and member.checked_at is not None
                and now - member.checked_at < again
            )
        ]

    def _order(
        self, members: Sequence[Member], reach: int = 0, refused_by: Collection[Member] = ()
    ) -> list[Member]:
        now = self._clock()
        return sorted(
            members,
            key=lambda m: (
                m in refused_by,
                m.parked_until > now,
                m.head is not None and m.head < reach,
                m.failures > 0,
                m.in_flight,
                self.members.index(m),
            ),
        )

    async def _free(self, ordered: Sequence[Member], until: float) -> Member | None:
        """The first of `ordered`; waits until the earliest is free where all are parked. None where
        that is after `until`."""
        best = ordered[0]
        if best.parked_until > self._clock():
            best = min(ordered, key=lambda m: m.parked_until)
            if not await self._wait(max(0.0, best.parked_until - self._clock()), until):
                return None
        return best

    async def _wait(self, seconds: float, until: float) -> bool:
        """Wait so long; false, at once, where that would be after `until`."""
        if self._clock() + seconds > until:
            return False
        await self._sleep(seconds)
        return True

    # Chain ids -----------------------------------------------------------------------------

    async def _ensure_chain(self, member: Member) -> None:
        if not self._check_due(member):
            return
        async with member.checking:
            if not self._check_due(member):
                return
            try:
                text = await member.node.call("eth_chainId", [], str)
            except NodeError as exc:
                raise self._failed(member, "the chain id", exc)[1] from None
            member.checked_at = self._clock()
            try:
                reported = int(text[:40], 16)
            except ValueError:
                reported = -1
            member.wrong_chain = reported != self.chain_id
        if member.wrong_chain:
            member.last_error = f"serves chain {reported}, not {self.chain_id}"
            log.error(
                "node_on_wrong_chain",
                chain_id=self.chain_id,
                host=member.host,
                reported_chain_id=reported,
            )
            raise WrongChain(
                f"{member.host} serves chain {reported}, not {self.chain_id}",
                host=member.host,
                chain_id=self.chain_id,
            )

    def _check_due(self, member: Member) -> bool:
        checked = member.checked_at
        return checked is None or self._clock() - checked >= self.patience.chain_check_seconds

    async def _try_check(self, member: Member) -> None:
        with contextlib.suppress(NodeError):  # noted on the member; asked again when it is used
            await self._ensure_chain(member)

    def _all_wrong(self) -> WrongChain:
        hosts = ", ".join(member.host for member in self.members)
        return WrongChain(
            f"no configured node serves chain {self.chain_id} ({hosts}): check RPC_URL",
            chain_id=self.chain_id,
        )

    def _status(self, member: Member, now: float) -> NodeStatus:
        parked = max(0.0, member.parked_until - now)
        if member.wrong_chain:
            state = "wrong-chain"
        elif member.checked_at is None:
            state = "unchecked"
        else:
            state = "parked" if parked else "ok"
        return NodeStatus(
            host=member.host,
            state=state,
            head=member.head,
            failures=member.failures,
            contradictions=member.contradictions,
            parked_seconds=round(parked, 3),
            latency_seconds=member.latency_seconds,
            range_blocks=member.sizer.blocks,
            requests_per_second=member.pace.rate,
            requests=member.node.requests,
            last_error=member.last_error,
        )
