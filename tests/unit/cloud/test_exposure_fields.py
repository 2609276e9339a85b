"""The table of exposure fields is held to the model, and every list of fields to the table."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import click
import pytest
import typer
from pydantic_core import PydanticUndefined

from edge_expose_cloud.cli import app
from edge_expose_cloud.docsgen.reference import pages
from edge_expose_cloud.spec.load import load_spec
from edge_expose_contract.fields import FIELD, FIELDS, refusal
from edge_expose_contract.models import Exposure
from edge_expose_contract.parsing import parse_exposure

TEMPLATE = Path(__file__).parents[3] / "cloud/edge_expose_cloud/portal/templates/expose.html"
SPEC = """\
schemaVersion: "1.0"
name: s
target: {device: d1}
driver: manifest
modules: {web: {image: "a/web:1"}}
exposures:
  out: {module: web, ports: ["8080:80"], %s}
"""
# One value that differs from the default, for each field.
VALUES: dict[str, str] = {
    "type": "type: ClusterIP",
    "address": "address: 10.0.0.9",
    "pool": "pool: p",
    "share": "share: k",
    "allowFrom": "allowFrom: [10.1.0.0/16]",
    "sessionAffinity": "sessionAffinity: ClientIP",
    "externalTrafficPolicy": "externalTrafficPolicy: Local",
    "ipFamilyPolicy": "ipFamilyPolicy: SingleStack",
    "ipFamilies": "ipFamilies: [IPv4]",
    "loadBalancerClass": "loadBalancerClass: example.com/lb",
    "hostname": "hostname: web.example.com",
    "annotations": 'annotations: ["example.com/a=b"]',
    "labels": 'labels: ["example.com/a=b"]',
    "namespace": "namespace: shop",
    "expires": 'expires: "2099-01-01T00:00:00Z"',
    "enabled": "enabled: false",
    "probe": "probe: tcp",
    "adopt": "adopt: true",
}


def test_there_is_a_row_for_each_field_of_the_model_and_no_other() -> None:
    model = {info.alias or name: name for name, info in Exposure.model_fields.items()}
    assert {field.name: field.attribute or field.name for field in FIELDS} == model
    for field in FIELDS:
        default = Exposure.model_fields[field.attribute or field.name].default
        assert field.default == (None if default is PydanticUndefined else default), field.name


def test_each_row_has_a_value_to_be_tried_with() -> None:
    assert VALUES.keys() == FIELD.keys() - {"module", "selector", "endpoints", "ports"}


@pytest.mark.parametrize("field", [field for field in FIELDS if field.name in VALUES], ids=lambda field: field.name)
def test_the_manifest_driver_refuses_just_what_the_table_says(field: Any) -> None:
    found = load_spec(SPEC % VALUES[field.name], "s.yaml").findings
    refused = [item.message for item in found if item.rule == "DriverManifestInexpressible"]
    assert refused == ([refusal(field)] if field.manifest else [])


@pytest.mark.parametrize("field", [field for field in FIELDS if field.name in VALUES], ids=lambda field: field.name)
def test_only_a_load_balancer_takes_what_the_table_says(field: Any) -> None:
    from ruamel.yaml import YAML

    value = YAML(typ="safe").load(f"{{{VALUES[field.name]}}}")
    body = {"module": "m", "ports": [80], "type": "ClusterIP", **value}
    _, violations = parse_exposure("x", body)
    assert ("OnlyLoadBalancer" in [item.rule for item in violations]) == field.external_only


def options() -> dict[str, Any]:
    group = typer.main.get_command(app)
    command = group.get_command(click.Context(group), "expose")
    return {name: option for option in command.params for name in (*option.opts, *option.secondary_opts)}


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_expose_has_an_option_for_each_field(field: Any) -> None:
    known = options()
    for name in field.option.split("/"):
        assert known[name].help == field.option_help
        assert known[name].multiple == (field.kind in ("list", "ports"))


@pytest.mark.parametrize("field", [field for field in FIELDS if field.form], ids=lambda field: field.name)
def test_the_form_takes_label_and_hint_from_the_table(field: Any) -> None:
    text = TEMPLATE.read_text()
    assert f"field['{field.name}']" in text
    for words in (field.label, field.hint):
        assert not words or f">{words}<" not in text


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_the_reference_names_each_field_with_its_option(field: Any) -> None:
    row = next(line for line in pages()["exposure-fields.md"].splitlines() if line.startswith(f"| `{field.name}` |"))
    assert field.option.split("/")[0] in row


def test_the_kinds_are_those_of_the_type() -> None:
    from edge_expose_contract import fields

    assert {field.kind for field in FIELDS} == set(get_args(fields.Kind))
