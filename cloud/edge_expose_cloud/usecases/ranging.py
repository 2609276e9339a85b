"""Ranges of a live device: its site section, exposures and held addresses."""

from __future__ import annotations

from edge_expose_cloud.hub import Hub, Twin
from edge_expose_cloud.planning import current_exposures, report_of
from edge_expose_cloud.spec import Network
from edge_expose_cloud.usecases.observing import observe_device
from edge_expose_cloud.usecases.problems import Refused
from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.reported import Reported
from edge_expose_contract.violations import RuleError


def device_ranges(
    hub: Hub, device_id: str
) -> tuple[Network | None, dict[str, Exposure], dict[str, tuple[Address, ...]]]:
    """(network, exposures, held addresses by exposure). The reported pool counts before the declared range."""
    state = observe_device(hub, device_id)
    if state.ours is None:
        raise Refused(f"device {device_id} has no module {MODULE_ID}", "apply a spec first")
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
    """(network, held addresses by exposure) from our module's twin."""
    report = report_of(twin)
    declared = twin.desired.get("site") if twin is not None else None
    site = dict(declared) if isinstance(declared, dict) else {}
    if report.pool is not None and report.pool.ranges:
        site["externalServiceIPs"] = [part.strip() for part in report.pool.ranges.split(",")]
    try:
        network = Network.model_validate(site) if site else None
    except ValueError:
        network = None
    held: dict[str, tuple[Address, ...]] = {}
    for name, entry in report.exposures.items():
        if entry.address:
            try:
                held[name] = tuple(parse_address(text) for text in entry.address.split(","))
            except RuleError:
                continue
    return network, held
