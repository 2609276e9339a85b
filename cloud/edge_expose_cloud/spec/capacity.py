"""How many external addresses a spec needs, shares, and has: before anything is sent. Pure.

One address serves all exposures of a share key, all that pin the same address, and both Services of a TCP+UDP exposure.
Addresses are given out in the order in which the module does it on an empty cluster: pins first, then by name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import groupby

from edge_expose_cloud.spec.free_addresses import FreeAddresses, Taken, take_together
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
    return Demand(exposures).groups(site)


def capacity(site: Site | None, exposures: Mapping[str, Exposure], ranges: AddressSet | None = None) -> Capacity:
    """Counts for these exposures; `ranges` replaces the site's external range (a rehearsal of another range)."""
    return Demand(exposures).capacity(site, ranges)


class Demand:
    """What some exposures ask of a device's ranges: worked out once, counted for one device after the other."""

    def __init__(self, exposures: Mapping[str, Exposure]) -> None:
        self._members = [(exposures[names[0]], names) for names in _who_shares(exposures)]
        # What neither pins an address nor takes the families that there are is the same group on every device.
        self._fixed = [
            None if _depends_on_site(first) else _group(None, first, names) for first, names in self._members
        ]
        groups = [group for group in self._fixed if group is not None]
        self._counted = (_runs(groups), _tally(groups)) if len(groups) == len(self._fixed) else None

    def groups(self, site: Site | None) -> list[AddressGroup]:
        """In the order in which they get addresses: pinned ones first, then by name."""
        pairs = zip(self._fixed, self._members, strict=True)
        return [fixed or _group(site, first, names) for fixed, (first, names) in pairs]

    def capacity(self, site: Site | None, ranges: AddressSet | None = None) -> Capacity:
        """Counts for the ranges of this site; `ranges` replaces its external range."""
        named = site.named_pools if site else {}
        external = ranges if ranges is not None else site.external if site else AddressSet()
        pools: dict[str | None, AddressSet] = {None: external}
        pools.update(named)
        groups = self.groups(site)
        held_back = [AddressRange(address, address) for address in (site.reserved_addresses if site else ())]
        unusable = AddressSet.of([*held_back, *(site.nodes.ranges if site else ())])
        usable = {name: pool.without(unusable) for name, pool in pools.items()}
        taken = Taken(address for group in groups for address in group.addresses)
        free = {
            (name, version): FreeAddresses(usable[name], version, taken)
            for name, pool in pools.items()
            if pool
            for version in (4, 6)
        }
        runs, tally = self._counted or (_runs(groups), _tally(groups))
        overflow = _give(runs, free)

        def row(name: str | None, rows: Mapping[str, Capacity]) -> Capacity:
            pool, left = pools[name], usable[name]
            needed, served = tally.get(name, (0, 0))
            return Capacity(
                ranges=str(pool),
                size=pool.size,
                reserved=pool.size - left.size,
                needed=needed,
                shared=served - needed,
                free=left.size - taken.count_in(left),
                overflow=overflow.get(name),
                pools=rows,
            )

        return row(None, {name: row(name, {}) for name in sorted(named)})


def _who_shares(exposures: Mapping[str, Exposure]) -> list[list[str]]:
    """The names that use the same addresses, in the order in which they get them."""
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
    return list(members.values())


def _depends_on_site(first: Exposure) -> bool:
    """Whether the group of this exposure is another one where the ranges are others."""
    return bool(first.addresses) or first.ip_family_policy == "PreferDualStack"


def _group(site: Site | None, first: Exposure, names: Iterable[str]) -> AddressGroup:
    return AddressGroup(tuple(names), families_of(site, first), first.addresses, _home(site, first))


def _home(site: Site | None, exposure: Exposure) -> str | None:
    """The pool an exposure's addresses are counted in: the one it names, else the one that holds what it pins."""
    pins = exposure.addresses
    if exposure.pool is not None or site is None or not pins or pins[0] in site.external:
        return exposure.pool
    return next((name for name, pool in site.named_pools.items() if pins[0] in pool), None)


def _tally(groups: Iterable[AddressGroup]) -> dict[str | None, tuple[int, int]]:
    """Pool -> (addresses needed, addresses there would be if nobody shared one)."""
    found: dict[str | None, tuple[int, int]] = {}
    for group in groups:
        needed, served = found.get(group.pool, (0, 0))
        each = len(group.versions)
        found[group.pool] = needed + each, served + each * len(group.exposures)
    return found


@dataclass(frozen=True, slots=True)
class _Run:
    """Exposures one after the other that each want an address of the same pool and families; none pins one."""

    pool: str | None
    versions: tuple[int, ...]
    exposures: tuple[str, ...]


def _runs(groups: Iterable[AddressGroup]) -> list[_Run]:
    # A pin that is illegal is another rule's business.
    wanting = (group for group in groups if not group.addresses)
    return [
        _Run(pool, versions, tuple(group.exposures[0] for group in members))
        for (pool, versions), members in groupby(wanting, key=lambda group: (group.pool, group.versions))
    ]


def _give(runs: Iterable[_Run], free: Mapping[tuple[str | None, int], FreeAddresses]) -> dict[str | None, str]:
    """Takes addresses for each exposure; pool -> the first that got none from it."""
    overflow: dict[str | None, str] = {}
    for run in runs:
        if (run.pool, run.versions[0]) not in free:
            continue  # without a range the load balancer chooses
        got = take_together([free[run.pool, version] for version in run.versions], len(run.exposures))
        if got < len(run.exposures):
            overflow.setdefault(run.pool, run.exposures[got])
    return overflow


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
