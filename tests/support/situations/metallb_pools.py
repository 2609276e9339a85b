"""Pools: named ones, full ones, and those that do not serve everybody."""

from __future__ import annotations

from typing import Any

from support.situations.bed import Bed, pool
from support.situations.metallb_addresses import POOL, one_pool, refused, values
from support.situations.table import METALLB, Seen, situation

NAMED = "metallb.universe.tf/address-pool"
OTHER = "spare-pool"


@situation(METALLB, "Every pool that may be chosen from is used up.")
def no_address_free(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(30, 30))})
    namespace = bed.namespace()
    bed.balancer(namespace, "holder")
    bed.wait_address(namespace, "holder")
    bed.balancer(namespace, "asker")
    return refused(bed, namespace)


@situation(METALLB, "There is only a pool that is not to be chosen from automatically.")
def no_pool_to_choose_from(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20), autoAssign=False)})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker")
    return refused(bed, namespace)


@situation(METALLB, "A Service names a pool that does not exist.")
def pool_unknown(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", annotations={NAMED: "no-such-pool"})
    return refused(bed, namespace, asked_pool="no-such-pool")


@situation(METALLB, "A Service names a pool that is used up; another one has room.")
def pool_full(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(30, 30)), OTHER: pool(bed.range(40, 49))})
    namespace = bed.namespace()
    bed.balancer(namespace, "holder", bed.address(30))
    bed.wait_address(namespace, "holder")
    bed.balancer(namespace, "asker", annotations={NAMED: POOL})
    return refused(bed, namespace)


@situation(METALLB, "An IPv4 Service names a pool that has IPv6 addresses only.")
def pool_of_other_family(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool("fc00:77::10-fc00:77::20")})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", annotations={NAMED: POOL})
    return refused(bed, namespace)


@situation(METALLB, "A Service asks for an address of one pool and names another pool.")
def address_not_in_named_pool(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(bed.range(10, 20)), OTHER: pool(bed.range(40, 49))})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", bed.address(12), annotations={NAMED: OTHER})
    if bed.profile == "1.36":
        return refused(bed, namespace, bed.address(12), asked_pool=OTHER)
    return Seen(bed.event(namespace, "asker", "IPAllocated"), values(namespace, bed.address(12), asked_pool=OTHER))


@situation(METALLB, "A Service asks for an address of a pool that avoids addresses ending in 0 and 255.")
def address_that_pool_avoids(bed: Bed) -> Seen:
    bed.set_pools({POOL: pool(f"{bed.base}.0/24", avoidBuggyIPs=True)})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", bed.address(255))
    return refused(bed, namespace, bed.address(255))


def _restricted(bed: Bed, allocation: dict[str, Any], asks: dict[str, Any], address: str = "") -> Seen:
    """A pool for others, and one that serves everybody but is not chosen from automatically."""
    open_to_all = pool(bed.range(40, 49), autoAssign=False)
    bed.set_pools({POOL: pool(bed.range(10, 20), serviceAllocation=allocation), OTHER: open_to_all})
    namespace = bed.namespace({"site": "north"})
    bed.balancer(namespace, "asker", address, **asks)
    return refused(bed, namespace, address)


_BY: dict[str, tuple[str, dict[str, Any]]] = {
    "namespace": ("other namespaces by name", {"namespaces": ["somebody-elses"]}),
    "namespace_label": (
        "namespaces with another label, of which there is one",
        {"namespaceSelectors": [{"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}]},
    ),
    "service_label": ("Services with another label", {"serviceSelectors": [{"matchLabels": {"app": "theirs"}}]}),
}
_ASKED: dict[str, str] = {"address": "asks for one of its addresses", "pool": "names it", "": "asks for nothing"}


def _enter(by: str, asked: str) -> None:
    whom, allocation = _BY[by]
    given = f"A pool serves {whom} only, and a Service that it does not serve {_ASKED[asked]}."

    @situation(METALLB, given, profiles=("1.36",), name=f"pool_restricted_by_{by}_{asked or 'automatic'}")
    def run(bed: Bed) -> Seen:
        named = {"annotations": {"metallb.io/address-pool": POOL}} if asked == "pool" else {}
        return _restricted(bed, allocation, named, bed.address(12) if asked == "address" else "")


for _by in _BY:
    for _asked in _ASKED:
        _enter(_by, _asked)


@situation(
    METALLB,
    "A pool serves namespaces with a label that none has: it is open to whoever asks for an address of it.",
    profiles=("1.36",),
)
def pool_restricted_to_a_label_that_no_namespace_has(bed: Bed) -> Seen:
    allocation = {"namespaceSelectors": [{"matchLabels": {"site": "nowhere"}}]}
    bed.set_pools({POOL: pool(bed.range(10, 20), serviceAllocation=allocation)})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker", bed.address(12))
    return Seen(bed.event(namespace, "asker", "IPAllocated"), values(namespace, bed.address(12)))


@situation(METALLB, "Two pools serve a Service; the one with the lower priority value is chosen.", profiles=("1.36",))
def pool_with_priority(bed: Bed) -> Seen:
    second = pool(bed.range(10, 19), serviceAllocation={"priority": 20})
    first = pool(bed.range(40, 49), serviceAllocation={"priority": 10})
    bed.set_pools({POOL: second, OTHER: first})
    namespace = bed.namespace()
    bed.balancer(namespace, "asker")
    bed.wait_address(namespace, "asker", bed.address(40))
    return Seen(bed.event(namespace, "asker", "IPAllocated"), values(namespace, bed.address(40)))
