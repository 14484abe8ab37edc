"""A second opinion: when a node's logs are doubted, ask by another path and decide who is right.

The other path is another operator's node where there is one, else the same node asked by block
hash instead of by range. Two nodes that agree on a header but not on its logs are judged by the
bloom: it knows a log that was left out, and rules out one that was made up. Where the bloom
cannot tell, a third operator decides; without one nobody is believed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import structlog

from renown.chain import fetch
from renown.chain.nodes import Member, NodePool
from renown.chain.ranges import NotASizeError, classify
from renown.chain.rpc import Refusal
from renown.chain.verify import Header, LogCheck, has_bloom, same_logs, without
from renown.errors import BeyondHead, NodeError, NodeInconsistent
from renown.spec.logs import RawLog

log = structlog.get_logger(__name__)

Logs = Sequence[RawLog]


class SecondOpinion:
    """Settles doubts about single blocks of one chain."""

    def __init__(self, pool: NodePool, check: LogCheck) -> None:
        self._pool = pool
        self._check = check
        self._contracts = sorted(check.addresses)

    async def settle(
        self, member: Member, doubts: Mapping[int, Header], logs: Mapping[int, Logs]
    ) -> None:
        """Every doubted block's logs, as `member` gave them by range, stand up.

        Args:
            doubts: headers by block number, from `member`.
            logs: its logs by block number; a block that is missing has none.

        Raises:
            NodeInconsistent: `member` is wrong, or nobody can tell who is.
        """
        numbers = sorted(doubts)
        if not numbers:
            return
        other = self._pool.other_operator(member)
        answers: dict[int, list[RawLog]] = {}
        if other is not None:
            answers = await self._by_hash(other, doubts, numbers)
        for number, theirs in answers.items():
            if not same_logs(logs.get(number, ()), theirs):
                assert other is not None
                await self._judge(member, other, number, logs.get(number, ()), theirs)
        unanswered = [number for number in numbers if number not in answers]
        if unanswered:
            await self._ask_itself(member, doubts, unanswered, logs)

    async def _ask_itself(
        self,
        member: Member,
        doubts: Mapping[int, Header],
        numbers: Sequence[int],
        logs: Mapping[int, Logs],
    ) -> None:
        answers = await self._by_hash(member, doubts, numbers)
        if len(answers) < len(numbers) and member.by_hash:
            raise BeyondHead(
                f"{member.host} cannot confirm blocks that it has just shown", host=member.host
            )
        for number, again in answers.items():
            if not same_logs(logs.get(number, ()), again):
                raise NodeInconsistent(
                    "other logs by block hash than by range",
                    block=number,
                    by_range=len(logs.get(number, ())),
                    by_hash=len(again),
                )

    async def _by_hash(
        self, member: Member, doubts: Mapping[int, Header], numbers: Sequence[int]
    ) -> dict[int, list[RawLog]]:
        """The node's logs by block hash; blocks it cannot answer for are left out."""
        if not member.by_hash:
            return {}
        hashes = [doubts[number].hash for number in numbers]

        async def question(asked: Member) -> list[list[RawLog] | NodeError]:
            return await fetch.logs_of_blocks(asked, self._contracts, hashes)

        try:
            found = await self._pool.on(member, "logs by hash", question)
        except NodeError:
            return {}
        answers: dict[int, list[RawLog]] = {}
        for number, item in zip(numbers, found, strict=True):
            if isinstance(item, NodeError):
                if isinstance(item, Refusal) and _unsupported(item):
                    member.by_hash = False
                continue
            try:
                slices = self._check.by_block(item, number, number)
                if slices:
                    self._check.of_block(item, doubts[number])
            except NodeInconsistent as exc:
                self._pool.contradicted(member, exc.detail)
                continue
            answers[number] = item
        return answers

    async def _judge(
        self, member: Member, other: Member, number: int, ours: Logs, theirs: Logs
    ) -> None:
        """Returns where `member` is right; blames whoever is wrong."""

        async def header_of(asked: Member) -> Header:
            return (await fetch.headers(asked, [number]))[0]

        log.warning(
            "nodes_disagree",
            chain_id=self._pool.chain_id,
            hosts=[member.host, other.host],
            block_number=number,
            logs=[len(ours), len(theirs)],
        )
        header = await header_of(member)
        try:
            witness = await self._pool.on(other, "header", header_of)
        except NodeError:
            raise NodeInconsistent("two nodes disagree, one fell silent", block=number) from None
        if witness.hash != header.hash or witness.logs_bloom != header.logs_bloom:
            raise NodeInconsistent("two nodes disagree about a block", block=number)
        left_out, made_up = without(theirs, ours), without(ours, theirs)
        if has_bloom(header):
            proved = self._check.missing_is_proved
            more_is_true, less_is_true = proved(left_out, header), proved(made_up, header)
            member_right = less_is_true and not (left_out and more_is_true)
            other_right = more_is_true and not (made_up and less_is_true)
            if member_right != other_right:
                return self._blame(member, other, number, member_right=member_right)
        if (vote := await self._third(member, other, number, header)) is not None:
            if same_logs(vote, ours):
                return self._blame(member, other, number, member_right=True)
            if same_logs(vote, theirs):
                return self._blame(member, other, number, member_right=False)
        raise NodeInconsistent("two nodes disagree and nobody can tell who is right", block=number)

    async def _third(
        self, member: Member, other: Member, number: int, header: Header
    ) -> list[RawLog] | None:
        for third in self._pool.members:
            if third.operator not in (member.operator, other.operator) and not third.wrong_chain:
                answers = await self._by_hash(third, {number: header}, [number])
                if number in answers:
                    return answers[number]
        return None

    def _blame(self, member: Member, other: Member, number: int, *, member_right: bool) -> None:
        if not member_right:
            raise NodeInconsistent("another node proved other logs", block=number)
        self._pool.contradicted(other, f"other logs than it can prove in block {number}")


def _unsupported(item: Refusal) -> bool:
    said = str(item.context.get("node_message", ""))
    return isinstance(classify(item.code, said, blocks=1), NotASizeError)
