"""Client addresses: what counts as one client, and which addresses are proxies. No I/O."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def plain_address(text: str) -> str:
    """An address as everybody writes it, `::ffff:10.0.0.1` as 10.0.0.1; "unknown" for what is none."""
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return "unknown"
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return str(mapped or address)


def throttle_key(text: str) -> str:
    """The client that an address stands for: with IPv6 everybody has a whole /64 to come from."""
    plain = plain_address(text)
    if ":" not in plain:
        return plain
    return str(ipaddress.ip_network((plain.partition("%")[0], 64), strict=False))


def is_inside(text: str, networks: Iterable[Network]) -> bool:
    plain = plain_address(text)
    return plain != "unknown" and any(ipaddress.ip_address(plain) in network for network in networks)
