"""The chart, rendered by Helm itself: valid objects, closed pods and networks, no secret in it."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from renown.settings import describe

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/renown"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
DEFAULTS: dict[str, Any] = yaml.safe_load((CHART / "values.yaml").read_text())
SMALLEST: dict[str, Any] = {"chains": ["base"], "publicUrl": "https://renown.example"}
RULES = ROOT / "deploy/prometheus/rules"
WHOLE: dict[str, Any] = SMALLEST | {
    "image": {"repository": "registry.example/renown", "digest": "sha256:" + "a" * 64},
    "settings": {"RENOWN_SIGN_UP": True, "DB_POOL_MAX_SIZE": 20, "RENOWN_TRACES_SHARE": 0.5},
    "secretsRevision": "7",
    "pgbouncer": True,
    "probe": {"enabled": True},
    "api": {"trustedProxies": ["10.0.0.0/8"], "autoscaling": {"enabled": False}},
    "notary": {"checkpoints": {"existingClaim": "kept-elsewhere"}},
    "nightly": {"export": {"enabled": True, "existingClaim": "bulk"}, "backup": {"keep": 3}},
    "ingress": {
        "enabled": True,
        "host": "renown.example",
        "className": "nginx",
        "annotations": {"cert-manager.io/cluster-issuer": "letsencrypt"},
        "tlsSecretName": "renown-tls",
    },
    "networkPolicy": {"nodes": {"to": [{"ipBlock": {"cidr": "203.0.113.7/32"}}]}},
    "serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "prometheusRule": {"enabled": True},
    "podLabels": {"team": "trust"},
    "podAnnotations": {"example.org/a": "b"},
    "nodeSelector": {"kubernetes.io/arch": "amd64"},
    "tolerations": [{"key": "spot", "operator": "Exists"}],
    "imagePullSecrets": [{"name": "registry"}],
    "priorityClassName": "business",
}
PRIVATE = (
    *("127.0.0.1", "10.1.2.3", "172.20.0.1", "192.168.1.1", "169.254.169.254", "100.100.100.200"),
    *("0.0.0.0", "198.18.0.1", "224.0.0.1", "255.255.255.255", "192.0.0.192"),
    *("::1", "fe80::1", "fd00:ec2::254", "fec0::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::"),
    *("2001:0:a9fe::1", "ff02::1", "::ffff:10.0.0.1"),
)
PUBLIC = ("1.1.1.1", "185.199.108.153", "2606:4700:4700::1111", "2a00:1450:4001::1")


@cache
def rendered(values: str, *, upgrade: bool = False) -> tuple[dict[str, Any], ...]:
    helm = pytest.importorskip("helm_python")
    with helm.Chart.load(str(CHART)) as chart:
        texts = chart.render(
            json.loads(values), name="rep", namespace="prod", is_upgrade=upgrade,
            is_install=not upgrade,
        )  # fmt: skip
    return tuple(
        one
        for name, text in texts.items()
        if name.endswith(".yaml")
        for one in yaml.safe_load_all(text)
        if one
    )


def objects(values: dict[str, Any], *, upgrade: bool = False) -> tuple[dict[str, Any], ...]:
    given = dict(values)
    if given.get("prometheusRule"):
        given["prometheusRule"] = {
            "enabled": True,
            "groups": {path.stem: path.read_text() for path in RULES.glob("*.rules.yml")},
        }
    return rendered(json.dumps(given), upgrade=upgrade)


def of_kind(found: tuple[dict[str, Any], ...], kind: str) -> dict[str, dict[str, Any]]:
    return {one["metadata"]["name"]: one for one in found if one["kind"] == kind}


def pods(found: tuple[dict[str, Any], ...]) -> Iterator[tuple[str, dict[str, Any]]]:
    for one in found:
        if one["kind"] in ("Deployment", "Job"):
            yield one["metadata"]["name"], one["spec"]["template"]["spec"]
        if one["kind"] == "CronJob":
            yield one["metadata"]["name"], one["spec"]["jobTemplate"]["spec"]["template"]["spec"]


VARIANTS = [
    pytest.param(SMALLEST, False, id="smallest"),
    pytest.param(WHOLE, False, id="whole"),
    pytest.param(WHOLE, True, id="upgrade"),
]


@pytest.mark.parametrize("values", [SMALLEST, WHOLE], ids=["smallest", "whole"])
def test_chart__every_object__is_one_that_kubernetes_takes(values: dict[str, Any]) -> None:
    validate = pytest.importorskip("kubernetes_validate").validate
    found = objects(values)
    names = [(one["kind"], one["metadata"]["name"]) for one in found]

    assert len(set(names)) == len(names) > 15
    for one in found:
        if not one["apiVersion"].startswith("monitoring.coreos.com/"):
            validate(one, "1.30", strict=True)


def test_chart__helm_lint__finds_no_error() -> None:
    helm = pytest.importorskip("helm_python")

    found = helm.lint(str(CHART), values=SMALLEST)

    assert found["errors"] == []
    assert [one for one in found["messages"] if "icon" not in one["error"]] == []


@pytest.mark.parametrize(("values", "upgrade"), VARIANTS)
def test_chart__every_pod__is_restricted_bounded_and_pinned(
    values: dict[str, Any], upgrade: bool
) -> None:
    seen = list(pods(objects(values, upgrade=upgrade)))

    assert len(seen) >= 5
    for name, pod in seen:
        security = pod["securityContext"]
        assert security["runAsNonRoot"] is True, name
        assert security["runAsUser"] == 10001
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod)
        (container,) = pod["containers"]
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        assert "memory" in container["resources"]["limits"]
        assert container["image"] in (f"registry.example/renown@sha256:{'a' * 64}", "renown:0.1.0")
        assert all("emptyDir" in v or "persistentVolumeClaim" in v for v in pod["volumes"])


def test_chart__secrets__are_only_named() -> None:
    found = objects(WHOLE)
    secret = {row.variable for row in describe() if row.secret}

    assert of_kind(found, "Secret") == {}
    for settings in of_kind(found, "ConfigMap").values():
        assert not secret & set(settings["data"])
    given = {
        name: [
            one["secretRef"]["name"]
            for one in pod["containers"][0]["envFrom"]
            if "secretRef" in one
        ]
        for name, pod in pods(found)
    }
    assert given["rep-renown-crawl"] == given["rep-renown-probe"] == ["renown-crawler"]
    assert given["rep-renown-migrate-before"] == ["renown-migration"]
    assert given["rep-renown-notary"] == ["renown-notary"]


def test_chart__settings__exist_and_are_text() -> None:
    known = {row.variable for row in describe()}
    (settings,) = of_kind(objects(WHOLE), "ConfigMap").values()

    assert set(settings["data"]) <= known
    assert settings["data"]["RENOWN_SIGN_UP"] == "true"
    assert all(isinstance(value, str) for value in settings["data"].values())


def test_chart__pgbouncer__is_the_apis_alone() -> None:
    """Workers are given PostgreSQL itself, and with this setting would refuse to believe it."""
    cacheless = {"name": "RENOWN_PG_STATEMENT_CACHE", "value": "0"}

    def told(values: dict[str, Any]) -> list[str]:
        seen = pods(objects(values))
        return [name for name, pod in seen if cacheless in pod["containers"][0].get("env", [])]

    assert told(WHOLE) == ["rep-renown-api"]
    assert told(SMALLEST) == []
    (settings,) = of_kind(objects(WHOLE), "ConfigMap").values()
    assert cacheless["name"] not in settings["data"]


def test_chart__api__drains_before_it_is_killed_and_is_never_all_gone() -> None:
    found = objects(SMALLEST)
    api = of_kind(found, "Deployment")["rep-renown-api"]["spec"]
    pod = api["template"]["spec"]
    (container,) = pod["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    (settings,) = of_kind(found, "ConfigMap").values()
    budget = of_kind(found, "PodDisruptionBudget")["rep-renown-api"]["spec"]
    scaler = of_kind(found, "HorizontalPodAutoscaler")["rep-renown-api"]["spec"]

    drain = int(settings["data"]["RENOWN_DRAIN_SECONDS"])
    assert pod["terminationGracePeriodSeconds"] > pause + drain
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    assert api["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    assert "replicas" not in api  # an upgrade must not undo what the scaler chose
    assert budget["maxUnavailable"] == 1
    assert budget["selector"] == api["selector"]
    assert scaler["minReplicas"] >= 2


def test_chart__every_night__backups_audit_and_bulk_files_by_whom_they_need() -> None:
    def mounts(container: dict[str, Any]) -> dict[str, bool]:
        return {one["mountPath"]: one.get("readOnly", False) for one in container["volumeMounts"]}

    found = dict(pods(objects(WHOLE)))
    jobs = {
        name.removeprefix("rep-renown-nightly-"): pod["containers"][0]
        for name, pod in found.items()
        if "-nightly-" in name
    }
    secrets = {
        name: [one["secretRef"]["name"] for one in job["envFrom"] if "secretRef" in one]
        for name, job in jobs.items()
    }
    schedules = [one["spec"]["schedule"] for one in of_kind(objects(WHOLE), "CronJob").values()]

    assert {name: job["args"] for name, job in jobs.items()} == {
        "backup": ["backup", "/var/lib/renown/backups", "3"],
        "audit": ["audit"],
        "export": ["export", "7"],
    }
    assert {tuple(job["command"]) for job in jobs.values()} == {("with-secrets", "nightly")}
    assert secrets["backup"] == ["renown-migration"]
    assert secrets["audit"][-1] == "renown-migration"  # the last one's DATABASE_URL wins
    assert secrets["export"] == ["renown-crawler"]
    assert mounts(jobs["backup"])["/var/lib/renown/backups"] is False
    assert mounts(jobs["export"])["/var/lib/renown/exports"] is False
    assert mounts(found["rep-renown-api"]["containers"][0])["/var/lib/renown/exports"] is True
    assert len(set(schedules)) == 3
    assert set(of_kind(objects(SMALLEST), "CronJob")) == {
        "rep-renown-nightly-backup",
        "rep-renown-nightly-audit",
    }


def test_chart__migrations__run_before_and_after_and_only_then_remove() -> None:
    def hooks(found: tuple[dict[str, Any], ...]) -> dict[str, list[str]]:
        return {
            one["metadata"]["annotations"]["helm.sh/hook"]: one["spec"]["template"]["spec"][
                "containers"
            ][0]["args"]
            for one in of_kind(found, "Job").values()
        }

    assert hooks(objects(WHOLE)) == {
        "pre-install,pre-upgrade": ["db", "migrate", "--phase", "all"],
        "post-upgrade": ["db", "migrate"],
    }
    assert hooks(objects(WHOLE, upgrade=True)) == {
        "pre-install,pre-upgrade": ["db", "migrate", "--phase", "pre"],
        "post-upgrade": ["db", "migrate"],
    }


@pytest.mark.parametrize("component", ["crawl", "probe", "index"])
@pytest.mark.parametrize("values", [SMALLEST | {"probe": {"enabled": True}}], ids=["default"])
def test_network__who_calls_strangers__reaches_the_public_network_alone(
    values: dict[str, Any], component: str
) -> None:
    found = objects(values)

    assert [one for one in PRIVATE if reaches(found, component, one, 443)] == []
    assert [one for one in PUBLIC if not reaches(found, component, one, 443)] == []
    assert reaches(found, component, "1.1.1.1", 80) is (component != "index")
    assert not reaches(found, component, "1.1.1.1", 22)
    assert not reaches(found, component, "1.1.1.1", 5432)


@pytest.mark.parametrize("component", ["notary", "migration", "nightly"])
def test_network__who_needs_nobody__reaches_no_address(component: str) -> None:
    found = objects(SMALLEST)

    assert [one for one in (*PRIVATE, *PUBLIC) if reaches(found, component, one, 443)] == []


def test_network__every_pod__is_closed_by_default() -> None:
    found = objects(SMALLEST)
    deny = of_kind(found, "NetworkPolicy")["rep-renown-deny"]["spec"]

    assert deny["policyTypes"] == ["Ingress", "Egress"]
    assert "ingress" not in deny
    for one in found:
        if one["kind"] in ("Deployment", "Job"):
            labels = one["spec"]["template"]["metadata"]["labels"]
            assert chosen(deny["podSelector"], labels), one["metadata"]["name"]


def reaches(found: tuple[dict[str, Any], ...], component: str, address: str, port: int) -> bool:
    """Whether policies let a pod of `component` out to an address, as Kubernetes adds them up."""
    labels = {
        "app.kubernetes.io/name": "renown",
        "app.kubernetes.io/instance": "rep",
        "app.kubernetes.io/component": component,
    }
    place = ipaddress.ip_address(address)

    def holds(block: dict[str, Any]) -> bool:
        return within(place, block["cidr"]) and not any(
            within(place, one) for one in block.get("except", [])
        )

    return any(
        port in {one["port"] for one in rule["ports"]}
        and any(holds(peer["ipBlock"]) for peer in rule["to"] if "ipBlock" in peer)
        for policy in of_kind(found, "NetworkPolicy").values()
        if chosen(policy["spec"]["podSelector"], labels)
        for rule in policy["spec"].get("egress", [])
    )


def within(place: ipaddress.IPv4Address | ipaddress.IPv6Address, block: str) -> bool:
    network = ipaddress.ip_network(block)
    return place.version == network.version and place in network


def chosen(selector: dict[str, Any], labels: dict[str, str]) -> bool:
    equal = selector.get("matchLabels", {}).items() <= labels.items()
    return equal and all(
        labels.get(one["key"]) in one["values"] for one in selector.get("matchExpressions", [])
    )


# Values --------------------------------------------------------------------------------------


def problems(values: dict[str, Any]) -> list[str]:
    merged = {
        name: {**DEFAULTS[name], **values[name]}
        if isinstance(DEFAULTS.get(name), dict) and isinstance(values.get(name), dict)
        else values.get(name, DEFAULTS.get(name))
        for name in {*DEFAULTS, *values}
    }
    validator = jsonschema_rs.validator_for(SCHEMA)
    return [error.message for error in validator.iter_errors(merged)]


@pytest.mark.parametrize("values", [SMALLEST, WHOLE], ids=["smallest", "whole"])
def test_values__good_ones__pass(values: dict[str, Any]) -> None:
    assert problems(values) == []


def test_values__of_secret_settings__are_all_refused_as_plain_ones() -> None:
    for row in describe():
        given = problems(SMALLEST | {"settings": {row.variable: "x"}})
        plain = row.variable.startswith(("RENOWN_", "DB_")) and not row.secret
        assert bool(given) is not plain, row.variable


@pytest.mark.parametrize(
    "wrong",
    [
        {"chains": []},
        {"publicUrl": ""},
        {"publicUrl": "https://renown.example/"},
        {"image": {"repository": "renown", "tag": "latest"}},
        {"image": {"repository": "renown", "digest": "sha256:abc"}},
        {"api": {"replica": 3}},
        {"ingress": {"enabled": True, "host": ""}},
        {"notary": {"replicas": 2}},
        {"replicaCount": 2},
        {"nightly": {"export": {"enabled": True}}},
        {"nightly": {"audit": {"schedule": "daily"}}},
        {"networkPolicy": {"privateV4": ["everything"]}},
    ],
    ids=json.dumps,
)
def test_values__wrong_ones__are_refused(wrong: dict[str, Any]) -> None:
    assert problems(SMALLEST | wrong) != []
