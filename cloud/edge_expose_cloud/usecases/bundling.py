"""Support bundle: what somebody who helps needs to see of one device, without secrets."""

from __future__ import annotations

import datetime as dt
from typing import Any

from edge_expose_cloud.hub import Hub, HubError, Json
from edge_expose_cloud.plans import redacted
from edge_expose_cloud.usecases.doctoring import examine_device
from edge_expose_cloud.usecases.observing import observe_device, targeting_deployments
from edge_expose_contract.identity import MODULE_ID

_METHOD_SECONDS = 10


def support_bundle(hub: Hub, device_id: str, now: dt.datetime) -> Json:
    """Twins, deployments, checks and the module's own bundle. Registry passwords and values of env are left out."""
    state = observe_device(hub, device_id)
    twins: Json = {
        module: {
            "connectionState": twin.connection_state,
            "desiredVersion": twin.desired_version,
            "desired": without_values(twin.desired),
            "reportedVersion": twin.reported_version,
            "reported": without_values(twin.reported),
            "configurations": twin.configurations,
        }
        for module, twin in state.twins.items()
    }
    deployments = [
        {
            "id": item.id,
            "priority": item.priority,
            "targetCondition": item.target_condition,
            "labels": item.labels,
            "created": item.created,
            "content": without_values(item.content),
        }
        for item in targeting_deployments(state, hub.deployments())
    ]
    return {
        "made": now.isoformat(),
        "hub": hub.host,
        "device": device_id,
        "tags": state.device_twin.tags,
        "checks": [check.to_json() for check in examine_device(hub, device_id, now)],
        "twins": twins,
        "deployments": deployments,
        "module": _of_module(hub, device_id) if state.ours is not None else None,
    }


def _of_module(hub: Hub, device_id: str) -> Any:
    try:
        answer = hub.invoke(device_id, MODULE_ID, "supportBundle", {}, _METHOD_SECONDS)
    except HubError as error:
        return {"error": error.message}
    return without_values(answer.payload)


def without_values(value: Any) -> Any:
    """The same data, with registry passwords and the values of environment variables as ***."""
    return _hide_env(redacted(value, {}))


def _hide_env(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(item) if key.lower() == "env" else _hide_option(key, item) for key, item in value.items()}
    if isinstance(value, list):
        return [_hide_env(item) for item in value]
    return value


def _hide_option(key: str, item: Any) -> Any:
    # createOptions are JSON in a string: an environment may stand in there as well.
    if key.lower().startswith("createoptions") and isinstance(item, str) and "env" in item.lower():
        return "*** (holds an environment)"
    return _hide_env(item)


def _hidden(item: Any) -> Any:
    if isinstance(item, dict):
        return {name: {"value": "***"} for name in item}
    if isinstance(item, list):
        return [f"{str(entry).partition('=')[0]}=***" for entry in item]
    return "***"
