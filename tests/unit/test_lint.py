"""`renown lint` on good, bad and malicious files: what it prints, and how it leaves."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from types import SimpleNamespace

import pytest

from renown.cli import linting
from renown.cli.lint_forms import github, report, words
from renown.cli.linting import Linted, Named, lint_file
from renown.offchain.fetched import Fetched
from renown.spec.documents import Finding
from tests.command import Outcome, renown
from tests.unit.test_documents_fields import STRICT

BAD = """{
  "type": "https://eips.ethereum.org/EIPs/eip-8004",
  "name": "Your Agent Name",
  "description": "",
  "image": "picture.png",
  "endpoints": [
    {"name": "MCP", "url": "http://localhost:3000/mcp"},
    "https://example.com/agent"
  ],
  "x402support": "yes",
  "registrations": [{"agentId": "42", "agentRegistry": "eip155:1"}]
}
"""
EVIL = (
    b'{"type": "https://eips.ethereum.org/EIPS/eip-8004#registration-v1",\n'
    b' "name": "Unisw\\u0430p\\u202e\\n::error file=x::pwned ##[add-mask]a \\u001b[2J{x}",\n'
    b' "description": "\\u0000\\ud800",\n'
    b' "image": "java\\nscript:alert(1)",\n'
    b' "services": [{"name": "web", "endpoint": "https://good.net@127.0.0.1/"},\n'
    b'  {"name": "::error::\\r\\n::error::x", "endpoint": "data:text/html,\\u001b]0;x\\u0007"}],\n'
    b' "::set-output name=a::b\\n": NaN, "%0A::error::": [1e999], "n": 1, "n": 2}'
)


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "good.json").write_text(json.dumps(STRICT, indent=2))
    (tmp_path / "bad.json").write_text(BAD)
    (tmp_path / "evil.json").write_bytes(EVIL)
    return tmp_path


def lint(files: Path, *args: str) -> Outcome:
    return renown("lint", *[str(files / a) if a.endswith(".json") else a for a in args])


def test_lint__a_good_file__passes_in_every_mode(files: Path) -> None:
    outcome = lint(files, "good.json", "--strict", "--fail-on", "warning")

    assert outcome.code == 0
    assert outcome.out == f"{files}/good.json: registration, reading strict; nothing found\n"
    assert lint(files, "good.json", "--github") == Outcome(0, "", "")


def test_lint__a_bad_file__fails_and_says_where_and_how_to_mend_it(files: Path) -> None:
    outcome = lint(files, "bad.json")
    lines = outcome.out.splitlines()

    assert outcome.code == 65
    assert re.search(r"bad.json: registration, reading tolerant; \d error, \d+ warning", lines[0])
    assert lines[1].startswith(f"{files}/bad.json:7: error private-host /endpoints/0/endpoint: ")
    assert lines[2] == "    Use a host that the whole internet can reach."
    assert any("bad.json:3: warning placeholder /name" in line for line in lines)
    assert any("bad.json:10: warning nonstandard-spelling /x402support" in line for line in lines)


def test_lint__its_bar__decides_what_fails(files: Path) -> None:
    (files / "info.json").write_text(json.dumps({**STRICT, "services": []}))

    (files / "odd.json").write_text(
        json.dumps({"x402support" if k == "x402Support" else k: v for k, v in STRICT.items()})
    )
    assert lint(files, "odd.json").code == 0
    assert lint(files, "odd.json", "--strict").code == 65
    assert lint(files, "odd.json", "--fail-on", "warning").code == 65
    assert lint(files, "info.json", "--strict", "--fail-on", "warning").code == 0
    assert lint(files, "info.json", "--fail-on", "info").code == 64


def test_lint__as_json__has_one_document_for_all_targets(files: Path) -> None:
    outcome = lint(files, "good.json", "bad.json", "--json")
    told = json.loads(outcome.out)

    assert (outcome.code, told["passed"]) == (65, False)
    good, bad = told["targets"]
    assert (good["passed"], good["class"], good["reading"], good["name"]) == (
        True, "registration", "strict", "Harbour Pilot",
    )  # fmt: skip
    assert (bad["passed"], bad["size_bytes"]) == (False, len(BAD))
    finding = bad["findings"][0]
    assert finding["code"] == "private-host"
    assert (finding["severity"], finding["line"]) == ("error", 7)
    assert finding.keys() == {
        "code", "severity", "subject", "path", "line", "detail", "title", "fix",
    }  # fmt: skip


def test_lint__for_github__annotates_lines(files: Path) -> None:
    outcome = lint(files, "bad.json", "--github")

    assert outcome.code == 65
    first = outcome.out.splitlines()[0]
    assert first.startswith(
        f"::error file={files}/bad.json,line=7,title=private-host /endpoints/0/endpoint::A URL "
    )
    assert {line.split(" ")[0] for line in outcome.out.splitlines()} == {
        "::error", "::warning", "::notice",
    }  # fmt: skip


@pytest.mark.parametrize("form", [(), ("--github",), ("--json",)])
def test_lint__a_malicious_file__moves_no_cursor_and_gives_no_command(
    files: Path, form: tuple[str, ...]
) -> None:
    outcome = lint(files, "evil.json", *form)

    assert outcome.code == 65
    for line in outcome.out.splitlines():
        assert line.isprintable()
        assert "##[" not in line or form == ("--json",)
        if form == ("--github",):
            assert re.match(
                r"::(error|warning|notice) file=[^:,]+,line=\d+,title=[^:,]+::[^:]", line
            )
        else:
            assert not line.lstrip().startswith("::")


def test_lint__a_file_name_with_commas_and_colons__stays_one_property(tmp_path: Path) -> None:
    path = tmp_path / "a,line=9::b%.json"
    path.write_text("[]")
    (line,) = github(report(lint_file(Named(str(path), "file"), None), passed=False))

    assert line.count("::") == 2
    assert "a%2Cline=9%3A%3Ab%25.json,line=1" in line


def test_lint__standard_input__is_a_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"<html>")))
    outcome = renown("lint", "-")

    assert outcome.code == 65
    assert outcome.out.startswith("stdin: html, reading none; 1 error\nstdin:1: error html-page: ")


def test_lint__what_is_not_there__is_66_and_the_rest_is_still_told(files: Path) -> None:
    outcome = lint(files, "nothing.json", "good.json", "bad.json")

    assert outcome.code == 66
    assert "good.json: registration" in outcome.out
    assert "bad.json:7" in outcome.out
    assert "nothing.json: no such file, and no URI or agent key" in outcome.err


def test_lint__a_folder_or_an_unreadable_file__is_66(files: Path) -> None:
    assert renown("lint", str(files)).code == 66


@pytest.mark.parametrize(
    ("agent", "code", "found"),
    [
        ("8453:42", 0, None),
        (f"eip155:8453:{STRICT['registrations'][0]['agentRegistry'][12:]}:42", 0, None),
        ("8453:43", 65, "registration-elsewhere"),
        ("1:42", 65, "registration-elsewhere"),
    ],
)
def test_c5_lint__an_agent_to_be_named__is_looked_for(
    files: Path, agent: str, code: int, found: str | None
) -> None:
    outcome = lint(files, "good.json", "--agent", agent, "--json")

    assert outcome.code == code
    (target,) = json.loads(outcome.out)["targets"]
    assert [f["code"] for f in target["findings"]] == ([found] if found else [])


def test_lint__before_it_is_registered__a_file_need_not_name_an_agent(files: Path) -> None:
    (files / "new.json").write_text(
        json.dumps({k: v for k, v in STRICT.items() if k != "registrations"})
    )

    assert lint(files, "new.json", "--strict", "--fail-on", "warning").code == 0
    outcome = lint(files, "new.json", "--agent", "8453:42", "--fail-on", "warning")
    assert (outcome.code, "registration-missing" in outcome.out) == (65, True)


def test_lint__a_data_uri__is_read_without_any_network() -> None:
    outcome = renown("lint", "data:application/json;base64,bm8=")

    assert outcome.code == 65
    assert "error not-json: The bytes are no JSON." in outcome.out
    assert "uri-undecodable" in renown("lint", "data:nothing").out
    assert "uri-unsupported" in renown("lint", "ipns://x").out


class Web:
    """A fetcher that answers from a list."""

    def __init__(self, fetched: Fetched) -> None:
        self.fetched = fetched

    async def __aenter__(self) -> Web:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read(self, uri: object) -> Fetched:
        return self.fetched


@pytest.mark.parametrize(
    ("scheme", "fetched", "codes", "code"),
    [
        ("https", Fetched(outcome="ok", body=json.dumps(STRICT).encode()), [], 0),
        ("https", Fetched(outcome="ok", body=b"[]", final_url="https://b.net/"),
         ["not-an-object", "uri-redirected"], 65),
        ("http", Fetched(outcome="timeout"), ["uri-insecure", "uri-unreachable"], 65),
        ("https", Fetched(outcome="http-error", status=404), ["uri-not-found"], 65),
        ("https", Fetched(outcome="http-error", status=503), ["uri-server-error"], 65),
        ("https", Fetched(outcome="refused", reason="private-address"), ["uri-refused"], 65),
        ("https", Fetched(outcome="too-large"), ["uri-oversized"], 65),
    ],
)  # fmt: skip
def test_lint__a_url__is_judged_with_how_it_is_served(
    monkeypatch: pytest.MonkeyPatch, scheme: str, fetched: Fetched, codes: list[str], code: int
) -> None:
    monkeypatch.setattr(linting, "_fetcher", lambda: Web(fetched))
    outcome = renown("lint", f"{scheme}://a.net/x", "--json")

    (target,) = json.loads(outcome.out)["targets"]
    found = {finding["code"] for finding in target["findings"]}
    assert found == {"uri-mutable", *codes}
    assert outcome.code == code


@pytest.mark.parametrize(
    "args", [("--json", "--github"), ("--agent", "nobody"), ("--agent", "a" * 32), ("--chain", "x")]
)
def test_lint__a_wrong_command_line__is_refused(files: Path, args: tuple[str, ...]) -> None:
    assert lint(files, "good.json", *args).code in (64, 66)
    assert renown("lint").code == 64


def test_words__of_details_that_quote_strangers__are_harmless() -> None:
    finding = Finding("placeholder", "/na\x1b[2Jme", "##[error]x\n::error::y ##vso[a]")
    linted = Linted(named=Named("a\x1b.json", "uri"), findings=(finding,))

    for line in words(report(linted, passed=True)):
        assert line.isprintable()
        assert "##[" not in line
        assert "##vso[" not in line
