"""MetalLB's configuration: the pools it states, and why MetalLB would reject it. Pure.

MetalLB rejects a configuration as a whole and goes on with the one before, so a rule that one pool breaks is said
instead of guessed around. The rules are those of `internal/config` in 0.10.3 and 0.16.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_contract.addressing import Address, AddressRange, AddressSet, parse_range
from edge_expose_contract.violations import RuleError
from edge_expose_module.cluster.foreign_text import Unreadable, yaml_content
from edge_expose_module.load_balancers.pools import Allocation, Pool

_TOP_KEYS: Final = frozenset({"peers", "bgp-communities", "address-pools", "bfd-profiles"})
_POOL_KEYS: Final = frozenset({"protocol", "name", "addresses", "avoid-buggy-ips", "auto-assign", "bgp-advertisements"})
_PROTOCOLS: Final = frozenset({"layer2", "bgp"})


@dataclass(frozen=True, slots=True)
class Configuration:
    """`pools` are those that can be read; `error` is the first rule that the configuration breaks, empty when none."""

    pools: tuple[Pool, ...] = ()
    error: str = ""


class Rejected(Exception):
    """MetalLB would reject the configuration; the text names the pool and the rule."""


def from_objects(items: Sequence[Mapping[str, Any]]) -> Configuration:
    """IPAddressPool objects, sorted by name as MetalLB sorts them."""
    ordered = sorted(items, key=lambda item: str(item["metadata"]["name"]))
    return _collect(lambda item=item: _pool_of_object(item) for item in ordered)


def from_config_map(item: Mapping[str, Any], key: str = "config") -> Configuration:
    """The ConfigMap of 0.9 to 0.12, pools in file order."""
    where = f"ConfigMap {item['metadata']['name']}"
    try:
        content = yaml_content((item.get("data") or {}).get(key, ""))
    except Unreadable as error:
        return Configuration(error=f"{where} is not the YAML that MetalLB reads: {error}")
    if content is None:
        return Configuration()
    if not isinstance(content, dict):
        return Configuration(error=f"{where} is not an object of settings")
    unknown = sorted(str(key) for key in content.keys() - _TOP_KEYS)
    if unknown:
        return Configuration(error=f"{where} has a key that MetalLB does not know: {unknown[0]}")
    entries = content.get("address-pools") or []
    if not isinstance(entries, list):
        return Configuration(error=f"{where}: address-pools is not a list")
    return _collect(
        lambda entry=entry, place=place: _pool_of_entry(entry, place) for place, entry in enumerate(entries, 1)
    )


def left_out(pools: Iterable[Pool], before: Iterable[Pool] | None, held: Mapping[str, tuple[Address, ...]]) -> str:
    """Why a release that never takes an address away rejects `pools`: somebody holds an address they leave out.

    `before` are the pools in force, `held` the assigned addresses by Service. Addresses that no pool in force has were
    not given by this load balancer. On a new disk nobody knows which pools are in force (`before` is None): then any
    held address that the pools leave out says that they may not be these.
    """
    new = AddressSet.of(_ranges(pools))
    old = AddressSet.of(_ranges(before)) if before is not None else None
    for service, addresses in sorted(held.items()):
        for address in addresses:
            if address not in new and (old is None or address in old):
                return f"Service {service} holds {address}, which the new pools leave out; remove that Service first"
    return ""


def _collect(makers: Iterable[Any]) -> Configuration:
    pools: list[Pool] = []
    error = ""
    taken: list[tuple[str, AddressRange]] = []
    for make in makers:
        try:
            pool = make()
            if pool.name in {other.name for other in pools}:
                raise Rejected(f"pool {pool.name} is defined twice")
            for part in pool.addresses.ranges:
                other = next(((name, r) for name, r in taken if r.overlaps(part)), None)
                if other is not None:
                    raise Rejected(f"pool {pool.name}: {part} overlaps {other[1]} of pool {other[0]}")
                taken.append((pool.name, part))
            pools.append(pool)
        except Rejected as problem:
            error = error or str(problem)
    return Configuration(tuple(pools), error)


def _pool_of_object(item: Mapping[str, Any]) -> Pool:
    name, spec = str(item["metadata"]["name"]), item.get("spec") or {}
    return Pool(
        name,
        _addresses(name, spec.get("addresses")),
        spec.get("autoAssign", True) is not False,
        spec.get("avoidBuggyIPs") is True,
        _allocation(name, spec.get("serviceAllocation")),
    )


def _allocation(name: str, raw: Any) -> Allocation | None:
    if not isinstance(raw, Mapping):
        return None
    found: dict[str, tuple[Any, ...]] = {}
    for field in ("namespaces", "namespaceSelectors", "serviceSelectors"):
        entries = tuple(raw.get(field) or ())
        if any(entry in entries[:place] for place, entry in enumerate(entries)):
            raise Rejected(f"pool {name}: serviceAllocation.{field} names one entry twice")
        found[field] = entries
    return Allocation(
        int(raw.get("priority") or 0),
        frozenset(str(namespace) for namespace in found["namespaces"]),
        found["namespaceSelectors"],
        found["serviceSelectors"],
    )


def _pool_of_entry(entry: Any, place: int) -> Pool:
    if not isinstance(entry, dict):
        raise Rejected(f"address pool #{place} is not an object")
    name = str(entry.get("name") or "")
    if not name:
        raise Rejected(f"address pool #{place} has no name")
    unknown = sorted(str(key) for key in entry.keys() - _POOL_KEYS)
    if unknown:
        raise Rejected(f"pool {name} has a key that MetalLB does not know: {unknown[0]}")
    addresses = _addresses(name, entry.get("addresses"))
    protocol = entry.get("protocol")
    if not protocol:
        raise Rejected(f"pool {name} has no protocol; write layer2 or bgp")
    if str(protocol) not in _PROTOCOLS:
        raise Rejected(f"pool {name}: {protocol!r} is not a protocol; write layer2 or bgp")
    if protocol == "layer2" and entry.get("bgp-advertisements"):
        raise Rejected(f"pool {name}: a layer2 pool cannot have bgp-advertisements")
    return Pool(name, addresses, entry.get("auto-assign", True) is not False, entry.get("avoid-buggy-ips") is True)


def _addresses(name: str, raw: Any) -> AddressSet:
    if not isinstance(raw, list) or not raw:
        raise Rejected(f"pool {name} has no addresses")
    try:
        # Overlaps are looked for over all pools at once.
        return AddressSet.of([parse_range(text if isinstance(text, str) else str(text)) for text in raw])
    except RuleError as error:
        raise Rejected(f"pool {name}: {error.message}") from error


def _ranges(pools: Iterable[Pool]) -> list[AddressRange]:
    return [part for pool in pools for part in pool.addresses.ranges]
