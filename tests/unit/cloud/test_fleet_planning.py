"""Plans for each device of a fleet: Services before and after, addresses, who overflows, and clashes on one subnet."""

from __future__ import annotations

import json
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.plan.fleet import FleetTotals
from edge_expose_cloud.spec.checks.fleet import lint_fleet
from edge_expose_cloud.spec.inventory import Inventory, load_inventory
from edge_expose_cloud.usecases.fleet_plans import plan_members, rehearse_members
from support.cloud import spec_of_text, use_hub
from support.fake_hub import FakeHub

SPEC = """\
schemaVersion: "1.0"
name: north
target: {condition: "tags.site='north'", priority: 10}
modules: {web: {image: "a/web:1"}}
exposures:
  shop: {module: web, ports: ["80"]}
  cart: {module: web, ports: ["81"]}
  inner: {module: web, type: ClusterIP, ports: ["82"]}
"""
EACH = SPEC.replace("{condition: \"tags.site='north'\", priority: 10}", '{device: "${deviceId}"}')


def inventory_of(text: str) -> Inventory:
    inventory, findings = load_inventory(text, "fleet.yaml")
    assert inventory is not None, findings
    return inventory


def test_each_device_has_its_own_before_and_after() -> None:
    hub = FakeHub(matching={"tags.site='north'": ["a", "b", "new"]})
    for device in ("a", "b", "other"):
        hub.add_device(device)
    ours = {"schemaVersion": "1.0", "exposures": {"shop": {"module": "web", "ports": ["80"]}}}
    hub.add_module("a", "edge-expose", {**ours, "site": {"externalServiceIPs": ["10.0.0.10-10.0.0.11"]}})
    mine = {"mine": {"module": "x", "ports": ["9"]}, "shop": {"module": "web", "ports": ["79"]}}
    hub.add_module("b", "edge-expose", {"schemaVersion": "1.0", "exposures": mine})
    hub.add_module("other", "edge-expose", ours)
    inventory = inventory_of("devices: {b: {network: {externalServiceIPs: 10.1.0.10-10.1.0.11}}}")
    count, members = plan_members(hub, spec_of_text(SPEC), inventory)
    found = {member.device_id: member for member in members}
    assert (count, set(found)) == (3, {"a", "b", "new"})
    assert [(found[name].before, found[name].after) for name in ("a", "b", "new")] == [(1, 3), (2, 4), (0, 3)]
    assert [(found[name].created, found[name].updated, found[name].deleted) for name in ("a", "b", "new")] == [
        (2, 0, 0),
        (2, 1, 0),
        (3, 0, 0),
    ]
    assert (found["a"].addresses.needed, found["a"].addresses.free, found["a"].addresses.overflow) == (2, 0, None)
    assert found["b"].addresses.overflow == "shop", "three exposures, two addresses: the last by name gets none"
    assert found["new"].addresses.size == 0
    totals = FleetTotals()
    for member in found.values():
        totals.add(member)
    body = totals.to_json()
    assert body["firstOverflow"] == {"deviceId": "b", "exposure": "shop"}
    assert (body["devices"], body["withoutRanges"], body["overflowing"]) == (3, 1, 1)


def test_what_people_notice_is_said_of_each_device() -> None:
    hub = FakeHub(matching={"tags.site='north'": ["a", "new"]})
    for device in ("a", "new"):
        hub.add_device(device)
    mine = {"schemaVersion": "1.0", "exposures": {"shop": {"module": "web", "ports": ["79"]}}}
    hub.add_module("a", "edge-expose", mine, {"exposures": {"shop": {"state": "Ready", "address": "10.0.0.10"}}})
    _, members = plan_members(hub, spec_of_text(SPEC), None)
    said = {member.device_id: [item.text for item in member.impact if item.subject == "shop"] for member in members}
    assert said == {
        "a": [
            "10.0.0.10:79/tcp stops answering for everyone",
            "shop opens 80/tcp to everyone who reaches the device at 10.0.0.10",
        ],
        "new": [],
    }


def test_what_has_expired_is_no_service_of_any_device() -> None:
    hub = FakeHub(matching={"tags.site='north'": ["a"]})
    hub.add_device("a")
    text = SPEC.replace('ports: ["80"]', 'ports: ["80"], expires: "2020-01-01T00:00:00Z"')
    _, members = plan_members(hub, spec_of_text(text), None)
    assert [(member.after, member.created) for member in members] == [(2, 2)]


SUBNETS = """\
devices:
  a: {{subnet: {0}, network: {{externalServiceIPs: 10.0.0.10-10.0.0.20, nodeIPs: 10.0.0.1-10.0.0.2}}}}
  b: {{subnet: {1}, network: {{externalServiceIPs: {2}, nodeIPs: {3}}}}}
  c: {{network: {{externalServiceIPs: 10.0.0.10-10.0.0.20}}}}
"""


@pytest.mark.parametrize(
    ("first", "second", "external", "nodes", "said"),
    [
        ("lan", "lan", "10.0.0.21-10.0.0.30", "10.0.0.3-10.0.0.4", []),
        (
            "lan",
            "lan",
            "10.0.0.20-10.0.0.30",
            "10.0.0.3-10.0.0.4",
            ["externalServiceIPs of b overlaps externalServiceIPs of a"],
        ),
        ("lan", "lan", "10.0.0.21-10.0.0.30", "10.0.0.2-10.0.0.4", ["nodeIPs of b overlaps nodeIPs of a"]),
        ("lan", "lan", "10.0.0.21-10.0.0.30", "10.0.0.12-10.0.0.13", ["nodeIPs of b overlaps externalServiceIPs of a"]),
        ("lan", "wan", "10.0.0.10-10.0.0.20", "10.0.0.1-10.0.0.2", []),
    ],
    ids=["apart", "external ranges meet", "node IPs meet", "a node IP inside the other's range", "another subnet"],
)
def test_devices_of_one_subnet_must_not_claim_the_same_addresses(
    first: str, second: str, external: str, nodes: str, said: list[str]
) -> None:
    found = lint_fleet(inventory_of(SUBNETS.format(first, second, external, nodes)))
    assert [item.message.partition(",")[0] for item in found] == said


def test_an_overlap_that_is_not_next_to_it_is_found_too() -> None:
    text = "devices:\n" + "\n".join(
        f"  d{number}: {{subnet: lan, network: {{externalServiceIPs: {span}}}}}"
        for number, span in enumerate(["10.0.0.0-10.0.0.99", "10.0.0.200-10.0.0.201", "10.0.0.50-10.0.0.51"])
    )
    assert [item.message.split()[2] for item in lint_fleet(inventory_of(text))] == ["d2"]


@pytest.fixture
def files(tmp_path: Path) -> Iterator[Path]:
    (tmp_path / "each.yaml").write_text(EACH)
    (tmp_path / "north.yaml").write_text(SPEC)
    (tmp_path / "fleet.yaml").write_text(
        "devices:\n"
        "  d1: {network: {externalServiceIPs: 10.0.0.10-10.0.0.12}}\n"
        "  d2: {network: {externalServiceIPs: 10.1.0.10-10.1.0.10}}\n"
    )
    yield tmp_path
    use_hub(None)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.mark.parametrize("spec", ["each.yaml", "north.yaml"])
def test_ranges_of_a_fleet_need_no_hub(files: Path, spec: str) -> None:
    arguments = ("ranges", str(files / spec), "--fleet", str(files / "fleet.yaml"), "--every-device")
    result = run(*arguments, "-o", "json")
    assert result.exit_code == 0, result.output
    body = json.loads(result.stdout)
    assert [(item["deviceId"], item["addresses"]["overflow"]) for item in body["devices"]] == [
        ("d1", None),
        ("d2", "shop"),
    ]
    table = run(*arguments)
    assert "1 devices have too few addresses; the first is d2: shop gets none" in table.stderr
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["DEVICE", "d1", "d2"]


def test_plan_per_device_shows_every_device_of_the_condition(files: Path) -> None:
    hub = FakeHub(matching={"tags.site='north'": ["d1", "d2"]})
    for device in ("d1", "d2"):
        hub.add_device(device)
    use_hub(hub)
    result = run("plan", str(files / "north.yaml"), "--fleet", str(files / "fleet.yaml"), "--per-device", "-o", "json")
    assert result.exit_code == 3, result.output
    body = json.loads(result.stdout)
    assert len(body["digest"]) == 64
    assert body["totals"]["services"] == {"create": 6, "update": 0, "delete": 0}
    assert [item["services"]["after"] for item in body["devices"]] == [3, 3]


def test_one_spec_for_each_device_is_planned_and_applied_device_by_device(files: Path) -> None:
    hub = FakeHub()
    for device in ("d1", "d2"):
        hub.add_device(device)
    use_hub(hub)
    arguments = [str(files / "each.yaml"), "--fleet", str(files / "fleet.yaml"), "--every-device"]
    refused = run("plan", *arguments, "-o", "json")
    assert refused.exit_code == 2, "d2 has one address for two exposures"
    (files / "fleet.yaml").write_text(
        (files / "fleet.yaml").read_text().replace("10.1.0.10-10.1.0.10", "10.1.0.10-10.1.0.12")
    )
    planned = run("plan", *arguments, "-o", "json")
    assert planned.exit_code == 3, planned.output
    digest = json.loads(planned.stdout)["digest"]
    wrong = run("apply", *arguments, "--expect", "deadbeef", "--yes")
    assert wrong.exit_code == 1
    done = run("apply", *arguments, "--expect", digest, "--yes", "--backup", str(files / "b"), "-o", "json")
    assert done.exit_code == 0, done.output
    assert [item["result"] for item in json.loads(done.stdout)["results"]] == ["modules of d1 set", "modules of d2 set"]
    sites = [hub.twins[device, "edge-expose"].desired["site"]["externalServiceIPs"] for device in ("d1", "d2")]
    assert sites == [["10.0.0.10-10.0.0.12"], ["10.1.0.10-10.1.0.12"]]
    assert run("plan", *arguments).exit_code == 0
    again = run("apply", *arguments, "--expect", digest, "--yes")
    assert again.exit_code == 0, "nothing is left to change"


def test_plans_of_each_device_as_json_carry_what_was_found_notes_and_dangers(files: Path) -> None:
    hub = FakeHub()
    for device in ("d1", "d2"):
        hub.add_device(device)
    hub.add_module("d2", "$edgeAgent", {"modules": {"gone": {}}})
    use_hub(hub)
    (files / "each.yaml").write_text(EACH.replace("a/web:1", "a/web:latest"))
    body = json.loads(run("plan", str(files / "each.yaml"), "--device", "d1", "--device", "d2", "-o", "json").stdout)
    assert [item["rule"] for item in body["findings"]] == ["ImageLatest"]
    assert [item["what"] for item in body["dangers"]] == ["d2: 1 module would be removed from the device: gone"]
    assert all(note.startswith(("d1: new on", "d2: new on")) for note in body["notes"])
    first, second = body["devices"]
    assert [item["rule"] for item in first["findings"]] == ["ImageLatest"]
    assert (first["dangers"], second["dangers"][0]["count"]) == ([], 1)
    assert first["notes"][0].startswith("new on this device")


def test_a_device_that_refuses_does_not_stop_the_others(files: Path) -> None:
    hub = FakeHub()
    for device in ("d1", "d2", "d3"):
        hub.add_device(device)
    use_hub(hub)
    leases: list[str] = []

    def before(call: str) -> None:
        if call == "patch_device_tags":
            leases.append(call)
            if len(leases) == 3:  # each device takes two: this is the first of d2
                raise HubError(HubProblem.FORBIDDEN, "d2 is not yours")

    hub.before = before

    devices = [word for device in ("d1", "d2", "d3") for word in ("--device", device)]
    done = run("apply", str(files / "each.yaml"), *devices, "--yes", "--backup", str(files / "b"))
    assert done.exit_code == 1
    assert "✗ d2: d2 is not yours" in done.stderr
    assert "2 of 3 devices done, 1 failed" in done.stderr
    hub.before = None
    again = run("apply", str(files / "each.yaml"), *devices, "--yes", "--backup", str(files / "b"))
    assert again.exit_code == 0, again.output
    assert "1 of 3 devices change" in again.stdout


def test_a_device_that_the_hub_does_not_know_does_not_stop_the_others(files: Path) -> None:
    hub = FakeHub()
    for device in ("d1", "d3"):
        hub.add_device(device)
    use_hub(hub)
    devices = [word for device in ("d1", "ghost", "d3") for word in ("--device", device)]
    planned = run("plan", str(files / "each.yaml"), *devices)
    assert planned.exit_code == 1
    assert "✗ ghost: device 'ghost' is not registered" in planned.stderr
    assert "2 of 2 devices change" in planned.stdout
    done = run("apply", str(files / "each.yaml"), *devices, "--yes", "--backup", str(files / "b"), "-o", "json")
    assert done.exit_code == 1
    results = {item["deviceId"]: item["result"] for item in json.loads(done.stdout)["results"]}
    assert results == {"ghost": "", "d1": "modules of d1 set", "d3": "modules of d3 set"}


def test_what_is_wrong_for_any_device_is_shown_for_all_at_once(files: Path) -> None:
    use_hub(FakeHub())
    (files / "each.yaml").write_text(EACH.replace("name: ", "# ${missing}\nname: x${site}", 1))
    (files / "fleet.yaml").write_text("devices:\n  d1: {}\n  d2: {variables: {site: y}}\n  d3: {}\n")
    refused = run("plan", str(files / "each.yaml"), "--fleet", str(files / "fleet.yaml"), "--every-device")
    assert refused.exit_code == 2
    assert refused.stderr.count("VariableUnknown") == 1


def test_a_spec_for_one_device_is_not_used_for_others(files: Path) -> None:
    hub = FakeHub()
    hub.add_device("d1")
    use_hub(hub)
    (files / "one.yaml").write_text(EACH.replace("${deviceId}", "d9"))
    result = run("plan", str(files / "one.yaml"), "--device", "d1")
    assert result.exit_code == 1
    assert "${deviceId}" in result.stderr


def test_validate_of_a_template_looks_at_every_device(files: Path) -> None:
    result = run("validate", str(files / "each.yaml"), "--fleet", str(files / "fleet.yaml"), "-o", "json")
    assert result.exit_code == 2
    (error,) = [item for item in json.loads(result.stdout)["violations"] if item["severity"] == "error"]
    assert (error["rule"], error["message"].startswith("device d2:")) == ("RangeTooSmall", True)


def test_a_large_fleet_is_planned_as_a_stream() -> None:
    """300 devices x 50 exposures in bounded memory; the full 10,000 x 50 is a run, not a test."""
    exposures = "".join(f'  x{number:02}: {{module: web, ports: ["{1000 + number}"]}}\n' for number in range(50))
    text = SPEC.partition("exposures:\n")[0] + "exposures:\n" + exposures
    spec = spec_of_text(text)
    lines = "".join(
        f"  d{n:05}: {{network: {{externalServiceIPs: 10.{n >> 8}.{n & 255}.10-10.{n >> 8}.{n & 255}.70}}}}\n"
        for n in range(300)
    )
    inventory = inventory_of("devices:\n" + lines)
    tracemalloc.start()
    started, before = time.perf_counter(), tracemalloc.get_traced_memory()[0]
    totals = FleetTotals()
    for member in rehearse_members(inventory, lambda device: spec):
        totals.add(member)
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert (totals.devices, totals.created, totals.needed, totals.overflowing) == (300, 15000, 15000, 0)
    assert grown < 2_000_000
    assert time.perf_counter() - started < 60
