"""`renown lint`: the rules of the index on a file, before it is registered or after."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from renown.cli import process
from renown.cli.console import print_json, print_lines, say
from renown.cli.options import examples
from renown.errors import EX_DATAERR, EX_NOINPUT, BadParameter

if TYPE_CHECKING:
    from renown.cli.linting import Linted
    from renown.spec.findings import Severity

Form = Literal["words", "json", "github"]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        epilog=examples(
            "renown lint agent.json",
            "renown lint agent.json --agent 8453:42 --strict",
            "renown lint https://agent.example/agent.json --json",
            "renown lint agents/*.json --github --fail-on warning",
            "renown lint 8453:42",
        )
    )(lint)


def lint(
    targets: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|URL|KEY",
            help="A registration file (`-` for standard input), a URI that leads to one, or an "
            "agent of the index; may be several.",
        ),
    ],
    agent: Annotated[
        str | None,
        typer.Option("--agent", metavar="KEY", help="Agent that the file must name: `8453:42`."),
    ] = None,
    chain: Annotated[
        str | None,
        typer.Option("--chain", metavar="CHAIN", help="Chain of agents given as a bare number."),
    ] = None,
    fail_on: Annotated[
        str,
        typer.Option("--fail-on", metavar="SEVERITY", help="`error`, or `warning` too."),
    ] = "error",
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Fail for every deviation that tolerant readers see past."),
    ] = False,
    github: Annotated[
        bool, typer.Option("--github", help="Print annotations for GitHub Actions.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """Check registration files by the rules that the index finds by, before or after registering.

    Files are checked without any network or database. Leaves with 0 if all pass, with 65 if one
    has findings at or above the bar, with 66 if one cannot be found. docs/reference/findings.md
    explains every code.
    """
    from renown.cli.linting import agent_ref, lint_all
    from renown.spec.deployments import find

    if fail_on not in ("error", "warning"):
        raise BadParameter("--fail-on is `error` or `warning`", parameter="--fail-on")
    if json and github:
        raise BadParameter("--json and --github exclude each other", parameter="--json")
    wanted = agent_ref(agent) if agent else None
    chain_id = find(chain).chain_id if chain else None

    async def run() -> int:
        results = await lint_all(targets, agent=wanted, chain_id=chain_id)
        least: Severity = "error" if fail_on == "error" else "warning"
        form: Form = "json" if json else "github" if github else "words"
        return _tell(results, form, least, strict=strict)

    process.run(run)


def _tell(results: list[Linted], form: Form, least: Severity, *, strict: bool) -> int:
    """Print all results; returns the exit code."""
    from renown.cli import lint_forms
    from renown.cli.linting import failing

    reports = [
        lint_forms.report(one, passed=not failing(one.findings, least, strict=strict))
        for one in results
        if one.missing is None
    ]
    passed = all(one.passed for one in reports)
    if form == "json":
        print_json({"passed": passed and len(reports) == len(results), "targets": reports})
    else:
        lines = lint_forms.github if form == "github" else lint_forms.words
        for one in reports:
            print_lines(lines(one))
    for missing in results:
        if missing.missing is not None:
            say(f"error: {missing.named.name[:200]}: {missing.missing}")
    if len(reports) < len(results):
        return EX_NOINPUT
    return 0 if passed else EX_DATAERR
