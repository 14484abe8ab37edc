"""When URIs are read again, how long hosts rest, and what a trail does next."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from renown.ingest.crawler import patience
from renown.ingest.crawler.schedule import DAY, HOUR, JITTER, after_failure, after_success
from renown.ingest.crawler.trail import StepBack, Walk, next_move
from renown.offchain.fetched import Fetched
from renown.store.trail import News, Place, Standing

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
HASH = bytes(range(32))


def success(document: int, before: int | None, unchanged: int = 0, *, fixed: bool = False, **more):
    return after_success(
        NOW,
        uri_hash=HASH,
        attempts=3,
        fixed=fixed,
        **more,
        unchanged=unchanged,
        document_before=before,
        document=document,
    )


def failure(failures: int, *, hopeless: bool = False, asked: float | None = None):
    return after_failure(
        NOW,
        uri_hash=HASH,
        attempts=3,
        hopeless=hopeless,
        failures=failures,
        unchanged=2,
        asked_seconds=asked,
    )


def assert_about(due_at: datetime | None, seconds: float) -> None:
    assert due_at is not None
    pause = (due_at - NOW).total_seconds()
    assert seconds * (1 - JITTER) <= pause <= seconds * (1 + JITTER)


def test_success__the_first__is_looked_at_again_in_a_day():
    turn = success(7, None)

    assert (turn.failures, turn.unchanged) == (0, 0)
    assert_about(turn.due_at, DAY)


def test_success__changed__is_looked_at_sooner():
    turn = success(8, 7, unchanged=5)

    assert turn.unchanged == 0
    assert_about(turn.due_at, 6 * HOUR)


@pytest.mark.parametrize(
    ("unchanged", "days"), [(0, 1), (1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (500, 30)]
)
def test_success__unchanged__doubles_up_to_thirty_days(unchanged: int, days: int):
    turn = success(7, 7, unchanged)

    assert turn.unchanged == unchanged + 1
    assert_about(turn.due_at, days * DAY)


def test_success__of_what_the_uri_fixes__is_the_last():
    assert success(7, None, fixed=True).due_at is None


def test_success__of_what_the_uri_fixes_but_nobody_could_prove__is_not_the_last_at_once():
    assert_about(success(7, None, fixed=True, proven=False).due_at, DAY)
    assert_about(success(7, 7, 0, fixed=True, proven=False).due_at, 7 * DAY)
    assert_about(success(7, 7, 1, fixed=True, proven=False).due_at, 30 * DAY)
    assert success(7, 7, 2, fixed=True, proven=False).due_at is None
    assert success(7, 7, 0, fixed=True, proven=True).due_at is None


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [
        (0, HOUR),
        (1, 6 * HOUR),
        (2, DAY),
        (3, 2 * DAY),
        (6, 16 * DAY),
        (7, 30 * DAY),
        (99, 30 * DAY),
    ],
)
def test_failure__in_a_row__backs_off_to_thirty_days(failures: int, seconds: float):
    turn = failure(failures)

    assert (turn.failures, turn.unchanged) == (failures + 1, 2)
    assert_about(turn.due_at, seconds)


def test_failure__that_cannot_come_out_otherwise__is_the_last():
    assert failure(0, hopeless=True).due_at is None


def test_failure__the_host_asked_for_a_pause__has_it_up_to_a_day():
    assert failure(0, asked=3 * HOUR).due_at == NOW + timedelta(hours=3)
    assert failure(0, asked=99 * DAY).due_at == NOW + timedelta(days=1)
    assert_about(failure(2, asked=60).due_at, DAY)


# Hosts -------------------------------------------------------------------------------------------


def http(status: int, retry_after: float | None = None) -> Fetched:
    return Fetched(outcome="http-error", status=status, retry_after_seconds=retry_after)


@pytest.mark.parametrize(
    "fetched",
    [
        Fetched(outcome="ok", status=200, body=b""),
        Fetched(outcome="not-modified", status=304),
        http(404),
        http(500),
        Fetched(outcome="too-large"),
        Fetched(outcome="broken"),
    ],
)
def test_patience__a_host_that_answered__has_nothing_held_against_it(fetched: Fetched):
    assert patience.after(fetched, host="a.example", failures=5) == "answered"


@pytest.mark.parametrize("outcome", ["refused", "unsupported"])
def test_patience__a_host_that_was_not_asked__stays_as_it_was(outcome):
    assert patience.after(Fetched(outcome=outcome), host="a.example", failures=5) == "unknown"
    given_up = patience.given_up("connect-failed")
    assert (given_up.outcome, given_up.reason) == ("connect-failed", patience.HOST_DOWN)
    assert patience.after(given_up, host="a.example", failures=5) == "unknown"


@pytest.mark.parametrize("outcome", ["dns-failed", "connect-failed", "tls-failed", "timeout"])
def test_patience__nobody_there__rests_longer_each_time_up_to_a_day(outcome):
    pauses = []
    for failures in range(40):
        rest = patience.after(Fetched(outcome=outcome), host="a.example", failures=failures)
        assert isinstance(rest, patience.Rest)
        assert (rest.failures, rest.reason) == (failures + 1, outcome)
        pauses.append(rest.seconds)

    assert 45 <= pauses[0] <= 75
    assert pauses == sorted(pauses)
    assert pauses[-1] == DAY


@pytest.mark.parametrize("status", [429, 503])
def test_patience__busy__rests_as_long_as_it_asks_but_a_day_at_most(status: int):
    asked = patience.after(http(status, 900.0), host="a.example", failures=0)
    greedy = patience.after(http(status, 1e9), host="a.example", failures=0)

    assert isinstance(asked, patience.Rest)
    assert isinstance(greedy, patience.Rest)
    assert (asked.seconds, greedy.seconds) == (900.0, DAY)


def test_patience__gateways__one_missing_file_says_nothing_of_the_next():
    for fetched in (Fetched(outcome="timeout"), http(504), http(503), http(404)):
        assert patience.after(fetched, host="ipfs:", failures=0) == "unknown"
    rest = patience.after(http(429, 1e9), host="ipfs:", failures=0)
    assert isinstance(rest, patience.Rest)
    assert rest.seconds == patience.LONGEST_OF_GATEWAYS_SECONDS


# The trail ---------------------------------------------------------------------------------------


def standing(trail: Place | None, *, position: int = 10, block: int = 100, epoch: int = 1):
    return Standing(8453, "base", 5, Place(epoch, position, block), trail)


NOTHING = News(lost=False, retracted_from=None, learnt_from=None, refolded=False)


@pytest.mark.parametrize("trail", [None, Place(0, 10, 100), Place(1, 11, 100)])
def test_next_move__no_trail_of_this_chain__begins(trail: Place | None):
    assert next_move(standing(trail), None) == "begin"


def test_next_move__at_the_tip__rests():
    assert next_move(standing(Place(1, 10, 100)), None) == "rest"


def test_next_move__more_blocks__walks():
    assert next_move(standing(Place(1, 10, 50)), None) == Walk()
    assert next_move(standing(Place(1, 9, 100)), NOTHING) == Walk()


def test_next_move__entries_were_trimmed__begins_again():
    lost = News(lost=True, retracted_from=7, learnt_from=None, refolded=False)

    assert next_move(standing(Place(1, 9, 100)), lost) == "begin"


@pytest.mark.parametrize(
    ("retracted", "learnt", "refolded", "to"),
    [(80, None, False, 79), (None, 60, True, 59), (80, 60, True, 59), (101, None, False, 90),
     (None, None, True, 90)],
)  # fmt: skip
def test_next_move__taken_back_or_learnt__steps_back_but_never_forward(
    retracted: int | None, learnt: int | None, refolded: bool, to: int
):
    news = News(lost=False, retracted_from=retracted, learnt_from=learnt, refolded=refolded)

    assert next_move(standing(Place(1, 9, 90)), news) == StepBack(to, retracted, refolded)
