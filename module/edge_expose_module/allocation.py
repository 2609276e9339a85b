"""Who gets which external address. Pure: the same inputs give the same answer in any order.

In turn: what is held and legal stays; then what our Services already ask for; then what is remembered; then new pins;
then the lowest free address. Before a pin moves, the new address is checked, since asking a load balancer for an
address it cannot give loses the one held.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from edge_expose_contract.addressing import Address, AddressSet
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import service_shapes, sharing_key
from edge_expose_module.observing import Observed, ObservedService, selector_text
from edge_expose_module.wishes import Block, Wish, selector_of


@dataclass(frozen=True, slots=True)
class Space:
    """What may be handed out. `legal` and `automatic` are None where nobody told us the range."""

    legal: AddressSet | None = None
    automatic: tuple[AddressSet, ...] | None = None
    pools: Mapping[str, AddressSet] | None = None
    reserved: Mapping[Address, str] = field(default_factory=dict)
    nodes: AddressSet = field(default_factory=AddressSet)
    allowed: AddressSet | None = None
    buggy: AddressSet = field(default_factory=AddressSet)

    def why_illegal(self, address: Address) -> Block | None:
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
                "AddressNotAllowed", f"{address} is not among the addresses this device allows: {self.allowed}"
            )
        return None


@dataclass(frozen=True, slots=True)
class Decision:
    """Addresses to ask for, IPv4 first. Empty without a block: the load balancer chooses, and we pin what it chose.

    With a block and addresses, the Service goes on with what it has.
    """

    addresses: tuple[Address, ...] = ()
    block: Block | None = None


@dataclass(frozen=True, slots=True)
class _Claim:
    party: str
    exposure: str | None
    ports: frozenset[tuple[str, int]]
    share: str
    backend: str


@dataclass(frozen=True, slots=True)
class _Candidate:
    """An external wish with what it holds now."""

    name: str
    wish: Wish
    assigned: tuple[Address, ...]
    requested: tuple[Address, ...]
    remembered: tuple[Address, ...]
    claim: _Claim
    asked: tuple[Address, ...] = ()
    """What we asked for, by our own note; another request was written by somebody else."""
    settled: bool = False
    """Holds the address it asks for under the sharing key it wants now: who leaves a group does not take its address
    along, not even while the load balancer has not looked yet."""

    @property
    def pinned(self) -> tuple[Address, ...]:
        return self.wish.exposure.addresses

    @property
    def group(self) -> str | None:
        return self.wish.exposure.share


class _Ledger:
    """Claims by address."""

    def __init__(self) -> None:
        self.claims: dict[Address, list[_Claim]] = defaultdict(list)
        self.groups: dict[str, tuple[Address, ...]] = {}

    def add(self, addresses: Iterable[Address], claim: _Claim) -> None:
        for address in addresses:
            self.claims[address].append(claim)

    def why_taken(self, address: Address, mine: _Claim) -> Block | None:
        for claim in self.claims.get(address, ()):
            if claim.exposure is not None and claim.exposure == mine.exposure:
                continue
            block = _why_not_together(address, mine, claim)
            if block is not None:
                return block
        return None

    def taken(self, exposure: str) -> frozenset[Address]:
        """Addresses that anybody but this exposure claims."""
        return frozenset(
            address for address, claims in self.claims.items() if any(claim.exposure != exposure for claim in claims)
        )


def _why_not_together(address: Address, mine: _Claim, other: _Claim) -> Block | None:
    if not mine.share or mine.share != other.share:
        how = "give both the same share key with different ports, or choose another address"
        if mine.share and other.share:
            return Block("AddressTaken", f"{address} is held by {other.party} under sharing key {other.share!r}; {how}")
        return Block("AddressTaken", f"{address} is held by {other.party}; {how}")
    clash = sorted(mine.ports & other.ports)
    if clash:
        ports = ", ".join(f"{number}/{protocol.lower()}" for protocol, number in clash)
        return Block(
            "PortTaken", f"port {ports} on shared address {address} is held by {other.party}; publish another port"
        )
    if mine.backend != other.backend:
        return Block(
            "SharingPolicyMismatch",
            f"{address} is shared with {other.party}; externalTrafficPolicy Local only shares with the same selector",
        )
    return None


def allocate(
    wishes: Mapping[str, Wish],
    observed: Observed,
    owner: str,
    remembered: Mapping[str, tuple[Address, ...]],
    space: Space,
    default_namespace: str,
    *,
    kept: frozenset[str] = frozenset(),
    refused: Mapping[str, frozenset[Address]] | None = None,
) -> dict[str, Decision]:
    """A decision for every external wish.

    `kept` names exposures whose Services stay without a wish; `refused` holds addresses the load balancer would not
    give an exposure because somebody we cannot see has them.
    """
    ledger = _Ledger()
    candidates = _candidates(wishes, observed, owner, remembered, default_namespace)
    _claim_others(ledger, candidates, observed, owner, default_namespace, kept)
    # Pins first in each step, so that a sharing group settles where a member is pinned.
    ordered = sorted(candidates.values(), key=lambda c: (not c.settled, not c.pinned, c.name))
    allocator = _Allocator(space, ledger, refused or {})
    for candidate in ordered:
        if candidate.asked and candidate.requested != candidate.asked:
            allocator.keep(candidate, candidate.asked)
    for candidate in ordered:
        allocator.keep(candidate, candidate.assigned)
    for candidate in ordered:
        allocator.keep(candidate, candidate.requested)
    for candidate in ordered:
        allocator.keep(candidate, candidate.remembered)
    allocator.swap(ordered)
    allocator.protect_movers(ordered)
    for candidate in ordered:
        if candidate.pinned:
            allocator.pin(candidate)
    for candidate in ordered:
        allocator.choose(candidate)
    return allocator.decided


class _Allocator:
    """The steps of one allocation; each leaves alone whom an earlier step decided."""

    def __init__(self, space: Space, ledger: _Ledger, refused: Mapping[str, frozenset[Address]]) -> None:
        self.space = space
        self.ledger = ledger
        self.refused = refused
        self.decided: dict[str, Decision] = {}

    def keep(self, candidate: _Candidate, addresses: tuple[Address, ...]) -> None:
        """Grants what is held, asked for or remembered, if it is still wanted and fits."""
        if (
            candidate.name not in self.decided
            and self._wanted(candidate, addresses)
            and self._fits(candidate, addresses)
        ):
            self._grant(candidate, addresses)

    def swap(self, candidates: Iterable[_Candidate]) -> None:
        """Grants pins that only wait for each other: each of a ring is at the address that the one before it wants."""
        movers = {
            c.assigned: c
            for c in candidates
            if c.name not in self.decided and c.pinned and c.group is None and c.assigned not in ((), c.pinned)
        }
        for start in list(movers.values()):
            ring = [start]
            while (following := movers.get(ring[-1].pinned)) is not None and following not in ring:
                ring.append(following)
            if following is start and all(_why_not_pinned(self.space, self.ledger, c) is None for c in ring):
                for candidate in ring:
                    self._grant(candidate, candidate.pinned)
                    movers.pop(candidate.assigned, None)

    def protect_movers(self, candidates: Iterable[_Candidate]) -> None:
        """Who is about to move still holds its old address in this pass: nobody may ask for it yet."""
        for candidate in candidates:
            legal = all(self.space.why_illegal(address) is None for address in candidate.assigned)
            if candidate.name not in self.decided and legal:
                self.ledger.add(candidate.assigned, candidate.claim)

    def pin(self, candidate: _Candidate) -> None:
        if candidate.name in self.decided:
            return
        block = _why_not_pinned(self.space, self.ledger, candidate)
        if block is None:
            self._grant(candidate, candidate.pinned)
        else:
            self.decided[candidate.name] = Decision(self._going_on(candidate), block)

    def _going_on(self, candidate: _Candidate) -> tuple[Address, ...]:
        """What a blocked exposure goes on with; nothing when its form as wished would lose even that."""
        addresses = candidate.assigned or candidate.requested
        loses = any(
            _why_wrong_pool(self.space, candidate, address) or self.ledger.why_taken(address, candidate.claim)
            for address in addresses
        )
        return () if loses else addresses

    def choose(self, candidate: _Candidate) -> None:
        """The sharing group's address, or the lowest free one, or the load balancer's choice."""
        if candidate.name in self.decided:
            return
        group = self.ledger.groups.get(candidate.group) if candidate.group is not None else None
        if group is not None:
            self._join(candidate, group)
            return
        pools = _pools_for(self.space, candidate)
        if pools is None:
            self.decided[candidate.name] = Decision()
        elif isinstance(pools, Block):
            self.decided[candidate.name] = Decision((), pools)
        else:
            self._lowest_free(candidate, pools)

    def _join(self, candidate: _Candidate, group: tuple[Address, ...]) -> None:
        blocks = (self.ledger.why_taken(address, candidate.claim) for address in group)
        block = next((found for found in blocks if found is not None), None)
        if block is None and not _families_suit(self.space, candidate, group):
            where = f"sharing key {candidate.group!r} is at {_texts(group)}"
            block = Block("FamilyMismatch", f"{where}, of another IP family; use another key")
        if block is None:
            self._grant(candidate, group)
        else:
            self.decided[candidate.name] = Decision(self._going_on(candidate), block)

    def _lowest_free(self, candidate: _Candidate, pools: tuple[AddressSet, ...]) -> None:
        taken = (
            self.ledger.taken(candidate.name) | set(self.space.reserved) | self.refused.get(candidate.name, frozenset())
        )
        for pool in pools:
            found = _lowest(self.space, candidate, pool, taken)
            if found:
                self._grant(candidate, found)
                return
        where = ", ".join(str(pool) for pool in pools)
        families = {part.version for pool in pools for part in pool.ranges}
        missing = [version for version in _versions(self.space, candidate) if version not in families]
        if pools and missing:
            text = f"an IPv{missing[0]} address is needed, and {where} has none; change ipFamilies, or extend the range"
            self.decided[candidate.name] = Decision((), Block("FamilyMismatch", text))
            return
        total = sum(pool.size for pool in pools)
        what = f"no free address: all {total} of {where} are held or reserved"
        cure = "remove an exposure, share an address, or extend the external service IP range on the device"
        self.decided[candidate.name] = Decision(
            (), Block("PoolExhausted", f"{what}; {cure}, then it becomes Ready by itself")
        )

    def _grant(self, candidate: _Candidate, addresses: tuple[Address, ...]) -> None:
        self.decided[candidate.name] = Decision(addresses)
        self.ledger.add(addresses, candidate.claim)
        if candidate.group is not None:
            self.ledger.groups.setdefault(candidate.group, addresses)

    def _fits(self, candidate: _Candidate, addresses: tuple[Address, ...]) -> bool:
        bad = self.refused.get(candidate.name, frozenset())
        return bool(addresses) and all(
            self.space.why_illegal(address) is None
            and _why_wrong_pool(self.space, candidate, address) is None
            and self.ledger.why_taken(address, candidate.claim) is None
            and address not in bad
            for address in addresses
        )

    def _wanted(self, candidate: _Candidate, addresses: tuple[Address, ...]) -> bool:
        """Whether an exposure may keep these: its pins, or as many families as it needs, where its group is."""
        if candidate.pinned:
            return addresses == candidate.pinned
        group = self.ledger.groups.get(candidate.group, addresses) if candidate.group is not None else addresses
        return _families_suit(self.space, candidate, addresses) and group == addresses


def _lowest(
    space: Space, candidate: _Candidate, addresses: AddressSet, taken: frozenset[Address]
) -> tuple[Address, ...]:
    """An address of each family the exposure needs, all from one pool: its own where it has one, else the lowest free.

    Empty when one is missing.
    """
    found: list[Address] = []
    for version in _versions(space, candidate):
        own = (*candidate.assigned, *candidate.requested, *candidate.remembered)
        kept = [a for a in own if a.version == version and a in addresses and a not in taken]
        choice = next((a for a in kept if space.why_illegal(a) is None), None)
        if choice is None:
            choice = _lowest_legal(space, addresses, taken, version)
        if choice is None:
            return ()
        found.append(choice)
    return tuple(found)


def _lowest_legal(space: Space, addresses: AddressSet, taken: frozenset[Address], version: int) -> Address | None:
    skipped = set(taken)
    while (address := addresses.lowest_free(skipped, version)) is not None:
        if space.why_illegal(address) is None:
            return address
        skipped.add(address)
    return None


def _versions(space: Space, candidate: _Candidate) -> tuple[int, ...]:
    """The families an exposure gets: those it must have, and of those it prefers the ones that the pools hold."""
    wanted = candidate.wish.exposure.versions
    if candidate.wish.exposure.ip_family_policy != "PreferDualStack" or candidate.pinned:
        return wanted
    pools = _pools_for(space, candidate)
    if not isinstance(pools, tuple):
        return wanted
    held = {part.version for pool in pools for part in pool.ranges}
    return tuple(version for version in wanted if version in held) or wanted


def _pools_for(space: Space, candidate: _Candidate) -> tuple[AddressSet, ...] | Block | None:
    """Pools to choose from, in order; None when only the load balancer knows; a Block when the pool does not exist."""
    name = candidate.wish.exposure.pool
    if name is None:
        return space.automatic
    if space.pools is None:
        return None
    pool = _pool_named(space.pools, name)
    return pool if isinstance(pool, Block) else (pool,)


def _pool_named(pools: Mapping[str, AddressSet], name: str) -> AddressSet | Block:
    known = ", ".join(sorted(pools)) or "none"
    return pools.get(name) or Block("UnknownPool", f"there is no address pool {name}; known pools: {known}")


def _why_wrong_pool(space: Space, candidate: _Candidate, address: Address) -> Block | None:
    name = candidate.wish.exposure.pool
    if name is None or space.pools is None:
        return None
    pool = _pool_named(space.pools, name)
    if isinstance(pool, Block):
        return pool
    if address in pool:
        return None
    return Block("PoolAddressMismatch", f"{address} is not in pool {name} ({pool}); leave one of them out")


def _why_not_pinned(space: Space, ledger: _Ledger, candidate: _Candidate) -> Block | None:
    group = ledger.groups.get(candidate.group) if candidate.group is not None else None
    if group is not None and group != candidate.pinned:
        return Block(
            "ShareAddressMismatch",
            f"sharing key {candidate.group!r} is at {_texts(group)}, not {_texts(candidate.pinned)}; pin that, or "
            "use another key",
        )
    for address in candidate.pinned:
        block = (
            space.why_illegal(address)
            or _why_wrong_pool(space, candidate, address)
            or ledger.why_taken(address, candidate.claim)
        )
        if block is not None:
            return block
    return None


def _families_suit(space: Space, candidate: _Candidate, addresses: tuple[Address, ...]) -> bool:
    versions = tuple(address.version for address in addresses)
    if space.automatic is None and candidate.wish.exposure.ip_family_policy == "PreferDualStack":
        return bool(versions)  # what the load balancer chose is what there is
    return versions == _versions(space, candidate)


def _texts(addresses: Iterable[Address]) -> str:
    return ",".join(str(address) for address in addresses)


def _candidates(
    wishes: Mapping[str, Wish],
    observed: Observed,
    owner: str,
    remembered: Mapping[str, tuple[Address, ...]],
    default_namespace: str,
) -> dict[str, _Candidate]:
    found: dict[str, _Candidate] = {}
    for name, wish in sorted(wishes.items()):
        exposure = wish.exposure
        if not exposure.is_external:
            continue
        services = _own_services(name, wish, observed, owner, default_namespace)
        assigned = _merge(s.assigned for s in services)
        requested = _merge(s.requested for s in services)
        claim = _Claim(
            party=f"exposure {name}",
            exposure=name,
            ports=frozenset((str(m.protocol), m.port) for m in exposure.mappings),
            share=sharing_key(name, exposure, owner, default_namespace) or "",
            backend=_backend(exposure),
        )
        found[name] = _Candidate(
            name,
            wish,
            assigned,
            requested,
            remembered.get(name, ()),
            claim,
            _merge(s.asked for s in services),
            bool(assigned) and requested in ((), assigned) and all(s.share_key == claim.share for s in services),
        )
    return found


def _backend(exposure: Exposure) -> str:
    return selector_text(selector_of(exposure) or {}) if exposure.external_traffic_policy == "Local" else ""


def _own_services(
    name: str, wish: Wish, observed: Observed, owner: str, default_namespace: str
) -> list[ObservedService]:
    """The Services that carry this exposure now: ours by label, wherever they are, and one about to be adopted."""
    services = [s for s in observed.owned(owner) if s.exposure == name]
    if wish.exposure.adopt:
        for shape in service_shapes(name, wish.exposure, default_namespace):
            candidate = observed.services.get((shape.namespace, shape.name))
            if candidate is not None and candidate.other_owner is None and not candidate.made_by_edge_agent:
                services.append(candidate)
    return services


def _merge(parts: Iterable[tuple[Address, ...]]) -> tuple[Address, ...]:
    """Addresses of the Services of one exposure; they share them, so the first of each family counts."""
    by_version: dict[int, Address] = {}
    for part in parts:
        for address in part:
            by_version.setdefault(address.version, address)
    return tuple(by_version[version] for version in sorted(by_version))


def _claim_others(
    ledger: _Ledger,
    candidates: Mapping[str, _Candidate],
    observed: Observed,
    owner: str,
    default_namespace: str,
    kept: frozenset[str],
) -> None:
    """Everybody else's claims: foreign Services with what they hold and ask for, and ours that stay without a wish."""
    own_keys = {
        service.key
        for name, candidate in candidates.items()
        for service in _own_services(name, candidate.wish, observed, owner, default_namespace)
    }
    for key, service in sorted(observed.services.items()):
        if key in own_keys or not service.is_load_balancer:
            continue
        ours = service.owned_by(owner)
        if ours and service.exposure not in kept:
            continue  # about to be pruned
        party = f"exposure {service.exposure}" if ours else f"Service {service.namespace}/{service.name}"
        claim = _Claim(party, None, service.ports, service.share_key, service.backend_key)
        ledger.add(service.assigned or service.requested, claim)
