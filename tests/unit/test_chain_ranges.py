from __future__ import annotations

import pytest

from renown.chain.ranges import (
    BeyondHead,
    Halve,
    NarrowTo,
    NotASizeError,
    Pruned,
    RangeSizer,
    RateLimited,
    Unknown,
    UseRange,
    classify,
)
from tests.fakes.faults import PROVIDERS, RangeLimit

WIDE = 90_000


@pytest.mark.parametrize("limit", PROVIDERS, ids=lambda limit: limit.provider)
def test_classify__each_provider__is_understood(limit: RangeLimit):
    code, message = limit.answer(1_000, 1_000 + WIDE - 1)

    verdict = classify(code, message, http_status=limit.http_status, blocks=WIDE)

    match verdict:
        case UseRange(first=first, last=last):
            assert first == 1_000
            assert last - first + 1 == limit.legal
        case NarrowTo(blocks=blocks) if limit.provider == "Chainstack free":
            assert blocks == 10_000  # the message is the paid plan's; the next refusal tells
        case NarrowTo(blocks=blocks):
            assert blocks == limit.legal
        case Halve():
            assert limit.legal is None
        case _:
            pytest.fail(f"{verdict} for {message}")


@pytest.mark.parametrize("limit", PROVIDERS, ids=lambda limit: limit.provider)
def test_sizer__each_provider__converges_to_a_legal_width(limit: RangeLimit):
    sizer = RangeSizer(start_blocks=WIDE)
    first, refusals, widths = 0, 0, []

    for _ in range(60):
        last = first + sizer.blocks - 1
        if limit.refuses(first, last):
            code, message = limit.answer(first, last)
            blocks = last - first + 1
            sizer.refused(
                first, last, classify(code, message, http_status=limit.http_status, blocks=blocks)
            )
            refusals += 1
        else:
            sizer.answered(sizer.blocks, seconds=0.1, logs=0, size_bytes=0)
            widths.append(last - first + 1)
            first = last + 1

    assert refusals <= 12
    assert widths
    assert max(widths) > limit.blocks // 4  # it does not crawl either


def test_classify__chainstack_free__narrows_twice():
    message = "Block range limit exceeded."

    assert classify(-32602, message, blocks=50_000) == NarrowTo(10_000)
    assert classify(-32602, message, blocks=10_000) == NarrowTo(100)
    assert classify(-32602, message, blocks=100) == Halve()


@pytest.mark.parametrize("code", [-32602, -32000, -32603])
def test_classify__past_the_head__is_never_a_size_error(code):
    message = "block range extends beyond current head block"

    assert classify(code, message, blocks=WIDE) == BeyondHead()


@pytest.mark.parametrize(
    ("code", "message", "verdict"),
    [
        (-32602, "invalid block range params", NotASizeError()),
        (-32602, "invalid argument 0: json: cannot unmarshal", NotASizeError()),
        (-32601, "the method eth_getLogs does not exist", NotASizeError()),
        (-32000, "unknown block", BeyondHead()),
        (-32000, "header not found", BeyondHead()),
        (-32000, "missing trie node 5a (path ) state 0x5a is not available", Pruned()),
        (4444, "pruned history unavailable", Pruned()),
        (-32005, "daily request count exceeded, request rate limited", RateLimited()),
        (429, "Your app has exceeded its compute units per second capacity", RateLimited()),
        (-32007, "limited to a 50 requests/second", RateLimited()),
        (-32005, "something of Infura's", RateLimited()),
        (-32000, "nobody ever said this", Unknown()),
        (None, "", Unknown()),
    ],
)
def test_classify__other_refusals__keep_the_range(code, message, verdict):
    assert classify(code, message, blocks=WIDE) == verdict


def test_classify__one_block__cannot_be_narrowed():
    for limit in PROVIDERS:
        code, message = limit.answer(5, 5 + WIDE)
        verdict = classify(code, message, http_status=limit.http_status, blocks=1)
        assert not isinstance(verdict, UseRange | NarrowTo | Halve)


@pytest.mark.parametrize("message", ["x" * 1_000_000, "limited to a " + "9" * 100_000, "[0x" * 9])
def test_classify__hostile_text__is_read_in_bounds(message):
    classify(-32000, message, blocks=WIDE)


def test_sizer__slow_answer__shrinks_without_an_error():
    sizer = RangeSizer(start_blocks=10_000)

    sizer.answered(10_000, seconds=12.0, logs=10, size_bytes=10_000)

    assert sizer.blocks < 5_000


def test_sizer__answer_with_many_logs__shrinks():
    sizer = RangeSizer(start_blocks=10_000)

    sizer.answered(10_000, seconds=0.1, logs=40_000, size_bytes=30_000_000)

    assert sizer.blocks == 2_500


def test_sizer__time_out__shrinks_and_fast_answers__grow_again():
    sizer = RangeSizer(start_blocks=8_000)
    sizer.timed_out(8_000)
    assert sizer.blocks == 2_000

    for _ in range(3):
        sizer.answered(sizer.blocks, seconds=0.05, logs=0, size_bytes=100)

    assert 4_000 <= sizer.blocks < 8_000  # what timed out is not tried again so soon


def test_sizer__named_limit__is_never_exceeded_again():
    sizer = RangeSizer(start_blocks=5_000)
    sizer.refused(0, 4_999, NarrowTo(799))

    for _ in range(500):
        sizer.answered(sizer.blocks, seconds=0.01, logs=0, size_bytes=0)
        assert sizer.blocks <= 799

    assert sizer.blocks == 799


def test_sizer__unnamed_limit__is_tried_again_later():
    sizer = RangeSizer(start_blocks=4_000)
    sizer.refused(0, 3_999, Halve())

    for _ in range(3 * RangeSizer.PATIENCE):
        sizer.answered(sizer.blocks, seconds=0.01, logs=0, size_bytes=0)

    assert sizer.blocks > 4_000
