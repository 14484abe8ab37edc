"""What is said to have changed between two documents."""

from __future__ import annotations

from typing import Any

import pytest

from renown.derive.document_diff import LONGEST_VALUE, Change, changes, diff


def steps(before: Any, after: Any) -> list[tuple[Any, ...]]:
    return [(c.op, c.pointer, c.before, c.after) for c in changes(before, after)]


def test_changes__of_equal_values__are_none() -> None:
    assert steps({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}) == []


def test_changes__members__are_named_by_escaped_pointers_in_order() -> None:
    before = {"gone": 1, "same": True, "a/b~c": {"x": 1}}
    after = {"same": True, "new": [], "a/b~c": {"x": 2}}

    assert steps(before, after) == [
        ("replace", "/a~1b~0c/x", 1, 2),
        ("remove", "/gone", 1, None),
        ("add", "/new", None, []),
    ]


def test_changes__service_put_in_front__is_one_addition() -> None:
    web, mcp = {"name": "web"}, {"name": "MCP"}

    assert steps([web, mcp], [{"name": "A2A"}, web, mcp]) == [("add", "/0", None, {"name": "A2A"})]


def test_changes__service_edited__names_the_field_not_the_list() -> None:
    before = {"services": [{"name": "web", "endpoint": "https://a"}, {"name": "x"}]}
    after = {"services": [{"name": "web", "endpoint": "https://b"}, {"name": "x"}]}

    assert steps(before, after) == [
        ("replace", "/services/0/endpoint", "https://a", "https://b"),
    ]


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (0, False), (1, 1.0), (None, False), ({}, []), ("1", 1)]
)
def test_changes__values_python_confuses__are_told_apart(before: Any, after: Any) -> None:
    assert steps([before], [after]) == [("replace", "/0", before, after)]


def test_diff__long_values_and_pointers__are_cut_and_say_so() -> None:
    found = diff({"k" * 9_000: 1, "text": "a"}, {"text": "é" * 5_000})

    pointer, text = found.changes
    assert pointer.cut
    assert len(pointer.pointer) < 600
    assert text.cut
    assert len(text.after) == LONGEST_VALUE + 1
    assert text.before == "a"


def test_diff__more_changes_than_asked_for__are_cut_off_and_it_says_so() -> None:
    many = {str(n): n for n in range(500)}

    found = diff(many, {}, most=10)

    assert (len(found.changes), found.more) == (10, True)
    assert not diff(many, {**many, "x": 1}, most=10).more


def test_diff__deep_and_long_values__are_bounded_in_work() -> None:
    deep: Any = 1
    for _ in range(200):
        deep = [deep]
    long = [{"n": n} for n in range(5_000)]

    added, nested = diff({"a": deep}, {"a": [deep, 2]}).changes
    assert added == Change("add", "/a/1", after=2)
    assert nested.pointer.count("/") < 50
    assert diff(long, [{"n": n + 1} for n in range(5_000)]).more
    assert diff(long, long[1:]).changes == (Change("remove", "/0", {"n": 0}),)
