"""How many external addresses a spec needs, shares, and has: before anything is sent. Pure.

One address serves all exposures of a share key, all that pin the same address, and both Services of a TCP+UDP exposure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_expose_cloud.spec import Network, Spec
from edge_expose_contract.addressing import Address, AddressSet
from edge_expose_contract.models import Exposure, Site


@dataclass(frozen=True, slots=True)
class AddressGroup:
    """Exposures that use one address; `address` is None while it is still to be chosen. One family each."""

    version: int
    exposures: tuple[str, ...]
    address: Address | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """Counts of addresses of one range. `overflow` names the first exposure that gets none."""

    ranges: str
    size: int
    reserved: int
    needed: int
    shared: int
    overflow: str | None

    @property
    def available(self) -> int:
        return self.size - self.reserved

    @property
    def free(self) -> int:
        return max(0, self.available - self.needed)

    def to_json(self) -> dict[str, object]:
        return {
            "ranges": self.ranges,
            "size": self.size,
            "needed": self.needed,
            "shared": self.shared,
            "reserved": self.reserved,
            "free": self.free,
            "overflow": self.overflow,
        }


def address_groups(exposures: Mapping[str, Exposure]) -> list[AddressGroup]:
    """Pinned ones first, then by name: the order in which addresses are given out."""
    members: dict[tuple[int, str], list[str]] = {}
    pinned: dict[tuple[int, str], Address] = {}
    shares: dict[tuple[int, str], str] = {}
    for _, exposure in sorted(exposures.items()):
        if exposure.share is not None:
            for address in exposure.addresses:
                shares.setdefault((address.version, exposure.share), f"address {address}")
    for name, exposure in sorted(exposures.items()):
        if not exposure.is_external or not exposure.enabled:
            continue
        by_version: dict[int, Address] = {address.version: address for address in exposure.addresses}
        for version in exposure.versions:
            own = by_version.get(version)
            key = f"exposure {name}"
            if own is not None:
                key = f"address {own}"
            elif exposure.share is not None:
                key = shares.get((version, exposure.share), f"share {exposure.share}")
            members.setdefault((version, key), []).append(name)
            if own is not None:
                pinned[version, key] = own
    groups = [
        AddressGroup(version, tuple(names), pinned.get((version, key))) for (version, key), names in members.items()
    ]
    return sorted(groups, key=lambda group: (group.address is None, group.version, group.exposures))


def capacity_of(spec: Spec) -> Capacity:
    """The capacity of `network.externalServiceIPs` for this spec (exposures of a named pool count there, not here)."""
    network = spec.network
    here = {name: exposure for name, exposure in spec.exposures.items() if exposure.pool is None}
    return capacity(network, here)


def capacity(network: Network | None, exposures: Mapping[str, Exposure], ranges: AddressSet | None = None) -> Capacity:
    """Counts for these exposures; `ranges` replaces the network's own range (a rehearsal of another range)."""
    pool = ranges if ranges is not None else network.external if network else AddressSet()
    reserved = set(network.reserved_addresses) if network else set()
    held_back = {address for address in reserved if address in pool}
    groups = address_groups(exposures)
    needed = len(groups)
    total = sum(len(group.exposures) for group in groups)
    return Capacity(
        ranges=str(pool),
        size=pool.size,
        reserved=len(held_back),
        needed=needed,
        shared=total - needed,
        overflow=_first_overflow(pool, held_back, groups) if pool else None,
    )


def _first_overflow(pool: AddressSet, reserved: set[Address], groups: Iterable[AddressGroup]) -> str | None:
    taken = set(reserved)
    for group in groups:
        if group.address is not None:
            taken.add(group.address)  # outside the range or reserved: another rule's business
            continue
        chosen = pool.lowest_free(taken, group.version)
        if chosen is None:
            return group.exposures[0]
        taken.add(chosen)
    return None


@dataclass(frozen=True, slots=True)
class Move:
    """What a range change does to one exposure."""

    exposure: str
    address: str
    why: str


def rehearse_range(network: Site | None, held: Mapping[str, Iterable[Address]], ranges: AddressSet) -> list[Move]:
    """Exposures whose held address would no longer be legal if the external range became `ranges`."""
    nodes = network.nodes if network else AddressSet()
    reserved = network.reserved_addresses if network else {}
    moves = []
    for name, addresses in sorted(held.items()):
        for address in addresses:
            if address not in ranges:
                moves.append(Move(name, str(address), f"outside {ranges}"))
            elif address in nodes:
                moves.append(Move(name, str(address), "a node IP"))
            elif address in reserved:
                moves.append(Move(name, str(address), f"reserved for {reserved[address]}"))
    return moves
