"""The reference of exports lists the columns that are written."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import pytest

from renown.exports.run import columns_of
from renown.store.exported import Block, ExportFile, ExportTable, Manifest
from renown.store.exporting_tables import TABLES, Kind, Table

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "exports.md").read_text()


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda table: table.name)
def test_reference__every_table__is_there_with_its_columns_in_order(table: Table) -> None:
    section = PAGE.split(f"\n### {table.name}\n")[1].split("\n### ")[0]

    assert table.about in section
    assert section.split("|---|---|---|\n")[1].splitlines() == [
        f"| `{column.name}` | {column.kind} | {column.description} |"
        for column in columns_of(table)
    ]


def test_reference__every_kind_and_field__is_explained() -> None:
    kinds = PAGE.split("\n## Kinds\n")[1].split("\n## ")[0]
    fields = {
        name
        for struct in (Manifest, Block, ExportTable, ExportFile)
        for name in struct.__struct_fields__
    }

    assert [kind for kind in get_args(Kind) if f"\n| {kind} |" not in kinds] == []
    assert [name for name in fields if f"`{name}`" not in PAGE] == []
