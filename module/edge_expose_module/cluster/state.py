"""What the cluster holds, as values: Services, ready endpoints, pods, address pools, and what could not be read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import EDGE_MODULE_LABEL
from edge_expose_module.cluster.foreign_text import number
from edge_expose_module.cluster.service import Key, ObservedService, ServiceEvent
from edge_expose_module.load_balancers.api import Answer, LoadBalancer
from edge_expose_module.load_balancers.unknown import Unknown


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this cluster's API can do; a field it does not know is dropped in silence, so we ask first."""

    version: str = ""
    minor: int = 36

    @classmethod
    def of(cls, git_version: str) -> Capabilities:
        parts = git_version.lstrip("v").split(".")
        minor = number("".join(c for c in parts[1] if c.isdecimal())) if len(parts) > 1 else None
        return cls(git_version, 36 if minor is None else minor)

    @property
    def load_balancer_class(self) -> bool:
        return self.minor >= 22

    @property
    def dual_stack(self) -> bool:
        return self.minor >= 21

    @property
    def optional_node_ports(self) -> bool:
        """`allocateLoadBalancerNodePorts` is served without a feature gate."""
        return self.minor >= 24

    @property
    def endpoint_slices(self) -> bool:
        return self.minor >= 21


@dataclass(frozen=True, slots=True)
class Denied:
    """Something the cluster's RBAC did not allow."""

    verb: str
    resource: str
    namespace: str

    def __str__(self) -> str:
        where = f"in namespace {self.namespace}" if self.namespace else "in all namespaces"
        return f"{self.verb} {self.resource} {where}"


@dataclass(frozen=True, slots=True)
class Observed:
    """One consistent enough look at the cluster.

    `load_balancer` serves the Services without a class of another one; `ready` counts ready endpoint addresses by
    Service, `endpoints` names them; `unreadable` are namespaces whose Services may not be read; `namespace_labels` has
    an entry for every namespace whose labels are known; `events` are those about a Service, oldest first.
    """

    services: Mapping[Key, ObservedService] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()
    ready: Mapping[Key, int] = field(default_factory=dict)
    endpoints: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    without_endpoints: frozenset[str] = frozenset()
    """Namespaces whose endpoints may not be read: how many are ready there is unknown, not none."""
    pod_labels: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    namespace_labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    load_balancer: LoadBalancer = field(default_factory=Unknown)
    capabilities: Capabilities = Capabilities()
    events: Mapping[Key, tuple[ServiceEvent, ...]] = field(default_factory=dict)
    denied: tuple[Denied, ...] = ()
    companions: Mapping[tuple[str, str, str], Mapping[str, Any]] = field(default_factory=dict)
    """Our own EndpointSlices and Endpoints, by kind, namespace and name."""

    def edge_modules(self, namespace: str) -> frozenset[str]:
        """Object names of the IoT Edge modules that live in a namespace, from pods and from edgeAgent's Services."""
        names = {
            labels[EDGE_MODULE_LABEL] for labels in self.pod_labels.get(namespace, ()) if EDGE_MODULE_LABEL in labels
        }
        names.update(s.name for s in self.services.values() if s.namespace == namespace and s.made_by_edge_agent)
        return frozenset(names)

    def pods_matching(self, namespace: str, selector: Mapping[str, str]) -> int | None:
        """Pods with these labels, or None where pods may not be read."""
        if namespace not in self.pod_labels:
            return None
        pods = self.pod_labels[namespace]
        return sum(all(labels.get(key) == value for key, value in selector.items()) for labels in pods)

    def owned(self, owner: str) -> tuple[ObservedService, ...]:
        """Our Services that carry exposures."""
        return tuple(s for _, s in sorted(self.services.items()) if s.owned_by(owner) and not s.is_claim)

    def by_exposure(self, owner: str) -> dict[str, list[ObservedService]]:
        """The same by the name of the exposure."""
        found: dict[str, list[ObservedService]] = {}
        for service in self.owned(owner):
            found.setdefault(service.exposure or "", []).append(service)
        return found

    def claims(self, owner: str) -> tuple[ObservedService, ...]:
        """Our Services that only ask for an address on behalf of another one."""
        return tuple(s for _, s in sorted(self.services.items()) if s.owned_by(owner) and s.is_claim)

    def ours(self, owner: str) -> tuple[ObservedService, ...]:
        """All of ours, claims too."""
        return (*self.owned(owner), *self.claims(owner))

    def holders(self) -> Mapping[Address, Sequence[ObservedService]]:
        """The Services at each external address."""
        found: dict[Address, list[ObservedService]] = defaultdict(list)
        for service in self.services.values():
            for address in service.assigned:
                found[address].append(service)
        return found

    @property
    def strays(self) -> tuple[ObservedService, ...]:
        """Services that carry our labels where this module makes none."""
        return tuple(service for service in self.services.values() if service.stray)

    def load_balancer_for(self, load_balancer_class: str | None) -> LoadBalancer:
        """Who hands out the address of a Service of this class."""
        if self.load_balancer.serves(load_balancer_class):
            return self.load_balancer
        return Unknown(load_balancer_class)

    def requested(self, service: ObservedService) -> tuple[Address, ...]:
        """The addresses that a Service asks its load balancer for."""
        return self.load_balancer_for(service.load_balancer_class).requested_of(service)

    def sharing_key(self, service: ObservedService) -> str:
        return self.load_balancer_for(service.load_balancer_class).sharing_key_of(service)

    def explanation(self, service: ObservedService) -> Answer | None:
        """What the load balancer says about a Service that lacks the address it asks for."""
        load_balancer = self.load_balancer_for(service.load_balancer_class)
        return load_balancer.explain(service, self.events.get(service.key, ()))


def count_ready(slices: Sequence[Mapping[str, Any]]) -> dict[Key, int]:
    """Ready endpoint addresses by Service, from EndpointSlices; a pod in several slices counts once."""
    seen: dict[Key, set[str]] = {}
    for item in slices:
        meta = item["metadata"]
        service = (meta.get("labels") or {}).get("kubernetes.io/service-name")
        if not service:
            continue
        addresses = seen.setdefault((meta.get("namespace", ""), service), set())
        for endpoint in item.get("endpoints") or []:
            ready = (endpoint.get("conditions") or {}).get("ready")
            # Absent means ready, by the API's own rule.
            if ready is None or ready:
                target = (endpoint.get("targetRef") or {}).get("uid")
                addresses.update([target] if target else endpoint.get("addresses") or [])
    return {key: len(found) for key, found in seen.items()}


def endpoint_addresses(items: Sequence[Mapping[str, Any]]) -> dict[Key, tuple[str, ...]]:
    """Endpoint addresses by Service, from EndpointSlices or core/v1 Endpoints, in order and each once."""
    found: dict[Key, dict[str, None]] = {}
    for item in items:
        meta = item["metadata"]
        service = (meta.get("labels") or {}).get("kubernetes.io/service-name") or meta["name"]
        addresses = found.setdefault((meta.get("namespace", ""), service), {})
        for endpoint in item.get("endpoints") or []:
            addresses.update(dict.fromkeys(str(address) for address in endpoint.get("addresses") or []))
        for subset in item.get("subsets") or []:
            addresses.update(dict.fromkeys(str(entry["ip"]) for entry in subset.get("addresses") or []))
    return {key: tuple(sorted(addresses)) for key, addresses in found.items()}


def count_ready_endpoints(items: Sequence[Mapping[str, Any]]) -> dict[Key, int]:
    """The same from core/v1 Endpoints, for clusters without EndpointSlices."""
    counts: dict[Key, int] = {}
    for item in items:
        meta = item["metadata"]
        addresses = {a["ip"] for subset in item.get("subsets") or [] for a in subset.get("addresses") or []}
        counts[(meta.get("namespace", ""), meta["name"])] = len(addresses)
    return counts
