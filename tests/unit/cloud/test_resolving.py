"""Secrets that are filled in: checked like everything else, and named without their value."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.cli import app
from edge_expose_cloud.findings.problems import InputError
from edge_expose_cloud.iotedge.create_options import read_create_options
from edge_expose_cloud.manifest.encoding import Content
from edge_expose_cloud.manifest.render import render_content
from edge_expose_cloud.usecases.secrets import secrets_for
from support.cloud import spec_of_text, use_hub
from support.fake_hub import FakeHub

SPEC = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
registries: {acme: {address: "${env:REG}", username: u, password: "${env:PW}"}}
modules:
  web:
    image: "a/web:1"
    env: {BIG: "${env:BIG}"}
    createOptions: {Env: ["KEY=${env:KEY}"]}
exposures:
  out: {module: web, ports: ["8080:80"]}
"""
GOOD = {"REG": "r.example.com", "PW": "hunter2", "BIG": "b", "KEY": "k"}
BAD = pytest.mark.parametrize(
    ("name", "value", "path"),
    [
        pytest.param("REG", " ", "registries.acme.address", id="a blank address"),
        pytest.param("KEY", "s3cr3t" * 10_000, "modules.web.createOptions", id="createOptions that are too long"),
        pytest.param("BIG", "s3cr3t" * 1_000, "modules.web.env.BIG", id="a text that no twin takes"),
    ],
)


def test_values_that_fit_are_filled_in() -> None:
    spec = spec_of_text(SPEC)
    content = Content(render_content(spec, {}), secrets_for(spec, GOOD))
    agent = content.sent()["$edgeAgent"]["properties.desired"]
    assert agent["runtime"]["settings"]["registryCredentials"]["acme"]["password"] == "hunter2"
    assert read_create_options(agent["modules"]["web"]["settings"]) == {"Env": ["KEY=k"]}
    for text in (repr(content), repr(content.secrets), str(content.planned)):
        assert "hunter2" not in text


@BAD
def test_a_value_that_breaks_a_rule_is_told_by_its_place_and_name(name: str, value: str, path: str) -> None:
    with pytest.raises(InputError) as raised:
        secrets_for(spec_of_text(SPEC), {**GOOD, name: value})
    (found, *more) = raised.value.findings
    assert path in found.path
    assert f"${{env:{name}}} is filled in" in found.message
    said = "".join(f"{item.path} {item.message} {item.hint}" for item in [found, *more])
    assert "s3cr3t" not in said
    assert "hunter2" not in said


@BAD
def test_the_command_answers_2_and_shows_no_value(
    name: str, value: str, path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub = FakeHub()
    hub.add_device("d1")
    file = tmp_path / "s.yaml"
    file.write_text(SPEC)
    for key, item in {**GOOD, name: value}.items():
        monkeypatch.setenv(key, item)
    use_hub(hub)
    try:
        result = CliRunner().invoke(app, ["plan", str(file)])
    finally:
        use_hub(None)
    assert result.exit_code == 2, result.output
    assert f"${{env:{name}}}" in result.output
    assert "s3cr3t" not in result.output
    assert "s3cr3t" not in repr(result.exception)


def test_a_secret_that_is_set_to_nothing_is_as_good_as_missing() -> None:
    with pytest.raises(InputError) as wrong:
        secrets_for(spec_of_text(SPEC), {**GOOD, "REG": ""})
    assert [(item.rule, "is empty" in item.message) for item in wrong.value.findings] == [("SecretMissing", True)]
