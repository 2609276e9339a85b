"""Networks that endpoints may not lead into by default: everywhere, and those of the cluster as far as the module can
know them. Pure.

An IPv6 address can stand for an IPv4 address behind a translator or a tunnel, so both are looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Final

from edge_expose_contract.addressing import Address, AddressRange, parse_address, parse_range
from edge_expose_contract.violations import RuleError
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.desired.rails.model import Networks, host

_SERVICES = "the Service network beyond the cluster IPs seen"
_METADATA: Final = "the metadata service of clouds"

# Kubernetes itself takes no loopback and no link-local endpoints; clouds answer with credentials at some addresses.
EVERYWHERE: Final[tuple[tuple[AddressRange, str], ...]] = tuple(
    (parse_range(text), what)
    for text, what in (
        ("0.0.0.0/8", "the network of unspecified addresses"),
        ("::/128", "the network of unspecified addresses"),
        ("127.0.0.0/8", "the loopback network"),
        ("::1/128", "the loopback network"),
        ("169.254.169.254/32", _METADATA),
        ("168.63.129.16/32", _METADATA),
        ("100.100.100.200/32", _METADATA),
        ("192.0.0.192/32", _METADATA),
        ("fd00:ec2::254/128", _METADATA),
        ("fd20:ce::254/128", _METADATA),
        ("169.254.0.0/16", "the link-local network"),
        ("fe80::/10", "the link-local network"),
        ("224.0.0.0/4", "the multicast network"),
        ("ff00::/8", "the multicast network"),
        ("255.255.255.255/32", "the broadcast address"),
        ("240.0.0.0/4", "the reserved network"),
    )
)
_NAT64: Final = parse_range("64:ff9b::/96")
_LOCAL_NAT64: Final = parse_range("64:ff9b:1::/48")
_SIX_TO_FOUR: Final = parse_range("2002::/16")
_TEREDO: Final = parse_range("2001::/32")
# `::a.b.c.d` and `::ffff:0:a.b.c.d`; of `::ffff:a.b.c.d` nothing is left once an address is read.
_COMPATIBLE: Final = parse_range("::/96")
_TRANSLATED: Final = parse_range("::ffff:0:0:0/96")
TRANSLATORS: Final = (_NAT64, _LOCAL_NAT64, _SIX_TO_FOUR, _TEREDO, _COMPATIBLE, _TRANSLATED)
"""Networks whose addresses stand for IPv4 addresses."""
_ISATAP: Final = frozenset({0x00005EFE, 0x02005EFE})


def cluster_networks(
    api_server: Iterable[Address], services: Iterable[ObservedService], nodes: Iterable[Mapping[str, Any]] | None
) -> Networks:
    """`nodes` None: they may not be read, so nobody tells the pod network."""
    ranges = [(host(address), "the address of the API server") for address in api_server]
    for service in services:
        texts = [service.spec.get("clusterIP"), *(service.spec.get("clusterIPs") or [])]
        found = {address for text in texts if (address := _address(text)) is not None}
        name = f"the Service network (cluster IP of {service.namespace}/{service.name})"
        ranges += [(host(address), name) for address in sorted(found, key=int)]
    pods = _pod_networks(nodes or ())
    ranges += [(network, "the pod network") for network in pods]
    unknown = (_SERVICES,) if pods else ("the pod network", _SERVICES)
    return Networks(tuple(ranges), unknown)


def stands_for(address: Address) -> tuple[Address, ...]:
    """The address itself, and every IPv4 address that it may lead to."""
    return tuple(dict.fromkeys((address, *_embedded(address)))) if isinstance(address, IPv6Address) else (address,)


def _embedded(address: IPv6Address) -> Iterator[IPv4Address]:
    number = int(address)

    def bits(first: int, count: int) -> int:
        """From the left, as the standards number them."""
        return (number >> (128 - first - count)) & ((1 << count) - 1)

    low = bits(96, 32)
    if any(address in network for network in (_NAT64, _COMPATIBLE, _TRANSLATED)):
        yield IPv4Address(low)
    if address in _LOCAL_NAT64:
        # RFC 6052: prefixes of 48, 56 and 64 bits leave out bits 64 to 71. Nobody tells which prefix it is; what begins
        # with a zero is none.
        by_prefix = (bits(48, 16) << 16 | bits(72, 16), bits(56, 8) << 24 | bits(72, 24), bits(72, 32), low)
        yield from (IPv4Address(found) for found in by_prefix if found >> 24)
    if address in _SIX_TO_FOUR:
        yield IPv4Address(bits(16, 32))
    if address in _TEREDO:
        yield IPv4Address(bits(32, 32))
        yield IPv4Address(low ^ 0xFFFFFFFF)
    if bits(64, 32) in _ISATAP:
        yield IPv4Address(low)


def _pod_networks(nodes: Iterable[Mapping[str, Any]]) -> list[AddressRange]:
    texts: set[str] = set()
    for node in nodes:
        spec = node.get("spec") or {}
        texts.update(str(text) for text in (spec.get("podCIDR"), *(spec.get("podCIDRs") or [])) if text)
    found = []
    for text in sorted(texts):
        try:
            found.append(parse_range(text))
        except RuleError:
            continue
    return found


def _address(text: object) -> Address | None:
    try:
        return parse_address(text) if isinstance(text, str) else None
    except RuleError:
        return None  # a headless Service says "None"
