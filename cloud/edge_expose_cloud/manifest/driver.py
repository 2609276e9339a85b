"""`driver: manifest`: exposures written into createOptions, for edgeAgent to make the Services. Pure.

PortBindings carry the ports, `k8s-experimental.serviceOptions` type and address, Docker Labels the load balancer's
annotations. What edgeAgent cannot express was refused before: `spec.checks.driver_limits`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from edge_expose_cloud.iotedge.edge_agent import EXTENSION
from edge_expose_cloud.spec.capacity import address_groups
from edge_expose_cloud.spec.model import Spec
from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import HOSTNAME_ANNOTATION
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import split_pair

SHARE_LABEL = "metallb.universe.tf/allow-shared-ip"
POOL_LABEL = "metallb.universe.tf/address-pool"


def allocate(spec: Spec, held: Mapping[str, Address]) -> dict[str, Address]:
    """Exposure -> address. `held` is module -> the address its manifest on the hub asks for: kept while legal.

    An exposure is left out when nothing is free, when no range is known, or when the target is a condition.
    """
    network = spec.network
    chosen = {
        name: exposure.addresses[0]
        for name, exposure in spec.exposures.items()
        if exposure.addresses and exposure.enabled
    }
    if network is None or not network.external or spec.target.device is None:
        return chosen
    taken = (
        set(chosen.values())
        | set(network.reserved_addresses)
        | set(network.nodes if network.nodes.size < 65536 else ())
    )
    groups = [group for group in address_groups(network, spec.exposures) if not group.addresses]
    waiting = []
    for group in groups:
        modules = [spec.exposures[name].module or "" for name in group.exposures]
        kept = next(
            (
                held[module]
                for module in modules
                if module in held and held[module] in network.external and held[module] not in taken
            ),
            None,
        )
        if kept is None:
            waiting.append(group)
            continue
        taken.add(kept)
        chosen.update(dict.fromkeys(group.exposures, kept))
    for group in waiting:
        free = network.external.lowest_free(taken, group.versions[0])
        if free is not None:
            taken.add(free)
            chosen.update(dict.fromkeys(group.exposures, free))
    return chosen


def with_exposures(spec: Spec, held: Mapping[str, Address]) -> dict[str, dict[str, Any]]:
    """Module -> its createOptions with the exposures written in (modules without one keep theirs)."""
    addresses = allocate(spec, held)
    options = {name: copy.deepcopy(module.create_options) for name, module in spec.modules.items()}
    for name, exposure in sorted(spec.exposures.items()):
        if exposure.enabled and exposure.module in options:
            _write(options[exposure.module], exposure, addresses.get(name) or held.get(exposure.module))
    return options


def _write(options: dict[str, Any], exposure: Exposure, address: Address | None) -> None:
    host_config = options.setdefault("HostConfig", {})
    # What the module publishes of its own stays published.
    bindings: dict[str, Any] = dict(host_config.get("PortBindings") or {})
    for mapping in exposure.mappings:
        key = f"{mapping.target}/{mapping.protocol.lower()}"
        entry = {"HostPort": str(mapping.port)}
        there = list(bindings.get(key) or [])
        bindings[key] = there if entry in there else [*there, entry]
    host_config["PortBindings"] = bindings
    service: dict[str, Any] = {"type": exposure.type}
    if address is not None and exposure.is_external:
        service["loadBalancerIP"] = str(address)
    options.setdefault(EXTENSION, {})["serviceOptions"] = service
    labels = {}
    if exposure.share is not None:
        labels[SHARE_LABEL] = exposure.share
    if exposure.pool is not None:
        labels[POOL_LABEL] = exposure.pool
    if exposure.hostname is not None:
        labels[HOSTNAME_ANNOTATION] = exposure.hostname
    labels.update(split_pair(pair) for pair in exposure.annotations or ())
    if labels:
        options["Labels"] = {**options.get("Labels", {}), **labels}
