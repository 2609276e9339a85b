"""A plan in words for people: what happens to which Service, field by field, and what stops answering. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.hub.api import Json
from edge_expose_cloud.plan.model import Change, Plan
from edge_expose_cloud.plan.service_forecast import addresses_asked

SHORT: Final = 200
_VERBS: Final = {"create": "is created", "update": "changes", "delete": "is removed"}
_FIELDS: Final = {
    "spec.loadBalancerIP": "external address",
    "spec.type": "type",
    "spec.selector": "pods",
    "spec.loadBalancerSourceRanges": "clients that may connect",
    "spec.sessionAffinity": "session affinity",
    "spec.externalTrafficPolicy": "external traffic policy",
}


@dataclass(frozen=True, slots=True)
class Line:
    """`details` are (field, before, after), "" for nothing."""

    action: str
    what: str
    says: str
    details: tuple[tuple[str, str, str], ...]


def lines_of(plan: Plan) -> list[Line]:
    """Services first: they are what people asked for; the twin is how it is done."""
    changes = sorted(plan.changes, key=lambda change: change.kind != "Service")
    return [_line(change) for change in changes]


def _line(change: Change) -> Line:
    name = f"{change.namespace}/{change.name}" if change.namespace else change.name
    if change.kind == "Service":
        body = change.after or change.before or {}
        return Line(
            change.action, f"Service {name}", f"{_VERBS[change.action]}: {service_text(body)}", _details(change)
        )
    kinds = {"ModuleTwin": "Module twin", "Manifest": "Manifest", "Deployment": "Deployment"}
    return Line(
        change.action, f"{kinds[change.kind]} {name}", "is written" if change.after else "is removed", _details(change)
    )


def service_text(service: Json) -> str:
    """`LoadBalancer, 8080→80/tcp, address 10.0.0.1`."""
    spec = service.get("spec", {})
    parts = ["reachable from outside" if spec.get("type") == "LoadBalancer" else "inside the cluster"]
    parts += [
        f"{port['port']}→{port.get('targetPort', port['port'])}/{str(port.get('protocol', 'TCP')).lower()}"
        for port in spec.get("ports", [])
    ]
    if spec.get("type") == "LoadBalancer":
        parts.append(f"at {addresses_asked(service) or 'an address the device chooses'}")
    return ", ".join(parts)


def _details(change: Change) -> tuple[tuple[str, str, str], ...]:
    if change.before is None or change.after is None:
        return ()
    return tuple(differences(change.before, change.after))


def differences(before: Any, after: Any, path: str = "") -> list[tuple[str, str, str]]:
    """(field, before, after) of what differs, whole: a text that is cut would hide the very difference."""
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key in sorted(before.keys() | after.keys()):
            found += differences(before.get(key), after.get(key), f"{path}.{key}" if path else str(key))
        return found
    if before == after or path.startswith("metadata.labels"):
        return []
    return [(_FIELDS.get(path, path or "all of it"), *_either(before, after))]


def _either(before: Any, after: Any) -> tuple[str, str]:
    """Both in words; long lists without what both hold, which is only counted."""
    texts = text_of(before), text_of(after)
    if not isinstance(before, list) or not isinstance(after, list) or max(map(len, texts)) <= SHORT:
        return texts
    same = [item for item in before if item in after]
    left = [item for item in before if item not in same], [item for item in after if item not in same]
    if not any(left):
        return texts  # only their order differs
    rest = [f"and {len(same)} more that stay"] if same else []
    return text_of([*left[0], *rest]), text_of([*left[1], *rest])


def text_of(value: Any) -> str:
    """A JSON value as a person would write it."""
    match value:
        case None:
            return ""
        case bool():
            return "yes" if value else "no"
        case dict():
            return ", ".join(f"{key}: {text_of(item)}" for key, item in value.items())
        case list():
            return ", ".join(text_of(item) for item in value)
        case _:
            return str(value)


def short_text_of(value: Any) -> str:
    """The same, cut: for what is only shown, never for what is compared."""
    text = text_of(value)
    return text if len(text) <= SHORT else text[: SHORT - 1] + "…"
