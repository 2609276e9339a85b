"""`Table` answers: the columns kubectl get prints."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

from ..kinds.errors import Document
from ..kinds.resources import Resource

_Row = Callable[[Document], list[Any]]


def age(stamp: str | None) -> str:
    """Return how long ago a time was, as kubectl shows it."""
    if not stamp:
        return "<unknown>"
    try:
        then = datetime.datetime.fromisoformat(stamp.replace("Z", "+00:00"))
    except ValueError:
        return "<invalid>"
    seconds = max(0, int((datetime.datetime.now(datetime.UTC) - then).total_seconds()))
    if seconds < 120:
        return f"{seconds}s"
    minutes = seconds // 60
    if minutes < 10:
        return f"{minutes}m{seconds % 60}s" if seconds % 60 else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    if hours < 8:
        return f"{hours}h{minutes % 60}m" if minutes % 60 else f"{hours}h"
    if hours < 48:
        return f"{hours}h"
    return f"{hours // 24}d" if hours < 24 * 365 * 2 else f"{hours // 24 // 365}y"


def _age(obj: Document) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _ports(obj: Document) -> str:
    shown = []
    for port in obj.get("spec", {}).get("ports") or []:
        node = f":{port['nodePort']}" if port.get("nodePort") else ""
        shown.append(f"{port.get('port')}{node}/{port.get('protocol', 'TCP')}")
    return ",".join(shown) or "<none>"


def _external(obj: Document) -> str:
    spec = obj.get("spec", {})
    ingress = (obj.get("status", {}).get("loadBalancer") or {}).get("ingress") or []
    found = (
        [entry.get("ip") or entry.get("hostname", "") for entry in ingress]
        if spec.get("type") == "LoadBalancer"
        else []
    )
    found += spec.get("externalIPs") or []
    if spec.get("type") == "ExternalName":
        return str(spec.get("externalName", ""))
    if found:
        return ",".join(found)
    return "<pending>" if spec.get("type") == "LoadBalancer" else "<none>"


def _selector(obj: Document) -> str:
    return ",".join(f"{k}={v}" for k, v in sorted((obj.get("spec", {}).get("selector") or {}).items())) or "<none>"


def _service(obj: Document) -> list[Any]:
    spec = obj.get("spec", {})
    return [spec.get("type"), spec.get("clusterIP") or "<none>", _external(obj), _ports(obj), _age(obj), _selector(obj)]


def _pod(obj: Document) -> list[Any]:
    status = obj.get("status", {})
    statuses = status.get("containerStatuses") or []
    ready = sum(1 for s in statuses if s.get("ready"))
    total = len(obj.get("spec", {}).get("containers") or [])
    text = status.get("reason") or status.get("phase") or "Unknown"
    for entry in statuses:
        waiting = (entry.get("state") or {}).get("waiting") or {}
        text = waiting.get("reason") or text
    if "deletionTimestamp" in obj["metadata"]:
        text = "Terminating"
    restarts = str(sum(s.get("restartCount", 0) for s in statuses))
    node = obj.get("spec", {}).get("nodeName") or "<none>"
    return [f"{ready}/{total}", text, restarts, _age(obj), status.get("podIP") or "<none>", node]


def _endpoints(obj: Document) -> list[Any]:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return [",".join(found[:3]) + more or "<none>", _age(obj)]


def _slice(obj: Document) -> list[Any]:
    ports = ",".join(str(p.get("port")) for p in obj.get("ports") or []) or "<unset>"
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses") or []]
    return [obj.get("addressType"), ports, ",".join(addresses[:3]) or "<unset>", _age(obj)]


def _event(obj: Document) -> list[Any]:
    about = obj.get("involvedObject") or {}
    seen = obj.get("lastTimestamp") or obj.get("eventTime") or obj["metadata"].get("creationTimestamp")
    named = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    return [age(seen), obj.get("type", ""), obj.get("reason", ""), named, str(obj.get("message", "")).strip()]


def _pool(obj: Document) -> list[Any]:
    spec = obj.get("spec", {})
    shown = [str(spec.get(f, False)).lower() for f in ("autoAssign", "avoidBuggyIPs")]
    return [*shown, "[" + ",".join(f'"{a}"' for a in spec.get("addresses") or []) + "]"]


def _node(obj: Document) -> list[Any]:
    info = obj.get("status", {}).get("nodeInfo") or {}
    return ["Ready", "<none>", _age(obj), info.get("kubeletVersion", "")]


def _role_reference(obj: Document) -> list[Any]:
    reference = obj.get("roleRef", {})
    return [f"{reference.get('kind')}/{reference.get('name')}", _age(obj)]


def _template(obj: Document) -> list[Any]:
    containers = obj["spec"]["template"]["spec"].get("containers") or []
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        ",".join(c.get("name", "") for c in containers),
        ",".join(c.get("image", "") for c in containers),
        ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>",
    ]


# name of the column, with a leading * when only -o wide shows it
_COLUMNS: dict[str, tuple[list[str], _Row]] = {
    "Service": (["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "*Selector"], _service),
    "Pod": (["Ready", "Status", "Restarts", "Age", "*IP", "*Node"], _pod),
    "Deployment": (
        ["Ready", "Up-to-date", "Available", "Age", "*Containers", "*Images", "*Selector"],
        lambda o: [
            f"{o.get('status', {}).get('readyReplicas', 0)}/{o['spec']['replicas']}",
            o.get("status", {}).get("updatedReplicas", 0),
            o.get("status", {}).get("availableReplicas", 0),
            _age(o),
            *_template(o),
        ],
    ),
    "ReplicaSet": (
        ["Desired", "Current", "Ready", "Age", "*Containers", "*Images", "*Selector"],
        lambda o: [
            o["spec"]["replicas"],
            o.get("status", {}).get("replicas", 0),
            o.get("status", {}).get("readyReplicas", 0),
            _age(o),
            *_template(o),
        ],
    ),
    "Endpoints": (["Endpoints", "Age"], _endpoints),
    "EndpointSlice": (["AddressType", "Ports", "Endpoints", "Age"], _slice),
    "Event": (["Last Seen", "Type", "Reason", "Object", "Message"], _event),
    "Namespace": (["Status", "Age"], lambda o: [o.get("status", {}).get("phase", "Active"), _age(o)]),
    "ConfigMap": (["Data", "Age"], lambda o: [len(o.get("data") or {}) + len(o.get("binaryData") or {}), _age(o)]),
    "Secret": (["Type", "Data", "Age"], lambda o: [o.get("type"), len(o.get("data") or {}), _age(o)]),
    "ServiceAccount": (["Secrets", "Age"], lambda o: [len(o.get("secrets") or []), _age(o)]),
    "Node": (["Status", "Roles", "Age", "Version"], _node),
    "RoleBinding": (["Role", "Age"], _role_reference),
    "ClusterRoleBinding": (["Role", "Age"], _role_reference),
    "Role": (["Created At"], lambda o: [o["metadata"].get("creationTimestamp")]),
    "ClusterRole": (["Created At"], lambda o: [o["metadata"].get("creationTimestamp")]),
    "IPAddressPool": (["Auto Assign", "Avoid Buggy IPs", "Addresses"], _pool),
}


def table(resource: Resource, objects: list[Document], meta: Document, include: str) -> Document:
    """Return a Table. `include` is Metadata (default), Object or None."""
    columns, row = _COLUMNS.get(resource.kind, (["Age"], lambda o: [_age(o)]))
    names = ["Name", *columns] if resource.kind != "Event" else columns
    definitions = [
        {
            "name": name.lstrip("*"),
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.startswith("*") else 0,
        }
        for name in names
    ]
    rows = []
    for obj in objects:
        cells = row(obj) if resource.kind == "Event" else [obj["metadata"]["name"], *row(obj)]
        entry: Document = {"cells": cells}
        if include == "Object":
            entry["object"] = obj
        elif include != "None":
            entry["object"] = partial(obj)
        rows.append(entry)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": rows,
    }


def partial(obj: Document) -> Document:
    """Return only the metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
