"""What a search is for."""

from __future__ import annotations

import pytest

from renown.derive import filters
from renown.store.search_wanted import Wanted


@pytest.mark.parametrize(
    ("filter_", "chain_id"),
    [
        ("chain:8453", 8453),
        ("kind:mcp chain:8453", 8453),
        ("(alive:yes AND (chain:1 AND kind:mcp))", 1),
        ("tag:\"'chain=1'\" chain:56", 56),
        ("tag:\"'chain=1'\" kind:mcp", None),
        ("tag:\"a\\\\' | 'chain=1\" kind:mcp", None),
        ("chain:1 OR chain:56", None),
        ("NOT chain:1", None),
        ("kind:mcp", None),
        ('(tag:"' + 600 * "'" + '" OR kind:mcp) chain:1', None),
    ],
)
def test_chain_id__of_a_filter__only_where_every_match_is_of_it(
    filter_: str, chain_id: int | None
) -> None:
    assert Wanted(terms=filters.expression(filter_)).chain_id == chain_id


def test_chain_id__no_filter__is_open() -> None:
    assert Wanted(text="chain=1").chain_id is None
