"""Watches that keep the cache up and wake the loop: a thread for each resource and namespace that passes read."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Final, Protocol

from edge_expose_module.cluster.api import ClusterError, Denied, Gone, Resource
from edge_expose_module.cluster.cached_cluster import CachedCluster, Scope

log = logging.getLogger(__name__)

_PAUSES: Final = (0.2, 1.0, 3.0, 10.0)
_DENIED_PAUSE: Final = 60.0
"""Meanwhile every pass reads for itself."""


class Watching(Protocol):
    def ensure(self, wanted: Iterable[Scope]) -> None: ...

    def stop(self) -> None: ...


class Watches:
    """`ensure` starts what is missing and ends what is not wanted any more."""

    def __init__(self, cluster: CachedCluster, wake: Callable[[], None]) -> None:
        self._cluster = cluster
        self._wake = wake
        self._running: dict[Scope, threading.Event] = {}

    def ensure(self, wanted: Iterable[Scope]) -> None:
        targets = set(wanted)
        for gone in set(self._running) - targets:
            self._running.pop(gone).set()
            self._cluster.forget(*gone)
        for resource, namespace in targets - set(self._running):
            stop = threading.Event()
            self._running[(resource, namespace)] = stop
            name = f"watch-{resource.plural}-{namespace or 'all'}"
            threading.Thread(target=self._run, args=(resource, namespace, stop), name=name, daemon=True).start()

    def stop(self) -> None:
        self.ensure(())

    def _run(self, resource: Resource, namespace: str | None, stop: threading.Event) -> None:
        failures = 0
        while not stop.is_set():
            try:
                for is_news in self._follow(resource, namespace, stop):
                    if is_news or failures:  # also for a watch that works again
                        self._wake()
                    failures = 0
            except Exception as error:
                if stop.is_set():
                    return
                self._cluster.lost(resource, namespace)
                if failures == 0:
                    self._wake()
                failures += 1
                where = namespace or "all namespaces"
                if isinstance(error, ClusterError):
                    log.debug("watch %s in %s: %s", resource.plural, where, error)
                else:  # unforeseen, but nobody would miss a watch that ended
                    log.exception("watch %s in %s", resource.plural, where)
                stop.wait(_pause(error, failures))

    def _follow(self, resource: Resource, namespace: str | None, stop: threading.Event) -> Iterator[bool]:
        """One watch until it ends: of each event, whether it is news to a pass."""
        version = self._cluster.place(resource, namespace)
        has_listed = not version
        if has_listed:
            version = self._cluster.read(resource, namespace).version
        for event in self._cluster.watch(resource, namespace, version, stop):
            if stop.is_set():
                return
            yield self._cluster.follow(resource, namespace, event) or has_listed
            has_listed = False
            if not self._cluster.place(resource, namespace):
                raise Gone(f"an event of {resource.plural} cannot be put in order")


def _pause(error: Exception, failures: int) -> float:
    """Before the next attempt; a place that was lost is found at once, unless that goes on."""
    if isinstance(error, Gone) and failures == 1:
        return 0.0
    return _DENIED_PAUSE if isinstance(error, Denied) else _PAUSES[min(failures, len(_PAUSES)) - 1]
