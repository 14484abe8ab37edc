"""Units: systemd's checker takes them, they are closed, and give processes what they need."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from renown.cli.app import app
from renown.settings import describe
from tests.needs import skip_unless

UNITS = Path(__file__).resolve().parents[2] / "deploy/systemd"
SERVICES = sorted(path.name for path in UNITS.glob("*.service"))
TIMERS = sorted(path.name for path in UNITS.glob("*.timer"))
NIGHTLY = UNITS.parent / "container/nightly"
INSTANCES = [name.replace("@.", "@8004.") for name in SERVICES]
COMMON = (UNITS / "renown-.service.d/10-common.conf").read_text()
SYSTEM = Path("/usr/lib/systemd/system")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file system with the units and the programs that they name."""
    is_there = shutil.which("systemd-analyze") is not None and SYSTEM.is_dir()
    skip_unless(is_there, "systemd", "on Debian: apt-get install systemd")
    made = tmp_path_factory.mktemp("root")
    shutil.copytree(UNITS, made / "etc/systemd/system")
    (made / "usr/lib/systemd/system").mkdir(parents=True)
    shutil.copy("/etc/passwd", made / "etc/passwd")
    with (made / "etc/passwd").open("a") as accounts:
        accounts.write("renown-exports:x:990:990::/:/usr/sbin/nologin\n")
    for path in (*SYSTEM.glob("*.target"), *SYSTEM.glob("*.slice")):
        if path.exists():
            shutil.copy(path, made / "usr/lib/systemd/system")
    (made / "opt/renown/bin").mkdir(parents=True)
    for name in ("renown", "with-secrets", "nightly"):
        (made / "opt/renown/bin" / name).write_text("#!/bin/sh\n")
        (made / "opt/renown/bin" / name).chmod(0o755)
    return made


def analysed(root: Path, verb: str, *arguments: str) -> str:
    command = ["systemd-analyze", verb, f"--root={root}", "--no-pager", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout + done.stderr


def test_units__systemd__has_nothing_to_say(root: Path) -> None:
    assert analysed(root, "verify", "--man=no", *INSTANCES, *TIMERS, "renown.target") == ""


def test_units__a_wrong_word__is_found(root: Path, tmp_path: Path) -> None:
    broken = tmp_path / "root"
    shutil.copytree(root, broken)
    path = broken / "etc/systemd/system/renown-.service.d/10-common.conf"
    path.write_text(COMMON.replace("ProtectSystem=strict", "ProtectSystem=very"))

    assert "protect system" in analysed(broken, "verify", "--man=no", "renown-index.service")


def test_units__exposure__is_low(root: Path) -> None:
    found = analysed(root, "security", "--offline=true", *INSTANCES)
    levels = re.findall(r"exposure level for (\S+): ([\d.]+)", found)

    assert {name for name, _ in levels} == set(INSTANCES)
    assert max(float(level) for _, level in levels) <= 1.5


@pytest.mark.parametrize("name", SERVICES)
def test_units__each__runs_a_command_that_exists_with_secrets_that_are_settings(name: str) -> None:
    text = (UNITS / name).read_text()
    commands = {one.name or one.callback.__name__ for one in app.registered_commands}  # type: ignore[union-attr]
    variables = {row.variable for row in describe()}
    (program, command) = re.findall(
        r"^ExecStart=\S+/with-secrets /opt/renown/bin/(\w+) (\S+)", text, re.MULTILINE
    )[0]
    given = dict(re.findall(r"^LoadCredential=(\w+):(\S+)$", text, re.MULTILINE))
    plain = dict(re.findall(r"^Environment=(\w+)=(\S+)$", COMMON + text, re.MULTILINE))

    assert program == ("nightly" if "nightly" in name else "renown")
    if program == "nightly":
        assert f"\n    {command})\n" in NIGHTLY.read_text()
    else:
        assert command in {*commands, "db"}
    assert set(given) <= {row.variable for row in describe() if row.secret}
    assert "DATABASE_URL" in given
    assert set(plain) <= variables
    assert not set(plain) & {row.variable for row in describe() if row.secret}
    for variable, path in given.items():
        assert path.startswith("/etc/renown/secrets/")
        assert path.endswith(variable)


def test_units__what_happens_every_night__has_a_timer_that_the_target_wants() -> None:
    wanted = re.findall(r"([\w-]+\.timer)", (UNITS / "renown.target").read_text())
    times = [
        re.findall(r"^OnCalendar=(.+)$", (UNITS / one).read_text(), re.MULTILINE) for one in TIMERS
    ]

    assert sorted(wanted) == TIMERS
    assert [one.replace(".timer", ".service") for one in TIMERS] == [
        name for name in SERVICES if "nightly" in name
    ]
    assert len({*map(tuple, times)}) == len(TIMERS) == 3


def test_units__secrets_that_an_installation_may_lack__have_an_empty_default() -> None:
    needed = {"DATABASE_URL", "DATABASE_DIRECT_URL"}
    needed |= {"RENOWN_KEY_PEPPER", "RENOWN_CURSOR_SECRET", "RENOWN_AUDIT_KEY"}

    for name in SERVICES:
        text = (UNITS / name).read_text()
        given = set(re.findall(r"^LoadCredential=(\w+):", text, re.MULTILINE))
        empty = set(re.findall(r"^SetCredential=(\w+):\\n$", text, re.MULTILINE))
        assert empty == given - needed, name
    assert "DATABASE_REPLICA_URL" in (UNITS / "renown-api@.service").read_text()


def test_units__exports__are_written_where_the_api_reads_them() -> None:
    writes = (UNITS / "renown-nightly-export.service").read_text()
    reads = (UNITS / "renown-api@.service").read_text()
    (place,) = {
        *re.findall(r"^Environment=RENOWN_EXPORTS_DIR=(\S+)$", writes + reads, re.MULTILINE)
    }
    own = (UNITS / "renown-nightly-export.service.d/30-read-by-the-api.conf").read_text()

    assert place in reads
    assert f"StateDirectory={Path(place).name}\nStateDirectoryMode=0755" in own


def test_units__ports_of_metrics__are_all_different() -> None:
    texts = [(UNITS / name).read_text() for name in SERVICES]
    ports = [port for text in texts for port in re.findall(r"METRICS_PORT=(\d+)", text)]

    assert len(ports) == len(set(ports)) == 5


def test_units__a_stop__may_take_longer_than_draining() -> None:
    (stop,) = re.findall(r"^TimeoutStopSec=(\d+)$", COMMON, re.MULTILINE)
    drain = next(row.default for row in describe() if row.variable == "RENOWN_DRAIN_SECONDS")

    (pause,) = re.findall(
        r"^Environment=RENOWN_DRAIN_PAUSE_SECONDS=(\d+)$",
        (UNITS / "renown-api@.service").read_text(),
        re.MULTILINE,
    )
    assert int(stop) > 2 * float(drain) + int(pause)
