"""Twin operations: PATCH and PUT by services, reported patches and reads by modules, with or without uplink. No I/O."""

from __future__ import annotations

from typing import Any

from edge_expose_local.hub.errors import argument_invalid, device_not_found, precondition_failed
from edge_expose_local.hub.records import twin_rules
from edge_expose_local.hub.records.edgehub import DeviceCache, StoredTwin
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.records.twins import Twin, merge
from edge_expose_local.hub.registry.identity_service import strip_quotes
from edge_expose_local.hub.store.state import DesiredChanged, HubState

JsonObject = dict[str, Any]


def get_twin(state: HubState, key: TwinKey) -> Twin:
    twin = state.twins.get(key)
    if twin is None:
        raise device_not_found(key.device, key.module)
    return twin


def _section(body: JsonObject, *path: str) -> JsonObject | None:
    current: Any = body
    for step in path:
        if not isinstance(current, dict):
            raise argument_invalid(f"{'.'.join(path)} is not an object")
        current = current.get(step)
        if current is None:
            return None
    if not isinstance(current, dict):
        raise argument_invalid(f"{'.'.join(path)} is not an object")
    # Tags have no metadata, so that nobody can have read a `$` there.
    cleaned = current if path == ("tags",) else twin_rules.without_system_keys(current)
    if found := twin_rules.problem(cleaned):
        raise argument_invalid(found)
    return cleaned


def _check_size(section: JsonObject, limit: int, name: str) -> None:
    if found := twin_rules.size_problem(section, limit, name):
        raise argument_invalid(found)


def write_twin(state: HubState, key: TwinKey, body: JsonObject, if_match: str | None, replace: bool) -> Twin:
    """PATCH (merge) or PUT (`replace`: what is not sent goes away). Only tags and desired are looked at.

    Raises HubError 404, 400 (a broken rule, nothing is written) or 412 (stale etag).
    """
    twin = get_twin(state, key)
    if if_match is not None and strip_quotes(if_match) not in ("*", twin.etag):
        raise precondition_failed()
    tags, desired = _section(body, "tags"), _section(body, "properties", "desired")
    if replace:
        tags, desired = tags or {}, desired or {}
    new_tags = twin.tags if tags is None else merge({} if replace else twin.tags, tags)
    new_desired = twin.desired.value if desired is None else merge({} if replace else twin.desired.value, desired)
    _check_size(new_tags, twin_rules.TAGS_LIMIT, "tags")
    _check_size(new_desired, twin_rules.DESIRED_LIMIT, "properties.desired")
    if tags is not None:
        twin.tags = new_tags
        state.evaluation_wanted = True
    if replace:
        set_desired(state, key, new_desired)
    elif desired:
        twin.desired.patch(desired, state.now(), True)
        state.tell(DesiredChanged(key, desired, twin.desired.version))
    twin.moved()
    state.mark("twin", key)
    return twin


def set_desired(state: HubState, key: TwinKey, desired: JsonObject) -> None:
    """Replaces the desired section; a connected module receives the difference. The version always moves."""
    twin = state.twins[key]
    change = twin.desired.replace(desired, state.now())
    state.tell(DesiredChanged(key, change, twin.desired.version))
    state.mark("twin", key)


def recreate_twin(state: HubState, key: TwinKey) -> None:
    """Desired and reported start again at version 1 with the same desired content: the version goes back."""
    old = get_twin(state, key)
    twin = Twin(tags=old.tags, configurations=old.configurations)
    twin.desired.value = old.desired.value
    state.twins[key] = twin
    state.mark("twin", key)


def module_view(state: HubState, key: TwinKey) -> JsonObject:
    """What a twin GET over MQTT answers: from the cloud, or from edgeHub's store while the device is cut off."""
    stored = _stored(state, key)
    return get_twin(state, key).module_view() if stored is None else stored.module_view()


def _stored(state: HubState, key: TwinKey) -> StoredTwin | None:
    cache = state.offline.get(key.device)
    if cache is None:
        return None
    name = key.module or ""
    if name not in cache.twins:  # the identity came after the link broke: edgeHub has never seen its twin
        cache.twins[name] = StoredTwin({}, 1, {}, 1)
    return cache.twins[name]


def report(state: HubState, key: TwinKey, patch: Any) -> int | str:
    """A reported patch from the device side: the new reported `$version`, or what is wrong with the patch."""
    if not isinstance(patch, dict):
        return "the reported patch is not an object"
    patch = twin_rules.without_system_keys(patch)
    if found := twin_rules.problem(patch):
        return found
    twin, stored = state.twins[key], _stored(state, key)
    merged = merge(twin.reported.value if stored is None else stored.reported, patch)
    if found := twin_rules.size_problem(merged, twin_rules.REPORTED_LIMIT, "properties.reported"):
        return found
    if stored is not None:
        version = stored.report(patch)
        state.mark("offline", key.device)
        return version
    _report_to_cloud(state, key, patch)
    return twin.reported.version


def _report_to_cloud(state: HubState, key: TwinKey, patch: JsonObject) -> None:
    twin = state.twins[key]
    twin.reported.patch(patch, state.now(), False)
    twin.version += 1
    identity = state.identities[key]
    identity.last_activity = state.now()
    state.mark("twin", key)
    if any("properties.reported" in item.target_condition for item in state.configurations.values()):
        state.evaluation_wanted = True


def go_offline(state: HubState, device: str) -> None:
    """The device loses its uplink; its modules stay on edgeHub, which answers from what it has stored."""
    if TwinKey(device) not in state.identities:
        raise device_not_found(device)
    if device in state.offline:
        return
    keys = [TwinKey(device), *(module.key for module in state.modules_of(device))]
    state.offline[device] = DeviceCache({key.module or "": StoredTwin.of(state.twins[key]) for key in keys})
    state.mark("offline", device)


def come_online(state: HubState, device: str) -> None:
    """The uplink is back: waiting reported patches go up, each module gets one computed desired patch."""
    cache = state.offline.pop(device, None)
    if cache is None:
        return
    state.mark("offline", device)
    for name, stored in cache.twins.items():
        key = TwinKey(device, name or None)
        if key not in state.twins:
            continue
        for patch in stored.pending:
            _report_to_cloud(state, key, patch)
        change = stored.catch_up(state.twins[key])
        if change is not None:
            state.tell(DesiredChanged(key, change, state.twins[key].desired.version))
