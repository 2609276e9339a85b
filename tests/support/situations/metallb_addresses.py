"""Addresses that are asked for: given, taken, out of reach; and what becomes of the address held before."""

from __future__ import annotations

from typing import Any

from support.situations.bed import Bed, pool
from support.situations.table import METALLB, Seen, situation
from support.waiting import eventually

OUTSIDE = "127.99.0.9"
POOL = "site-pool"
KEY = "metallb.universe.tf/allow-shared-ip"


def shared(key: str) -> dict[str, str]:
    """0.10.3 knows the old prefix only, 0.16.1 both."""
    return {KEY: key}


def one_pool(bed: Bed) -> str:
    bed.set_pools({POOL: pool(bed.range(10, 20))})
    return bed.namespace()


def values(namespace: str, address: str = "", **more: str) -> dict[str, str]:
    found = {"namespace": namespace, "name": "asker", "pool": POOL, **more}
    return {**found, "address": address} if address else found


def refused(bed: Bed, namespace: str, address: str = "", **more: str) -> Seen:
    return Seen(bed.event(namespace, "asker", "AllocationFailed"), values(namespace, address, **more))


def _held_by_other(bed: Bed, holder: dict[str, Any], asker: dict[str, Any]) -> Seen:
    """Two Services want one address on different ports unless said otherwise."""
    home, away = one_pool(bed), bed.namespace()
    address = bed.address(12)
    bed.balancer(away, "holder", address, **{"port": 9090, **holder})
    bed.wait_address(away, "holder", address)
    bed.balancer(home, "asker", address, **asker)
    return refused(bed, home, address, holder=f"{away}/holder")


@situation(METALLB, "A Service asks for an address that is in no pool.")
def address_outside_pools(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", OUTSIDE)
    return refused(bed, namespace, OUTSIDE)


@situation(METALLB, "A Service asks for an address that another one holds; neither has a sharing key.")
def address_taken(bed: Bed) -> Seen:
    return _held_by_other(bed, {}, {})


@situation(METALLB, "A Service with a sharing key asks for an address whose holder has none.")
def address_taken_holder_has_no_key(bed: Bed) -> Seen:
    return _held_by_other(bed, {}, {"annotations": shared("mine")})


@situation(METALLB, "A Service without a sharing key asks for an address whose holder has one.")
def address_taken_asker_has_no_key(bed: Bed) -> Seen:
    return _held_by_other(bed, {"annotations": shared("theirs")}, {})


@situation(METALLB, "A Service asks for an address whose holder has another sharing key.")
def address_taken_other_key(bed: Bed) -> Seen:
    seen = _held_by_other(bed, {"annotations": shared("theirs")}, {"annotations": shared("mine")})
    return Seen(seen.answer, {**seen.values, "key": "mine", "holder_key": "theirs"})


@situation(METALLB, "A Service asks for an address whose holder has the same sharing key and a port in common.")
def address_taken_same_port(bed: Bed) -> Seen:
    key = {"annotations": shared("mine"), "port": 8080}
    seen = _held_by_other(bed, key, key)
    return Seen(seen.answer, {**seen.values, "port": "8080", "protocol": "TCP"})


@situation(METALLB, "Same sharing key, but both have externalTrafficPolicy Local and select different pods.")
def address_taken_other_backend(bed: Bed) -> Seen:
    local = {"annotations": shared("mine"), "externalTrafficPolicy": "Local"}
    seen = _held_by_other(bed, {**local, "selector": {"app": "theirs"}}, {**local, "selector": {"app": "ours"}})
    return Seen(seen.answer, {**seen.values, "backend": "app=ours", "holder_backend": "app=theirs"})


@situation(METALLB, "A Service asks for a text that is no address.")
def address_invalid(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", "web.example.com")
    return refused(bed, namespace, "web.example.com")


@situation(METALLB, "An IPv4 Service asks for an IPv6 address.")
def address_of_other_family(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", "fc00::9")
    return refused(bed, namespace, "fc00::9")


@situation(METALLB, "An annotation asks for a text that is no address.", profiles=("1.36",))
def annotation_invalid(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", annotations={"metallb.io/loadBalancerIPs": "web.example.com"})
    return refused(bed, namespace, "web.example.com")


@situation(METALLB, "An annotation asks for two addresses of one family.", profiles=("1.36",))
def two_addresses_of_one_family(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    both = f"{bed.address(12)},{bed.address(13)}"
    bed.balancer(namespace, "asker", annotations={"metallb.io/loadBalancerIPs": both})
    return refused(bed, namespace, bed.address(12), other=bed.address(13))


@situation(METALLB, "An annotation asks for three addresses.", profiles=("1.36",))
def three_addresses(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    three = f"{bed.address(12)},{bed.address(13)},fc00::9"
    bed.balancer(namespace, "asker", annotations={"metallb.io/loadBalancerIPs": three})
    return refused(bed, namespace, bed.address(12), other=bed.address(13), third="fc00::9")


@situation(METALLB, "An annotation asks for an address of each family for an IPv4 Service.", profiles=("1.36",))
def addresses_of_both_families(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    both = f"{bed.address(12)},fc00::9"
    bed.balancer(namespace, "asker", annotations={"metallb.io/loadBalancerIPs": both})
    return refused(bed, namespace, bed.address(12), other="fc00::9")


@situation(METALLB, "Field and annotation both ask for an address, for the same one.", profiles=("1.36",))
def field_and_annotation(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    address = bed.address(12)
    bed.balancer(namespace, "asker", address, annotations={"metallb.io/loadBalancerIPs": address})
    return refused(bed, namespace, address)


@situation(METALLB, "A Service gets an address, chosen or asked for.")
def address_assigned(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", bed.address(12))
    event = bed.event(namespace, "asker", "IPAllocated")
    body = bed.api.get(bed.service(namespace, "asker"))
    written = {"annotations": body["metadata"].get("annotations") or {}, "status": body["status"]}
    return Seen({**event, **written}, values(namespace, bed.address(12)))


@situation(METALLB, "A Service carries an annotation with the old prefix and gets an address.", profiles=("1.36",))
def deprecated_annotation(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker", annotations=shared("mine"))
    return Seen(bed.event(namespace, "asker", "deprecatedAnnotation"), values(namespace, annotation=KEY))


# --- a Service that holds an address asks for another one ---


def _change(bed: Bed, namespace: str, wanted: str, reason: str = "AllocationFailed", **more: str) -> Seen:
    """What is said, and whether the address held before is still there once it has been said."""
    event = bed.event(namespace, "asker", reason)
    held = bed.address(15)
    if reason == "AllocationFailed":
        eventually(lambda: not bed.addresses(namespace, "asker"), what="the address is taken away")
    keeps = bed.addresses(namespace, "asker") == [held]
    return Seen({**event, "keeps": keeps}, values(namespace, wanted, held=held, **more))


def _holding(bed: Bed, namespace: str, **more: Any) -> None:
    bed.balancer(namespace, "asker", bed.address(15), **more)
    bed.wait_address(namespace, "asker", bed.address(15))


@situation(METALLB, "A Service that holds an address asks for one that is in no pool.")
def change_to_address_outside_pools(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    _holding(bed, namespace)
    bed.ask(namespace, "asker", OUTSIDE)
    return _change(bed, namespace, OUTSIDE)


@situation(METALLB, "A Service that holds an address asks for one that another Service holds.")
def change_to_address_taken(bed: Bed) -> Seen:
    home, away = one_pool(bed), bed.namespace()
    bed.balancer(away, "holder", bed.address(12))
    bed.wait_address(away, "holder")
    _holding(bed, home)
    bed.ask(home, "asker", bed.address(12))
    return _change(bed, home, bed.address(12), holder=f"{away}/holder")


@situation(METALLB, "A Service that holds an address asks for a text that is no address.")
def change_to_address_invalid(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    _holding(bed, namespace)
    bed.ask(namespace, "asker", "web.example.com")
    reason = "LoadBalancerFailed" if bed.profile == "1.36" else "AllocationFailed"
    return _change(bed, namespace, "web.example.com", reason)


@situation(METALLB, "A Service that holds an address asks for a free one: it moves.")
def change_to_free_address(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    _holding(bed, namespace)
    bed.ask(namespace, "asker", bed.address(16))
    bed.wait_address(namespace, "asker", bed.address(16))
    shown = f'["{bed.address(16)}"]' if bed.profile == "1.36" else f'"{bed.address(16)}"'
    event = bed.event(namespace, "asker", "IPAllocated", f"Assigned IP {shown}")
    return Seen({**event, "keeps": False}, values(namespace, bed.address(16)))


@situation(METALLB, "A Service that shares its address takes its sharing key away.")
def key_taken_away(bed: Bed) -> Seen:
    home, away = one_pool(bed), bed.namespace()
    bed.balancer(away, "holder", bed.address(15), port=9090, annotations=shared("mine"))
    bed.wait_address(away, "holder")
    _holding(bed, home, annotations=shared("mine"))
    bed.api.merge(bed.service(home, "asker"), {"metadata": {"annotations": {KEY: None}}})
    return _change(bed, home, bed.address(15), holder=f"{away}/holder")


@situation(METALLB, "The pool no longer holds the address of a Service; another one is free.", profiles=("1.36",))
def held_address_left_out(bed: Bed) -> Seen:
    namespace = one_pool(bed)
    bed.balancer(namespace, "asker")
    bed.wait_address(namespace, "asker", bed.address(10))
    bed.set_pools({POOL: pool(bed.range(40, 41))})
    event = bed.event(namespace, "asker", "ClearAssignment")
    bed.wait_address(namespace, "asker", bed.address(40))
    return Seen({**event, "keeps": False}, values(namespace, bed.address(10)))
