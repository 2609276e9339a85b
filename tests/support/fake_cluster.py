"""A cluster in memory with behaviour: Services, pods, endpoints, and a load balancer that hands out addresses.

It follows the rules that the module depends on: namespaces, resourceVersion, merge patch, uid preconditions, finalizers
and watches (held to the module's adapter on real clusters by `agreements/cluster/test_adapter.py`). It says no in the
words of the real API server and the real MetalLB: `fake_answers.py` and `fake_metallb.py` read the recordings.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from threading import Event
from typing import Any

from edge_expose_contract.addressing import Address, AddressSet, parse_address
from edge_expose_module.cluster.api import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    ENDPOINTS,
    EVENTS,
    GUARD_RAILS,
    NAMESPACES,
    NODES,
    PODS,
    SERVICES,
    ClusterError,
    Listing,
    NotFound,
    Resource,
    Unavailable,
    WatchEvent,
)
from edge_expose_module.load_balancers.metallb import BGP_ADVERTISEMENTS, CONFIGURATION_STATES, L2_ADVERTISEMENTS, POOLS
from support.fake_answers import FakeAnswers
from support.fake_metallb import FakeMetalLb, held_by, whole
from support.fake_objects import FakeObjects, merge
from support.fake_pools import FakePool
from support.fake_views import config_map, endpoints_of, pool_objects

NAMES = frozenset({"default", "edge1", "kube-system", "metallb-system"})


class FakeCluster:
    """`pool` is what the load balancer gives out, or the pools by name; `readable_pool=False` hides it."""

    def __init__(
        self,
        pool: str | list[str] | Mapping[str, FakePool] = "10.0.0.10-10.0.0.20",
        *,
        git_version: str = "v1.36.3",
        dialect: str = "crd",
        readable_pool: bool = True,
        denied: frozenset[tuple[str, str]] = frozenset(),
        families: tuple[str, ...] = ("IPv4", "IPv6"),
    ) -> None:
        self.git_version = git_version
        self.dialect = dialect
        self.readable_pool = readable_pool
        self.denied = denied
        self.families = families
        self.down = False
        self.fail_writes = 0
        self.objects = FakeObjects()
        self.answers = FakeAnswers(git_version)
        self.metallb = FakeMetalLb(self.objects, _pools(pool), legacy=dialect == "configmap")
        self.metallb.namespace_labels = self._namespace_labels
        self.pods: dict[tuple[str, str], dict[str, str]] = {}
        self.namespaces = set(NAMES)
        self.namespace_labels: dict[str, dict[str, str]] = {}
        self.rails: dict[str, str] | None = None
        """Data of the guard rails' ConfigMap, where there is one."""
        self.rails_error: ClusterError | None = None
        """What reading it is answered instead."""
        self.pod_networks: list[str] = []
        self.advertised = True
        """Whether an advertisement covers the pools, so that nodes answer for their addresses."""
        self.writes: list[tuple[str, str, str]] = []

    @property
    def services(self) -> dict[tuple[str, str], dict[str, Any]]:
        return self.objects.services

    @services.setter
    def services(self, value: dict[tuple[str, str], dict[str, Any]]) -> None:
        self.objects.services = value

    @property
    def companions(self) -> dict[tuple[str, str, str], dict[str, Any]]:
        return self.objects.companions

    @property
    def events(self) -> list[dict[str, Any]]:
        return self.objects.events

    @property
    def pool(self) -> AddressSet:
        """Everything that the load balancer gives out."""
        return whole(self.metallb.pools)

    @property
    def hidden(self) -> set[str]:
        """Addresses that somebody invisible holds."""
        return self.metallb.hidden

    @hidden.setter
    def hidden(self, addresses: set[str]) -> None:
        self.metallb.hidden = addresses

    @property
    def broken_pools(self) -> list[str]:
        """Ranges of another pool that no load balancer can read."""
        return self.metallb.broken

    @broken_pools.setter
    def broken_pools(self, ranges: list[str]) -> None:
        self.metallb.broken = ranges
        self.objects.tell_of(POOLS, "metallb-system", "MODIFIED")

    # --- moving the world ---

    def add_namespace(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        self.namespaces.add(name)
        self.namespace_labels[name] = dict(labels or {})

    def add_pod(self, name: str, labels: Mapping[str, str], namespace: str = "edge1") -> None:
        self.namespaces.add(namespace)
        self.pods[(namespace, name)] = dict(labels)

    def add_service(self, name: str, spec: Mapping[str, Any], namespace: str = "edge1", **metadata: Any) -> None:
        """As kubectl would."""
        self.namespaces.add(namespace)
        self.objects.add_service({"metadata": {"name": name, "namespace": namespace, **metadata}, "spec": dict(spec)})
        self.settle()

    def add_finalizer(self, name: str, finalizer: str, namespace: str = "edge1") -> None:
        """A controller that wants a word when a Service is deleted."""
        service = self.services[(namespace, name)]
        service["metadata"].setdefault("finalizers", []).append(finalizer)
        self.objects.put(SERVICES, service, "MODIFIED")

    def release(self, name: str, namespace: str = "edge1") -> None:
        """The controllers that a deleted Service waited for are done with it."""
        self.objects.release(name, namespace)
        self.settle()

    def set_pool(self, pool: str | list[str]) -> None:
        self.set_pools(_pools(pool))

    def set_pools(self, pools: Mapping[str, FakePool]) -> None:
        self.metallb.configure(pools)
        self._tell_pools()

    def reject_pools(self, pools: Mapping[str, FakePool], situation: str, **values: object) -> None:
        """A configuration that MetalLB rejects, by its situation in the recordings: the objects show these pools."""
        self.metallb.reject(pools, situation, **values)
        self._tell_pools()

    def refuse(
        self, situation: str, verb: str = "create", times: int | None = None, only: str = "", **values: object
    ) -> None:
        """From now on calls of this verb ("" for all writes) are refused as recorded of that situation; of one object
        only where it is named."""
        self.answers.order(situation, verb, times, only, values)

    def allow(self) -> None:
        """Ends what `refuse` began."""
        self.answers.ordered.clear()

    def lose_services(self) -> None:
        """The cluster is rebuilt."""
        self.services.clear()
        self.companions.clear()
        self.events.clear()

    def settle(self) -> None:
        self.metallb.settle()

    def address_of(self, name: str, namespace: str = "edge1") -> str | None:
        service = self.services.get((namespace, name))
        return (held_by(service) or None) if service is not None else None

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
        self._allow("list", resource, namespace)
        items = [copy.deepcopy(item) for item in self._items(resource, namespace)]
        found = [i for i in items if namespace is None or i["metadata"].get("namespace") == namespace]
        return Listing(tuple(found), str(next(self.objects.numbers)))

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        self._reach()
        if resource is GUARD_RAILS and (self.rails_error is not None or self.rails is not None):
            if self.rails_error is not None:
                raise self.rails_error
            return {"metadata": {"name": name, "namespace": namespace}, "data": copy.deepcopy(self.rails)}
        if resource is CONFIG_MAPS and self.dialect == "configmap" and name == "config":
            if not self.readable_pool:
                raise self.answers.denied("get", resource, namespace)
            return config_map(self.metallb)
        if resource is SERVICES and (namespace, name) in self.services:
            return copy.deepcopy(self.services[(namespace, name)])
        if resource is CONFIGURATION_STATES and name == "controller":
            return self.metallb.configuration_state()
        raise NotFound(self._missing(resource, namespace, name))

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        name = body["metadata"]["name"]
        self._write("create", resource, namespace, name)
        self._validate(namespace, body)
        made = merge(copy.deepcopy(dict(body)), {"metadata": {"namespace": namespace}})
        if resource is not SERVICES:
            self.objects.put(resource, made, "ADDED")
        elif (namespace, name) in self.services:
            raise self.answers.error("already-exists", namespace=namespace, name=name)
        else:
            self.objects.add_service(made)
        answer = copy.deepcopy(made)
        self.settle()
        return answer

    def rehearse(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> None:
        self._allow("create", resource, namespace)
        if (refused := self.answers.due("create", namespace, body["metadata"]["name"])) is not None:
            raise refused
        self._validate(namespace, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self._write("patch", resource, namespace, name)
        changed = self._patched(resource, namespace, name, body)
        if resource is SERVICES:
            self._validate(namespace, changed)
            if changed["spec"].get("type") != "LoadBalancer":
                changed["status"] = {"loadBalancer": {}}
        self.objects.put(resource, changed, "MODIFIED")
        answer = copy.deepcopy(changed)
        self.metallb.settle(changed)
        return answer

    def rehearse_patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> None:
        self._allow("patch", resource, namespace)
        if (refused := self.answers.due("patch", namespace, name)) is not None:
            raise refused
        self._validate(namespace, self._patched(resource, namespace, name, body))

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._write("delete", resource, namespace, name)
        body = self._there(resource, namespace, name)
        if uid and body["metadata"]["uid"] != uid:
            values = {"namespace": namespace, "name": name, "asked_uid": uid, "uid": body["metadata"]["uid"]}
            raise self.answers.error("uid-differs", **values)
        self.objects.end(resource, body)
        self.settle()

    def watch(self, resource: Resource, namespace: str | None, version: str, stop: Event) -> Iterator[WatchEvent]:
        return self.objects.follow(resource, namespace, version, stop, self._reach)

    # --- inside ---

    def _reach(self) -> None:
        if self.down:
            raise Unavailable("the Kubernetes API cannot be reached: refused")

    def _allow(self, verb: str, resource: Resource, namespace: str | None) -> None:
        self._reach()
        if (verb, resource.plural) in self.denied or (f"{verb} {namespace}", resource.plural) in self.denied:
            raise self.answers.denied(verb, resource, namespace)

    def _write(self, verb: str, resource: Resource, namespace: str, name: str) -> None:
        self._allow(verb, resource, namespace)
        if self.fail_writes:
            self.fail_writes -= 1
            raise Unavailable("the Kubernetes API did not answer")
        if (refused := self.answers.due(verb, namespace, name)) is not None:
            raise refused
        self.writes.append((verb, resource.kind, f"{namespace}/{name}"))

    def _there(self, resource: Resource, namespace: str, name: str) -> dict[str, Any]:
        found = self.objects.find(resource, namespace, name)
        if found is None:
            raise NotFound(self._missing(resource, namespace, name))
        return found

    def _patched(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> dict[str, Any]:
        current = self._there(resource, namespace, name)
        wanted = body.get("metadata", {}).get("resourceVersion")
        if wanted and wanted != current["metadata"]["resourceVersion"]:
            raise self.answers.error("conflict", namespace=namespace, name=name)
        return merge(copy.deepcopy(current), body)

    def _missing(self, resource: Resource, namespace: str, name: str) -> str:
        text = str(self.answers.error("service-missing", namespace=namespace, name=name))
        return text.replace("services", resource.plural, 1)

    def _tell_pools(self) -> None:
        self.objects.tell_of(CONFIG_MAPS if self.dialect == "configmap" else POOLS, "metallb-system", "MODIFIED")
        if self.dialect == "crd":
            self.objects.tell_of(CONFIGURATION_STATES, "metallb-system", "MODIFIED")

    def _namespace_labels(self) -> dict[str, dict[str, str]]:
        named = {name: {"kubernetes.io/metadata.name": name} for name in self.namespaces}
        return {name: {**labels, **self.namespace_labels.get(name, {})} for name, labels in named.items()}

    def _items(self, resource: Resource, namespace: str | None) -> list[dict[str, Any]]:
        if resource is SERVICES:
            return list(self.services.values())
        if resource is PODS:
            return [
                {"metadata": {"name": name, "namespace": where, "labels": labels}}
                for (where, name), labels in self.pods.items()
            ]
        if resource in (ENDPOINT_SLICES, ENDPOINTS):
            own = [body for (kind, _, _), body in self.companions.items() if kind == resource.kind]
            return own + [endpoints_of(service, resource, self.pods) for service in self.services.values()]
        if resource is EVENTS:
            return self.events
        if resource is POOLS:
            if not self.readable_pool:
                raise self.answers.denied("list", resource, namespace)
            return pool_objects(self.metallb)
        if resource is CONFIGURATION_STATES:
            return [self.metallb.configuration_state()] if self.dialect == "crd" else []
        if resource is NAMESPACES:
            return [{"metadata": {"name": n, "labels": labels}} for n, labels in self._namespace_labels().items()]
        if resource is NODES:
            return [{"metadata": {"name": f"n{n}"}, "spec": {"podCIDR": c}} for n, c in enumerate(self.pod_networks)]
        if resource is L2_ADVERTISEMENTS:
            return [{"metadata": {"name": "all", "namespace": "metallb-system"}}] if self.advertised else []
        if resource is GUARD_RAILS:
            if self.rails_error is not None:
                raise self.rails_error
            meta = {"name": resource.only, "namespace": namespace}
            return [{"metadata": meta, "data": self.rails}] if self.rails is not None else []
        assert resource in (BGP_ADVERTISEMENTS, CONFIG_MAPS)
        return []

    def _validate(self, namespace: str, body: Mapping[str, Any]) -> None:
        name = body["metadata"]["name"]
        if namespace not in self.namespaces:
            raise self.answers.error("namespace-missing", namespace=namespace, name=name)
        if body.get("kind", "Service") != "Service":
            return
        spec = body["spec"]
        protocols = {port.get("protocol", "TCP") for port in spec.get("ports", [])}
        if self.git_version.startswith("v1.20") and spec.get("type") == "LoadBalancer" and len(protocols) > 1:
            raise self.answers.invalid("invalid-protocols-mixed", name)
        if not spec.get("ports"):
            raise self.answers.invalid("invalid-ports-missing", name)
        if unknown := [family for family in spec.get("ipFamilies") or [] if family not in self.families]:
            raise self.answers.invalid("invalid-family-not-configured", name, ("IPv6", unknown[0]))
        for place, port in enumerate(spec["ports"]):
            if not 1 <= port["port"] <= 65535:
                changes = (("ports[0]", f"ports[{place}]"), ("65536", str(port["port"])))
                raise self.answers.invalid("invalid-port-too-large", name, *changes)


def _pools(pool: str | list[str] | Mapping[str, FakePool]) -> Mapping[str, FakePool]:
    if isinstance(pool, Mapping):
        return pool
    return {"default": FakePool.of(pool)} if pool else {}
