"""What a search is narrowed by: conditions on terms, as one text of type tsquery. Pure.

Terms stand in the same column as the words of an agent's texts (see `derive.terms`), so conditions
combine with each other and with the text in one look into one index. The text made here is only
ever handed over as a parameter, its lexemes quoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import cast, get_args

from renown.derive.profile import State
from renown.derive.terms import TERM_KINDS, TermKind, term
from renown.errors import BadParameter
from renown.spec.deployments import find
from renown.spec.documents.model import ServiceKind
from renown.spec.findings import FINDINGS
from renown.types import MAX_BIGINT, parse_address

LONGEST_EXPRESSION = 4_000
MOST_CONDITIONS = 100
_DEEPEST = 20

_SAID = ("yes", "no", "unknown")
VOCABULARIES: dict[str, tuple[str, ...]] = {
    "kind": get_args(ServiceKind),
    "state": get_args(State),
    "x402": _SAID,
    "active": _SAID,
    "alive": _SAID,
    "verified": ("yes", "no"),
    "name": ("yes", "no"),
    "finding": tuple(sorted(FINDINGS)),
}
"""The values of the kinds that have a fixed set of them."""
_ONE_OF = ("state", "x402", "active", "alive", "verified", "name")
_MEANT = {"true": "yes", "false": "no", "1": "yes", "0": "no", "null": "unknown"}


def condition(kind: str, value: str) -> str:
    """The lexeme of one condition, quoted.

    Raises:
        BadParameter: no such kind, no value, or a value that the kind's vocabulary lacks.
        BadAddress, ChainNotFound: of owners, wallets and chains.
    """
    if kind not in TERM_KINDS:
        raise BadParameter(
            f"no filter is called {kind[:50]!r}; there are: {', '.join(TERM_KINDS)}",
            parameter=kind[:50],
            known=list(TERM_KINDS),
        )
    value = value.strip()
    if not value:
        raise BadParameter(f"`{kind}` needs a value", parameter=kind)
    known = VOCABULARIES.get(kind)
    if kind in ("owner", "wallet"):
        value = "0x" + parse_address(value).hex()
    elif kind == "chain":
        value = str(_chain(value))
    elif known is not None:
        value = value.lower()
        value = value if value in known else _MEANT.get(value, value)
        if value not in known:
            raise BadParameter(
                f"`{kind}` has no value {value[:50]!r}; it takes: {', '.join(known)}",
                parameter=kind,
                known=list(known),
            )
    return _quoted(term(cast(TermKind, kind), value))


def any_of(kind: str, values: Iterable[str]) -> str:
    """The condition that an agent has one of the values. `!` before all of them turns it around.

    Raises: as `condition`.
    """
    conditions = [condition(kind, value) for value in values]
    if len(conditions) > MOST_CONDITIONS:
        raise BadParameter(f"`{kind}` takes {MOST_CONDITIONS} values at most", parameter=kind)
    return conditions[0] if len(conditions) == 1 else f"( {' | '.join(conditions)} )"


def negated(query: str) -> str:
    """Its contrary.

    Of kinds of which each agent has exactly one value that is the other values: for these an index
    has lists, while what lacks a lexeme can only be found by looking at everything.
    """
    kind, _, value = query.strip("'").partition("=")
    if kind in _ONE_OF and query == _quoted(f"{kind}={value}"):
        return any_of(kind, [other for other in VOCABULARIES[kind] if other != value])
    return f"!( {query} )"


def all_of(queries: Iterable[str]) -> str:
    """All of several, "" for none."""
    return " & ".join(queries)


def expression(text: str) -> str:
    r"""Read `kind:mcp AND (skill:a OR NOT trust:tee)`.

    NOT binds closest, then AND (which may be left out), then OR. Values with spaces, brackets or
    quotes stand in double quotes, within which `\"` is a quote: `tag:"defi (new)"`.

    Raises: as `condition`; BadParameter says where the text stops making sense.
    """
    if len(text) > LONGEST_EXPRESSION:
        raise _unreadable(f"is longer than {LONGEST_EXPRESSION} characters", 0)
    return _Parser(text).whole()


def _chain(value: str) -> int:
    if value.isascii() and value.isdigit() and len(value) < 20 and int(value) <= MAX_BIGINT:
        return int(value)
    return find(value).chain_id


def _quoted(lexeme: str) -> str:
    # NUL cannot be in a text of PostgreSQL, nor a lone surrogate in UTF-8.
    clean = lexeme.replace("\0", "").encode("utf-8", "ignore").decode()
    return "'" + clean.replace("\\", "\\\\").replace("'", "''") + "'"


# The expression ---------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"\s*(?:(?P<bracket>[()])|(?P<bang>[!-](?=\s*[\w(!-]))"
    r"|(?P<kind>\w+)[:=](?:\"(?P<quoted>(?:[^\"\\]|\\.)*)\"|(?P<plain>[^\s()\"]+))"
    r"|(?P<word>AND|OR|NOT|and|or|not|And|Or|Not)(?=[\s()]|$))"
)


class _Parser:
    """Recursive descent: disjunction, conjunction, negation, condition or brackets."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(self._read())
        self._next = 0
        self._conditions = 0

    def whole(self) -> str:
        query = self._disjunction(0)
        if self._next < len(self._tokens):
            raise _unreadable("has a bracket that closes nothing", self._place())
        return query

    def _read(self) -> Iterator[tuple[str, str, str, int]]:
        place, text = 0, self._text.rstrip()
        while place < len(text):
            match = _TOKEN.match(text, place)
            if match is None:
                raise _unreadable(
                    f"cannot be read at {text[place : place + 30].strip()!r}: expected"
                    " `name:value`, AND, OR, NOT or a bracket",
                    place,
                )
            if match["kind"]:
                quoted = match["quoted"]
                value = match["plain"] if quoted is None else re.sub(r"\\(.)", r"\1", quoted)
                yield "condition", match["kind"].lower(), value, place
            elif match["bracket"]:
                yield match["bracket"], "", "", place
            else:
                yield "not" if match["bang"] else match["word"].lower(), "", "", place
            place = match.end()

    def _disjunction(self, depth: int) -> str:
        parts = [self._conjunction(depth)]
        while self._take("or"):
            parts.append(self._conjunction(depth))
        return parts[0] if len(parts) == 1 else f"( {' | '.join(parts)} )"

    def _conjunction(self, depth: int) -> str:
        parts = [self._negation(depth)]
        while self._take("and") or self._peek() in ("condition", "not", "("):
            parts.append(self._negation(depth))
        return parts[0] if len(parts) == 1 else f"( {' & '.join(parts)} )"

    def _negation(self, depth: int) -> str:
        if depth > _DEEPEST:
            raise _unreadable(f"nests deeper than {_DEEPEST}", self._place())
        if self._take("not"):
            return negated(self._negation(depth + 1))
        if self._take("("):
            inner = self._disjunction(depth + 1)
            if not self._take(")"):
                raise _unreadable("has a bracket that is not closed", self._place())
            return inner
        if self._peek() != "condition":
            raise _unreadable("expects a `name:value` there", self._place())
        _, kind, value, _ = self._tokens[self._next]
        self._next += 1
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise _unreadable(f"has more than {MOST_CONDITIONS} conditions", self._place())
        return condition(kind, value)

    def _peek(self) -> str | None:
        return self._tokens[self._next][0] if self._next < len(self._tokens) else None

    def _take(self, kind: str) -> bool:
        if self._peek() != kind:
            return False
        self._next += 1
        return True

    def _place(self) -> int:
        if self._next < len(self._tokens):
            return self._tokens[self._next][3]
        return len(self._text)


def _unreadable(problem: str, place: int) -> BadParameter:
    return BadParameter(
        f"`filter` {problem} (character {place + 1})", parameter="filter", character=place + 1
    )
