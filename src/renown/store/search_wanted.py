"""What a search is for, and the conditions that makes of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Literal, LiteralString, TypeAlias

import msgspec

from renown.store.marks import HIDDEN

Order = Literal["quality", "newest", "activity", "feedback"]
Bound: TypeAlias = tuple[Literal[">=", "<=", "<"], Any]

COLUMNS: Mapping[Order, tuple[LiteralString, LiteralString]] = {
    "quality": ("quality", "bigint"),
    "newest": ("created_at", "timestamptz"),
    "activity": ("active_at", "timestamptz"),
    "feedback": ("feedback_count", "bigint"),
}
"""The column of each order and the type of its values."""

# Possessive: strangers write quotes, and there is only one way to read them.
_LEXEME = re.compile(r"'((?:[^'\\]|''|\\.)*+)'")
_CONJUNCTION = re.compile(rf"(?:[ ()&]|{_LEXEME.pattern})*+")


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What must be true of an agent.

    Attributes:
        text: in the syntax of `websearch_to_tsquery`, as `spec.words.query_text` makes it.
        terms: conditions on terms as a text of type tsquery, as `derive.filters` makes it.
        leads: only the first of each template's agents, and those without a template.
        feedback_least, feedback_most: bounds of its live feedback, both included.
        registered_from, registered_before, active_from, active_before: the first of two included.
        tag1, tag2: of feedback that it has, live; None for any.
        average_least, average_most: bounds of the mean of that feedback, times 10^18.
        skeletons, name_keys: any of these names; both or neither.
        hidden_too: also agents that this installation hides.
    """

    text: str = ""
    terms: str = ""
    leads: bool = False
    feedback_least: int | None = None
    feedback_most: int | None = None
    registered_from: datetime | None = None
    registered_before: datetime | None = None
    active_from: datetime | None = None
    active_before: datetime | None = None
    tag1: bytes | None = None
    tag2: bytes | None = None
    average_least: int | None = None
    average_most: int | None = None
    skeletons: tuple[str, ...] = ()
    name_keys: tuple[str, ...] = ()
    hidden_too: bool = False

    @property
    def tagged(self) -> bool:
        """Whether it asks for tags or means of feedback: agents with some, then."""
        return not (
            self.tag1 is None
            and self.tag2 is None
            and self.average_least is None
            and self.average_most is None
        )

    @property
    def bounds(self) -> dict[Order, tuple[Bound, ...]]:
        """Its bounds of columns that have an order, by column; nothing under those without."""
        least = self.feedback_least
        if self.tagged:
            least = max(least or 0, 1)
        found: dict[Order, tuple[Bound, ...]] = {}
        if least is not None or self.feedback_most is not None:
            found["feedback"] = _said((">=", least), ("<=", self.feedback_most))
        if self.registered_from is not None or self.registered_before is not None:
            found["newest"] = _said((">=", self.registered_from), ("<", self.registered_before))
        if self.active_from is not None or self.active_before is not None:
            found["activity"] = _said((">=", self.active_from), ("<", self.active_before))
        return found

    @property
    def chain_id(self) -> int | None:
        """The chain that its terms ask for beside nothing but other conditions that must all be
        met; None where they leave it open."""
        if _CONJUNCTION.fullmatch(self.terms) is None:
            return None
        found = [one for one in _LEXEME.findall(self.terms) if one.startswith("chain=")]
        return int(found[0][6:]) if found and found[0][6:].isdecimal() else None

    @property
    def only_terms(self) -> bool:
        """Whether nothing but terms restricts it."""
        return msgspec.structs.replace(self, terms="", hidden_too=False) == Wanted()


def _said(*bounds: Bound) -> tuple[Bound, ...]:
    return tuple(one for one in bounds if one[1] is not None)


class Sql:
    """A statement about `wanted`, put together; its parameters stand in a common table `q`.

    Statements refer to them there, so that PostgreSQL plans the same whatever their values and
    keeps the plan: planning one of these takes longer than running it. In `q` the text of the
    query is parsed once, too, not once for every row.

    Args:
        first: parameters that come before all others, which the statement refers to by number.
    """

    def __init__(self, wanted: Wanted, *first: Any) -> None:
        self.args: list[Any] = list(first)
        self._columns: list[LiteralString] = []
        self.asked = bool(wanted.text or wanted.terms)
        """Whether `MATCH` can be asked of it."""
        self._query: LiteralString = f"""
       SELECT said, said && {self._parameter(wanted.terms)}::text::tsquery AS query
         FROM (SELECT websearch_to_tsquery('renown', {self._parameter(wanted.text)}) AS said) s"""

    def add(self, value: Any, type_: LiteralString) -> LiteralString:
        """One more parameter; returns what stands for it in the statement."""
        number = self._parameter(value)
        name: LiteralString = f"p{number[1:]}"
        self._columns.append(f"{number}::{type_} AS {name}")
        return f"(SELECT {name} FROM q)::{type_}"

    @property
    def q(self) -> LiteralString:
        """The common table. To be asked for last."""
        columns: LiteralString = "".join(f", {column}" for column in self._columns)
        return f"q AS MATERIALIZED (SELECT s.*{columns} FROM ({self._query}) s)"

    def constant(self, value: Any, type_: LiteralString) -> LiteralString:
        """One more parameter, for where no table may be asked."""
        return f"{self._parameter(value)}::{type_}"

    def _parameter(self, value: Any) -> LiteralString:
        self.args.append(value)
        return f"${_NUMBERS[len(self.args)]}"


MATCH: LiteralString = "p.words @@ (SELECT query FROM q)"

# Only these stand for numbers, so that a statement is made of constants of ours alone.
_NUMBERS: tuple[LiteralString, ...] = (
    *("0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "12", "13", "14", "15"),
    *("16", "17", "18", "19", "20", "21", "22", "23", "24", "25", "26", "27", "28", "29", "30"),
    *("31", "32", "33", "34", "35", "36", "37", "38", "39", "40"),
)


def conditions(wanted: Wanted, sql: Sql) -> LiteralString:
    """All of `wanted` but the query, each with AND before it; "" for nothing."""
    return of_key(wanted) + of_row(wanted, sql)


def of_key(wanted: Wanted) -> LiteralString:
    """Those of them that ask for no more than an agent's key."""
    found: LiteralString = ""
    if wanted.text:
        # A text of nothing but stop words is no condition for @@, yet must not find everybody.
        found += " AND numnode((SELECT said FROM q)) > 0"
    if not wanted.hidden_too:
        found += f" AND (p.chain_id, p.agent_id) NOT IN {HIDDEN}"
    return found


def of_row(wanted: Wanted, sql: Sql) -> LiteralString:
    """The others."""
    found: LiteralString = ""
    if wanted.leads:
        found += " AND p.leads"
    for by in wanted.bounds:
        found += bound(wanted, by, sql.add)
    if wanted.skeletons:
        found += f" AND p.skeleton = any({sql.add(list(wanted.skeletons), 'text[]')})"
        found += f" AND p.name_key = any({sql.add(list(wanted.name_keys), 'text[]')})"
    return found + _tagged(wanted, sql)


def bound(
    wanted: Wanted, by: Order, add: Callable[[Any, LiteralString], LiteralString]
) -> LiteralString:
    """The bounds of one column, each with AND before it; `add` makes parameters."""
    column, type_ = COLUMNS[by]
    found: LiteralString = ""
    for comparison, value in wanted.bounds.get(by, ()):
        found += f" AND p.{column} {comparison} {add(value, type_)}"
    return found


def _tagged(wanted: Wanted, sql: Sql) -> LiteralString:
    if not wanted.tagged:
        return ""
    where: LiteralString = ""
    having: LiteralString = ""
    if wanted.tag1 is not None:
        where += f" AND t.tag1 = {sql.add(wanted.tag1, 'bytea')}"
    if wanted.tag2 is not None:
        where += f" AND t.tag2 = {sql.add(wanted.tag2, 'bytea')}"
    if wanted.average_least is not None:
        least = sql.add(wanted.average_least, "numeric")
        having += f" AND sum(t.live_sum) >= {least} * sum(t.live_count)"
    if wanted.average_most is not None:
        most = sql.add(wanted.average_most, "numeric")
        having += f" AND sum(t.live_sum) <= {most} * sum(t.live_count)"
    return f""" AND EXISTS (
           SELECT FROM agent_tag_stats t
            WHERE t.chain_id = p.chain_id AND t.agent_id = p.agent_id AND t.live_count > 0{where}
           HAVING count(*) > 0{having})"""
