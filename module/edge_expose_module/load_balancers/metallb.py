"""MetalLB, by ConfigMap (0.9 to 0.12) or by custom resources (0.13 and newer): requests, sharing, and what it says.

Its Events and the rules behind them were recorded from 0.10.3 and 0.16.1.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.reasons import Reason
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.api import Resource
from edge_expose_module.cluster.service import ObservedService, ServiceEvent, parse_known, ports_text
from edge_expose_module.load_balancers.api import Answer, Ask, Claim, Request, Watched, values_about
from edge_expose_module.load_balancers.pools import Pool
from edge_expose_module.load_balancers.sharing import why_backends_differ, why_keys_differ, why_ports_clash

GROUP: Final = "/apis/metallb.io/v1beta1"
POOLS = Resource(GROUP, "ipaddresspools", "IPAddressPool")
L2_ADVERTISEMENTS = Resource(GROUP, "l2advertisements", "L2Advertisement")
CONFIGURATION_STATES = Resource(GROUP, "configurationstates", "ConfigurationState")
BGP_ADVERTISEMENTS = Resource(GROUP, "bgpadvertisements", "BGPAdvertisement")

OLD_PREFIX: Final = "metallb.universe.tf"
NEW_PREFIX: Final = "metallb.io"
_PREFIXES: Final = (NEW_PREFIX, OLD_PREFIX)
_SHARING: Final = "allow-shared-ip"
_POOL: Final = "address-pool"
_ADDRESSES: Final = "loadBalancerIPs"
ALLOCATED_FROM: Final = "ip-allocated-from-pool"
"""Written back by 0.13.9 and newer."""
SOURCE: Final = "metallb-controller"
# Reasons of Events that end a request; other Warnings (deprecatedAnnotation) say nothing about the address.
_REFUSALS: Final = frozenset({"AllocationFailed", "LoadBalancerFailed"})
_GRANTS: Final = frozenset({"IPAllocated"})
_PORT_IN_USE: Final = re.compile(r"\bport (TCP|UDP|SCTP)/([0-9]{1,5}) is already in use on\b")


class Form(StrEnum):
    """How MetalLB is configured, as named in the report."""

    CRD = "MetalLB/CRD"
    CONFIG_MAP = "MetalLB/ConfigMap"
    UNSEEN = "MetalLB"
    """Known by its Events alone: its configuration may not be read, as on Azure Stack Edge."""


@dataclass(frozen=True, slots=True)
class MetalLB:
    """`prefix` is the annotation prefix that this release reads."""

    form: Form = Form.CRD
    prefix: str = OLD_PREFIX
    pools: tuple[Pool, ...] | None = None
    pool_error: str = ""
    advertised: bool = True
    watched: frozenset[Watched] = frozenset()
    answers_alone: bool = True
    claims_first: bool = True
    needs_no_node_ports: bool = True
    # It does not ask again on a timer: a Service whose request was refused waits until it is touched, also when whoever
    # held the address lets go of it without being deleted. Soon at first, since two Services that change places pass
    # through a moment in which one of them is refused.
    retrigger_seconds: tuple[float, ...] = (2.0, 5.0, 20.0)

    @property
    def name(self) -> str:
        return str(self.form)

    @property
    def request_keys(self) -> frozenset[str]:
        return frozenset(f"{prefix}/{key}" for prefix in _PREFIXES for key in (_SHARING, _POOL, _ADDRESSES))

    def serves(self, load_balancer_class: str | None) -> bool:
        """Releases with a ConfigMap do not know the field and serve every Service."""
        return load_balancer_class is None or self.form is Form.CONFIG_MAP

    def request(self, ask: Ask) -> Request:
        annotations: dict[str, str] = {}
        if ask.sharing_key is not None:
            annotations[f"{self.prefix}/{_SHARING}"] = ask.sharing_key
        if ask.pool is not None:
            annotations[f"{self.prefix}/{_POOL}"] = ask.pool
        # One form only: MetalLB refuses the annotation and the field together, even when they agree.
        if len(ask.addresses) == 2 and self.form is Form.CRD:
            annotations[f"{self.prefix}/{_ADDRESSES}"] = ",".join(str(address) for address in ask.addresses)
            return Request(annotations)
        return Request(annotations, str(ask.addresses[0]) if ask.addresses else None)

    def requested_of(self, service: ObservedService) -> tuple[Address, ...]:
        if not service.is_load_balancer:
            return ()
        texts = [str(service.spec.get("loadBalancerIP") or "")]
        for prefix in _PREFIXES:
            texts.extend(service.annotations.get(f"{prefix}/{_ADDRESSES}", "").split(","))
        return parse_known(texts)

    def sharing_key_of(self, service: ObservedService) -> str:
        keys = (f"{prefix}/{_SHARING}" for prefix in _PREFIXES)
        return next((service.annotations[key] for key in keys if key in service.annotations), "")

    def pool_named_by(self, service: ObservedService) -> str:
        keys = (f"{prefix}/{_POOL}" for prefix in _PREFIXES)
        return next((service.annotations[key] for key in keys if key in service.annotations), "")

    def why_not_shared(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        return (
            why_keys_differ(address, mine, other)
            or why_ports_clash(address, mine, other)
            or why_backends_differ(address, mine, other)
        )

    def explain(self, service: ObservedService, events: Sequence[ServiceEvent]) -> Answer | None:
        spoken = [e for e in events if e.source == SOURCE and e.reason in _REFUSALS | _GRANTS]
        if not spoken or spoken[-1].reason in _GRANTS:
            return None
        last = spoken[-1]
        reason, cure = _understood(last.message)
        text = last.message.partition('": ')[2] or last.message
        port = _PORT_IN_USE.search(last.message)
        ports = ports_text([(port[1], int(port[2]))]) if port is not None else ""
        values = values_about(reason, service, self.requested_of(service), self.name, ports)
        said = f"{last.time} {last.count} {last.message}"
        return Answer(reason, f"MetalLB: {text}{cure}", said, values)


def _understood(message: str) -> tuple[Reason, str]:
    lowered = message.lower()
    if "no available ips" in lowered:
        return "PoolExhausted", "; free an address, or extend the range on the device"
    if "not allowed in config" in lowered:
        return "AddressOutsideRange", "; pin an address of its pool"
    if "already in use on" in lowered:
        return "PortTaken", "; publish another port, or choose another address"
    if "sharing key" in lowered or "also in use" in lowered:
        return "AddressTaken", "; choose another address, or agree on a sharing key"
    if "not compatible for ip assignment" in lowered:
        return "PoolNotForService", "; choose an address of a pool that serves this namespace"
    if "not compatible with requested address pool" in lowered:
        return "PoolAddressMismatch", "; leave one of them out"
    if "unknown pool" in lowered:
        return "UnknownPool", "; name one of the pools of this device"
    return "AllocationFailed", ""
