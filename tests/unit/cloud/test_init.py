"""init: every preset is a spec without errors, answers are checked, nothing is overwritten."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner, Result

from edge_expose_cloud.cli import app
from edge_expose_cloud.findings.finding import has_errors
from edge_expose_cloud.spec.load import load_spec
from edge_expose_cloud.spec.presets import PRESETS, Answers, spec_from_preset

RANGES = ["--range", "10.0.0.10-10.0.0.20", "--nodes", "10.0.0.1-10.0.0.2"]


def init(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["init", *arguments])


@pytest.mark.parametrize("address", ["", "10.0.0.12"], ids=["address chosen by the device", "fixed address"])
@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_every_preset_is_a_spec_without_errors(preset: str, address: str) -> None:
    answers = Answers("app", "edge1", "10.0.0.10-10.0.0.20", "10.0.0.1-10.0.0.2", address)
    loaded = load_spec(spec_from_preset(PRESETS[preset], answers), "app.yaml")
    assert loaded.spec is not None
    assert not has_errors(loaded.findings), loaded.findings
    assert all(item.address in (None, address) for item in loaded.spec.exposures.values())
    assert loaded.spec.network is not None
    assert str(loaded.spec.network.external) == "10.0.0.10-10.0.0.20"


@pytest.mark.parametrize("preset", sorted(PRESETS))
def test_without_ranges_the_load_balancer_decides(preset: str) -> None:
    loaded = load_spec(spec_from_preset(PRESETS[preset], Answers("app", "edge1")), "app.yaml")
    assert loaded.spec is not None
    assert loaded.spec.network is None


@pytest.mark.parametrize("device", ["edge1", "1", "on", "a: b", "x#y", "null", '"quoted"', "camera-7.site"])
def test_answers_of_any_form_come_back_as_written(device: str) -> None:
    text = spec_from_preset(PRESETS["web"], Answers("app", device, "fd00::10-fd00::20"))
    data = YAML(typ="safe").load(text)
    assert data["target"]["device"] == device
    assert data["network"]["externalServiceIPs"] == "fd00::10-fd00::20"


def test_the_file_is_written_once(tmp_path: Path) -> None:
    path = tmp_path / "my_app.yaml"
    assert init(str(path), "--preset", "web", "--device", "edge1", *RANGES).exit_code == 0
    before = path.read_text()
    assert "name: my-app" in before
    again = init(str(path), "--preset", "mqtt", "--device", "edge1")
    assert (again.exit_code, path.read_text()) == (2, before)
    assert "is there already" in again.stderr
    assert init(str(path), "--preset", "mqtt", "--device", "edge1", "--force").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--preset", "ftp"], "there is no preset 'ftp'"),
        (["--preset", "web", "--range", "10.0.0.20-10.0.0.10"], "10.0.0.20"),
        (["--preset", "web", *RANGES, "--address", "10.9.9.9"], "outside the external service IPs"),
        (["--preset", "web", *RANGES, "--address", "10.0.0.1"], "node IP"),
    ],
    ids=["unknown preset", "range the wrong way round", "address outside the range", "address of a node"],
)
def test_answers_that_cannot_be_are_refused_and_nothing_is_written(
    tmp_path: Path, arguments: list[str], said: str
) -> None:
    path = tmp_path / "a.yaml"
    result = init(str(path), *arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not path.exists()


def test_on_stdout_there_is_the_spec_and_nothing_else() -> None:
    result = init("-", "--preset", "two-tier", "--device", "edge1", *RANGES)
    assert load_spec(result.stdout, "-").spec is not None


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = init(str(tmp_path / "no" / "a.yaml"), "--preset", "web")
    assert result.exit_code == 2
    assert "cannot be written" in result.stderr
