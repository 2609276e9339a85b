"""What the cluster holds, as values: Services, ready endpoints, pods, address pools, and what could not be read."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from edge_expose_contract.addressing import Address, AddressSet, parse_address
from edge_expose_contract.identity import (
    EDGE_DEVICE_LABEL,
    EDGE_MODULE_LABEL,
    LABEL_EXPOSURE,
    LABEL_MANAGED_BY,
    LABEL_OWNER,
    MANAGED_BY,
)
from edge_expose_contract.services import selector_text
from edge_expose_contract.violations import RuleError

OLD_PREFIX = "metallb.universe.tf"
NEW_PREFIX = "metallb.io"
DECLARED_ANNOTATION = "edge-expose.io/declared"
"""Our own note on a Service: what we declared, so that it can be taken back."""

Key = tuple[str, str]
"""Namespace and name."""


class LoadBalancer(StrEnum):
    """Which load balancer hands out addresses, as named in the report."""

    CRD = "MetalLB/CRD"
    CONFIG_MAP = "MetalLB/ConfigMap"
    UNKNOWN = "UnknownLoadBalancer"


@dataclass(frozen=True, slots=True)
class Pool:
    """One address pool of the load balancer."""

    name: str
    addresses: AddressSet
    auto_assign: bool = True
    avoid_buggy: bool = False


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What this cluster's API can do; a field it does not know is dropped in silence, so we ask first."""

    version: str = ""
    minor: int = 36

    @classmethod
    def of(cls, git_version: str) -> Capabilities:
        parts = git_version.lstrip("v").split(".")
        minor = "".join(c for c in parts[1] if c.isdigit()) if len(parts) > 1 else ""
        return cls(git_version, int(minor) if minor else 36)

    @property
    def load_balancer_class(self) -> bool:
        return self.minor >= 22

    @property
    def dual_stack(self) -> bool:
        return self.minor >= 21

    @property
    def endpoint_slices(self) -> bool:
        return self.minor >= 21


@dataclass(frozen=True, slots=True)
class ObservedService:
    """A Service as read; `body` is the raw object."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    body: Mapping[str, Any]

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> ObservedService:
        meta = body["metadata"]
        return cls(
            meta.get("namespace", ""), meta["name"], meta.get("uid", ""), str(meta.get("resourceVersion", "")), body
        )

    @property
    def key(self) -> Key:
        return (self.namespace, self.name)

    @property
    def spec(self) -> Mapping[str, Any]:
        return self.body.get("spec") or {}

    @property
    def labels(self) -> Mapping[str, str]:
        return self.body["metadata"].get("labels") or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.body["metadata"].get("annotations") or {}

    @property
    def type(self) -> str:
        return str(self.spec.get("type", "ClusterIP"))

    @property
    def is_load_balancer(self) -> bool:
        return self.type == "LoadBalancer"

    @property
    def deleting(self) -> bool:
        return bool(self.body["metadata"].get("deletionTimestamp"))

    @property
    def assigned(self) -> tuple[Address, ...]:
        """External addresses in the status, IPv4 first."""
        if not self.is_load_balancer:
            return ()
        ingress = ((self.body.get("status") or {}).get("loadBalancer") or {}).get("ingress") or []
        return _addresses(item.get("ip", "") for item in ingress)

    @property
    def requested(self) -> tuple[Address, ...]:
        """Addresses asked for, by field or by annotation of either prefix."""
        if not self.is_load_balancer:
            return ()
        texts = [str(self.spec.get("loadBalancerIP") or "")]
        for prefix in (NEW_PREFIX, OLD_PREFIX):
            texts.extend(self.annotations.get(f"{prefix}/loadBalancerIPs", "").split(","))
        return _addresses(texts)

    @property
    def asked(self) -> tuple[Address, ...]:
        """Addresses that our note on the Service says we asked for."""
        return _addresses(self.noted("addresses"))

    def noted(self, what: str) -> list[str]:
        """What we declared before, from our own note on the Service: `annotations`, `labels`, `addresses`."""
        try:
            found = json.loads(self.annotations.get(DECLARED_ANNOTATION, "{}")).get(what, [])
            return [str(item) for item in found]
        except (ValueError, AttributeError, TypeError):
            return []

    @property
    def ports(self) -> frozenset[tuple[str, int]]:
        return frozenset((str(port.get("protocol", "TCP")), int(port["port"])) for port in self.spec.get("ports") or [])

    @property
    def share_key(self) -> str:
        for prefix in (NEW_PREFIX, OLD_PREFIX):
            value = self.annotations.get(f"{prefix}/allow-shared-ip")
            if value is not None:
                return value
        return ""

    @property
    def backend_key(self) -> str:
        """What MetalLB compares before two Services share: the selector for policy Local, nothing for Cluster."""
        if self.spec.get("externalTrafficPolicy") != "Local":
            return ""
        return selector_text(self.spec.get("selector") or {})

    @property
    def exposure(self) -> str | None:
        return self.labels.get(LABEL_EXPOSURE)

    def owned_by(self, owner: str) -> bool:
        """Ours means all three labels."""
        labels = self.labels
        return (
            labels.get(LABEL_MANAGED_BY) == MANAGED_BY and labels.get(LABEL_OWNER) == owner and LABEL_EXPOSURE in labels
        )

    def may_be_adopted_by(self, owner: str) -> bool:
        """Made by hand, or ours until somebody took one of our labels away."""
        return self.other_owner in (None, owner) and not self.made_by_edge_agent

    @property
    def other_owner(self) -> str | None:
        """The owner label, whoever that is."""
        return self.labels.get(LABEL_OWNER)

    @property
    def made_by_edge_agent(self) -> bool:
        return EDGE_DEVICE_LABEL in self.labels


def _addresses(texts: Iterable[str]) -> tuple[Address, ...]:
    found: list[Address] = []
    for text in texts:
        if not text.strip():
            continue
        try:
            found.append(parse_address(text))
        except RuleError:
            continue
    return tuple(sorted(dict.fromkeys(found), key=lambda address: (address.version, int(address))))


@dataclass(frozen=True, slots=True)
class ServiceEvent:
    """The newest event of a Service that says something about its address."""

    reason: str
    message: str
    type: str
    time: str


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

    `pools` is None where the real pool may not be read, or was never seen sound; `ready` counts ready endpoint
    addresses by Service, `endpoints` names them; `unreadable` are namespaces whose Services may not be read.
    """

    services: Mapping[Key, ObservedService] = field(default_factory=dict)
    unreadable: frozenset[str] = frozenset()
    ready: Mapping[Key, int] = field(default_factory=dict)
    endpoints: Mapping[Key, tuple[str, ...]] = field(default_factory=dict)
    pod_labels: Mapping[str, tuple[Mapping[str, str], ...]] = field(default_factory=dict)
    pools: tuple[Pool, ...] | None = None
    pool_error: str = ""
    load_balancer: LoadBalancer = LoadBalancer.UNKNOWN
    metallb_prefix: str = OLD_PREFIX
    capabilities: Capabilities = Capabilities()
    events: Mapping[Key, ServiceEvent] = field(default_factory=dict)
    denied: tuple[Denied, ...] = ()
    advertised: bool = True
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
        return tuple(s for _, s in sorted(self.services.items()) if s.owned_by(owner))

    def real_addresses(self) -> AddressSet | None:
        """Every address of the real pools in order; None where they may not be read."""
        if self.pools is None:
            return None
        return AddressSet.of([part for pool in self.pools for part in pool.addresses.ranges])


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
