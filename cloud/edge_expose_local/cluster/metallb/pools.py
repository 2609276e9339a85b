"""Address pools: how MetalLB reads ranges and whole configurations, per version.

The accepted spellings are MetalLB's own (Go's parsers), which differ from Python's `ipaddress`: a bare address is an
error, host bits are dropped in silence, IPv4-mapped IPv6 is IPv4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..kinds.names import parse_ip
from ..kinds.selectors import label_selector_matches
from .answers import Refused

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ConfigError(Refused):
    """A configuration MetalLB rejects."""


@dataclass(frozen=True, slots=True)
class ServiceAllocation:
    """Who a pool is for. `namespaces` is already resolved (names and selectors)."""

    priority: int
    namespaces: frozenset[str]
    service_selectors: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True)
class Pool:
    """One address pool; `networks` in listed order, each range as its minimal ascending CIDRs."""

    name: str
    networks: tuple[Network, ...]
    auto_assign: bool = True
    avoid_buggy_ips: bool = False
    allocation: ServiceAllocation | None = None

    def holds(self, address: Address) -> bool:
        """Tell whether an address belongs to this pool and may be handed out."""
        if self.avoid_buggy_ips and confuses_firmware(address):
            return False
        return any(address.version == n.version and address in n for n in self.networks)

    def addresses(self, version: int) -> Iterator[Address]:
        """Return usable addresses of a family in the order they are handed out."""
        for network in self.networks:
            if network.version != version:
                continue
            for number in range(int(network.network_address), int(network.broadcast_address) + 1):
                address = type(network.network_address)(number)
                if not (self.avoid_buggy_ips and confuses_firmware(address)):
                    yield address


@dataclass(frozen=True, slots=True)
class Pools:
    """A whole valid configuration."""

    by_name: dict[str, Pool] = field(default_factory=dict)


def confuses_firmware(address: Address) -> bool:
    """Tell whether avoidBuggyIPs skips an address (.0 and .255 of IPv4)."""
    return address.version == 4 and int(address) & 0xFF in (0, 255)


def parse_element(text: str, *, legacy: bool) -> list[Network]:
    """Parse one address element: a range when it contains `-`, else a CIDR. Raises ConfigError."""
    if "-" not in text:
        return [_parse_cidr(text)]
    first_text, _, last_text = (part.strip() for part in text.partition("-"))
    first, last = parse_ip(first_text), parse_ip(last_text)
    if first is None:
        situation = "element-range-with-bad-start" if first_text else "element-range-without-start"
        raise ConfigError(situation, element=text, first=first_text)
    if last is None:
        situation = "element-short-range-end" if last_text else "element-range-without-end"
        raise ConfigError(situation, element=text, last=last_text)
    if first.version != last.version and (legacy or first.version == 4):
        return []
    if first.version != last.version or int(first) > int(last):
        if legacy:
            return []
        raise ConfigError("element-reversed-range", element=text, first=first, last=last)
    return list(ipaddress.summarize_address_range(first, last))


def _parse_cidr(text: str) -> Network:
    address_text, slash, bits = text.partition("/")
    error = ConfigError("element-bare-address", element=text)
    if not slash or not bits.isdigit() or (len(bits) > 1 and bits[0] == "0"):
        raise error
    try:
        address = ipaddress.ip_address(address_text)
    except ValueError:
        raise error from None
    length = int(bits)
    if length > address.max_prefixlen or (isinstance(address, ipaddress.IPv6Address) and address.scope_id):
        raise error
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None and length >= 96:
        return ipaddress.ip_network(f"{address.ipv4_mapped}/{length - 96}", strict=False)
    return ipaddress.ip_network(f"{address}/{length}", strict=False)


def networks_of(elements: Sequence[str], *, legacy: bool) -> tuple[Network, ...]:
    """The networks of a pool's elements, in order."""
    return tuple(network for element in elements for network in parse_element(element, legacy=legacy))


def check_overlap(pool: Pool, earlier: Sequence[Pool]) -> None:
    """Refuse a pool that has an address twice, or one of another pool."""
    seen = [(other.name, network) for other in earlier for network in other.networks]
    for network in pool.networks:
        for owner, other in seen:
            if network.version == other.version and network.overlaps(other):
                values = {"cidr": other, "other_cidr": network}
                if owner == pool.name:
                    raise ConfigError("pool-overlaps-itself", pool=pool.name, **values)
                raise ConfigError("pools-overlap", pool=owner, other=pool.name, **values)
        seen.append((pool.name, network))


def parse_objects(objects: Sequence[Mapping[str, Any]], namespaces: Mapping[str, Mapping[str, str]]) -> Pools:
    """Read IPAddressPool objects (0.13 on). `namespaces` maps every namespace to its labels."""
    pools: list[Pool] = []
    for obj in sorted(objects, key=lambda o: str(o["metadata"]["name"])):
        name = str(obj["metadata"]["name"])
        spec = obj.get("spec") or {}
        try:
            pool = _pool_of(name, spec, namespaces)
        except ConfigError as error:
            error.values.setdefault("pool", name)
            raise
        check_overlap(pool, pools)
        pools.append(pool)
    return Pools({pool.name: pool for pool in pools})


def _pool_of(name: str, spec: Mapping[str, Any], namespaces: Mapping[str, Mapping[str, str]]) -> Pool:
    if not spec.get("addresses"):
        raise ConfigError("pool-without-addresses")
    return Pool(
        name,
        networks_of(spec["addresses"], legacy=False),
        spec.get("autoAssign") is not False,
        bool(spec.get("avoidBuggyIPs")),
        _allocation(spec.get("serviceAllocation"), namespaces),
    )


def _allocation(spec: Any, namespaces: Mapping[str, Mapping[str, str]]) -> ServiceAllocation | None:
    if spec is None:
        return None
    listed = spec.get("namespaces") or []
    if len(set(listed)) != len(listed):
        raise ConfigError("pool-allocation-repeats-namespace")
    selectors = spec.get("namespaceSelectors") or []
    service_selectors = tuple(spec.get("serviceSelectors") or [])
    for field_name, found in (("namespaceSelectors", selectors), ("serviceSelectors", service_selectors)):
        _check_repeated(field_name, found)
    _check_operators(service_selectors)
    matched = {n for n, labels in namespaces.items() if any(label_selector_matches(s, labels) for s in selectors)}
    unconditional = not listed and not selectors and not service_selectors
    if unconditional:  # priority alone matches every Service since 0.15
        service_selectors = ({},)
    return ServiceAllocation(int(spec.get("priority") or 0), frozenset(listed) | matched, service_selectors)


def _check_repeated(field_name: str, selectors: Sequence[Mapping[str, Any]]) -> None:
    seen: list[Mapping[str, Any]] = []
    for selector in selectors:
        if selector in seen and not selector.get("matchExpressions"):
            labels = " ".join(
                f'"{key}":"{value}"' for key, value in sorted((selector.get("matchLabels") or {}).items())
            )
            shown = "{map[" + labels + "] []}"
            raise ConfigError("pool-allocation-repeats-selector", field=field_name, selector=shown)
        seen.append(selector)


def _check_operators(selectors: Sequence[Mapping[str, Any]]) -> None:
    for selector in selectors:
        for one in selector.get("matchExpressions") or []:
            operator = str(one.get("operator"))
            if operator not in ("In", "NotIn", "Exists", "DoesNotExist"):
                shown = "{map[] [{" + f"{one.get('key')} {operator} [" + " ".join(one.get("values") or []) + "]}]}"
                raise ConfigError("pool-allocation-with-bad-selector", operator=operator, selector=shown)
