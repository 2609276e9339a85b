"""`Table` answers: the columns kubectl get prints."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..kinds.errors import Document
from ..kinds.resources import Resource
from . import rows

_Row = Callable[[Document], list[Any]]
_ADVERTISED = ("ipAddressPools", "ipAddressPoolSelectors", "interfaces", "nodeSelectors")
# name of the column, with a leading * when only -o wide shows it
_COLUMNS: dict[str, tuple[list[str], _Row]] = {
    "Service": (["Type", "Cluster-IP", "External-IP", "Port(s)", "Age", "*Selector"], rows.service),
    "Pod": (
        ["Ready", "Status", "Restarts", "Age", "*IP", "*Node", "*Nominated Node", "*Readiness Gates"],
        rows.pod,
    ),
    "Deployment": (
        ["Ready", "Up-to-date", "Available", "Age", "*Containers", "*Images", "*Selector"],
        lambda o: [
            f"{o.get('status', {}).get('readyReplicas', 0)}/{o['spec']['replicas']}",
            o.get("status", {}).get("updatedReplicas", 0),
            o.get("status", {}).get("availableReplicas", 0),
            rows.age_of(o),
            *rows.template(o),
        ],
    ),
    "ReplicaSet": (
        ["Desired", "Current", "Ready", "Age", "*Containers", "*Images", "*Selector"],
        lambda o: [
            o["spec"]["replicas"],
            o.get("status", {}).get("replicas", 0),
            o.get("status", {}).get("readyReplicas", 0),
            rows.age_of(o),
            *rows.template(o),
        ],
    ),
    "Endpoints": (["Endpoints", "Age"], rows.endpoints),
    "EndpointSlice": (["AddressType", "Ports", "Endpoints", "Age"], rows.endpoint_slice),
    "Event": (
        [
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "*Subobject",
            "*Source",
            "Message",
            "*First Seen",
            "*Count",
            "*Name",
        ],
        rows.event,
    ),
    "Namespace": (["Status", "Age"], lambda o: [o.get("status", {}).get("phase", "Active"), rows.age_of(o)]),
    "ConfigMap": (
        ["Data", "Age"],
        lambda o: [len(o.get("data") or {}) + len(o.get("binaryData") or {}), rows.age_of(o)],
    ),
    "Secret": (["Type", "Data", "Age"], lambda o: [o.get("type"), len(o.get("data") or {}), rows.age_of(o)]),
    "ServiceAccount": (["Secrets", "Age"], lambda o: [len(o.get("secrets") or []), rows.age_of(o)]),
    "Lease": (["Holder", "Age"], lambda o: [(o.get("spec") or {}).get("holderIdentity", ""), rows.age_of(o)]),
    "Node": (
        [
            "Status",
            "Roles",
            "Age",
            "Version",
            "*Internal-IP",
            "*External-IP",
            "*OS-Image",
            "*Kernel-Version",
            "*Container-Runtime",
        ],
        rows.node,
    ),
    "RoleBinding": (["Role", "Age", "*Users", "*Groups", "*ServiceAccounts"], rows.binding),
    "ClusterRoleBinding": (["Role", "Age", "*Users", "*Groups", "*ServiceAccounts"], rows.binding),
    "Role": (["Created At"], lambda o: [o["metadata"].get("creationTimestamp")]),
    "ClusterRole": (["Created At"], lambda o: [o["metadata"].get("creationTimestamp")]),
    "IPAddressPool": (["Auto Assign", "Avoid Buggy IPs", "Addresses"], rows.pool),
    "L2Advertisement": (
        ["IPAddressPools", "IPAddressPool Selectors", "Interfaces", "*Node Selectors"],
        lambda o: [rows.listed(o.get("spec") or {}, key) for key in _ADVERTISED],
    ),
    "ConfigurationState": (
        ["Result", "ErrorSummary", "Age"],
        lambda o: [*((o.get("status") or {}).get(key, "") for key in ("result", "errorSummary")), rows.age_of(o)],
    ),
}


_NEW_COLUMNS: dict[str, tuple[list[str], _Row]] = {"ServiceAccount": (["Age"], lambda o: [rows.age_of(o)])}


def table(resource: Resource, objects: list[Document], meta: Document, include: str, *, old: bool) -> Document:
    """Return a Table. `include` is Metadata (default), Object or None; `old`: as before Kubernetes 1.24."""
    known = _COLUMNS if old else _COLUMNS | _NEW_COLUMNS
    columns, row = known.get(resource.kind, (["Age"], lambda o: [rows.age_of(o)]))
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
    lines = []
    for obj in objects:
        cells = row(obj) if resource.kind == "Event" else [obj["metadata"]["name"], *row(obj)]
        entry: Document = {"cells": cells}
        if include == "Object":
            entry["object"] = obj
        elif include != "None":
            entry["object"] = partial(obj)
        lines.append(entry)
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": meta,
        "columnDefinitions": definitions,
        "rows": lines,
    }


def partial(obj: Document) -> Document:
    """Return only the metadata of an object."""
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}
