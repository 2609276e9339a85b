"""Watches that only wake the loop: a thread for each resource and namespace, relisting whenever its place is lost."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Protocol

from edge_expose_module.cluster.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    SERVICES,
    Cluster,
    ClusterError,
    Gone,
    Resource,
)
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import Watched

log = logging.getLogger(__name__)

_PAUSES = (0.2, 1.0, 3.0, 10.0)


class Watching(Protocol):
    def ensure(self, wanted: Iterable[Watched]) -> None: ...

    def stop(self) -> None: ...


def to_watch(observed: Observed, namespaces: Iterable[str]) -> set[Watched]:
    """What a change of may matter and may be read: Services, endpoints of these namespaces, address pools."""
    denied = {(denied.resource, denied.namespace) for denied in observed.denied}
    slices = ENDPOINT_SLICES if observed.capabilities.endpoint_slices else ENDPOINTS
    watched: set[Watched] = {(slices, namespace) for namespace in namespaces}
    if (SERVICES.label, "") in denied:
        watched |= {(SERVICES, namespace) for namespace in namespaces}
    else:
        watched.add((SERVICES, None))
    for resource, namespace in observed.load_balancer.watched:
        if (resource.label, namespace or "") not in denied:
            watched.add((resource, namespace))
    return watched


class Watches:
    """`ensure` starts what is missing and ends what is not wanted any more."""

    def __init__(self, cluster: Cluster, wake: Callable[[], None]) -> None:
        self._cluster = cluster
        self._wake = wake
        self._running: dict[Watched, threading.Event] = {}

    def ensure(self, wanted: Iterable[Watched]) -> None:
        targets = set(wanted)
        for gone in set(self._running) - targets:
            self._running.pop(gone).set()
        for resource, namespace in targets - set(self._running):
            stop = threading.Event()
            self._running[(resource, namespace)] = stop
            name = f"watch-{resource.plural}-{namespace or 'all'}"
            threading.Thread(target=self._run, args=(resource, namespace, stop), name=name, daemon=True).start()

    def stop(self) -> None:
        self.ensure(())

    def _run(self, resource: Resource, namespace: str | None, stop: threading.Event) -> None:
        failures = 0
        seen = ""
        while not stop.is_set():
            try:
                version = self._cluster.list(resource, namespace).version
                # What changed between two watches, or since the look of the pass that started us, is in no event.
                if failures or version != seen:
                    self._wake()
                failures, seen = 0, version
                for _ in self._cluster.watch(resource, namespace, version, stop):
                    self._wake()
                    if stop.is_set():
                        return
            except Gone:
                seen = ""
            except Exception as error:
                failures += 1
                if failures == 1:
                    self._wake()
                if isinstance(error, ClusterError):
                    log.debug("watch %s in %s: %s", resource.plural, namespace or "all namespaces", error)
                else:  # not foreseen; but a watch that ended would be missed by nobody
                    log.exception("watch %s in %s", resource.plural, namespace or "all namespaces")
                stop.wait(_PAUSES[min(failures, len(_PAUSES)) - 1])
