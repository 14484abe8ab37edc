"""What became of a URI."""

from __future__ import annotations

from typing import get_args

import pytest

from renown.derive.document_state import document_state
from renown.derive.profile import State
from renown.spec.documents.model import Class


@pytest.mark.parametrize(
    ("kind", "attempts", "outcome", "state"),
    [
        (None, 0, None, "pending"),
        ("https", 0, None, "pending"),
        ("https", 3, "dns-failed", "unreachable"),
        ("https", 1, "http-error", "unreachable"),
        ("data", 1, "undecodable", "unreadable"),
        ("unsupported", 0, None, "unsupported"),
        ("ipfs", 1, "unsupported", "unsupported"),
    ],
)
def test_state__without_a_document__is_of_the_last_attempt(
    kind: str | None, attempts: int, outcome: str | None, state: State
) -> None:
    found = document_state(
        kind=kind, attempts=attempts, outcome=outcome, document_class=None, reading=None
    )

    assert found == state


@pytest.mark.parametrize("document_class", get_args(Class))
@pytest.mark.parametrize("outcome", ["ok", "timeout"])
def test_state__with_a_document__is_of_that_whatever_came_after(
    document_class: Class, outcome: str
) -> None:
    found = document_state(
        kind="https", attempts=2, outcome=outcome, document_class=document_class, reading="strict"
    )

    expected = {
        **dict.fromkeys(("registration", "untyped-registration"), "strict"),
        **dict.fromkeys(("html", "not-json", "not-an-object"), "unreadable"),
    }
    assert found == expected.get(document_class, "foreign")
