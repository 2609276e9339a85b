"""Which external addresses may be handed out, and who says so: the pool, the site, the device's guard rails. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_expose_contract.addressing import Address, AddressRange, AddressSet
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.services import families_from
from edge_expose_module.observing import Observed
from edge_expose_module.rails.model import Guards
from edge_expose_module.wishes import Block


@dataclass(frozen=True, slots=True)
class Space:
    """What may be handed out. `legal` and `automatic` are None where nobody told us the range."""

    legal: AddressSet | None = None
    automatic: tuple[AddressSet, ...] | None = None
    pools: Mapping[str, AddressSet] | None = None
    reserved: Mapping[Address, str] = field(default_factory=dict)
    nodes: AddressSet = field(default_factory=AddressSet)
    allowed: AddressSet | None = None
    allowed_by: str = ""
    """Where the owner of the device said so, to stand behind `allowed` in a message."""
    buggy: AddressSet = field(default_factory=AddressSet)

    def why_illegal(self, address: Address) -> Block | None:
        """Why nobody may have this address."""
        if address in self.reserved:
            return Block(
                "ReservedAddress", f"{address} is reserved for {self.reserved[address]}; choose another address"
            )
        if address in self.nodes:
            return Block("NodeAddress", f"{address} is one of the node IPs {self.nodes}; choose an external service IP")
        if self.legal is not None and address not in self.legal:
            return Block(
                "AddressOutsideRange",
                f"{address} is outside the external service IP range {self.legal}; pin one inside, or extend the range",
            )
        if address in self.buggy and int(address) & 0xFF in (0, 255):
            return Block("AddressOutsideRange", f"{address} ends in .0 or .255 and its pool avoids those; pin another")
        if self.allowed is not None and address not in self.allowed:
            return Block(
                "AddressNotAllowed",
                f"{address} is not among the addresses this device allows: {self.allowed}{self.allowed_by}",
            )
        return None

    def why_outside_rails(self, addresses: tuple[Address, ...]) -> Block | None:
        """Of addresses that are held, when nothing but a guard rail that was tightened speaks against them."""
        found = [block for address in addresses if (block := self.why_illegal(address)) is not None]
        if not found or any(block.reason != "AddressNotAllowed" for block in found):
            return None
        return Block("OutsideRails", f"{found[0].message}; what stands stays: pin an allowed address to move it")

    def why_wrong_pool(self, exposure: Exposure, address: Address) -> Block | None:
        """Why this exposure, which may name a pool, may not have this address."""
        if exposure.pool is None or self.pools is None:
            return None
        pool = self._pool_named(exposure.pool)
        if isinstance(pool, Block):
            return pool
        if address in pool:
            return None
        return Block("PoolAddressMismatch", f"{address} is not in pool {exposure.pool} ({pool}); leave one of them out")

    def pools_for(self, exposure: Exposure) -> tuple[AddressSet, ...] | Block | None:
        """Pools to choose from, in order; None when only the load balancer knows; a Block for one that is not there.

        Where only the load balancer knows, the addresses that the device allows are what there is to choose from: left
        to itself it could give one outside them.
        """
        told = self._told_pools(exposure)
        return (self.allowed,) if told is None and self.allowed is not None else told

    def _told_pools(self, exposure: Exposure) -> tuple[AddressSet, ...] | Block | None:
        if exposure.pool is None:
            return self.automatic
        if self.pools is None:
            return None
        pool = self._pool_named(exposure.pool)
        return pool if isinstance(pool, Block) else (pool,)

    def versions_for(self, exposure: Exposure) -> tuple[int, ...]:
        """The families an exposure gets from its pools."""
        pools = self.pools_for(exposure)
        return families_from(exposure, pools if isinstance(pools, tuple) else None)

    def families_suit(self, exposure: Exposure, addresses: tuple[Address, ...]) -> bool:
        versions = tuple(address.version for address in addresses)
        if self.automatic is None and exposure.ip_family_policy == "PreferDualStack":
            return bool(versions)  # what the load balancer chose is what there is
        return versions == self.versions_for(exposure)

    def lowest(self, pool: AddressSet, taken: Iterable[Address], version: int) -> Address | None:
        """The lowest address of the pool that is legal and not taken."""
        pool = pool.without(self.nodes)
        for limit in (self.legal, self.allowed):
            pool = pool if limit is None else pool.intersection(limit)
        # What may be left and illegal is few: reserved addresses, and those that end in .0 and .255.
        skipped = set(taken)
        while (address := pool.lowest_free(skipped, version)) is not None:
            if self.why_illegal(address) is None:
                return address
            skipped.add(address)
        return None

    def _pool_named(self, name: str) -> AddressSet | Block:
        pools = self.pools or {}
        known = ", ".join(sorted(pools)) or "none"
        return pools.get(name) or Block("UnknownPool", f"there is no address pool {name}; known pools: {known}")


def address_space(site: Site | None, observed: Observed, guards: Guards) -> Space:
    """The real pool decides where it may be read; else the site's copy; else the load balancer alone knows."""
    reserved = dict(site.reserved_addresses) if site is not None else {}
    nodes = site.nodes if site is not None else AddressSet()
    where = guards.where("addresses")
    if observed.pools is None and observed.pool_error:
        # The site is a copy of a pool that is broken now: only the load balancer knows with what it goes on.
        return Space(reserved=reserved, nodes=nodes, allowed=guards.addresses, allowed_by=where)
    if observed.pools is not None:
        return Space(
            legal=observed.real_addresses(),
            automatic=tuple(pool.addresses for pool in observed.pools if pool.auto_assign),
            pools={pool.name: pool.addresses for pool in observed.pools},
            reserved=reserved,
            nodes=nodes,
            allowed=guards.addresses,
            allowed_by=where,
            buggy=AddressSet.of(
                [part for pool in observed.pools if pool.avoid_buggy for part in pool.addresses.ranges]
            ),
        )
    external = site.external if site is not None else AddressSet()
    named = site.named_pools if site is not None else {}
    ranges: list[AddressRange] = [*external.ranges, *(part for pool in named.values() for part in pool.ranges)]
    return Space(
        legal=AddressSet.of(ranges).merged() if ranges else None,
        automatic=(external,) if external else None,
        pools=named or None,
        reserved=reserved,
        nodes=nodes,
        allowed=guards.addresses,
        allowed_by=where,
    )
