"""The command line: shapes, exit codes, and what goes to stdout and stderr."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest
import typer
from ruamel.yaml import YAML

from edge_expose_cloud.cli import COMMANDS, app
from edge_expose_cloud.hub.api import Deployment
from edge_expose_cloud.manifest.render import render
from support.cli import json_of, run
from support.cloud import HELD_BACK, READY, SPEC, spec_of_text
from support.fake_hub import FakeHub


def test_validate_of_a_good_spec(spec: str) -> None:
    result = run("validate", spec, "-o", "json")
    assert (result.exit_code, json_of(result)) == (0, {"violations": []})


def test_validate_shows_every_violation_with_its_place(tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SPEC.replace("10.0.0.11", "10.9.9.9").replace("module: database", "module: ghost"))
    result = run("validate", str(path), "-o", "json")
    assert result.exit_code == 2
    violations = json_of(result)["violations"]
    assert [(item["rule"], item["line"]) for item in violations] == [
        ("AddressOutsideRange", 9),
        ("ExposureModuleUnknown", 10),
    ]
    assert set(violations[0]) == {"rule", "severity", "file", "line", "path", "message", "hint"}
    text = run("validate", str(path)).stdout
    assert f"{path}:9: exposures.web-out.address" in text
    assert "try:" in text


def test_validate_takes_a_manifest_and_points_into_it(tmp_path: Path) -> None:
    document = render(spec_of_text())
    document["modulesContent"]["$edgeAgent"]["properties.desired"]["modules"]["web"]["status"] = "paused"
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document, indent=1))
    result = run("validate", str(path), "-o", "json")
    assert result.exit_code == 2
    (violation,) = json_of(result)["violations"]
    assert violation["path"] == "modulesContent.$edgeAgent.properties.desired.modules.web.status"
    assert path.read_text().splitlines()[violation["line"] - 1].strip().startswith('"status": "paused"')


@pytest.mark.parametrize("command", ["validate", "render", "plan", "apply", "services"])
def test_a_file_that_is_not_there_is_wrong_input(command: str, hub: FakeHub) -> None:
    result = run(command, "/nonexistent.yaml")
    assert result.exit_code == 2
    assert "/nonexistent.yaml" in result.stdout + result.stderr
    assert hub.calls == []


LONG = "x" * 5000
NOT_SEEN_AT_FIRST = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
registries: {acme: {address: r.example.com, username: u, password: "${env:PW_X}"}}
modules:
  web:
    image: "a/web:1"
    env:
      KEY: "${env:KEY_X}"
    desired:
      s: LONG
"""


@pytest.mark.parametrize(
    ("command", "environment", "places"),
    [
        pytest.param("validate", {}, [(11, "modules.web.desired.s")], id="what a twin cannot hold, by validate"),
        pytest.param("plan", {}, [(11, "modules.web.desired.s")], id="and by plan"),
        pytest.param(
            "plan",
            {"long": "short"},
            [(4, "registries.acme.password"), (9, "modules.web.env.KEY")],
            id="secrets that are not set",
        ),
        pytest.param(
            "plan",
            {"long": "short", "PW_X": "p", "KEY_X": LONG},
            [(9, "modules.web.env.KEY")],
            id="a secret that is too long where it is filled in",
        ),
    ],
)
def test_an_error_of_what_a_spec_renders_to_names_its_line_and_path_in_the_spec(
    command: str, environment: dict[str, str], places: list[tuple[int, str]], hub: FakeHub, tmp_path: Path
) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(NOT_SEEN_AT_FIRST.replace("LONG", environment.get("long", LONG)))
    result = run(command, str(path), **environment)
    assert result.exit_code == 2
    told = [line for line in result.output.splitlines() if line.startswith("✗ error")]
    assert len(told) == len(places)
    for line, (number, place) in zip(told, places, strict=True):
        assert line.startswith(f"✗ error {path}:{number}: {place}: ")


def test_render_prints_the_manifest_and_nothing_else(spec: str) -> None:
    result = run("render", spec)
    assert (result.exit_code, json_of(result)) == (0, render(spec_of_text()))


def test_render_keeps_secrets_as_references_unless_told(tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(SPEC + 'registries: {a: {address: r.example.com, username: u, password: "${env:PW_X}"}}\n')
    assert "${env:PW_X}" in run("render", str(path), PW_X="hunter2").stdout
    assert "hunter2" in run("render", str(path), "--with-secrets", PW_X="hunter2").stdout
    assert run("render", str(path), "--with-secrets").exit_code == 2


def test_services_prints_kubernetes_objects(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(render(spec_of_text(SPEC + "driver: manifest\n"))))
    result = run("services", str(path), "-o", "json")
    assert result.exit_code == 0
    items = {item["metadata"]["name"]: item for item in json_of(result)["items"]}
    assert set(items) == {"database", "edgehub", "web"}
    assert items["web"]["spec"]["loadBalancerIP"] == "10.0.0.11"
    assert {
        item["spec"]["type"]
        for item in json_of(run("services", str(path), "--default-type", "clusterip", "-o", "json"))["items"]
        if item["metadata"]["name"] == "edgehub"
    } == {"ClusterIP"}
    assert run("services", str(path), "--default-type", "Nonsense").exit_code == 2


def test_plan_says_3_when_there_are_changes_and_0_when_not(spec: str, hub: FakeHub) -> None:
    result = run("plan", spec, "-o", "json")
    assert result.exit_code == 3
    body = json_of(result)
    assert re.fullmatch(r"[0-9a-f]{64}", body["digest"])
    assert {(change["action"], change["kind"]) for change in body["changes"]} == {
        ("update", "Manifest"),
        ("create", "ModuleTwin"),
        ("create", "Service"),
    }
    assert all(set(change) == {"action", "kind", "namespace", "name", "before", "after"} for change in body["changes"])
    assert "apply_content" not in hub.calls


def test_apply_does_the_plan_once(spec: str, hub: FakeHub, tmp_path: Path) -> None:
    result = run("apply", spec, "--yes", "--backup", str(tmp_path / "b"))
    assert (result.exit_code, "set" in result.stderr) == (0, True)
    assert len(list((tmp_path / "b").glob("d1-*.json"))) == 1
    assert run("plan", spec).exit_code == 0
    again = run("apply", spec)
    assert (again.exit_code, "nothing to change" in again.stderr) == (0, True)


def test_a_dry_run_sends_nothing(spec: str, hub: FakeHub) -> None:
    assert run("apply", spec, "--dry-run").exit_code == 0
    assert not {"apply_content", "patch_module_twin", "patch_device_tags"} & set(hub.calls)


def test_apply_expects_the_digest_it_is_given(spec: str, hub: FakeHub, tmp_path: Path) -> None:
    digest = json_of(run("plan", spec, "-o", "json"))["digest"]
    assert run("apply", spec, "--expect", "0" * 64).exit_code == 1
    assert "apply_content" not in hub.calls
    assert run("apply", spec, "--expect", digest, "--backup", str(tmp_path)).exit_code == 0


def test_apply_of_an_expected_plan_that_was_done_before_is_fine(spec: str, hub: FakeHub, tmp_path: Path) -> None:
    digest = json_of(run("plan", spec, "-o", "json"))["digest"]
    arguments = ("apply", spec, "--expect", digest, "--backup", str(tmp_path))
    assert run(*arguments).exit_code == 0
    again = run(*arguments)
    assert (again.exit_code, "nothing to change" in again.stderr) == (0, True), again.stderr


def test_a_plan_as_json_carries_what_was_found_in_the_spec_notes_and_dangers(hub: FakeHub, tmp_path: Path) -> None:
    hub.add_module("d1", "$edgeAgent", {"modules": {"gone": {}}})
    path = tmp_path / "s.yaml"
    path.write_text(SPEC.replace("a/web:1", "a/web:latest"))
    for command in (("plan",), ("apply", "--dry-run"), ("apply", "--allow", "modules=1", "--backup", str(tmp_path))):
        body = json_of(run(command[0], str(path), *command[1:], "-o", "json"))
        assert [(item["rule"], item["line"]) for item in body["findings"]] == [("ImageLatest", 6)]
        assert body["notes"] == ["new on this device: edge-expose"]
        assert body["dangers"] == [
            {"kind": "modules", "count": 1, "what": "1 module would be removed from the device: gone"}
        ]


def test_apply_with_wait_ends_with_the_table_or_with_3(spec: str, applied: FakeHub, tmp_path: Path) -> None:
    result = run("apply", spec, "--wait", "--timeout", "5")
    assert result.exit_code == 0
    assert "10.0.0.11" in result.stdout
    assert "Ready" in result.stdout
    applied.report("d1", "edge-expose", {})
    late = run("apply", spec, "--wait", "--timeout", "0", "-o", "json")
    assert late.exit_code == 3
    assert json_of(late)["converged"] is False
    assert "has not reported" in late.stderr


def test_wrong_input_sends_nothing(tmp_path: Path, hub: FakeHub) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(SPEC.replace("10.0.0.11", "10.9.9.9"))
    result = run("apply", str(path))
    assert (result.exit_code, hub.calls) == (2, [])
    assert "bad.yaml:9" in result.stderr
    assert "nothing was sent" in result.stderr


def test_status_has_the_shape_others_build_on(applied: FakeHub) -> None:
    body = json_of(run("status", "d1", "-o", "json"))
    (device,) = body["devices"]
    assert device["deviceId"] == "d1"
    assert device["summary"]["ready"] == 2
    assert device["exposures"]["web-out"]["address"] == "10.0.0.11"
    assert json_of(run("status", "-o", "json"))["devices"] == body["devices"]
    assert YAML(typ="safe").load(run("status", "-o", "yaml").stdout) == body


def test_the_status_table_names_state_address_ports_service_and_reason(applied: FakeHub) -> None:
    applied.report(
        "d1",
        "edge-expose",
        {**READY, "exposures": {"web-out": {"state": "Blocked", "reason": "PoolExhausted", "message": "none left"}}},
    )
    text = run("status", "d1").stdout
    for word in ("EXTERNAL ADDRESS", "web-out", "Blocked", "8080:80/tcp", "PoolExhausted: none left"):
        assert word in text
    assert "\x1b" not in text


@pytest.mark.parametrize("arguments", [("status",), ("status", "d1")], ids=["all devices", "one device"])
def test_status_says_that_a_device_is_offline_and_that_its_state_is_the_last_known(
    applied: FakeHub, arguments: tuple[str, ...]
) -> None:
    now = datetime.now(UTC).isoformat()
    twin = replace(applied.twins["d1", "edge-expose"], connection_state="Disconnected", last_activity=now)
    applied.twins["d1", "edge-expose"] = twin
    text = run(*arguments).stdout
    for words in ("Device d1, last known", "! Offline: not connected to the hub; last seen", "the device is offline"):
        assert words in text
    applied.twins["d1", "edge-expose"] = replace(twin, connection_state="Connected")
    assert "last known" not in run(*arguments).stdout


def test_status_says_that_the_cluster_cannot_be_read_and_not_that_the_document_was_refused(applied: FakeHub) -> None:
    failed = {"code": 500, "description": "the cluster cannot be read: timed out"}
    applied.report("d1", "edge-expose", {**READY, "lastDesiredStatus": failed, "cluster": {"api": "timed out"}})
    text = run("status").stdout
    assert "! Cluster unreadable: the module cannot access it: timed out" in text
    assert "Device d1, last known" in text
    assert "Refused" not in text


@pytest.mark.parametrize("command", ["status", "export", "support-bundle"])
def test_a_device_that_is_not_there(command: str, hub: FakeHub) -> None:
    result = run(command, "ghost")
    assert result.exit_code == 1
    assert "not registered" in result.output


def test_owners_of_a_twin_that_was_written_directly(applied: FakeHub) -> None:
    body = json_of(run("status", "d1", "--owners", "-o", "json"))
    assert body["deviceId"] == "d1"
    keys = {key["path"]: key for key in body["keys"]}
    assert {"schemaVersion", "exposures.web-out", "exposures.db"} <= keys.keys()
    assert {(key["owner"], key["lasts"]) for key in keys.values()} == {(None, True)}
    assert "until somebody edits it" in run("status", "d1", "--owners").stdout


def test_owners_name_the_deployment_that_sets_a_key_and_whether_a_hand_edit_lasts(hub: FakeHub) -> None:
    set_again = {"web": {"module": "web", "ports": [80]}, "db": {"module": "db", "ports": [5432]}}
    content = {"edge-expose": {f"properties.desired.exposures.{name}": value for name, value in set_again.items()}}
    hub.create_deployment(Deployment("north-1", {"modulesContent": content}, "*", 5))
    hub.target("north-1", "d1")
    by_hand = {"db": {"module": "db", "ports": [1]}, "mine": {"module": "web", "ports": [9]}}
    hub.add_module("d1", "edge-expose", {"schemaVersion": "1.0", "exposures": {**set_again, **by_hand}})
    table = run("status", "d1", "--owners").stdout
    lines = {line.split()[0].removeprefix("exposures."): line for line in table.splitlines() if "exposures." in line}
    assert "deployment north-1" in lines["web"]
    assert "the deployment sets it again" in lines["web"]
    assert "no: the deployment sets another value" in lines["db"]
    assert "until somebody edits it" in lines["mine"]


def test_owners_need_a_device(hub: FakeHub) -> None:
    result = run("status", "--owners")
    assert result.exit_code == 2
    assert "--owners needs a DEVICE" in result.stderr


def test_a_removal_that_the_device_holds_back_is_confirmed_by_a_stronger_word(applied: FakeHub) -> None:
    run_it = ("unexpose", "d1", "--held-back", "--yes")
    nothing = run(*run_it)
    assert nothing.exit_code == 1
    assert "holds no removal back" in nothing.stderr
    report = {**READY, "lastDesiredStatus": HELD_BACK, "pendingRemoval": {"count": 4, "token": "t0ken"}}
    applied.report("d1", "edge-expose", report)
    assert "edge-expose unexpose d1 --held-back" in run("explain", "d1/web-out", "--no-ask").stdout
    refused = run(*run_it)
    assert refused.exit_code == 1
    assert "4 exposures that run now are removed" in refused.stderr
    assert "--allow removals=4" in refused.stderr
    assert run(*run_it, "--allow", "removals=4").exit_code == 0
    twin = applied.module_twin("d1", "edge-expose")
    assert twin is not None
    assert twin.desired["confirmRemoval"] == "t0ken"
    again = run(*run_it)
    assert again.exit_code == 0, "the device has not read it yet"
    assert "no changes" in again.stdout


def test_an_allowed_removal_that_the_device_holds_back_is_confirmed_on_the_way(
    applied: FakeHub, tmp_path: Path
) -> None:
    twin = applied.module_twin("d1", "edge-expose")
    assert twin is not None
    fewer = tmp_path / "fewer.yaml"
    fewer.write_text(SPEC.partition("exposures:")[0])
    held = {**READY, "lastDesiredStatus": HELD_BACK, "pendingRemoval": {"count": 2, "token": "t0ken"}}
    held["lastDesiredVersion"] = twin.desired_version + 1
    applied.report("d1", "edge-expose", held)
    words = ("apply", str(fewer), "--yes", "--wait", "--timeout", "1", "--backup", str(tmp_path / "b"))
    result = run(*words, "--allow", "removals=2", "--allow", "modules=9")
    assert "held 2 removals back; confirmed" in result.stderr
    after = applied.module_twin("d1", "edge-expose")
    assert after is not None
    assert after.desired["confirmRemoval"] == "t0ken"


def test_a_device_whose_manifest_lost_our_module_is_not_shown_as_ready(applied: FakeHub, tmp_path: Path) -> None:
    applied.report("d1", "edge-expose", READY)
    other = tmp_path / "manifest.yaml"
    other.write_text(SPEC.replace("target:", "driver: manifest\ntarget:", 1))
    refused = run("apply", str(other), "--yes", "--backup", str(tmp_path / "b"))
    assert refused.exit_code == 1
    assert "1 module would be removed" in refused.stderr
    assert "edge-expose leaves the device" in refused.stderr
    assert run("apply", str(other), "--yes", "--backup", str(tmp_path / "b"), "--allow", "modules=1").exit_code == 0
    applied.twins["d1", "edge-expose"] = replace(applied.twins["d1", "edge-expose"], connection_state="Disconnected")
    shown = run("status", "d1").stdout
    assert "Ready" not in shown
    assert "nobody keeps them" in shown


def test_a_backup_that_cannot_be_written_is_told_and_nothing_is_sent(applied: FakeHub) -> None:
    result = run("expose", "d1", "api", "--module", "web", "--port", "9000:80", "--backup", "/dev/null/x")
    assert result.exit_code == 1
    assert "/dev/null/x" in result.stderr
    assert "api" not in applied.twins["d1", "edge-expose"].desired["exposures"]


@pytest.mark.parametrize("words", [(), ("web-out", "--held-back")])
def test_unexpose_takes_a_name_or_what_is_held_back(applied: FakeHub, words: tuple[str, ...]) -> None:
    result = run("unexpose", "d1", *words)
    assert result.exit_code == 2
    assert "one of them" in result.stderr


def test_watch_prints_each_change_once(applied: FakeHub) -> None:
    result = run("watch", "d1", "--count", "2", "--interval", "0.5", "-o", "json")
    assert [json.loads(line)["exposure"] for line in result.stdout.splitlines()] == ["db", "web-out"]


def test_expose_and_unexpose(applied: FakeHub, tmp_path: Path) -> None:
    result = run("expose", "d1", "api", "--module", "web", "--port", "9000:80", "--backup", str(tmp_path))
    assert result.exit_code == 0
    assert applied.twins["d1", "edge-expose"].desired["exposures"]["api"] == {"module": "web", "ports": ["9000:80"]}
    bad = run("expose", "d1", "api2", "--module", "web", "--port", "9000:80", "--address", "10.9.9.9")
    assert (bad.exit_code, "AddressOutsideRange" in bad.stderr) == (2, True)
    assert run("unexpose", "d1", "api", "--backup", str(tmp_path)).exit_code == 0
    assert run("unexpose", "d1", "api").exit_code == 1


def test_explain(applied: FakeHub) -> None:
    result = run("explain", "d1/web-out", "-o", "json")
    assert (result.exit_code, json_of(result)["state"]) == (0, "Ready")
    assert run("explain", "nonsense").exit_code == 2


def test_ranges(spec: str, applied: FakeHub) -> None:
    body = json_of(run("ranges", spec, "-o", "json"))
    assert (body["size"], body["needed"], body["reserved"], body["free"]) == (11, 1, 1, 9)
    moved = json_of(run("ranges", "--device", "d1", "--rehearse", "10.0.0.15-10.0.0.20", "-o", "json"))
    assert [move["exposure"] for move in moved["moves"]] == ["web-out"]
    assert run("ranges", spec, "--rehearse", "nonsense").exit_code == 2
    assert run("ranges").exit_code == 2


def test_ranges_has_a_row_for_each_pool_and_a_rehearsal_leaves_the_pools_alone(spec: str, tmp_path: Path) -> None:
    text = Path(spec).read_text(encoding="utf-8")
    text = text.replace(
        "reserved: {edgehub: 10.0.0.10}", "reserved: {edgehub: 10.0.0.10}, pools: {dmz: 10.9.0.1-10.9.0.3}"
    )
    pooled = tmp_path / "pooled.yaml"
    pooled.write_text(
        text + '  inner: {module: web, ports: ["81:80"], pool: dmz, address: 10.9.0.2}\n', encoding="utf-8"
    )
    body = json_of(run("ranges", str(pooled), "--rehearse", "10.0.0.11-10.0.0.19", "-o", "json"))
    assert (body["needed"], body["free"], body["moves"]) == (1, 8, [])
    assert (body["pools"]["dmz"]["needed"], body["pools"]["dmz"]["free"]) == (1, 2)
    table = run("ranges", str(pooled)).stdout
    assert [line.split()[0] for line in table.splitlines() if "10." in line] == ["-", "dmz"]


def test_schema_lists_and_prints(hub: FakeHub) -> None:
    assert "spec" in run("schema").stdout.split()
    assert json_of(run("schema", "spec"))["title"] == "edge-expose spec"
    assert run("schema", "ghost").exit_code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param(("ghost",), id="no such command"),
        pytest.param(("validate",), id="no file"),
        pytest.param(("status", "--output", "xml"), id="no such format"),
        pytest.param(("expose", "d1", "x"), id="no port"),
        pytest.param(("status",), id="no hub"),
        pytest.param(("status", "--auth", "entra"), id="entra without a host"),
        pytest.param(("status", "--auth", "magic"), id="no such sign-in"),
        pytest.param(("status", "--connection-string-file", "/nonexistent"), id="no such connection string file"),
    ],
)
def test_usage_errors_are_2(arguments: tuple[str, ...]) -> None:
    assert run(*arguments).exit_code == 2


def test_allow_must_be_a_kind_and_a_count(spec: str, hub: FakeHub) -> None:
    assert run("apply", spec, "--allow", "everything").exit_code == 2
    assert run("apply", spec, "--allow", "removal=3").exit_code == 2, "a typo is no permission"
    assert hub.calls == []


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "local"])
def test_every_help_text_has_an_example_to_copy(command: str) -> None:
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"Example: edge-expose {command}" in " ".join(result.stdout.split())


def test_a_connection_string_that_cannot_be_read_is_not_repeated() -> None:
    result = run("status", IOTHUB_CONNECTION_STRING="HostName=a;SharedAccessKey=hunter2hunter2")
    assert result.exit_code in (1, 2)
    assert "hunter2" not in result.output


@pytest.mark.parametrize("value", ["nan", "inf", "-1", "90000"])
def test_a_time_that_cannot_be_waited_for_is_wrong_input(value: str) -> None:
    result = run("apply", "spec.yaml", "--wait", "--timeout", value)
    assert result.exit_code == 2
    assert "not a number of seconds" in result.stderr


@pytest.mark.parametrize("value", ["removals=²", "removals", "removals=-1", "all=3"])
def test_an_allowance_that_cannot_be_read_is_wrong_input(value: str) -> None:
    result = run("apply", "spec.yaml", "--allow", value)
    assert result.exit_code == 2
    assert "--allow" in result.stderr


def test_taking_back_all_faults_takes_no_name(tmp_path: Path) -> None:
    result = run("local", "fault", "--clear", "http-hang", "--state", str(tmp_path))
    assert result.exit_code == 2
    assert "leave 'http-hang' out" in result.stderr


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_of_commands_says_what_each_says_itself(name: str) -> None:
    group = typer.main.get_command(app)
    command = group.get_command(click.Context(group), name)
    line = COMMANDS[name][1]
    assert (command.help or "").replace("\n", " ").startswith(line)
    assert f"  {name} " in run("--help").stdout
    assert line.split()[0] in run("--help").stdout
    assert run(name, "--help").exit_code == 0


def test_status_shows_what_the_module_warns_of(applied: FakeHub) -> None:
    applied.report("d1", "edge-expose", {**READY, "warnings": ["two exposures want one hostname"]})
    assert "! two exposures want one hostname" in run("status", "d1").stdout
    assert json_of(run("status", "d1", "-o", "json"))["devices"][0]["warnings"] == ["two exposures want one hostname"]
