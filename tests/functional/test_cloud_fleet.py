"""A fleet of light devices over real MQTT: one automatic deployment, followed to Ready, inside the hub's quotas."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from edge_expose_cloud.adapters.iothub import Pace
from edge_expose_cloud.spec.inventory import load_inventory
from edge_expose_cloud.status.device import fleet_status
from edge_expose_cloud.status.wait import Clock, WaitResult, wait_until_ready
from edge_expose_cloud.usecases.apply import apply_plan
from edge_expose_cloud.usecases.operator import Operator
from edge_expose_cloud.usecases.plan import make_plan
from edge_expose_cloud.usecases.sites import write_sites
from support.cloud import NOW, spec_of_text
from support.fleet import LightFleet, connected, spec_text
from support.hub import RunningHub, start_hub

pytestmark = pytest.mark.local
OPERATOR = Operator("me@here", lambda: NOW)
DEVICES = [f"light-{number:02d}" for number in range(40)]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    hub = start_hub(tmp_path_factory.mktemp("fleet"))
    yield hub
    hub.stop()


@pytest.fixture(scope="module")
def fleet(running: RunningHub) -> Iterator[LightFleet]:
    made = LightFleet(running)
    made.add(DEVICES, "north")
    yield made
    made.stop()


def follow(hub: object, spec: object, said: list[str], **options: object) -> WaitResult:
    clock = Clock(time.monotonic, time.sleep)
    return wait_until_ready(hub, spec, 90, clock, lambda now: said.append(now.reason), **options)  # type: ignore[arg-type]


def test_forty_devices_follow_one_deployment_and_the_next(running: RunningHub, fleet: LightFleet) -> None:
    pace = Pace()
    hub = connected(running, pace)
    said: list[str] = []
    for port in (80, 81):
        spec = spec_of_text(spec_text("north", "north", port))
        apply_plan(hub, make_plan(hub, spec, {}), OPERATOR)
        result = follow(hub, spec, said)
        assert result.done, result.reason
        assert {status.device_id for status in result.devices} == set(DEVICES)
        assert {tuple(status.exposures["shop"]["ports"]) for status in result.devices} == {(f"{port}:80/tcp",)}
    assert make_plan(hub, spec, {}).changes == ()
    assert pace.counts.get("TwinRead", 0) == 0, "a fleet is not read twin by twin"
    assert pace.counts["Query"] <= 18


def test_ranges_of_the_inventory_are_written_when_the_deployment_has_reached_the_devices(
    running: RunningHub, fleet: LightFleet
) -> None:
    hub = connected(running)
    lines = [
        f"  {device}: {{network: {{externalServiceIPs: 10.{n}.0.10-10.{n}.0.20}}}}" for n, device in enumerate(DEVICES)
    ]
    inventory, found = load_inventory("devices:\n" + "\n".join(lines), "fleet.yaml")
    assert inventory is not None, found
    spec = spec_of_text(spec_text("north", "north", 81))
    apply_plan(hub, make_plan(hub, spec, {}), OPERATOR)
    written: list[str] = []
    result = follow(hub, spec, [], reached=lambda devices: written.extend(write_sites(hub, spec, inventory, OPERATOR)))
    assert result.done
    assert sorted(written) == DEVICES
    statuses = {status.device_id: status for status in fleet_status(hub)}
    twin = hub.module_twin("light-07", "edge-expose")
    assert twin is not None
    assert twin.desired["site"] == {"externalServiceIPs": ["10.7.0.10-10.7.0.20"]}
    assert set(statuses) >= set(DEVICES)


def test_a_device_that_is_late_is_waited_for_by_name(running: RunningHub, fleet: LightFleet) -> None:
    hub = connected(running)
    spec = spec_of_text(spec_text("east", "east"))
    apply_plan(hub, make_plan(hub, spec, {}), OPERATOR)
    clock = Clock(time.monotonic, time.sleep)
    early = wait_until_ready(hub, spec, 0.5, clock, lambda text: None)
    assert (early.done, "matches no device yet" in early.reason) == (False, True)
    fleet.add(["late-1"], "east")
    result = follow(hub, spec, [])
    assert result.done, result.reason
    assert [status.device_id for status in result.devices] == ["late-1"]
