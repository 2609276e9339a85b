"""Touches a Service of ours that waits for an address although nothing is in its way any more.

Not every load balancer asks again on a timer; each one says how long a Service is left to wait.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from edge_expose_module.cluster.api import SERVICES, Cluster, ClusterError
from edge_expose_module.cluster.service import Key, ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan

log = logging.getLogger(__name__)
ANNOTATION: Final = "edge-expose.io/asked-again"


class Retrigger:
    """A Service is touched when it has waited so long since it was first seen waiting, or last touched."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._since: dict[Key, float] = {}
        self._times: dict[Key, int] = {}
        self._waiting: dict[Key, tuple[float, ...]] = {}

    def touch(self, pass_plan: PassPlan, observed: Observed, owner: str) -> list[Key]:
        """Blocking. The Services touched; what the cluster refuses is tried again another time."""
        waiting = {
            service.key: pauses
            for service in observed.ours(owner)
            if service.is_load_balancer and not service.assigned and _may_get_it(service, pass_plan, observed)
            # One of a class that nobody known serves may wait for a load balancer that never comes.
            if (pauses := self._pauses(service, observed))
        }
        now = self._clock()
        self._since = {key: self._since.get(key, now) for key in waiting}
        self._times = {key: self._times.get(key, 0) for key in waiting}
        self._waiting = waiting
        due = sorted(key for key in waiting if self._left(key, now) <= 0)
        for namespace, name in due:
            self._since[(namespace, name)] = now
            self._times[(namespace, name)] += 1
            stamp = datetime.now(UTC).isoformat(timespec="seconds")
            try:
                self._cluster.patch(SERVICES, namespace, name, {"metadata": {"annotations": {ANNOTATION: stamp}}})
                log.info("Service %s/%s waits for its address: asked the load balancer again", namespace, name)
            except ClusterError as error:
                log.info("Service %s/%s could not be touched: %s", namespace, name, error)
        return due

    def due_in(self) -> float | None:
        """Seconds until one is to be touched; None when none waits."""
        now = self._clock()
        return min((max(0.05, self._left(key, now)) for key in self._since), default=None)

    def _left(self, key: Key, now: float) -> float:
        pauses = self._waiting[key]
        return self._since[key] + pauses[min(self._times[key], len(pauses) - 1)] - now

    @staticmethod
    def _pauses(service: ObservedService, observed: Observed) -> tuple[float, ...]:
        load_balancer = observed.load_balancer_for(service.load_balancer_class)
        is_unknown_class = service.load_balancer_class is not None and not load_balancer.answers_alone
        return () if is_unknown_class else load_balancer.retrigger_seconds


def _may_get_it(service: ObservedService, pass_plan: PassPlan, observed: Observed) -> bool:
    """Whether it waits for what was decided for it: one that is blocked may be on its way back to where it was."""
    name = service.exposure or ""
    if name not in pass_plan.blocks or service.is_claim:
        return name not in pass_plan.blocks
    decision = pass_plan.decisions.get(name)
    return decision is not None and decision.addresses == observed.requested(service) != ()
