"""Touches a Service of ours that waits for an address although nothing is in its way any more.

MetalLB does not ask again on a timer: a Service whose request was refused waits until it is touched, also when whoever
held the address has let go of it without being deleted.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

from edge_expose_module.clusterapi import SERVICES, Cluster, ClusterError
from edge_expose_module.deciding import Decided
from edge_expose_module.observing import Key, Observed

log = logging.getLogger(__name__)
ANNOTATION: Final = "edge-expose.io/asked-again"
# Soon at first: two Services that change places, or a whole group that changes its key, pass through a moment in which
# the load balancer refuses one of them.
PAUSES: Final = (2.0, 5.0, 20.0)


class Nudges:
    """A Service is touched when it has waited so long since it was first seen waiting, or last touched."""

    def __init__(self, cluster: Cluster, clock: Callable[[], float] = time.monotonic) -> None:
        self._cluster = cluster
        self._clock = clock
        self._since: dict[Key, float] = {}
        self._times: dict[Key, int] = {}

    def nudge(self, decided: Decided, observed: Observed, owner: str) -> list[Key]:
        """Blocking. The Services touched; what the cluster refuses is tried again another time."""
        waiting = {
            service.key
            for service in observed.owned(owner)
            if service.is_load_balancer
            and not service.assigned
            and service.exposure not in decided.blocks
            and "loadBalancerClass" not in service.spec  # another load balancer's, which may never come
        }
        now = self._clock()
        self._since = {key: self._since.get(key, now) for key in waiting}
        self._times = {key: self._times.get(key, 0) for key in waiting}
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
        return self._since[key] + PAUSES[min(self._times[key], len(PAUSES) - 1)] - now
