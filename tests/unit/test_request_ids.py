"""Ids of requests are UUIDs of version 4, and no two alike."""

from __future__ import annotations

from uuid import RFC_4122, UUID

from renown.api.audited.request_ids import new_request_id


def test_new_request_id__many__are_random_uuids_and_all_different() -> None:
    made = [new_request_id() for _ in range(2_000)]

    assert len(set(made)) == len(made)
    assert {(one.version, one.variant) for one in made} == {(4, RFC_4122)}
    assert all(UUID(str(one)) == one and hash(UUID(str(one))) == hash(one) for one in made)
    seen = 0
    for one in made:
        seen |= one.int
    assert seen.bit_count() >= 123, "every bit that is free varies"
