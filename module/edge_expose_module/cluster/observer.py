"""Observes the cluster: reads what it may, remembers what it may not, and makes an `Observed` of it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from edge_expose_contract.identity import LABEL_OWNER
from edge_expose_module.cluster.api import (
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    NAMESPACES,
    OLD_SLICES,
    PODS,
    SERVICES,
    Denied,
    NotFound,
    Resource,
)
from edge_expose_module.cluster.cached_cluster import CachedCluster
from edge_expose_module.cluster.homes import Homes
from edge_expose_module.cluster.service import LONGEST_MESSAGE, Key, ObservedService, ServiceEvent
from edge_expose_module.cluster.state import (
    Capabilities,
    Observed,
    count_ready,
    count_ready_endpoints,
    endpoint_addresses,
)
from edge_expose_module.cluster.state import Denied as DeniedRead
from edge_expose_module.load_balancers.api import LoadBalancer
from edge_expose_module.load_balancers.detect import Detector

log = logging.getLogger(__name__)

_SLICE_MANAGER: Final = "endpointslice.kubernetes.io/managed-by"
_SLICE_SERVICE: Final = "kubernetes.io/service-name"
_FORGET_DENIAL_SECONDS: Final = 300.0


class Observer:
    """Keeps for five minutes what RBAC denied, so that a pass does not ask again what it was just refused.

    `served`, `get` and `list` are the reads of detection.
    """

    def __init__(self, cluster: CachedCluster, owner: str, detector: Detector | None = None) -> None:
        self._cluster = cluster
        self._owner = owner
        self._detector = detector or Detector()
        self._denied: dict[DeniedRead, float] = {}
        self._asked_again: set[DeniedRead] = set()
        self._last = Observed()

    def observe(self, homes: Homes) -> Observed:
        """Reads everything a pass needs; what counts as ours is said by `homes`. Raises ClusterError when Services
        cannot be read at all, since then nothing may be decided; a namespace whose Services may not be read is reported
        as such. While a Service lacks what it asks for, nothing about addresses comes from memory.
        """
        self._cluster.start_reading()
        observed, unanswered = self._observe(homes)
        if unanswered and self._cluster.refresh():
            observed, unanswered = self._observe(homes)
        events = self._events(sorted({service.namespace for service in unanswered})) if unanswered else {}
        self._last = replace(observed, events=events, denied=tuple(sorted(self._denied, key=str)))
        return self._last

    def after_writes(self, homes: Homes) -> Observed:
        """What was observed last, with what the API server answered to our writes and watches told since. Where a
        Service lacks what it asks for, Services and endpoints are read once more: an answer that is there is reported
        at once. Events stay those of Services that were not changed meanwhile."""
        self._cluster.go_on_reading()
        observed, unanswered = self._observe(homes)
        if unanswered:
            self._cluster.look_again(SERVICES, ENDPOINT_SLICES, ENDPOINTS)
            observed, _ = self._observe(homes)
        before, now = self._last.services, observed.services
        events = {key: said for key, said in self._last.events.items() if key in now and now[key] == before.get(key)}
        return replace(observed, events=events, denied=tuple(sorted(self._denied, key=str)))

    def _observe(self, homes: Homes) -> tuple[Observed, tuple[ObservedService, ...]]:
        """All but Events, and our Services that lack what they ask for."""
        for key in self._asked_again:
            self._denied.pop(key, None)
        self._asked_again.clear()
        version = self._cluster.version()
        capabilities = Capabilities.of(version)
        wanted = sorted(homes.namespaces)
        services, unreadable = self._services(wanted, homes)
        ready, addresses, companions, unseen = self._endpoints(wanted, capabilities, services)
        companions = {
            key: item
            for key, item in companions.items()
            if homes.has_companion(item["metadata"].get("labels") or {}, key[1])
        }
        pods = {namespace: found for namespace in wanted if (found := self._pod_labels(namespace)) is not None}
        load_balancer = self._detector.detect(self, services.values())
        unanswered = tuple(
            s for s in services.values() if s.owned_by(self._owner) and not _has_what_it_asks(s, load_balancer)
        )
        observed = Observed(
            services=services,
            unreadable=unreadable,
            ready=ready,
            endpoints=addresses,
            without_endpoints=unseen,
            pod_labels=pods,
            namespace_labels=self._namespace_labels(load_balancer),
            load_balancer=load_balancer,
            capabilities=capabilities,
            companions=companions,
        )
        return observed, unanswered

    def _services(self, namespaces: list[str], homes: Homes) -> tuple[dict[Key, ObservedService], frozenset[str]]:
        """Those that may be read, and the namespaces whose may not."""
        items = self.list(SERVICES, None)
        unreadable: dict[str, Denied] = {}
        if items is None:
            items = ()
            for name in namespaces:
                key = DeniedRead("list", SERVICES.label, name)
                # Asked each time: what waits for these rights should not wait for them longer than it must.
                self._denied.pop(key, None)
                try:
                    items += self._cluster.list(SERVICES, name).items
                except Denied as error:
                    self._denied[key] = time.monotonic()
                    unreadable[name] = error
            if len(unreadable) == len(namespaces):
                raise next(iter(unreadable.values()))
        found = [self._judged(ObservedService.of(item), homes) for item in items]
        return {service.key: service for service in found}, frozenset(unreadable)

    def _judged(self, service: ObservedService, homes: Homes) -> ObservedService:
        is_stray = service.carries_labels_of(self._owner) and not homes.has(service)
        return replace(service, stray=True) if is_stray else service

    def _endpoints(
        self, namespaces: list[str], capabilities: Capabilities, services: Mapping[Key, ObservedService]
    ) -> tuple[
        dict[Key, int], dict[Key, tuple[str, ...]], dict[tuple[str, str, str], Mapping[str, Any]], frozenset[str]
    ]:
        """Ready ones, addresses, those that are ours to write, and the namespaces in which none may be read."""
        ready: dict[Key, int] = {}
        addresses: dict[Key, tuple[str, ...]] = {}
        companions: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        unseen: set[str] = set()
        for namespace in namespaces:
            resource = ENDPOINT_SLICES if capabilities.endpoint_slices else ENDPOINTS
            items = self.list(resource, namespace)
            if items is None and resource is ENDPOINT_SLICES:
                resource, items = ENDPOINTS, self.list(ENDPOINTS, namespace)
            if items is None:
                unseen.add(namespace)
                # Asked each time: what waits for this right should not wait for it longer than it must.
                for kind in (ENDPOINT_SLICES, ENDPOINTS):
                    self._asked_again.add(DeniedRead("list", kind.label, namespace))
                continue
            counted = count_ready(items) if resource is ENDPOINT_SLICES else count_ready_endpoints(items)
            ready.update(counted)
            addresses.update(endpoint_addresses(items))
            companions.update(self._companions(resource, items, services))
            if any(_is_bare(service) and service.namespace == namespace for service in services.values()):
                # What the cluster kept for a Service that had a selector stays behind, and still gets its traffic.
                other = ENDPOINTS if resource is ENDPOINT_SLICES else OLD_SLICES
                companions.update(self._companions(other, self.list(other, namespace) or (), services))
        return ready, addresses, companions, frozenset(unseen)

    def _companions(
        self, resource: Resource, items: Iterable[Mapping[str, Any]], services: Mapping[Key, ObservedService]
    ) -> dict[tuple[str, str, str], Mapping[str, Any]]:
        """Those that are ours to write and remove. The cluster copies our labels from a Service to what it keeps for
        it, and that is ours only once the Service has no selector any more."""
        found: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        for item in items:
            meta = item["metadata"]
            labels = meta.get("labels") or {}
            manager = str(labels.get(_SLICE_MANAGER, ""))
            if labels.get(LABEL_OWNER) != self._owner or manager.startswith("endpointslicemirroring"):
                continue
            key = (str(meta["namespace"]), str(labels.get(_SLICE_SERVICE) or meta["name"]))
            service = services.get(key)
            if resource is ENDPOINTS:
                ours = service is None or _is_bare(service)
            else:
                kept_by_cluster = resource is OLD_SLICES or manager.startswith("endpointslice")
                ours = not kept_by_cluster or (service is not None and _is_bare(service))
            if ours:
                found[(resource.kind, key[0], str(meta["name"]))] = item
        return found

    def _pod_labels(self, namespace: str) -> tuple[Mapping[str, str], ...] | None:
        items = self.list(PODS, namespace)
        if items is None:
            return None
        return tuple(item["metadata"].get("labels") or {} for item in items)

    def _events(self, namespaces: list[str]) -> dict[Key, tuple[ServiceEvent, ...]]:
        found: dict[Key, list[ServiceEvent]] = {}
        for namespace in namespaces:
            for item in self.list(EVENTS, namespace, fields="involvedObject.kind=Service") or ():
                about = item.get("involvedObject") or {}
                key = (str(about.get("namespace", namespace)), str(about.get("name", "")))
                found.setdefault(key, []).append(_event(item))
        return {key: tuple(sorted(events, key=lambda event: event.time)) for key, events in found.items()}

    def _namespace_labels(self, load_balancer: LoadBalancer) -> dict[str, Mapping[str, str]]:
        """Read only where a pool asks for them."""
        allocations = [pool.allocation for pool in load_balancer.pools or () if pool.allocation is not None]
        if not any(allocation.namespace_selectors for allocation in allocations):
            return {}
        items = self.list(NAMESPACES, None) or ()
        return {str(item["metadata"]["name"]): item["metadata"].get("labels") or {} for item in items}

    # --- reads that may be denied ---

    def served(self, group: str) -> frozenset[str]:
        try:
            return self._cluster.resources(group)
        except (Denied, NotFound):
            return frozenset()

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        key = DeniedRead("get", resource.label, namespace)
        if self._is_denied(key):
            return None
        try:
            return self._cluster.get(resource, namespace, name)
        except NotFound:
            return None
        except Denied:
            self._denied[key] = time.monotonic()
            return None

    def list(
        self, resource: Resource, namespace: str | None, *, fields: str = ""
    ) -> tuple[Mapping[str, Any], ...] | None:
        """None where it is denied or not served."""
        key = DeniedRead("list", resource.label, namespace or "")
        if self._is_denied(key):
            return None
        try:
            return self._cluster.list(resource, namespace, fields=fields).items
        except NotFound:
            return None
        except Denied as error:
            log.info("not allowed: %s (%s)", key, error)
            self._denied[key] = time.monotonic()
            return None

    def _is_denied(self, key: DeniedRead) -> bool:
        since = self._denied.get(key)
        if since is None:
            return False
        if time.monotonic() - since > _FORGET_DENIAL_SECONDS:
            del self._denied[key]
            return False
        return True


def _has_what_it_asks(service: ObservedService, load_balancer: LoadBalancer) -> bool:
    if not service.is_load_balancer:
        return True
    return bool(service.assigned) and load_balancer.requested_of(service) in ((), service.assigned)


def _is_bare(service: ObservedService) -> bool:
    return not service.spec.get("selector")


def _event(item: Mapping[str, Any]) -> ServiceEvent:
    return ServiceEvent(
        str((item.get("source") or {}).get("component") or item.get("reportingComponent") or ""),
        str(item.get("reason", "")),
        str(item.get("message", ""))[:LONGEST_MESSAGE],
        str(item.get("type", "")),
        str(item.get("lastTimestamp") or item.get("eventTime") or ""),
        int(item.get("count") or 1),
    )
