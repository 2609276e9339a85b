"""Cilium's LB-IPAM: requests, sharing, and what it says.

It speaks by one condition of the Service, never by Events, and was recorded from 1.15.19. It takes the held address
away with a request it refuses, and shares by the key alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.reasons import Reason
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.api import Resource
from edge_expose_module.cluster.service import ObservedService, ServiceEvent, parse_known
from edge_expose_module.load_balancers.api import Answer, Ask, Claim, Reads, Request, Watched, values_about
from edge_expose_module.load_balancers.cilium_pools import pools_from_objects
from edge_expose_module.load_balancers.pools import Pool
from edge_expose_module.load_balancers.sharing import why_backends_differ, why_keys_differ, why_ports_clash

CONDITION: Final = "cilium.io/IPAMRequestSatisfied"
_PLURAL: Final = "ciliumloadbalancerippools"
_KIND: Final = "CiliumLoadBalancerIPPool"
_NEW_GROUP: Final = "/apis/cilium.io/v2"
_OLD_GROUP: Final = "/apis/cilium.io/v2alpha1"
_OLD_ADDRESSES: Final = "io.cilium/lb-ipam-ips"
_NEW_ADDRESSES: Final = "lbipam.cilium.io/ips"
_OLD_SHARING: Final = "io.cilium/lb-ipam-sharing-key"
_NEW_SHARING: Final = "lbipam.cilium.io/sharing-key"
_CLASSES: Final = frozenset({None, "io.cilium/bgp-control-plane", "io.cilium/l2-announcer"})
_NAMED: Final = re.compile(r"'([0-9a-fA-F:.]+)'")


@dataclass(frozen=True, slots=True)
class Cilium:
    """`is_new` are releases that serve their pools as v2: other annotations, and ports shared by protocol too."""

    pools: tuple[Pool, ...] | None = None
    is_new: bool = False
    watched: frozenset[Watched] = frozenset()
    name: str = "Cilium/LB-IPAM"
    pool_error: str = ""
    advertised: bool = True
    answers_alone: bool = True
    claims_first: bool = True
    needs_no_node_ports: bool = False
    # It tries every waiting Service again whenever a Service or a pool changes.
    retrigger_seconds: tuple[float, ...] = ()

    @property
    def request_keys(self) -> frozenset[str]:
        return frozenset({_OLD_ADDRESSES, _NEW_ADDRESSES, _OLD_SHARING, _NEW_SHARING})

    def serves(self, load_balancer_class: str | None) -> bool:
        return load_balancer_class in _CLASSES

    def request(self, ask: Ask) -> Request:
        annotations: dict[str, str] = {}
        if ask.sharing_key is not None:
            annotations[_NEW_SHARING if self.is_new else _OLD_SHARING] = ask.sharing_key
        # One form only: what field and annotation ask for is given together.
        if len(ask.addresses) > 1:
            key = _NEW_ADDRESSES if self.is_new else _OLD_ADDRESSES
            annotations[key] = ",".join(str(address) for address in ask.addresses)
            return Request(annotations)
        return Request(annotations, str(ask.addresses[0]) if ask.addresses else None)

    def requested_of(self, service: ObservedService) -> tuple[Address, ...]:
        if not service.is_load_balancer:
            return ()
        texts = [str(service.spec.get("loadBalancerIP") or "")]
        for key in (_NEW_ADDRESSES, _OLD_ADDRESSES):
            texts.extend(service.annotations.get(key, "").split(","))
        return parse_known(texts)

    def sharing_key_of(self, service: ObservedService) -> str:
        return service.annotations.get(_NEW_SHARING) or service.annotations.get(_OLD_SHARING, "")

    def pool_named_by(self, service: ObservedService) -> str:
        return ""

    def why_not_shared(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        block = why_keys_differ(address, mine, other)
        if block is None and mine.namespace != other.namespace:
            text = f"{address} is {other.how}; Cilium shares an address within one namespace only"
            text = f"{text}; choose another address"
            block = Block.of("AddressTaken", text, address=address, holder=other.party)
        return block or self._why_ports_clash(address, mine, other) or why_backends_differ(address, mine, other)

    def _why_ports_clash(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        if self.is_new:
            return why_ports_clash(address, mine, other)
        clash = sorted({number for _, number in mine.ports} & {number for _, number in other.ports})
        if not clash:
            return None
        ports = ", ".join(map(str, clash))
        text = f"port {ports} on shared address {address} is {other.how}, and this Cilium shares no port number between"
        text = f"{text} protocols; publish another port"
        return Block.of("PortTaken", text, port=ports, address=address, holder=other.party)

    def explain(self, service: ObservedService, events: Sequence[ServiceEvent]) -> Answer | None:
        for condition in service.conditions:
            if condition.type != CONDITION or condition.status != "False":
                continue
            named = parse_known(_NAMED.findall(condition.message))
            if named and not set(named) <= set(self.requested_of(service)):
                return None  # about an earlier request: the present one has no answer yet
            reason, cure = _understood(condition.reason, is_about_one=bool(named))
            said = f"{condition.time} {condition.reason} {condition.message}"
            values = values_about(reason, service, self.requested_of(service), self.name)
            return Answer(reason, f"Cilium: {condition.message}{cure}", said, values)
        return None


def _understood(reason: str, *, is_about_one: bool) -> tuple[Reason, str]:
    match reason:
        case "no_pool" if is_about_one:
            return "AddressOutsideRange", "; pin an address of an enabled pool"
        case "no_pool":
            return "NoPool", "; add a CiliumLoadBalancerIPPool that selects this Service"
        case "pool_selector_mismatch":
            return "PoolNotForService", "; choose an address of a pool that selects this Service"
        case "out_of_ips":
            return "PoolExhausted", "; free an address, or extend the pool"
        case _ if reason.startswith("already_allocated"):
            return "AddressTaken", "; choose another address, or agree on a sharing key, other ports and one namespace"
    return "AllocationFailed", ""


def detect_cilium(reads: Reads, services: Iterable[ObservedService]) -> Cilium | None:
    """Pools, or what it said of a Service: kinds that are merely served do not count."""
    for group, is_new in ((_NEW_GROUP, True), (_OLD_GROUP, False)):
        if _PLURAL in reads.served(group):
            resource = Resource(group, _PLURAL, _KIND)
            items: Sequence[Any] | None = reads.list(resource, None)
            if not items and not any(_has_spoken(service) for service in services):
                return None
            pools = None if items is None else pools_from_objects(items, keeps_edges=not is_new)
            return Cilium(pools, is_new, frozenset() if items is None else frozenset({(resource, None)}))
    return None


def _has_spoken(service: ObservedService) -> bool:
    return service.is_load_balancer and any(one.type == CONDITION for one in service.conditions)
