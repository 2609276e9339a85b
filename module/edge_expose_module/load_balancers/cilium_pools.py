"""Cilium's address pools, from CiliumLoadBalancerIPPool objects. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from edge_expose_contract.addressing import AddressRange, AddressSet, parse_range
from edge_expose_contract.violations import RuleError
from edge_expose_module.load_balancers.pools import Allocation, Pool

# Labels that a pool's selector may name though no Service carries them.
_NAMESPACE: Final = "io.kubernetes.service.namespace"
_NAME: Final = "io.kubernetes.service.name"
_CONFLICT: Final = "cilium.io/PoolConflict"


def pools_from_objects(items: Iterable[Mapping[str, Any]], *, keeps_edges: bool) -> tuple[Pool, ...]:
    """Pools by name; a block that Cilium could not read either is left out.

    `keeps_edges`: without a word about it, the first and last address of a CIDR block are not given out (1.15).
    """
    ordered = sorted(items, key=lambda item: str(item["metadata"]["name"]))
    return tuple(_pool(item, keeps_edges=keeps_edges) for item in ordered)


def _pool(item: Mapping[str, Any], *, keeps_edges: bool) -> Pool:
    spec = item.get("spec") or {}
    word = spec.get("allowFirstLastIPs")
    edges = word == "Yes" or (word != "No" and not keeps_edges)
    blocks = (*(spec.get("cidrs") or ()), *(spec.get("blocks") or ()))
    return Pool(
        str(item["metadata"]["name"]),
        AddressSet.of([part for block in blocks for part in _ranges(block, edges=edges)]).merged(),
        # A disabled pool, and the newer of two that overlap, gives out nothing new; what is held there stays.
        auto_assign=not spec.get("disabled") and not _conflicts(item),
        allocation=_allocation(spec.get("serviceSelector")),
    )


def _ranges(block: Mapping[str, Any], *, edges: bool) -> Iterator[AddressRange]:
    cidr, start = str(block.get("cidr") or ""), str(block.get("start") or "")
    try:
        whole = parse_range(cidr or f"{start}-{block.get('stop') or start}")
        if cidr and not edges and int(whole.last) - int(whole.first) > 1:
            whole = AddressRange(whole.first + 1, whole.last - 1)
    except (RuleError, ValueError):
        return
    yield whole


def _conflicts(item: Mapping[str, Any]) -> bool:
    conditions = (item.get("status") or {}).get("conditions") or []
    return any(one.get("type") == _CONFLICT and one.get("status") == "True" for one in conditions)


def _allocation(selector: Mapping[str, Any] | None) -> Allocation | None:
    """Whom a selector serves. Of one that sees a Service's own name, only the rest is known."""
    if not selector:
        return None
    labels = dict(selector.get("matchLabels") or {})
    labels.pop(_NAME, None)
    namespaces = [frozenset({str(labels.pop(_NAMESPACE))})] if _NAMESPACE in labels else []
    expressions = []
    for expression in selector.get("matchExpressions") or ():
        if expression.get("key") == _NAMESPACE and expression.get("operator") == "In":
            namespaces.append(frozenset(map(str, expression.get("values") or ())))
        elif expression.get("key") not in (_NAMESPACE, _NAME):
            expressions.append(expression)
    rest = {"matchLabels": labels, "matchExpressions": expressions}
    return Allocation(
        namespaces=frozenset.intersection(*namespaces) if namespaces else frozenset(),
        service_selectors=(rest,) if labels or expressions else (),
    )
