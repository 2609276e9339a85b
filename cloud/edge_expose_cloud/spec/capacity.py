"""How many external addresses a spec needs, shares, and has: before anything is sent. Pure.

One address serves all exposures of a share key, all that pin the same address, and both Services of a TCP+UDP exposure.
Addresses are given out in the order in which the module does it on an empty cluster: pins first, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_expose_contract.addressing import Address, AddressRange, AddressSet
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.services import families_from


@dataclass(frozen=True, slots=True)
class AddressGroup:
    """Exposures that use the same addresses, one of each of `versions`; `addresses` is empty while those are still to
    be chosen. `pool` names the pool they come from, None means `externalServiceIPs`."""

    exposures: tuple[str, ...]
    versions: tuple[int, ...]
    addresses: tuple[Address, ...] = ()
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Capacity:
    """Counts of addresses of one pool. `overflow` names the first exposure that gets none from it.

    The row of `externalServiceIPs` has those of the named pools under `pools`.
    """

    ranges: str
    size: int
    reserved: int
    needed: int
    shared: int
    free: int
    overflow: str | None
    pools: Mapping[str, Capacity] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.size - self.reserved

    @property
    def left_over(self) -> str | None:
        """The first exposure that gets no address, whichever pool it draws from."""
        return next((row.overflow for row in (self, *self.pools.values()) if row.overflow is not None), None)

    def to_json(self) -> dict[str, object]:
        row: dict[str, object] = {
            "ranges": self.ranges,
            "size": self.size,
            "needed": self.needed,
            "shared": self.shared,
            "reserved": self.reserved,
            "free": self.free,
            "overflow": self.overflow,
        }
        return row | ({"pools": {name: pool.to_json() for name, pool in self.pools.items()}} if self.pools else {})


def pool_of(site: Site | None, exposure: Exposure) -> AddressSet | None:
    """The addresses an exposure may get, None where the load balancer alone knows them (or there is no such pool)."""
    if site is None:
        return None
    return (site.external if exposure.pool is None else site.named_pools.get(exposure.pool)) or None


def families_of(site: Site | None, exposure: Exposure) -> tuple[int, ...]:
    """The IP families an exposure gets from its pool."""
    pool = pool_of(site, exposure)
    return families_from(exposure, None if pool is None else (pool,))


def address_groups(site: Site | None, exposures: Mapping[str, Exposure]) -> list[AddressGroup]:
    """In the order in which they get addresses: pinned ones first, then by name."""
    external = sorted(
        ((name, exposure) for name, exposure in exposures.items() if exposure.is_external and exposure.enabled),
        key=lambda item: (not item[1].addresses, item[0]),
    )
    settled: dict[str, tuple[Address, ...]] = {}
    members: dict[tuple[str, object], list[str]] = {}
    for name, exposure in external:
        pins = exposure.addresses
        if exposure.share is not None:
            pins = pins or settled.get(exposure.share, ())
            settled.setdefault(exposure.share, pins)
        if pins:
            key: tuple[str, object] = ("addresses", pins)
        else:
            key = ("share", exposure.share) if exposure.share is not None else ("exposure", name)
        members.setdefault(key, []).append(name)
    return [_group(site, exposures[names[0]], names) for names in members.values()]


def _group(site: Site | None, first: Exposure, names: Iterable[str]) -> AddressGroup:
    return AddressGroup(tuple(names), families_of(site, first), first.addresses, _home(site, first))


def _home(site: Site | None, exposure: Exposure) -> str | None:
    """The pool an exposure's addresses are counted in: the one it names, else the one that holds what it pins."""
    pins = exposure.addresses
    if exposure.pool is not None or site is None or not pins or pins[0] in site.external:
        return exposure.pool
    return next((name for name, pool in site.named_pools.items() if pins[0] in pool), None)


def capacity(site: Site | None, exposures: Mapping[str, Exposure], ranges: AddressSet | None = None) -> Capacity:
    """Counts for these exposures; `ranges` replaces the site's external range (a rehearsal of another range)."""
    named = site.named_pools if site else {}
    external = ranges if ranges is not None else site.external if site else AddressSet()
    pools: dict[str | None, AddressSet] = {None: external}
    pools.update(named)
    groups = address_groups(site, exposures)
    held_back = _each(site.reserved_addresses if site else ())
    unusable = AddressSet.of([*held_back.ranges, *(site.nodes.ranges if site else ())])
    taken = {address for group in groups for address in group.addresses}
    overflow: dict[str | None, str] = {}
    for group in groups:
        pool = pools.get(group.pool)
        if group.addresses or not pool:
            continue  # a pin that is illegal is another rule's business; without a range the load balancer chooses
        usable = pool.without(unusable)
        found = [usable.lowest_free(taken, version) for version in group.versions]
        if None in found:
            overflow.setdefault(group.pool, group.exposures[0])
        taken.update(address for address in found if address is not None and None not in found)
    used = AddressSet.of([*unusable.ranges, *_each(taken).ranges])

    def row(name: str | None, rows: Mapping[str, Capacity]) -> Capacity:
        pool = pools[name]
        mine = [group for group in groups if group.pool == name]
        needed = sum(len(group.versions) for group in mine)
        return Capacity(
            ranges=str(pool),
            size=pool.size,
            reserved=pool.intersection(unusable.merged()).size,
            needed=needed,
            shared=sum(len(group.versions) * len(group.exposures) for group in mine) - needed,
            free=pool.without(used).size,
            overflow=overflow.get(name),
            pools=rows,
        )

    return row(None, {name: row(name, {}) for name in sorted(named)})


def _each(addresses: Iterable[Address]) -> AddressSet:
    return AddressSet.of([AddressRange(address, address) for address in addresses])


@dataclass(frozen=True, slots=True)
class Move:
    """What a range change does to one exposure."""

    exposure: str
    address: str
    why: str


def rehearse_range(network: Site | None, held: Mapping[str, Iterable[Address]], ranges: AddressSet) -> list[Move]:
    """Exposures whose held address would no longer be legal if `ranges` were all that may be handed out."""
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
