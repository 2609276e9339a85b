"""What the module asks of a load balancer. Values and the protocol; no I/O.

An implementation is a frozen value that describes what was seen of the load balancer in one look at the cluster.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from edge_expose_contract.addressing import Address
from edge_expose_contract.reason_table import values_for
from edge_expose_contract.reasons import Reason
from edge_expose_module.blocks import Block
from edge_expose_module.cluster.api import Resource
from edge_expose_module.cluster.service import ObservedService, ServiceEvent
from edge_expose_module.load_balancers.pools import Pool

Watched = tuple[Resource, str | None]
"""A resource and the namespace in which it is watched; None means all namespaces."""


@dataclass(frozen=True, slots=True)
class Ask:
    """What one Service asks of the load balancer; no address means that the load balancer chooses."""

    addresses: tuple[Address, ...] = ()
    sharing_key: str | None = None
    pool: str | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """An `Ask` in the words of one load balancer."""

    annotations: Mapping[str, str] = field(default_factory=dict)
    load_balancer_ip: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """Why a Service does not have the address it asks for, in the load balancer's own words.

    `said` distinguishes this answer from an earlier one with the same text.
    """

    reason: Reason
    message: str
    said: str
    values: tuple[str, ...] = ()


def values_about(
    reason: Reason, service: ObservedService, asked: Sequence[Address], load_balancer: str, port: str = ""
) -> tuple[str, ...]:
    """The values of an answer to a Service that asked for these addresses; `port` as 80/tcp, where it names one."""
    known = {
        "address": ",".join(str(address) for address in asked),
        "load_balancer": load_balancer,
        "namespace": service.namespace,
        "port": port,
        "service": f"{service.namespace}/{service.name}",
    }
    return values_for(reason, known)


@dataclass(frozen=True, slots=True)
class Claim:
    """One party's use of an address.

    `exposure` is None for a Service that no exposure of ours stands behind; `backend` is the selector where traffic
    policy Local makes sharing depend on it; `waiting` means that the address is requested and not assigned.
    """

    party: str
    exposure: str | None
    ports: frozenset[tuple[str, int]]
    share: str
    backend: str
    namespace: str = ""
    waiting: bool = False

    @property
    def how(self) -> str:
        return f"requested by {self.party}, which has no address yet" if self.waiting else f"held by {self.party}"


class LoadBalancer(Protocol):
    """One load balancer as it was seen."""

    @property
    def name(self) -> str:
        """As the report names it, such as `MetalLB/CRD`."""

    @property
    def pools(self) -> tuple[Pool, ...] | None:
        """The pools in force, in the load balancer's order; None where they cannot be known."""

    @property
    def pool_error(self) -> str:
        """Why the load balancer does not accept its present configuration; empty when it does."""

    @property
    def advertised(self) -> bool:
        """Whether something answers for the addresses on the network, as far as that can be seen."""

    @property
    def answers_alone(self) -> bool:
        """Whether silence means that no load balancer of a known kind is there."""

    @property
    def request_keys(self) -> frozenset[str]:
        """Every annotation key that a request to this load balancer, in any of its releases, may use."""

    @property
    def claims_first(self) -> bool:
        """Whether a second Service may hold an address for the one that moves there, so that a move is never a loss."""

    @property
    def needs_no_node_ports(self) -> bool:
        """Whether traffic reaches a Service that has no node ports."""

    @property
    def retrigger_seconds(self) -> tuple[float, ...]:
        """Pauses after which a Service that waits is touched, so that it is looked at again; empty for never."""

    @property
    def watched(self) -> frozenset[Watched]:
        """What to watch so that a change of the pools is noticed."""

    def serves(self, load_balancer_class: str | None) -> bool:
        """Whether a Service of this class is this load balancer's."""

    def request(self, ask: Ask) -> Request: ...

    def requested_of(self, service: ObservedService) -> tuple[Address, ...]:
        """The addresses that a Service asks for, however it says so, IPv4 first."""

    def sharing_key_of(self, service: ObservedService) -> str: ...

    def pool_named_by(self, service: ObservedService) -> str:
        """The pool that a Service wants its address from; empty when it names none."""

    def why_not_shared(self, address: Address, mine: Claim, other: Claim) -> Block | None:
        """Why two parties cannot hold one address together."""

    def explain(self, service: ObservedService, events: Sequence[ServiceEvent]) -> Answer | None:
        """What the load balancer says about a Service that lacks the address it asks for; `events` oldest first."""


class Reads(Protocol):
    """Reads for detection; what RBAC does not allow, or the cluster does not serve, is None."""

    def served(self, group: str) -> frozenset[str]:
        """Plural names served under a group path; empty when the group is not there or may not be read."""

    def list(
        self, resource: Resource, namespace: str | None, *, fields: str = ""
    ) -> tuple[Mapping[str, Any], ...] | None: ...

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any] | None:
        """None also when there is no such object."""
