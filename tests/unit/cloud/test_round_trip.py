"""import and export: rendering the spec gives the manifest back, with every key that a spec has no field for."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from edge_expose_cloud.create_options import read_create_options
from edge_expose_cloud.findings import has_errors
from edge_expose_cloud.goldens import rendered
from edge_expose_cloud.loading import load_spec
from edge_expose_cloud.manifest import render
from edge_expose_cloud.manifest_checking import desired_sections
from edge_expose_cloud.porting import spec_of

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


def back(content: dict[str, Any]) -> dict[str, Any]:
    """Imported, written as YAML, loaded, rendered."""
    spec, _ = spec_of(content, "imported", {"device": "d1"})
    text = json.dumps(spec)
    loaded = load_spec(text, "spec.yaml")
    assert not has_errors(loaded.findings), loaded.findings
    assert loaded.spec is not None
    assert YAML(typ="safe").load(text)["name"] == "imported"
    return plain(desired_sections(render(loaded.spec)["modulesContent"]))


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
            changed(f"{AGENT}/modules/web/settings/createOptions", json.dumps({"Env": ["A=" + "x" * 900]})),
            id="createOptions longer than a chunk",
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
