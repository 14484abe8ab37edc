"""Real Prometheus and Alertmanager on free ports, and a webhook that notes what it is told."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import yaml

from tests.alerts.quick import quick_alertmanager, quick_rules
from tests.needs import need_program

ROOT = Path(__file__).resolve().parents[2]
PROMETHEUS = "on Debian: apt-get install prometheus"
ALERTMANAGER = "on Debian: apt-get install prometheus-alertmanager"
PATIENCE_SECONDS = 60.0
"""How long anything may take on a busy machine; an idle one needs a tenth of it."""


class Told(NamedTuple):
    """One alert of one notification."""

    receiver: str
    alertname: str
    status: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


class Webhook:
    """Takes what Alertmanager sends; `told` is all of it, in order."""

    def __init__(self) -> None:
        self.told: list[Told] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                for one in body["alerts"]:
                    outer.told.append(
                        Told(
                            self.path.strip("/"),
                            one["labels"]["alertname"],
                            one["status"],
                            one["labels"],
                            one["annotations"],
                        )
                    )
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def heard(self, alertname: str, status: str = "firing") -> list[Told]:
        """What it was told of one alert."""
        return [one for one in self.told if (one.alertname, one.status) == (alertname, status)]

    @contextmanager
    def listening(self) -> Iterator[Webhook]:
        thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        thread.start()
        try:
            yield self
        finally:
            self._server.shutdown()
            self._server.server_close()


class Watch:
    """Both of them, watching the targets."""

    def __init__(self, prometheus: str, alertmanager: str, webhook: Webhook) -> None:
        self.prometheus, self.alertmanager, self.webhook = prometheus, alertmanager, webhook

    def value(self, query: str) -> list[float]:
        """What Prometheus answers now."""
        found = _json(f"{self.prometheus}/api/v1/query?query={quote(query)}")
        return [float(one["value"][1]) for one in found["data"]["result"]]

    def states(self) -> dict[str, str]:
        """Every alert that Alertmanager holds: `active` or `suppressed`, by name."""
        held = _json(f"{self.alertmanager}/api/v2/alerts")
        return {one["labels"]["alertname"]: one["status"]["state"] for one in held}


@contextmanager
def watching(targets: Sequence[tuple[str, str]], folder: Path) -> Iterator[Watch]:
    """Prometheus and Alertmanager with the shipped rules and routes, sixty times as fast.

    Args:
        targets: the label `process` and `host:port` of each process.
    """
    program = need_program("prometheus", PROMETHEUS)
    rules = folder / "rules"
    rules.mkdir()
    quick_rules(ROOT / "deploy/prometheus/rules", rules)
    place = _free_place()
    webhook = Webhook()
    with webhook.listening(), alertmanager(folder, webhook.url) as at_alertmanager:
        config = _prometheus_config(targets, at_alertmanager.removeprefix("http://"))
        (folder / "prometheus.yml").write_text(config)
        command = [
            str(program),
            f"--config.file={folder / 'prometheus.yml'}",
            f"--storage.tsdb.path={folder / 'prometheus'}",
            f"--web.listen-address={place}",
        ]
        with _running(command, f"http://{place}/-/ready", folder / "prometheus.log"):
            yield Watch(f"http://{place}", at_alertmanager, webhook)


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """Alertmanager with the shipped routes, sixty times as fast; where it is."""
    program = need_program("prometheus-alertmanager", ALERTMANAGER)
    place = _free_place()
    config = folder / "alertmanager.yml"
    quick_alertmanager(ROOT / "deploy/alertmanager/alertmanager.yml", config, webhook)
    command = [
        str(program),
        f"--config.file={config}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={place}",
        "--cluster.listen-address=",
    ]
    with _running(command, f"http://{place}/-/ready", folder / "alertmanager.log"):
        yield f"http://{place}"


def until(there: Callable[[], Any], otherwise: Callable[[], Any]) -> Any:
    """What `there` gives, as soon as it is something; `otherwise` is shown if nothing comes."""
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not (found := there()):
        assert time.monotonic() < give_up_at, otherwise()
        time.sleep(0.1)
    return found


def _prometheus_config(targets: Sequence[tuple[str, str]], alertmanager: str) -> str:
    shipped = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    shipped["global"] = {"scrape_interval": "1s", "scrape_timeout": "1s"}
    shipped["global"]["evaluation_interval"] = "1s"
    shipped["alerting"]["alertmanagers"][0]["static_configs"] = [{"targets": [alertmanager]}]
    renown = next(one for one in shipped["scrape_configs"] if one["job_name"] == "renown")
    renown["static_configs"] = [
        {"targets": [place], "labels": {"process": process}} for process, place in targets
    ]
    shipped["scrape_configs"] = [renown]
    return str(yaml.safe_dump(shipped))


@contextmanager
def _running(command: list[str], ready: str, log: Path) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)

    def is_ready() -> bool:
        assert process.poll() is None, log.read_text()
        with suppress(OSError), urllib.request.urlopen(ready, timeout=2) as answer:
            return bool(answer.status == 200)
        return False

    try:
        until(is_ready, log.read_text)
        yield
    finally:
        process.kill()
        process.wait()


def _free_place() -> str:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{taken.getsockname()[1]}"


def _json(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)
