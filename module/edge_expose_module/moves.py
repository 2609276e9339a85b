"""Make before break: an exposure that holds an address gets another one only once the load balancer has granted it.

A load balancer that is asked for an address it cannot give takes the held one away. So a claim Service, which no client
uses, asks first; the exposure's own Service follows when the claim has the address, and the claim goes. A refused claim
has changed nothing. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import MAX_LABEL
from edge_expose_contract.services import own_sharing_key, service_shapes
from edge_expose_module.allocation import Decision
from edge_expose_module.claims import Carrier, merged
from edge_expose_module.load_balancers.api import Ask
from edge_expose_module.observed_service import Key, claim_name
from edge_expose_module.observing import Observed
from edge_expose_module.rendering import DeclaredService, Target, declared_service
from edge_expose_module.wishes import Wish

_LAST_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Move:
    """From `held` to `target`; `granted` means that the claim has the target and the Service may follow."""

    held: tuple[Address, ...]
    target: tuple[Address, ...]
    granted: bool


def moves(
    decisions: Mapping[str, Decision],
    wishes: Mapping[str, Wish],
    carriers: Mapping[str, Sequence[Carrier]],
    observed: Observed,
    owner: str,
    default_namespace: str,
) -> dict[str, Move]:
    """Those exposures that are to move and can be claimed for; others ask directly."""
    declared = {
        (shape.namespace, shape.name)
        for name, wish in wishes.items()
        for shape in service_shapes(name, wish.exposure, default_namespace)
    }
    found: dict[str, Move] = {}
    for name, decision in sorted(decisions.items()):
        exposure = wishes[name].exposure
        services = [carrier.service for carrier in carriers.get(name, ()) if carrier.is_declared]
        held = merged(service.assigned for service in services)
        requested = merged(observed.requested(service) for service in services)
        if not held or not decision.addresses or decision.addresses in (held, requested):
            continue
        key = (exposure.namespace or default_namespace, claim_name(name))
        if key in declared or not _can_be_claimed(name, exposure, held, decision.addresses, key, observed, owner):
            continue
        claim = observed.services.get(key)
        granted = claim is not None and claim.assigned == decision.addresses and not claim.deleting
        found[name] = Move(held, decision.addresses, granted)
    return found


def _can_be_claimed(
    name: str,
    exposure: Exposure,
    held: tuple[Address, ...],
    target: tuple[Address, ...],
    key: Key,
    observed: Observed,
    owner: str,
) -> bool:
    """A second Service can hold the target only where the load balancer lets both share it."""
    if not observed.load_balancer_for(exposure.load_balancer_class).claims_first:
        return False
    if exposure.share is not None or exposure.external_traffic_policy == "Local" or len(held) != 1 or len(target) != 1:
        return False
    if len(claim_name(name)) > MAX_LABEL:
        return False
    existing = observed.services.get(key)
    if existing is not None and not (existing.owned_by(owner) and existing.exposure == name):
        return False
    # Exposures that change places wait for each other: no claim could ever be granted.
    return not any(target[0] in service.assigned and service.exposure != name for service in observed.owned(owner))


def claim_service(name: str, exposure: Exposure, move: Move, target: Target) -> DeclaredService:
    """The Service that asks for the new address: no selector, and a port that the exposure does not publish."""
    namespace = exposure.namespace or target.namespace
    used = {mapping.port for mapping in exposure.mappings}
    port = next(number for number in range(_LAST_PORT, 0, -1) if number not in used)
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        "ports": [{"name": f"tcp-{port}", "port": port, "targetPort": port, "protocol": "TCP"}],
        "selector": None,
        "loadBalancerClass": exposure.load_balancer_class,
    }
    if target.capabilities.optional_node_ports:
        spec["allocateLoadBalancerNodePorts"] = False
    if move.target[0].version == 6:
        spec |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}
    ask = Ask(move.target, own_sharing_key(target.owner, name), exposure.pool)
    return declared_service(name, (namespace, claim_name(name)), {}, {}, spec, ask, target)
