"""Columns of agents put back to what a block of the past said of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from renown.exports.past import Past, put_back
from renown.store.exporting_tables import AGENTS

SQL = {column.name: column.sql for column in AGENTS.columns}


def columns(**values: list[Any]) -> dict[str, Any]:
    return {SQL[name]: pa.array(one) for name, one in values.items()}


def test_put_back__who_they_were_and_counts_of_different_agents__each_changes_its_own() -> None:
    now = columns(agent_id=[4, 5, 6], transfers=[1, 1, 1], feedback_count=[9, 9, 9])
    past = Past(
        identities={5: {"transfers": 0}, 77: {"transfers": 7}}, counts={6: {"feedback_count": 2}}
    )

    was = put_back(now, past)

    assert was[SQL["transfers"]].to_pylist() == [1, 0, 1]
    assert was[SQL["feedback_count"]].to_pylist() == [9, 9, 2]
    assert now[SQL["transfers"]].to_pylist() == [1, 1, 1]


def test_put_back__nobody_of_the_cut__leaves_it_as_it_is() -> None:
    now = columns(agent_id=[4, 5], transfers=[1, 1])

    assert put_back(now, Past()) is now
    assert put_back(now, Past(identities={77: {"transfers": 7}})) is now
