"""Identities on the hub's state: keys, limits, what ends connections, and records that come back from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.store.database import Store
from edge_expose_local.hub.store.state import HubState, IdentityClosed

KEY = "a2" * 16 + "a2s="
DEVICE = TwinKey("d")


@pytest.fixture
def state() -> HubState:
    hub = HubState(clock=lambda: 1_800_000_000.0)
    registry.create_identity(hub, DEVICE, {})
    hub.take_changes()
    return hub


AUTHENTICATIONS: dict[str, tuple[Any, bool]] = {
    "left out": (None, True),
    "an empty symmetric key": ({"symmetricKey": {}}, True),
    "empty texts as keys": ({"symmetricKey": {"primaryKey": "", "secondaryKey": ""}}, True),
    "a null symmetric key": ({"type": "sas", "symmetricKey": None}, True),
    "one key of two": ({"symmetricKey": {"primaryKey": KEY}}, False),
    "keys that are no base64": ({"symmetricKey": {"primaryKey": "?", "secondaryKey": "?"}}, False),
    "an unknown type": ({"type": "magic"}, False),
    "a list": ([1], False),
    "no authentication at all": ({"type": "none"}, False),
    "a thumbprint with separators": ({"x509Thumbprint": {"primaryThumbprint": "aa:bb"}}, False),
}


@pytest.mark.parametrize(("authentication", "accepted"), AUTHENTICATIONS.values(), ids=AUTHENTICATIONS.keys())
def test_authentication(state: HubState, authentication: Any, accepted: bool) -> None:
    key, body = TwinKey("new"), {"authentication": authentication}
    if accepted:
        made = registry.put_identity(state, key, body, None)
        assert made.primary != made.secondary
        assert len(made.primary) == 44
    else:
        with pytest.raises(HubError) as caught:
            registry.put_identity(state, key, body, None)
        assert caught.value.status == 400
        assert key not in state.identities


EDGE = {"capabilities": {"iotEdge": True}}


def scopes(
    state: HubState, key: TwinKey, body: dict[str, Any], if_match: str | None = None
) -> tuple[str | None, list[str]]:
    made = registry.put_identity(state, key, body, if_match).view("Disconnected")
    return made.get("deviceScope"), made.get("parentScopes", [])


def test_a_leaf_names_its_parent_in_its_device_scope(state: HubState) -> None:
    leaf = TwinKey("leaf")
    assert scopes(state, leaf, {"parentScopes": ["p"]}) == (None, [])  # ignored, as the service does it
    assert scopes(state, leaf, {"deviceScope": "p"}, "*") == ("p", ["p"])
    assert state.twin_view(leaf)["parentScopes"] == ["p"]
    assert scopes(state, leaf, {"deviceScope": ""}, "*") == (None, [])


def test_an_edge_device_names_its_parent_in_parent_scopes_and_sends_its_own_scope_back(state: HubState) -> None:
    edge = TwinKey("edge")
    own, parents = scopes(state, edge, {**EDGE, "deviceScope": "mine"})
    assert (own is not None and own.startswith("ms-azure-iot-edge://edge-"), parents) == (True, [])
    for body in (EDGE, {**EDGE, "deviceScope": ""}):
        with pytest.raises(HubError, match="immutable"):
            registry.put_identity(state, edge, body, "*")
    assert scopes(state, edge, {**EDGE, "deviceScope": own, "parentScopes": ["p"]}, "*") == (own, ["p"])
    assert scopes(state, edge, {**EDGE, "deviceScope": own}, "*") == (own, [])
    registry.put_identity(state, edge, {**EDGE, "deviceScope": own, "parentScopes": ["p"]}, "*")
    assert scopes(state, edge, {"deviceScope": "p"}, "*") == (None, [])  # a leaf now; its parent goes in the same write


def test_a_leaf_that_becomes_an_edge_device_gets_a_scope_and_keeps_its_parent(state: HubState) -> None:
    registry.put_identity(state, DEVICE, {"deviceScope": "p"}, "*")
    assert scopes(state, DEVICE, {**EDGE, "deviceScope": "", "parentScopes": ["p"]}, "*") == (
        "ms-azure-iot-edge://d-",
        ["p"],
    )


def test_an_edge_device_is_never_connected_itself_only_its_modules_are(state: HubState) -> None:
    registry.put_identity(state, TwinKey("edge"), EDGE, None)
    agent = TwinKey("edge", "$edgeAgent")
    state.connected.add(agent)
    assert (state.connection_state(TwinKey("edge")), state.connection_state(agent)) == ("Disconnected", "Connected")


def test_update_without_keys_mints_new_ones_and_ends_the_connection(state: HubState) -> None:
    before = state.identities[DEVICE].primary
    registry.put_identity(state, DEVICE, {}, "*")
    assert state.identities[DEVICE].primary != before
    assert IdentityClosed(DEVICE, forget=False) in state.take_effects()


def test_disabling_a_device_ends_its_connection_and_those_of_its_modules(state: HubState) -> None:
    module = TwinKey("d", "m")
    registry.put_identity(state, module, {}, None)
    state.take_effects()
    registry.put_identity(state, DEVICE, {"status": "disabled"}, "*")
    assert {IdentityClosed(DEVICE, False), IdentityClosed(module, False)} <= set(state.take_effects())


def test_device_that_becomes_an_edge_device_gets_the_system_modules(state: HubState) -> None:
    registry.put_identity(state, DEVICE, {"capabilities": {"iotEdge": True}}, "*")
    assert [item.module for item in state.modules_of("d")] == ["$edgeAgent", "$edgeHub"]


def test_51st_module_is_refused(state: HubState) -> None:
    for number in range(50):
        registry.put_identity(state, TwinKey("d", f"m{number}"), {}, None)
    with pytest.raises(HubError) as caught:
        registry.put_identity(state, TwinKey("d", "one-more"), {}, None)
    assert caught.value.status == 403


@pytest.mark.parametrize("name", ["a b", "a/b", "", "x" * 129, "ü"])
def test_bad_ids_are_refused(state: HubState, name: str) -> None:
    with pytest.raises(HubError) as caught:
        registry.put_identity(state, TwinKey(name), {}, None)
    assert caught.value.status == 400


def test_deleting_a_device_takes_modules_twins_and_sessions_along(state: HubState) -> None:
    module = TwinKey("d", "m")
    registry.put_identity(state, module, {}, None)
    state.sessions[module] = {"x": 1}
    twin_service.go_offline(state, "d")
    registry.delete_identity(state, DEVICE, "*")
    assert (state.identities, state.twins, state.sessions, state.offline) == ({}, {}, {}, {})
    assert {IdentityClosed(DEVICE, True), IdentityClosed(module, True)} <= set(state.take_effects())
    assert all(record is None for _, _, record in state.take_changes())


def test_state_comes_back_from_the_store(state: HubState, tmp_path: Path) -> None:
    module = TwinKey("d", "m")
    registry.put_identity(state, DEVICE, {"capabilities": {"iotEdge": True}, "parentScopes": ["s"]}, "*")
    registry.put_identity(state, module, {}, None)
    twin_service.write_twin(state, module, {"tags": {"a": 1}, "properties": {"desired": {"b": 2}}}, None, False)
    state.sessions[module] = {"$iothub/methods/POST/#": 1}
    state.settings.siblings = "reset"
    twin_service.go_offline(state, "d")
    twin_service.report(state, module, {"waiting": True})
    state.mark("session", module)
    state.mark("settings", "all")
    store = Store(tmp_path / "db")
    store.commit(state.take_changes())
    store.close()
    # The device itself was created before the changes were taken, but it was updated since, so all of it is there.
    again, reopened = HubState(), Store(tmp_path / "db")
    again.load(reopened.load)
    reopened.close()
    assert again.identities == state.identities
    assert again.twins[module] == state.twins[module]
    assert (again.sessions, again.settings, again.offline) == (state.sessions, state.settings, state.offline)
