"""Which image the module gets that is added to a manifest: the spec's, else the operator's environment, else the name
that local mode knows."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from edge_expose_cloud.cli import app


def rendered(tmp_path, image: str = "", **more) -> str:
    spec = {"schemaVersion": "1.0", "name": "s", "target": {"device": "edge1"}, "modules": {"app": {"image": "a:1"}}}
    file = tmp_path / "s.yaml"
    file.write_text(json.dumps({**spec, "exposures": {"web": {"module": "app", "ports": ["80"]}}, **more}))
    done = CliRunner().invoke(app, ["render", str(file)], env={"EDGE_EXPOSE_MODULE_IMAGE": image})
    assert done.exit_code == 0, done.output
    agent = json.loads(done.stdout)["modulesContent"]["$edgeAgent"]
    return str(agent["properties.desired"]["modules"]["edge-expose"]["settings"]["image"])


@pytest.mark.parametrize(
    ("environment", "spec", "image"),
    [
        ("", {}, "edge-expose/module:1"),
        ("acme.example.com/m:2", {}, "acme.example.com/m:2"),
        ("", {"driverImage": "acme.example.com/m:3"}, "acme.example.com/m:3"),
        ("acme.example.com/m:2", {"driverImage": "acme.example.com/m:3"}, "acme.example.com/m:3"),
        (
            "acme.example.com/m:2",
            {"modules": {"app": {"image": "a:1"}, "edge-expose": {"image": "acme.example.com/m:4"}}},
            "acme.example.com/m:4",
        ),
    ],
)
def test_whose_word_counts(tmp_path, environment, spec, image) -> None:
    assert rendered(tmp_path, environment, **spec) == image


def test_an_image_that_is_none_is_refused_with_its_place(tmp_path) -> None:
    file = tmp_path / "s.yaml"
    file.write_text('schemaVersion: "1.0"\nname: s\ntarget: {device: edge1}\ndriverImage: "not an image"\n')
    done = CliRunner().invoke(app, ["validate", str(file)])
    assert done.exit_code == 2
    assert "s.yaml:4" in done.output
    assert "driverImage" in done.output
