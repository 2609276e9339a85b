"""What the API server fills in for each kind before an object is stored (everything but Services' allocations)."""

from __future__ import annotations

import base64
import datetime
import secrets
import uuid

from ..kinds.errors import Document
from ..kinds.profiles import Profile
from ..kinds.resources import Resource
from ..services.defaults import apply_defaults, carry_over, drop_dependents, normalize_cluster_ips

_SUFFIX = "bcdfghjklmnpqrstvwxz2456789"
_WITH_GENERATION = frozenset({"pods", "ipaddresspools", "l2advertisements", "deployments", "replicasets"})


def now() -> str:
    """Return the time as Kubernetes writes it, in whole seconds."""
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def random_suffix(length: int = 5) -> str:
    """Return a suffix for generated names."""
    return "".join(secrets.choice(_SUFFIX) for _ in range(length))


def new_metadata(meta: Document, resource: Resource, namespace: str) -> None:
    """Fill in metadata of a new object, in place."""
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"][:58] + random_suffix()
    if resource.namespaced:
        meta["namespace"] = namespace
    else:
        meta.pop("namespace", None)
    meta["uid"] = str(uuid.uuid4())
    meta["creationTimestamp"] = now()
    for field in ("resourceVersion", "deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "managedFields"):
        meta.pop(field, None)
    meta.pop("generation", None)
    if resource.plural in _WITH_GENERATION:
        meta["generation"] = 1
    drop_empty(meta)


def drop_empty(meta: Document) -> None:
    """Drop empty maps and lists of metadata, as the typed encoding does."""
    for field in ("labels", "annotations", "finalizers", "ownerReferences", "managedFields"):
        if field in meta and not meta[field]:
            del meta[field]


def defaults(obj: Document, resource: Resource, profile: Profile) -> None:
    """Apply the defaults of a kind, in place; they hold for creates and updates alike."""
    match resource.kind:
        case "Service":
            apply_defaults(obj.setdefault("spec", {}), profile)
            obj.setdefault("status", {"loadBalancer": {}})
        case "Pod":
            spec = obj.setdefault("spec", {})
            _pod_defaults(spec)
            _admitted(spec)
        case "Deployment" | "ReplicaSet":
            _workload_defaults(obj.setdefault("spec", {}), resource.kind)
        case "Secret":
            data = dict(obj.get("data") or {})
            for key, text in (obj.pop("stringData", None) or {}).items():
                data[key] = base64.b64encode(text.encode()).decode()
            if data:
                obj["data"] = data
            obj["type"] = obj.get("type") or "Opaque"
        case "Endpoints":
            for subset in obj.get("subsets") or []:
                for port in subset.get("ports") or []:
                    port.setdefault("protocol", "TCP")
        case "EndpointSlice":
            obj.setdefault("endpoints", [])
            for port in obj.setdefault("ports", []) or []:
                port.setdefault("protocol", "TCP")
                port.setdefault("name", "")
        case "RoleBinding" | "ClusterRoleBinding":
            for subject in obj.get("subjects") or []:
                if subject.get("kind") in ("User", "Group"):
                    subject.setdefault("apiGroup", "rbac.authorization.k8s.io")
            obj.setdefault("roleRef", {}).setdefault("apiGroup", "rbac.authorization.k8s.io")
        case "Role" | "ClusterRole":
            obj.setdefault("rules", None)
        case "IPAddressPool":
            spec = obj.setdefault("spec", {})
            spec.setdefault("autoAssign", True)
            spec.setdefault("avoidBuggyIPs", False)


def _admitted(spec: Document) -> None:
    """What the API server gives to a pod, and not to the template of one."""
    spec.setdefault("serviceAccountName", "default")
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec.setdefault("priority", 0)
    tolerated = {toleration.get("key") for toleration in spec.get("tolerations") or []}
    for key in ("node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"):
        if key not in tolerated:
            more = {"key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
            spec["tolerations"] = [*(spec.get("tolerations") or []), more]
    for container in [*(spec.get("containers") or []), *(spec.get("initContainers") or [])]:
        resources = container.get("resources") or {}
        if resources.get("limits"):
            resources["requests"] = {**resources["limits"], **(resources.get("requests") or {})}


def _quality(spec: Document) -> str:
    """The quality of service, which follows from requests and limits."""
    found = [container.get("resources") or {} for container in spec.get("containers") or []]
    if not any(one.get("limits") or one.get("requests") for one in found):
        return "BestEffort"
    both = all({"cpu", "memory"} <= (one.get("limits") or {}).keys() for one in found)
    return "Guaranteed" if both and all(one["limits"] == one.get("requests") for one in found) else "Burstable"


def on_create(obj: Document, resource: Resource, profile: Profile) -> None:
    """Set what a new object starts with, in place."""
    match resource.kind:
        case "Service":
            obj["status"] = {"loadBalancer": {}}
            normalize_cluster_ips(obj["spec"], None)
        case "Namespace":
            obj["spec"] = {"finalizers": ["kubernetes"]}
            obj["status"] = {"phase": "Active"}
            if profile.modern_service_fields:
                labels = obj["metadata"].setdefault("labels", {})
                labels["kubernetes.io/metadata.name"] = obj["metadata"].get("name", "")
        case "Pod":
            obj["status"] = {"phase": "Pending", "qosClass": _quality(obj.get("spec") or {})}
        case "Deployment":
            obj["status"] = {}
        case "ReplicaSet":
            obj["status"] = {"replicas": 0}
        case "Event":
            obj["metadata"].pop("generation", None)
        case _:
            if resource.status and not resource.custom and "status" in obj and resource.kind != "Node":
                del obj["status"]


def on_update(obj: Document, old: Document, resource: Resource, profile: Profile) -> None:
    """Carry over from the stored object what an update of the main resource cannot change, in place."""
    match resource.kind:
        case "Service":
            normalize_cluster_ips(obj["spec"], old["spec"])
            carry_over(obj["spec"], old["spec"])
            drop_dependents(obj["spec"], old["spec"])
            obj["status"] = {**old.get("status", {})}
            # 1.20.15 leaves the address in the status until the load balancer takes it away
            if profile.modern_service_fields and obj["spec"].get("type") != "LoadBalancer":
                obj["status"]["loadBalancer"] = {}
        case "Namespace":
            obj["spec"] = old.get("spec", {})
            obj["status"] = old.get("status", {})
        case _:
            if resource.status and resource.kind != "Node":
                obj.pop("status", None)
                if "status" in old:
                    obj["status"] = old["status"]


def status_update(obj: Document, old: Document, resource: Resource, profile: Profile) -> Document:
    """Return the stored object with the status and metadata of another one."""
    result = {**old, "metadata": obj["metadata"], "status": obj.get("status") or {}}
    if resource.kind == "Service":
        balancer = result["status"].setdefault("loadBalancer", {}) or {}
        result["status"]["loadBalancer"] = balancer
        if not balancer.get("ingress"):
            balancer.pop("ingress", None)
        if profile.ip_mode:
            for entry in balancer.get("ingress") or []:
                if entry.get("ip") and not entry.get("ipMode"):
                    entry["ipMode"] = "VIP"
    return result


def _workload_defaults(spec: Document, kind: str) -> None:
    spec.setdefault("replicas", 1)
    template = spec.setdefault("template", {})
    template.setdefault("metadata", {}).pop("creationTimestamp", None)
    _pod_defaults(template.setdefault("spec", {}))
    if kind == "Deployment":
        strategy = spec.setdefault("strategy", {})
        if strategy.setdefault("type", "RollingUpdate") == "RollingUpdate":
            rolling = strategy.setdefault("rollingUpdate", {})
            rolling.setdefault("maxUnavailable", "25%")
            rolling.setdefault("maxSurge", "25%")
        spec.setdefault("revisionHistoryLimit", 10)
        spec.setdefault("progressDeadlineSeconds", 600)


def _pod_defaults(spec: Document) -> None:
    spec.setdefault("restartPolicy", "Always")
    spec.setdefault("terminationGracePeriodSeconds", 30)
    spec.setdefault("dnsPolicy", "ClusterFirst")
    spec.setdefault("schedulerName", "default-scheduler")
    spec.setdefault("securityContext", {})
    for container in spec.get("containers") or []:
        image = str(container.get("image") or "")
        pull = "Always" if ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest") else "IfNotPresent"
        container.setdefault("imagePullPolicy", pull)
        container.setdefault("resources", {})
        container.setdefault("terminationMessagePath", "/dev/termination-log")
        container.setdefault("terminationMessagePolicy", "File")
        for port in container.get("ports") or []:
            port.setdefault("protocol", "TCP")
