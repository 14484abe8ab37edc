from __future__ import annotations

import random

import msgspec
import pytest

from renown.chain.verify import (
    Header,
    LogCheck,
    block_ref,
    bloom_bits,
    has_bloom,
    linked,
    same_logs,
    without,
)
from renown.errors import NodeInconsistent
from renown.spec.logs import RawLog
from tests.fakes.chain import FakeChain
from tests.fakes.world import DEVNET, busy_chain, feedback_log

CHAIN = busy_chain(40, seed=5, busy=0.5, bloom_noise=3)
CHECK = LogCheck(DEVNET.contracts)


def logs(first: int = 0, last: int = 40) -> list[RawLog]:
    return msgspec.convert(CHAIN.logs(first, last), list[RawLog])


def header(number: int) -> Header:
    block = CHAIN.block(number)
    assert block is not None
    return msgspec.convert(block.header, Header)


def changed(log: RawLog, **fields: object) -> RawLog:
    return msgspec.structs.replace(log, **fields)


def test_by_block__honest_logs__are_sliced_by_block():
    found = logs()

    slices = CHECK.by_block(found, 0, 40)

    assert list(slices) == [block.number for block in CHAIN.busy_blocks(0, 40)]
    for number, part in slices.items():
        assert {int(log.block_number, 16) for log in found[part]} == {number}
    assert CHECK.by_block([], 0, 40) == {}


@pytest.mark.parametrize(
    "bend",
    [
        lambda found: [changed(found[0], address="0x" + "12" * 20), *found[1:]],
        lambda found: [changed(found[0], removed=True), *found[1:]],
        lambda found: [found[0], *found],
        lambda found: found[::-1],
        lambda found: [found[1], found[0], *found[2:]],
        lambda found: [*found[3:], *found[:3]],  # a whole block at the wrong place
        lambda found: [changed(found[0], block_hash="0x" + "34" * 32), *found[1:]],
        lambda found: [changed(found[0], block_number="0x999"), *found[1:]],
        lambda found: [changed(found[0], block_number="zz"), *found[1:]],
        lambda found: [changed(found[0], log_index="0x-5"), *found[1:]],
        lambda found: [changed(found[0], log_index="0x" + "f" * 30), *found[1:]],
        lambda found: [changed(found[0], topics=found[0].topics * 2), *found[1:]],
    ],
)
def test_by_block__a_log_that_cannot_be__is_a_contradiction(bend):
    with pytest.raises(NodeInconsistent):
        CHECK.by_block(bend(logs()), 0, 40)


def test_by_block__other_letter_case__is_no_contradiction():
    found = logs()

    CHECK.by_block(
        [changed(log, address=log.address.upper().replace("X", "x")) for log in found], 0, 40
    )


def test_against_header__every_block__fits():
    found = logs()
    for number, part in CHECK.by_block(found, 0, 40).items():
        CHECK.against_header(found[part], header(number), every_topic=True, blooms=True)


def test_against_header__made_up_topics__are_ruled_out_when_every_topic_is_looked_for():
    log = logs()[0]
    number = int(log.block_number, 16)
    forged = changed(log, topics=(log.topics[0], "0x" + "ab" * 32))

    with pytest.raises(NodeInconsistent):
        CHECK.against_header([forged], header(number), every_topic=True, blooms=True)
    CHECK.against_header([forged], header(number), every_topic=False, blooms=True)
    CHECK.against_header([forged], header(number), every_topic=True, blooms=False)


def test_against_header__another_block__is_a_contradiction():
    log = logs()[0]

    with pytest.raises(NodeInconsistent):
        CHECK.against_header(
            [log], header(int(log.block_number, 16) + 1), every_topic=False, blooms=False
        )


def test_blooms__a_zero_bloom__tells_nothing_and_a_full_one_allows_all():
    silent = FakeChain(1, blooms=False)
    silent.append([feedback_log(random.Random(1))])
    zero = msgspec.convert(silent.head.header, Header)

    assert not has_bloom(zero)
    assert not has_bloom(msgspec.structs.replace(zero, logs_bloom=""))
    full = msgspec.structs.replace(zero, logs_bloom="0x" + "f" * 512)
    assert CHECK.may_have_logs(full)


def test_blooms__of_every_block__know_whether_there_may_be_logs():
    for number in range(41):
        block = CHAIN.block(number)
        assert block is not None
        if block.logs:
            assert CHECK.may_have_logs(header(number))


def test_bloom_bits__known_vector__three_bits():
    # geth, core/types/bloom9_test.go: the bloom of "testtest" sets at most three bits of 2048
    bits = bloom_bits(b"testtest")

    assert 1 <= bits.bit_count() <= 3
    assert bits < 1 << 2048


def test_missing_is_proved__left_out_log__yes_and_made_up_log__no():
    log = logs()[0]
    top = header(int(log.block_number, 16))

    assert CHECK.missing_is_proved([log], top)
    assert not CHECK.missing_is_proved([changed(log, topics=("0x" + "ab" * 32,))], top)
    assert not CHECK.missing_is_proved([changed(log, block_hash="0x" + "ab" * 32)], top)


def test_block_ref__fields_that_are_no_hashes__are_refused():
    good = header(3)

    assert block_ref(good, 3).number == 3
    for bad in (
        msgspec.structs.replace(good, hash="0x12"),
        msgspec.structs.replace(good, parent_hash="nope"),
        msgspec.structs.replace(good, timestamp="0x" + "f" * 20),
        msgspec.structs.replace(good, number="0x4"),
    ):
        with pytest.raises(NodeInconsistent):
            block_ref(bad, 3)


def test_linked__a_break__is_a_contradiction():
    refs = [block_ref(header(n)) for n in range(10)]
    linked(refs)

    with pytest.raises(NodeInconsistent):
        linked([*refs[:4], *refs[5:]])


def test_same_logs__and_without__compare_what_logs_say():
    found = logs()
    shouted = [changed(log, data=log.data.upper().replace("X", "x")) for log in found]

    assert same_logs(found, shouted)
    assert not same_logs(found, found[:-1])
    assert without(found, found[1:]) == [found[0]]
