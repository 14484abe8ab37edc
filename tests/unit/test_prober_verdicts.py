"""When a verdict changes, when to look again, and whose outage it is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from renown.errors import BadSettings
from renown.ingest.prober.asking import OptOut
from renown.ingest.prober.outage import SUSPICIOUS_HOSTS, Outage
from renown.ingest.prober.verdicts import Standing, judge, next_look

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
APART = timedelta(minutes=10)
DAY = timedelta(days=1)


def after(seen, standing=None, gap=APART, start=NOW):
    """The standing after looks that saw `seen`, `gap` apart."""
    standing = standing or Standing(verdict="unknown")
    for n, one in enumerate(seen):
        standing = judge(standing, one, now=start + n * gap, apart=APART)
    return standing


def test_judge__when_first_look__then_still_unknown():
    assert after(["dead"]) == Standing(
        verdict="unknown", leaning="dead", rounds=1, checked_at=NOW, verdict_at=None
    )


def test_judge__when_two_rounds_agree__then_verdict():
    found = after(["alive", "alive"])
    assert found == Standing(verdict="alive", checked_at=NOW + APART, verdict_at=NOW + APART)


def test_judge__when_rounds_too_close__then_no_second_round():
    assert after(["dead", "dead"], gap=timedelta(minutes=1)).verdict == "unknown"


def test_judge__when_one_failure_among_good__then_verdict_holds():
    alive = after(["alive", "alive"])
    found = after(["dead", "alive", "dead", "alive"], alive, start=NOW + DAY)
    assert (found.verdict, found.leaning, found.verdict_at) == ("alive", None, alive.verdict_at)


def test_judge__when_leanings_alternate__then_none_wins():
    assert after(["dead", "hollow", "dead", "hollow"]).verdict == "unknown"


def test_judge__when_look_proved_nothing__then_nothing_changes_but_the_time():
    leaning = after(["dead"])
    found = judge(leaning, "unknown", now=NOW + DAY, apart=APART)
    assert (found.verdict, found.leaning, found.rounds) == ("unknown", "dead", 1)
    assert judge(found, "dead", now=NOW + 2 * DAY, apart=APART).verdict == "dead"


def look(standing, seen, **more):
    fields = {"first_seen_at": NOW - 5 * DAY, "rest_seconds": None, "seed": b"1.1", **more}
    return next_look(standing, seen, now=NOW, apart=APART, **fields) - NOW


@pytest.mark.parametrize(
    ("standing", "seen", "least", "most"),
    [
        (Standing(verdict="alive"), "alive", 0.9 * DAY, 1.1 * DAY),
        (Standing(verdict="paywalled"), "paywalled", 0.9 * DAY, 1.1 * DAY),
        (Standing(verdict="unknown", leaning="dead", rounds=1), "dead", APART, 1.5 * APART),
        (Standing(verdict="alive", leaning="dead", rounds=1), "dead", APART, 1.5 * APART),
        (Standing(verdict="dead", verdict_at=NOW), "dead", 0.9 * DAY, 1.1 * DAY),
        (Standing(verdict="dead", verdict_at=NOW - 8 * DAY), "dead", 7 * DAY, 9 * DAY),
        (Standing(verdict="dead", verdict_at=NOW - 900 * DAY), "dead", 27 * DAY, 33 * DAY),
        (Standing(verdict="hollow", verdict_at=NOW - 4 * DAY), "hollow", 3 * DAY, 5 * DAY),
        (Standing(verdict="unknown"), "unknown", 4 * DAY, 6 * DAY),
        (Standing(verdict="alive"), "unknown", 0.9 * DAY, 1.1 * DAY),
    ],
)
def test_next_look__when_judged__then_sooner_for_what_is_open(standing, seen, least, most):
    assert least <= look(standing, seen) <= most


def test_next_look__when_host_asks_for_rest__then_it_gets_it_within_bounds():
    alive = Standing(verdict="alive")
    assert look(alive, "unknown", rest_seconds=7_200) >= 0.9 * timedelta(hours=2)
    assert look(alive, "unknown", rest_seconds=0.001) >= 0.9 * timedelta(hours=1)
    assert look(alive, "unknown", rest_seconds=1e9) <= 1.1 * DAY


def test_next_look__when_many_endpoints__then_spread():
    times = {look(Standing(verdict="alive"), "alive", seed=b"%d" % n) for n in range(500)}
    assert len(times) > 490
    assert look(Standing(verdict="alive"), "alive") == look(Standing(verdict="alive"), "alive")


def test_opt_out__when_host_or_below__then_never_asked():
    listed = OptOut(["quiet.example", "*.Below.example", "bücher.example"])
    assert "quiet.example" in listed
    assert "sub.quiet.example" not in listed
    assert "a.b.below.example" in listed
    assert "below.example" not in listed
    assert "notbelow.example" not in listed
    assert "xn--bcher-kva.example" in listed


@pytest.mark.parametrize("entry", ["", "*", "https://a.example", "a b", "*.*"])
def test_opt_out__when_no_host__then_said_at_once(entry):
    with pytest.raises(BadSettings):
        OptOut([entry])


def test_outage__when_good_hosts_fall_silent_together__then_suspected_until_one_answers():
    outage = Outage()
    for n in range(SUSPICIOUS_HOSTS):
        assert not outage.suspected
        for _ in range(SUSPICIOUS_HOSTS):
            outage.silent(f"never-good-{n}.example", was_good=False)
            outage.silent(f"{n}.example", was_good=True)
    assert outage.suspected
    outage.answered()
    assert not outage.suspected
