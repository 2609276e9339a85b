"""Puts the figures of a pass into the metrics."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edge_expose_contract.identity import State
from edge_expose_module.adapters.health import Metrics
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.services.outcome import Outcome


class MetricsMeasures:
    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._probed: frozenset[str] = frozenset()

    def record_pass(
        self, seconds: float, outcome: str, pass_plan: PassPlan | None, failures: Mapping[str, Outcome]
    ) -> None:
        metrics = self._metrics
        metrics.passes.labels(outcome).inc()
        metrics.seconds.observe(seconds)
        if pass_plan is None:
            return
        for change in pass_plan.plan.changes:
            failed = change.exposure in failures
            metrics.changes.labels(str(change.verb), "failed" if failed else "ok").inc()
        metrics.drift.inc(pass_plan.plan.drift)

    def record_state(self, report: Mapping[str, Any], hub: bool, cluster: bool, latencies: Mapping[str, float]) -> None:
        metrics = self._metrics
        metrics.hub.set(hub)
        metrics.cluster.set(cluster)
        summary = report.get("summary") or {}
        for state in State:
            metrics.exposures.labels(str(state)).set(summary.get(str(state).lower(), 0))
        for gone in self._probed - latencies.keys():
            metrics.probe_seconds.remove(gone)  # else a scraper would see its last time for ever
        self._probed = frozenset(latencies)
        for name, milliseconds in latencies.items():
            metrics.probe_seconds.labels(name).set(milliseconds / 1000)
        pool = report.get("pool") or {}
        for use in ("used", "reserved", "free"):
            metrics.addresses.labels(use).set(pool.get(use, 0))
