"""The objects of the fake cluster: versions, changes for watches, and deletions that wait for finalizers."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Iterator, Mapping
from threading import Condition, Event
from typing import Any

from edge_expose_module.cluster.api import ENDPOINT_SLICES, SERVICES, Resource, WatchEvent

Body = dict[str, Any]


def merge(target: Body, patch: Mapping[str, Any]) -> Body:
    """JSON merge patch."""
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            inner = target.get(key)
            target[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            target[key] = copy.deepcopy(value)
    return target


class FakeObjects:
    """Services by (namespace, name); everything else that is written by (kind, namespace, name)."""

    def __init__(self) -> None:
        self.services: dict[tuple[str, str], Body] = {}
        self.companions: dict[tuple[str, str, str], Body] = {}
        self.events: list[Body] = []
        self.numbers = itertools.count(1)
        self._node_ports = itertools.count(30000)
        self._changes: list[tuple[int, str, WatchEvent]] = []
        """Every change: its version, the plural, and the event."""
        self._moved = Condition()
        self._muted: set[str] = set()

    def find(self, resource: Resource, namespace: str, name: str) -> Body | None:
        if resource is SERVICES:
            return self.services.get((namespace, name))
        return self.companions.get((resource.kind, namespace, name))

    def put(self, resource: Resource, body: Body, kind: str) -> None:
        """Keeps an object as it is now, and tells whoever watches; `kind` is ADDED or MODIFIED. A change that takes
        away the last finalizer of an object that waits for it ends it."""
        meta = body["metadata"]
        stamped = self.stamped(body)
        if meta.get("deletionTimestamp") and not meta.get("finalizers"):
            self._remove(resource, stamped)
            return
        if resource is SERVICES:
            self.services[(meta["namespace"], meta["name"])] = stamped
        else:
            self.companions[(resource.kind, meta["namespace"], meta["name"])] = stamped
        self.tell(resource, kind, stamped)
        if kind == "ADDED" and resource is SERVICES:
            self.tell_of(ENDPOINT_SLICES, meta["namespace"], "ADDED")

    def end(self, resource: Resource, body: Body) -> None:
        """Deletes; what has finalizers stays, with all it holds, until they are gone."""
        meta = body["metadata"]
        if not meta.get("finalizers"):
            self._remove(resource, self.stamped(body))
        elif not meta.get("deletionTimestamp"):
            meta["deletionTimestamp"] = "2026-11-22T04:00:00Z"
            self.put(resource, body, "MODIFIED")

    def release(self, name: str, namespace: str = "edge1") -> None:
        """Whoever set the finalizers of a Service is done with it."""
        body = self.services[(namespace, name)]
        body["metadata"].pop("finalizers", None)
        self.put(SERVICES, body, "MODIFIED")

    def _remove(self, resource: Resource, body: Body) -> None:
        meta = body["metadata"]
        if resource is SERVICES:
            self.services.pop((meta["namespace"], meta["name"]), None)
        else:
            self.companions.pop((resource.kind, meta["namespace"], meta["name"]), None)
        self.tell(resource, "DELETED", body)
        if resource is SERVICES:
            self.tell_of(ENDPOINT_SLICES, meta["namespace"], "DELETED")

    def stamped(self, body: Body) -> Body:
        meta = body["metadata"]
        meta.setdefault("uid", f"uid-{next(self.numbers)}")
        meta["resourceVersion"] = str(next(self.numbers))
        return body

    def add_service(self, body: Body) -> None:
        """A new Service, with what the API server fills in."""
        spec = body["spec"]
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("clusterIP", f"10.96.0.{next(self.numbers) % 250}")
        spec.setdefault("sessionAffinity", "None")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("externalTrafficPolicy", "Cluster")
            # A port that has a node port keeps it, whatever the flag says.
            for port in spec.get("ports", []) if spec.get("allocateLoadBalancerNodePorts", True) else ():
                port.setdefault("nodePort", next(self._node_ports))
        self.put(SERVICES, body, "ADDED")

    # --- watches ---

    def tell(self, resource: Resource, kind: str, body: Body) -> None:
        if resource.plural in self._muted:
            return
        event = WatchEvent(kind, copy.deepcopy(body))
        with self._moved:
            self._changes.append((int(body["metadata"]["resourceVersion"]), resource.plural, event))
            self._moved.notify_all()

    def mute(self, resource: Resource) -> None:
        """From now on watches tell nothing of it."""
        self._muted.add(resource.plural)

    def tell_of(self, resource: Resource, namespace: str, kind: str) -> None:
        """A change of something that is made up when it is read, such as pools and Events."""
        self.tell(resource, kind, {"metadata": {"resourceVersion": next(self.numbers), "namespace": namespace}})

    def follow(
        self, resource: Resource, namespace: str | None, version: str, stop: Event, reach: Callable[[], None]
    ) -> Iterator[WatchEvent]:
        """The changes since a version; `reach` raises when the API cannot be reached."""
        yield WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": version}})
        at = int(version)
        while not stop.is_set():
            reach()
            with self._moved:
                news = [change for change in self._changes if change[0] > at]
                if not news:
                    self._moved.wait(0.05)
            for number, plural, event in news:
                at = number
                if plural == resource.plural and namespace in (None, event.body["metadata"].get("namespace", "")):
                    yield event
