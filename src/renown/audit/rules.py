"""Which entries of the audit log want a person to look at them. Pure: entries in, names out.

Rules are data (`rule_book.RULES`), an installation may switch them off and on and move their
numbers (`read_rules`), and a `Reviewer` applies them to entries in the order in which they come.
"""

from __future__ import annotations

import difflib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, TypeAlias

from renown.audit.counting import Windows
from renown.audit.rule_book import RULES, AuditedEntry, Numbers, Rule
from renown.errors import BadParameter

__all__ = ["AuditedEntry", "Reviewer", "Rules", "default_rules", "read_rules"]

MOST_REMEMBERED = 20_000
"""Entries whose rule a reviewer still knows, so that a batch asked for again changes nothing."""

Rules: TypeAlias = Mapping[str, Numbers]
"""The rules that are on, with their numbers."""


class Reviewer:
    """Names the rule that wants a person for an entry.

    What it counts, it counts in memory, and begins anew when it is made: give it the entries of
    the last minutes first where that matters. Its memory is bounded whatever comes.
    """

    def __init__(self, rules: Rules | None = None) -> None:
        chosen = default_rules() if rules is None else rules
        self._by_action: dict[str, list[tuple[Rule, Numbers, Windows]]] = {}
        for rule in RULES:
            if (numbers := chosen.get(rule.name)) is not None:
                windows = Windows(numbers.get("at_least", 1), numbers.get("minutes", 1) * 60)
                for action in rule.actions:
                    self._by_action.setdefault(action, []).append((rule, numbers, windows))
        self._said: OrderedDict[int, str | None] = OrderedDict()

    def rule_of(self, entry: AuditedEntry) -> str | None:
        """The most serious rule that finds this entry; None: nobody need look.

        Asked again about one of the last entries, it answers as before and counts nothing twice.
        """
        rules = self._by_action.get(entry.action)
        if rules is None:
            return None
        if entry.entry_id in self._said:
            return self._said[entry.entry_id]
        found: str | None = None
        for rule, numbers, windows in rules:  # all of them: counting must not depend on the others
            if _is_found(entry, rule, numbers, windows) and found is None:
                found = rule.name
        self._said[entry.entry_id] = found
        if len(self._said) > MOST_REMEMBERED:
            self._said.popitem(last=False)
        return found


def default_rules() -> Rules:
    """The rules of an installation that says nothing."""
    return {rule.name: _defaults(rule) for rule in RULES if rule.is_on}


def read_rules(policy: object) -> Rules:
    """The rules that the policy `review` asks for: an object of rule names, each `false` (off),
    `true` (on) or an object of its numbers; rules that it does not name stay as they are.

    Raises:
        BadParameter: no such rule or number, or a value that it cannot have.
    """
    rules = dict(default_rules())
    for name, wanted in _object(policy, "the policy `review`").items():
        rule = _known(name, {rule.name: rule for rule in RULES}, "rule")
        if wanted is False:
            rules.pop(name, None)
        elif wanted is True:
            rules[name] = _defaults(rule)
        else:
            rules[name] = {**_defaults(rule), **_numbers(rule, _object(wanted, f"`{name}`"))}
    return rules


def _is_found(entry: AuditedEntry, rule: Rule, numbers: Numbers, windows: Windows) -> bool:
    if rule.finds is not None:
        return rule.finds(entry, numbers)
    assert rule.counts is not None
    # Every key is counted, also behind one that has enough.
    enough = [windows.add(key, entry.at_us, weight) for key, weight in rule.counts(entry)]
    return any(enough)


def _defaults(rule: Rule) -> dict[str, int]:
    return {parameter.name: parameter.default for parameter in rule.parameters}


def _numbers(rule: Rule, wanted: dict[str, object]) -> dict[str, int]:
    known = {parameter.name: parameter for parameter in rule.parameters}
    numbers: dict[str, int] = {}
    for name, value in wanted.items():
        bounds = _known(name, known, f"number of `{rule.name}`")
        if type(value) is not int or not bounds.least <= value <= bounds.most:
            raise BadParameter(
                f"`{rule.name}`: `{name}` is a whole number from {bounds.least} to {bounds.most}",
                parameter=name,
            )
        numbers[name] = value
    return numbers


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise BadParameter(f"{what} is an object, or for one rule true or false")
    return value


def _known(name: str, among: Mapping[str, Any], what: str) -> Any:
    if name in among:
        return among[name]
    close = difflib.get_close_matches(name[:100], among, n=1)
    hint = (
        f"; did you mean `{close[0]}`?" if close else f"; there are: {', '.join(among) or 'none'}"
    )
    raise BadParameter(f"no such {what}: `{name[:100]}`; {hint}", parameter=name[:100])
