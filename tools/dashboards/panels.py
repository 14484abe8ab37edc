"""What a dashboard is made of, and its form as Grafana reads it.

Panels are laid out from left to right, row by row, so nobody writes a position. Numbers of panels
come from their order and names from us, so that a file changes only where its source does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

COLUMNS = 24
RUNBOOKS = "docs/operations/alerts"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SCHEMA_VERSION = 41  # of Grafana 12; older and newer ones migrate it

Unit = Literal["short", "reqps", "ops", "s", "bytes", "percentunit", "none", "dateTimeFromNow"]
Kind = Literal["timeseries", "stat", "table"]


@dataclass(frozen=True)
class Query:
    """One question to Prometheus; `legend` names its series, as `{{label}}`."""

    expr: str
    legend: str = ""


@dataclass(frozen=True)
class Panel:
    """One picture.

    Attributes:
        says: what is shown and what is wrong with it, for whoever is woken by it.
        warn, bad: values from which it is yellow, red; with `low_is_bad` below which.
        words: what to show instead of a number, with its colour.
        runbook: the page of the alert that watches the same, without its folder.
        most: the top of the axis, where there is one.
    """

    title: str
    queries: Sequence[Query]
    says: str
    unit: Unit = "short"
    kind: Kind = "timeseries"
    width: int = 8
    height: int = 8
    warn: float | None = None
    bad: float | None = None
    low_is_bad: bool = False
    words: Sequence[tuple[float, str, str]] = ()
    runbook: str = ""
    most: float | None = None
    stacked: bool = False


@dataclass(frozen=True)
class Row:
    """Panels under one heading."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """One page. `uid` is for ever: links and the file's name are made of it."""

    uid: str
    title: str
    says: str
    rows: Sequence[Row]
    by_chain: bool = False
    by_instance: bool = True


def stat(title: str, expr: str, says: str, **more: Any) -> Panel:
    """One number, in a small panel."""
    given: dict[str, Any] = {"width": 4, "height": 4, "unit": "none"} | more
    return Panel(title, [Query(expr)], says, kind="stat", **given)


def dashboard(one: Dashboard) -> dict[str, Any]:
    """The JSON model of a dashboard."""
    return {
        "uid": one.uid,
        "title": f"Renown / {one.title}",
        "description": one.says,
        "tags": ["renown"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,  # one cross-hair for all panels
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "utc",
        "links": [
            {
                "title": "Renown",
                "type": "dashboards",
                "tags": ["renown"],
                "asDropdown": True,
                "includeVars": True,
                "keepTime": True,
                "targetBlank": False,
                "icon": "external link",
                "tooltip": "",
                "url": "",
            }
        ],
        "annotations": {"list": [_alerts_as_marks()]},
        "templating": {"list": list(_variables(one))},
        "panels": list(_laid_out(one.rows)),
    }


def _laid_out(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    number, top = 0, 0
    for row in rows:
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": row.title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": top, "w": COLUMNS, "h": 1},
            "panels": [],
        }
        top, left, tallest = top + 1, 0, 0
        for panel in row.panels:
            if left + panel.width > COLUMNS:
                top, left, tallest = top + tallest, 0, 0
            number += 1
            place = {"x": left, "y": top, "w": panel.width, "h": panel.height}
            yield _panel(panel, number, place)
            left, tallest = left + panel.width, max(tallest, panel.height)
        top += tallest


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    page = f"{RUNBOOKS}/{panel.runbook}.md" if panel.runbook else ""
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.says + (f"\n\nRunbook: `{page}`" if page else ""),
        "datasource": DATASOURCE,
        "gridPos": place,
        "links": [{"title": "Runbook", "url": f"${{docs}}/{page}", "targetBlank": True}]
        if page
        else [],
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend,
                "range": panel.kind == "timeseries",
                "instant": panel.kind != "timeseries",
                "format": "table" if panel.kind == "table" else "time_series",
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    found: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": list(_steps(panel))},
        "mappings": [
            {
                "type": "value",
                "options": {
                    f"{value:g}": {"text": text, "color": color, "index": index}
                    for index, (value, text, color) in enumerate(panel.words)
                },
            }
        ]
        if panel.words
        else [],
    }
    if panel.kind == "timeseries":
        lines = panel.warn is not None or panel.bad is not None
        found["min"] = 0
        found["custom"] = {
            "drawStyle": "line",
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 5,
            "showPoints": "never",
            "spanNulls": False,  # a process that was away is a gap
            "stacking": {"mode": "normal" if panel.stacked else "none", "group": "A"},
            "thresholdsStyle": {"mode": "dashed" if lines else "off"},
        }
    if panel.most is not None:
        found["max"] = panel.most
    return found


def _steps(panel: Panel) -> Iterator[dict[str, Any]]:
    colors = [("yellow", panel.warn), ("red", panel.bad)]
    if not panel.low_is_bad:
        yield {"color": "green", "value": None}
        yield from ({"color": color, "value": v} for color, v in colors if v is not None)
        return
    # From the lowest on: red up to `bad`, yellow up to `warn`, green above.
    marks = [(color, value) for color, value in reversed(colors) if value is not None]
    reached: float | None = None
    for color, value in marks:
        yield {"color": color, "value": reached}
        reached = value
    yield {"color": "green", "value": reached}


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    if panel.kind == "stat":
        return {
            "colorMode": "background",
            "graphMode": "none",
            "justifyMode": "center",
            "orientation": "auto",
            "textMode": "value",
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        }
    return {"showHeader": True, "cellHeight": "sm"}


def _variables(one: Dashboard) -> Iterator[dict[str, Any]]:
    yield {
        "name": "datasource",
        "label": "Prometheus",
        "type": "datasource",
        "query": "prometheus",
        "hide": 0,
        "refresh": 1,
    }
    if one.by_instance:
        yield _choice("instance", "label_values(renown_build_info, instance)")
    if one.by_chain:
        yield _choice("chain", "label_values(renown_chain_head_block, chain)")
    yield {
        "name": "docs",
        "label": "Where the documentation is read",
        "type": "textbox",
        "query": "https://docs.renown.example",
        "current": {
            "text": "https://docs.renown.example",
            "value": "https://docs.renown.example",
            "selected": False,
        },
        "hide": 2,  # set in the URL: var-docs=...
    }


def _choice(name: str, query: str) -> dict[str, Any]:
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "definition": query,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all", "selected": True},
        "hide": 0,
        "refresh": 2,  # when the time range changes
        "sort": 1,
    }


def _alerts_as_marks() -> dict[str, Any]:
    return {
        "name": "Alerts",
        "enable": True,
        "hide": False,
        "iconColor": "red",
        "datasource": DATASOURCE,
        "expr": 'ALERTS{alertname=~"Renown.+", alertstate="firing", severity="critical"}',
        "titleFormat": "{{alertname}}",
        "step": "60s",
    }
