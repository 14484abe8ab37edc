"""The tree of RFC 6962 against its text, written down once more in the plainest way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest

from renown.audit import merkle
from renown.audit.merkle import Frontier, Node

SIZES = range(258)

# The tree that Certificate Transparency's own tests grow, and its roots.
LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243", "5051525354555657"),
        "606162636465666768696a6b6c6d6e6f",
    )
]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def leaf(n: int) -> bytes:
    return b"leaf %d" % n


# RFC 6962, 2.1, 2.1.1 and 2.1.2, word for word ---------------------------------------------------


@cache
def mth(begin: int, end: int) -> bytes:
    """MTH(D[begin:end])."""
    n = end - begin
    if n == 0:
        return sha256(b"").digest()
    if n == 1:
        return sha256(b"\x00" + leaf(begin)).digest()
    k = largest_power_of_two_below(n)
    return sha256(b"\x01" + mth(begin, begin + k) + mth(begin + k, end)).digest()


def path(m: int, begin: int, end: int) -> list[bytes]:
    """PATH(m, D[begin:end])."""
    n = end - begin
    if n == 1:
        return []
    k = largest_power_of_two_below(n)
    if m < k:
        return [*path(m, begin, begin + k), mth(begin + k, end)]
    return [*path(m - k, begin + k, end), mth(begin, begin + k)]


def subproof(m: int, begin: int, end: int, b: bool) -> list[bytes]:
    """SUBPROOF(m, D[begin:end], b)."""
    n = end - begin
    if m == n:
        return [] if b else [mth(begin, end)]
    k = largest_power_of_two_below(n)
    if m <= k:
        return [*subproof(m, begin, begin + k, b), mth(begin + k, end)]
    return [*subproof(m - k, begin + k, end, False), mth(begin, begin + k)]


def largest_power_of_two_below(n: int) -> int:
    k = 1
    while 2 * k < n:
        k *= 2
    return k


# The tests ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def nodes() -> dict[Node, bytes]:
    """Every complete subtree of 257 leaves, as the growing tree gave them."""
    hashes = [merkle.leaf_hash(leaf(n)) for n in SIZES]
    made = Frontier().extend(hashes)
    found = {Node(0, n): one for n, one in enumerate(hashes)}
    return found | {Node(level, number): one for level, number, one in made}


def test_root__the_published_tree__has_the_published_roots() -> None:
    hashes = [merkle.leaf_hash(one) for one in LEAVES]

    assert merkle.root_of([]).hex() == (
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    )
    assert [merkle.root_of(hashes[: n + 1]).hex() for n in range(8)] == ROOTS


def test_published_proofs__of_that_tree__are_ours() -> None:
    hashes = [merkle.leaf_hash(one) for one in LEAVES]
    held = {Node(0, n): one for n, one in enumerate(hashes)}
    held |= {Node(level, n): one for level, n, one in Frontier().extend(hashes)}

    def proof(spans: Sequence[merkle.Span]) -> list[str]:
        return [one.hex() for one in merkle.assemble(spans, held.__getitem__)]

    assert proof(merkle.inclusion(0, 1)) == []
    assert proof(merkle.inclusion(0, 8)) == [
        "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    ]
    assert proof(merkle.inclusion(5, 8)) == [
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert proof(merkle.consistency(6, 8)) == [
        "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
        "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    ]
    assert proof(merkle.consistency(2, 5)) == [
        "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
        "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    ]


def test_growing__leaf_by_leaf_to_257__has_the_root_of_the_text_at_each_size(
    nodes: dict[Node, bytes],
) -> None:
    tree = Frontier()
    made: list[tuple[int, int, bytes]] = []
    for size in SIZES:
        assert tree.root() == mth(0, size)
        assert Frontier.of(size, [nodes[n] for n in merkle.cover(size)]).root() == mth(0, size)
        assert len(made) == merkle.node_count(size)
        made += tree.extend([merkle.leaf_hash(leaf(size))])

    assert {Node(level, n): one for level, n, one in made} == {
        node: one for node, one in nodes.items() if node.level
    }


def test_growing__in_batches_of_any_size__completes_the_same_nodes() -> None:
    hashes = [merkle.leaf_hash(leaf(n)) for n in range(200)]
    at_once = sorted(Frontier().extend(hashes))
    for step in (1, 2, 3, 7, 64, 199):
        tree = Frontier()
        made = [n for at in range(0, 200, step) for n in tree.extend(hashes[at : at + step])]
        assert sorted(made) == at_once


def test_inclusion__every_leaf_of_every_size_to_257__is_the_path_of_the_text(
    nodes: dict[Node, bytes],
) -> None:
    for size in SIZES:
        root = mth(0, size)
        for index in range(size):
            spans = merkle.inclusion(index, size)
            proof = merkle.assemble(spans, nodes.__getitem__)
            assert proof == path(index, 0, size), (index, size)
            assert merkle.verify_inclusion(nodes[Node(0, index)], index, size, root, proof)
            assert len(merkle.nodes_of(spans)) <= 2 * size.bit_length()


def test_consistency__every_two_sizes_to_257__is_the_proof_of_the_text(
    nodes: dict[Node, bytes],
) -> None:
    for new in SIZES:
        for old in range(new + 1):
            spans = merkle.consistency(old, new)
            proof = merkle.assemble(spans, nodes.__getitem__)
            assert proof == (subproof(old, 0, new, True) if old else []), (old, new)
            assert merkle.verify_consistency(old, mth(0, old), new, mth(0, new), proof)
            assert len(merkle.nodes_of(spans)) <= 2 * max(1, new).bit_length()


def test_verify__what_cannot_be__is_refused_and_never_raises() -> None:
    root, zero = mth(0, 5), bytes(32)

    assert not merkle.verify_inclusion(zero, 5, 5, root, [])
    assert not merkle.verify_inclusion(zero, -1, 5, root, [])
    assert not merkle.verify_inclusion(zero, 0, 0, merkle.EMPTY_ROOT, [])
    assert not merkle.verify_inclusion(zero, 0, 5, root, [zero] * 100)
    assert not merkle.verify_inclusion(b"short", 0, 1, b"short", [])
    assert not merkle.verify_consistency(3, mth(0, 3), 5, root, [])
    assert not merkle.verify_consistency(5, root, 3, mth(0, 3), [])
    assert not merkle.verify_consistency(0, zero, 5, root, [])
    assert not merkle.verify_consistency(5, root, 5, mth(0, 4), [])
    assert not merkle.verify_consistency(5, root, 5, root, [zero])
    assert not merkle.verify_consistency(4, mth(0, 4), 5, root, [zero] * 100)
    for refused in ((0, 0), (3, 3), (-1, 2)):
        with pytest.raises(ValueError):
            merkle.inclusion(*refused)
    with pytest.raises(ValueError):
        merkle.consistency(4, 3)
