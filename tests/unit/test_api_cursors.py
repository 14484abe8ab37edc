"""Page cursors: what was written is read, by the same query only, and nothing else passes."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from renown.api.pages import Cursors
from renown.errors import BadCursor
from renown.types import MAX_BIGINT

CURSORS = Cursors(b"key")
SCOPE = "/v1/agents?chain=base"

parts = (
    st.integers(-1, MAX_BIGINT)
    | st.binary(max_size=32)
    | st.integers(0, 2**47).map(lambda second: datetime.fromtimestamp(second / 2**10, UTC))
)
positions = st.lists(parts, min_size=1, max_size=3).map(tuple)


@given(positions)
def test_read__what_was_written__comes_back_exactly(position: tuple[Any, ...]) -> None:
    assert CURSORS.read(CURSORS.write(position, SCOPE), SCOPE) == position


@given(positions, st.integers(0), st.integers(1, 255))
def test_read__any_byte_changed__is_refused(
    position: tuple[Any, ...], place: int, change: int
) -> None:
    cursor = CURSORS.write(position, SCOPE)
    raw = bytearray(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    raw[place % len(raw)] ^= change

    with pytest.raises(BadCursor):
        CURSORS.read(base64.urlsafe_b64encode(raw).decode().rstrip("="), SCOPE)


@given(st.text(max_size=700))
def test_read__any_text__is_refused_without_another_error(text: str) -> None:
    with pytest.raises(BadCursor):
        CURSORS.read(text, SCOPE)


@pytest.mark.parametrize(
    ("reader", "scope"),
    [(CURSORS, "/v1/agents?chain=linea"), (Cursors(b"other key"), SCOPE)],
)
def test_read__another_query_or_key__is_refused(reader: Cursors, scope: str) -> None:
    cursor = CURSORS.write((1, 2), SCOPE)

    with pytest.raises(BadCursor):
        reader.read(cursor, scope)
