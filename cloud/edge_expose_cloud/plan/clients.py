"""Who may connect to an exposure: everyone, or the networks it names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import collapse_addresses, ip_network
from typing import Any, Final

EVERYONE: Final = "everyone"


def is_open(exposure: Mapping[str, Any]) -> bool:
    """Whether an exposure as it stands in a document, valid or not, answers everyone who reaches the device."""
    if exposure.get("type", "LoadBalancer") != "LoadBalancer" or exposure.get("enabled", True) is False:
        return False
    allowed = exposure.get("allowFrom")
    ranges = [allowed] if isinstance(allowed, str) else allowed if isinstance(allowed, list) else []
    return is_everyone([str(item) for item in ranges])


def _networks(texts: Iterable[str], version: int) -> list[Any]:
    """The networks of one IP family, joined where they touch."""
    found: list[Any] = []
    for text in texts:
        try:
            network = ip_network(text, strict=False)
        except ValueError:
            continue  # written by somebody else; the device says what it makes of it
        if network.version == version:
            found.append(network)
    return list(collapse_addresses(found))


def is_everyone(ranges: Sequence[str]) -> bool:
    """No restriction, or one to the whole of an IP family."""
    return not ranges or any(network.prefixlen == 0 for version in (4, 6) for network in _networks(ranges, version))


def is_covered(network: str, by: Sequence[str]) -> bool:
    """Whether every address of the network is in one of the others."""
    return all(
        any(part.subnet_of(other) for other in _networks(by, part.version))
        for version in (4, 6)
        for part in _networks((network,), version)
    )
