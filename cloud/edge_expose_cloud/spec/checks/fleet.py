"""Checks of an inventory across its devices. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.spec.inventory import Device, Inventory
from edge_expose_contract.addressing import AddressSet


def lint_fleet(inventory: Inventory) -> list[Finding]:
    """Ranges that two devices of one subnet both claim. Devices without `subnet` are not compared: sites far from each
    other may use the same private addresses."""
    claims: dict[str, list[tuple[int, int, int, str, str]]] = {}
    for name, device in sorted(inventory.devices.items()):
        if device.subnet is not None:
            claims.setdefault(device.subnet, []).extend(_claims(name, device))
    return [item for subnet, entries in sorted(claims.items()) for item in _overlaps(subnet, sorted(entries))]


def _claims(name: str, device: Device) -> Iterator[tuple[int, int, int, str, str]]:
    """(IP version, first, last, device, which range)."""
    if device.network is None:
        return
    ranges: Iterable[tuple[str, AddressSet]] = (
        ("externalServiceIPs", device.network.external),
        ("nodeIPs", device.network.nodes),
    )
    for kind, addresses in ranges:
        for part in addresses.ranges:
            yield part.version, int(part.first), int(part.last), name, kind


def _overlaps(subnet: str, entries: list[tuple[int, int, int, str, str]]) -> Iterator[Finding]:
    """A sweep in the order of first addresses, so that 10,000 devices take no longer than sorting them."""
    widest: tuple[int, int, int, str, str] | None = None
    for entry in entries:
        version, first, last, name, kind = entry
        if widest is not None and widest[0] == version and first <= widest[2] and name != widest[3]:
            yield finding(
                "FleetRangeOverlap",
                f"devices.{name}.network.{kind}",
                f"{kind} of {name} overlaps {widest[4]} of {widest[3]}, both on subnet {subnet}",
            )
        if widest is None or widest[0] != version or last > widest[2]:
            widest = entry
