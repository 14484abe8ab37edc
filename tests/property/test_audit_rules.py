"""Rules against entries that nobody thought of."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from renown.audit.counting import Windows
from renown.audit.rule_book import RULES
from renown.audit.rules import AuditedEntry, Reviewer, read_rules
from renown.errors import BadParameter

_names = st.sampled_from(
    [
        "kind",
        "scopes",
        "revoked_at",
        "by_kind",
        "dropped",
        "count",
        "command",
        "tier",
        "is_operator",
    ]
)
_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=6,
)
_rows = st.none() | st.dictionaries(_names, _values, max_size=4)
_actions = sorted({action for rule in RULES for action in rule.actions} | {"request", "read"})
_entries = st.builds(
    AuditedEntry,
    entry_id=st.integers(0, 200),
    at_us=st.integers(-(2**62), 2**62),
    action=st.sampled_from(_actions),
    subject=st.sampled_from(
        ["account", "api_key", "policy", "account_wallet", "payment_claim", "chain:1", ""]
    ),
    key_id=st.none() | st.text(max_size=2),
    address=st.none() | st.binary(max_size=2),
    request_id=st.none() | st.uuids(),
    db_user=st.sampled_from(["renown", "dba"]),
    program=st.sampled_from(["renown-api", "psql", ""]),
    before=_rows,
    after=_rows,
    detail=_rows,
)


@settings(max_examples=30)
@given(st.lists(_entries, max_size=10))
def test_reviewer__whatever_comes__names_a_rule_that_is_on_and_is_repeatable(
    entries: list[AuditedEntry],
) -> None:
    rules = read_rules({"repair": False, "bulk-edit": {"at_least": 2}})
    reviewer, again = Reviewer(rules), Reviewer(rules)

    found = [reviewer.rule_of(entry) for entry in entries]

    assert set(found) <= {None, *rules}
    assert found == [again.rule_of(entry) for entry in entries]


@given(_values)
def test_policy__whatever_it_is__is_rules_or_refused(policy: Any) -> None:
    try:
        rules = read_rules(policy)
    except BadParameter:
        return
    assert set(rules) <= {rule.name for rule in RULES}


@given(
    st.integers(2, 5),
    st.lists(st.tuples(st.integers(0, 300), st.integers(1, 4)), max_size=60),
)
def test_windows__against_counting_by_hand__agree_to_a_grain(
    at_least: int, events: list[tuple[int, int]]
) -> None:
    """In order of time, with a window of 64 s: what is sure to be inside counts, what is sure to be
    outside does not."""
    seconds, grain = 64, 64 / 256
    windows, held = Windows(at_least, seconds), list[tuple[float, int]]()
    for at, weight in sorted(events):
        held = [(when, w) for when, w in held if at - when <= seconds + grain]
        sure = sum(w for when, w in held if at - when < seconds - grain) + weight
        most = sum(w for _, w in held) + weight
        said = windows.add("key", at * 1_000_000, weight)
        assert (sure >= at_least) <= said <= (most >= at_least)
        held = [] if said else [*held, (at, weight)]
