"""Endpoints and EndpointSlices from selectors and pods, and slices that mirror hand-made Endpoints."""

from __future__ import annotations

from typing import Any

from ..kinds.errors import Document
from ..objects.prepare import now, random_suffix
from ..objects.registry import Registry
from ..store.store import Change

SLICES = "endpointslices.discovery.k8s.io"
SERVICE_LABEL = "kubernetes.io/service-name"
MANAGED_LABEL = "endpointslice.kubernetes.io/managed-by"
CONTROLLER = "endpointslice-controller.k8s.io"
MIRROR = "endpointslicemirroring-controller.k8s.io"
WATCHED = frozenset({"services", "pods", "endpoints", SLICES, "namespaces"})


def pod_ready(pod: Document) -> bool:
    """Tell whether a pod has the Ready condition."""
    conditions = pod.get("status", {}).get("conditions") or []
    return any(c.get("type") == "Ready" and c.get("status") == "True" for c in conditions)


def target_port(port: Document, pod: Document) -> int | None:
    """Return the number a Service port leads to in a pod; named ports are looked up in its containers."""
    target = port.get("targetPort", port["port"])
    if isinstance(target, int):
        return target
    for container in pod.get("spec", {}).get("containers") or []:
        for declared in container.get("ports") or []:
            if declared.get("name") == target and declared.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(declared["containerPort"])
    return None


class EndpointsController:
    """Recomputes Services whose pods or own spec changed."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._store = registry.store
        self._dirty: dict[tuple[str, str], None] = {}
        for service in self._store.all("services"):
            self._dirty[_key(service)] = None
        self._store.listeners.append(self._changed)

    def _changed(self, change: Change) -> None:
        match change.resource:
            case "services" | "endpoints":
                if change.resource == "services" and not _matters(change):
                    return
                alone = self._store.get("services", *_key(change.obj)) is None
                if change.resource == "endpoints" and change.type != "DELETED" and alone:
                    return  # made before its Service, or for none: it is nobody's to remove
                self._dirty[_key(change.obj)] = None
            case "pods":
                namespace = change.obj["metadata"]["namespace"]
                labelled = [change.obj] + ([change.before] if change.before else [])
                for service in self._store.all("services", namespace):
                    selector = service["spec"].get("selector")
                    if selector and any(_selects(selector, pod) for pod in labelled):
                        self._dirty[_key(service)] = None
            case "endpointslices.discovery.k8s.io":
                labels = change.obj["metadata"].get("labels") or {}
                if labels.get(MANAGED_LABEL) in (CONTROLLER, MIRROR) and labels.get(SERVICE_LABEL):
                    self._dirty[(change.obj["metadata"]["namespace"], labels[SERVICE_LABEL])] = None

    def work(self) -> None:
        """Bring the endpoints of every dirty Service up to date."""
        dirty, self._dirty = list(self._dirty), {}
        for namespace, name in dirty:
            self._service(namespace, name)

    def _service(self, namespace: str, name: str) -> None:
        home = self._store.get("namespaces", "", namespace)
        if home is None:
            return
        service = self._store.get("services", namespace, name)
        if service is None:
            self._gone(namespace, name)
        elif service["spec"].get("selector") and service["spec"].get("type") != "ExternalName":
            if "deletionTimestamp" not in home["metadata"]:
                self._selected(service)
        else:
            self._mirror(service)  # what was selected before stays behind, as it does for real

    def _gone(self, namespace: str, name: str) -> None:
        self._store.delete("endpoints", namespace, name)
        for manager in (CONTROLLER, MIRROR):
            self._remove_slices(namespace, name, manager)

    def _slices(self, namespace: str, name: str, manager: str) -> list[Document]:
        wanted = {SERVICE_LABEL: name, MANAGED_LABEL: manager}
        return [s for s in self._store.all(SLICES, namespace) if _selects(wanted, s)]

    def _remove_slices(self, namespace: str, name: str, manager: str) -> None:
        for found in self._slices(namespace, name, manager):
            self._store.delete(SLICES, namespace, found["metadata"]["name"])

    def _selected(self, service: Document) -> None:
        spec, meta = service["spec"], service["metadata"]
        not_ready_too = bool(spec.get("publishNotReadyAddresses"))
        groups: dict[tuple[tuple[str, str, int], ...], list[tuple[Document, bool]]] = {}
        for pod in self._store.all("pods", meta["namespace"]):
            status = pod.get("status", {})
            if (
                not _selects(spec["selector"], pod)
                or not status.get("podIP")
                or status.get("phase") in ("Succeeded", "Failed")
            ):
                continue
            leaving = "deletionTimestamp" in pod["metadata"]
            if leaving and not not_ready_too:
                continue
            ports = [
                (p.get("name", ""), p.get("protocol", "TCP"), target_port(p, pod)) for p in spec.get("ports") or []
            ]
            known = tuple((n, proto, number) for n, proto, number in ports if number is not None)
            if ports and not known:
                continue
            groups.setdefault(known, []).append((pod, pod_ready(pod) or not_ready_too))
        subsets = []
        for ports_key, pods in sorted(groups.items()):
            subset: Document = {}
            for field, ready in (("addresses", True), ("notReadyAddresses", False)):
                chosen = [_address(pod) for pod, is_ready in pods if is_ready is ready]
                if chosen:
                    subset[field] = sorted(chosen, key=lambda a: str(a["ip"]))
            subset["ports"] = [_port(*port) for port in ports_key]
            subsets.append(subset)
        self._write_endpoints(service, subsets)
        wanted = [
            {
                "endpoints": [_endpoint(pod, ready) for pod, ready in pods],
                "ports": [_slice_port(*port) for port in ports_key],
            }
            for ports_key, pods in sorted(groups.items())
        ] or [{"endpoints": [], "ports": []}]
        self._write_slices(service, wanted, CONTROLLER)

    def _write_endpoints(self, service: Document, subsets: list[Document]) -> None:
        meta = service["metadata"]
        current = self._store.get("endpoints", meta["namespace"], meta["name"])
        labels = dict(meta.get("labels") or {})
        if service["spec"].get("clusterIP") == "None":
            labels["service.kubernetes.io/headless"] = ""
        if self._registry.profile.modern_service_fields:
            labels["endpoints.kubernetes.io/managed-by"] = "endpoint-controller"
        body: Document = {"apiVersion": "v1", "kind": "Endpoints"}
        if current is not None:
            same_labels = (current["metadata"].get("labels") or {}) == labels
            if (current.get("subsets") or []) == subsets and same_labels:
                return
            body["metadata"] = {**current["metadata"], "labels": labels}
            if not labels:
                body["metadata"].pop("labels")
        else:
            body["metadata"] = _new_meta(meta["name"], meta["namespace"], labels)
        if subsets:
            body["subsets"] = subsets
        self._store.put("endpoints", body)

    def _write_slices(self, service: Document, wanted: list[Document], manager: str) -> None:
        meta = service["metadata"]
        current = self._slices(meta["namespace"], meta["name"], manager)
        for i, content in enumerate(wanted):
            if i < len(current):
                kept = current[i]
                if all(kept.get(field) == content[field] for field in content):
                    continue
                self._store.put(SLICES, {**kept, **content})
                continue
            labels = {**(meta.get("labels") or {}), SERVICE_LABEL: meta["name"], MANAGED_LABEL: manager}
            slice_meta = _new_meta(f"{meta['name']}-{random_suffix()}", meta["namespace"], labels)
            slice_meta["generateName"] = f"{meta['name']}-"
            slice_meta["ownerReferences"] = [
                {
                    "apiVersion": "v1",
                    "kind": "Service",
                    "name": meta["name"],
                    "uid": meta["uid"],
                    "controller": True,
                    "blockOwnerDeletion": True,
                }
            ]
            version = f"discovery.k8s.io/{self._registry.profile.slice_version}"
            head = {"apiVersion": version, "kind": "EndpointSlice", "metadata": slice_meta, "addressType": "IPv4"}
            self._store.put(SLICES, {**head, **content})
        for extra in current[len(wanted) :]:
            self._store.delete(SLICES, meta["namespace"], extra["metadata"]["name"])

    def _mirror(self, service: Document) -> None:
        meta = service["metadata"]
        made = self._store.get("endpoints", meta["namespace"], meta["name"])
        labels = (made or {}).get("metadata", {}).get("labels") or {}
        if made is None or labels.get("endpointslice.kubernetes.io/skip-mirror") == "true":
            self._remove_slices(meta["namespace"], meta["name"], MIRROR)
            return
        wanted: list[Document] = []
        for subset in made.get("subsets") or []:
            endpoints = []
            for field, ready in (("addresses", True), ("notReadyAddresses", False)):
                endpoints += [
                    {"addresses": [a["ip"]], "conditions": {"ready": ready}}
                    for a in subset.get(field) or []
                    if ":" not in a["ip"]
                ]
            ports = [
                {"name": p.get("name", ""), "port": p["port"], "protocol": p.get("protocol", "TCP")}
                for p in subset.get("ports") or []
            ]
            wanted.append({"endpoints": endpoints, "ports": ports})
        self._write_slices(service, wanted, MIRROR)


def _key(obj: Document) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


def _matters(change: Change) -> bool:
    """Tell whether a change of a Service can change its endpoints (a new status cannot)."""
    if change.before is None or change.type != "MODIFIED":
        return True
    old, new = change.before, change.obj
    return bool(old["spec"] != new["spec"] or old["metadata"].get("labels") != new["metadata"].get("labels"))


def _selects(selector: dict[str, Any], obj: Document) -> bool:
    labels = obj["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in selector.items())


def _new_meta(name: str, namespace: str, labels: dict[str, str]) -> Document:
    import uuid

    meta: Document = {"name": name, "namespace": namespace, "uid": str(uuid.uuid4()), "creationTimestamp": now()}
    if labels:
        meta["labels"] = labels
    return meta


def _reference(pod: Document) -> Document:
    meta = pod["metadata"]
    return {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}


def _address(pod: Document) -> Document:
    found: Document = {"ip": pod["status"]["podIP"]}
    if pod["spec"].get("nodeName"):
        found["nodeName"] = pod["spec"]["nodeName"]
    return {**found, "targetRef": _reference(pod)}


def _endpoint(pod: Document, ready: bool) -> Document:
    leaving = "deletionTimestamp" in pod["metadata"]
    conditions = {"ready": ready, "serving": pod_ready(pod), "terminating": leaving}
    found: Document = {"addresses": [pod["status"]["podIP"]], "conditions": conditions, "targetRef": _reference(pod)}
    if pod["spec"].get("nodeName"):
        found["nodeName"] = pod["spec"]["nodeName"]
    return found


def _port(name: str, protocol: str, number: int) -> Document:
    return {**({"name": name} if name else {}), "port": number, "protocol": protocol}


def _slice_port(name: str, protocol: str, number: int) -> Document:
    return {"name": name, "port": number, "protocol": protocol}
