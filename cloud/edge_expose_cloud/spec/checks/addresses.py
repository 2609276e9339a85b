"""Checks of a spec's exposures and ranges: addresses, shares, ports, Service names. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edge_expose_cloud.findings.finding import Finding, Severity, finding
from edge_expose_cloud.spec.capacity import AddressGroup, Demand, families_of, pool_of
from edge_expose_cloud.spec.last import Last
from edge_expose_cloud.spec.model import Network, Spec
from edge_expose_contract.addressing import Address, AddressRange, AddressSet, parse_address, parse_range
from edge_expose_contract.hostnames import halves_text, twice_text, without_their_hostname
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.names import sanitize_k8s_value
from edge_expose_contract.ports import beyond_document, beyond_text
from edge_expose_contract.services import backend_key, service_shapes
from edge_expose_contract.violations import shown

# Azure Stack Edge: dashboard and registry; the API server and DNS of its default Service network.
ASE_PORTS = {31000: "the Kubernetes dashboard", 31001: "the container registry"}
ASE_ADDRESSES = {parse_address("172.28.0.1"), parse_address("172.28.0.10")}
ASE_POD_NETWORK, ASE_SERVICE_NETWORK = "172.27.0.0/16", "172.28.0.0/16"
SIDECAR_PORTS = (35000, 35001)
SYSTEM_MODULES = ("edgeAgent", "edgeHub")


def lint_addresses(
    spec: Spec, declared: set[str] | None = None, standing: Mapping[str, Exposure] | None = None
) -> list[Finding]:
    """All findings; `declared` are the modules the document names, when more than the spec's valid ones, `standing` the
    exposures that the device has already."""
    return AddressChecks().lint(spec, declared, standing)


class AddressChecks:
    """Checks of one spec for one device after the other: exposures that stay the same objects are looked at once, and
    against the ranges of each device."""

    def __init__(self) -> None:
        self._wishes: Last[_Wishes] = Last()

    def lint(
        self, spec: Spec, declared: set[str] | None = None, standing: Mapping[str, Exposure] | None = None
    ) -> list[Finding]:
        """As lint_addresses."""
        modules = set(spec.modules) if declared is None else declared
        network = spec.network
        namespace = network.namespace if network is not None else None
        same_for = (tuple(sorted(modules)), spec.driver, spec.target.layered, namespace)
        wishes = self._wishes.of(
            (spec.exposures, spec.modules, standing), same_for, lambda: _wishes(spec, modules, standing or {})
        )
        found = list(_ranges(network)) if network else []
        found += wishes.first
        found += _addresses(spec, wishes)
        found += _pools(network, wishes.active) if network else ()
        found += wishes.ports
        found += _shares(network, wishes) if wishes.shared else ()
        found += _capacity(spec, wishes.demand) if network else ()
        found += wishes.names
        return found


@dataclass(frozen=True, slots=True)
class _Wishes:
    """What can be said of exposures without any ranges: findings in the order in which they are shown, and what the
    checks against ranges look at."""

    active: dict[str, Exposure]
    pinned: dict[str, Exposure]
    shared: dict[str, Exposure]
    demand: Demand
    """Of all exposures of the spec."""
    fitting: Demand
    """Of the active ones."""
    first: list[Finding]
    ports: list[Finding]
    names: list[Finding]


def _wishes(spec: Spec, modules: set[str], standing: Mapping[str, Exposure]) -> _Wishes:
    active = {name: exposure for name, exposure in spec.exposures.items() if exposure.enabled}
    beyond = _beyond(active, standing)
    # What has no room is not expanded: a spec can say millions of ports in a few lines.
    active = {name: exposure for name, exposure in active.items() if name not in beyond}
    fitting = Demand(active)
    return _Wishes(
        active,
        {name: exposure for name, exposure in active.items() if exposure.addresses},
        {name: exposure for name, exposure in active.items() if exposure.share is not None},
        Demand(spec.exposures) if beyond else fitting,
        fitting,
        [*beyond.values(), *_targets(spec, active, modules), *_service_names(spec, active)],
        list(_ports(active, fitting)),
        [*_hostnames(active), *_adopted(active)],
    )


def _ranges(network: Network) -> Iterator[Finding]:
    for field, text, usual in (
        ("podNetwork", network.pod_network, ASE_POD_NETWORK),
        ("serviceNetwork", network.service_network, ASE_SERVICE_NETWORK),
    ):
        other = AddressSet.of([parse_range(text or usual)])
        for name, ranges in (("externalServiceIPs", network.external), ("nodeIPs", network.nodes)):
            if not ranges.overlaps(other):
                continue
            if text is not None:
                yield finding("RangeOverlapsNetwork", f"network.{name}", f"{name} {ranges} overlaps {field} {text}")
            else:
                what = f"{name} {ranges} overlaps the {field} that Azure Stack Edge has unless it was changed, {usual}"
                yield finding("RangeOverlapsNetwork", f"network.{name}", what, severity="warning")
    for address in sorted(ASE_ADDRESSES):
        if address in network.external:
            yield finding(
                "RangeIsClusterAddress",
                "network.externalServiceIPs",
                f"{address} is taken by the cluster on Azure Stack Edge",
                severity="warning",
            )
    if network.nodes:
        wanted = (network.node_count or 1) + 1
        if network.nodes.size < wanted:
            severity: Severity = "error" if network.node_count else "warning"
            yield finding(
                "NodeIpsTooFew",
                "network.nodeIPs",
                f"{network.nodes.size} node IPs; {wanted} are needed for {wanted - 1} node(s)",
                severity=severity,
            )
    for name, text in (network.reserved or {}).items():
        known = network.all_addresses
        if known and parse_address(text) not in known:
            yield finding("ReservedOutsideRange", f"network.reserved.{name}", f"{text} ({name}) is outside {known}")


def _targets(spec: Spec, active: dict[str, Exposure], modules: set[str]) -> Iterator[Finding]:
    for name, exposure in active.items():
        if exposure.module is None or spec.target.layered:
            continue
        if exposure.module not in modules:
            known = ", ".join(sorted(modules)) or "none"
            yield finding(
                "ExposureModuleUnknown",
                f"exposures.{name}.module",
                f"module {shown(exposure.module)} is not in this spec (modules: {known})",
            )
    for name, exposure in active.items():
        for mapping in exposure.mappings:
            if mapping.target in SIDECAR_PORTS and exposure.module is not None:
                yield finding(
                    "ModulePortReserved",
                    f"exposures.{name}.ports",
                    f"target port {mapping.target} belongs to the IoT Edge sidecar",
                )


def _service_names(spec: Spec, active: dict[str, Exposure]) -> Iterator[Finding]:
    namespace = (spec.network.namespace if spec.network else None) or ""
    taken: dict[tuple[str, str], str] = {}
    if spec.driver == "module":
        modules = {sanitize_k8s_value(module): module for module in (*SYSTEM_MODULES, MODULE_ID, *spec.modules)}
        for name, exposure in active.items():
            for shape in service_shapes(name, exposure, namespace):
                if shape.name not in modules:
                    continue
                # With a namespace of its own the Service may stand apart from the module's: then it is only a warning.
                apart = bool(exposure.namespace or namespace)
                what = f"exposure {shown(name)}" + ("" if shape.name == name else f", whose UDP half is {shape.name},")
                message = f"{what} has the Service name of module {shown(modules[shape.name])}"
                yield finding(
                    "ExposureNamedLikeModule", f"exposures.{name}", message, severity="warning" if apart else "error"
                )
    for name, exposure in active.items():
        for shape in service_shapes(name, exposure, namespace):
            other = taken.setdefault((shape.namespace, shape.name), name)
            if other != name:
                yield finding(
                    "ServiceNameClash",
                    f"exposures.{name}",
                    f"{shown(name)} and {shown(other)} both need the Service {shape.name}",
                )


def _addresses(spec: Spec, wishes: _Wishes) -> Iterator[Finding]:
    network, active = spec.network, wishes.active
    holders: dict[Address, str] = {}
    for name, exposure in wishes.pinned.items():
        path = f"exposures.{name}.address"
        for address in exposure.addresses:
            if network is not None:
                yield from _address(network, exposure, address, path)
            other = holders.setdefault(address, name)
            if other != name and (exposure.share is None or active[other].share != exposure.share):
                yield finding(
                    "AddressTwice",
                    path,
                    f"{address} is also the address of exposure {shown(other)}, without a common share key",
                )
        if spec.target.condition is not None:
            yield finding(
                "ConditionFixedAddress", path, f"every device of the condition would ask for {exposure.address}"
            )


def _address(network: Network, exposure: Exposure, address: Address, path: str) -> Iterator[Finding]:
    pool = network.named_pools.get(exposure.pool) if exposure.pool else None
    if address in network.nodes:
        yield finding("AddressIsNodeIp", path, f"{address} is a node IP ({network.nodes})")
    elif network.all_addresses and address not in network.all_addresses:
        yield finding(
            "AddressOutsideRange", path, f"{address} is outside the external service IPs {network.all_addresses}"
        )
    elif pool is not None and address not in pool:
        yield finding("AddressOutsideRange", path, f"{address} is outside pool {shown(exposure.pool)} ({pool})")
    elif address in network.reserved_addresses:
        yield finding("AddressReserved", path, f"{address} is reserved for {network.reserved_addresses[address]}")


def _pools(network: Network, active: dict[str, Exposure]) -> Iterator[Finding]:
    if not network.named_pools:
        return  # the load balancer alone knows its pools
    known = ", ".join(sorted(network.named_pools))
    for name, exposure in active.items():
        if exposure.pool is not None and exposure.pool not in network.named_pools:
            yield finding(
                "UnknownPool",
                f"exposures.{name}.pool",
                f"there is no address pool {shown(exposure.pool)} (network.pools: {known})",
            )


def _ports(active: dict[str, Exposure], demand: Demand) -> Iterator[Finding]:
    # Who shares with whom is the same on every device, whatever its ranges.
    groups = {name: group for group in demand.groups(None) for name in group.exposures}
    taken: dict[tuple[AddressGroup, str, int], str] = {}
    for name, exposure in active.items():
        if not exposure.is_external:
            continue
        for mapping in exposure.mappings:
            if mapping.port in ASE_PORTS:
                yield finding(
                    "PortReserved",
                    f"exposures.{name}.ports",
                    f"port {mapping.port} is taken by {ASE_PORTS[mapping.port]} on Azure Stack Edge",
                )
            other = taken.setdefault((groups[name], mapping.protocol, mapping.port), name)
            if other != name:
                place = ", ".join(map(str, groups[name].addresses)) or f"share key {exposure.share!r}"
                yield finding(
                    "PortClash",
                    f"exposures.{name}.ports",
                    f"{mapping.port}/{mapping.protocol.lower()} is published by {shown(other)} on {place} already",
                )


def _hostnames(active: Mapping[str, Exposure]) -> Iterator[Finding]:
    wanted = {name: exposure.hostname for name, exposure in active.items() if exposure.hostname is not None}
    losers = without_their_hostname(wanted)
    for loser, winner in sorted(losers.items()):
        yield finding("HostnameTwice", f"exposures.{loser}.hostname", twice_text(wanted[loser], loser, winner))
    for name, exposure in active.items():
        text = halves_text(name, exposure) if name not in losers else ""
        if text:
            yield finding("HostnameTwice", f"exposures.{name}.hostname", text, hint="Nothing needs to be done.")


def _adopted(active: Mapping[str, Exposure]) -> Iterator[Finding]:
    for name, exposure in active.items():
        if exposure.adopt:
            text = f"withdrawing {name} later deletes the Service that it takes over, as any of ours"
            yield finding("AdoptedIsOurs", f"exposures.{name}.adopt", text)


def _beyond(active: Mapping[str, Exposure], standing: Mapping[str, Exposure]) -> dict[str, Finding]:
    counts = {name: exposure.port_count for name, exposure in active.items()}
    held = {name: exposure.port_count for name, exposure in standing.items() if exposure.enabled}
    return {
        name: finding("TooManyPorts", f"exposures.{name}.ports", beyond_text(counts[name], others))
        for name, others in beyond_document(counts, held).items()
    }


def _shares(network: Network | None, wishes: _Wishes) -> Iterator[Finding]:
    """What the members of a share key must have in common: address, pods behind traffic policy Local, IP families."""
    pinned: dict[str, tuple[str, tuple[Address, ...]]] = {}
    active = wishes.active
    for name, exposure in wishes.shared.items():
        if exposure.share is None or not exposure.addresses:
            continue
        other, addresses = pinned.setdefault(exposure.share, (name, exposure.addresses))
        if addresses != exposure.addresses:
            yield finding(
                "ShareAddressDiffers",
                f"exposures.{name}.address",
                f"share key {shown(exposure.share)}: {shown(other)} has another address",
            )
    for group in wishes.fitting.groups(network):
        first, *others = group.exposures
        for name in others:
            if active[name].share is not None and active[name].share == active[first].share:
                yield from _apart(network, group, active[first], name, active[name])


def _apart(
    network: Network | None, group: AddressGroup, first: Exposure, name: str, other: Exposure
) -> Iterator[Finding]:
    """Why one of a sharing group cannot have the address of the group's first."""
    path = f"exposures.{name}"
    holder = shown(group.exposures[0])
    if backend_key(other) != backend_key(first):
        yield finding(
            "SharePolicyLocal",
            f"{path}.externalTrafficPolicy",
            f"{shown(name)} and {holder} share an address, and one of them has policy Local: then both need it, and "
            "the same pods",
        )
    pool, versions = pool_of(network, other), families_of(network, other)
    takes_what_there_is = pool is None and other.ip_family_policy == "PreferDualStack"
    if versions != group.versions and not takes_what_there_is:
        yield finding(
            "FamilyMismatch",
            f"{path}.share",
            f"{shown(name)} needs {_families(versions)}, and shares the address of {holder}, which has "
            f"{_families(group.versions)}",
        )
    there = AddressSet.of([AddressRange(pin, pin) for pin in group.addresses]) or pool_of(network, first)
    if other.pool is not None and not other.addresses and pool and there and not pool.overlaps(there):
        yield finding(
            "AddressOutsideRange",
            f"{path}.pool",
            f"{shown(name)} shares the address of {holder}, from {there}: outside pool {shown(other.pool)} ({pool})",
        )


def _families(versions: tuple[int, ...]) -> str:
    return " and ".join(f"IPv{version}" for version in versions)


def _capacity(spec: Spec, demand: Demand) -> Iterator[Finding]:
    network = spec.network
    if network is None:
        return
    if network.external and not network.reserved:
        yield finding("RangeNoEdgehub", "network", "no address is reserved for edgeHub")
    report = demand.capacity(network)
    rows = [("the external service IPs", report), *((f"pool {name}", row) for name, row in report.pools.items())]
    for where, row in rows:
        if row.overflow is None:
            continue
        exposure = spec.exposures[row.overflow]
        held = {part.version for part in (pool_of(network, exposure) or AddressSet()).ranges}
        missing = tuple(version for version in families_of(network, exposure) if version not in held)
        if missing:
            yield finding(
                "FamilyMismatch",
                f"exposures.{row.overflow}",
                f"{shown(row.overflow)} needs an {_families(missing)} address, and {where} ({row.ranges}) has none",
            )
        else:
            yield finding(
                "RangeTooSmall",
                f"exposures.{row.overflow}",
                f"{row.needed} addresses are needed, {row.available} are available in {where} {row.ranges} "
                f"({row.reserved} reserved): {shown(row.overflow)} gets none",
            )
