"""Metrics: their names keep to Prometheus's rules, their labels to short fixed lists."""

from __future__ import annotations

import importlib
import math
import pkgutil
import re
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

import renown.store
from renown.derive import operation, payment
from renown.obs import metrics
from renown.obs.metrics.registry import Domain
from renown.obs.metrics.series import bound, worst_case
from renown.offchain.fetched import Outcome
from renown.spec import transactions
from renown.spec.events import Quarantined
from renown.spec.protocols.declared import Protocol
from renown.spec.protocols.offers import Verdict
from renown.store import statements

SOURCE = Path(__file__).resolve().parents[2] / "src/renown"
UNITS = {"seconds", "bytes", "blocks", "positions", "uris", ""}


def domain(metric: str, label: str) -> Domain:
    return metrics.DEFINED[metric].labels[label]


def test_metrics__names_and_labels__keep_the_rules():
    assert len(metrics.DEFINED) > 60
    for one in metrics.DEFINED.values():
        assert re.fullmatch(r"renown_[a-z_]*[a-z]", one.name), one.name
        assert one.help.endswith("."), one.name
        assert one.name.endswith("_total") == (one.kind == "counter"), one.name
        assert one.unit in UNITS, one.name
        if one.kind == "histogram":
            assert one.unit, one.name
        for label, values in one.labels.items():
            assert values.meaning, (one.name, label)
            assert values.most == (len(values.values) or values.most), (one.name, label)


def test_metrics__every_one_that_is_defined__is_set_somewhere():
    code = "".join(
        path.read_text() for path in SOURCE.rglob("*.py") if "obs/metrics" not in str(path)
    )
    code += (SOURCE / "obs/metrics/process.py").read_text()
    names = {id(value): name for name, value in vars(metrics).items()}

    unset = [
        one.name
        for one in metrics.DEFINED.values()
        if not re.search(rf"\b{names[id(one.metric)]}\b\.", code)
    ]

    assert unset == []


@pytest.mark.parametrize(
    ("metric", "label", "known"),
    [
        ("renown_crawl_attempts_total", "outcome", get_args(Outcome)),
        ("renown_fetch_total", "outcome", get_args(Outcome)),
        ("renown_probes_total", "kind", get_args(Protocol)),
        ("renown_probes_total", "outcome", get_args(Verdict)),
        ("renown_operation_moves_total", "state", get_args(operation.StepState)),
        ("renown_operations_asked_total", "mode", get_args(operation.Mode)),
        ("renown_broadcasts_total", "verdict", get_args(transactions.Verdict)),
        ("renown_payment_claims_total", "state", get_args(payment.State)),
    ],
)
def test_labels__values_that_the_code_has__are_those_that_are_listed(metric, label, known):
    assert set(domain(metric, label).values) == set(known)


def test_labels__values_that_are_only_counted__are_no_more():
    assert domain("renown_operations_asked_total", "kind").most >= len(get_args(operation.Kind))
    reasons = len(get_args(payment.Reason)) + 1
    assert domain("renown_payment_claims_total", "reason").most == reasons
    listed = re.findall(r"[a-z]+(?:-[a-z]+)+|oversized", (Quarantined.__doc__ or "").split("`")[2])
    assert set(domain("renown_logs_quarantined_total", "reason").values) == set(listed)


def test_bound__of_the_whole__is_the_sum_of_products():
    number, factors = bound(metrics.DEFINED["renown_rpc_errors_total"])
    small = worst_case(chains=1, nodes=1, routes=1, queries=1)
    more = worst_case(chains=2, nodes=1, routes=1, queries=1)

    assert (number, factors) == (4, ("C", "N"))
    assert bound(metrics.DEFINED["renown_http_seconds"]) == (17, ("R",))
    assert 300 < small < more < 2 * small


def test_buckets__of_what_alerts_look_at__have_an_edge_at_their_thresholds():
    edges = metrics.HTTP_SECONDS._kwargs["buckets"]

    assert {0.5, 2}.issubset(edges)


def test_gauge__never_set__is_not_shown_as_zero():
    name = "renown_replica_lag_seconds"
    assert metrics.REGISTRY.get_sample_value(name) is None

    metrics.REPLICA_LAG.set(0)

    assert metrics.REGISTRY.get_sample_value(name) == 0


def test_exposition__after_a_count__shows_it():
    before = b'renown_reorgs_total{chain="test"}'
    assert before not in metrics.exposition()

    metrics.REORGS.labels("test").inc()

    assert before + b" 1.0" in metrics.exposition()


def test_exposition__odd_label_values__is_read_back_as_written():
    odd = 'a"b\\c\nd'
    metrics.NODE_HEAD.labels("odd", odd).set(math.inf)

    families = {f.name: f for f in text_string_to_metric_families(metrics.exposition().decode())}

    samples = [s for s in families["renown_node_head_block"].samples if s.labels["chain"] == "odd"]
    assert [(s.labels["host"], s.value) for s in samples] == [(odd, math.inf)]


def test_configured__part_that_nobody_knows__is_refused():
    with pytest.raises(ValueError, match="kitchen"):
        metrics.configured(kitchen=True)


def test_statements__names_of_all_that_the_code_holds__are_fewer_than_the_reference_says():
    for module in pkgutil.iter_modules(renown.store.__path__, "renown.store."):
        importlib.import_module(module.name)

    statements.name_of("a text that is no constant")

    names = set(statements._names.values())
    assert {"standing.standings", "agents.page"} & names
    assert 100 < len(names) < 600
    assert statements.name_of("a text that is no constant") == "other"
    assert statements.name_of("COMMIT;") == "commit"
    assert statements.name_of("BEGIN ISOLATION LEVEL REPEATABLE READ;") == "begin"
