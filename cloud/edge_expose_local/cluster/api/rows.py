"""What the columns of a `Table` say of one object, as kubectl get prints it."""

from __future__ import annotations

import datetime
import json
from typing import Any

from ..kinds.errors import Document

_ROLE = "node-role.kubernetes.io/"


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


def age_of(obj: Document) -> str:
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


def service(obj: Document) -> list[Any]:
    spec = obj.get("spec", {})
    return [
        spec.get("type"),
        spec.get("clusterIP") or "<none>",
        _external(obj),
        _ports(obj),
        age_of(obj),
        _selector(obj),
    ]


def pod(obj: Document) -> list[Any]:
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
    spec = obj.get("spec", {})
    true = {c.get("type") for c in status.get("conditions") or [] if c.get("status") == "True"}
    gates = [gate.get("conditionType") for gate in spec.get("readinessGates") or []]
    passed = f"{sum(gate in true for gate in gates)}/{len(gates)}" if gates else "<none>"
    where = [status.get("podIP"), spec.get("nodeName"), status.get("nominatedNodeName")]
    return [f"{ready}/{total}", text, restarts, age_of(obj), *(place or "<none>" for place in where), passed]


def endpoints(obj: Document) -> list[Any]:
    found = [
        f"{address['ip']}:{port['port']}"
        for subset in obj.get("subsets") or []
        for port in subset.get("ports") or []
        for address in subset.get("addresses") or []
    ]
    more = f" + {len(found) - 3} more..." if len(found) > 3 else ""
    return [",".join(found[:3]) + more or "<none>", age_of(obj)]


def endpoint_slice(obj: Document) -> list[Any]:
    ports = ",".join(str(p.get("port")) for p in obj.get("ports") or []) or "<unset>"
    addresses = [a for e in obj.get("endpoints") or [] for a in e.get("addresses") or []]
    return [obj.get("addressType"), ports, ",".join(addresses[:3]) or "<unset>", age_of(obj)]


def event(obj: Document) -> list[Any]:
    about, source = obj.get("involvedObject") or {}, obj.get("source") or {}
    named = f"{str(about.get('kind', '')).lower()}/{about.get('name', '')}"
    told = ", ".join(part for part in (source.get("component"), source.get("host")) if part)
    return [
        age(obj.get("lastTimestamp") or obj.get("eventTime")),
        obj.get("type", ""),
        obj.get("reason", ""),
        named,
        about.get("fieldPath", ""),
        told or obj.get("reportingComponent", ""),
        str(obj.get("message", "")).strip(),
        age(obj.get("firstTimestamp") or obj.get("eventTime")),
        obj.get("count") or 1,
        obj["metadata"]["name"],
    ]


def pool(obj: Document) -> list[Any]:
    spec = obj.get("spec", {})
    shown = [str(spec.get(f, False)).lower() for f in ("autoAssign", "avoidBuggyIPs")]
    return [*shown, listed(spec, "addresses")]


def listed(spec: Document, key: str) -> str:
    """A list as the column of a custom resource shows it; "" without one."""
    return json.dumps(spec[key], separators=(",", ":")) if spec.get(key) is not None else ""


def node(obj: Document) -> list[Any]:
    status = obj.get("status") or {}
    info = status.get("nodeInfo") or {}
    known = {c.get("type"): c.get("status") for c in status.get("conditions") or []}
    state = {"True": "Ready", "False": "NotReady"}.get(str(known.get("Ready")), "NotReady" if known else "Unknown")
    if obj.get("spec", {}).get("unschedulable"):
        state += ",SchedulingDisabled"
    labels = obj["metadata"].get("labels") or {}
    roles = {key.removeprefix(_ROLE) for key in labels if key.startswith(_ROLE)} | {labels.get("kubernetes.io/role")}
    shown = ",".join(sorted(role for role in roles if role)) or "<none>"
    addresses = {a.get("type"): a.get("address") for a in reversed(status.get("addresses") or [])}
    reached = [addresses.get(kind) or "<none>" for kind in ("InternalIP", "ExternalIP")]
    made = [info.get(key) or "<unknown>" for key in ("osImage", "kernelVersion", "containerRuntimeVersion")]
    return [state, shown, age_of(obj), info.get("kubeletVersion", ""), *reached, *made]


def binding(obj: Document) -> list[Any]:
    reference, subjects = obj.get("roleRef", {}), obj.get("subjects") or []
    named = {kind: [s["name"] for s in subjects if s.get("kind") == kind] for kind in ("User", "Group")}
    accounts = [f"{s.get('namespace', '')}/{s['name']}" for s in subjects if s.get("kind") == "ServiceAccount"]
    shown = [", ".join(names) for names in (named["User"], named["Group"], accounts)]
    return [f"{reference.get('kind')}/{reference.get('name')}", age_of(obj), *shown]


def template(obj: Document) -> list[Any]:
    containers = obj["spec"]["template"]["spec"].get("containers") or []
    labels = (obj["spec"].get("selector") or {}).get("matchLabels") or {}
    return [
        ",".join(c.get("name", "") for c in containers),
        ",".join(c.get("image", "") for c in containers),
        ",".join(f"{k}={v}" for k, v in sorted(labels.items())) or "<none>",
    ]
