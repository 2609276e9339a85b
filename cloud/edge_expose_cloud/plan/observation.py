"""Reads from the hub what planning needs to know of one device."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from edge_expose_cloud.findings.problems import Missing
from edge_expose_cloud.hub.api import Deployment, Hub, HubError, Twin
from edge_expose_cloud.plan.deployment import RETIRED_LABEL, owned_exposures
from edge_expose_cloud.plan.device import DeviceState
from edge_expose_cloud.plan.topology import Topology, topology_of
from edge_expose_contract.identity import MODULE_ID

# From this many devices on, their twins are read by query (100 a call) instead of one by one.
MANY_DEVICES = 25
# A module answers within milliseconds, or is not connected.
TOPOLOGY_SECONDS = 5


def registered_device(hub: Hub, device_id: str) -> Twin:
    """The device's own twin. Raises Missing."""
    device_twin = hub.device_twin(device_id)
    if device_twin is None:
        raise Missing(
            f"device {device_id!r} is not registered in {hub.host}",
            "register it as an IoT Edge device, or check target.device",
        )
    return device_twin


def observe_device(hub: Hub, device_id: str, modules: Iterable[str] = ()) -> DeviceState:
    """The device's own twin and those of `modules`, of the system modules and of ours, as far as they exist."""
    device_twin = registered_device(hub, device_id)
    names = {"$edgeAgent", "$edgeHub", MODULE_ID, *modules}
    twins = {name: twin for name in sorted(names) if (twin := hub.module_twin(device_id, name)) is not None}
    return DeviceState(device_id, device_twin, twins, datetime.now(UTC))


def device_topology(hub: Hub, twin: Twin) -> Topology:
    """Which Service holds which address, as the module says; unknown when it does not answer."""
    try:
        result = hub.invoke(twin.device_id, MODULE_ID, "topology", {}, TOPOLOGY_SECONDS)
    except HubError:
        return Topology()
    return topology_of(result.payload) if result.status == 200 else Topology()


def targeting_deployments(state: DeviceState, deployments: Iterable[Deployment]) -> list[Deployment]:
    """The automatic deployments that target this device now."""
    agent = state.twins.get("$edgeAgent")
    ids = set(agent.configurations) if agent is not None else set()
    return [item for item in deployments if item.id in ids and RETIRED_LABEL not in item.labels]


def deployments_of_device(hub: Hub, state: DeviceState) -> list[Deployment]:
    """Those that target this device now, read from the hub. A device that none targets costs no listing."""
    agent = state.twins.get("$edgeAgent")
    return targeting_deployments(state, hub.deployments()) if agent is not None and agent.configurations else []


def exposure_owners(hub: Hub, state: DeviceState) -> dict[str, str]:
    """Exposure -> the automatic deployment that sets it on this device, and would set it again."""
    deployments = deployments_of_device(hub, state)
    return owned_exposures(deployments, [item.id for item in deployments])
