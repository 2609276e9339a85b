"""Address pools of the fake load balancer: whom they serve, and how their objects look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import Address, AddressSet

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class FakePool:
    """`allocation` is `serviceAllocation` as it stands in the object; selectors are by `matchLabels` only."""

    addresses: AddressSet
    auto_assign: bool = True
    avoid_buggy: bool = False
    allocation: Mapping[str, Any] | None = None

    @classmethod
    def of(cls, ranges: str | Sequence[str], **more: Any) -> FakePool:
        return cls(AddressSet.parse(list(ranges) if not isinstance(ranges, str) else ranges), **more)

    def holds(self, address: Address) -> bool:
        avoided = self.avoid_buggy and address.version == 4 and int(address) & 0xFF in (0, 255)
        return address in self.addresses and not avoided

    @property
    def priority(self) -> int:
        """Where it stands among pools that serve a Service; without one it comes last."""
        return int((self.allocation or {}).get("priority") or 0) or 1 << 31

    def serves(self, namespace: str, service: Labels, namespaces: Mapping[str, Labels]) -> bool:
        """A namespace condition that matches no namespace at all is none, as in MetalLB."""
        rules = self.allocation or {}
        listed = {*(rules.get("namespaces") or []), *self._selected(rules, namespaces)}
        if listed and namespace not in listed:
            return False
        selectors = rules.get("serviceSelectors") or []
        return not selectors or any(_matches(selector, service) for selector in selectors)

    def is_chosen_for(self, namespace: str, service: Labels, namespaces: Mapping[str, Labels]) -> bool:
        """Whether it is drawn from for a Service that asks for nothing."""
        if self.allocation is None or not self.auto_assign:
            return self.auto_assign
        rules = self.allocation
        named = {*(rules.get("namespaces") or []), *self._selected(rules, namespaces)}
        conditions = [rules.get(key) for key in ("namespaces", "namespaceSelectors", "serviceSelectors")]
        unconditional = not any(conditions)
        meant = namespace in named or bool(rules.get("serviceSelectors")) or unconditional
        return meant and self.serves(namespace, service, namespaces)

    @staticmethod
    def _selected(rules: Mapping[str, Any], namespaces: Mapping[str, Labels]) -> set[str]:
        selectors = rules.get("namespaceSelectors") or []
        return {name for name, labels in namespaces.items() if any(_matches(one, labels) for one in selectors)}

    def spec(self) -> dict[str, Any]:
        """Of an IPAddressPool, with the API server's defaults."""
        found: dict[str, Any] = {"addresses": [str(part) for part in self.addresses.ranges]}
        found |= {"autoAssign": self.auto_assign, "avoidBuggyIPs": self.avoid_buggy}
        return found | ({} if self.allocation is None else {"serviceAllocation": dict(self.allocation)})

    def entry(self, name: str) -> dict[str, Any]:
        """Of the ConfigMap of MetalLB 0.10, which knows no restrictions."""
        assert self.allocation is None, "MetalLB 0.10 knows no serviceAllocation"
        found: dict[str, Any] = {"name": name, "protocol": "layer2"}
        found["addresses"] = [str(part) for part in self.addresses.ranges]
        more = {"auto-assign": self.auto_assign, "avoid-buggy-ips": self.avoid_buggy}
        return found | {key: value for key, value in more.items() if value is not (key == "auto-assign")}


def _matches(selector: Mapping[str, Any], labels: Labels) -> bool:
    assert set(selector) <= {"matchLabels"}, f"the fake knows matchLabels only: {selector}"
    return all(labels.get(key) == value for key, value in (selector.get("matchLabels") or {}).items())


def in_order(
    pools: Mapping[str, FakePool], namespace: str, service: Labels, namespaces: Mapping[str, Labels]
) -> list[tuple[str, FakePool]]:
    """Pools for a Service that asks for nothing: first those meant for it by priority, then those for everybody by
    name (MetalLB walks these in no order)."""
    fitting = [item for item in sorted(pools.items()) if item[1].is_chosen_for(namespace, service, namespaces)]
    meant = [item for item in fitting if item[1].allocation is not None]
    return sorted(meant, key=lambda item: item[1].priority) + [item for item in fitting if item[1].allocation is None]
