"""Values of a form that nobody filled in. Pure."""

from __future__ import annotations

import re

_FORM_WORDS = frozenset(
    {
        *("agent", "my agent", "your agent", "agent name", "your agent name", "new agent", "name"),
        *("myagentname", "my agent name", "untitled", "untitled agent", "unnamed", "unnamed agent"),
        *("example agent", "sample agent", "demo agent", "test agent", "test", "default agent"),
        *(
            "todo",
            "tbd",
            "string",
            "null",
            "undefined",
            "none",
            "n/a",
            "placeholder",
            "lorem ipsum",
        ),
        *("example", "ai agent", "my erc-8004 agent", "my erc8004 agent", "erc-8004 agent"),
        *("description", "agent description", "your agent description", "a description"),
        *("my agent description", "describe your agent", "describe your agent here"),
        *("a brief description of your agent", "enter description", "no description"),
        *("an erc-8004 agent", "an ai agent", "<name>", "[object object]"),
    }
)
_LONGEST = 40
"""Longer than each of those."""
_MARKS = re.compile(
    r"\{\{[^{}]{0,60}\}\}|\$?\{[a-z_][a-z0-9_.-]{0,40}\}|<(?:your|insert|agent)[^<>]{0,60}>"
    r"|\byour[-_](?:agent|domain|project|api|server|site|wallet|name|company|handle)"
    r"|\byour agent name\b|\blorem ipsum\b|0xyour"
    r"|(?:^|[/@.])(?:example\.(?:com|org|net)|yourdomain\.|mydomain\.com)"
)
_LOOKED_AT = 2_000


def is_placeholder(text: str) -> bool:
    """Whether a part of `text`, near its beginning, is left over from a form."""
    return may_hold_placeholder(text) and _MARKS.search(text[:_LOOKED_AT].lower()) is not None


def is_form_word(text: str) -> bool:
    """Whether `text` is what a form itself puts in the field of a name or a description."""
    return len(text) < _LONGEST and text.lower() in _FORM_WORDS


def may_hold_placeholder(text: str) -> bool:
    """False only where `is_placeholder` is; quick, for texts in which nothing is expected."""
    # Each mark holds one of these. A loop over them would take twice as long.
    return (
        "{" in text
        or "<" in text
        or "our-" in text
        or "our_" in text
        or "OUR" in text
        or "xample." in text
        or "omain." in text
        or "gent Name" in text
        or "rem ipsum" in text
        or "0xY" in text
    )


def may_be_form(name: str | None, description: str | None) -> bool:
    """False only where neither is left over from a form; as quick as can be."""
    return (
        (name is not None and len(name) < _LONGEST and name.lower() in _FORM_WORDS)
        or (description is not None and len(description) < _LONGEST and is_form_word(description))
        or may_hold_placeholder(f"{name}\n{description}")
    )
