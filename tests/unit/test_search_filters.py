"""Conditions of a search: read exactly, quoted safely, refused with a reason."""

from __future__ import annotations

import pytest

from renown.derive.filters import any_of, condition, expression
from renown.errors import BadAddress, BadParameter, ChainNotFound


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("kind:mcp", "'kind=mcp'"),
        ("kind:mcp AND NOT x402:yes", "( 'kind=mcp' & ( 'x402=no' | 'x402=unknown' ) )"),
        ("NOT kind:mcp AND NOT verified:yes", "( !( 'kind=mcp' ) & 'verified=no' )"),
        ("kind:mcp kind:a2a OR kind:web", "( ( 'kind=mcp' & 'kind=a2a' ) | 'kind=web' )"),
        (
            "kind:mcp AND (skill:a OR NOT trust:t)",
            "( 'kind=mcp' & ( 'skill=a' | !( 'trust=t' ) ) )",
        ),
        ("not not kind:mcp", "!( !( 'kind=mcp' ) )"),
        ("-kind:mcp", "!( 'kind=mcp' )"),
        ("!kind:MCP", "!( 'kind=mcp' )"),
        ("chain:base", "'chain=8453'"),
        ("chain=8453", "'chain=8453'"),
        ('tag:"it\'s \\"odd\\" (x)"', "'tag=it''s \"odd\" (x)'"),
        ("tag:a\\b", "'tag=a\\\\b'"),
        ("alive:true", "'alive=yes'"),
    ],
)
def test_expression__well_formed__becomes_a_query(text, query) -> None:
    assert expression(text) == query


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expects"),
        ("kind:mcp AND", "character 13"),
        ("kind:mcp)", "closes nothing"),
        ("(kind:mcp", "not closed"),
        ("kind:nope", "it takes: mcp"),
        ("words only", "cannot be read"),
        ("nope:1", "no filter is called"),
        ('tag:""', "needs a value"),
        ("(" * 50 + "kind:mcp" + ")" * 50, "nests deeper"),
        ("not " * 50 + "kind:mcp", "nests deeper"),
        ("kind:mcp " * 200, "more than 100"),
        ("x" * 5000, "longer"),
    ],
)
def test_expression__malformed__says_where_and_why(text, reason) -> None:
    with pytest.raises(BadParameter, match=reason):
        expression(text)


def test_condition__addresses_and_chains__are_checked() -> None:
    with pytest.raises(BadAddress):
        condition("owner", "0x12")
    with pytest.raises(ChainNotFound):
        condition("chain", "nowhere")
    assert condition("owner", "0x" + "AB" * 20) == f"'owner=0x{'ab' * 20}'"


def test_any_of__several__are_alternatives() -> None:
    assert any_of("kind", ["mcp", " a2a "]) == "( 'kind=mcp' | 'kind=a2a' )"
