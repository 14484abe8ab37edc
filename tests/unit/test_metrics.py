"""Metrics: their names keep to Prometheus's rules, their labels to short fixed lists."""

from __future__ import annotations

from renown.obs import metrics

LABELS_WITH_BOUND_VALUES = {
    "chain", "host", "method", "outcome", "kind", "reason", "route", "status", "state", "le",
    "version", "mode", "class", "cache", "cause", "verdict",
}  # fmt: skip


def test_metrics__names_and_labels__keep_the_rules():
    families = list(metrics.REGISTRY.collect())

    assert families
    for family in families:
        assert family.name.startswith("renown_")
        assert family.documentation.endswith(".")
        if "seconds" in family.name and family.type == "histogram":
            assert family.name.endswith("_seconds")


def test_metrics__labels__are_bounded():
    collectors = [value for value in vars(metrics).values() if hasattr(value, "_labelnames")]

    assert len(collectors) > 15
    for collector in collectors:
        assert set(collector._labelnames) <= LABELS_WITH_BOUND_VALUES


def test_exposition__after_a_count__shows_it():
    before = b'renown_reorgs_total{chain="test"}'
    assert before not in metrics.exposition()

    metrics.REORGS.labels("test").inc()

    assert before + b" 1.0" in metrics.exposition()
