"""Ranges of a live device: its site section, exposures and held addresses."""

from __future__ import annotations

from edge_expose_cloud.hub import Hub
from edge_expose_cloud.planning import current_exposures, report_of
from edge_expose_cloud.spec import Network
from edge_expose_cloud.usecases.observing import observe_device
from edge_expose_cloud.usecases.problems import Refused
from edge_expose_contract.addressing import Address, parse_address
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from edge_expose_contract.violations import RuleError


def device_ranges(
    hub: Hub, device_id: str
) -> tuple[Network | None, dict[str, Exposure], dict[str, tuple[Address, ...]]]:
    """(network, exposures, held addresses by exposure). The reported pool counts before the declared range."""
    state = observe_device(hub, device_id)
    if state.ours is None:
        raise Refused(f"device {device_id} has no module {MODULE_ID}", "apply a spec first")
    report = report_of(state.ours)
    site = dict(state.ours.desired.get("site") or {})
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
    return network, current_exposures(state.ours), held
