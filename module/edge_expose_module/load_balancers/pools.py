"""Address pools and who may draw from them. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import AddressSet, parse_range
from edge_expose_contract.violations import RuleError


@dataclass(frozen=True, slots=True)
class Seeker:
    """A Service that draws from pools. `namespace_labels` is None where namespaces may not be read."""

    namespace: str
    labels: Mapping[str, str]
    namespace_labels: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Allocation:
    """Who a restricted pool serves: listed namespaces or those with matching labels, and Services with matching labels.

    `priority` orders pools, lowest first; 0 means last. Selectors are label selectors as the API writes them.
    """

    priority: int = 0
    namespaces: frozenset[str] = frozenset()
    namespace_selectors: tuple[Mapping[str, Any], ...] = ()
    service_selectors: tuple[Mapping[str, Any], ...] = ()

    def serves(self, seeker: Seeker) -> bool | None:
        """None where that depends on labels of the namespace that cannot be read."""
        in_namespace = self._serves_namespace(seeker)
        if self.service_selectors and not any(matches(selector, seeker.labels) for selector in self.service_selectors):
            return False
        return in_namespace

    def _serves_namespace(self, seeker: Seeker) -> bool | None:
        if not self.namespaces and not self.namespace_selectors:
            return True
        if seeker.namespace in self.namespaces:
            return True
        if not self.namespace_selectors:
            return False
        if seeker.namespace_labels is None:
            return None
        return any(matches(selector, seeker.namespace_labels) for selector in self.namespace_selectors)


@dataclass(frozen=True, slots=True)
class Pool:
    """One address pool. `allocation` is None where it serves everybody."""

    name: str
    addresses: AddressSet
    auto_assign: bool = True
    avoid_buggy: bool = False
    allocation: Allocation | None = None

    def serves(self, seeker: Seeker) -> bool | None:
        return True if self.allocation is None else self.allocation.serves(seeker)

    def to_json(self) -> dict[str, Any]:
        allocation = self.allocation
        return {
            "name": self.name,
            "addresses": [str(part) for part in self.addresses.ranges],
            "autoAssign": self.auto_assign,
            "avoidBuggyIPs": self.avoid_buggy,
            "allocation": None
            if allocation is None
            else {
                "priority": allocation.priority,
                "namespaces": sorted(allocation.namespaces),
                "namespaceSelectors": [dict(selector) for selector in allocation.namespace_selectors],
                "serviceSelectors": [dict(selector) for selector in allocation.service_selectors],
            },
        }


def pools_from_json(content: object) -> tuple[Pool, ...] | None:
    """What `Pool.to_json` wrote, or None when it is not that."""
    if not isinstance(content, list):
        return None
    try:
        return tuple(_pool_from_json(entry) for entry in content)
    except (AttributeError, KeyError, TypeError, ValueError, RuleError):
        return None


def _pool_from_json(entry: dict[str, Any]) -> Pool:
    raw = entry["allocation"]
    allocation = None
    if raw is not None:
        allocation = Allocation(
            int(raw["priority"]),
            frozenset(map(str, raw["namespaces"])),
            tuple(dict(selector) for selector in raw["namespaceSelectors"]),
            tuple(dict(selector) for selector in raw["serviceSelectors"]),
        )
    ranges = AddressSet.of([parse_range(text) for text in entry["addresses"]])
    return Pool(str(entry["name"]), ranges, bool(entry["autoAssign"]), bool(entry["avoidBuggyIPs"]), allocation)


def automatic_order(pools: Sequence[Pool], seeker: Seeker) -> tuple[Pool, ...]:
    """Pools from which a Service without a request gets its address: those restricted to it by ascending priority,
    then those for everybody; at the end those of which nobody can tell."""
    chosen = [pool for pool in pools if pool.auto_assign]
    own = [pool for pool in chosen if pool.allocation is not None and pool.serves(seeker)]
    unknown = [pool for pool in chosen if pool.serves(seeker) is None]
    own.sort(key=lambda pool: (pool.allocation.priority if pool.allocation else 0) or 1 << 31)
    return (*own, *(pool for pool in chosen if pool.allocation is None), *unknown)


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """A Kubernetes label selector with `matchLabels` and `matchExpressions`; an empty one matches everything."""
    wanted = selector.get("matchLabels") or {}
    if any(labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expression_holds(expression, labels) for expression in selector.get("matchExpressions") or ())


def _expression_holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or ()
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False
