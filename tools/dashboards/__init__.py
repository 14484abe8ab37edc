"""Grafana's dashboards, written as code: `python -m tools.dashboards`."""
