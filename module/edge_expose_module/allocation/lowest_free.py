"""Which free address an exposure without a pin gets, and why there is none. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from edge_expose_contract.addressing import Address, AddressSet
from edge_expose_module.allocation.address_space import Space
from edge_expose_module.allocation.claims import Candidate
from edge_expose_module.blocks import Block


def lowest_free(
    candidate: Candidate,
    space: Space,
    pools: Sequence[AddressSet],
    taken: frozenset[Address],
    rejected: frozenset[Address],
    resting: frozenset[Address],
) -> tuple[Address, ...] | Block:
    """An address of each family the exposure needs, all from one of `pools`, or why it gets none.

    `taken` are those that others have, `rejected` those the load balancer did not give this exposure; `resting` those
    of exposures that may come back, which are chosen last.
    """
    avoided = taken | rejected | frozenset(space.reserved)
    for without in (avoided | resting, avoided):
        for pool in pools:
            found = _lowest(space, candidate, pool, without)
            if found:
                return found
    return _why_none(candidate, space, pools, has_rejected=bool(rejected))


def families(versions: Iterable[int]) -> str:
    """As in `IPv4,IPv6`."""
    return ",".join(f"IPv{version}" for version in versions)


def _lowest(
    space: Space, candidate: Candidate, addresses: AddressSet, taken: frozenset[Address]
) -> tuple[Address, ...]:
    """Its own address of each family where it has one, else the lowest free; empty when one is missing."""
    found: list[Address] = []
    for version in space.versions_for(candidate.exposure):
        own = (*candidate.assigned, *candidate.requested, *candidate.remembered)
        kept = [a for a in own if a.version == version and a in addresses and a not in taken]
        choice = next((a for a in kept if space.why_illegal(a) is None), None)
        if choice is None:
            choice = space.lowest(addresses, taken, version)
        if choice is None:
            return ()
        found.append(choice)
    return tuple(found)


def _why_none(candidate: Candidate, space: Space, pools: Sequence[AddressSet], *, has_rejected: bool) -> Block:
    if not any(pools):
        return space.why_no_pool()
    where = ", ".join(str(pool) for pool in pools)
    allowed = space.allowed
    if allowed is not None and not any(pool.intersection(allowed) for pool in pools):
        told = f"none of {where} is among the addresses this device allows: {allowed}{space.allowed_by}"
        return Block.of("AddressNotAllowed", f"{told}; make the two agree", address=where, allowed=allowed)
    served = {part.version for pool in pools for part in pool.ranges}
    missing = [version for version in space.versions_for(candidate.exposure) if version not in served]
    if missing:
        text = f"an IPv{missing[0]} address is needed, and {where} has none; change ipFamilies, or extend the range"
        return Block.of("FamilyMismatch", text, addresses=where, family=families(missing))
    return _why_exhausted(candidate, space, pools, has_rejected=has_rejected)


def _why_exhausted(candidate: Candidate, space: Space, pools: Sequence[AddressSet], *, has_rejected: bool) -> Block:
    """Counts what this exposure could have been given, of the families it needs."""
    versions = space.versions_for(candidate.exposure)
    found = AddressSet.of([part for pool in pools for part in space.usable(pool).ranges if part.version in versions])
    where, total = str(found), found.size - space.avoided(found)
    refused = ", reserved or refused by the load balancer" if has_rejected else " or reserved"
    allowed = space.allowed
    limited = allowed is not None and any(pool.without(allowed) or pool is allowed for pool in pools)
    among = f" that this device allows{space.allowed_by}" if limited else ""
    more = "have the device allow more addresses" if limited else "extend the external service IP range on the device"
    text = f"no free address: all {total} of {where}{among} are held{refused}; remove an exposure, share an address"
    return Block.of("PoolExhausted", f"{text}, or {more}, then it becomes Ready by itself", range=where, size=total)
