"""Every Service that should be there, claims too, in the form that is carried out now. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.services import own_sharing_key
from edge_expose_module.allocation.allocate import Decision
from edge_expose_module.allocation.claims import Carrier, merged
from edge_expose_module.cluster.service import Key
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.hostnames import SharedHostnames
from edge_expose_module.desired.resolved import ResolvedExposure
from edge_expose_module.pass_inputs import PassInputs
from edge_expose_module.services.moves import Move
from edge_expose_module.services.render import DeclaredService, Target, declare, slice_bodies


@dataclass(frozen=True, slots=True)
class Declarations:
    """The Services, and the EndpointSlices or Endpoints of each; `names` are the exposures that have any, `going_on`
    those of them whose last good form goes on."""

    services: tuple[DeclaredService, ...]
    companions: Mapping[Key, tuple[dict[str, Any], ...]]
    names: frozenset[str]
    going_on: frozenset[str]


def declarations(
    standing: Mapping[str, ResolvedExposure],
    decisions: Mapping[str, Decision],
    under_way: Mapping[str, Move],
    carriers: Mapping[str, Sequence[Carrier]],
    last_good: Mapping[str, Exposure],
    hostnames: SharedHostnames,
    inputs: PassInputs,
    default_namespace: str,
    waiting: Collection[str] = (),
) -> Declarations:
    """Of an exposure that is blocked with nothing to ask for, what runs goes on as it is: it is not declared. `waiting`
    are those whose last good form goes on where they are.
    """
    observed = inputs.observed
    target = Target(inputs.owner, default_namespace, observed.load_balancer_for, observed.capabilities)
    services: list[DeclaredService] = []
    companions: dict[Key, tuple[dict[str, Any], ...]] = {}
    names: set[str] = set()
    going_on: set[str] = set()
    for name, wanted in sorted(standing.items()):
        decision, move = decisions.get(name, Decision()), under_way.get(name)
        if decision.block is not None and not decision.addresses:
            continue
        names.add(name)
        exposure, addresses = hostnames.carried(name, wanted.exposure), decision.addresses
        noted: tuple[Address, ...] = ()
        under: str | None = None
        if wanted.block is not None and move is None:
            # The form that stands in for a refused one may be of another place.
            under = _key_it_has(carriers.get(name, ()), observed)
        if move is not None and move.claimant == name:
            services.append(move.claim_service(wanted, target))
        if name in waiting or (move is not None and not move.granted):
            # The Service is not touched before the claim is granted, its last good form goes on.
            going_on.add(name)
            exposure = hostnames.carried(name, last_good.get(name, exposure))
            addresses = merged(carrier.service.assigned for carrier in carriers[name] if carrier.is_declared)
            noted = merged(carrier.service.asked for carrier in carriers[name])
            under = _key_it_has(carriers[name], observed)
        joined = (move is not None and move.granted) or _has_own_key(name, carriers, inputs)
        for service in declare(name, exposure, addresses, target, may_be_joined=joined, under=under, noted=noted):
            services.append(service)
            key = (service.namespace, service.name)
            companions[key] = slice_bodies(service, exposure, observed.capabilities)
    return Declarations(tuple(services), companions, frozenset(names), frozenset(going_on))


def _key_it_has(carriers: Sequence[Carrier], observed: Observed) -> str | None:
    """The sharing key under which an exposure has its address. It may have come there by a move that the last good form
    knows nothing of, and with another key it could lose the address."""
    keys = (observed.sharing_key(c.service) for c in carriers if c.is_declared and c.service.assigned)
    return next((key for key in keys if key), None)


def _has_own_key(name: str, carriers: Mapping[str, Sequence[Carrier]], inputs: PassInputs) -> bool:
    """Whether a move left its sharing key on the Service. It stays: taking it off would be a write for nothing, and one
    that the load balancer checks against a claim it may not have seen go."""
    key = own_sharing_key(inputs.owner, name)
    return any(inputs.observed.sharing_key(carrier.service) == key for carrier in carriers.get(name, ()))
