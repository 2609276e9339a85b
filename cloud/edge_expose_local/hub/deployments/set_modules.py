"""Set modules: a manifest for one edge device. No I/O."""

from __future__ import annotations

from typing import Any

from edge_expose_local.hub.deployments import plan as deployments
from edge_expose_local.hub.errors import HubError, bad_request, device_not_found
from edge_expose_local.hub.records import configurations as rules
from edge_expose_local.hub.records import twin_rules
from edge_expose_local.hub.records.configurations import DESIRED
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.store.state import HubState

JsonObject = dict[str, Any]


def apply_content(state: HubState, device: str, body: JsonObject) -> None:
    """Set modules on one edge device: replaces the desired section of each listed twin. Raises HubError.

    `modulesContent` is needed, `deviceContent` optional, `moduleContent` not applicable (azure-iot-sdk-csharp, remarks
    of ApplyConfigurationContentOnDeviceAsync). A key `properties.desired.<path>` sets that path and leaves what stands
    beside it, as the documentation of manifests says of such keys.
    """
    identity = state.identities.get(TwinKey(device))
    if identity is None:
        raise device_not_found(device)
    if not identity.iot_edge:
        raise bad_request(f"Device {device} is Not an Azure IoT Edge device")
    try:
        content, of_device = _applicable(body)
    except HubError as error:
        raise rules.invalid_content(error.explanation, applied=True) from error
    sections = {**{TwinKey(device, name): section for name, section in content.items()}, TwinKey(device): of_device}
    results: dict[TwinKey, JsonObject] = {}
    for key, section in sections.items():
        if section:
            wanted, twin = deployments.Wanted(), state.twins.get(key)
            for path in sorted(section, key=len):  # the whole section first, then the paths into it
                wanted.add(path, section[path])
            results[key] = wanted.result({} if twin is None else twin.desired.value, "keep")
            if found := twin_rules.size_problem(results[key], twin_rules.DESIRED_LIMIT, f"{DESIRED} of {key}"):
                raise rules.invalid_content(found, applied=True)
    registry.ensure_modules(state, device, deployments.modules_named_in(content))
    for key, result in results.items():
        if key in state.twins:
            twin_service.set_desired(state, key, result)
            state.twins[key].moved()
    state.evaluation_wanted = False  # a deployment wins back the device when it is next evaluated, not at once


def _applicable(body: JsonObject) -> tuple[JsonObject, JsonObject]:
    """`modulesContent` and `deviceContent` of an apply. Raises HubError 400."""
    if "modulesContent" not in body:
        raise rules.invalid_content("modulesContent is missing")
    if wrong := set(body) - {"modulesContent", "deviceContent"}:
        raise rules.invalid_content(f"{', '.join(sorted(wrong))} cannot be applied to an edge device")
    of_device = body.get("deviceContent") or {}
    rules.check_section("deviceContent", of_device)
    return rules.check_modules_content(body["modulesContent"]), of_device
