"""`driver: manifest`: what a module publishes of its own stays, and what would go needs a word."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.iotedge.create_options import read_create_options
from edge_expose_cloud.plan.model import Plan, SetModules
from edge_expose_cloud.spec.text.yaml_writer import yaml_text
from edge_expose_cloud.usecases.apply import check_dangers
from edge_expose_cloud.usecases.export import export_spec
from edge_expose_cloud.usecases.plan import make_plan
from support.cloud import spec_of_text
from support.fake_hub import FakeHub

OPTIONS = {"HostConfig": {"PortBindings": {"502/tcp": [{"HostPort": "1502"}], "9001/tcp": [{"HostPort": "9001"}]}}}


def agent(options: str) -> dict[str, Any]:
    module = {
        "type": "docker",
        "status": "running",
        "restartPolicy": "always",
        "settings": {"image": "plc/gateway:2", "createOptions": options},
    }
    system = {
        "edgeAgent": {"type": "docker", "settings": {"image": "agent:1", "createOptions": "{}"}},
        "edgeHub": {
            "type": "docker",
            "status": "running",
            "restartPolicy": "always",
            "settings": {"image": "hub:1", "createOptions": "{}"},
        },
    }
    runtime = {"type": "docker", "settings": {"minDockerVersion": "v1.25", "loggingOptions": ""}}
    return {"schemaVersion": "1.0", "runtime": runtime, "systemModules": system, "modules": {"plc": module}}


def device(options: str) -> FakeHub:
    hub = FakeHub()
    hub.add_device("d1")
    routes = {
        "schemaVersion": "1.0",
        "routes": {},
        "storeAndForwardConfiguration": {"timeToLiveSecs": 7200},
    }
    content = {"$edgeAgent": agent(options), "$edgeHub": routes}
    hub.apply_content("d1", {name: {"properties.desired": desired} for name, desired in content.items()})
    return hub


def plan(hub: FakeHub, **changes: Any) -> Plan:
    """The device's own spec, with these top-level fields changed."""
    spec, _ = export_spec(hub, "d1")
    return make_plan(hub, spec_of_text(yaml_text({**spec, **changes})), {})


@pytest.mark.parametrize(
    "options",
    [
        json.dumps(OPTIONS, separators=(",", ":")),
        json.dumps(OPTIONS, indent=4),
        json.dumps({"HostConfig": {"PortBindings": dict(reversed(OPTIONS["HostConfig"]["PortBindings"].items()))}}),
        json.dumps(OPTIONS).replace("tcp", "\\u0074cp"),
    ],
)
def test_export_then_plan_is_empty_however_the_options_are_written(options: str) -> None:
    made = plan(device(options), driver="manifest")
    assert made.changes == ()
    assert made.step is None


def test_an_exposure_adds_to_what_the_module_publishes() -> None:
    hub = device(json.dumps(OPTIONS))
    exposures = {"web": {"module": "plc", "ports": ["8080:80"]}}
    made = plan(hub, driver="manifest", exposures=exposures, network={"externalServiceIPs": "10.0.0.1-10.0.0.9"})
    assert isinstance(made.step, SetModules)
    settings = made.step.content.sent()["$edgeAgent"]["properties.desired"]["modules"]["plc"]["settings"]
    bindings = read_create_options(settings)["HostConfig"]["PortBindings"]
    assert bindings == {**OPTIONS["HostConfig"]["PortBindings"], "80/tcp": [{"HostPort": "8080"}]}
    assert made.dangers == ()


def test_a_port_that_would_no_longer_be_published_is_named_and_needs_a_word() -> None:
    hub = device(json.dumps(OPTIONS))
    kept = {"HostConfig": {"PortBindings": {"502/tcp": [{"HostPort": "1502"}]}}}
    spec, _ = export_spec(hub, "d1")
    spec["modules"]["plc"]["createOptions"] = kept
    made = make_plan(hub, spec_of_text(yaml_text({**spec, "driver": "manifest"})), {})
    gone = "the module plc no longer publishes 9001/tcp (port 9001) on the device"
    assert gone in [item.text for item in made.impact]
    with pytest.raises(Refused, match="9001/tcp") as refused:
        check_dangers(made, {})
    assert "--allow removals=1" in refused.value.hint


def test_an_exposure_without_an_address_keeps_the_one_that_the_manifest_asks_for() -> None:
    service = {"serviceOptions": {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.12"}}
    hub = device(json.dumps({**OPTIONS, "k8s-experimental": service}))
    made = plan(hub, driver="manifest", exposures={"web": {"module": "plc", "ports": ["8080:80"]}})
    assert isinstance(made.step, SetModules)
    settings = made.step.content.sent()["$edgeAgent"]["properties.desired"]["modules"]["plc"]["settings"]
    assert read_create_options(settings)["k8s-experimental"]["serviceOptions"] == service["serviceOptions"]
    assert not any(item.kind == "moves" for item in made.impact)


def test_a_port_that_changes_its_protocol_is_one_that_goes() -> None:
    hub = device(json.dumps({"HostConfig": {"PortBindings": {"53/udp": [{"HostPort": "53"}]}}}))
    options = {"HostConfig": {"PortBindings": {"53/tcp": [{"HostPort": "53"}]}}}
    made = plan(hub, driver="manifest", modules={"plc": {"image": "plc:1", "createOptions": options}})
    assert [danger.kind for danger in made.dangers] == ["removals"]
