"""The cloud tool against the local hub, over the unmodified service SDK; the hub fake is held to the same answers."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Patience
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem
from edge_expose_cloud.spec.inventory import load_inventory
from edge_expose_cloud.status.device import fleet_status
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.expose import plan_expose
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.sites import write_sites
from support.cloud import SPEC, spec_of_text
from support.fake_hub import FakeHub
from support.hub import RunningHub, caller, child_environment, start_hub

pytestmark = pytest.mark.local
OPERATOR = Operator("me@here", lambda: dt.datetime.now(dt.UTC))
Names = Callable[[], str]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    hub = start_hub(tmp_path_factory.mktemp("hub"))
    yield hub
    hub.stop()


def connected(running: RunningHub) -> IotHub:
    credentials = Credentials(connection_string=running.connection_string, ca_file=str(running.ca))
    return IotHub(credentials, Patience(first_pause=0.2, longest_pause=1))


class World:
    """A hub, real or fake, and a way to make devices in it."""

    def __init__(self, hub: Hub, add_device: Callable[[str], None]) -> None:
        self.hub = hub
        self._add = add_device

    def add_device(self, device_id: str) -> str:
        self._add(device_id)
        return device_id


@pytest.fixture(params=["the local hub", "the fake"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "the fake":
        fake = FakeHub()
        return World(fake, fake.add_device)
    running: RunningHub = request.getfixturevalue("running")
    return World(connected(running), lambda device: register(running, device))


def register(running: RunningHub, device_id: str, **tags: str) -> None:
    call = caller(running)
    body = {
        "deviceId": device_id,
        "status": "enabled",
        "authentication": {"type": "sas"},
        "capabilities": {"iotEdge": True},
    }
    answer = call("PUT", f"/devices/{device_id}", body)
    assert answer.status_code == 200, answer.text
    if tags:
        assert call("PATCH", f"/twins/{device_id}", {"tags": tags}).status_code == 200


def test_a_twin_that_does_not_exist_is_none(world: World) -> None:
    device = world.add_device("none-1")
    assert world.hub.device_twin("ghost") is None
    assert world.hub.module_twin(device, "edge-expose") is None
    assert world.hub.module_twin(device, "$edgeAgent") is not None


def test_set_modules_creates_identities_and_replaces_each_named_section(world: World) -> None:
    hub, device = world.hub, world.add_device("set-1")
    hub.apply_content(
        device,
        {"$edgeAgent": {"properties.desired": {"modules": {}}}, "m": {"properties.desired": {"a": 1, "b": {"c": 2}}}},
    )
    hub.apply_content(
        device, {"$edgeAgent": {"properties.desired": {"modules": {}}}, "m": {"properties.desired": {"a": 2}}}
    )
    twin = hub.module_twin(device, "m")
    assert twin is not None
    assert twin.desired == {"a": 2}
    assert "m" in hub.module_ids(device)


def test_a_patch_merges_under_if_match(world: World) -> None:
    hub, device = world.hub, world.add_device("patch-1")
    hub.apply_content(
        device,
        {"$edgeAgent": {"properties.desired": {"modules": {}}}, "m": {"properties.desired": {"a": {"x": 1, "y": 2}}}},
    )
    before = hub.module_twin(device, "m")
    assert before is not None
    after = hub.patch_module_twin(device, "m", {"a": {"x": None}, "b": True}, before.etag)
    assert after.desired == {"a": {"y": 2}, "b": True}
    assert after.desired_version > before.desired_version
    with pytest.raises(HubError) as stale:
        hub.patch_module_twin(device, "m", {"c": 1}, before.etag)
    assert stale.value.problem is HubProblem.PRECONDITION


def test_tags_are_patched_under_if_match(world: World) -> None:
    hub, device = world.hub, world.add_device("tags-1")
    first = hub.device_twin(device)
    assert first is not None
    assert hub.patch_device_tags(device, {"lease": {"by": "me"}}, first.etag).tags["lease"] == {"by": "me"}
    with pytest.raises(HubError) as stale:
        hub.patch_device_tags(device, {"lease": None}, first.etag)
    assert stale.value.problem is HubProblem.PRECONDITION
    assert "lease" not in hub.patch_device_tags(device, {"lease": None}, "*").tags


def test_deployments_are_created_once_updated_and_keep_their_content(world: World) -> None:
    hub = world.hub
    wanted = Deployment("dep-a", {"modulesContent": {"$edgeAgent": {}}}, "deviceId='nobody'", 3, {"k": "v"})
    made = hub.create_deployment(wanted)
    assert made.etag
    with pytest.raises(HubError) as again:
        hub.create_deployment(replace(wanted, priority=5))
    assert again.value.problem is HubProblem.CONFLICT
    (found,) = [item for item in hub.deployments() if item.id == "dep-a"]
    changed = Deployment("dep-a", found.content, "deviceId='other'", 4, {"k": "w"}, etag=found.etag)
    hub.update_deployment(changed)
    (now,) = [item for item in hub.deployments() if item.id == "dep-a"]
    assert (now.target_condition, now.priority, now.labels, now.content) == (
        "deviceId='other'",
        4,
        {"k": "w"},
        wanted.content,
    )
    with pytest.raises(HubError) as stale:
        hub.update_deployment(replace(changed, priority=6))
    assert stale.value.problem in (HubProblem.PRECONDITION, HubProblem.CONFLICT)
    hub.delete_deployment("dep-a")
    assert [item for item in hub.deployments() if item.id == "dep-a"] == []


def test_a_module_that_has_not_reported_is_unconverged(world: World) -> None:
    device = world.add_device("behind-1")
    spec = spec_of_text(SPEC.replace("device: d1", f"device: {device}"))
    apply_plan(world.hub, make_plan(world.hub, spec, {}), OPERATOR)
    found = {twin.device_id for twin in world.hub.unconverged("edge-expose", 100)}
    assert device in found
    assert world.hub.count_unconverged("edge-expose") == len(found)
    assert device in {twin.device_id for twin in world.hub.each_module_twin("edge-expose")}
    assert len(world.hub.unconverged("edge-expose", 1)) == 1


def test_plan_apply_and_a_second_plan_without_changes(world: World) -> None:
    device = world.add_device("loop-1")
    spec = spec_of_text(SPEC.replace("device: d1", f"device: {device}"))
    apply_plan(world.hub, make_plan(world.hub, spec, {}), OPERATOR)
    assert make_plan(world.hub, spec, {}).changes == ()
    made = plan_expose(world.hub, device, "api", {"module": "web", "ports": ["9000:80"]})
    apply_plan(world.hub, made, OPERATOR)
    twin = world.hub.module_twin(device, "edge-expose")
    assert twin is not None
    assert set(twin.desired["exposures"]) == {"api", "db", "web-out"}
    tags = world.hub.device_twin(device)
    assert tags is not None
    assert "edgeExposeLease" not in tags.tags


def test_the_query_finds_every_device_with_our_module(running: RunningHub) -> None:
    hub = connected(running)
    register(running, "fleet-1")
    apply_plan(hub, make_plan(hub, spec_of_text(SPEC.replace("d1", "fleet-1")), {}), OPERATOR)
    assert "fleet-1" in {status.device_id for status in fleet_status(hub)}


def test_a_write_that_was_done_before_the_hub_failed_is_not_an_error(running: RunningHub) -> None:
    """The SDK repeats a PUT after a 5xx, and the repeated one meets what the first has made."""
    hub = connected(running)
    wanted = Deployment("dep-5xx", {"modulesContent": {"$edgeAgent": {}}}, "deviceId='nobody'", 3, {"k": "v"})
    running.fault("http-status", status=500, after_apply=True, path="/configurations/dep-5xx", method="PUT")
    made = hub.create_deployment(wanted)
    running.fault("http-status", status=503, after_apply=True, path="/configurations/dep-5xx", method="PUT")
    assert hub.update_deployment(replace(made, priority=4)).priority == 4
    hub.delete_deployment("dep-5xx")


FLEET = """
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 10}
modules: {web: {image: "a/web:1"}}
exposures: {shop: {module: web, ports: ["80"]}}
"""


def test_a_deployment_reaches_its_devices_and_owns_its_keys(running: RunningHub) -> None:
    hub = connected(running)
    register(running, "north-1", site="north")
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET), {}), OPERATOR)
    apply_plan(hub, make_plan(hub, spec_of_text(FLEET.replace('"80"', '"81"')), {}), OPERATOR)
    twin = hub.module_twin("north-1", "edge-expose")
    assert twin is not None
    assert twin.desired["exposures"]["shop"]["ports"] == ["81"]
    ids = {item.id for item in hub.deployments() if item.labels.get("edgeExposeSpec") == "north"}
    assert hub.targeted_devices(ids) == ["north-1"]
    assert hub.targeted_devices([]) == []
    with pytest.raises(Refused, match="set by the deployment"):
        plan_expose(hub, "north-1", "shop", {"module": "web", "ports": ["82"]})
    with pytest.raises(Refused, match="is targeted by"):
        apply_plan(hub, make_plan(hub, spec_of_text(SPEC.replace("device: d1", "device: north-1")), {}), OPERATOR)


def test_ranges_of_the_inventory_reach_the_targeted_devices_as_site(running: RunningHub) -> None:
    hub = connected(running)
    register(running, "south-1", site="south")
    inventory, _ = load_inventory(
        "devices: {south-1: {network: {externalServiceIPs: 10.7.0.1-10.7.0.9}}}", "fleet.yaml"
    )
    spec = spec_of_text(FLEET.replace("north", "south"))
    apply_plan(hub, make_plan(hub, spec, {}, inventory), OPERATOR)
    assert write_sites(hub, spec, inventory, OPERATOR) == ["south-1"]
    twin = hub.module_twin("south-1", "edge-expose")
    assert twin is not None
    assert twin.desired["site"] == {"externalServiceIPs": ["10.7.0.1-10.7.0.9"]}
    assert set(twin.desired["exposures"]) == {"shop"}
    assert make_plan(hub, spec, {}, inventory).changes == ()


def run(running: RunningHub, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = child_environment(
        IOTHUB_CONNECTION_STRING=running.connection_string,
        EDGE_EXPOSE_HUB_CA=str(running.ca),
        XDG_STATE_HOME=str(running.state.parent / "xdg"),
        HOME=os.environ.get("HOME", "/"),
        **environment,
    )
    command = [sys.executable, "-m", "edge_expose_cloud", *arguments]
    return subprocess.run(command, env=clean, capture_output=True, text=True, timeout=60, check=False)


def test_the_command_itself_from_spec_to_twin(running: RunningHub, tmp_path: Path) -> None:
    register(running, "cmd-1")
    path = tmp_path / "s.yaml"
    path.write_text(SPEC.replace("device: d1", "device: cmd-1"))
    planned = run(running, "plan", str(path), "-o", "json")
    assert planned.returncode == 3, planned.stderr
    digest = json.loads(planned.stdout)["digest"]
    assert run(running, "apply", str(path), "--expect", digest).returncode == 0
    assert run(running, "plan", str(path)).returncode == 0
    status: dict[str, Any] = json.loads(run(running, "status", "cmd-1", "-o", "json").stdout)
    assert set(status["devices"][0]["exposures"]) == {"db", "web-out"}
    late = run(running, "apply", str(path), "--wait", "--timeout", "1")
    assert late.returncode == 3
    assert "not converged" in late.stderr


def test_a_wrong_key_is_said_in_one_line_without_the_key(running: RunningHub, tmp_path: Path) -> None:
    wrong = running.connection_string.strip()[:-6] + "AAAAA="
    file = tmp_path / "cs"
    file.write_text(wrong)
    denied = run(running, "status", "--connection-string-file", str(file))
    assert denied.returncode == 1
    assert "401" in denied.stderr
    assert "Traceback" not in denied.stderr
    assert wrong.split("SharedAccessKey=")[1] not in denied.stderr
