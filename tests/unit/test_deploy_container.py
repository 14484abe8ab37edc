"""Image and compose file: what they name exists, what must be closed is, secrets reach settings."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from renown.cli.app import app
from renown.settings import Settings, describe
from renown.store.exported import MANIFEST
from tests.needs import skip_unless

ROOT = Path(__file__).resolve().parents[2]
CONTAINER = ROOT / "deploy/container"
COMPOSE = ROOT / "deploy/compose"
FILE: dict[str, Any] = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
ENDING = ("migrate", "rights", "operator", "backup", "audit", "export")
OURS = ("api-1", "api-2", "index", "crawl", "watch", "notary", *ENDING)
VARIABLES = {row.variable for row in describe()}


def program(name: str) -> str:
    """Where a linter or server is: beside our interpreter, else on the path."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    skip_unless(found, name, "`make setup` brings it along")
    assert found is not None
    return found


# Image ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["Dockerfile", "pgbouncer.Dockerfile"])
def test_dockerfile__hadolint__has_nothing_to_say(name: str) -> None:
    done = subprocess.run(
        [program("hadolint"), "--no-color", CONTAINER / name],
        check=False,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_dockerfile__last_stage__is_bare_and_not_root() -> None:
    text = (CONTAINER / "Dockerfile").read_text()
    last = text.split("\nFROM ")[-1]

    assert re.findall(r"^USER (\S+)$", last, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"\b(apt-get|pip|gcc|curl|git)\b", last)
    assert "--require-hashes" in text
    assert text.count("--only-binary=:all:") == 2
    assert 'CMD ["serve"]' in last


def test_dockerfile__what_it_copies__is_let_through_by_the_ignore_file() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    text = (CONTAINER / "Dockerfile").read_text()
    sources = [
        source
        for arguments in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for source in [word for word in arguments.split() if not word.startswith("--")][:-1]
    ]

    assert "*" in lines
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert any(source == one or source.startswith(f"{one}/") for one in kept), source


# Secrets -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that make-secrets makes."""
    place = tmp_path_factory.mktemp("compose")
    shutil.copy(COMPOSE / "make-secrets", place)
    subprocess.run([place / "make-secrets"], check=True, capture_output=True)
    return place / "secrets"


def with_secrets(folder: Path, *command: str, **environment: str) -> str:
    return subprocess.run(
        [CONTAINER / "with-secrets", *command],
        env={"PATH": os.environ["PATH"], "SECRETS_DIRECTORY": str(folder), **environment},
        check=True,
        capture_output=True,
        text=True,
    ).stdout


def test_make_secrets__run_twice__keeps_what_it_made(secrets: Path) -> None:
    before = {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}
    again = subprocess.run([secrets.parent / "make-secrets"], capture_output=True, check=True)

    assert again.stdout == b""
    assert before == {path.name: path.read_bytes() for path in secrets.iterdir() if path.is_file()}
    assert secrets.stat().st_mode & 0o077 == 0
    passwords = [text for name, text in before.items() if name.endswith("-password")]
    assert len(set(passwords)) == len(passwords) > 5
    assert all(re.fullmatch(rb"[0-9a-f]{64}", password) for password in passwords)


def test_make_secrets__what_the_compose_file_names__is_made(secrets: Path) -> None:
    named = {Path(one["file"]).name for one in FILE["secrets"].values()}

    assert named <= {path.name for path in secrets.iterdir()}


@pytest.mark.parametrize("name", OURS)
def test_secrets__of_each_service__become_settings(
    secrets: Path, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = SERVICES[name]["secrets"]
    for one in given:
        source = secrets / Path(FILE["secrets"][one["source"]]["file"]).name
        shutil.copy(source, tmp_path / one["target"])
    (tmp_path / "certificate.pem").write_text("not a setting")

    told = dict(
        line.split("=", 1) for line in with_secrets(tmp_path, "env").splitlines() if "=" in line
    )

    assert {one["target"] for one in given} <= set(told) & VARIABLES
    for variable in set(told) & VARIABLES:
        monkeypatch.setenv(variable, told[variable])
    settings = Settings(chains=("base",))
    assert settings.database_url is not None
    assert "certificate.pem" not in told


def test_with_secrets__any_text_in_a_file__arrives_as_it_is(tmp_path: Path) -> None:
    hostile = "a'b\"c $(touch pwned) `id` \\ * ; é\tz"
    (tmp_path / "RENOWN_KEY_PEPPER").write_text(hostile + "\n")
    (tmp_path / "LD_PRELOAD").write_text("/tmp/evil.so")
    (tmp_path / "RENOWN_X;touch pwned").write_text("x")

    shown = with_secrets(tmp_path, "sh", "-c", 'printf "%s|%s" "$RENOWN_KEY_PEPPER" "$LD_PRELOAD"')

    assert shown == f"{hostile}|"
    assert not (tmp_path / "pwned").exists()
    assert not Path("pwned").exists()


def test_with_secrets__a_file_it_may_not_read__stops_the_start(tmp_path: Path) -> None:
    (tmp_path / "RENOWN_KEY_PEPPER").mkdir()

    with pytest.raises(subprocess.CalledProcessError):
        with_secrets(tmp_path, "true")


# Compose -------------------------------------------------------------------------------------


def test_compose__its_own_program__accepts_it(secrets: Path) -> None:
    done = subprocess.run(
        [program("docker-compose"), "-f", COMPOSE / "compose.yaml", "config", "--quiet"],
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(secrets), "CHAIN": "base"},
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_compose__what_services_name__is_defined_and_all_of_it_is_used() -> None:
    used: dict[str, set[str]] = {"networks": set(), "volumes": set(), "secrets": set()}
    for service in SERVICES.values():
        used["networks"] |= set(service["networks"])
        used["secrets"] |= {
            one if isinstance(one, str) else one["source"] for one in service.get("secrets", [])
        }
        for volume in service.get("volumes", []):
            source = re.sub(r"^\$\{\w+:-(.+?)\}", r"\1", volume).split(":")[0]
            if source.startswith("."):
                made = source.startswith("./secrets/")
                assert made or (COMPOSE / source).exists(), source
            else:
                used["volumes"].add(source)

    assert used == {kind: set(FILE[kind]) for kind in used}


@pytest.mark.parametrize("name", SERVICES)
def test_compose__every_service__is_bounded_and_pinned(name: str) -> None:
    service = SERVICES[name]
    image = re.sub(r"^\$\{\w+:-(.+)\}$", r"\1", service["image"])
    limits = service["deploy"]["resources"]["limits"]

    assert re.search(r":[\w.-]*\d[\w.-]*$", image), image
    assert set(limits) == {"cpus", "memory"}
    assert "no-new-privileges:true" in service["security_opt"]
    assert name in OURS or service["healthcheck"]["test"]  # ours have the image's
    assert service["restart"] in ("unless-stopped", "on-failure:3", "no")
    if "PGDATA" not in str(service.get("environment")):  # PostgreSQL's image starts as root
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


def test_compose__the_world__meets_only_the_proxy() -> None:
    open_to_all = {
        name
        for name, service in SERVICES.items()
        for port in service.get("ports", [])
        if not port.startswith("127.0.0.1:")
    }
    ways_out = {name for name, net in FILE["networks"].items() if not (net or {}).get("internal")}

    assert open_to_all == {"proxy"}
    assert ways_out == {"public", "operators", "nodes", "crawl"}
    for name in ("postgres", "replica", "pgbouncer", "valkey", "notary", "migrate"):
        assert not set(SERVICES[name]["networks"]) & ways_out, name


def test_compose__the_crawler__meets_postgresql_and_prometheus_only() -> None:
    mine = set(SERVICES["crawl"]["networks"])
    met = {name for name, one in SERVICES.items() if mine & set(one["networks"])} - {"crawl"}

    assert met == {"postgres", "prometheus"}
    assert {one["target"] for one in SERVICES["crawl"]["secrets"]} == {"DATABASE_URL"}


@pytest.mark.parametrize("name", OURS)
def test_compose__our_services__run_commands_and_settings_that_exist(name: str) -> None:
    service = SERVICES[name]
    commands = {one.name or one.callback.__name__ for one in app.registered_commands}  # type: ignore[union-attr]
    commands |= {group.name or group.typer_instance.info.name for group in app.registered_groups}  # type: ignore[union-attr]

    if "entrypoint" in service:
        assert service["entrypoint"] == ["with-secrets", "nightly"]
        assert f"\n    {service['command'][0]})\n" in (CONTAINER / "nightly").read_text()
    else:
        assert service.get("command", ["serve"])[0] in commands
    assert set(service["environment"]) <= VARIABLES
    grace = int(service["stop_grace_period"].removesuffix("s"))
    pause = float(service["environment"].get("RENOWN_DRAIN_PAUSE_SECONDS", 0))
    assert grace > pause + float(service["environment"]["RENOWN_DRAIN_SECONDS"])


def test_compose__an_api_that_stops__waits_until_the_proxy_has_turned_away() -> None:
    proxy = (COMPOSE / "Caddyfile").read_text()
    every, fails = re.findall(r"health_interval (\d+)s|health_fails (\d+)", proxy)
    pause = float(SERVICES["api-1"]["environment"]["RENOWN_DRAIN_PAUSE_SECONDS"])

    assert pause > float(every[0]) * float(fails[1])


def test_compose__pgbouncer__is_configured_by_the_file_that_the_tests_run() -> None:
    (mounted,) = SERVICES["pgbouncer"]["volumes"]
    text = (ROOT / "deploy/pgbouncer/pgbouncer.ini").read_text()

    assert (COMPOSE / mounted.split(":")[0]).resolve() == ROOT / "deploy/pgbouncer/pgbouncer.ini"
    assert "host=postgres port=5432" in text
    assert "auth_file = /run/secrets/userlist.txt" in text
    assert "\nlisten_port = 6432\n" in text


def test_compose__disks__are_those_of_postgresql_by_the_names_that_rules_show() -> None:
    seen = dict(one.split(":")[:2] for one in SERVICES["disks"]["volumes"])
    config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    (job,) = [one for one in config["scrape_configs"] if one["job_name"] == "disks"]

    assert {"postgres", "replica"} <= set(seen)
    for volume, place in seen.items():
        found = re.fullmatch(job["metric_relabel_configs"][0]["regex"], place)
        assert found is not None
        assert found[1] == volume
    assert all(one.endswith(":ro") for one in SERVICES["disks"]["volumes"])


# What ends -----------------------------------------------------------------------------------


def nightly(folder: Path, *arguments: str, fail: str = "never") -> tuple[int, list[str]]:
    """Exit code, and what it had a `renown` do that only notes it, and makes files."""
    shutil.copy(CONTAINER / "nightly", folder)
    (folder / "renown").write_text(
        '#!/bin/sh\necho "$*" >>"$LOG"\ncase "$*" in *"$FAIL"*) exit 65 ;; esac\n'
        'case "$*" in "db backup "*) touch "$3" "$3.manifest.json" ;; esac\n'
    )
    (folder / "renown").chmod(0o755)
    done = subprocess.run(
        [folder / "nightly", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "LOG": str(folder / "log"),
            "FAIL": fail,
            "RENOWN_EXPORTS_DIR": str(folder / "exports"),
        },
        check=False,
        capture_output=True,
    )
    log = folder / "log"
    return done.returncode, log.read_text().splitlines() if log.exists() else []


@pytest.mark.parametrize("fail", ["never", "db verify"])
def test_nightly_backup__old_ones__go_only_after_the_new_one_was_checked(
    tmp_path: Path, fail: str
) -> None:
    kept = tmp_path / "back ups"
    kept.mkdir()
    for day in range(1, 5):
        (kept / f"renown-2026010{day}T000000Z").touch()
        (kept / f"renown-2026010{day}T000000Z.manifest.json").touch()
    (kept / "somebody-elses.manifest.json").touch()

    code, log = nightly(tmp_path, "backup", str(kept), "2", fail=fail)

    made = log[0].removeprefix("db backup ")
    assert log[1] == f"db verify {made}"
    left = sorted(path.name for path in kept.iterdir() if path.name.endswith("Z"))
    if fail == "never":
        assert (code, left) == (0, ["renown-20260104T000000Z", Path(made).name])
        assert len(list(kept.iterdir())) == 5
    else:
        assert (code, len(left)) == (65, 5)


def test_nightly_audit__a_log_that_was_altered__loses_nothing(tmp_path: Path) -> None:
    assert nightly(tmp_path, "audit", fail="audit verify") == (65, ["audit verify"])
    (tmp_path / "log").unlink()
    assert nightly(tmp_path, "audit") == (0, ["audit verify", "audit retention --yes"])


def test_nightly_export__finished_ones__go_but_for_the_newest(tmp_path: Path) -> None:
    for name, finished in (("20260101T0Z", True), ("20260102T0Z", False), ("20260103T0Z", True)):
        (tmp_path / "exports" / name).mkdir(parents=True)
        if finished:
            (tmp_path / "exports" / name / MANIFEST).touch()

    code, log = nightly(tmp_path, "export", "1")

    left = sorted(path.name for path in (tmp_path / "exports").iterdir())
    assert (code, log, left) == (0, ["export"], ["20260102T0Z", "20260103T0Z"])


@pytest.mark.parametrize("arguments", [(), ("everything",)])
def test_nightly__nothing_it_knows__says_how_to_use_it(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    assert nightly(tmp_path, *arguments) == (64, [])


def test_compose__subnet_of_the_proxy__is_whom_the_api_trusts() -> None:
    subnet = FILE["networks"]["edge"]["ipam"]["config"][0]["subnet"]
    beside = {name for name, one in SERVICES.items() if "edge" in one["networks"]}

    assert SERVICES["api-1"]["environment"]["RENOWN_TRUSTED_PROXIES"] == subnet
    assert beside == {"proxy", "api-1", "api-2"}


def test_compose__prometheus__asks_every_process_and_loads_every_rule() -> None:
    config = yaml.safe_load((COMPOSE / "prometheus.yml").read_text())
    jobs = {job["job_name"]: job for job in config["scrape_configs"]}
    asked = {
        target.split(":")[0]
        for one in jobs["renown"]["static_configs"]
        for target in one["targets"]
    }

    assert asked == {*OURS} - {*ENDING}
    for name in asked:
        assert set(SERVICES[name]["networks"]) & set(SERVICES["prometheus"]["networks"]), name
    assert config["rule_files"] == ["rules/*.rules.yml"]
    assert list((ROOT / "deploy/prometheus/rules").glob("*.rules.yml"))
    done = subprocess.run(
        [program("promtool"), "check", "config", "--syntax-only", COMPOSE / "prometheus.yml"],
        check=False,
        capture_output=True,
    )
    assert done.returncode == 0


# Proxy ---------------------------------------------------------------------------------------


async def test_proxy__one_process_away_and_a_forged_header__the_other_answers_and_is_told_who(
    tmp_path: Path,
) -> None:
    caddy, heard = program("caddy"), []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        heard.append(head)
        body = json.dumps({"ok": True}).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n")
        writer.write(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port, closed, mine = server.sockets[0].getsockname()[1], free_port(), free_port()
    process = await asyncio.create_subprocess_exec(
        *(caddy, "run", "--adapter", "caddyfile", "--config", str(COMPOSE / "Caddyfile")),
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(tmp_path),
            "RENOWN_DOMAIN": f"http://127.0.0.1:{mine}",
            "RENOWN_UPSTREAMS": f"127.0.0.1:{closed} 127.0.0.1:{port}",
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        forged = "X-Forwarded-For: 203.0.113.9\r\n"
        answers = [await asked(mine, "/v1/agents", forged) for _ in range(6)]
        hidden = [await asked(mine, path) for path in ("/metrics", "/readyz")]
    finally:
        process.terminate()
        await process.wait()
        server.close()

    assert answers == [200] * 6
    assert hidden == [404] * 2
    passed = [head for head in heard if head.startswith("GET /v1/agents")]
    assert len(passed) == 6
    for head in passed:
        assert re.findall(r"(?im)^x-forwarded-for: (.+?)\r?$", head) == ["127.0.0.1"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def asked(port: int, path: str, headers: str = "") -> int:
    """The status of an answer; asked again while nobody listens yet."""
    for _ in range(200):
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            await asyncio.sleep(0.05)
            continue
        writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{headers}\r\n".encode())
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])
    raise AssertionError("the proxy does not listen")
