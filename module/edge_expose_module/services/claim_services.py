"""The Service that asks for an address on behalf of an exposure: its name, and what it says. Pure.

It is known by its label, whatever its name is: an exposure may have the name that a claim would have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final

from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import LABEL_CLAIM
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import MAX_LABEL, split_pair
from edge_expose_contract.services import own_sharing_key, selector_of, sharing_key
from edge_expose_module.cluster.service import CLAIM_SUFFIX, Key, Port
from edge_expose_module.cluster.state import Observed
from edge_expose_module.load_balancers.api import Ask
from edge_expose_module.services.render import DeclaredService, Target, declared_service
from edge_expose_module.services.spare_ports import leads_nowhere, spare_port

_NAMES: Final = 4
_DIGITS: Final = 8


def claim_names(exposure: str) -> Iterator[str]:
    """Names for the claim of an exposure, in the order in which they are tried: always the same ones."""
    if len(exposure) + len(CLAIM_SUFFIX) <= MAX_LABEL:
        yield exposure + CLAIM_SUFFIX
    kept = exposure[: MAX_LABEL - len(CLAIM_SUFFIX) - _DIGITS - 1].rstrip("-")
    for number in range(_NAMES):
        digits = hashlib.sha256(f"{exposure} {number}".encode()).hexdigest()[:_DIGITS]
        yield f"{kept}-{digits}{CLAIM_SUFFIX}"


def claim_key(name: str, namespace: str, declared: Collection[Key], observed: Observed, owner: str) -> Key | None:
    """Where the claim of an exposure is, or may be made; None when every name is taken."""
    names = [(namespace, text) for text in claim_names(name)]
    ours = {claim.key for claim in observed.claims(owner) if claim.exposure == name}
    free = [key for key in names if key not in declared]
    there = next((key for key in free if key in ours), None)
    if there is not None:
        return there
    modules = observed.edge_modules(namespace)
    return next((key for key in free if key not in observed.services and key[1] not in modules), None)


def claim_port(
    name: str,
    exposure: Exposure,
    key: Key,
    shared: Collection[Port],
    observed: Observed,
    owner: str,
    allowed: Sequence[tuple[int, int]] | None,
) -> Port:
    """A port that nobody publishes who may share the address with the claim; `shared` are those of other exposures
    under its sharing key, `allowed` those of the guard rails."""
    sharing = asked_key(name, exposure, owner, key[0])
    used = exposure.published | set(shared)
    for service in observed.services.values():
        if service.key != key and observed.sharing_key(service) == sharing:
            used |= service.ports
    return spare_port(used, allowed)


def asked_key(name: str, exposure: Exposure, owner: str, namespace: str) -> str:
    """The sharing key under which an exposure moves to the address that its claim has."""
    return sharing_key(name, exposure, owner, namespace) or own_sharing_key(owner, name)


def claim_service(
    name: str, exposure: Exposure, key: Key, port: Port, target: tuple[Address, ...], site: Target
) -> DeclaredService:
    """A Service that asks for `target` under the key of the exposure, and that no client can use."""
    is_local = exposure.external_traffic_policy == "Local"
    spec: dict[str, Any] = {
        "type": "LoadBalancer",
        "ports": [leads_nowhere(port)],
        # Under traffic policy Local it must select what it shares with.
        "selector": selector_of(exposure) if is_local else None,
        "externalTrafficPolicy": exposure.external_traffic_policy,
        "loadBalancerClass": exposure.load_balancer_class,
        # Who enforces the guard rails in the cluster wants them on every Service.
        "loadBalancerSourceRanges": list(exposure.allow_from) if exposure.allow_from else None,
    }
    if site.capabilities.optional_node_ports:
        spec["allocateLoadBalancerNodePorts"] = False
    if target[0].version == 6:
        spec |= {"ipFamilyPolicy": "SingleStack", "ipFamilies": ["IPv6"]}
    # The exposure's own labels decide too which pools serve it.
    labels = dict(split_pair(pair) for pair in exposure.labels or ())
    ask = Ask(target, asked_key(name, exposure, site.owner, key[0]), exposure.pool)
    return declared_service(name, key, {**labels, LABEL_CLAIM: "true"}, {}, spec, ask, site)
