"""The steps from one JSON value to another lead there."""

from __future__ import annotations

import copy
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from renown.derive.document_diff import Change, changes, diff

leaves = (
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 1.0])
    | st.text("a~/é", max_size=2)
)
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=5)
        | st.dictionaries(st.text("ab~/", max_size=2), inner, max_size=4)
    ),
    max_leaves=25,
)


def apply(value: Any, change: Change) -> Any:
    """One step of a JSON Patch, as RFC 6902 says it; refuses what does not stand as said."""
    if change.pointer == "":
        assert encoded(value) == encoded(change.before)
        return change.after
    *path, last = (
        part.replace("~1", "/").replace("~0", "~") for part in change.pointer[1:].split("/")
    )
    place = value
    for part in path:
        place = place[int(part)] if isinstance(place, list) else place[part]
    key: Any = int(last) if isinstance(place, list) else last
    if change.op != "add":
        assert encoded(place[key]) == encoded(change.before)
    if change.op == "remove":
        del place[key]
    elif change.op == "add" and isinstance(place, list):
        assert key <= len(place)
        place.insert(key, change.after)
    else:
        assert change.op == "replace" or key not in place
        place[key] = change.after
    return value


def encoded(value: Any) -> bytes:
    return msgspec.json.encode(value, order="sorted")


@given(values, values)
def test_changes__of_any_two_values__lead_from_one_to_the_other(before: Any, after: Any) -> None:
    value = copy.deepcopy(before)

    for change in changes(before, after):
        value = apply(value, msgspec.structs.replace(change, after=copy.deepcopy(change.after)))

    assert encoded(value) == encoded(after)


@given(values)
def test_changes__of_a_value_and_itself__are_none(value: Any) -> None:
    assert diff(value, copy.deepcopy(value)).changes == ()


@given(st.lists(leaves, max_size=8), st.integers(0, 8), leaves)
def test_changes__one_item_put_in__is_one_step(items: list[Any], place: int, item: Any) -> None:
    after = [*items[:place], item, *items[place:]]

    (step,) = changes(items, after)

    assert (step.op, encoded(step.after)) == ("add", encoded(item))
