"""Which entries want a person: each rule, what the policy changes, and what is counted."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from renown.audit import counting, rules
from renown.audit.counting import MOST_MOMENTS, Windows
from renown.audit.rule_book import RULES
from renown.audit.rules import AuditedEntry, Reviewer, default_rules, read_rules
from renown.errors import BadParameter

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "audit-rules.md"
REQUEST = UUID(int=1)
MINUTE_US = 60 * 1_000_000

_ids = count(1)


def entry(action: str, subject: str = "", **fields: Any) -> AuditedEntry:
    """An entry of a request, unless `request_id` says otherwise."""
    usual: dict[str, Any] = {
        "entry_id": next(_ids),
        "at_us": 10**15,
        "request_id": REQUEST,
        "program": "renown-api",
    }
    return AuditedEntry(**(usual | {"action": action, "subject": subject} | fields))


KEY = {"key_id": "aaaaaaaa", "kind": "key", "scopes": ["read"], "revoked_at": None}
SESSION = KEY | {"kind": "session"}
ACCOUNT = {"tier": "free", "is_operator": False, "closed_at": None, "name": "a"}

CASES: list[tuple[AuditedEntry, str | None]] = [
    (entry("truncate", "api_key"), "truncate"),
    (entry("foreign-write", "feedback_given"), "foreign-write"),
    (
        entry("update", "account", before=ACCOUNT, after=ACCOUNT | {"tier": "pro"}),
        "account-changed",
    ),
    (
        entry("update", "account", before=ACCOUNT, after=ACCOUNT | {"is_operator": True}),
        "account-changed",
    ),
    (entry("update", "account", before=ACCOUNT, after=ACCOUNT | {"name": "b"}), None),
    (entry("insert", "account", after=ACCOUNT), None),
    (entry("insert", "account", after=ACCOUNT | {"is_operator": True}), "account-changed"),
    (entry("insert", "signer_grant", after={"account_id": 1}), "signer-grant"),
    (entry("delete", "signer_grant", before={"account_id": 1}), "signer-grant"),
    (entry("insert", "policy", after={"name": "review"}), "policy-changed"),
    (entry("update", "installation_setting", before={}, after={}), "setting-changed"),
    (entry("insert", "installation_setting", after={}), None),
    (entry("insert", "api_key", after=KEY), None),
    (entry("insert", "api_key", after=KEY | {"scopes": ["read", "admin"]}), "admin-key"),
    (entry("insert", "api_key", after=SESSION | {"scopes": ["admin"]}), None),
    (entry("update", "api_key", before=KEY, after=KEY | {"revoked_at": "2026"}), "key-revoked"),
    (entry("update", "api_key", before=SESSION, after=SESSION | {"revoked_at": "2026"}), None),
    (entry("delete", "api_key", before=KEY), "key-revoked"),
    (entry("update", "api_key", before=KEY, after=KEY | {"expires_at": "2026"}), "key-changed"),
    (
        entry("update", "api_key", before=KEY, after=KEY | {"changed_secret": True}),
        "key-changed",
    ),
    (entry("insert", "account_wallet", after={"account_id": 1}), None),
    (entry("delete", "account_wallet", before={"account_id": 1}), "wallet-removed"),
    (
        entry("update", "account_wallet", before={"account_id": 1}, after={"account_id": 2}),
        "wallet-removed",
    ),
    (entry("commit", "chain:1", detail={"by_kind": {"feedback_given": 9}}), None),
    (entry("commit", "chain:1", detail={"by_kind": {"feedback_revoked": 1}}), "feedback-revoked"),
    (entry("commit", "chain:1", detail={"by_kind": {"feedback_revoked": 0}}), None),
    (entry("commit", "chain:1", detail={"by_kind": 7}), None),
    (entry("retract", "chain:1", detail={"dropped": 3}), "retraction"),
    (entry("retract", "chain:1", detail={"dropped": 0}), None),
    (entry("retract", "chain:1"), "retraction"),
    (entry("repair", "chain:1"), "repair"),
    (entry("retention", "audit_log"), "retention"),
    (entry("insert", "installation_mark", after={"mark": "hidden"}), None),
    (entry("request", "/v1/keys", status=500), None),
    (entry("read", "/v1/agents", status=200), None),
    (entry("refused", "/v1/agents", status=401), None),
    (entry("no such action"), None),
    # By hand: no request, no command.
    (entry("insert", "account", after=ACCOUNT, request_id=None, program="psql"), "by-hand"),
    (entry("update", "account", after=ACCOUNT, request_id=None, program="renown-api"), "by-hand"),
    (
        entry("insert", "account", after=ACCOUNT, request_id=None, detail={"command": "renown x"}),
        None,
    ),
    (entry("update", "payment_claim", after={}, request_id=None, program="renown-watcher"), None),
    (entry("update", "payment_claim", after={}, request_id=None, program="psql"), "by-hand"),
    (entry("delete", "api_key", before=SESSION, request_id=None, program="renown"), None),
    (entry("delete", "api_key", before=KEY, request_id=None, program="renown"), "by-hand"),
]


@pytest.mark.parametrize(("given", "expected"), CASES, ids=lambda value: str(value)[:60])
def test_rule_of__one_entry__is_the_first_rule_that_finds_it(
    given: AuditedEntry, expected: str | None
) -> None:
    assert Reviewer().rule_of(given) == expected


def refused(minute: float = 0, *, address: bytes = b"a", **fields: Any) -> AuditedEntry:
    return entry(
        "refused",
        at_us=10**15 + int(minute * MINUTE_US),
        address=address,
        request_id=None,
        **fields,
    )


def test_failures__from_one_address__want_a_person_at_each_tenth_within_ten_minutes() -> None:
    reviewer = Reviewer()

    found = [reviewer.rule_of(refused(n / 100)) for n in range(25)]

    assert [n for n, rule in enumerate(found, 1) if rule] == [10, 20]
    assert set(filter(None, found)) == {"repeated-failures"}


def test_failures__spread_over_time_or_addresses__want_nobody() -> None:
    reviewer = Reviewer()
    assert not any(reviewer.rule_of(refused(minute=n * 2)) for n in range(40))
    assert not any(reviewer.rule_of(refused(address=bytes([n]))) for n in range(40))


def test_failures__told_together_or_with_one_key__count_too() -> None:
    assert Reviewer().rule_of(refused(detail={"count": 10})) == "repeated-failures"
    reviewer = Reviewer()
    found = [reviewer.rule_of(refused(address=bytes([n]), key_id="k")) for n in range(10)]
    assert found == [None] * 9 + ["repeated-failures"]


def test_edits__many_of_one_request__want_a_person_once_for_each_twenty() -> None:
    reviewer, requests = Reviewer(), [uuid4() for _ in range(30)]
    one = [
        reviewer.rule_of(entry("insert", "account_wallet", request_id=REQUEST)) for _ in range(45)
    ]
    assert [n for n, rule in enumerate(one, 1) if rule] == [20, 40]
    assert set(filter(None, one)) == {"bulk-edit"}
    assert not any(
        reviewer.rule_of(entry("insert", "account_wallet", request_id=r)) for r in requests
    )


def test_edits__many_by_hand__say_so_although_each_wants_a_person_anyway() -> None:
    reviewer = Reviewer()
    found = [
        reviewer.rule_of(entry("delete", "account_wallet", request_id=None, db_user="dba"))
        for _ in range(21)
    ]
    assert found == ["by-hand"] * 19 + ["bulk-edit", "by-hand"]


def test_rule_of__the_same_batch_again__answers_as_before() -> None:
    reviewer, batch = Reviewer(), [refused() for _ in range(25)]
    assert [reviewer.rule_of(one) for one in batch] == [reviewer.rule_of(one) for one in batch]


def test_memory__whatever_comes__is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rules, "MOST_REMEMBERED", 200)
    monkeypatch.setattr(counting, "MOST_KEYS", 100)
    reviewer = Reviewer()
    for number in range(500):
        reviewer.rule_of(refused(address=number.to_bytes(16)))
    assert len(reviewer._said) == 200
    windows = Windows(100_000, 60)
    for number in range(500):
        windows.add(number, 10**15 + number)
    assert len(windows) == 100
    for number in range(5_000):
        windows.add("one", 10**15 + number * 11_000)
    assert len(windows._by_key["one"]) <= MOST_MOMENTS + 2


def test_count__after_a_clock_that_jumped__goes_on() -> None:
    windows = Windows(2, 60)
    assert not windows.add("a", 10**17)  # far ahead
    assert not windows.add("a", 10**15)
    assert windows.add("a", 10**15 + 1)


def test_policy__what_it_names__is_changed_and_the_rest_stays() -> None:
    assert read_rules({}) == default_rules()
    chosen = read_rules(
        {"repair": False, "mark-changed": True, "bulk-edit": {"at_least": 3}, "truncate": {}}
    )
    assert "repair" not in chosen
    assert chosen["bulk-edit"] == {"at_least": 3, "minutes": 1}
    assert set(chosen) - {"mark-changed"} == set(default_rules()) - {"repair"}
    reviewer = Reviewer(chosen)
    assert reviewer.rule_of(entry("repair")) is None
    assert reviewer.rule_of(entry("insert", "installation_mark", after={})) == "mark-changed"


@pytest.mark.parametrize(
    ("policy", "words"),
    [
        ([], "is an object"),
        (None, "is an object"),
        ({"repeated-failure": False}, "did you mean `repeated-failures`"),
        ({"zzz": False}, "there are:"),
        ({"repair": 1}, "is an object"),
        ({"bulk-edit": {"at_leats": 3}}, "did you mean `at_least`"),
        ({"bulk-edit": {"at_least": 1}}, "from 2 to"),
        ({"bulk-edit": {"at_least": True}}, "from 2 to"),
        ({"bulk-edit": {"at_least": 2.5}}, "from 2 to"),
        ({"bulk-edit": {"minutes": 10**30}}, "from 1 to"),
        ({"repair": {"at_least": 1}}, "none"),
    ],
)
def test_policy__that_cannot_be__is_refused_with_what_could(policy: object, words: str) -> None:
    with pytest.raises(BadParameter, match=words):
        read_rules(policy)


def test_page_of_the_rules__says_each_with_its_numbers() -> None:
    page = PAGE.read_text()
    for rule in RULES:
        numbers = ", ".join(f"`{p.name}` {p.default}" for p in rule.parameters) or "–"
        on = "on" if rule.is_on else "off"
        assert f"| `{rule.name}` | {on} | {rule.about} | {numbers} |" in page, rule.name
