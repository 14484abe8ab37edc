"""Write what is generated from the code: the reference of settings, metrics, findings and access,
and the schema.

python tools/reference.py           writes the files that changed
python tools/reference.py --check   fails when one would change
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from alerts import alerts_page
from renown.api.access.principal import SCOPES
from renown.api.app import create_app
from renown.obs.metrics import (
    DEFINED,
    acting,
    api,
    audit,
    database,
    documents,
    indexer,
    nodes,
    process,
)
from renown.obs.metrics.series import bound, worst_case
from renown.settings import Settings, describe
from renown.spec.documents.reading import ALLOWANCES
from renown.spec.findings import FINDINGS
from renown.store.embedded import ephemeral_postgres
from renown.store.migrate import migrate
from renown.store.pool import connect
from renown.store.schema import schema_dump

ROOT = Path(__file__).resolve().parents[1]
NOTE = "<!-- Written by `make docs` from the code: change it there. -->"


def main() -> int:
    pages = {
        "docs/reference/settings.md": settings_page(),
        "docs/reference/metrics.md": metrics_page(),
        "docs/reference/alerts.md": alerts_page(NOTE),
        "docs/reference/findings.md": findings_page(),
        "docs/reference/access-matrix.md": access_page(),
        "src/renown/store/schema.txt": schema(),
    }
    stale = [name for name, text in pages.items() if text != _read(ROOT / name)]
    if "--check" in sys.argv:
        print(*(f"{name} is out of date: run `make docs`" for name in stale), sep="\n", end="")
        return bool(stale)
    for name in stale:
        (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / name).write_text(pages[name])
        print(f"wrote {name}")
    return 0


def settings_page() -> str:
    """Every environment variable."""
    lines = [
        "# Settings",
        "",
        NOTE,
        "",
        "Environment variables, read once at start. An empty one counts as unset; one that begins",
        "with `RENOWN_` and is not listed here stops the start. Values marked *secret* are never",
        "shown in logs, errors or metrics.",
        "",
        "| variable | value | default | meaning |",
        "|---|---|---|---|",
    ]
    for row in describe():
        value = f"{row.type}, *secret*" if row.secret else row.type
        default = f"`{row.default}`" if row.default else ""
        lines.append(f"| `{row.variable}` | {value} | {default} | {row.description} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric with its unit, its labels and the most series it can have."""
    lines = ["# Metrics", "", NOTE, *_METRICS_INTRODUCTION]
    for module in (process, nodes, indexer, documents, acting, api, database, audit):
        ours = {id(value) for value in vars(module).values()}
        lines += ["", f"## {(module.__doc__ or '').rstrip('.')}", ""]
        lines += [
            "| metric | kind | unit | labels | series | meaning |",
            "|---|---|---|---|---|---|",
        ]
        for one in DEFINED.values():
            if id(one.metric) in ours:
                labels = "; ".join(f"`{name}`: {of.meaning}" for name, of in one.labels.items())
                shown = (labels, _series(*bound(one)), one.help)
                cells = " | ".join(text.replace("|", "\\|") for text in shown)
                lines.append(f"| `{one.name}` | {one.kind} | {one.unit} | {cells} |")
    return "\n".join(lines) + "\n"


def _series(number: int, factors: tuple[str, ...]) -> str:
    return " · ".join([*(() if number == 1 and factors else (f"{number:,}",)), *factors])


_SMALL = worst_case(chains=1, nodes=3, routes=400, queries=600)
_LARGE = worst_case(chains=25, nodes=4, routes=400, queries=600)
_METRICS_INTRODUCTION = (
    "",
    "What `/metrics` shows. The API serves it on its own port; `renown index`, `crawl`, `probe`,",
    "`watch` and `notary` do so on `RENOWN_METRICS_PORT`, with `/healthz` and `/readyz` beside it.",
    "A gauge that a process knows nothing of is not there at all, instead of being 0. A line of a",
    "histogram stands for `_bucket`, `_sum` and `_count`.",
    "",
    "Several API processes behind one port (`uvicorn --workers 4`) are shown as one where",
    "`PROMETHEUS_MULTIPROC_DIR` names a directory: one for each port, emptied before the start.",
    "",
    "*series* is the most that one process can show, whatever strangers send: labels hold names of",
    "ours, never a path, a key, an address or a host of a stranger. In it **C** stands for the",
    "chains followed, **N** for the nodes set for a chain, **R** for the routes of the API (each",
    "method of each pattern, fewer than 400) and **Q** for the statements in the code (fewer than",
    f"600). All together that is less than {_SMALL:,} with one chain of three nodes, and less than",
    f"{_LARGE:,} with 25 chains of four nodes each. Nearly all of it are pairs that never meet,",
    "such as a page with the status 507: a process that answers everything has one to four",
    "thousand. Nothing is made before it is first counted, and 1,000 series are written in about",
    "6 ms (`python -m bench --only metrics`).",
)


def findings_page() -> str:
    """Every finding, by subject."""
    lines = ["# Findings", "", NOTE, *_FINDINGS_INTRODUCTION]
    subject = ""
    for kind in FINDINGS.values():
        if kind.subject != subject:
            subject = kind.subject
            lines += ["", f"## {subject.capitalize()}", "", _SUBJECTS[subject], ""]
            lines += ["| code | severity | what is so | what to do |", "|---|---|---|---|"]
        strict = ", not strict" if kind.code in ALLOWANCES else ""
        texts = (text.replace("|", "\\|") for text in (kind.title, kind.fix))
        lines.append(f"| `{kind.code}` | {kind.severity}{strict} | {' | '.join(texts)} |")
    return "\n".join(lines) + "\n"


_FINDINGS_INTRODUCTION = (
    "",
    "What can be found about a file, a URI, an identity, an endpoint or the file of a record. The",
    "codes are stable: none changes its meaning, and one that goes out of use stays listed.",
    "",
    "- *error*: readers lose or mistake something because of it.",
    "- *warning*: some will, or a person should look.",
    "- *info*: worth knowing; nothing is wrong.",
    "",
    "*Not strict* marks what keeps a file from being read strictly: a reader that knows only the",
    "standard would miss or mistake something; ours makes an allowance and says so here.",
    "[Documents](../explanation/documents.md) explains how files are read, and",
    "[Lint a file](../howto/lint-a-file.md) how to check one before it is registered.",
)
_SUBJECTS = {
    "document": "About the bytes behind a URI, whoever's URI it is.",
    "identity": "About an agent: its file, its chain, its hosts and its neighbours taken together.",
    "uri": "About the URI of an agent and the last attempt to read it.",
    "endpoint": "About what an agent says it can be called at, as found when it was called.",
    "attachment": "About the files that feedback, responses and validations name.",
}


def access_page() -> str:
    """Every route for everybody, as the OpenAPI document says it."""
    given: Any = {"cursor_secret": "c" * 32, "key_pepper": "p" * 32}
    document = create_app(Settings(**given | {"database_url": "postgresql://h/d"})).openapi()
    lines = ["# Access matrix", "", NOTE, *_ACCESS_INTRODUCTION]
    heads = ["route", "limits", "nobody", *(f"`{scope}`" for scope in SCOPES)]
    lines += [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for path, methods in sorted(document["paths"].items()):
        for method, operation in sorted(methods.items()):
            scope, cost = operation.get("x-renown-scope"), operation.get("x-renown-cost", "none")
            public = {} in operation["security"]
            cells = [_cell(scope, None, public=public)]
            cells += [_cell(scope, one, public=public) for one in SCOPES]
            lines.append(f"| `{method.upper()} {path}` | {cost} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(wanted: str | None, held: str | None, *, public: bool) -> str:
    if wanted is None or wanted == held:
        return "yes"
    refusal = "401" if held is None else "403"
    return f"yes ({refusal})" if public else refusal


_ACCESS_INTRODUCTION = (
    "",
    "Every route of the REST API for a request without a key, and for a key that has this scope",
    "alone. A key may have several scopes; what each of them lets in, the key may do. A key that",
    "is malformed, unknown, revoked or over is answered with 401, also on routes that work",
    "without one; only where a key has no meaning (signing in, hosted files) it is not looked at.",
    "",
    "- *yes*: let in. What belongs to another account is not there, all the same.",
    "- *401*, *403*: turned away, before anything of the request is read.",
    "- *yes (401)*: let in, unless the operator closed public reads with",
    "  `RENOWN_PUBLIC_READS=false`.",
    "",
    "*limits* is the class of [rate limits](limits.md) that counts. The explorer's pages are read",
    "as public routes are. `/healthz`, `/readyz`, `/health`, `/metrics`, `/openapi.json` and",
    "`/static` are open to everybody and not limited. [Access](../explanation/access.md) explains",
    "it all.",
    "",
)


def schema() -> str:
    """The schema that the migrations make of an empty database."""

    async def dump(dsn: str) -> str:
        await migrate(dsn)
        conn = await connect(dsn)
        try:
            return await schema_dump(conn)
        finally:
            await conn.close()

    with ephemeral_postgres() as server:
        return asyncio.run(dump(server.dsn()))


def _read(path: Path) -> str | None:
    return path.read_text() if path.exists() else None


if __name__ == "__main__":
    sys.exit(main())
