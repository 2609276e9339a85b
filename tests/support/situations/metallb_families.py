"""Both families at once; needs a dual-stack cluster."""

from __future__ import annotations

from support.situations.bed import Bed, pool
from support.situations.metallb_addresses import POOL, refused, values
from support.situations.table import METALLB, Seen, situation

_ONLY = {"profiles": ("1.36",), "needs": "dual-stack", "embedded": False}
_FOUR_AND_SIX = {"ipFamilies": ["IPv4", "IPv6"]}


@situation(METALLB, "A Service with PreferDualStack holds one address, and its pool gets the other family.", **_ONLY)
def address_added(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", **_FOUR_AND_SIX, ipFamilyPolicy="PreferDualStack")
    bed.wait_address(namespace, "asker")
    bed.set_pools({POOL: pool(bed.range(10, 20), "fc00:77::10-fc00:77::20")})
    event = bed.event(namespace, "asker", "IPAllocated", "Assigned additional")
    return Seen(event, values(namespace, "fc00:77::10"))


@situation(METALLB, "A Service with PreferDualStack holds one address, and its pool has no other family.", **_ONLY)
def address_not_added(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", **_FOUR_AND_SIX, ipFamilyPolicy="PreferDualStack")
    bed.wait_address(namespace, "asker")
    event = bed.event(namespace, "asker", "AdditionalAssignFailed")
    return Seen(event, values(namespace, bed.address(10)))


@situation(METALLB, "A Service requires both families, and the pool it names has one.", **_ONLY)
def pool_without_second_family(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    named = {"metallb.io/address-pool": POOL}
    bed.balancer(namespace, "asker", annotations=named, **_FOUR_AND_SIX, ipFamilyPolicy="RequireDualStack")
    return refused(bed, namespace)


@situation(METALLB, "A Service requires both families, and no pool has both.", **_ONLY)
def no_pool_with_both_families(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", **_FOUR_AND_SIX, ipFamilyPolicy="RequireDualStack")
    return refused(bed, namespace)


@situation(METALLB, "A Service of both families asks for an IPv4 address only.", **_ONLY)
def one_address_for_both_families(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", bed.address(12), **_FOUR_AND_SIX, ipFamilyPolicy="RequireDualStack")
    return refused(bed, namespace, bed.address(12))
