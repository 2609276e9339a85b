"""Takes one look at the cluster: reads what it may, remembers what it may not, and makes it an `Observed`."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping
from typing import Any, Final

from edge_expose_contract.identity import LABEL_OWNER
from edge_expose_module.clusterapi import (
    BGP_ADVERTISEMENTS,
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    L2_ADVERTISEMENTS,
    OLD_SLICES,
    PODS,
    POOLS,
    SERVICES,
    Cluster,
    Denied,
    NotFound,
    Resource,
)
from edge_expose_module.observing import (
    NEW_PREFIX,
    OLD_PREFIX,
    Capabilities,
    Key,
    LoadBalancer,
    Observed,
    ObservedService,
    Pool,
    ServiceEvent,
    count_ready,
    count_ready_endpoints,
    endpoint_addresses,
)
from edge_expose_module.observing import Denied as DeniedRead
from edge_expose_module.pools import pools_from_config_map, pools_from_objects

log = logging.getLogger(__name__)

METALLB_NAMESPACE: Final = "metallb-system"
CONFIG_MAP_NAMES: Final = ("config", "metallb-config", "metallb")
METALLB_GROUP: Final = "/apis/metallb.io/v1beta1"
# Kinds that only releases with the metallb.io annotation prefix (0.14.9 and newer) serve.
_NEW_KINDS: Final = frozenset({"configurationstates", "servicebgpstatuses"})
_SLICE_MANAGER: Final = "endpointslice.kubernetes.io/managed-by"
_SLICE_SERVICE: Final = "kubernetes.io/service-name"
_FORGET_DENIAL_SECONDS: Final = 300.0


class Looker:
    """Keeps for five minutes what RBAC denied, so that a pass does not ask again what it was just refused."""

    def __init__(self, cluster: Cluster, owner: str) -> None:
        self._cluster = cluster
        self._owner = owner
        self._denied: dict[DeniedRead, float] = {}
        self._pools: tuple[Pool, ...] | None = None

    def look(self, namespaces: Iterable[str]) -> Observed:
        """Reads everything a pass needs; `namespaces` are those that matter. Raises ClusterError when Services cannot
        be read at all, since then nothing may be decided; a namespace whose Services may not be read is told as such.
        """
        version = self._cluster.version()
        capabilities = Capabilities.of(version)
        services, unreadable = self._services(sorted(set(namespaces)))
        wanted = sorted({*namespaces, *(s.namespace for s in services.values() if s.owned_by(self._owner))})
        ready, addresses, companions = self._endpoints(wanted, capabilities, services)
        pods = {namespace: found for namespace in wanted if (found := self._pod_labels(namespace)) is not None}
        kind, prefix, pools, error, advertised = self._load_balancer(services.values())
        if pools is not None and not error:
            self._pools = pools
        pending = [s for s in services.values() if s.owned_by(self._owner) and s.is_load_balancer and not s.assigned]
        events = self._events(sorted({s.namespace for s in pending})) if pending else {}
        return Observed(
            services=services,
            unreadable=unreadable,
            ready=ready,
            endpoints=addresses,
            pod_labels=pods,
            # The load balancer goes on with its last sound pools when they are broken now, and we with the last we saw.
            pools=self._pools,
            pool_error=error,
            load_balancer=kind,
            metallb_prefix=prefix,
            capabilities=capabilities,
            events=events,
            denied=tuple(sorted(self._denied, key=str)),
            advertised=advertised,
            companions=companions,
        )

    def _services(self, namespaces: list[str]) -> tuple[dict[Key, ObservedService], frozenset[str]]:
        """Those that may be read, and the namespaces whose may not."""
        items = self._optional("list", SERVICES, None)
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
        found = [ObservedService.of(item) for item in items]
        return {service.key: service for service in found}, frozenset(unreadable)

    def _endpoints(
        self, namespaces: list[str], capabilities: Capabilities, services: Mapping[Key, ObservedService]
    ) -> tuple[dict[Key, int], dict[Key, tuple[str, ...]], dict[tuple[str, str, str], Mapping[str, Any]]]:
        ready: dict[Key, int] = {}
        addresses: dict[Key, tuple[str, ...]] = {}
        companions: dict[tuple[str, str, str], Mapping[str, Any]] = {}
        for namespace in namespaces:
            resource = ENDPOINT_SLICES if capabilities.endpoint_slices else ENDPOINTS
            items = self._optional("list", resource, namespace)
            if items is None and resource is ENDPOINT_SLICES:
                resource, items = ENDPOINTS, self._optional("list", ENDPOINTS, namespace)
            if items is None:
                continue
            counted = count_ready(items) if resource is ENDPOINT_SLICES else count_ready_endpoints(items)
            ready.update(counted)
            addresses.update(endpoint_addresses(items))
            companions.update(self._companions(resource, items, services))
            if any(_is_bare(service) and service.namespace == namespace for service in services.values()):
                # What the cluster kept for a Service that had a selector stays behind, and still gets its traffic.
                other = ENDPOINTS if resource is ENDPOINT_SLICES else OLD_SLICES
                companions.update(self._companions(other, self._optional("list", other, namespace) or (), services))
        return ready, addresses, companions

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
        items = self._optional("list", PODS, namespace)
        if items is None:
            return None
        return tuple(item["metadata"].get("labels") or {} for item in items)

    def _load_balancer(
        self, services: Iterable[ObservedService]
    ) -> tuple[LoadBalancer, str, tuple[Pool, ...] | None, str, bool]:
        served = self._served(METALLB_GROUP)
        written = any(f"{NEW_PREFIX}/ip-allocated-from-pool" in service.annotations for service in services)
        prefix = NEW_PREFIX if written or served & _NEW_KINDS else OLD_PREFIX
        if POOLS.plural in served:
            items = self._optional("list", POOLS, METALLB_NAMESPACE)
            if items is None:
                return LoadBalancer.CRD, prefix, None, "", True
            pools, error = pools_from_objects(items)
            return LoadBalancer.CRD, prefix, pools, error, self._advertised()
        for name in CONFIG_MAP_NAMES:
            item = self._config_map(name)
            if item is not None:
                pools, error = pools_from_config_map(item)
                return LoadBalancer.CONFIG_MAP, OLD_PREFIX, pools, error, True
        return LoadBalancer.UNKNOWN, prefix, None, "", True

    def _served(self, group: str) -> frozenset[str]:
        try:
            return self._cluster.resources(group)
        except (Denied, NotFound):
            return frozenset()

    def _advertised(self) -> bool:
        for resource in (L2_ADVERTISEMENTS, BGP_ADVERTISEMENTS):
            items = self._optional("list", resource, METALLB_NAMESPACE)
            if items is None or items:
                return True
        return False

    def _config_map(self, name: str) -> Mapping[str, Any] | None:
        key = DeniedRead("get", CONFIG_MAPS.label, METALLB_NAMESPACE)
        if self._is_denied(key):
            return None
        try:
            return self._cluster.get(CONFIG_MAPS, METALLB_NAMESPACE, name)
        except NotFound:
            return None
        except Denied:
            self._denied[key] = time.monotonic()
            return None

    def _events(self, namespaces: list[str]) -> dict[Key, ServiceEvent]:
        newest: dict[Key, ServiceEvent] = {}
        for namespace in namespaces:
            for item in self._optional("list", EVENTS, namespace, fields="involvedObject.kind=Service") or ():
                about = item.get("involvedObject") or {}
                source = (item.get("source") or {}).get("component") or item.get("reportingComponent") or ""
                if "metallb" not in str(source):
                    continue
                event = ServiceEvent(
                    str(item.get("reason", "")),
                    str(item.get("message", "")),
                    str(item.get("type", "")),
                    str(item.get("lastTimestamp") or item.get("eventTime") or ""),
                )
                key = (str(about.get("namespace", namespace)), str(about.get("name", "")))
                if key not in newest or newest[key].time <= event.time:
                    newest[key] = event
        return newest

    def _optional(
        self, verb: str, resource: Resource, namespace: str | None, *, fields: str = ""
    ) -> tuple[Mapping[str, Any], ...] | None:
        """A list, or None where it is denied or not served."""
        key = DeniedRead(verb, resource.label, namespace or "")
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


def _is_bare(service: ObservedService) -> bool:
    return not service.spec.get("selector")
