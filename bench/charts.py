"""Charts as SVG: lines in panels, and dots in rows. Pure; no library.

A chart is text of its own width, readable in light and dark (`prefers-color-scheme`), with a title
and a description for those who do not see it. Values are positive; scales are logarithmic unless
said otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["log", "linear"]
Say: TypeAlias = Callable[[float], str]

WIDTH = 860.0
FEWEST_TICKS = 4
_BOLD, _PLAIN = 7.2, 6.6
"""How wide a letter is, about."""
_FONT = "font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Noto Sans',sans-serif"
_STYLE = f"""
svg{{{_FONT};--paper:#fff;--ink:#1c2430;--soft:#5b6675;--grid:#e3e7ec;--limit:#c0392b;
--a:#1f6fb2;--b:#c25a12;--c:#2c7d4e;--d:#8446a8;--e:#8a6d00;--f:#5b6675}}
@media (prefers-color-scheme:dark){{svg{{
--paper:#12161c;--ink:#e6eaf0;--soft:#9aa6b5;--grid:#2a323d;
--limit:#ff7b6b;--a:#6cb2f2;--b:#f5a05f;--c:#6fcf97;--d:#cf9df0;--e:#e0c04f;--f:#9aa6b5}}}}
text{{fill:var(--ink);font-size:12px}} .soft{{fill:var(--soft);font-size:11px}}
.title{{font-size:16px;font-weight:600}} .panel{{font-size:12px;font-weight:600}}
.grid{{stroke:var(--grid);stroke-width:1}} .axis{{stroke:var(--soft);stroke-width:1}}
.limit{{stroke:var(--limit);stroke-width:1.5;stroke-dasharray:4 3}} .limit-word{{fill:var(--limit)}}
.line{{fill:none;stroke-width:2}} .thin{{stroke-dasharray:5 3;stroke-width:1.5}}
""".strip()
_COLOURS = "abcdef"


@dataclass(frozen=True, slots=True)
class Scale:
    """Where values from `low` to `high` stand between two places of the drawing."""

    low: float
    high: float
    start: float
    end: float
    kind: Kind = "log"

    def place(self, value: float) -> float:
        """Of a value; what lies outside stands at the edge."""
        value = min(max(value, self.low), self.high)
        if self.kind == "log":
            share = math.log(value / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round values in the range, three to seven of them where it is not tiny."""
        return log_ticks(self.low, self.high) if self.kind == "log" else _steps(self.low, self.high)


@dataclass(frozen=True, slots=True)
class Series:
    """Points from left to right; equal names in several panels have one colour.

    Attributes:
        thin: dashed, for what only goes with another.
    """

    name: str
    points: Sequence[tuple[float, float]]
    thin: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One plot. `mark` is a place on the x axis with a word, `diagonal` draws y = x."""

    title: str
    series: Sequence[Series]
    say_y: Say
    y_kind: Kind = "log"
    mark: tuple[float, str] | None = None
    diagonal: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One row of dots: a value for each name that has one, and a limit where there is one."""

    label: str
    values: Sequence[tuple[str, float]]
    limit: float | None = None


def lines(
    title: str,
    description: str,
    panels: Sequence[Panel],
    *,
    x_ticks: Sequence[float] | None,
    say_x: Say,
    x_name: str,
    columns: int = 4,
    height: float = 140.0,
    shared_y: bool = True,
) -> str:
    """Panels of lines, all over the same x axis; over the same y axis if `shared_y`.

    Args:
        x_ticks: where x is marked; by default round values.
        height: of a panel's plot.
    """
    xs = [x for panel in panels for one in panel.series for x, _ in one.points]
    names = list(dict.fromkeys(one.name for panel in panels for one in panel.series))
    columns = min(columns, len(panels))
    left, gap, head, foot = 64.0, 28.0 if shared_y else 64.0, 96.0, 46.0
    width = (WIDTH - left - 16.0 - gap * (columns - 1)) / columns
    step = height + 52.0
    rows = -(-len(panels) // columns)
    parts: list[str] = []
    every = [y for panel in panels for one in panel.series for _, y in one.points]
    for number, panel in enumerate(panels):
        column, row = number % columns, number // columns
        x0, y0 = left + column * (width + gap), head + row * step
        own = [y for one in panel.series for _, y in one.points]
        held = every if shared_y else own
        x_scale = Scale(*_room(xs, 1.12), x0, x0 + width)
        y_scale = Scale(*_y_range(held, panel.y_kind), y0 + height, y0, panel.y_kind)
        ticks = list(x_ticks) if x_ticks is not None else x_scale.ticks()
        is_first = column == 0 or not shared_y
        parts.append(_frame(panel, x_scale, y_scale, ticks, say_x, is_first))
        parts += [_line(one, x_scale, y_scale, names.index(one.name)) for one in panel.series]
    parts.append(_text(WIDTH / 2, head + rows * step - 4, x_name, "soft", "middle"))
    return _chart(title, description, head + rows * step - 40 + foot, names, parts, panels)


def dots(
    title: str,
    description: str,
    rows: Sequence[Row],
    *,
    say: Say,
    x_name: str,
    limit_name: str = "budget",
    kind: Kind = "log",
) -> str:
    """A row for each label, its values as dots on one axis, its limit as a stroke."""
    names = list(dict.fromkeys(name for row in rows for name, _ in row.values))
    values = [value for row in rows for _, value in row.values]
    values += [row.limit for row in rows if row.limit is not None]
    left, head, each = 40 + _PLAIN * max(len(row.label) for row in rows), 84.0, 24.0
    bottom = head + each * len(rows)
    low, high = _room(values, 1.25)
    scale = Scale(0.0 if kind == "linear" else low, high, left, WIDTH - 24.0, kind)
    parts = []
    for tick in scale.ticks():
        x = scale.place(tick)
        parts.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{head}" y2="{bottom}"/>')
        parts.append(_text(x, bottom + 16, say(tick), "soft", "middle"))
    for number, row in enumerate(rows):
        y = head + each * (number + 0.5)
        parts.append(_text(left - 12, y + 4, row.label, "", "end"))
        parts.append(f'<line class="grid" x1="{left}" x2="{WIDTH - 24}" y1="{y}" y2="{y}"/>')
        if row.limit is not None:
            x = scale.place(row.limit)
            ends = f'x1="{x:.1f}" x2="{x:.1f}" y1="{y - 10}" y2="{y + 10}"'
            parts.append(f'<line class="limit" {ends}/>')
        for name, value in row.values:
            spoken = f"{row.label}, {name}: {say(value)}"
            parts.append(_dot(scale.place(value), y, names.index(name), spoken, 5))
    parts.append(_text((left + WIDTH - 24) / 2, bottom + 36, x_name, "soft", "middle"))
    has_limits = any(row.limit is not None for row in rows)
    return _chart(
        title, description, bottom + 48, names, parts, limit_name=limit_name if has_limits else ""
    )


def log_ticks(low: float, high: float) -> list[float]:
    """Powers of ten between the two; where there are few, twice and five times those, too."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = [10.0**n for n in range(first, last + 1)]
    for steps in ((1.0,), (1.0, 3.0), (1.0, 2.0, 5.0)):
        found = [
            d * s for d in decades for s in steps if low <= d * s * 1.0000001 and d * s <= high
        ]
        if len(found) >= 3:
            return found
    return found if len(found) > 1 else [low, high]


def _steps(low: float, high: float) -> list[float]:
    rough = (high - low) / 5
    place = 10.0 ** math.floor(math.log10(rough))
    step = next(place * by for by in (1, 2, 5, 10) if place * by >= rough)
    first = math.ceil(low / step)
    return [step * n for n in range(first, math.floor(high / step) + 1)]


def _room(values: Sequence[float], factor: float) -> tuple[float, float]:
    return min(values) / factor, max(values) * factor


def _y_range(values: Sequence[float], kind: Kind) -> tuple[float, float]:
    if kind == "linear":
        return 0.0, max(values) * 1.1
    low, high = _room(values, 1.3)
    return low, max(high, low * 4)  # what hardly differs is shown as hardly different


def _frame(
    panel: Panel, x: Scale, y: Scale, x_ticks: Sequence[float], say_x: Say, is_first: bool
) -> str:
    title = _cut(panel.title, int((x.end - x.start + 8) / _BOLD))
    parts = [_text(x.start, y.end - 10, title, "panel")]
    for tick in y.ticks():
        at = y.place(tick)
        parts.append(
            f'<line class="grid" x1="{x.start:.1f}" x2="{x.end:.1f}" y1="{at:.1f}" y2="{at:.1f}"/>'
        )
        if is_first:
            parts.append(_text(x.start - 7, at + 4, panel.say_y(tick), "soft", "end"))
    ends = f'x1="{x.start:.1f}" x2="{x.end:.1f}" y1="{y.start:.1f}" y2="{y.start:.1f}"'
    parts.append(f'<line class="axis" {ends}/>')
    for tick in x_ticks:
        at = x.place(tick)
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{y.start:.1f}" y2="{y.start + 4:.1f}"'
        parts.append(f'<line class="axis" {ends}/>')
        parts.append(_text(at, y.start + 17, say_x(tick), "soft", "middle"))
    if panel.diagonal:
        low, high = max(x.low, y.low), min(x.high, y.high)
        ends = f'x1="{x.place(low):.1f}" y1="{y.place(low):.1f}" x2="{x.place(high):.1f}"'
        parts.append(f'<line class="axis thin" {ends} y2="{y.place(high):.1f}"/>')
    if panel.mark is not None:
        at = x.place(panel.mark[0])
        ends = f'x1="{at:.1f}" x2="{at:.1f}" y1="{y.end:.1f}" y2="{y.start:.1f}"'
        parts.append(f'<line class="limit" {ends}/>')
        parts.append(_text(at - 6, y.end + 12, panel.mark[1], "limit-word", "end"))
    return "\n".join(parts)


def _line(one: Series, x: Scale, y: Scale, number: int) -> str:
    places = [(x.place(a), y.place(b)) for a, b in one.points]
    path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in places)
    look = "line thin" if one.thin else "line"
    parts = [f'<path class="{look}" stroke="var(--{_colour(number)})" d="{path}"/>']
    parts += [_dot(a, b, number, one.name, 2.5 if one.thin else 3.2) for a, b in places]
    return "\n".join(parts)


def _dot(x: float, y: float, number: int, spoken: str, radius: float) -> str:
    shape = f'cx="{x:.1f}" cy="{y:.1f}" r="{radius}" fill="var(--{_colour(number)})"'
    return f"<circle {shape}><title>{escape(spoken)}</title></circle>"


def _chart(
    title: str,
    description: str,
    height: float,
    names: Sequence[str],
    parts: Sequence[str],
    panels: Sequence[Panel] = (),
    limit_name: str = "",
) -> str:
    thin = {one.name for panel in panels for one in panel.series if one.thin}
    legend, x = [], 16.0
    for number, name in enumerate(names):
        look = "line thin" if name in thin else "line"
        ends = f'd="M{x} 52L{x + 22} 52" stroke="var(--{_colour(number)})"'
        legend.append(f'<path class="{look}" {ends}/>')
        legend.append(_dot(x + 11, 52, number, name, 4))
        legend.append(_text(x + 28, 56, name, ""))
        x += 48 + _PLAIN * len(name)
    if limit_name:
        legend.append(f'<line class="limit" x1="{x + 8}" x2="{x + 8}" y1="43" y2="61"/>')
        legend.append(_text(x + 20, 56, limit_name, ""))
    body = "\n".join([*legend, *parts])
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH:.0f} {height:.0f}"'
        f' width="{WIDTH:.0f}" height="{height:.0f}" role="img" aria-labelledby="t d">\n'
        f'<title id="t">{escape(title)}</title>\n<desc id="d">{escape(description)}</desc>\n'
        f'<style>{_STYLE}</style>\n<rect width="100%" height="100%" fill="var(--paper)"/>\n'
        f"{_text(16, 28, title, 'title')}\n{body}\n</svg>\n"
    )


def _cut(words: str, most: int) -> str:
    return words if len(words) <= most else words[: most - 1].rstrip() + "…"


def _colour(number: int) -> str:
    return _COLOURS[number % len(_COLOURS)]


def _text(x: float, y: float, words: str, look: str, anchor: str = "start") -> str:
    styled = f' class="{look}"' if look else ""
    turned = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text x="{x:.1f}" y="{y:.1f}"{styled}{turned}>{escape(words)}</text>'
