"""Going through the audit log gives the same tree and heads in whatever pieces it comes."""

from __future__ import annotations

import random
from hashlib import sha256

import pytest

from renown.audit.chain import FIRST_LINK
from renown.audit.merkle import Frontier, leaf_hash, root_of
from renown.audit.walking import Findings, Head, Walk

PAYLOADS = [b'["entry %d"]' % n for n in range(300)]
LEAVES = [leaf_hash(payload) for payload in PAYLOADS]


def links_of(leaves: list[bytes]) -> list[bytes]:
    links, link = [], FIRST_LINK
    for leaf in leaves:
        link = sha256(b"\x00" + link + leaf).digest()
        links.append(link)
    return links


LINKS = links_of(LEAVES)


@pytest.mark.parametrize("removed", [(), (0, 77, 78, 299)], ids=["whole", "some-removed"])
@pytest.mark.parametrize("seed", range(4))
def test_walk__in_pieces_of_any_size__makes_the_nodes_and_heads_of_the_whole(
    seed: int, removed: tuple[int, ...]
) -> None:
    dice = random.Random(seed)
    payloads = [None if n in removed else payload for n, payload in enumerate(PAYLOADS)]
    walk = Walk(Findings())
    made: dict[tuple[int, int], bytes] = {}
    begin = 0
    while begin < len(LEAVES):
        end = min(len(LEAVES), begin + dice.choice((1, 2, 64, 101)))
        sizes = sorted({dice.randint(begin, end) for _ in range(3)})
        walk.expect(sizes)
        at = begin
        while at < end:
            upto = min(end, at + dice.choice((1, 3, 32)))
            some = slice(at, upto)
            walk.leaves(range(at, upto), range(at, upto), LEAVES[some], LINKS[some], payloads[some])
            at = upto
        nodes, heads = walk.settle()

        assert heads == [
            Head(root_of(LEAVES[:size]), LINKS[size - 1] if size else FIRST_LINK) for size in sizes
        ]
        for level, (first, row) in nodes.items():
            made |= {(level, first + n): found for n, found in enumerate(row)}
        begin = end

    assert made == {(level, n): found for level, n, found in Frontier().extend(LEAVES)}
    assert (walk.size, walk.entries) == (300, 300 - len(removed))
    assert not walk.findings.counts


def test_walk__that_stops__gives_the_heads_that_it_reached() -> None:
    walk = Walk(Findings())
    walk.expect([2, 5])

    walk.leaves([0, 1, 2, 4], [0, 1, 2, 4], LEAVES[:4], LINKS[:4], PAYLOADS[:4])

    assert walk.settle()[1] == [Head(root_of(LEAVES[:2]), LINKS[1])]
    assert (walk.size, walk.has_stopped) == (3, True)
    assert walk.findings.counts == {"leaf-missing": 1}
