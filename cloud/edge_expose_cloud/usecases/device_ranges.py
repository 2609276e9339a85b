"""Ranges of a live device: its site section, exposures and held addresses."""

from __future__ import annotations

from edge_expose_cloud.findings.problems import no_module
from edge_expose_cloud.hub.api import Hub, Json, Twin
from edge_expose_cloud.plan.device import current_exposures, report_of
from edge_expose_cloud.plan.observation import observe_device
from edge_expose_cloud.spec.model import Network
from edge_expose_contract.addressing import Address, AddressSet, parse_address, parse_range
from edge_expose_contract.models import Exposure
from edge_expose_contract.reported import Reported
from edge_expose_contract.violations import RuleError


def device_ranges(
    hub: Hub, device_id: str
) -> tuple[Network | None, dict[str, Exposure], dict[str, tuple[Address, ...]]]:
    """(network, exposures, held addresses by exposure). The reported pool counts before the declared range."""
    state = observe_device(hub, device_id)
    if state.ours is None:
        raise no_module(device_id)
    network, held = network_of(state.ours)
    return network, current_exposures(state.ours), held


def pool_decides(report: Reported) -> bool:
    """The module reads the load balancer's own pool, so that `site` neither moves nor blocks an address.

    The report gives `pool.ranges` in both cases; what tells them apart is which load balancer it found, what it was
    denied, and the reasons that only a pool which was read can have.
    """
    reason = report.pool.reason if report.pool is not None else None
    if reason == "PoolMismatch":
        return True
    if reason == "PoolInvalid" or report.cluster is None:
        return False
    match report.cluster.load_balancer:
        case "MetalLB/ConfigMap":
            return True
        case "MetalLB/CRD":
            return "ipaddresspools" not in report.cluster.denied
        case _:
            return False


def network_of(twin: Twin | None) -> tuple[Network | None, dict[str, tuple[Address, ...]]]:
    """(network, held addresses by exposure) from our module's twin.

    Ranges that were reported and are not just what `site` says count instead; which of them belong to which pool is not
    reported, so that named pools are not known then.
    """
    report = report_of(twin)
    declared = twin.desired.get("site") if twin is not None else None
    site = dict(declared) if isinstance(declared, dict) else {}
    network = _network(site)
    real = _reported_addresses(report)
    same = network is not None and network.all_addresses.same_addresses(real)
    if real and (pool_decides(report) or not same):
        site.pop("pools", None)
        network = _network({**site, "externalServiceIPs": [str(part) for part in real.ranges]})
    held: dict[str, tuple[Address, ...]] = {}
    for name, entry in report.exposures.items():
        if entry.address:
            try:
                held[name] = tuple(parse_address(text) for text in entry.address.split(","))
            except RuleError:
                continue
    return network, held


def _network(site: Json) -> Network | None:
    try:
        return Network.model_validate(site) if site else None
    except ValueError:
        return None


def _reported_addresses(report: Reported) -> AddressSet:
    """Each once: the pools of a load balancer, or a pool and the site's range, may name one address twice."""
    text = report.pool.ranges if report.pool is not None else ""
    try:
        return AddressSet.of([parse_range(part.strip()) for part in text.split(",") if part.strip()]).merged()
    except RuleError:
        return AddressSet()
