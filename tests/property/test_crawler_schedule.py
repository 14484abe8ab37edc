"""Whatever happens to a URI, its next attempt lies within bounds, and always the same ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from renown.ingest.crawler import patience
from renown.ingest.crawler.schedule import (
    DAY,
    HOUR,
    JITTER,
    Turn,
    after_failure,
    after_success,
)
from renown.offchain.fetched import OUTCOMES, Fetched

NOW = datetime(2026, 11, 22, tzinfo=UTC)
counts = st.integers(0, 2**31 - 1)
hashes = st.binary(min_size=32, max_size=32)
successes: Any = st.fixed_dictionaries(
    {
        "uri_hash": hashes,
        "attempts": counts,
        "fixed": st.booleans(),
        "proven": st.booleans(),
        "unchanged": counts,
        "document_before": st.none() | st.integers(1, 3),
        "document": st.integers(1, 3),
    }
)
failures: Any = st.fixed_dictionaries(
    {
        "uri_hash": hashes,
        "attempts": counts,
        "hopeless": st.booleans(),
        "failures": counts,
        "unchanged": counts,
        "asked_seconds": st.none() | st.floats(0, 1e18),
    }
)


def within(turn: Turn, least: float, most: float) -> bool:
    assert turn.due_at is not None
    slack = timedelta(seconds=1)
    return (
        NOW + timedelta(seconds=least * (1 - JITTER)) - slack
        <= turn.due_at
        <= NOW + timedelta(seconds=most * (1 + JITTER)) + slack
    )


@given(successes)
def test_success__any__is_within_six_hours_and_thirty_days_or_never(given_: dict[str, Any]):
    turn = after_success(NOW, **given_)

    assert turn == after_success(NOW, **given_)
    assert turn.failures == 0
    if given_["fixed"] and (given_["proven"] or turn.unchanged >= 3):
        assert turn.due_at is None
    else:
        assert within(turn, 6 * HOUR, 30 * DAY)


@given(failures)
def test_failure__any__is_within_an_hour_and_thirty_days_or_never(given_: dict[str, Any]):
    turn = after_failure(NOW, **given_)

    assert turn == after_failure(NOW, **given_)
    assert turn.failures == given_["failures"] + 1
    assert (turn.due_at is None) == given_["hopeless"]
    assert given_["hopeless"] or within(turn, HOUR, 30 * DAY)


@given(hashes)
def test_schedule__more_of_the_same__is_never_looked_at_much_sooner(
    uri_hash: bytes,
):
    pauses = []
    unchanged, before = 0, None
    for attempts in range(12):
        turn = after_success(
            NOW,
            uri_hash=uri_hash,
            attempts=attempts,
            fixed=False,
            unchanged=unchanged,
            document_before=before,
            document=1,
        )
        unchanged, before = turn.unchanged, 1
        assert turn.due_at is not None
        pauses.append((turn.due_at - NOW).total_seconds())

    assert all(b >= a * (1 - JITTER) / (1 + JITTER) - 1 for a, b in pairwise(pauses))


@given(
    st.sampled_from(OUTCOMES),
    st.none() | st.integers(100, 599),
    st.none() | st.floats(0, 1e18),
    st.sampled_from(["a.example", "ipfs:", "ar:"]),
    counts,
)
def test_patience__any_answer__rests_a_day_at_most(
    outcome: Any, status: int | None, asked: float | None, host: str, held: int
):
    fetched = Fetched(outcome=outcome, status=status, retry_after_seconds=asked)

    found = patience.after(fetched, host=host, failures=held)

    assert found == patience.after(fetched, host=host, failures=held)
    if isinstance(found, patience.Rest):
        assert 0 < found.seconds <= patience.LONGEST_SECONDS
        assert found.failures == held + 1
        assert not fetched.good
