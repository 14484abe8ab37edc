"""How pages are made: templates with escaping on, and foreign text that cannot act."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from renown.api.web.links import link
from renown.spec.text import shown

_LONGEST_SHOWN = 300


def _foreign(text: object, longest: int = _LONGEST_SHOWN) -> str:
    """Text of strangers: made harmless, and cut with an ellipsis. Escaping comes after."""
    plain = shown(str(text))
    return plain if len(plain) <= longest else plain[:longest] + "…"


def _number(value: int | str | None) -> str:
    """A whole number with thin spaces between groups of three; a dash where there is none."""
    return "–" if value is None else f"{int(value):,}".replace(",", "\u202f")


def _decimal(value: str, decimals: int) -> str:
    """`value / 10^decimals`, exactly, without trailing zeros."""
    sign, digits = ("−", value[1:]) if value.startswith("-") else ("", value)
    if not decimals:
        return sign + digits
    digits = digits.rjust(decimals + 1, "0")
    fraction = digits[-decimals:].rstrip("0")
    return f"{sign}{digits[:-decimals]}" + (f".{fraction}" if fraction else "")


def _moment(time: datetime | None) -> str:
    return "–" if time is None else f"{time.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _age(seconds: int | None) -> str:
    if seconds is None:
        return "–"
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def _short(hex_text: str) -> str:
    """`0x1234…abcd`: never the only place where an address stands in full."""
    return f"{hex_text[:6]}…{hex_text[-4:]}" if len(hex_text) > 12 else hex_text


def _uri_kind(uri: str | None) -> str:
    """What kind of URI this is, without believing it."""
    if uri is None:
        return "none said"
    if not uri:
        return "empty"
    scheme, colon, _ = uri.partition(":")
    known = ("data", "ipfs", "ar", "https", "http")
    return scheme.lower() if colon and scheme.lower() in known else "other"


def _prose(text: str) -> Markup:
    """Our own words, with `code` between backticks."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704 - escaped


def _yes_no(value: bool | None) -> str:
    return "not said" if value is None else "yes" if value else "no"


def _json_text(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _path_key(key: str) -> str:
    return quote(key, safe=":")


_environment = Environment(
    loader=PackageLoader("renown.api.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters.update(
    foreign=_foreign,
    number=_number,
    moment=_moment,
    age=_age,
    short=_short,
    uri_kind=_uri_kind,
    path_key=_path_key,
    prose=_prose,
    link=link,
    yes_no=_yes_no,
    json_text=_json_text,
)
_environment.globals["decimal"] = _decimal


def render(
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **values: Any,
) -> Response:
    """A page from `templates/`. Every value is escaped where it is put."""
    html = _environment.get_template(template).render(**values)
    kept = {"Cache-Control": "public, no-cache", **(headers or {})}
    return HTMLResponse(html, status_code=status, headers=kept)


def wants_page(request: Request) -> bool:
    """Whether a person looks: a browser outside the API."""
    return not request.url.path.startswith("/v1") and "text/html" in request.headers.get(
        "accept", ""
    )


def error_page(
    request: Request, problem: Mapping[str, Any], headers: Mapping[str, str]
) -> Response:
    """A problem as a page."""
    status = int(problem["status"])
    return render(
        "error.html",
        status=status,
        headers=headers,
        problem=problem,
        phrase=HTTPStatus(status).phrase,
    )
