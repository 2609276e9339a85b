"""Import: what comes back as it was, and each way in which a rendered spec may differ from its manifest."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from edge_expose_cloud.docsgen.reference import pages
from edge_expose_cloud.findings.rules.imports import DIFFERENCES
from edge_expose_cloud.manifest.encoding import encode
from edge_expose_cloud.manifest.imports.fields import model_of
from edge_expose_cloud.manifest.imports.spec import spec_of
from edge_expose_cloud.manifest.render import render_content
from edge_expose_cloud.spec.names import deployment_name, is_deployment_name
from support.manifests import plain

Json = dict[str, Any]
DESIRED = "properties.desired"
MODULE = {
    "type": "docker",
    "status": "running",
    "restartPolicy": "always",
    "settings": {"image": "r.example.com/pump:3", "createOptions": "{}"},
}
RUNTIME: Json = {"type": "docker", "settings": {}}
AGENT: Json = {
    "schemaVersion": "1.1",
    "runtime": RUNTIME,
    "systemModules": {
        "edgeAgent": {"type": "docker", "settings": {"image": "$upstream:443/agent:1.5", "createOptions": "{}"}},
        "edgeHub": {**MODULE, "settings": {"image": "$upstream:443/hub:1.5", "createOptions": "{}"}},
    },
    "modules": {"pump": MODULE},
}
HUB = {
    "schemaVersion": "1.1",
    "routes": {"up": "FROM /messages/* INTO $upstream"},
    "storeAndForwardConfiguration": {"timeToLiveSecs": 60},
}
BASE: Json = {"$edgeAgent": {DESIRED: AGENT}, "$edgeHub": {DESIRED: HUB}}
LAYER: Json = {"$edgeAgent": {f"{DESIRED}.modules.pump": MODULE}}
PLACE = f"{DESIRED}.runtime.settings.registryCredentials"


def with_agent(**fields: Any) -> Json:
    return {**BASE, "$edgeAgent": {DESIRED: {**AGENT, **fields}}}


def with_credentials(**entries: Any) -> Json:
    return with_agent(runtime={**RUNTIME, "settings": {"registryCredentials": entries}})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def imported(document: Mapping[str, Any], folder: Path, *options: str) -> tuple[Result, Path]:
    """The result of the command, and the file with the spec that it printed."""
    manifest, spec = folder / "plant_7.json", folder / "spec.yaml"
    manifest.write_text(json.dumps(document), encoding="utf-8")
    result = run("import", str(manifest), *options)
    assert result.exit_code == 0, result.output
    spec.write_text(result.stdout, encoding="utf-8")
    return result, spec


def rendered(spec: Path) -> Json:
    result = run("render", str(spec))
    assert result.exit_code == 0, result.output + spec.read_text()
    return dict(json.loads(result.stdout)["modulesContent"])


def named(result: Result) -> set[str]:
    """The rules that stderr names."""
    return {row[0] for row in DIFFERENCES if f"[{row[0]}]" in result.stderr}


SAME: list[Any] = [
    pytest.param(BASE, id="one device"),
    pytest.param(LAYER, id="a layer"),
    pytest.param({"$edgeAgent": {DESIRED: AGENT}}, id="a manifest without $edgeHub stays without"),
    pytest.param({**BASE, "$edgeHub": {DESIRED: {**HUB, "routes": {}}}}, id="no routes at all"),
    pytest.param({**BASE, "pump": {DESIRED: {}}}, id="a twin of a module that is cleared"),
    pytest.param({**BASE, "other": {DESIRED: {}}}, id="a twin of another module that is cleared"),
    pytest.param({**LAYER, "pump": {DESIRED: {}}}, id="a twin that a layer clears"),
    pytest.param({**BASE, "pump": {}}, id="a section that sets nothing"),
    pytest.param({**BASE, "pump": {f"{DESIRED}.speed.max": 3}}, id="one property of a twin, for one device"),
    pytest.param({**LAYER, "pump": {f"{DESIRED}.speed.max": 3, f"{DESIRED}.on": True}}, id="the same in a layer"),
    pytest.param({**LAYER, "pump": {DESIRED: {"speed": 3}}}, id="a whole twin in a layer"),
    pytest.param({**BASE, "edge-expose": {}}, id="a section of our module that sets nothing"),
    pytest.param({**BASE, "edge-expose": {f"{DESIRED}.site.namespace": "x"}}, id="one property of our module"),
    pytest.param(
        {**BASE, "$edgeHub": {f"{DESIRED}.routes.up": "FROM /* INTO $upstream"}}, id="one route of one device"
    ),
    pytest.param(with_agent(schemaVersion="${SCHEMA}"), id="a version that another tool fills in"),
    pytest.param(
        with_credentials(acr={"address": "${REG}", "username": "${REG_USER}", "password": "${REG_PASSWORD}"}),
        id="credentials that another tool fills in",
    ),
    pytest.param(
        {"$edgeAgent": {**LAYER["$edgeAgent"], PLACE: {"acr": {"address": "r.example.com", "username": "u"}}}},
        id="credentials without password",
    ),
    pytest.param(
        {
            "$edgeAgent": {
                **LAYER["$edgeAgent"],
                f"{PLACE}.acr": {"address": "r", "username": "u", "password": "${env:P}"},
            }
        },
        id="credentials in a layer",
    ),
    pytest.param(
        {
            **BASE,
            "$edgeHub": {DESIRED: {**HUB, "routes": {"r": "FROM /messages/modules/pump/outputs/o/* INTO $upstream"}}},
        },
        id="a route from what begins with the name of an output",
    ),
    pytest.param(
        with_agent(modules={"pump": {**MODULE, "settings": {"image": "$upstream:443/p:1"}}}), id="a nested image"
    ),
    pytest.param(
        with_agent(
            modules={
                "pump": {
                    **MODULE,
                    "settings": {
                        "image": "p:1",
                        "createOptions": '{ "Env": ["A=' + "x" * 495 + "$",
                        "createOptions01": '{B}", "C=$${D}"],',
                        "createOptions02": ' "HostConfig": {"Memory": 1e6} }',
                    },
                }
            }
        ),
        id="text that reads like a variable, cut in two",
    ),
]


@pytest.mark.parametrize("content", SAME)
def test_it_comes_back_as_it_was(content: Json, tmp_path: Path) -> None:
    result, spec = imported({"modulesContent": content}, tmp_path, "--device", "d1")
    assert plain(rendered(spec)) == plain(content)
    assert named(result) <= {"ImportReference"}


@pytest.mark.parametrize("length", [104, 128])
def test_an_id_of_any_length_that_iot_hub_takes_is_the_name(length: int, tmp_path: Path) -> None:
    name = ("plant_7+a%b*c!d'e-" + "x" * length)[:length]
    document = {"id": name, "targetCondition": "tags.a='b'", "priority": 4, "content": {"modulesContent": BASE}}
    result, spec = imported(document, tmp_path)
    assert f"name: {name}\n" in result.stdout
    assert (named(result), plain(rendered(spec))) == (set(), plain(BASE))


@pytest.mark.parametrize("text", ["Plant 7", "plant:7", "a" * 200, "Ä", "", "x.y"])
def test_any_other_text_gives_the_nearest_name(text: str) -> None:
    assert is_deployment_name(deployment_name(text))


def test_a_device_id_with_any_character_that_iot_hub_takes_is_the_target(tmp_path: Path) -> None:
    device = "Rack_7:A+b.c%d#e*f?g!h(i),j=k@l;m'" + "n" * 94
    quoted = device.replace("'", "''")
    for content, target in (
        (BASE, {"device": device}),
        (LAYER, {"condition": f"deviceId='{quoted}'", "priority": 10, "layered": True}),
    ):
        result, spec = imported({"modulesContent": content}, tmp_path, "--device", device)
        assert YAML(typ="safe").load(result.stdout)["target"] == target
        assert plain(rendered(spec)) == plain(content)


def test_nothing_is_kept_of_what_a_spec_says_in_its_own_way(tmp_path: Path) -> None:
    modules = {"pump": {**MODULE, "settings": {"image": "p:1"}}, "fan": {**MODULE, "settings": {"image": "f:1"}}}
    runtime = {"type": "docker", "settings": {"minDockerVersion": "v1.25", "loggingOptions": ""}}
    content = with_agent(schemaVersion="1.0", modules=modules, runtime=runtime)
    content["$edgeHub"] = {DESIRED: {**HUB, "schemaVersion": "1.0"}}
    layer = {"$edgeAgent": {f"{DESIRED}.modules.pump": MODULE}, "pump": {f"{DESIRED}.speed": {"max": 3}}}
    for one in (content, layer):
        result, _ = imported({"modulesContent": one}, tmp_path)
        assert "keep" not in result.stdout + result.stderr


def test_the_null_of_options_that_are_kept_stays() -> None:
    settings = {"image": "h:1", "createOptions": '{"A": null, "B": ', "createOptions01": '{"C": null}}'}
    agent = {f"{DESIRED}.systemModules.edgeHub": {"type": "docker", "settings": settings}}
    spec, findings = spec_of({"$edgeAgent": agent}, "x", {"condition": "*", "priority": 1, "layered": True})
    content = render_content(model_of(spec), {})
    assert plain(encode(content)) == plain({"$edgeAgent": agent})
    assert {item.rule for item in findings} == {"ImportKept"}


def test_single_properties_of_a_twin_are_no_names_of_properties(tmp_path: Path) -> None:
    result, _ = imported({"modulesContent": {**LAYER, "pump": {f"{DESIRED}.speed.max": 3}}}, tmp_path)
    body = YAML(typ="safe").load(result.stdout)
    assert body["keep"] == {"pump": {f"{DESIRED}.speed.max": 3}}
    assert "desired" not in body["modules"]["pump"]


def test_name_and_device_win_over_the_document(tmp_path: Path) -> None:
    document = {"id": "theirs", "targetCondition": "tags.a='b'", "content": {"modulesContent": BASE}}
    result, _ = imported(document, tmp_path, "--name", "mine_1", "--device", "d7")
    assert "name: mine_1\ntarget:\n  device: d7\n" in result.stdout
    assert run("import", str(tmp_path / "plant_7.json"), "--name", "No Name").exit_code == 2


def test_a_condition_without_priority_has_the_lowest_as_in_iot_hub(tmp_path: Path) -> None:
    document = {"id": "a", "targetCondition": "", "content": {"modulesContent": BASE}}
    result, _ = imported(document, tmp_path)
    assert "target:\n  condition: ''\n  priority: 0\n" in result.stdout


ENTRY = {"address": "r.example.com", "username": "u", "password": "SECRET"}
DEPTHS: list[Any] = [
    pytest.param({f"{PLACE}.acr.password": "SECRET", f"{PLACE}.acr.username": "u"}, id="a key of the password itself"),
    pytest.param({f"{PLACE}.acr": ENTRY}, id="a key of the registry"),
    pytest.param({PLACE: {"acr": ENTRY}}, id="a key of all credentials"),
    pytest.param({f"{DESIRED}.runtime.settings": {"registryCredentials": {"acr": ENTRY}}}, id="a key of the settings"),
    pytest.param({f"{DESIRED}.runtime": {"settings": {"registryCredentials": {"acr": ENTRY}}}}, id="of the runtime"),
    pytest.param({DESIRED: {**AGENT, "runtime": {"settings": {"registryCredentials": {"acr": ENTRY}}}}}, id="none"),
    pytest.param({PLACE.lower(): {"acr": {"Password": "SECRET"}}}, id="in any case"),
    pytest.param({PLACE: {"acr": {**ENTRY, "password": ["SECRET", {"x": "SECRET"}]}}}, id="no text"),
    pytest.param({PLACE: {"acr": "SECRET"}}, id="in place of the registry"),
    pytest.param({PLACE: "SECRET"}, id="in place of all credentials"),
    pytest.param({PLACE: {"acr": {**ENTRY, "token": "SECRET", "username": 5}}}, id="under another name"),
]


@pytest.mark.parametrize("agent", DEPTHS)
def test_a_password_becomes_a_reference_however_deep_it_stands(agent: Json, tmp_path: Path) -> None:
    result, spec = imported({"modulesContent": {"$edgeAgent": agent}}, tmp_path)
    assert "SECRET" not in result.output
    assert "***" not in result.stdout
    assert "${env:" in result.stdout
    assert "ImportPassword" in named(result)
    back = json.dumps(rendered(spec) if DESIRED not in agent else rendered_anyway(spec))
    assert "${env:" in back


def rendered_anyway(spec: Path) -> str:
    return spec.read_text()


def test_credentials_that_az_refuses_for_want_of_a_password_get_none(tmp_path: Path) -> None:
    content = with_credentials(acr={"address": "r.example.com", "username": "u"})
    result, spec = imported({"modulesContent": content}, tmp_path)
    assert "password" not in result.stdout
    for file in (tmp_path / "plant_7.json", spec):
        assert "password missing [ManifestSchema]" in run("validate", str(file)).stdout


def test_no_two_passwords_share_a_variable(tmp_path: Path) -> None:
    entries = {label: {**ENTRY, "password": label} for label in ("acr-x", "acr_x")}
    content = with_credentials(**entries, third={**ENTRY, "password": "${env:ACR_X_PASSWORD}"})
    result, _ = imported({"modulesContent": content}, tmp_path)
    for name in ("ACR_X_PASSWORD", "ACR_X_PASSWORD_2", "ACR_X_PASSWORD_3"):
        assert result.stdout.count(f"${{env:{name}}}") == 1


def test_a_registry_with_a_name_that_a_spec_refuses_is_kept() -> None:
    spec, _ = spec_of(with_credentials(**{"a b": ENTRY, "c": ENTRY}), "x", {"device": "d1"})
    assert list(spec["registries"]) == ["c"]
    assert "a b" in spec["keep"]["$edgeAgent"]["runtime"]["settings"]["registryCredentials"]


def test_on_a_live_device_a_password_that_reads_like_a_placeholder_is_a_password() -> None:
    content = with_credentials(acr={**ENTRY, "password": "${SECRET}"})
    spec, _ = spec_of(content, "x", {"device": "d1"}, references=False)
    assert spec["registries"]["acr"]["password"] == "${env:ACR_PASSWORD}"


IN_HUB = {"id": "a", "targetCondition": "*", "content": {"modulesContent": BASE}}
NAMED: dict[str, Json] = {
    "ImportPassword": {"modulesContent": with_credentials(acr=ENTRY)},
    "ImportReference": {"modulesContent": with_agent(later={"a": "${env:HOME}"})},
    "ImportNull": {"modulesContent": with_agent(later={"a": None, "b": 1})},
    "ImportForm": {"modulesContent": {**BASE, "pump": "SECRET", "other": {"desired": "SECRET"}}},
    "ImportChange": {"modulesContent": {**BASE, "edge-expose": {DESIRED: {"change": {"by": "me"}}}}},
    "ImportName": {**IN_HUB, "id": "Plant 7"},
    "ImportTarget": {"modulesContent": LAYER},
    "ImportLabels": {**IN_HUB, "labels": {"edgeExposeSpec": "a", "size": 5, "team": "north"}},
    "ImportAround": {**IN_HUB, "metrics": {"queries": {"a": "SELECT 1"}}},
}
ALSO: list[tuple[str, Json]] = [
    ("ImportForm", {"modulesContent": {"$edgeHub": {DESIRED: HUB}}}),
    ("ImportForm", {"modulesContent": {**BASE, "pump": {DESIRED: "SECRET"}}}),
    ("ImportChange", {"modulesContent": {**BASE, "edge-expose": {f"{DESIRED}.change.by": "me"}}}),
    ("ImportTarget", {**IN_HUB, "priority": "7"}),
    ("ImportAround", {"$schema-template": "4.0.0", "modulesContent": BASE}),
    ("ImportAround", {**IN_HUB, "labels": "SECRET"}),
    ("ImportAround", {"modulesContent": BASE, "moduleContent": BASE}),
    ("ImportNull", {"modulesContent": with_agent(modules={"pump": {**MODULE, "version": None, "env": {"A": None}}})}),
]


def test_every_difference_of_the_list_is_tested_and_documented() -> None:
    assert set(NAMED) == {row[0] for row in DIFFERENCES}
    assert all(f"| `{rule}` | " in pages()["import.md"] for rule in NAMED)


@pytest.mark.parametrize(("rule", "document"), [*NAMED.items(), *ALSO])
def test_a_difference_is_named_and_is_the_only_one(rule: str, document: Json, tmp_path: Path) -> None:
    result, _ = imported(copy.deepcopy(document), tmp_path)
    assert named(result) == {rule}
    assert "SECRET" not in result.output
    assert "ImportLost" not in result.stderr


def test_what_our_tool_labels_a_deployment_with_is_not_taken_along(tmp_path: Path) -> None:
    result, _ = imported(NAMED["ImportLabels"], tmp_path)
    assert "labels:\n  team: north\n" in result.stdout
    assert "edgeExposeSpec" not in result.stdout
