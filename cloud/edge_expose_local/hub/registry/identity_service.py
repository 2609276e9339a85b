"""Identity operations of the service API: create-only and update-only PUT, delete, lists, keys. No I/O."""

from __future__ import annotations

import secrets
from typing import Any

from edge_expose_local.hub.errors import (
    HubError,
    argument_invalid,
    device_not_found,
    module_not_found,
    precondition_failed,
    unauthorized,
)
from edge_expose_local.hub.records.identities import (
    SYSTEM_MODULES,
    Authentication,
    Identity,
    TwinKey,
    new_etag,
    new_key,
    read_authentication,
    valid_id,
)
from edge_expose_local.hub.records.twins import Twin
from edge_expose_local.hub.store.state import HubState, IdentityClosed

JsonObject = dict[str, Any]
MAX_MODULES = 50
SCOPE_PREFIX = "ms-azure-iot-edge://"


def strip_quotes(etag: str) -> str:
    return etag[1:-1] if len(etag) >= 2 and etag[0] == etag[-1] == '"' else etag


def get_identity(state: HubState, key: TwinKey) -> Identity:
    """Raises HubError 404 (401 for modules of a missing or disabled device, as the service does)."""
    if key.module is not None:
        usable_device(state, key.device)
    identity = state.identities.get(key)
    if identity is None:
        raise device_not_found(key.device) if key.module is None else module_not_found(key.device, key.module)
    return identity


def usable_device(state: HubState, device: str) -> Identity:
    """The device, if its modules may be managed. Raises HubError 401, as the service does, for a missing one too."""
    found = state.identities.get(TwinKey(device))
    if found is None or not found.enabled:
        raise unauthorized(f"Device {device} is not registered or disabled")
    return found


def view(state: HubState, identity: Identity) -> JsonObject:
    return identity.view(state.connection_state(identity.key))


def put_identity(state: HubState, key: TwinKey, body: JsonObject, if_match: str | None) -> Identity:
    """Creates (no If-Match) or updates (If-Match, quoted or not, or `*`). Raises HubError."""
    _check_ids(key, body)
    if key.module is not None:
        usable_device(state, key.device)
    current = state.identities.get(key)
    if if_match is None:
        if current is not None:
            raise _exists(key)
        return create_identity(state, key, body)
    if current is None:
        raise device_not_found(key.device) if key.module is None else module_not_found(key.device, key.module)
    if strip_quotes(if_match) not in ("*", current.etag):
        raise precondition_failed()
    return _update(state, current, body)


def _check_ids(key: TwinKey, body: JsonObject) -> None:
    if not valid_id(key.device) or (key.module is not None and not valid_id(key.module)):
        raise argument_invalid(f"the id '{key}' holds characters that are not allowed or is too long")
    if body.get("deviceId", key.device) != key.device:
        raise argument_invalid("deviceId in the body differs from the path")
    if key.module is not None:
        if body.get("moduleId", key.module) != key.module:
            raise argument_invalid("moduleId in the body differs from the path")
        if key.module.startswith("$"):
            raise argument_invalid("module ids that begin with $ are the system's own")


def _exists(key: TwinKey) -> HubError:
    if key.module is None:
        return HubError(409, "DeviceAlreadyExists", f"A device with ID '{key.device}' is already registered.", 409001)
    text = f"A module with ID '{key.module}' is already registered on device '{key.device}'."
    return HubError(409, "ModuleAlreadyExistsOnDevice", text, 409301, "numbered")


def create_identity(state: HubState, key: TwinKey, body: JsonObject) -> Identity:
    """A new identity with its twin; an edge device gets its two system modules as well. Raises HubError 400."""
    authentication = read_authentication(body, key.module is not None)
    if key.module is not None and len(state.modules_of(key.device)) >= MAX_MODULES:
        raise HubError(
            403, "DeviceMaximumModuleCountExceeded", f"{MAX_MODULES} modules are on the device already", 403005
        )
    identity = Identity(
        device=key.device,
        module=key.module,
        generation=str(secrets.randbelow(10**18)).rjust(18, "6"),
        etag=new_etag(),
        primary="",
        secondary="",
    )
    _take_over(identity, body, authentication, created=True)
    state.add_identity(identity)
    state.twins[key] = Twin()
    state.mark("twin", key)
    _complete_edge(state, identity)
    state.evaluation_wanted = True
    return identity


def _take_over(identity: Identity, body: JsonObject, authentication: Authentication, created: bool) -> None:
    identity.auth_type, identity.thumbprints = authentication.type, authentication.thumbprints
    is_sas = authentication.type == "sas"
    identity.primary = authentication.primary or (new_key() if is_sas else "")
    identity.secondary = authentication.secondary or (new_key() if is_sas else "")
    if identity.module is not None:
        identity.managed_by = body.get("managedBy") or None
        return
    status = body.get("status") or "enabled"
    if status not in ("enabled", "disabled"):
        raise argument_invalid(f"status '{status}' is neither enabled nor disabled")
    identity.enabled = status == "enabled"
    identity.status_reason = body.get("statusReason")
    _take_over_scopes(identity, body, created)


def _take_over_scopes(identity: Identity, body: JsonObject, created: bool) -> None:
    """Whose child a device is: a leaf says it in `deviceScope`, an edge device in `parentScopes` (nested edge).

    An edge device's own scope is the hub's: its updates must send it back. As measured for the Terraform provider
    `mwalser/iothub` (CONCEPT.md, "Scope rules on update").
    """
    capabilities = body.get("capabilities") or {}
    scopes, scope = body.get("parentScopes") or [], body.get("deviceScope") or ""
    if not isinstance(scopes, list) or not all(isinstance(item, str) for item in scopes) or not isinstance(scope, str):
        raise argument_invalid("deviceScope is a string and parentScopes a list of strings")
    was_edge = identity.iot_edge
    identity.iot_edge = isinstance(capabilities, dict) and capabilities.get("iotEdge") is True
    match was_edge, identity.iot_edge:
        case True, True:
            if scope != identity.device_scope:
                raise argument_invalid("Device scope is immutable")
            identity.parent_scopes = tuple(scopes)
        case False, True:
            suffix = str(secrets.randbelow(10**18)) if created else ""
            identity.device_scope = f"{SCOPE_PREFIX}{identity.device}-{suffix}"
            identity.parent_scopes = tuple(scopes)
        case True, False:
            identity.device_scope, identity.parent_scopes = None, ()
        case _:
            identity.device_scope = scope or None
            identity.parent_scopes = (scope,) if scope else ()


def _complete_edge(state: HubState, identity: Identity) -> None:
    if identity.module is None and identity.iot_edge:
        for module in SYSTEM_MODULES:
            if TwinKey(identity.device, module) not in state.identities:
                create_identity(state, TwinKey(identity.device, module), {"managedBy": "iotEdge"})


def _update(state: HubState, identity: Identity, body: JsonObject) -> Identity:
    before = (identity.keys, identity.enabled)
    _take_over(identity, body, read_authentication(body, identity.module is not None), created=False)
    identity.etag = new_etag()
    if before[1] != identity.enabled:
        identity.status_updated = state.now()
    state.mark("identity", identity.key)
    _complete_edge(state, identity)
    if before[0] != identity.keys:
        state.tell(IdentityClosed(identity.key, forget=False))
    if not identity.enabled:
        for key in (identity.key, *(module.key for module in state.modules_of(identity.device))):
            state.tell(IdentityClosed(key, forget=False))
    state.evaluation_wanted = True
    return identity


def delete_identity(state: HubState, key: TwinKey, if_match: str | None) -> None:
    """Needs If-Match (412 without). A device takes its modules along. Raises HubError."""
    identity = get_identity(state, key)
    if if_match is None or strip_quotes(if_match) not in ("*", identity.etag):
        raise precondition_failed()
    if key.module is not None and key.module.startswith("$"):
        raise argument_invalid(f"{key.module} belongs to the edge device and goes with it")
    if key.module is None:
        for module in state.modules_of(key.device):
            state.remove_identity(module.key)
    state.remove_identity(key)
    state.evaluation_wanted = True


def ensure_modules(state: HubState, device: str, modules: list[str]) -> None:
    """Creates the module identities that a manifest names and the device lacks. Raises HubError 400 or 403."""
    for module in modules:
        key = TwinKey(device, module)
        if key not in state.identities:
            if not valid_id(module) or module.startswith("$"):
                raise argument_invalid(f"'{module}' cannot be a module id")
            create_identity(state, key, {"managedBy": "iotEdge"})


def statistics(state: HubState) -> JsonObject:
    devices = state.devices()
    enabled = sum(1 for device in devices if device.enabled)
    return {
        "totalDeviceCount": len(devices),
        "enabledDeviceCount": enabled,
        "disabledDeviceCount": len(devices) - enabled,
    }
