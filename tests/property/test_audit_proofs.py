"""Proofs of any tree verify, and nothing that was changed in one does."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from renown.audit import merkle
from renown.audit.merkle import Frontier, Node

SIZES = st.integers(1, 3_000)


class Tree:
    """A tree of `size` leaves that no other shares."""

    def __init__(self, size: int) -> None:
        leaves = [merkle.leaf_hash(b"%d" % n) for n in range(size)]
        frontier = Frontier()
        self.nodes = {Node(0, n): one for n, one in enumerate(leaves)}
        self.nodes |= {Node(level, n): h for level, n, h in frontier.extend(leaves)}
        self.root = frontier.root()

    def at(self, size: int) -> bytes:
        return Frontier.of(size, [self.nodes[n] for n in merkle.cover(size)]).root()


def flipped(content: bytes, bit: int) -> bytes:
    at = bit % (8 * len(content))
    changed = bytearray(content)
    changed[at // 8] ^= 1 << at % 8
    return bytes(changed)


@settings(max_examples=60)
@given(SIZES, st.data())
def test_inclusion__any_leaf_of_any_size__verifies_and_nothing_changed_does(
    size: int, data: st.DataObject
) -> None:
    tree, index = Tree(size), data.draw(st.integers(0, size - 1))
    proof = merkle.assemble(merkle.inclusion(index, size), tree.nodes.__getitem__)
    leaf, bit = tree.nodes[Node(0, index)], data.draw(st.integers(0, 255))

    assert merkle.verify_inclusion(leaf, index, size, tree.root, proof)
    assert not merkle.verify_inclusion(flipped(leaf, bit), index, size, tree.root, proof)
    assert not merkle.verify_inclusion(leaf, index, size, flipped(tree.root, bit), proof)
    other = data.draw(st.integers(-1, size + 1).filter(lambda n: n != index))
    assert not merkle.verify_inclusion(leaf, other, size, tree.root, proof)
    for at in range(len(proof)):
        changed = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        assert not merkle.verify_inclusion(leaf, index, size, tree.root, changed)
        assert not merkle.verify_inclusion(
            leaf, index, size, tree.root, [*proof[:at], *proof[at + 1 :]]
        )
    assert not merkle.verify_inclusion(leaf, index, size, tree.root, [*proof, leaf])
    # A size comes with its root, from one checkpoint: for another size there is another root.
    smaller = data.draw(st.integers(0, size - 1))
    assert not merkle.verify_inclusion(leaf, index, smaller, tree.at(smaller), proof)


@settings(max_examples=60)
@given(SIZES, st.data())
def test_consistency__any_two_sizes__verifies_and_nothing_changed_does(
    new: int, data: st.DataObject
) -> None:
    tree, old = Tree(new), data.draw(st.integers(0, new))
    old_root = tree.at(old)
    proof = merkle.assemble(merkle.consistency(old, new), tree.nodes.__getitem__)
    bit = data.draw(st.integers(0, 255))

    assert merkle.verify_consistency(old, old_root, new, tree.root, proof)
    assert not merkle.verify_consistency(old, flipped(old_root, bit), new, tree.root, proof)
    if old:  # any tree begins with the empty one
        changed_root = flipped(tree.root, bit)
        assert not merkle.verify_consistency(old, old_root, new, changed_root, proof)
    for at in range(len(proof)):
        changed = [*proof[:at], flipped(proof[at], bit), *proof[at + 1 :]]
        assert not merkle.verify_consistency(old, old_root, new, tree.root, changed)
    other = data.draw(st.integers(0, new).filter(lambda n: n != old))
    assert not merkle.verify_consistency(other, old_root, new, tree.root, proof)
    if old not in (0, new):
        smaller = data.draw(st.integers(old, new - 1))
        assert not merkle.verify_consistency(old, old_root, smaller, tree.at(smaller), proof)
