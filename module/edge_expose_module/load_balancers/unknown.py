"""A load balancer of a kind we do not know, or none: `spec.loadBalancerIP` is tried, and what it says is passed on.

Where MetalLB's namespace may not be read, as on Azure Stack Edge, MetalLB is of an unknown kind too: so its annotations
are written as well, which others ignore, and its Events are understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.reasons import Reason
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ObservedService, ServiceEvent
from edge_expose_module.load_balancers.api import Answer, Ask, Claim, Request, Watched, values_about
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.load_balancers.pools import Pool

# Components of Kubernetes itself that write Events about Services; what they say is not about addresses.
_NOT_A_LOAD_BALANCER: Final = frozenset(
    {
        "endpoint-controller",
        "endpoint-slice-controller",
        "endpoint-slice-mirroring-controller",
        "ipallocator-repair-controller",
        "portallocator-repair-controller",
    }
)
_UNSEEN: Final = MetalLB()


@dataclass(frozen=True, slots=True)
class Unknown:
    """`load_balancer_class` is the class of the Services it is asked about; None for those without one."""

    load_balancer_class: str | None = None
    name: str = "UnknownLoadBalancer"
    pools: tuple[Pool, ...] | None = None
    pool_error: str = ""
    advertised: bool = True
    answers_alone: bool = False
    claims_first: bool = False
    needs_no_node_ports: bool = False
    retrigger_seconds: tuple[float, ...] = (2.0, 5.0, 20.0)
    watched: frozenset[Watched] = frozenset()

    def serves(self, load_balancer_class: str | None) -> bool:
        return load_balancer_class == self.load_balancer_class

    @property
    def request_keys(self) -> frozenset[str]:
        return _UNSEEN.request_keys

    def request(self, ask: Ask) -> Request:
        return _UNSEEN.request(ask)

    def requested_of(self, service: ObservedService) -> tuple[Address, ...]:
        return _UNSEEN.requested_of(service)

    def sharing_key_of(self, service: ObservedService) -> str:
        return _UNSEEN.sharing_key_of(service)

    def pool_named_by(self, service: ObservedService) -> str:
        return _UNSEEN.pool_named_by(service)

    def why_not_shared(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        return _UNSEEN.why_not_shared(address, mine, other)

    def explain(self, service: ObservedService, events: Sequence[ServiceEvent]) -> Answer | None:
        """A condition that is False with a message, else the newest Event of somebody who may be the load balancer."""
        known = _UNSEEN.explain(service, events)
        if known is not None:
            return known
        for condition in service.conditions:
            if condition.status == "False" and condition.message:
                text = f"{condition.type}: {condition.message}"
                return self._answer(service, text, f"{condition.reason} {condition.time}")
        spoken = [event for event in events if event.source not in _NOT_A_LOAD_BALANCER]
        if not spoken or not spoken[-1].is_warning:
            return None
        last = spoken[-1]
        text = f"{last.source}: {last.message}"
        return self._answer(service, text, f"{last.time} {last.count} {last.message}")

    def _answer(self, service: ObservedService, text: str, said: str) -> Answer:
        reason: Reason = "AllocationFailed"
        return Answer(reason, text, said, values_about(reason, service, self.requested_of(service), self.name))
