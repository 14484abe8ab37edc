"""Every error has a page that explains it, and every answer a schema."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from renown.api.openapi import BODIES, schemas
from renown.api.problems import slugs
from renown.errors import RenownError

PAGES = Path(__file__).parents[2] / "docs" / "problems"
KINDS = {kind.slug: kind for kind in slugs()}


@pytest.mark.parametrize("slug", KINDS)
def test_problem__every_slug__has_a_page_with_its_title_and_status(slug: str) -> None:
    page = (PAGES / f"{slug}.md").read_text()
    kind: type[RenownError] = KINDS[slug]

    assert page.startswith(f"# {slug}\n")
    assert (kind.__doc__ or "").strip().splitlines()[0] in page
    assert f"Status {kind.status}" in page


def test_problem_pages__no_page__is_of_an_error_that_is_gone() -> None:
    assert {page.stem for page in PAGES.glob("*.md")} - {"README"} == set(KINDS)


@pytest.mark.parametrize("body", BODIES, ids=lambda body: body.__name__)
def test_schema__every_field_of_every_answer__is_in_it(body: type[msgspec.Struct]) -> None:
    schema = schemas()[body.__name__]

    assert set(schema["properties"]) == set(body.__struct_encode_fields__)
    assert schema["description"]
