"""import and export: rendering the spec gives the manifest back, with every key that a spec has no field for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge_expose_cloud.docsgen.samples import rendered
from edge_expose_cloud.findings.finding import Finding, has_errors
from edge_expose_cloud.iotedge.create_options import read_create_options
from edge_expose_cloud.manifest.checks import desired_sections
from edge_expose_cloud.manifest.content import read_manifest
from edge_expose_cloud.manifest.imports.spec import spec_of, spec_of_manifest
from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.variables import resolve_secrets

ROOT = Path(__file__).resolve().parents[3]
BASE: dict[str, Any] = {
    "$edgeAgent": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "runtime": {
                "type": "docker",
                "settings": {"minDockerVersion": "v1.25", "loggingOptions": "", "registryCredentials": {}},
            },
            "systemModules": {
                "edgeAgent": {"type": "docker", "settings": {"image": "mcr/agent:1.4", "createOptions": "{}"}},
                "edgeHub": {
                    "type": "docker",
                    "status": "running",
                    "restartPolicy": "always",
                    "startupOrder": 0,
                    "settings": {"image": "mcr/hub:1.4", "createOptions": '{"HostConfig":{}}'},
                    "env": {"mqttSettings__enabled": {"value": "false"}},
                },
            },
            "modules": {
                "web": {
                    "type": "docker",
                    "status": "running",
                    "restartPolicy": "on-unhealthy",
                    "settings": {"image": "a/web:1", "createOptions": '{"Env":["A=1"]}'},
                }
            },
        }
    },
    "$edgeHub": {
        "properties.desired": {
            "schemaVersion": "1.1",
            "routes": {"up": {"route": "FROM /* INTO $upstream", "priority": 1}},
            "storeAndForwardConfiguration": {"timeToLiveSecs": 100},
        }
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    """The base with one key set (or taken away, by None); `/` between keys."""
    content = copy.deepcopy(BASE)
    *parents, last = path.split("/")
    node = content
    for part in parents:
        node = node.setdefault(part, {})
    if value is None:
        del node[last]
    else:
        node[last] = value
    return content


def plain(value: Any) -> Any:
    """Manifests are compared with createOptions as objects: how they are chunked and spaced does not matter."""
    if not isinstance(value, dict):
        return value
    if "image" in value and any(key.lower().startswith("createoptions") for key in value):
        rest = {key: item for key, item in value.items() if not key.lower().startswith("createoptions")}
        return {**rest, "createOptions": read_create_options(value)}
    return {key: plain(item) for key, item in value.items()}


def again(spec: dict[str, Any]) -> dict[str, Any]:
    """Written as YAML, loaded, rendered and made ready for sending."""
    text = json.dumps(spec)
    loaded = load_spec(text, "spec.yaml")
    assert not has_errors(loaded.findings), loaded.findings
    assert loaded.spec is not None
    assert YAML(typ="safe").load(text)["name"] == spec["name"]
    content, _ = resolve_secrets(render(loaded.spec)["modulesContent"], lambda name: f"${{env:{name}}}")
    return dict(content)


def back(content: dict[str, Any]) -> dict[str, Any]:
    """Imported and rendered."""
    spec, _ = spec_of(content, "imported", {"device": "d1"})
    return plain(desired_sections(again(spec)))


AGENT, HUB = "$edgeAgent/properties.desired", "$edgeHub/properties.desired"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(BASE, id="a manifest that a spec can say"),
        pytest.param(changed(f"{AGENT}/schemaVersion", "1.0"), id="an older schema than would be rendered"),
        pytest.param(changed(f"{AGENT}/modules/web/labels", {"x": "y"}), id="an unknown key of a module"),
        pytest.param(changed(f"{AGENT}/modules/web/settings/digest", "sha"), id="an unknown key of settings"),
        pytest.param(changed(f"{AGENT}/runtime/settings/extra", [1, 2]), id="an unknown key of the runtime"),
        pytest.param(changed(f"{AGENT}/somethingNew", {"a": {"b": 1}}), id="an unknown section"),
        pytest.param(changed(f"{AGENT}/modules/web/restartPolicy", None), id="a module without restartPolicy"),
        pytest.param(changed(f"{AGENT}/runtime/settings/loggingOptions", None), id="a runtime without loggingOptions"),
        pytest.param(changed(f"{AGENT}/systemModules/edgeHub/status", "stopped"), id="a system module's own status"),
        pytest.param(changed(f"{HUB}/storeAndForwardConfiguration/storeLimits", {"maxSizeBytes": 9}), id="storeLimits"),
        pytest.param(changed(f"{HUB}/mqttBroker", {"authorizations": []}), id="the mqttBroker section"),
        pytest.param(changed("web/properties.desired", {"level": 3, "deep": {"a": [1]}}), id="a module's twin"),
        pytest.param(changed("ghost/properties.desired", {"left": "over"}), id="a twin of no module"),
        pytest.param(
            changed("ghost/properties.desired", {"properties.desired.x": 1}),
            id="a property called like a section",
        ),
        pytest.param(
            changed(f"{AGENT}/modules/web/settings/createOptions", json.dumps({"Env": ["A=" + "x" * 900]})),
            id="createOptions longer than a chunk",
        ),
        pytest.param(
            changed(f"{AGENT}/modules/web/settings/createOptions", json.dumps({"Env": ["P=${d}", "$${x}", "${"]})),
            id="text in createOptions that reads like a variable",
        ),
        pytest.param(changed(f"{AGENT}/modules/web/env", {"A": {"value": "${HOME}/x"}}), id="text in env that does"),
        pytest.param(changed(f"{AGENT}/modules/web/env", {"A": {"value": [1]}, "B": {"value": "b"}}), id="an odd env"),
        pytest.param(changed(f"{HUB}/routes/odd", 5), id="an odd route"),
        pytest.param(changed(f"{AGENT}/modules/web/restartPolicy", "often"), id="an odd restart policy"),
        pytest.param(changed(f"{AGENT}/modules/web/settings/image", 5), id="an odd image"),
        pytest.param(changed(f"{AGENT}/runtime/settings/registryCredentials", {"q": {}}), id="an odd credential"),
        pytest.param(
            changed(
                "edge-expose/properties.desired",
                {
                    "schemaVersion": "1.0",
                    "exposures": {
                        "a": {"module": "web", "ports": ["80"], "newer": {"b": 1}},
                        "b": {"ports": 5},
                    },
                },
            ),
            id="exposures of a newer tool, and broken ones",
        ),
    ],
)
def test_what_comes_in_goes_out_again(content: dict[str, Any]) -> None:
    assert back(content) == plain(desired_sections(content))


@pytest.mark.parametrize("name", ["two-tier.json", "three-pods.json", "edge-agent-services.json"])
def test_our_own_manifests_need_nothing_kept(name: str) -> None:
    content = json.loads(rendered(ROOT / "deployment-manifests" / "specs")[name])["modulesContent"]
    spec, _ = spec_of(content, "imported", {"device": "d1"})
    assert "keep" not in spec
    assert back(content) == plain(desired_sections(content))


@pytest.mark.parametrize("name", ["fleet-layer.json"])
def test_a_deployment_for_many_devices_comes_back_with_its_target(name: str) -> None:
    content = json.loads(rendered(ROOT / "deployment-manifests" / "specs")[name])["modulesContent"]
    document = read_manifest(
        {
            "id": "north-1",
            "targetCondition": "tags.site='north'",
            "priority": 7,
            "labels": {"team": "edge"},
            "content": {"modulesContent": content},
        }
    )
    assert not isinstance(document, Finding)
    spec, findings = spec_of_manifest(document, "unused")
    assert (spec["name"], spec["labels"]) == ("north-1", {"team": "edge"})
    assert spec["target"] == {"condition": "tags.site='north'", "priority": 7, "layered": True}
    assert not [item for item in findings if item.severity != "info"]
    assert again(spec) == content


def test_a_base_deployment_comes_back_with_its_target() -> None:
    text = """
schemaVersion: "1.0"
name: base
target: {condition: "tags.site='north'", priority: 7}
modules: {web: {image: "a/web:1", desired: {level: 3}}}
exposures: {shop: {module: web, ports: ["80"]}}
"""
    loaded = load_spec(text, "base.yaml")
    assert loaded.spec is not None
    content = render(loaded.spec)["modulesContent"]
    body = {"targetCondition": "tags.site='north'", "priority": 7, "content": {"modulesContent": content}}
    document = read_manifest(body)
    assert not isinstance(document, Finding)
    spec, _ = spec_of_manifest(document, "base")
    assert spec["target"] == {"condition": "tags.site='north'", "priority": 7}
    assert again(spec) == content


def test_a_layer_of_which_nobody_says_the_target_gets_one_that_is_named() -> None:
    content = json.loads(rendered(ROOT / "deployment-manifests" / "specs")["fleet-layer.json"])["modulesContent"]
    document = read_manifest({"modulesContent": content})
    assert not isinstance(document, Finding)
    spec, findings = spec_of_manifest(document, "layer")
    assert spec["target"] == {"condition": "deviceId='edge1'", "priority": 10, "layered": True}
    assert "ImportTarget" in [item.rule for item in findings]
    assert again(spec) == content


def test_a_reference_that_render_left_stays_one_and_is_named() -> None:
    content = changed(f"{AGENT}/modules/web/env", {"A": {"value": "${env:SECRET}"}})
    spec, findings = spec_of(content, "imported", {"device": "d1"})
    assert spec["modules"]["web"]["env"] == {"A": "${env:SECRET}"}
    assert "ImportReference" in [item.rule for item in findings]
    spec, _ = spec_of(content, "imported", {"device": "d1"}, references=False)
    assert spec["modules"]["web"]["env"] == {"A": "$${env:SECRET}"}


def test_two_registries_never_share_the_variable_of_a_password() -> None:
    entry = {label: {"address": label, "username": "u", "password": label} for label in ("acme-x", "acme_x")}
    spec, _ = spec_of(changed(f"{AGENT}/runtime/settings/registryCredentials", entry), "imported", {"device": "d1"})
    assert len({body["password"] for body in spec["registries"].values()}) == 2


def test_a_password_is_never_kept() -> None:
    entry = {"a": {"address": "r.example.com", "username": "u", "password": "hunter2", "extra": 1}}
    spec, _ = spec_of(changed(f"{AGENT}/runtime/settings/registryCredentials", entry), "imported", {"device": "d1"})
    assert "hunter2" not in json.dumps(spec)
    assert spec["registries"]["a"]["password"] == "${env:A_PASSWORD}"


def test_what_is_kept_is_named() -> None:
    _, findings = spec_of(changed(f"{AGENT}/modules/web/labels", {"x": "y"}), "imported", {"device": "d1"})
    (kept,) = [item for item in findings if item.rule == "ImportKept"]
    assert "modules.web.labels" in kept.message
    assert kept.severity == "info"
