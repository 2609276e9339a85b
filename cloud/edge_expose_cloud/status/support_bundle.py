"""Support bundle: what somebody who helps needs to see of one device, without secrets."""

from __future__ import annotations

import datetime as dt
from typing import Any

from edge_expose_cloud.hub.api import Hub, HubError, Json
from edge_expose_cloud.manifest.redaction import hide_secrets, hide_twins
from edge_expose_cloud.plan.observation import observe_device, targeting_deployments
from edge_expose_cloud.status.doctor import examine_device
from edge_expose_contract.identity import MODULE_ID

_METHOD_SECONDS = 10


def support_bundle(hub: Hub, device_id: str, now: dt.datetime) -> Json:
    """Twins, deployments, checks and the module's own bundle. Passwords and values of env are left out."""
    state = observe_device(hub, device_id)
    desired = hide_twins({module: twin.desired for module, twin in state.twins.items()})
    reported = hide_twins({module: twin.reported for module, twin in state.twins.items()})
    twins: Json = {
        module: {
            "connectionState": twin.connection_state,
            "desiredVersion": twin.desired_version,
            "desired": desired[module],
            "reportedVersion": twin.reported_version,
            "reported": reported[module],
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
            "content": {"modulesContent": hide_twins(item.modules_content)},
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
    return hide_secrets(answer.payload)
