"""Declared against observed: the changes that make them equal, as data. Pure, sorted, and empty when nothing differs.

Only fields we declare are compared; what the cluster owns (clusterIP, nodePorts, other people's annotations) stays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import EDGE_DEVICE_LABEL, LABEL_CLAIM, LABEL_EXPOSURE, LABEL_MANAGED_BY, LABEL_OWNER
from edge_expose_module.cluster.service import NOTES, ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.services import node_ports
from edge_expose_module.services.render import DeclaredService


class Verb(StrEnum):
    CREATE = "create"
    PATCH = "patch"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Change:
    """One write. `body` is the object to create or the JSON merge patch; a deletion carries the uid it means, and as
    `body` what takes its place: a Service that serves goes only when the API server would accept its successor.
    """

    verb: Verb
    kind: str
    namespace: str
    name: str
    exposure: str
    why: str
    body: Mapping[str, Any] | None = None
    uid: str = ""

    def sort_key(self) -> tuple[int, str, str, str]:
        order = {Verb.DELETE: 0, Verb.PATCH: 1, Verb.CREATE: 2}
        return (order[self.verb], self.kind, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Plan:
    """Changes in the order they are applied: what frees comes before what takes.

    `together` are exposures that move to one address: their Services are changed only when the API server would take
    each of those changes. `rings` are whole changes of Services that exchange ports: the API server would have to take
    all of one before the first of them is begun.
    """

    changes: tuple[Change, ...] = ()
    together: tuple[frozenset[str], ...] = ()
    rings: tuple[tuple[Change, ...], ...] = ()

    def patches(self) -> tuple[Change, ...]:
        """Of Services that are there."""
        return tuple(change for change in self.changes if change.verb is Verb.PATCH and change.kind == "Service")

    @property
    def drift(self) -> int:
        return sum(change.verb is Verb.PATCH for change in self.changes)


def plan(
    declared: Sequence[DeclaredService],
    companions: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
    observed: Observed,
    owner: str,
    keep: frozenset[str],
) -> Plan:
    """`companions` holds the EndpointSlices or Endpoints of a Service by (namespace, name); `keep` names exposures
    whose objects stay whatever the declaration says. Services of others under a declared name are not touched here:
    the caller leaves those out of `declared`.
    """
    changes: list[Change] = []
    wanted: set[tuple[str, str]] = set()
    coming: dict[str, DeclaredService] = {}
    for service in declared:
        key = (service.namespace, service.name)
        wanted.add(key)
        if key not in observed.services:
            coming.setdefault(service.exposure, service)
        request_keys = observed.load_balancer_for(service.spec.get("loadBalancerClass")).request_keys
        changes.extend(_service_changes(service, observed.services.get(key), request_keys))
    for claim in observed.claims(owner):
        if claim.key not in wanted and not claim.deleting:
            changes.append(_deletion(claim, "nothing to ask for any more", None))
    for existing in observed.owned(owner):
        if existing.key not in wanted and existing.exposure not in keep and not existing.deleting:
            changes.append(_deletion(existing, "not declared any more", coming.get(existing.exposure or "")))
    changes.extend(_companion_changes(companions, observed, keep))
    return Plan(tuple(sorted(changes, key=Change.sort_key)))


# What decides which address a Service has, by itself; the rest does where an address is shared.
_REQUEST: Final = frozenset({"type", "loadBalancerIP", "loadBalancerClass", "ipFamilies", "ipFamilyPolicy"})


def gives_up(plan: Plan, observed: Observed) -> bool:
    """Whether a change may cost a Service the address it has: it is deleted, asks for another one, or changes in a way
    that whoever shares the address has to agree with."""
    holders = observed.holders()
    return any(_may_cost(change, observed, holders) for change in plan.changes if change.kind == "Service")


def _may_cost(change: Change, observed: Observed, holders: Mapping[Address, Sequence[ObservedService]]) -> bool:
    existing = observed.services.get((change.namespace, change.name))
    if change.verb is Verb.CREATE or existing is None or not existing.is_load_balancer:
        return change.verb is Verb.DELETE
    is_shared = any(len(holders[address]) > 1 for address in existing.assigned)
    return change.verb is Verb.DELETE or is_shared or touches_request(change)


def touches_request(change: Change) -> bool:
    """Whether a patch may change what a Service asks of its load balancer, or which pools serve it. Our own notes on it
    ask for nothing."""
    body = change.body or {}
    metadata = body.get("metadata") or {}
    annotations = [key for key in metadata.get("annotations") or () if not key.startswith(NOTES)]
    return bool(metadata.get("labels") or annotations or _REQUEST & (body.get("spec") or {}).keys())


def _deletion(service: ObservedService, why: str, successor: DeclaredService | None) -> Change:
    body = successor.body() if successor is not None else None
    exposure = service.exposure or ""
    return Change(Verb.DELETE, "Service", service.namespace, service.name, exposure, why, body, service.uid)


def _service_changes(
    service: DeclaredService, existing: ObservedService | None, request_keys: frozenset[str]
) -> Iterable[Change]:
    create = Change(
        Verb.CREATE, "Service", service.namespace, service.name, service.exposure, "missing", service.body()
    )
    if existing is None:
        return [create]
    if existing.deleting:
        return []  # it must be gone before it can come back; the next pass creates it
    reason = _why_recreate(service, existing)
    if reason:
        return [_deletion(existing, reason, service)]
    patch = service_patch(service, existing, request_keys)
    if patch is None:
        return []
    body = {**patch, "metadata": {**patch.get("metadata", {}), "resourceVersion": existing.resource_version}}
    sections = dict.fromkeys(field.partition("[")[0] for field in changed_fields(patch))
    why = "differs in " + ", ".join(sections)
    return [Change(Verb.PATCH, "Service", service.namespace, service.name, service.exposure, why, body, existing.uid)]


def _why_recreate(service: DeclaredService, existing: ObservedService) -> str:
    """Fields that cannot change in place."""
    spec = existing.spec
    if existing.is_claim and service.exposure != existing.exposure:
        return "a claim of another exposure has its name"
    if existing.is_load_balancer and service.spec["type"] == "LoadBalancer":
        now, then = spec.get("loadBalancerClass"), service.spec.get("loadBalancerClass")
        if now != then:
            return "loadBalancerClass cannot change in place"
    if spec.get("clusterIP") == "None" and service.spec["type"] == "LoadBalancer":
        return "a headless Service cannot become a LoadBalancer"
    families = service.spec.get("ipFamilies")
    if families and spec.get("ipFamilies") and families[0] != spec["ipFamilies"][0]:
        return "the primary IP family cannot change in place"
    return ""


def service_patch(
    service: DeclaredService, existing: ObservedService, request_keys: frozenset[str] = frozenset()
) -> dict[str, Any] | None:
    """The JSON merge patch that makes `existing` equal `service` in all declared fields, or None.

    `request_keys` are annotations that only a request to the load balancer uses: one that is not declared goes.
    """
    metadata: dict[str, Any] = {}
    # edgeAgent deletes what carries the device label, and the label of a claim is no other Service's, whoever put them
    # there.
    never = {EDGE_DEVICE_LABEL, LABEL_CLAIM}
    labels = _map_patch(service.labels, existing.labels, {*_formerly(existing, "labels"), *never})
    if labels:
        metadata["labels"] = labels
    annotations = _map_patch(
        service.annotations, existing.annotations, {*_formerly(existing, "annotations"), *request_keys}
    )
    if annotations:
        metadata["annotations"] = annotations
    spec = _spec_patch(service.spec, existing)
    patch: dict[str, Any] = {}
    if metadata:
        patch["metadata"] = metadata
    if spec:
        patch["spec"] = spec
    return patch or None


def _formerly(existing: ObservedService, what: str) -> set[str]:
    """Keys we declared before, from our own note on the Service."""
    return set(existing.noted(what)) - {LABEL_MANAGED_BY, LABEL_OWNER, LABEL_EXPOSURE}


def _map_patch(declared: Mapping[str, str], existing: Mapping[str, str], former: set[str]) -> dict[str, str | None]:
    patch: dict[str, str | None] = {key: value for key, value in sorted(declared.items()) if existing.get(key) != value}
    patch.update({key: None for key in sorted(former) if key in existing and key not in declared})
    return patch


def _spec_patch(declared: Mapping[str, Any], existing: ObservedService) -> dict[str, Any]:
    spec = existing.spec
    patch: dict[str, Any] = {}
    for key, value in declared.items():
        if key == "ports":
            continue
        current = spec.get(key)
        if key == "selector":
            _selector_patch(patch, value or {}, current or {})
        elif value is None:
            if current not in (None, "", []):
                patch[key] = None
        elif current != value:
            patch[key] = value
    if patch.get("sessionAffinity") == "None" and spec.get("sessionAffinityConfig"):
        patch["sessionAffinityConfig"] = None
    ports = spec.get("ports") or []
    if _plain_ports(ports) != _plain_ports(declared["ports"]) or node_ports.has_open_ports(declared, ports):
        keeps = node_ports.keeps_node_ports(declared)
        patch["ports"] = _ports_with_node_ports(declared["ports"], ports if keeps else [])
    return patch


def _selector_patch(patch: dict[str, Any], declared: Mapping[str, str], current: Mapping[str, str]) -> None:
    # A merge patch merges the selector, so keys that must go are named.
    if declared == current:
        return
    gone = {key: None for key in current if key not in declared}
    patch["selector"] = {**declared, **gone} if declared else None


def _plain_ports(ports: Sequence[Mapping[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted(
        (
            str(port.get("protocol", "TCP")),
            int(port["port"]),
            str(port.get("targetPort", port["port"])),
            str(port.get("name", "")),
            str(port.get("appProtocol") or ""),
        )
        for port in ports
    )


def _ports_with_node_ports(
    declared: Sequence[Mapping[str, Any]], existing: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """The whole list, since a merge patch replaces lists; node ports are carried over by protocol and port."""
    known = {(port.get("protocol", "TCP"), port["port"]): port["nodePort"] for port in existing if port.get("nodePort")}
    result = []
    for port in declared:
        entry = dict(port)
        node_port = known.get((entry["protocol"], entry["port"]))
        if node_port:
            entry["nodePort"] = node_port
        result.append(entry)
    return result


def changed_fields(patch: Mapping[str, Any]) -> tuple[str, ...]:
    """Dotted names of what a patch changes, without what every patch carries."""
    found: list[str] = []
    for section, content in sorted(patch.items()):
        for key, value in content.items():
            if (section, key) == ("metadata", "resourceVersion"):
                continue
            below = value if section == "metadata" and isinstance(value, Mapping) else {}
            found.extend(f"{section}.{key}[{name}]" for name in sorted(below))
            if not below:
                found.append(f"{section}.{key}")
    return tuple(found)


def _companion_changes(
    companions: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]], observed: Observed, keep: frozenset[str]
) -> Iterable[Change]:
    wanted: dict[tuple[str, str, str], Mapping[str, Any]] = {}
    for bodies in companions.values():
        for body in bodies:
            meta = body["metadata"]
            wanted[(body["kind"], meta["namespace"], meta["name"])] = body
    for (kind, namespace, name), body in wanted.items():
        existing = observed.companions.get((kind, namespace, name))
        exposure = body["metadata"]["labels"][LABEL_EXPOSURE]
        if existing is None:
            yield Change(Verb.CREATE, kind, namespace, name, exposure, "missing", body)
            continue
        content = {key: body[key] for key in ("endpoints", "ports", "subsets") if key in body}
        if not all(_covers(existing.get(key), value) for key, value in content.items()):
            version = existing["metadata"].get("resourceVersion", "")
            patch = {**content, "metadata": {"labels": body["metadata"]["labels"], "resourceVersion": version}}
            yield Change(Verb.PATCH, kind, namespace, name, exposure, "endpoints differ", patch)
    for (kind, namespace, name), existing in observed.companions.items():
        exposure = (existing["metadata"].get("labels") or {}).get(LABEL_EXPOSURE, "")
        if (kind, namespace, name) not in wanted and exposure not in keep:
            uid = existing["metadata"].get("uid", "")
            yield Change(Verb.DELETE, kind, namespace, name, exposure, "not declared any more", uid=uid)


def _covers(existing: Any, declared: Any) -> bool:
    """Whether everything declared stands in what exists; the API adds defaults that do not count as a difference."""
    if isinstance(declared, Mapping):
        return isinstance(existing, Mapping) and all(
            _covers(existing.get(key), value) for key, value in declared.items()
        )
    if isinstance(declared, list):
        return (
            isinstance(existing, list)
            and len(existing) == len(declared)
            and all(_covers(a, b) for a, b in zip(existing, declared, strict=True))
        )
    return bool(existing == declared)
