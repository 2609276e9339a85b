"""Status: one device, or all devices that have our module."""

from __future__ import annotations

from dataclasses import replace

from edge_expose_cloud.findings.problems import no_module
from edge_expose_cloud.hub.api import Hub, Twin
from edge_expose_cloud.iotedge.edge_agent import predict_services
from edge_expose_cloud.plan.observation import observe_device
from edge_expose_cloud.status.fleet import DeviceStatus, agent_says, status_of
from edge_expose_cloud.status.health import PREDICTED
from edge_expose_contract.identity import MODULE_ID


def device_status(hub: Hub, device_id: str) -> DeviceStatus:
    """Reads the twin itself, never the lagging query index. Without our module: what edgeAgent's manifest predicts."""
    twin = hub.module_twin(device_id, MODULE_ID)
    if twin is not None:
        status = status_of(twin)
        if not twin.reported:
            says = agent_says(hub.module_twin(device_id, "$edgeAgent"))
            return replace(status, note=f"the module has never reported; edgeAgent says {says or 'nothing about it'}")
        if twin.connection_state != "Disconnected":
            return status
        if not has_left(hub.module_twin(device_id, "$edgeAgent")):
            return status
        left = ", ".join(sorted(status.exposures)) or "none"
        gone = f"{MODULE_ID} is not in the manifest any more; Services it made may still stand, and nobody keeps them"
        return replace(predicted_status(hub, device_id), note=f"{gone} ({left})")
    predicted = predicted_status(hub, device_id)
    if not predicted.exposures:
        raise no_module(device_id)
    return predicted


def has_left(agent: Twin | None) -> bool:
    """Whether the manifest that edgeAgent applies does not have our module (any more)."""
    modules = agent.desired.get("modules") if agent is not None else None
    return isinstance(modules, dict) and MODULE_ID not in modules


def predicted_status(hub: Hub, device_id: str) -> DeviceStatus:
    """Without our module: the Services that edgeAgent makes of the manifest."""
    state = observe_device(hub, device_id)
    agent = state.twins.get("$edgeAgent")
    content = {"$edgeAgent": {"properties.desired": agent.desired}} if agent is not None else {}
    services = [
        item
        for item in predict_services(content, device_id=device_id).services
        if item.module not in ("edgeAgent", "edgeHub")
    ]
    exposures = {
        item.name: {
            "state": "Predicted",
            "address": item.load_balancer_ip,
            "service": item.name,
            "type": item.type,
            "ports": [f"{port.port}:{port.target_port or port.port}/{port.protocol.lower()}" for port in item.ports],
            "reason": "MadeByEdgeAgent",
        }
        for item in services
    }
    version = agent.desired_version if agent else 0
    summary = {"predicted": len(exposures)}
    return DeviceStatus(device_id, summary, exposures, version, None, None, "", "", {}, None, PREDICTED)


def fleet_status(hub: Hub) -> list[DeviceStatus]:
    """All devices, by id; the query may lag a few seconds behind."""
    return sorted((status_of(twin) for twin in hub.module_twins(MODULE_ID)), key=lambda status: status.device_id)


def read_status(hub: Hub, device: str | None) -> list[DeviceStatus]:
    """One device, or all that have our module."""
    return [device_status(hub, device)] if device is not None else fleet_status(hub)
