"""Export and import on the command line: files come back as they were."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.cli import app
from edge_expose_cloud.iotedge.create_options import read_create_options
from edge_expose_cloud.manifest.render import render
from edge_expose_cloud.plan.deployment import deployment_id
from support.cli import json_of, run
from support.cloud import SPEC, applied_hub, spec_of_text, use_hub
from support.fake_hub import FakeHub


def test_export_gives_a_spec_that_plans_to_nothing(applied: FakeHub, tmp_path: Path) -> None:
    path = tmp_path / "out.yaml"
    path.write_text(run("export", "d1").stdout)
    result = run("plan", str(path))
    assert (result.exit_code, "no changes" in result.stdout) == (0, True), result.output


def respelled(hub: FakeHub, device: str, spell: Callable[[dict[str, Any]], str]) -> None:
    """createOptions of a device's modules in another spelling."""
    twin = hub.twins[device, "$edgeAgent"]
    desired = copy.deepcopy(twin.desired)
    for entry in (*desired["modules"].values(), *desired["systemModules"].values()):
        entry["settings"]["createOptions"] = spell(read_create_options(entry["settings"]))
    hub.twins[device, "$edgeAgent"] = replace(twin, desired=desired)


@pytest.mark.parametrize(
    "spell",
    [
        pytest.param(lambda options: json.dumps(options, indent=3), id="with blanks"),
        pytest.param(
            lambda options: json.dumps(dict(reversed(options.items())), sort_keys=False), id="in another order"
        ),
        pytest.param(lambda options: json.dumps(options) if options else "", id="none where there are none"),
    ],
)
def test_export_plans_to_nothing_however_options_are_spelled(
    applied: FakeHub, tmp_path: Path, spell: Callable[[dict[str, Any]], str]
) -> None:
    respelled(applied, "d1", spell)
    path = tmp_path / "out.yaml"
    path.write_text(run("export", "d1").stdout)
    result = run("plan", str(path))
    assert (result.exit_code, "no changes" in result.stdout) == (0, True), result.output


def test_a_device_keeps_its_routes_when_a_manifest_does_not_name_them(applied: FakeHub, tmp_path: Path) -> None:
    manifest = render(spec_of_text())
    del manifest["modulesContent"]["$edgeHub"]
    routes = {"up": "FROM /messages/* INTO $upstream"}
    twin = applied.twins["d1", "$edgeHub"]
    applied.twins["d1", "$edgeHub"] = replace(twin, desired={**twin.desired, "routes": routes})
    (tmp_path / "m.json").write_text(json.dumps(manifest))
    (tmp_path / "s.yaml").write_text(run("import", str(tmp_path / "m.json"), "--device", "d1").stdout)
    result = run("plan", str(tmp_path / "s.yaml"))
    assert (result.exit_code, "no changes" in result.stdout) == (0, True), result.output
    (tmp_path / "s.yaml").write_text((tmp_path / "s.yaml").read_text().replace("a/web:1", "a/web:2"))
    assert run("apply", str(tmp_path / "s.yaml"), "--yes", "--backup", str(tmp_path)).exit_code == 0
    assert applied.twins["d1", "$edgeHub"].desired["routes"] == routes
    assert applied.twins["d1", "$edgeAgent"].desired["modules"]["web"]["settings"]["image"] == "a/web:2"


def test_a_twin_of_another_module_may_hold_text_called_create_options() -> None:
    text = SPEC.replace('{image: "a/web:1"}', '{image: "a/web:1", desired: {settings: {createOptions: "{ }"}}}')
    use_hub(applied_hub(text))
    assert "no changes" in run("plan", "-", stdin=text).stdout


def test_the_id_of_a_deployment_fits_whatever_its_name() -> None:
    assert len(deployment_id("n" * 128, {}, [])) <= 128
    assert deployment_id("n" * 100, {}, []).startswith("n" * 100 + "-")


@pytest.mark.parametrize("command", ["validate", "import", "render"])
def test_a_file_in_utf_16_is_named_as_such(command: str, tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text(json.dumps(render(spec_of_text())), encoding="utf-16")
    result = run(command, str(path))
    assert result.exit_code == 2
    assert "is UTF-16 text, not UTF-8" in result.output
    piped = CliRunner().invoke(app, [command, "-"], input=path.read_bytes())
    assert (piped.exit_code, "stdin is UTF-16 text" in piped.output) == (2, True)


WITH_VALUES = (
    SPEC.replace(
        '{image: "a/web:1"}',
        '{image: "a/web:1", env: {TOKEN: s3cret-1}, desired: {key: s3cret-2}, '
        "createOptions: {Cmd: [--key, s3cret-3], Labels: {note: s3cret-4}, Env: [TOKEN=s3cret-5, PLAIN]}}",
    ).replace('{image: "a/db:1"}', '{image: "a/db:1", env: {TOKEN: s3cret-6}}')
    + "keep: {cam: {password: s3cret-7}}\n"
)


def test_export_says_where_it_prints_values_as_they_are() -> None:
    use_hub(applied_hub(WITH_VALUES))
    result = run("export", "d1")
    assert all(f"s3cret-{number}" in result.stdout for number in range(1, 8))
    assert "s3cret" not in result.stderr
    told = [line for line in result.stderr.splitlines() if "ExportedValues" in line]
    assert told == [
        "! warning modules.database: printed as they are: env [ExportedValues]",
        "! warning modules.web: printed as they are: env, desired, createOptions.Cmd, createOptions.Env, "
        "createOptions.Labels [ExportedValues]",
        "! warning keep: printed as they are: cam [ExportedValues]",
    ]
    assert "--hide-values" in result.stderr


def test_export_with_hidden_values_can_be_applied_when_the_variables_are_set(tmp_path: Path) -> None:
    hub = applied_hub(WITH_VALUES)
    use_hub(hub)
    result = run("export", "d1", "--hide-values")
    assert "s3cret" not in result.output
    values = {
        "database_TOKEN": "s3cret-6",
        "web_TOKEN": "s3cret-1",
        "web_Env_1_TOKEN": "s3cret-5",
        "keep_cam_password": "s3cret-7",
    }
    values |= {"web_Cmd_1": "--key", "web_Cmd_2": "s3cret-3", "web_Env_2": "PLAIN", "web_Labels_note": "s3cret-4"}
    path = tmp_path / "out.yaml"
    path.write_text(result.stdout)
    planned = run("plan", str(path), **values)
    assert (planned.exit_code, "no changes" in planned.stdout) == (0, True), result.stdout + planned.output


def test_import_gives_a_spec_that_renders_to_the_same_manifest(tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    manifest.write_text(json.dumps(render(spec_of_text())))
    path = tmp_path / "s.yaml"
    path.write_text(run("import", str(manifest), "--device", "d1").stdout)
    result = run("render", str(path))
    assert json_of(result) == render(spec_of_text())


def test_import_takes_no_password_into_the_spec(tmp_path: Path) -> None:
    document = render(
        spec_of_text(SPEC + 'registries: {my-reg: {address: r.example.com, username: u, password: "${env:X}"}}\n')
    )
    credentials = document["modulesContent"]["$edgeAgent"]["properties.desired"]["runtime"]["settings"][
        "registryCredentials"
    ]
    credentials["my-reg"]["password"] = "hunter2"
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    result = run("import", str(path))
    assert "hunter2" not in result.output
    assert "${env:MY_REG_PASSWORD}" in result.stdout


def test_import_with_hidden_values_prints_none_and_renders_to_the_same_once_they_are_set(tmp_path: Path) -> None:
    manifest = tmp_path / "m.json"
    text = SPEC.replace(
        'web: {image: "a/web:1"}',
        'web: {image: "a/web:1", env: {KEY: s3cret}, desired: {token: t0ken}, createOptions: {Cmd: ["--pw=hunter2"]}}',
    )
    manifest.write_text(json.dumps(render(spec_of_text(text))))
    hidden = run("import", str(manifest), "--hide-values")
    assert hidden.exit_code == 0, hidden.stderr
    printed = hidden.stdout + hidden.stderr
    assert not [word for word in ("s3cret", "t0ken", "hunter2") if word in printed]
    assert "ExportedValues" in hidden.stderr
    names = set(re.findall(r"\$\{env:([A-Za-z0-9_]+)\}", hidden.stdout))
    values = {"web_KEY": "s3cret", "web_token": "t0ken", "web_Cmd_1": "--pw=hunter2"}
    assert names == set(values)
    spec = tmp_path / "spec.yaml"
    spec.write_text(hidden.stdout)
    rendered = run("render", str(spec), "--with-secrets", **values)
    assert json.loads(rendered.stdout) == json.loads(manifest.read_text()), rendered.stderr
