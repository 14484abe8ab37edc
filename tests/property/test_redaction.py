"""A secret planted anywhere in any body comes out nowhere, wherever the body is cut."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from renown.spec.redaction import shown_body, shown_text

CANARY = "c4n4ry"
SECRETS = {
    "key": f"ak_live_4x9k2m7q_{CANARY * 6}",
    "bearer": f"Bearer {CANARY}.{CANARY}",
    "url": f"https://user:{CANARY}@node.example/{CANARY}?k={CANARY}#{CANARY}",
    "jwt": f"eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY}",
    "assigned": f"password={CANARY}",
    "quoted": f'"signature": "{CANARY} {CANARY}"',
}
NAMES = ("signature", "private_key", "raw", "seedPhrase", "password", "apiKey", "message", "s")
# None of these can make a secret unrecognisable by standing right beside it.
_TEXTS = st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs"]), max_size=30)
_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | _TEXTS
_BODIES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


@st.composite
def planted(draw: st.DrawFn) -> Any:
    """A body with a canary in it: under a telling name, or in a text that looks like a secret."""
    body = draw(_BODIES)
    if draw(st.booleans()):
        secret: Any = {draw(st.sampled_from(NAMES)): draw(st.just(CANARY) | st.just([CANARY]))}
    else:
        text = draw(st.sampled_from(sorted(SECRETS.values())))
        secret = f"{draw(_TEXTS)} {text} {draw(_TEXTS)}"
        if draw(st.booleans()):
            secret = {secret: draw(_LEAVES)}
    for _ in range(draw(st.integers(0, 4))):
        if draw(st.booleans()):
            secret = [draw(_LEAVES), secret]
        else:
            secret = {draw(_TEXTS): draw(_LEAVES), draw(_TEXTS) + "x": secret}
    return [body, secret] if draw(st.booleans()) else [secret, body]


@given(planted(), st.integers(0, 400))
def test_body__with_a_secret_anywhere__shows_no_part_of_it(value: Any, cap: int) -> None:
    kept = json.dumps(shown_body(json.dumps(value).encode(), cap))
    assert CANARY not in kept
    assert "c4n4" not in kept  # nor half of one


@given(st.binary(max_size=300), st.integers(0, 200))
def test_body__whatever_it_is__becomes_something_that_can_be_stored(raw: bytes, cap: int) -> None:
    text = json.dumps(shown_body(raw, cap))
    assert "\\u0000" not in text
    assert len(text) < 6 * cap + 400


@given(st.text(), st.integers(0, 300))
def test_text__whatever_it_is__has_at_most_so_much(text: str, most: int) -> None:
    shown = shown_text(text, most)
    assert len(shown) <= most
    shown.encode()
    assert "\0" not in shown
