"""Who gets which external address. Pure: the same inputs give the same answer in any order.

In turn: what is held and legal stays; then what our Services already ask for; then what is remembered, or was held
last; then new pins; then the lowest free address, of those that no disabled exposure had before. Before a pin moves,
the new one is checked, since asking a load balancer for an address it cannot give loses the one held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from edge_expose_contract.addressing import Address, AddressSet
from edge_expose_module.allocation.address_space import AddressSpace, Space
from edge_expose_module.allocation.claims import Candidate, Ledger, candidates_of, carriers_of, claim_others
from edge_expose_module.allocation.lowest_free import families, lowest_free
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure


@dataclass(frozen=True, slots=True)
class Decision:
    """Addresses to ask for, IPv4 first. Empty without a block: the load balancer chooses, and we pin what it chose.

    With a block and addresses, the Service goes on with what it has.
    """

    addresses: tuple[Address, ...] = ()
    block: Block | None = None


def allocate(
    exposures: Mapping[str, ResolvedExposure],
    observed: Observed,
    owner: str,
    remembered: Mapping[str, tuple[Address, ...]],
    addresses: AddressSpace,
    default_namespace: str,
    *,
    kept: frozenset[str] = frozenset(),
    last_held: Mapping[str, tuple[Address, ...]] | None = None,
    rejected: Mapping[str, Mapping[Address, Block]] | None = None,
    resting: frozenset[Address] = frozenset(),
    former: frozenset[str] = frozenset(),
    returning: frozenset[str] = frozenset(),
) -> dict[str, Decision]:
    """A decision for every external exposure.

    `kept` names exposures whose Services stay although nothing declares them; `last_held` is what each had before it
    asked for another address; `rejected` holds addresses the load balancer did not give an exposure, and why;
    `former` are other owners whose Services count as ours; `resting` those of exposures that have no Service now and
    may come back: they are chosen last. `returning` names exposures that come back now: what they had is not held.
    """
    ledger = Ledger(observed.load_balancer)
    carriers = carriers_of(exposures, observed, owner, default_namespace, former)
    candidates = candidates_of(exposures, carriers, observed, owner, remembered, last_held or {}, default_namespace)
    spaces = {
        name: addresses.of(name, c.exposure, default_namespace).with_held(_held(c, is_returning=name in returning))
        for name, c in candidates.items()
    }
    claim_others(ledger, carriers, observed, owner, kept, waiting=False)
    # Pins first in each step, so that a sharing group settles where a member is pinned.
    ordered = sorted(candidates.values(), key=lambda c: (not c.settled, not c.pinned, c.name))
    allocator = _Allocator(spaces, ledger, Ledger(observed.load_balancer), rejected or {}, resting)
    for candidate in ordered:
        if not candidate.drifted:
            allocator.hold(candidate, candidate.assigned)
    for candidate in ordered:
        if candidate.drifted:
            allocator.keep(candidate, candidate.asked)
    for candidate in ordered:
        allocator.keep(candidate, candidate.assigned)
    for candidate in ordered:
        allocator.keep(candidate, candidate.requested)
    for candidate in ordered:
        allocator.keep(candidate, candidate.claimed)
    for candidate in ordered:
        allocator.keep(candidate, candidate.remembered)
    for candidate in ordered:
        # What is remembered may have been refused since.
        allocator.keep(candidate, candidate.last_held)
    claim_others(ledger, carriers, observed, owner, kept, waiting=True)
    if not _somebody_waits(observed, owner):
        allocator.swap(ordered)
    allocator.follow(ordered)
    allocator.protect_movers(ordered)
    for candidate in ordered:
        if candidate.pinned:
            allocator.pin(candidate)
    allocator.follow(ordered)
    # By name alone: how far a load balancer is with what it takes away says nothing about who comes first.
    for candidate in sorted(ordered, key=lambda c: c.name):
        allocator.choose(candidate)
    return allocator.decided


def _held(candidate: Candidate, *, is_returning: bool) -> frozenset[Address]:
    """What an exposure has, or had until its Service was lost; of an adopted Service also what is remembered."""
    remembered = candidate.remembered if candidate.exposure.adopt else ()
    lost = () if is_returning and not candidate.exposure.adopt else candidate.last_held
    return frozenset((*candidate.assigned, *lost, *remembered))


class _Allocator:
    """The steps of one allocation; each leaves alone whom an earlier step decided.

    `ledger` has what is granted or held by others, `holders` what our exposures hold until their Services follow.
    """

    def __init__(
        self,
        spaces: Mapping[str, Space],
        ledger: Ledger,
        holders: Ledger,
        rejected: Mapping[str, Mapping[Address, Block]],
        resting: frozenset[Address],
    ) -> None:
        self.spaces = spaces
        self.ledger = ledger
        self.holders = holders
        self.rejected = rejected
        self.resting = resting
        self.decided: dict[str, Decision] = {}

    def keep(self, candidate: Candidate, addresses: tuple[Address, ...]) -> None:
        """Grants what is held, asked for or remembered, if it is still wanted and fits."""
        if self._suits(candidate, addresses) and not self._belongs_to_another(candidate, addresses):
            self._grant(candidate, addresses)

    def hold(self, candidate: Candidate, addresses: Iterable[Address]) -> None:
        """Nobody else may be sent to these, whatever is decided for their holder, as long as they are legal."""
        space = self.spaces[candidate.name]
        self.holders.add((address for address in addresses if space.why_illegal(address) is None), candidate.claim)

    def follow(self, candidates: Iterable[Candidate]) -> None:
        """Grants exposures what they had, asked for or remember where another one has it and goes elsewhere."""
        for candidate in candidates:
            for addresses in (candidate.requested, candidate.remembered, candidate.last_held):
                if self._suits(candidate, addresses) and all(self._is_left(candidate, each) for each in addresses):
                    self._grant(candidate, addresses)

    def _suits(self, candidate: Candidate, addresses: tuple[Address, ...]) -> bool:
        """Whether an exposure that nothing is decided for wants these addresses, and they are not granted to others."""
        return (
            candidate.name not in self.decided
            and self._wanted(candidate, addresses)
            and self._fits(candidate, addresses)
        )

    def _is_left(self, candidate: Candidate, address: Address) -> bool:
        """Whether everybody who has this address and does not share it goes elsewhere, and may."""
        for holder in self.holders.in_the_way(address, candidate.claim):
            decision = self.decided.get(holder)
            if decision is None or decision.block is not None or address in decision.addresses:
                return False
        return True

    def swap(self, candidates: Iterable[Candidate]) -> None:
        """Grants pins that only wait for each other: each of a ring is at the address that the one before it wants.

        They pass through a moment in which one address is free, so nobody else may be waiting for one.
        """
        movers = {
            c.assigned: c
            for c in candidates
            if c.name not in self.decided and c.pinned and c.group is None and c.assigned not in ((), c.pinned)
        }
        for start in list(movers.values()):
            ring = [start]
            while (following := movers.get(ring[-1].pinned)) is not None and following not in ring:
                ring.append(following)
            if following is start and all(self._why_not_pinned(c, held=False) is None for c in ring):
                for candidate in ring:
                    self._grant(candidate, candidate.pinned)
                    movers.pop(candidate.assigned, None)

    def protect_movers(self, candidates: Iterable[Candidate]) -> None:
        """Who is about to move holds its old address from the start: nobody may ask for it yet. So does whom a hand
        moved, once all had a chance to go back; and who lost its Service on the way and waits for the new one: it may
        be refused that, and goes back then."""
        for candidate in candidates:
            decision = self.decided.get(candidate.name)
            if candidate.drifted:
                self.hold(candidate, candidate.assigned)
            if not candidate.assigned and candidate.pinned and (decision is None or decision.block is None):
                self.hold(candidate, candidate.last_held)

    def pin(self, candidate: Candidate) -> None:
        if candidate.name in self.decided:
            return
        block = self._why_not_pinned(candidate)
        if block is None:
            self._grant(candidate, candidate.pinned)
        else:
            self._go_on(candidate, block)

    def _go_on(self, candidate: Candidate, block: Block) -> None:
        """Blocked, at an address that nobody else may take, not even while there is no Service that holds it."""
        addresses = self._going_on(candidate)
        self.decided[candidate.name] = Decision(addresses, block)
        self.ledger.add(addresses, candidate.claim)

    def _going_on(self, candidate: Candidate) -> tuple[Address, ...]:
        """What a blocked exposure goes on with: what it has, else what it had last, else what it waits for; nothing
        when its newest form would lose even that."""
        space, rejected = self.spaces[candidate.name], self.rejected.get(candidate.name, {})
        for addresses in (candidate.assigned, candidate.last_held, candidate.requested):
            if addresses and not any(address in rejected for address in addresses):
                held = addresses != candidate.assigned
                loses = any(
                    space.why_wrong_pool(candidate.exposure, address) or self._why_taken(candidate, address, held=held)
                    for address in addresses
                )
                return () if loses else addresses
        return ()

    def choose(self, candidate: Candidate) -> None:
        """The sharing group's address, or the lowest free one, or the load balancer's choice."""
        if candidate.name in self.decided:
            return
        outside = self.spaces[candidate.name].why_outside_rails(candidate.assigned)
        if outside is not None:
            self.decided[candidate.name] = Decision(candidate.assigned, outside)
            self.ledger.add(candidate.assigned, candidate.claim)
            return
        group = self.ledger.groups.get(candidate.group) if candidate.group is not None else None
        if group is not None:
            self._join(candidate, group)
            return
        pools = self.spaces[candidate.name].pools_for(candidate.exposure)
        if pools is None:
            self.decided[candidate.name] = Decision()
        elif isinstance(pools, Block):
            self.decided[candidate.name] = Decision((), pools)
        else:
            self._choose_free(candidate, pools)

    def _choose_free(self, candidate: Candidate, pools: tuple[AddressSet, ...]) -> None:
        rejected = frozenset(self.rejected.get(candidate.name, ()))
        taken = self.ledger.taken(candidate.name) | self.holders.taken(candidate.name)
        found = lowest_free(candidate, self.spaces[candidate.name], pools, taken, rejected, self.resting)
        if isinstance(found, Block):
            self.decided[candidate.name] = Decision((), found)
        else:
            self._grant(candidate, found)

    def _join(self, candidate: Candidate, group: tuple[Address, ...]) -> None:
        blocks = (self._why_not(candidate, address) for address in group)
        block = next((found for found in blocks if found is not None), None)
        if block is None and not self.spaces[candidate.name].families_suit(candidate.exposure, group):
            where = f"sharing key {candidate.group!r} is at {_texts(group)}"
            family = families(self.spaces[candidate.name].versions_for(candidate.exposure))
            text = f"{where}, of another IP family; use another key"
            block = Block.of("FamilyMismatch", text, addresses=_texts(group), family=family)
        if block is None:
            self._grant(candidate, group)
        else:
            self._go_on(candidate, block)

    def _grant(self, candidate: Candidate, addresses: tuple[Address, ...]) -> None:
        self.decided[candidate.name] = Decision(addresses)
        self.ledger.add(addresses, candidate.claim)
        if candidate.group is not None:
            self.ledger.groups.setdefault(candidate.group, addresses)

    def _why_taken(self, candidate: Candidate, address: Address, *, held: bool) -> Block | None:
        block = self.ledger.why_taken(address, candidate.claim)
        return self.holders.why_taken(address, candidate.claim) if block is None and held else block

    def _why_not(self, candidate: Candidate, address: Address, *, held: bool = True) -> Block | None:
        """Why an exposure may not have an address; with `held` also what others hold that are granted another one."""
        space = self.spaces[candidate.name]
        return (
            space.why_illegal(address)
            or space.why_wrong_pool(candidate.exposure, address)
            or self._why_taken(candidate, address, held=held)
        )

    def _why_not_pinned(self, candidate: Candidate, *, held: bool = True) -> Block | None:
        group = self.ledger.groups.get(candidate.group) if candidate.group is not None else None
        if group is not None and group != candidate.pinned:
            return Block.of(
                "ShareAddressMismatch",
                f"sharing key {candidate.group!r} is at {_texts(group)}, not {_texts(candidate.pinned)}; pin that, or "
                "use another key",
                share=candidate.group,
                address=_texts(group),
                wanted=_texts(candidate.pinned),
            )
        blocks = (self._why_not(candidate, address, held=held) for address in candidate.pinned)
        block = next((block for block in blocks if block is not None), None)
        if block is None and (candidate.assigned or self._can_go_back(candidate)):
            # Asked for again it would be refused again, and cost the address that is held.
            rejected = self.rejected.get(candidate.name, {})
            block = next((rejected[address] for address in candidate.pinned if address in rejected), None)
        return block

    def _can_go_back(self, candidate: Candidate) -> bool:
        """Whether an exposure that lost its address can have it again: if not, it has nothing to lose by asking on."""
        last = candidate.last_held
        return self._fits(candidate, last) and not self._belongs_to_another(candidate, last)

    def _belongs_to_another(self, candidate: Candidate, addresses: tuple[Address, ...]) -> bool:
        """Whether another exposure has it. It may be about to leave, and be refused where it goes; only who has an
        address to give for it may be on the way there already, to change places."""
        if candidate.assigned and addresses in (candidate.assigned, candidate.requested):
            return False
        return any(self.holders.why_taken(address, candidate.claim) is not None for address in addresses)

    def _fits(self, candidate: Candidate, addresses: tuple[Address, ...]) -> bool:
        bad = self.rejected.get(candidate.name, {})
        return bool(addresses) and all(
            self._why_not(candidate, address, held=False) is None and address not in bad for address in addresses
        )

    def _wanted(self, candidate: Candidate, addresses: tuple[Address, ...]) -> bool:
        """Whether an exposure may keep these: its pins, or as many families as it needs, where its group is."""
        if candidate.pinned:
            return addresses == candidate.pinned
        group = self.ledger.groups.get(candidate.group, addresses) if candidate.group is not None else addresses
        return self.spaces[candidate.name].families_suit(candidate.exposure, addresses) and group == addresses


def _somebody_waits(observed: Observed, owner: str) -> bool:
    """Whether a Service of somebody else would take the next address that becomes free."""
    return any(
        service.is_load_balancer and not service.assigned and not service.deleting and not service.owned_by(owner)
        for service in observed.services.values()
    )


def _texts(addresses: Iterable[Address]) -> str:
    return ",".join(str(address) for address in addresses)
