"""The Merkle tree of RFC 6962 (and RFC 9162): roots, proofs, and how a stranger checks them.

A node is a complete subtree: at `level`, the one of that `number` covers the leaves from
`number << level` up to, not including, `number + 1 << level`; leaves are at level 0. Complete
subtrees never change once they are made, so they can be kept; every root and every proof is put
together from a few of them. All hashes are 32 bytes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import NamedTuple, TypeAlias

EMPTY_ROOT = sha256(b"").digest()


class Node(NamedTuple):
    """A complete subtree."""

    level: int
    number: int


Span: TypeAlias = tuple[Node, ...]
"""The complete subtrees, left to right, whose fold is the hash of a run of leaves."""

Lookup: TypeAlias = Callable[[Node], bytes]


def leaf_hash(payload: bytes) -> bytes:
    """Hash of a leaf (RFC 6962, 2.1)."""
    return sha256(b"\x00" + payload).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Hash of an inner node (RFC 6962, 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """Root over leaf hashes: MTH of RFC 6962, 2.1."""
    frontier = Frontier()
    frontier.extend(list(leaves))
    return frontier.root()


# Growing -----------------------------------------------------------------------------------------


class Frontier:
    """A tree that grows: of it are held only the complete subtrees that wait for their sibling."""

    def __init__(self) -> None:
        self.size = 0
        self._open: dict[int, bytes] = {}

    @classmethod
    def of(cls, size: int, hashes: Sequence[bytes]) -> Frontier:
        """The tree of `size` leaves. `hashes` are those of `cover(size)`, in its order."""
        made = cls()
        made.size = size
        made._open = {n.level: h for n, h in zip(cover(size), hashes, strict=True)}
        return made

    def extend(self, leaves: Sequence[bytes]) -> list[tuple[int, int, bytes]]:
        """Append leaf hashes. Returns what is complete now and was not: level (above 0), number
        and hash, by level and then by number."""
        return [
            (level, first + n, found)
            for level, first, row in self.grow(leaves)
            for n, found in enumerate(row)
        ]

    def grow(self, leaves: Sequence[bytes]) -> Iterator[tuple[int, int, list[bytes]]]:
        """As `extend`, by levels: level, number of the first node, and the hashes. To be run to its
        end."""
        row, start, level = list(leaves), self.size, 0
        self.size += len(row)
        while row:
            if start & 1:
                row.insert(0, self._open.pop(level))
                start -= 1
            if len(row) & 1:
                self._open[level] = row.pop()
            row = [
                sha256(b"\x01" + left + right).digest()  # node_hash, without the call
                for left, right in zip(row[::2], row[1::2], strict=True)
            ]
            start >>= 1
            level += 1
            if row:
                yield level, start, row

    def root(self) -> bytes:
        """Root of the tree as it is now."""
        hashes = [self._open[level] for level in sorted(self._open, reverse=True)]
        return fold(hashes) if hashes else EMPTY_ROOT


# Which nodes -------------------------------------------------------------------------------------


def cover(size: int) -> Span:
    """The complete subtrees of a tree of `size` leaves, the largest first: their fold is its root.
    Empty for size 0."""
    return _span(0, size)


def inclusion(index: int, size: int) -> list[Span]:
    """What proves that leaf `index` is in the tree of `size` leaves: PATH of RFC 6962, 2.1.1.

    Each element of the proof is the fold of one span, the nearest to the leaf first. At most one of
    them has more than one node.

    Raises:
        ValueError: not `0 <= index < size`.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    path: list[Span] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _split(end - begin)
        if index < middle:
            path.append(_span(middle, end))
            end = middle
        else:
            path.append(_span(begin, middle))
            begin = middle
    return path[::-1]


def consistency(old: int, new: int) -> list[Span]:
    """What proves that the tree of `new` leaves begins with that of `old`: PROOF of RFC 6962,
    2.1.2. Empty where nothing needs proof: for `old` 0, and for two equal sizes.

    Raises:
        ValueError: not `0 <= old <= new`.
    """
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {new} leaves cannot begin with one of {old}")
    if old in (0, new):
        return []
    proof: list[Span] = []
    begin, end, whole = 0, new, True  # SUBPROOF(old - begin, D[begin:end], whole)
    while old != end:
        middle = begin + _split(end - begin)
        if old <= middle:
            proof.append(_span(middle, end))
            end = middle
        else:
            proof.append(_span(begin, middle))
            begin, whole = middle, False
    if not whole:
        proof.append(_span(begin, end))
    return proof[::-1]


def nodes_of(spans: Iterable[Span]) -> list[Node]:
    """Every node that is needed, each once, in no particular order."""
    return list({node for span in spans for node in span})


def assemble(spans: Iterable[Span], lookup: Lookup) -> list[bytes]:
    """The proof: one hash for each span."""
    return [fold([lookup(node) for node in span]) for span in spans]


def fold(hashes: Sequence[bytes]) -> bytes:
    """Hash of the run of leaves that complete subtrees cover, left to right; at least one."""
    found = hashes[-1]
    for left in reversed(hashes[:-1]):
        found = node_hash(left, found)
    return found


def node_count(size: int) -> int:
    """How many complete subtrees above the leaves a tree of `size` leaves has."""
    return size - size.bit_count()


def _span(begin: int, end: int) -> Span:
    """`begin` is a multiple of the largest power of two within the run, as RFC 6962 splits."""
    nodes = []
    while begin < end:
        level = (end - begin).bit_length() - 1
        nodes.append(Node(level, begin >> level))
        begin += 1 << level
    return tuple(nodes)


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << ((size - 1).bit_length() - 1)


# As a stranger checks ----------------------------------------------------------------------------


def verify_inclusion(
    leaf: bytes, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows the leaf hash `leaf` at `index` of the tree of `size` with `root`
    (RFC 9162, 2.1.3.2).

    The size must come from where the root comes from, a signed checkpoint: some trees of other
    sizes are shaped alike along the path, so that nothing but the checkpoint binds root and size.
    """
    if not 0 <= index < size or len(leaf) != 32:
        return False
    position, last, found = index, size - 1, leaf
    for sibling in proof:
        if last == 0 or len(sibling) != 32:
            return False
        if position & 1 or position == last:
            found = node_hash(sibling, found)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            found = node_hash(found, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and found == root


def verify_consistency(
    old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Whether `proof` shows that the tree of `new` leaves with `new_root` begins with that of `old`
    leaves with `old_root` (RFC 9162, 2.1.4.2)."""
    if not 0 <= old <= new or any(len(one) != 32 for one in proof):
        return False
    if old == 0:
        return old_root == EMPTY_ROOT and not proof and (new > 0 or new_root == EMPTY_ROOT)
    if old == new:
        return old_root == new_root and not proof
    path = list(proof)
    if old & (old - 1) == 0:
        path.insert(0, old_root)
    if not path:
        return False
    position, last = old - 1, new - 1
    while position & 1:
        position, last = position >> 1, last >> 1
    found_old = found_new = path[0]
    for sibling in path[1:]:
        if last == 0:
            return False
        if position & 1 or position == last:
            found_old = node_hash(sibling, found_old)
            found_new = node_hash(sibling, found_new)
            while position and not position & 1:
                position, last = position >> 1, last >> 1
        else:
            found_new = node_hash(found_new, sibling)
        position, last = position >> 1, last >> 1
    return last == 0 and found_old == old_root and found_new == new_root
