"""The order in which parts of a bench world are made."""

from __future__ import annotations

from renown.ingest.world.order import Order, Part

A, B, C = ("a", 1), ("b", 1), ("c", 1)
SMALL, LARGE = ("small", 1), ("large", 9)


def given(order: Order) -> list[Part | None]:
    """All that can be made now, and None."""
    found = [order.next()]
    while found[-1] is not None:
        found.append(order.next())
    return found


def test_order__while_a_stage_is_made__gives_nothing_of_the_next():
    order = Order([[A, B], [C]], {})

    assert given(order) == [A, B, None]
    order.end(A)
    assert (order.next(), order.is_given) == (None, False)
    order.end(B)
    assert given(order) == [C, None]
    assert order.is_given


def test_order__who_would_wait__makes_what_is_beside_heaviest_first():
    order = Order([[A], [B]], {0: [SMALL, LARGE]})

    assert given(order) == [A, LARGE, SMALL, None]
    order.end(A)  # the others may take longer: the next stage does not wait for them
    assert given(order) == [B, None]


def test_order__alone__leaves_what_is_beside_to_the_end():
    order = Order([[A], [B]], {0: [SMALL], 1: [LARGE]})
    made: list[Part] = []

    while (part := order.next()) is not None:
        made.append(part)
        order.end(part)

    assert made == [A, B, LARGE, SMALL]


def test_order__beside_a_later_stage__waits_for_its_beginning():
    order = Order([[A], [B]], {1: [LARGE]})

    assert given(order) == [A, None]
    order.end(A)
    assert given(order) == [B, LARGE, None]


def test_order__what_is_done__is_not_given_again():
    order = Order([[A], [B, C]], {1: [SMALL, LARGE]}, {"a", "b", "large"})

    assert given(order) == [C, SMALL, None]
    assert order.is_given


def test_order__of_nothing__is_given():
    assert Order([[], [A]], {}, {"a"}).next() is None
    assert not Order([[A]], {}).is_given
