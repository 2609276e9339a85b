"""The service controller of Kubernetes, which hands out what a cloud gives: requests, and what it says.

Recorded from k8s.io/cloud-provider 0.36.3. The words after its own are the cloud's, so they are passed on as they are.
It keeps the address a Service has when it refuses another one, holds it for a Service that is being deleted, and asks
its cloud again by itself, after up to five minutes.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.reasons import Reason
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import ObservedService, ServiceEvent, parse_known
from edge_expose_module.load_balancers.api import Answer, Ask, Claim, Request, Watched, values_about
from edge_expose_module.load_balancers.pools import Pool
from edge_expose_module.load_balancers.sharing import why_keys_differ, why_ports_clash

FINALIZER: Final = "service.kubernetes.io/load-balancer-cleanup"
_SOURCE: Final = "service-controller"
_REFUSAL: Final = "SyncLoadBalancerFailed"
_GRANT: Final = "EnsuredLoadBalancer"
_PREFIXES: Final = ("Error syncing load balancer: ", "failed to ensure load balancer: ")


@dataclass(frozen=True, slots=True)
class ServiceController:
    """Nobody can see a cloud's range: its pools are unknown."""

    name: str = "ServiceController"
    pools: tuple[Pool, ...] | None = None
    pool_error: str = ""
    advertised: bool = True
    answers_alone: bool = True
    claims_first: bool = False
    needs_no_node_ports: bool = False
    request_keys: frozenset[str] = frozenset()
    retrigger_seconds: tuple[float, ...] = (5.0, 20.0, 60.0)
    watched: frozenset[Watched] = frozenset()

    def serves(self, load_balancer_class: str | None) -> bool:
        return load_balancer_class is None

    def request(self, ask: Ask) -> Request:
        return Request(load_balancer_ip=str(ask.addresses[0]) if ask.addresses else None)

    def requested_of(self, service: ObservedService) -> tuple[Address, ...]:
        if not service.is_load_balancer:
            return ()
        return parse_known([str(service.spec.get("loadBalancerIP") or "")])

    def sharing_key_of(self, service: ObservedService) -> str:
        return ""

    def pool_named_by(self, service: ObservedService) -> str:
        return ""

    def why_not_shared(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        """Some clouds let two Services with different ports ask for one address; the cloud says so itself."""
        return why_keys_differ(address, mine, other) or why_ports_clash(address, mine, other)

    def explain(self, service: ObservedService, events: Sequence[ServiceEvent]) -> Answer | None:
        spoken = [event for event in events if event.source == _SOURCE and event.reason in (_REFUSAL, _GRANT)]
        if not spoken or spoken[-1].reason == _GRANT:
            return None
        last = spoken[-1]
        text = last.message
        for prefix in _PREFIXES:
            text = text.removeprefix(prefix)
        text, said = f"service controller: {text}", f"{last.time} {last.count} {last.message}"
        asked = self.requested_of(service)
        reason: Reason = "AllocationFailed"
        if asked:
            text = f"{', '.join(map(str, asked))} was requested and is not given; {text}"
            reason = "AddressRefused"
        return Answer(reason, text, said, values_about(reason, service, asked, self.name))


def detect_service_controller(services: Iterable[ObservedService]) -> ServiceController | None:
    """By the finalizer that it puts on every Service before anything else."""
    return ServiceController() if any(_is_its(service) for service in services) else None


def _is_its(service: ObservedService) -> bool:
    return service.is_load_balancer and FINALIZER in service.finalizers
