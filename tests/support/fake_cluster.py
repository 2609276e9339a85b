"""A cluster in memory with behaviour: Services, pods, endpoints, and a load balancer that hands out addresses.

It follows the rules that the module depends on: namespaces, resourceVersion, merge patch, uid preconditions and watches
(held to the module's adapter on real clusters by `agreements/cluster/test_adapter.py`), MetalLB's assignment and its
loss of an address asked for in vain.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator, Mapping
from threading import Condition, Event
from typing import Any

from edge_expose_contract.addressing import Address, AddressSet, parse_address
from edge_expose_module.clusterapi import (
    BGP_ADVERTISEMENTS,
    CONFIG_MAPS,
    CONFIGURATION_STATES,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    GUARD_RAILS,
    L2_ADVERTISEMENTS,
    NAMESPACES,
    NODES,
    PODS,
    POOLS,
    SERVICES,
    ClusterError,
    Conflict,
    Denied,
    Listing,
    NotFound,
    Rejected,
    Resource,
    Unavailable,
)

NAMES = frozenset({"default", "edge1", "kube-system", "metallb-system"})
PREFIXES = ("metallb.io", "metallb.universe.tf")


def merge(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    for key, value in patch.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping):
            inner = target.get(key)
            target[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            target[key] = copy.deepcopy(value)
    return target


class FakeCluster:
    """`pool` is what the load balancer gives out; `readable_pool=False` hides it from the module."""

    def __init__(
        self,
        pool: str | list[str] = "10.0.0.10-10.0.0.20",
        *,
        git_version: str = "v1.36.3",
        dialect: str = "crd",
        readable_pool: bool = True,
        denied: frozenset[tuple[str, str]] = frozenset(),
        families: tuple[str, ...] = ("IPv4", "IPv6"),
    ) -> None:
        self.pool = AddressSet.parse(pool)
        self.git_version = git_version
        self.dialect = dialect
        self.readable_pool = readable_pool
        self.denied = denied
        self.families = families
        self.down = False
        self.fail_writes = 0
        self.services: dict[tuple[str, str], dict[str, Any]] = {}
        self.companions: dict[tuple[str, str, str], dict[str, Any]] = {}
        self.pods: dict[tuple[str, str], dict[str, str]] = {}
        self.events: list[dict[str, Any]] = []
        self.broken_pools: list[str] = []
        """Ranges of another pool that no load balancer can read."""
        self.namespaces = set(NAMES)
        self.rails: dict[str, str] | None = None
        """Data of the guard rails' ConfigMap, where there is one."""
        self.rails_error: ClusterError | None = None
        """What reading it is answered instead."""
        self.pod_networks: list[str] = []
        self.hidden: set[str] = set()
        """Addresses that somebody invisible holds."""
        self.writes: list[tuple[str, str, str]] = []
        self._numbers = itertools.count(1)
        self._node_ports = itertools.count(30000)
        self._changes: list[tuple[int, Resource, str, str]] = []
        """Every change: its version, the resource, the namespace, and ADDED, MODIFIED or DELETED."""
        self._moved = Condition()

    # --- moving the world ---

    def add_pod(self, name: str, labels: Mapping[str, str], namespace: str = "edge1") -> None:
        self.namespaces.add(namespace)
        self.pods[(namespace, name)] = dict(labels)

    def add_service(self, name: str, spec: Mapping[str, Any], namespace: str = "edge1", **metadata: Any) -> None:
        """As kubectl would."""
        body = {"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": dict(spec)}
        self.namespaces.add(namespace)
        self._store(body)
        self.settle()

    def set_pool(self, pool: str | list[str]) -> None:
        self.pool = AddressSet.parse(pool) if pool else AddressSet()
        for service in self.services.values():
            held = self._held(service)
            if held is not None and parse_address(held) not in self.pool:
                service["status"] = {"loadBalancer": {}}
        self.settle()

    def lose_services(self) -> None:
        """The cluster is rebuilt."""
        self.services.clear()
        self.companions.clear()
        self.events.clear()

    def address_of(self, name: str, namespace: str = "edge1") -> str | None:
        service = self.services.get((namespace, name))
        return self._held(service) if service is not None else None

    # --- the Cluster protocol ---

    def version(self) -> str:
        self._reach()
        return self.git_version

    def addresses(self) -> tuple[Address, ...]:
        return (parse_address("192.0.2.1"),)

    def resources(self, group: str) -> frozenset[str]:
        self._reach()
        if group == "/api/v1":
            return frozenset(resource.plural for resource in (SERVICES, ENDPOINTS, PODS, EVENTS, CONFIG_MAPS))
        served = {"ipaddresspools", "l2advertisements", "configurationstates"}
        return frozenset(served) if self.dialect == "crd" and group.startswith("/apis/metallb.io") else frozenset()

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        self._reach()
        if ("list", resource.plural) in self.denied or (f"list {namespace}", resource.plural) in self.denied:
            raise Denied(f'{resource.plural} is forbidden: User "module" cannot list resource')
        items = [copy.deepcopy(item) for item in self._items(resource)]
        found = [i for i in items if namespace is None or i["metadata"].get("namespace") == namespace]
        return Listing(tuple(found), str(next(self._numbers)))

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        self._reach()
        if resource is GUARD_RAILS and (self.rails_error is not None or self.rails is not None):
            if self.rails_error is not None:
                raise self.rails_error
            return {"metadata": {"name": name, "namespace": namespace}, "data": copy.deepcopy(self.rails)}
        if resource is CONFIG_MAPS and self.dialect == "configmap" and name == "config":
            if not self.readable_pool:
                raise Denied("configmaps is forbidden")
            ranges = "".join(f"\n  - {part}" for part in self.pool.ranges)
            text = f"address-pools:\n- name: default\n  protocol: layer2\n  addresses:{ranges}\n"
            return {"metadata": {"name": name, "namespace": namespace}, "data": {"config": text}}
        if resource is SERVICES and (namespace, name) in self.services:
            return copy.deepcopy(self.services[(namespace, name)])
        raise NotFound(f"{resource.plural} {name} not found")

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        self._write("create", resource, namespace, body["metadata"]["name"])
        name = body["metadata"]["name"]
        self._validate(namespace, body)
        made = merge(copy.deepcopy(dict(body)), {"metadata": {"namespace": namespace}})
        if resource is SERVICES:
            if (namespace, name) in self.services:
                raise Conflict(f'services "{name}" already exists')
            self._store(made)
        else:
            self.companions[(resource.kind, namespace, name)] = self._stamped(made)
            self._tell(resource, "ADDED", made)
        self.settle()

    def rehearse(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        self._allow("create", resource)
        self._validate(namespace, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        self._write("patch", resource, namespace, name)
        store: dict[Any, dict[str, Any]] = self.services if resource is SERVICES else self.companions
        key = (namespace, name) if resource is SERVICES else (resource.kind, namespace, name)
        if key not in store:
            raise NotFound(f'{resource.plural} "{name}" not found')
        current = store[key]
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != current["metadata"]["resourceVersion"]:
            raise Conflict("the object has been modified; please apply your changes to the latest version")
        changed = merge(copy.deepcopy(current), body)
        if resource is SERVICES:
            self._validate(namespace, changed)
            if changed["spec"].get("type") != "LoadBalancer":
                changed["status"] = {"loadBalancer": {}}
        store[key] = self._stamped(changed)
        self._tell(resource, "MODIFIED", changed)
        self.settle()

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._write("delete", resource, namespace, name)
        store: dict[Any, dict[str, Any]] = self.services if resource is SERVICES else self.companions
        key = (namespace, name) if resource is SERVICES else (resource.kind, namespace, name)
        if key not in store:
            raise NotFound(f'{resource.plural} "{name}" not found')
        if uid and store[key]["metadata"]["uid"] != uid:
            raise Conflict("the UID in the precondition does not match")
        self._tell(resource, "DELETED", self._stamped(store.pop(key)))
        self.settle()

    def watch(self, resource: Resource, namespace: str | None, version: str, stop: Event) -> Iterator[str]:
        at = int(version)
        while not stop.is_set():
            self._reach()
            with self._moved:
                news = [event for event in self._changes if event[0] > at]
                if not news:
                    self._moved.wait(0.05)
            for number, what, where, kind in news:
                at = number
                if what is resource and namespace in (None, where):
                    yield kind

    # --- inside ---

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the Kubernetes API cannot be reached: refused")

    def _allow(self, verb: str, resource: Resource) -> None:
        self._reach()
        if (verb, resource.plural) in self.denied:
            raise Denied(f'{resource.plural} is forbidden: User "module" cannot {verb} resource "{resource.plural}"')

    def _write(self, verb: str, resource: Resource, namespace: str, name: str) -> None:
        self._allow(verb, resource)
        if self.fail_writes:
            self.fail_writes -= 1
            raise Unavailable("the Kubernetes API did not answer")
        self.writes.append((verb, resource.kind, f"{namespace}/{name}"))

    def _items(self, resource: Resource) -> list[dict[str, Any]]:
        if resource is SERVICES:
            return list(self.services.values())
        if resource is PODS:
            return [
                {"metadata": {"name": name, "namespace": namespace, "labels": labels}}
                for (namespace, name), labels in self.pods.items()
            ]
        if resource in (ENDPOINT_SLICES, ENDPOINTS):
            own = [body for (kind, _, _), body in self.companions.items() if kind == resource.kind]
            return own + [self._endpoints(service, resource) for service in self.services.values()]
        if resource is EVENTS:
            return self.events
        if resource is POOLS:
            if not self.readable_pool:
                raise Denied("ipaddresspools is forbidden")
            pools = {"default": [str(part) for part in self.pool.ranges], "broken": self.broken_pools}
            return [
                {"metadata": {"name": name, "namespace": "metallb-system"}, "spec": {"addresses": ranges}}
                for name, ranges in pools.items()
                if ranges
            ]
        if resource is L2_ADVERTISEMENTS:
            return [{"metadata": {"name": "all", "namespace": "metallb-system"}}]
        if resource is NAMESPACES:
            return [
                {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}}
                for name in self.namespaces
            ]
        if resource is NODES:
            return [{"metadata": {"name": f"n{n}"}, "spec": {"podCIDR": c}} for n, c in enumerate(self.pod_networks)]
        assert resource in (BGP_ADVERTISEMENTS, CONFIG_MAPS, CONFIGURATION_STATES)
        return []

    def _endpoints(self, service: Mapping[str, Any], resource: Resource) -> dict[str, Any]:
        meta, selector = service["metadata"], service["spec"].get("selector") or {}
        names = [
            name
            for (namespace, name), labels in self.pods.items()
            if selector and namespace == meta["namespace"] and all(labels.get(k) == v for k, v in selector.items())
        ]
        common = {"name": meta["name"], "namespace": meta["namespace"]}
        if resource is ENDPOINTS:
            addresses = [{"ip": f"10.9.0.{place}"} for place, _ in enumerate(names, 1)]
            return {"metadata": common, "subsets": [{"addresses": addresses}] if addresses else []}
        labels = {"kubernetes.io/service-name": meta["name"]}
        endpoints = [{"addresses": [f"10.9.0.{p}"], "targetRef": {"uid": name}} for p, name in enumerate(names, 1)]
        return {"metadata": {**common, "name": f"{meta['name']}-x1", "labels": labels}, "endpoints": endpoints}

    def _tell(self, resource: Resource, kind: str, body: Mapping[str, Any]) -> None:
        """Whoever watches."""
        meta = body["metadata"]
        with self._moved:
            self._changes.append((int(meta["resourceVersion"]), resource, meta["namespace"], kind))
            self._moved.notify_all()

    def _stamped(self, body: dict[str, Any]) -> dict[str, Any]:
        meta = body["metadata"]
        meta.setdefault("uid", f"uid-{next(self._numbers)}")
        meta["resourceVersion"] = str(next(self._numbers))
        return body

    def _store(self, body: dict[str, Any]) -> None:
        spec = body["spec"]
        spec.setdefault("type", "ClusterIP")
        spec.setdefault("clusterIP", f"10.96.0.{next(self._numbers) % 250}")
        spec.setdefault("sessionAffinity", "None")
        if spec["type"] == "LoadBalancer":
            spec.setdefault("externalTrafficPolicy", "Cluster")
            if spec.get("allocateLoadBalancerNodePorts", True):
                for port in spec.get("ports", []):
                    port.setdefault("nodePort", next(self._node_ports))
        meta = body["metadata"]
        self.services[(meta["namespace"], meta["name"])] = self._stamped(body)
        self._tell(SERVICES, "ADDED", body)

    def _validate(self, namespace: str, body: Mapping[str, Any]) -> None:
        if namespace not in self.namespaces:
            raise NotFound(f'namespaces "{namespace}" not found')
        if body.get("kind", "Service") != "Service":
            return
        spec = body["spec"]
        protocols = {port.get("protocol", "TCP") for port in spec.get("ports", [])}
        if self.git_version.startswith("v1.20") and spec.get("type") == "LoadBalancer" and len(protocols) > 1:
            raise Rejected(
                "spec.ports: Invalid value: may not contain more than 1 protocol when type is 'LoadBalancer'"
            )
        if not spec.get("ports"):
            raise Rejected("spec.ports: Required value")
        if unknown := [family for family in spec.get("ipFamilies") or [] if family not in self.families]:
            raise Rejected(f'spec.ipFamilies[0]: Invalid value: "{unknown[0]}": not configured on this cluster')
        for place, port in enumerate(spec["ports"]):
            if not 1 <= port["port"] <= 65535:
                raise Rejected(f"spec.ports[{place}].port: Invalid value: {port['port']}: must be between 1 and 65535")

    # --- the load balancer ---

    def settle(self) -> None:
        """Gives addresses to whoever waits, as MetalLB does: those asked for, else the lowest free."""
        for _, service in sorted(self.services.items(), key=lambda item: int(item[1]["metadata"]["uid"][4:])):
            if service["spec"].get("type") != "LoadBalancer":
                continue
            held, wanted = self._held(service), self._requested(service)
            # What it holds is checked again at each change, and lost when it does not fit any more.
            if held is not None and ((wanted and held != wanted) or self._why_not(service, held)):
                service["status"] = {"loadBalancer": {}}
                held = None
            if held is None:
                self._assign(service, wanted)

    def _assign(self, service: dict[str, Any], wanted: str | None) -> None:
        if wanted is not None:
            problem = self._why_not(service, wanted)
            if problem:
                self._event(service, "Warning", "AllocationFailed", problem)
                return
            chosen = wanted
        else:
            free = [str(address) for address in self.pool if not self._why_not(service, str(address))]
            if not free:
                self._event(service, "Warning", "AllocationFailed", "no available IPs")
                return
            chosen = free[0]
        service["status"] = {"loadBalancer": {"ingress": [{"ip": chosen}]}}
        self._tell(SERVICES, "MODIFIED", self._stamped(service))
        self._event(service, "Normal", "IPAllocated", f'Assigned IP ["{chosen}"]')

    def _why_not(self, service: Mapping[str, Any], address: str) -> str:
        if parse_address(address) not in self.pool:
            return f'["{address}"] is not allowed in config'
        annotations = service["metadata"].get("annotations") or {}
        for prefix in PREFIXES:
            if (pool := annotations.get(f"{prefix}/address-pool", "default")) != "default":
                return f'["{address}"] is not compatible with requested address pool {pool}'
        if address in self.hidden:
            return f'can\'t change sharing key for "x", address also in use by "{address}"'
        for other in self.services.values():
            if other is service or self._held(other) != address:
                continue
            keys = self._share(service), self._share(other)
            ports = [{(p.get("protocol", "TCP"), p["port"]) for p in s["spec"]["ports"]} for s in (service, other)]
            if not keys[0] or keys[0] != keys[1] or ports[0] & ports[1]:
                return f'can\'t change sharing key for "{address}", address also in use by {other["metadata"]["name"]}'
        return ""

    def _event(self, service: Mapping[str, Any], kind: str, reason: str, text: str) -> None:
        meta = service["metadata"]
        message = (
            text if kind == "Normal" else f'Failed to allocate IP for "{meta["namespace"]}/{meta["name"]}": {text}'
        )
        self.events.append(
            {
                "metadata": {"namespace": meta["namespace"]},
                "involvedObject": {"kind": "Service", "namespace": meta["namespace"], "name": meta["name"]},
                "source": {"component": "metallb-controller"},
                "type": kind,
                "reason": reason,
                "message": message,
                "lastTimestamp": f"{next(self._numbers):08d}",
            }
        )

    def _held(self, service: Mapping[str, Any]) -> str | None:
        ingress = service.get("status", {}).get("loadBalancer", {}).get("ingress") or []
        return ingress[0]["ip"] if ingress else None

    def _requested(self, service: Mapping[str, Any]) -> str | None:
        annotations = service["metadata"].get("annotations") or {}
        for prefix in PREFIXES:
            if f"{prefix}/loadBalancerIPs" in annotations:
                return str(annotations[f"{prefix}/loadBalancerIPs"])
        return service["spec"].get("loadBalancerIP")

    def _share(self, service: Mapping[str, Any]) -> str:
        annotations = service["metadata"].get("annotations") or {}
        return next(
            (annotations[f"{p}/allow-shared-ip"] for p in PREFIXES if f"{p}/allow-shared-ip" in annotations), ""
        )
