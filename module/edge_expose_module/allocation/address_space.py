"""Which external addresses may be handed out, and who says so: the pool, the site, the device's guard rails. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import pairwise

from edge_expose_contract.addressing import Address, AddressRange, AddressSet
from edge_expose_contract.models import Exposure, Site
from edge_expose_contract.names import split_pair
from edge_expose_contract.services import families_from, ownership_labels
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.load_balancers.api import LoadBalancer
from edge_expose_module.load_balancers.pools import Pool, Seeker, automatic_order


@dataclass(frozen=True, slots=True)
class Space:
    """What one exposure may get: all of `legal` by request, and without one the first free of `automatic`.

    Both are None where nobody told us the range.
    """

    legal: AddressSet | None = None
    automatic: tuple[AddressSet, ...] | None = None
    pools: Mapping[str, AddressSet] | None = None
    reserved: Mapping[Address, str] = field(default_factory=dict)
    nodes: AddressSet = field(default_factory=AddressSet)
    allowed: AddressSet | None = None
    allowed_by: str = ""
    """Where the owner of the device said so, to stand behind `allowed` in a message."""
    buggy: AddressSet = field(default_factory=AddressSet)
    closed: tuple[Pool, ...] = ()
    """Pools that do not serve this exposure."""
    namespace: str = ""

    def with_held(self, held: Collection[Address]) -> Space:
        """`site` is a copy: what it says of an address that is held, and that the pool has, does not take it away."""
        kept = {address: who for address, who in self.reserved.items() if address not in held}
        nodes = self.nodes.without(AddressSet.of([AddressRange(address, address) for address in held]))
        return replace(self, reserved=kept, nodes=nodes)

    def why_illegal(self, address: Address) -> Block | None:
        """Why nobody may have this address."""
        if address in self.reserved:
            holder = self.reserved[address]
            text = f"{address} is reserved for {holder}; choose another address"
            return Block.of("ReservedAddress", text, address=address, holder=holder)
        if address in self.nodes:
            text = f"{address} is one of the node IPs {self.nodes}; choose an external service IP"
            return Block.of("NodeAddress", text, address=address, nodes=self.nodes)
        if self.legal is not None and address not in self.legal:
            pool = next((pool for pool in self.closed if address in pool.addresses), None)
            if pool is not None:
                return self._not_for_service(pool.name, address)
            return Block.of(
                "AddressOutsideRange",
                f"{address} is outside the external service IP range {self.legal}; pin one inside, or extend the range",
                address=address,
                range=self.legal,
            )
        if address.version == 4 and address in self.buggy and int(address) & 0xFF in (0, 255):
            text = f"{address} ends in .0 or .255 and its pool avoids those; pin another"
            return Block.of("AddressOutsideRange", text, address=address, range=self.legal or "")
        if self.allowed is not None and address not in self.allowed:
            return Block.of(
                "AddressNotAllowed",
                f"{address} is not among the addresses this device allows: {self.allowed}{self.allowed_by}",
                address=address,
                allowed=self.allowed,
            )
        return None

    def why_outside_rails(self, addresses: tuple[Address, ...]) -> Block | None:
        """Of addresses that are held, when nothing but a guard rail that was tightened speaks against them."""
        found = [block for address in addresses if (block := self.why_illegal(address)) is not None]
        if not found or any(block.reason != "AddressNotAllowed" for block in found):
            return None
        text = f"{found[0].message}; what stands stays: pin an allowed address to move it"
        return Block.of("OutsideRails", text, reason=found[0].reason, value=next(iter(found[0].values), ""))

    def why_wrong_pool(self, exposure: Exposure, address: Address) -> Block | None:
        """Why this exposure, which may name a pool, may not have this address."""
        if exposure.pool is None or self.pools is None:
            return None
        pool = self._pool_named(exposure.pool)
        if isinstance(pool, Block):
            return pool
        if address in pool:
            return None
        text = f"{address} is not in pool {exposure.pool} ({pool}); leave one of them out"
        return Block.of("PoolAddressMismatch", text, address=address, pool=exposure.pool)

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

    def usable(self, pool: AddressSet) -> AddressSet:
        """What of a pool may be given out at all, reserved addresses and those that it avoids included."""
        pool = pool.without(self.nodes)
        for limit in (self.legal, self.allowed):
            pool = pool if limit is None else pool.intersection(limit)
        return pool

    def avoided(self, addresses: AddressSet) -> int:
        """How many of these end in .0 or .255 and are in a pool that avoids those; IPv6 has no such addresses."""
        parts = [part for part in addresses.intersection(self.buggy).ranges if part.version == 4]
        return sum(_multiples(part, 0) + _multiples(part, 255) for part in parts)

    def lowest(self, pool: AddressSet, taken: Iterable[Address], version: int) -> Address | None:
        """The lowest address of the pool that is legal and not taken."""
        pool = self.usable(pool)
        # What may be left and illegal is few: reserved addresses, and those that end in .0 and .255.
        skipped = set(taken)
        while (address := pool.lowest_free(skipped, version)) is not None:
            if self.why_illegal(address) is None:
                return address
            skipped.add(address)
        return None

    def why_no_pool(self) -> Block:
        """Why there is nothing to choose from."""
        if not self.closed:
            text = "the load balancer has no address pool to choose from; set the external service IPs on the device"
            return Block.of("NoPool", text, namespace=self.namespace)
        names = ", ".join(pool.name for pool in self.closed)
        text = f"no address pool serves namespace {self.namespace} (pools for others: {names})"
        text = f"{text}; use another namespace, or extend serviceAllocation of a pool on the device"
        return Block.of("NoPool", text, namespace=self.namespace)

    def _not_for_service(self, pool: str, address: Address | None) -> Block:
        what = str(address or "the address")
        return Block.of(
            "PoolNotForService",
            f"{what} is of pool {pool}, whose serviceAllocation does not serve this Service in namespace "
            f"{self.namespace}; choose an address of another pool, or change the pool on the device",
            address=address or "",
            pool=pool,
            namespace=self.namespace,
        )

    def _pool_named(self, name: str) -> AddressSet | Block:
        if any(pool.name == name for pool in self.closed):
            return self._not_for_service(name, None)
        pools = self.pools or {}
        known = ", ".join(sorted(pools)) or "none"
        text = f"there is no address pool {name}; known pools: {known}"
        return pools.get(name) or Block.of("UnknownPool", text, pool=name, known=known)


@dataclass(frozen=True, slots=True)
class AddressSpace:
    """All address pools, and for each exposure its `Space`.

    `pools` is None where nobody told which addresses there are; `named` holds those that an exposure may name, None
    where only the load balancer knows their names; `chooses` says whether an address can be chosen from them.
    """

    owner: str
    load_balancer: LoadBalancer
    namespace_labels: Mapping[str, Mapping[str, str]]
    pools: tuple[Pool, ...] | None
    named: tuple[Pool, ...] | None
    reserved: Mapping[Address, str]
    nodes: AddressSet
    allowed: AddressSet | None
    allowed_by: str = ""
    chooses: bool = True

    @property
    def legal(self) -> AddressSet | None:
        """Every address of every pool."""
        if self.pools is None:
            return None
        return _together(self.pools)

    def of(self, name: str, exposure: Exposure, default_namespace: str) -> Space:
        """What an exposure may get."""
        alone = Space(reserved=self.reserved, nodes=self.nodes, allowed=self.allowed, allowed_by=self.allowed_by)
        if self.pools is None or not self.load_balancer.serves(exposure.load_balancer_class):
            return alone
        namespace = exposure.namespace or default_namespace
        labels = dict(split_pair(pair) for pair in exposure.labels or ()) | ownership_labels(self.owner, name)
        seeker = Seeker(namespace, labels, self.namespace_labels.get(namespace))
        serving = [pool for pool in self.pools if pool.serves(seeker) is not False]
        return replace(
            alone,
            legal=_together(serving),
            automatic=tuple(pool.addresses for pool in automatic_order(self.pools, seeker)) if self.chooses else None,
            pools={pool.name: pool.addresses for pool in self.named if pool in serving} if self.named else None,
            buggy=_together([pool for pool in serving if pool.avoid_buggy]),
            closed=tuple(pool for pool in self.pools if pool not in serving),
            namespace=namespace,
        )


def warnings(decided: Mapping[str, Iterable[Address]], space: AddressSpace) -> tuple[str, ...]:
    """What `site` says of addresses that exposures hold, and that stay all the same; `decided` has them by exposure."""
    return tuple(
        f"exposure {name} holds {address}, which site {said}: what stands stays; pin another address to move it"
        for name, addresses in sorted(decided.items())
        for address in addresses
        if (said := _said_by_site(address, space))
    )


def _said_by_site(address: Address, space: AddressSpace) -> str:
    if address in space.reserved:
        return f"reserves for {space.reserved[address]}"
    return "counts among the node IPs" if address in space.nodes else ""


def address_space(site: Site | None, observed: Observed, guards: Guards, owner: str) -> AddressSpace:
    """The real pools decide where they are known; else the site's copy; else the load balancer alone knows."""
    load_balancer = observed.load_balancer
    pools = named = load_balancer.pools
    if pools is None and not load_balancer.pool_error:
        # With a broken configuration the site is a copy of pools that are broken now.
        pools, named = _site_pools(site)
    return AddressSpace(
        owner,
        load_balancer,
        observed.namespace_labels,
        pools,
        named,
        dict(site.reserved_addresses) if site is not None else {},
        site.nodes if site is not None else AddressSet(),
        guards.addresses,
        guards.where("addresses"),
        # A site that only names pools does not say where an exposure without one gets its address.
        chooses=pools is None or load_balancer.pools is not None or any(pool.auto_assign for pool in pools),
    )


def _multiples(part: AddressRange, last: int) -> int:
    """How many addresses of a range have this last byte."""
    return (int(part.last) - last) // 256 - (int(part.first) - 1 - last) // 256


def _together(pools: Iterable[Pool]) -> AddressSet:
    """Every address of these pools; a site may state one twice."""
    ranges = [part for pool in pools for part in pool.addresses.ranges]
    whole = AddressSet.of(ranges)
    return whole.merged() if any(a.overlaps(b) for a, b in pairwise(sorted(ranges))) else whole


def _site_pools(site: Site | None) -> tuple[tuple[Pool, ...] | None, tuple[Pool, ...] | None]:
    if site is None or not (site.external or site.named_pools):
        return None, None
    external = (Pool("", site.external),) if site.external else ()
    named = tuple(Pool(name, addresses, auto_assign=False) for name, addresses in site.named_pools.items())
    return (*external, *named), named or None
