"""Whatever a node limits, the sizer covers a range once, and settles."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from renown.chain.ranges import (
    Halve,
    NarrowTo,
    RangeSizer,
    UseRange,
    Verdict,
    classify,
)

limits = st.integers(1, 60_000)
styles = st.sampled_from(["named", "proposes", "silent", "slow"])


def cover(last: int, limit: int, style: str, start: int) -> tuple[list[tuple[int, int]], int]:
    """Cover 0..last against one node; the ranges it served, and how often it refused."""
    sizer, served, refusals, cursor = RangeSizer(start_blocks=start), [], 0, 0
    while cursor <= last:
        end = min(last, cursor + sizer.blocks - 1)
        blocks = end - cursor + 1
        assert blocks >= 1
        if blocks <= limit:
            served.append((cursor, end))
            sizer.answered(blocks, seconds=0.1, logs=0, size_bytes=0)
            cursor = end + 1
            continue
        refusals += 1
        assert refusals < 200
        if style == "slow":
            sizer.timed_out(blocks)
        else:
            verdict: Verdict = Halve()
            if style == "named":
                verdict = NarrowTo(limit)
            elif style == "proposes":
                verdict = UseRange(cursor, cursor + limit - 1)
            sizer.refused(cursor, end, verdict)
    return served, refusals


@given(last=st.integers(0, 200_000), limit=limits, style=styles, start=st.integers(1, 100_000))
def test_sizer__any_limit__covers_the_range_without_gap_or_overlap(last, limit, style, start):
    limit = max(limit, last // 400)  # keeps the example short, not the claim
    served, refusals = cover(last, limit, style, start)

    expected = 0
    for first, end in served:
        assert first == expected
        assert first <= end
        expected = end + 1
    assert expected == last + 1
    assert refusals <= 25 + len(served) // 8


@given(limit=limits, style=styles)
def test_sizer__any_limit__settles_not_far_below_it(limit, style):
    sizer = RangeSizer(start_blocks=1_000)
    cursor = 0
    good = 0
    while good < 400:
        blocks = sizer.blocks
        if blocks <= limit:
            sizer.answered(blocks, seconds=0.1, logs=0, size_bytes=0)
            good += 1
        elif style == "slow":
            sizer.timed_out(blocks)
        else:
            verdict = NarrowTo(limit) if style == "named" else Halve()
            sizer.refused(cursor, cursor + blocks - 1, verdict)
        cursor += blocks

    assert sizer.blocks >= min(limit, 100_000) // 5
    assert sizer.blocks <= 100_000


@given(
    events=st.lists(
        st.tuples(
            st.sampled_from(["answered", "timed_out", "halve", "named", "proposed"]),
            st.integers(1, 10**6),
            st.floats(0, 100),
            st.integers(0, 10**6),
        )
    )
)
def test_sizer__any_history__stays_between_one_and_its_limit(events):
    sizer = RangeSizer()
    for kind, blocks, seconds, logs in events:
        match kind:
            case "answered":
                sizer.answered(blocks, seconds=seconds, logs=logs, size_bytes=logs * 700)
            case "timed_out":
                sizer.timed_out(blocks)
            case "halve":
                sizer.refused(0, blocks - 1, Halve())
            case "named":
                sizer.refused(0, blocks - 1, NarrowTo(logs))
            case _:
                sizer.refused(0, blocks - 1, UseRange(0, logs))
        assert 1 <= sizer.blocks <= sizer.limit_blocks <= 100_000


@given(
    code=st.none() | st.integers(-(2**40), 2**40),
    message=st.text()
    | st.from_regex(
        r"(block range|limited to|max|\[|0x| |[0-9]|k|,|exceeds){0,12}", fullmatch=True
    ),
    status=st.integers(100, 599),
    blocks=st.integers(1, 10**9),
)
def test_classify__any_refusal__is_a_verdict_that_narrows(code, message, status, blocks):
    verdict = classify(code, message, http_status=status, blocks=blocks)

    match verdict:
        case NarrowTo(blocks=limit):
            assert 1 <= limit < blocks
        case UseRange(first=first, last=last):
            assert 0 < last - first + 1 < blocks
        case Halve():
            assert blocks > 1
        case _:
            pass
