"""Make before break: an exposure that holds an address gets another one only once the load balancer has granted it.

A load balancer that is asked for an address it cannot give takes the held one away. So a claim Service, which no client
uses, asks first; the exposure's own Service follows when the claim has the address, and the claim goes. A refused claim
has changed nothing. The exposures of one sharing key that move to one address have one claim, and move together. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from edge_expose_contract.addressing import Address
from edge_expose_contract.services import service_shapes
from edge_expose_module.allocation.allocate import Decision
from edge_expose_module.allocation.claims import Carrier, merged
from edge_expose_module.cluster.service import Key, Port
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.services.claim_services import asked_key, claim_key, claim_port, claim_service
from edge_expose_module.services.render import DeclaredService, Target


@dataclass(frozen=True, slots=True)
class Move:
    """From `held` to `target`; `granted` means that the claim has the target and the Service may follow."""

    held: tuple[Address, ...]
    target: tuple[Address, ...]
    granted: bool
    claim: Key
    claimant: str
    """The exposure that the claim asks for, of those that move there together."""
    port: Port
    """What the claim publishes, since it must publish something."""

    def claim_service(self, wanted: ResolvedExposure, site: Target) -> DeclaredService:
        return claim_service(wanted.name, wanted.exposure, self.claim, self.port, self.target, site)


@dataclass(frozen=True, slots=True)
class _Mover:
    name: str
    wanted: ResolvedExposure
    held: tuple[Address, ...]
    target: tuple[Address, ...]
    key: str
    """The sharing key under which it moves."""
    namespace: str


def moves(
    decisions: Mapping[str, Decision],
    exposures: Mapping[str, ResolvedExposure],
    carriers: Mapping[str, Sequence[Carrier]],
    observed: Observed,
    owner: str,
    default_namespace: str,
    allowed_ports: Sequence[tuple[int, int]] | None,
) -> dict[str, Move]:
    """Those exposures that are to move and can be claimed for; others ask directly. `allowed_ports` are (first, last)
    numbers of the guard rails, None for all."""
    declared = {
        (shape.namespace, shape.name)
        for name, wanted in exposures.items()
        for shape in service_shapes(name, wanted.exposure, default_namespace)
    }
    together: dict[tuple[str, tuple[Address, ...]], list[_Mover]] = {}
    for mover in _movers(decisions, exposures, carriers, observed, owner, default_namespace):
        if _can_be_claimed(mover, observed, owner):
            together.setdefault((mover.key, mover.target), []).append(mover)
    found: dict[str, Move] = {}
    for movers in together.values():
        found.update(_claimed(movers, exposures, declared, observed, owner, allowed_ports))
    return found


def _movers(
    decisions: Mapping[str, Decision],
    exposures: Mapping[str, ResolvedExposure],
    carriers: Mapping[str, Sequence[Carrier]],
    observed: Observed,
    owner: str,
    default_namespace: str,
) -> Iterable[_Mover]:
    for name, decision in sorted(decisions.items()):
        exposure = exposures[name].exposure
        services = [carrier.service for carrier in carriers.get(name, ()) if carrier.is_declared]
        held = merged(service.assigned for service in services)
        requested = merged(observed.requested(service) for service in services)
        if held and decision.addresses and decision.addresses not in (held, requested):
            namespace = exposure.namespace or default_namespace
            key = asked_key(name, exposure, owner, namespace)
            yield _Mover(name, exposures[name], held, decision.addresses, key, namespace)


def _can_be_claimed(mover: _Mover, observed: Observed, owner: str) -> bool:
    """A second Service can hold the target only where the load balancer lets both share it."""
    if not observed.load_balancer_for(mover.wanted.exposure.load_balancer_class).claims_first:
        return False
    if len(mover.held) != 1 or len(mover.target) != 1:
        return False
    # Exposures that change places wait for each other: no claim could ever be granted.
    return not any(
        mover.target[0] in service.assigned
        and service.exposure != mover.name
        and observed.sharing_key(service) != mover.key
        for service in observed.owned(owner)
    )


def _claimed(
    movers: Sequence[_Mover],
    exposures: Mapping[str, ResolvedExposure],
    declared: set[Key],
    observed: Observed,
    owner: str,
    allowed_ports: Sequence[tuple[int, int]] | None,
) -> dict[str, Move]:
    """The moves of exposures that go to one address under one key: the first one that can have a claim asks for all."""
    for first in movers:
        place = claim_key(first.name, first.namespace, declared, observed, owner)
        if place is None:
            continue
        exposure = first.wanted.exposure
        shared = {
            port
            for wanted in exposures.values()
            if exposure.share is not None and wanted.exposure.share == exposure.share
            for port in wanted.exposure.published
        }
        port = claim_port(first.name, exposure, place, shared, observed, owner, allowed_ports)
        claim = observed.services.get(place)
        granted = claim is not None and claim.assigned == first.target and not claim.deleting
        return {m.name: Move(m.held, m.target, granted, place, first.name, port) for m in movers}
    return {}
