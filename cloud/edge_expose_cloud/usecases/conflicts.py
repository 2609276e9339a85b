"""What is on a device in the way of the exposures that a plan changes: the same question for every door.

Only exposures that the plan changes count: what was declared before has its reason in the report.
"""

from __future__ import annotations

from collections.abc import Mapping

from edge_expose_cloud.findings.finding import Finding, finding
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.iotedge.edge_agent import modules_of
from edge_expose_cloud.iotedge.module_ports import known_ports
from edge_expose_cloud.plan.conflicts import (
    expiry_findings,
    foreign_addresses,
    name_findings,
    namespace_findings,
    pool_findings,
    taken_findings,
    target_findings,
)
from edge_expose_cloud.plan.device import DeviceState, current_exposures, report_of, surroundings
from edge_expose_cloud.plan.observation import device_topology
from edge_expose_cloud.usecases.device_ranges import network_of
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure


def conflicts(hub: Hub, state: DeviceState, after: Mapping[str, Exposure]) -> list[Finding]:
    """Addresses and Service names that `after` asks for and somebody else has. The module is asked at most once."""
    twin = state.ours
    current = current_exposures(twin)
    changed = {name: item for name, item in after.items() if item.enabled and current.get(name) != item}
    if twin is None or not changed:
        return []
    _, held = network_of(twin)
    topology = device_topology(hub, twin)
    default = surroundings(state).namespace
    agent = state.twins.get("$edgeAgent")
    manifest = {"$edgeAgent": {"properties.desired": agent.desired}} if agent is not None else {}
    listening = {module: known_ports(entry) for module, entry, _ in modules_of(manifest)}
    found: list[Finding] = []
    for name, exposure in sorted(changed.items()):
        others = {other: item for other, item in after.items() if other != name}
        foreign = foreign_addresses(others, held, report_of(twin), topology.foreign())
        found += taken_findings(name, exposure, others, held, foreign)
        found += name_findings(name, exposure, default, topology.foreign_services())
        found += expiry_findings(name, exposure, state.read_at)
        found += target_findings(name, exposure, listening)
        found += namespace_findings(name, exposure, default)
        found += pool_findings(name, exposure, report_of(twin))
    return found


def left_behind(state: DeviceState, exposures: Mapping[str, Exposure]) -> list[Finding]:
    """With `driver: manifest`: addresses that Services made by our module hold. Those stay when it goes."""
    holders = {address: name for name, addresses in network_of(state.ours)[1].items() for address in addresses}
    found = []
    for name, exposure in sorted(exposures.items()):
        for address in exposure.addresses if exposure.enabled else ():
            if (holder := holders.get(address)) is not None:
                text = f"{address} is held by the Service that {MODULE_ID} made for {holder}, and stays with it"
                hint = f"Withdraw it first: edge-expose unexpose {state.device_id} {holder}"
                found.append(finding("AddressTaken", f"exposures.{name}.address", text, hint=hint, severity="warning"))
    return found
