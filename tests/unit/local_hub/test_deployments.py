"""Automatic deployments on the hub's state: base and layers, status, metrics, what survives and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_local.hub.deployments import configuration_service as service
from edge_expose_local.hub.deployments import metrics, set_modules
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.records.identities import TwinKey
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service
from edge_expose_local.hub.store.state import DesiredChanged, HubState

AGENT = TwinKey("edge1", "$edgeAgent")
OURS = TwinKey("edge1", "edge-expose")


def full_agent(**modules: str) -> dict[str, Any]:
    running = {name.replace("_", "-"): {"settings": {"image": image}} for name, image in modules.items()}
    return {"properties.desired": {"schemaVersion": "1.1", "modules": running}}


def base(**modules: str) -> dict[str, Any]:
    return {"$edgeAgent": full_agent(**modules), "$edgeHub": {"properties.desired": {"routes": {}}}}


@pytest.fixture
def state() -> HubState:
    hub = HubState(clock=lambda: 1_800_000_000.0)
    for device, site in (("edge1", "north"), ("edge2", "south")):
        registry.create_identity(hub, TwinKey(device), {"capabilities": {"iotEdge": True}})
        twin_service.write_twin(hub, TwinKey(device), {"tags": {"site": site}}, None, False)
    registry.create_identity(hub, TwinKey("plain"), {})
    return hub


def put(state: HubState, name: str, content: dict[str, Any], priority: int = 1, **more: Any) -> Any:
    body = {
        "content": {"modulesContent": content},
        "targetCondition": "deviceId = 'edge1'",
        "priority": priority,
        **more,
    }
    return service.put_configuration(state, name, body, more.pop("if_match", None))[0]


def desired(state: HubState, key: TwinKey) -> dict[str, Any]:
    return state.twins[key].desired.value


def statuses(state: HubState) -> dict[str, str]:
    return {name: entry["status"] for name, entry in state.twins[AGENT].configurations.items()}


def test_base_deployment_sets_the_agent_and_creates_its_modules(state: HubState) -> None:
    put(state, "base", base(web="web:1"))
    assert list(desired(state, AGENT)["modules"]) == ["web"]
    assert TwinKey("edge1", "web") in state.identities
    assert TwinKey("edge2", "web") not in state.identities
    assert statuses(state) == {"base": "Applied"}


def test_higher_priority_wins_and_the_other_stays_targeted(state: HubState) -> None:
    put(state, "low", base(a="a:1"), 1)
    put(state, "high", base(b="b:1"), 2)
    assert list(desired(state, AGENT)["modules"]) == ["b"]
    assert statuses(state) == {"low": "Targeted", "high": "Applied"}


def test_of_equal_priority_the_newest_wins(state: HubState) -> None:
    put(state, "zz-older", base(a="a:1"))
    put(state, "aa-newer", base(b="b:1"))
    assert list(desired(state, AGENT)["modules"]) == ["b"]


def test_layers_are_laid_over_the_base_by_rising_priority(state: HubState) -> None:
    put(state, "base", base(web="web:1"), 1)
    put(state, "layer-high", {"$edgeAgent": {"properties.desired.modules.extra": {"v": "high"}}}, 9)
    put(state, "layer-low", {"$edgeAgent": {"properties.desired.modules.extra": {"v": "low"}}}, 5)
    assert desired(state, AGENT)["modules"]["extra"] == {"v": "high"}
    assert "web" in desired(state, AGENT)["modules"]
    assert TwinKey("edge1", "extra") in state.identities


def test_removed_layer_leaves_the_agent_section(state: HubState) -> None:
    put(state, "base", base(web="web:1"), 1)
    put(state, "layer", {"$edgeAgent": {"properties.desired.modules.extra": {}}}, 5)
    service.delete_configuration(state, "layer", "*")
    assert list(desired(state, AGENT)["modules"]) == ["web"]
    assert statuses(state) == {"base": "Applied"}


def test_layer_without_a_base_or_not_above_it_waits(state: HubState) -> None:
    layer = {"$edgeAgent": {}, "edge-expose": {"properties.desired.exposures.web": {"ports": ["80"]}}}
    put(state, "layer", layer, 3)
    assert statuses(state) == {"layer": "Targeted"}
    put(state, "base", base(edge_expose="m:1"), 3)
    assert statuses(state) == {"layer": "Targeted", "base": "Applied"}
    assert desired(state, OURS) == {}


@pytest.mark.parametrize(("siblings", "site_survives"), [("keep", True), ("reset", False)])
def test_patched_siblings_of_layer_paths(state: HubState, siblings: Any, site_survives: bool) -> None:
    state.settings.siblings = siblings
    put(state, "base", base(edge_expose="m:1"), 1)
    put(state, "layer", {"$edgeAgent": {}, "edge-expose": {"properties.desired.exposures.web": {"ports": ["80"]}}}, 3)
    assert desired(state, OURS) == {"exposures": {"web": {"ports": ["80"]}}}
    twin_service.write_twin(
        state, OURS, {"properties": {"desired": {"site": {"a": 1}, "exposures": {"mine": {}}}}}, None, False
    )
    service.evaluate(state)
    assert ("site" in desired(state, OURS)) is site_survives
    assert ("mine" in desired(state, OURS)["exposures"]) is site_survives


def test_evaluation_without_a_change_moves_nothing(state: HubState) -> None:
    put(state, "base", base(web="web:1"))
    state.take_changes(), state.take_effects()
    service.evaluate(state)
    assert (state.take_changes(), state.take_effects()) == ([], [])


def test_deleting_the_last_deployment_leaves_what_it_set(state: HubState) -> None:
    put(state, "base", base(web="web:1"))
    service.delete_configuration(state, "base", None)
    assert "web" in desired(state, AGENT)["modules"]
    assert statuses(state) == {}


def test_changed_tag_retargets(state: HubState) -> None:
    put(state, "north", base(n="n:1"), targetCondition="tags.site = 'north'")
    twin_service.write_twin(state, TwinKey("edge1"), {"tags": {"site": "south"}}, None, False)
    assert state.evaluation_wanted
    service.evaluate(state)
    assert statuses(state) == {}


def test_target_star_means_all_edge_devices_and_empty_means_none(state: HubState) -> None:
    assert put(state, "all", base(), targetCondition="*").targeted == 2
    assert put(state, "none", base(), targetCondition="").targeted == 0


def test_content_is_immutable_but_priority_is_not(state: HubState) -> None:
    put(state, "base", base(a="a:1"))
    changed = put(state, "base", base(b="b:1"), 7, if_match="*")
    assert changed.priority == 7
    assert list(desired(state, AGENT)["modules"]) == ["a"]


def test_metrics_count_applied_success_failure_and_custom(state: HubState) -> None:
    asked = {
        "queries": {
            "sites": "SELECT deviceId FROM devices WHERE is_defined(tags.site)",
            "n": "SELECT COUNT() AS n FROM devices",
        }
    }
    found = put(state, "base", base(), metrics=asked)
    view = metrics.view(state, found)
    assert view["systemMetrics"]["results"] == {
        "targetedCount": 1,
        "appliedCount": 1,
        "reportedSuccessfulCount": 0,
        "reportedFailedCount": 0,
    }
    assert view["metrics"]["results"] == {"sites": 2, "n": 3}
    version = state.twins[AGENT].desired.version
    twin_service.report(state, AGENT, {"lastDesiredVersion": version, "lastDesiredStatus": {"code": 200}})
    assert metrics.view(state, found)["systemMetrics"]["results"]["reportedSuccessfulCount"] == 1
    twin_service.report(state, AGENT, {"lastDesiredStatus": {"code": 400}})
    assert metrics.view(state, found)["systemMetrics"]["results"]["reportedFailedCount"] == 1


def test_apply_replaces_listed_twins_and_waits_for_the_next_evaluation(state: HubState) -> None:
    put(state, "base", base(web="web:1"))
    twin_service.write_twin(state, TwinKey("edge1", "web"), {"properties": {"desired": {"kept": 1}}}, None, False)
    set_modules.apply_content(state, "edge1", {"modulesContent": base(other="o:1")})
    assert list(desired(state, AGENT)["modules"]) == ["other"]
    assert desired(state, TwinKey("edge1", "web")) == {"kept": 1}
    assert TwinKey("edge1", "other") in state.identities
    service.evaluate(state)
    assert list(desired(state, AGENT)["modules"]) == ["web"]


def test_apply_by_paths_sets_what_they_name_and_leaves_the_rest(state: HubState) -> None:
    set_modules.apply_content(state, "edge1", {"modulesContent": base(web="web:1")})
    twin_service.write_twin(state, TwinKey("edge1", "web"), {"properties": {"desired": {"a": {"b": 1}}}}, None, False)
    content = {
        "$edgeAgent": {"properties.desired.modules.other": {"settings": {"image": "o:1"}}},
        "web": {"properties.desired.a.c": 2, "properties.desired.d": {"e": [1]}},
        "other": {"properties.desired.x": 1},
    }
    body = {"modulesContent": content, "deviceContent": {"properties.desired.site": "north"}}
    set_modules.apply_content(state, "edge1", body)
    assert sorted(desired(state, AGENT)["modules"]) == ["other", "web"]
    assert desired(state, AGENT)["schemaVersion"] == "1.1"
    assert desired(state, TwinKey("edge1", "web")) == {"a": {"b": 1, "c": 2}, "d": {"e": [1]}}
    assert desired(state, TwinKey("edge1", "other")) == {"x": 1}
    assert desired(state, TwinKey("edge1")) == {"site": "north"}
    whole = {"web": {"properties.desired": {"new": 1}, "properties.desired.more": 2}}
    set_modules.apply_content(state, "edge1", {"modulesContent": whole})
    assert desired(state, TwinKey("edge1", "web")) == {"new": 1, "more": 2}


NOT_APPLICABLE: dict[str, Any] = {
    "device content alone": {"deviceContent": {"properties.desired.a": 1}},
    "module content": {"modulesContent": {}, "moduleContent": {"properties.desired.a": 1}},
    "a path outside the desired properties": {"modulesContent": {"web": {"tags.a": 1}}},
    "a path with an empty step": {"modulesContent": {"web": {"properties.desired.": 1}}},
    "a section that is no object": {"modulesContent": {"web": 1}},
    "more than a twin can hold": {
        "modulesContent": {"web": {f"properties.desired.k{number}": "x" * 4000 for number in range(9)}}
    },
}


@pytest.mark.parametrize("body", NOT_APPLICABLE.values(), ids=NOT_APPLICABLE.keys())
def test_what_cannot_be_applied_is_400_and_changes_nothing(state: HubState, body: dict[str, Any]) -> None:
    before = dict(state.identities)
    with pytest.raises(HubError) as caught:
        set_modules.apply_content(state, "edge1", body)
    assert (caught.value.status, caught.value.name) == (400, "InvalidConfigurationContent")
    assert caught.value.text.startswith("The content provided for configuration is invalid")
    assert state.identities == before


def test_module_configuration_targets_modules(state: HubState) -> None:
    registry.create_identity(state, TwinKey("plain", "m"), {})
    body = {
        "content": {"moduleContent": {"properties.desired.level": 3}},
        "targetCondition": "FROM devices.modules WHERE moduleId = 'm'",
    }
    service.put_configuration(state, "modules", body, None)
    assert desired(state, TwinKey("plain", "m")) == {"level": 3}


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "upper case in the id": ("Base", {"content": {"modulesContent": base()}}, "ArgumentInvalid"),
    "no content": ("x", {}, "InvalidConfigurationContent"),
    "content without the agent": ("x", {"content": {"modulesContent": {"m": {}}}}, "InvalidConfigurationContent"),
    "mixed kinds": (
        "x",
        {"content": {"modulesContent": base(), "deviceContent": {"properties.desired.a": 1}}},
        "InvalidConfigurationContent",
    ),
    "a key beside properties.desired": (
        "x",
        {"content": {"modulesContent": {"$edgeAgent": {"tags": {}}}}},
        "InvalidConfigurationContent",
    ),
    "a condition on desired properties": (
        "x",
        {"content": {"modulesContent": base()}, "targetCondition": "properties.desired.a = 1"},
        "InvalidConfigurationTargetCondition",
    ),
    "a condition that is no condition": (
        "x",
        {"content": {"modulesContent": base()}, "targetCondition": "tags.site ="},
        "InvalidConfigurationTargetCondition",
    ),
    "a priority below zero": ("x", {"content": {"modulesContent": base()}, "priority": -1}, "ArgumentInvalid"),
    "six metrics": (
        "x",
        {
            "content": {"modulesContent": base()},
            "metrics": {"queries": {str(i): "select * from devices" for i in range(6)}},
        },
        "ArgumentInvalid",
    ),
}


@pytest.mark.parametrize(("name", "body", "error"), REFUSED.values(), ids=REFUSED.keys())
def test_refused_configurations(state: HubState, name: str, body: dict[str, Any], error: str) -> None:
    with pytest.raises(HubError) as caught:
        service.put_configuration(state, name, body, None)
    assert (caught.value.status, caught.value.name) == (400, error)
    assert state.configurations == {}


def test_device_cut_off_gets_one_computed_patch_and_sends_its_reports_on_return(state: HubState) -> None:
    key = TwinKey("edge1", "m")
    registry.create_identity(state, key, {})
    twin_service.write_twin(state, key, {"properties": {"desired": {"a": 1, "b": 2}}}, None, False)
    twin_service.go_offline(state, "edge1")
    for patch in ({"a": None}, {"c": 3}, {"d": 4}, {"d": None}):
        twin_service.write_twin(state, key, {"properties": {"desired": patch}}, None, False)
    assert twin_service.report(state, key, {"state": "ok"}) == 2
    seen = twin_service.module_view(state, key)
    assert (seen["desired"]["a"], seen["reported"]["state"]) == (1, "ok")
    assert state.twins[key].reported.value == {}
    state.take_effects()
    twin_service.come_online(state, "edge1")
    effects = [effect for effect in state.take_effects() if isinstance(effect, DesiredChanged) and effect.key == key]
    assert effects == [DesiredChanged(key, {"a": None, "c": 3}, 6)]
    assert state.twins[key].reported.value == {"state": "ok"}


CONDITIONS = {
    "nobody": ("modulesContent", "", 0),
    "everybody on edge": ("modulesContent", "*", 2),
    "some": ("modulesContent", "tags.site = 'north' OR tags.site = 'nowhere'", 1),
    "every device": ("deviceContent", "*", 3),
    "a device": ("deviceContent", "deviceId = 'plain'", 1),
    "modules": ("moduleContent", "FROM devices.modules WHERE moduleId = '$edgeHub'", 2),
}


@pytest.mark.parametrize(("kind", "condition", "count"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_system_metrics_are_queries_that_give_their_own_results(
    state: HubState, kind: str, condition: str, count: int
) -> None:
    content = base(web="web:1") if kind == "modulesContent" else {"properties.desired.level": 3}
    body = {"content": {kind: content}, "targetCondition": condition}
    made, _ = service.put_configuration(state, "metrics", body, None)
    system = metrics.view(state, made)["systemMetrics"]
    assert system["results"]["targetedCount"] == count
    assert (system["queries"]["targetedCount"] == "") is (condition == "")
    for name, text in system["queries"].items():
        if text:
            assert len(metrics.run_query(state, text)[0]) == system["results"][name], name
