"""`driver: manifest`: exposures written into createOptions, for edgeAgent to make the Services. Pure.

PortBindings carry the ports, `k8s-experimental.serviceOptions` type and address, Docker Labels the load balancer's
annotations. What edgeAgent cannot express is refused, each wish with its reason.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from typing import Any

from edge_expose_cloud.capacity import address_groups
from edge_expose_cloud.edge_agent import EXTENSION
from edge_expose_cloud.findings import Finding, finding
from edge_expose_cloud.spec import Spec
from edge_expose_contract.addressing import Address
from edge_expose_contract.identity import HOSTNAME_ANNOTATION
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import split_pair
from edge_expose_contract.violations import shown

SHARE_LABEL = "metallb.universe.tf/allow-shared-ip"
POOL_LABEL = "metallb.universe.tf/address-pool"


def check_manifest_driver(spec: Spec) -> list[Finding]:
    """Every wish of the spec that edgeAgent's Services cannot carry."""
    found: list[Finding] = []
    owners: dict[str, str] = {}
    for name, exposure in spec.exposures.items():
        if not exposure.enabled:
            continue
        found += _check_exposure(name, exposure)
        if exposure.addresses and spec.target.device is None:
            found.append(
                finding(
                    "DriverManifestTarget",
                    f"exposures.{name}.address",
                    f"{exposure.address} cannot be given to every device of a condition",
                )
            )
        if exposure.module is not None:
            other = owners.setdefault(exposure.module, name)
            if other != name:
                found.append(
                    _refuse(
                        name,
                        "module",
                        f"module {shown(exposure.module)} has the exposure {shown(other)} already: "
                        "edgeAgent makes one Service for a module",
                    )
                )
    return found


def _check_exposure(name: str, exposure: Exposure) -> Iterator[Finding]:
    if exposure.module is None:
        what = "selector" if exposure.selector is not None else "endpoints"
        yield _refuse(name, what, f"{what}: edgeAgent's Services select their own module")
    for field, set_ in (
        ("allowFrom", exposure.allow_from is not None),
        ("sessionAffinity", exposure.session_affinity != "None"),
        ("externalTrafficPolicy", exposure.external_traffic_policy != "Cluster"),
        ("ipFamilyPolicy", exposure.ip_family_policy is not None),
        ("ipFamilies", exposure.ip_families is not None),
        ("loadBalancerClass", exposure.load_balancer_class is not None),
        ("labels", exposure.labels is not None),
        ("namespace", exposure.namespace is not None),
        ("expires", exposure.expires is not None),
        ("probe", exposure.probe is not None),
        ("adopt", exposure.adopt),
    ):
        if set_:
            yield _refuse(name, field, f"{field} has no place in a Service made by edgeAgent")
    if len(exposure.addresses) > 1:
        yield _refuse(name, "address", "loadBalancerIP holds one address, not one of each family")
    yield from _check_ports(name, exposure)


def _check_ports(name: str, exposure: Exposure) -> Iterator[Finding]:
    by_number: dict[int, str] = {}
    by_target: dict[tuple[int | str, str], int] = {}
    for mapping in exposure.mappings:
        if isinstance(mapping.target, str):
            yield _refuse(name, "ports", f"target port {shown(mapping.target)}: PortBindings take numbers only")
        if mapping.app_protocol is not None:
            yield _refuse(name, "ports", "appProtocol has no place in a Service made by edgeAgent")
        if mapping.port in by_number:
            yield _refuse(
                name,
                "ports",
                f"port {mapping.port} for {by_number[mapping.port]} and {mapping.protocol}: "
                "edgeAgent keeps one entry for a number",
            )
        by_number.setdefault(mapping.port, mapping.protocol)
        key = (mapping.target, mapping.protocol)
        if key in by_target:
            yield _refuse(
                name,
                "ports",
                f"target port {mapping.target} is published as {by_target[key]} and {mapping.port}: "
                "both Service ports would get one name",
            )
        by_target.setdefault(key, mapping.port)
    if exposure.is_external and len(exposure.protocols) > 1:
        protocols = " and ".join(sorted(exposure.protocols))
        yield _refuse(
            name,
            "ports",
            f"{protocols} in one LoadBalancer Service: refused or broken on Azure Stack Edge, "
            "and edgeAgent makes one Service for a module",
        )


def _refuse(name: str, field: str, message: str) -> Finding:
    return finding("DriverManifestInexpressible", f"exposures.{name}.{field}", message)


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
            _write(options[exposure.module], exposure, addresses.get(name))
    return options


def _write(options: dict[str, Any], exposure: Exposure, address: Address | None) -> None:
    host_config = options.setdefault("HostConfig", {})
    bindings: dict[str, Any] = {}
    for mapping in exposure.mappings:
        bindings.setdefault(f"{mapping.target}/{mapping.protocol.lower()}", []).append({"HostPort": str(mapping.port)})
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
