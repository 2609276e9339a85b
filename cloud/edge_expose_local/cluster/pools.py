"""Address pools: how MetalLB reads ranges and whole configurations, per version.

The accepted spellings are MetalLB's own (Go's parsers), which differ from Python's `ipaddress`: a bare address is an
error, host bits are dropped in silence, IPv4-mapped IPv6 is IPv4.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from .names import parse_ip
from .selectors import label_selector_matches

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class ConfigError(ValueError):
    """A configuration MetalLB refuses; the text is MetalLB's."""


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


def _bad_range(text: str, why: str) -> ConfigError:
    return ConfigError(f'invalid IP range "{text}": {why}')


def parse_element(text: str, *, legacy: bool) -> list[Network]:
    """Parse one address element: a range when it contains `-`, else a CIDR. Raises ConfigError."""
    if "-" not in text:
        return [_parse_cidr(text)]
    first_text, _, last_text = text.partition("-")
    first, last = parse_ip(first_text.strip()), parse_ip(last_text.strip())
    if first is None:
        raise _bad_range(text, f'invalid start IP "{first_text.strip()}"')
    if last is None:
        raise _bad_range(text, f'invalid end IP "{last_text.strip()}"')
    if first.version != last.version:
        if first.version == 4:
            return []
        raise _bad_range(text, f'start IP "{first}" is after the end IP "{last}"')
    if int(first) > int(last):
        if legacy:
            return []
        raise _bad_range(text, f'start IP "{first}" is after the end IP "{last}"')
    return list(ipaddress.summarize_address_range(first, last))


def _parse_cidr(text: str) -> Network:
    address_text, slash, bits = text.partition("/")
    error = ConfigError(f'invalid CIDR "{text}"')
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


def _networks(name: str, elements: Sequence[str], *, legacy: bool) -> tuple[Network, ...]:
    found: list[Network] = []
    for element in elements:
        try:
            found += parse_element(element, legacy=legacy)
        except ConfigError as error:
            raise ConfigError(f'invalid CIDR "{element}" in pool "{name}": {error}') from None
    return tuple(found)


def _no_overlap(pool: Pool, earlier: Sequence[Pool]) -> None:
    seen: list[Network] = [network for other in earlier for network in other.networks]
    for network in pool.networks:
        for other in seen:
            if network.version == other.version and network.overlaps(other):
                raise ConfigError(
                    f'CIDR "{network}" in pool "{pool.name}" overlaps with already defined CIDR "{other}"'
                )
        seen.append(network)


def parse_objects(objects: Sequence[Mapping[str, Any]], namespaces: Mapping[str, Mapping[str, str]]) -> Pools:
    """Read IPAddressPool objects (0.13 on). `namespaces` maps every namespace to its labels."""
    pools: list[Pool] = []
    for obj in sorted(objects, key=lambda o: str(o["metadata"]["name"])):
        name = str(obj["metadata"]["name"])
        spec = obj.get("spec") or {}
        if not spec.get("addresses"):
            raise ConfigError(f"parsing address pool {name}: pool has no prefixes defined")
        try:
            pool = Pool(
                name,
                _networks(name, spec["addresses"], legacy=False),
                spec.get("autoAssign") is not False,
                bool(spec.get("avoidBuggyIPs")),
                _allocation(spec.get("serviceAllocation"), namespaces),
            )
        except ConfigError as error:
            raise ConfigError(f"parsing address pool {name}: {error}") from None
        _no_overlap(pool, pools)
        pools.append(pool)
    return Pools({pool.name: pool for pool in pools})


def _allocation(spec: Any, namespaces: Mapping[str, Mapping[str, str]]) -> ServiceAllocation | None:
    if not spec:
        return None
    listed = spec.get("namespaces") or []
    if len(set(listed)) != len(listed):
        raise ConfigError("duplicate definition in namespaces")
    selectors = spec.get("namespaceSelectors") or []
    matched = {n for n, labels in namespaces.items() if any(label_selector_matches(s, labels) for s in selectors)}
    service_selectors = tuple(spec.get("serviceSelectors") or [])
    found = frozenset(listed) | frozenset(matched)
    unconditional = not listed and not selectors and not service_selectors
    if unconditional:  # priority alone matches every Service since 0.15
        service_selectors = ({},)
    return ServiceAllocation(int(spec.get("priority") or 0), found, service_selectors)


_TOP_KEYS = {"address-pools", "peers", "bgp-communities"}
_POOL_KEYS = {"name", "protocol", "addresses", "avoid-buggy-ips", "auto-assign", "bgp-advertisements"}


def parse_config_map(text: str) -> Pools:
    """Read the text of ConfigMap `config` (to 0.12)."""
    try:
        raw = yaml.safe_load(text) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"could not parse config: {error}") from None
    if not isinstance(raw, dict) or not set(raw) <= _TOP_KEYS:
        unknown = sorted(set(raw) - _TOP_KEYS) if isinstance(raw, dict) else []
        raise ConfigError(f"could not parse config: unknown fields {unknown}")
    pools: list[Pool] = []
    for number, entry in enumerate(raw.get("address-pools") or [], 1):
        if not isinstance(entry, dict) or not set(entry) <= _POOL_KEYS:
            raise ConfigError("could not parse config: unknown field in an address pool")
        try:
            pool = _legacy_pool(entry)
        except ConfigError as error:
            raise ConfigError(f"parsing address pool #{number}: {error}") from None
        if any(other.name == pool.name for other in pools):
            raise ConfigError(f'duplicate definition of pool "{pool.name}"')
        _no_overlap(pool, pools)
        pools.append(pool)
    return Pools({pool.name: pool for pool in pools})


def _legacy_pool(entry: Mapping[str, Any]) -> Pool:
    name, protocol = entry.get("name"), entry.get("protocol")
    if not name:
        raise ConfigError("missing pool name")
    if not entry.get("addresses"):
        raise ConfigError("pool has no prefixes defined")
    networks = _networks(str(name), [str(a) for a in entry["addresses"]], legacy=True)
    if not protocol:
        raise ConfigError("address pool is missing the protocol field")
    if protocol not in ("layer2", "bgp"):
        raise ConfigError(f'unknown protocol "{protocol}"')
    if protocol == "layer2" and entry.get("bgp-advertisements"):
        raise ConfigError("cannot have bgp-advertisements configuration element in a layer2 address pool")
    return Pool(str(name), networks, entry.get("auto-assign") is not False, bool(entry.get("avoid-buggy-ips")))
