"""The documents say what the code says, and their links lead somewhere."""

from __future__ import annotations

import ast
import hashlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from renown.api.answers.stream import OutboxEntry
from renown.derive.ratings import tags_hash
from renown.derive.state_hash import SECTIONS, STATE_SECTIONS, Section, state_hash
from renown.settings import describe
from renown.spec.abi import CURRENT
from renown.spec.events import KINDS, Quarantined
from renown.store import facts, hashing
from renown.store.state import agent_uuid
from renown.types import AgentRef, parse_agent_key

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "docs" / "reference"
SOURCE = ROOT / "src" / "renown"
MIGRATION = (SOURCE / "store" / "migrations" / "0001_pre_index.sql").read_text()
PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "contracts").glob("*.md"),
        *(ROOT / "bench").glob("*.md"),
    ]
)


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


# Links ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links__relative_ones__lead_to_a_file_and_a_heading(page: Path) -> None:
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path) if path else page
        if not found.exists() or (anchor and anchor not in _anchors(found)):
            dead.append(target)

    assert dead == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_pages__no_path_of_somebodys_machine__is_in_them(page: Path) -> None:
    assert (
        re.findall(r"(?:file://|(?<![\w.])/(?:home|root|work|Users|mnt)/)\S*", page.read_text())
        == []
    )


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_commands__every_one_named__exists(page: Path) -> None:
    known = set(re.findall(r"^###? renown ([a-z -]+)$", _read("cli.md"), re.MULTILINE))
    groups = {name.split()[0] for name in known if " " in name}
    for name, sub in re.findall(r"renown ([a-z][a-z-]+)(?: ([a-z][a-z-]*))?", _code(page)):
        assert name in known, f"renown {name}"
        if name in groups and sub:
            assert f"{name} {sub}" in known, f"renown {name} {sub}"


@cache
def _prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.DOTALL | re.MULTILINE)


def _code(page: Path) -> str:
    """What is set as code and begins with the program's name, one piece a line."""
    text = page.read_text()
    inline = re.findall(r"`(renown [^`]+)`", text)
    typed = re.findall(r"^(?:\$ | {4,})(renown .+)$", text, re.MULTILINE)
    return "\n".join([*inline, *typed])


@cache
def _anchors(page: Path) -> frozenset[str]:
    headings = re.findall(r"^#+ (.+)$", _prose(page), re.MULTILINE)
    return frozenset(
        re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    )


# Agent keys ----------------------------------------------------------------------------------


def test_agent_keys__the_vector__is_what_we_compute() -> None:
    vector = re.search(r"^ {4}(eip155:\S+)\n {4}(\S+)$", _read("agent-keys.md"), re.MULTILINE)
    assert vector is not None
    agent = parse_agent_key(vector[1])
    assert isinstance(agent, AgentRef)

    assert agent.key == vector[1]
    assert str(agent.uuid) == vector[2] == "58c0a451-67e7-5dbf-94fb-a4b8b6d01c6f"
    prefix = vector[1].rpartition(":")[0].encode() + b":"
    assert agent_uuid(prefix, agent.agent_id) == agent.uuid


# Decoding ------------------------------------------------------------------------------------


def test_decoding__reasons_of_quarantine__are_those_of_the_code() -> None:
    documented = _first_cells("decoding.md", "Reasons of quarantine")
    codes = r"\b[a-z]+(?:-[a-z]+)+\b|\boversized\b"
    listed = (Quarantined.__doc__ or "").split("stable code:")[1].split("`event`")[0]
    used = {
        text
        for file in (SOURCE / "decode").glob("*.py")
        for text in _texts_of_calls(file, {"UndecodableLog", "_quarantined"})
    }

    assert documented == used == set(re.findall(codes, listed))


def test_decoding__reasons_of_being_unattached__are_those_of_the_code() -> None:
    allowed = re.search(r"reason +text +NOT NULL CHECK \(reason IN \(([^)]*)\)", MIGRATION)
    assert allowed is not None

    documented = _first_cells("decoding.md", "Reasons of being unattached")

    assert documented == set(_texts_of_calls(SOURCE / "derive" / "fold.py", {"_leave"}))
    assert documented == set(re.findall(r"'([^']+)'", allowed[1]))


def test_decoding__events_and_kinds__are_all_there() -> None:
    page = _read("decoding.md")

    assert [event.name for event in CURRENT if f"`{event.name}`" not in page] == []
    assert [kind for kind in KINDS.values() if f"`{kind}`" not in page] == []


def _texts_of_calls(file: Path, functions: set[str]) -> Iterator[str]:
    """String constants in the arguments of calls of `functions`, nested ones too."""
    for node in ast.walk(ast.parse(file.read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name in functions:
            for argument in node.args:
                yield from _texts(argument)


def _texts(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.IfExp):
        yield from _texts(node.body)
        yield from _texts(node.orelse)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


# Settings, outbox, schema --------------------------------------------------------------------


def test_settings__every_one__is_documented_and_no_other() -> None:
    documented = set(re.findall(r"^\| `([A-Z_]+)` \|", _read("settings.md"), re.MULTILINE))

    assert documented == {row.variable for row in describe()}


def test_outbox__every_field_and_kind__is_documented() -> None:
    page = _read("outbox.md")
    kinds = re.search(r"kind +text +NOT NULL CHECK \(kind IN \(([^)]*)\)", MIGRATION)
    assert kinds is not None
    names = [*OutboxEntry.__struct_encode_fields__, *re.findall(r"'([^']+)'", kinds[1])]

    assert [name for name in names if f"`{name}`" not in page] == []


def test_schema__every_table_but_those_of_facts__is_documented() -> None:
    page = _read("schema.md")
    tables = set(
        re.findall(r"^CREATE (?:TABLE|VIEW|MATERIALIZED VIEW) (\w+)", MIGRATION, re.MULTILINE)
    )

    assert [name for name in tables - {*KINDS.values()} if f"`{name}`" not in page] == []


# State hash ----------------------------------------------------------------------------------


def test_state_hash__sections_and_fields__are_those_of_the_code() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| ((?:`\w+`(?:, )?)+) \|", _read("state-hash.md"), re.MULTILINE
    )
    documented = {name: tuple(re.findall(r"`(\w+)`", fields)) for name, fields in rows}

    coded: dict[str, Any] = {table.name: table.columns for table in facts.TABLES.values()}
    queries = hashing.STATE | {"quarantine": hashing.QUARANTINE, "unattached": hashing.UNATTACHED}
    for name, query in queries.items():
        selected = re.search(r"SELECT(.*?)FROM", query, re.DOTALL)
        assert selected is not None
        coded[name] = tuple(column.strip() for column in selected[1].split(","))

    assert list(documented) == list(SECTIONS)
    assert documented == coded


def test_state_hash__order_of_state_rows__is_that_of_the_code() -> None:
    lines = _read("state-hash.md").splitlines()
    documented = {
        line.split("`")[1]: re.findall(r"`(\w+)`", line.split("|")[3])
        for line in lines
        if line.count("|") == 4 and line.startswith("| `")
    }

    assert documented == {
        name: [key.strip() for key in hashing.STATE[name].split("ORDER BY")[1].split(",")]
        for name in STATE_SECTIONS
    }


def test_state_hash__the_vectors__hold() -> None:
    page = _read("state-hash.md")
    nothing = state_hash({name: Section(name).digest() for name in SECTIONS})
    one = Section("unattached")
    one.add([(120, 7, "feedback_given", 0, "unknown-agent")])

    assert nothing in page
    assert one.digest().hex() in page
    assert tags_hash(b"starred", b"").hex() in page
    for value, shown in [
        (None, "000000014e"),
        (-5, "00000003492d35"),
        (b"\x00\xff", "000000034200ff"),
        ("é", "0000000353c3a9"),
        (True, "0000000154"),
        ([b"a", b""], "0000000e4c323a0000000242610000000142"),
    ]:
        section = Section("")
        section.add([[value]])
        assert section.digest() == hashlib.sha256(b"\0" + bytes.fromhex(shown)).digest()
        assert f"`{shown}`" in page


def _read(name: str) -> str:
    return (REFERENCE / name).read_text()


def _first_cells(page: str, heading: str) -> set[str]:
    """What stands as code in the first column of the table under `heading`."""
    part = _read(page).split(f"## {heading}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `([a-z-]+)` \|", part, re.MULTILINE))
