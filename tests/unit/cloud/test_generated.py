"""Committed files that are generated are the ones the code generates now."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from edge_expose_cloud.docsgen.reference import pages
from edge_expose_cloud.docsgen.samples import rendered
from edge_expose_cloud.findings.finding import RULES
from edge_expose_cloud.manifest.all_schemas import all_schemas
from edge_expose_contract.schema import schema_text

ROOT = Path(__file__).resolve().parents[3]

RENEW = "run: python -m edge_expose_cloud.docsgen."


@pytest.mark.parametrize("name", sorted(all_schemas()))
def test_schema_is_current(name: str) -> None:
    path = ROOT / "deployment-manifests" / "schemas" / name
    assert path.read_text(encoding="utf-8") == schema_text(all_schemas()[name]), (
        "run: python -m edge_expose_cloud.docsgen.schemas --write"
    )


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_page_is_current(name: str) -> None:
    path = ROOT / "docs" / "reference" / name
    assert path.read_text(encoding="utf-8") == pages()[name], (
        "run: python -m edge_expose_cloud.docsgen.reference --write"
    )


def test_every_sample_has_its_rendered_manifest() -> None:
    folder = ROOT / "deployment-manifests" / "rendered"
    now = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert now == rendered(ROOT / "deployment-manifests" / "specs"), (
        "run: python -m edge_expose_cloud.docsgen.samples --write"
    )


def test_every_rule_of_the_contract_stands_in_the_table() -> None:
    raised = set()
    for path in (ROOT / "module" / "edge_expose_contract").glob("*.py"):
        raised |= set(re.findall(r'RuleError\(\s*"([A-Za-z]+)"', path.read_text(encoding="utf-8")))
    assert raised - set(RULES) == set()


def test_every_rule_the_code_names_stands_in_the_table() -> None:
    named = set()
    for path in (ROOT / "cloud" / "edge_expose_cloud").rglob("*.py"):
        named |= set(re.findall(r'\bfinding\(\s*"([A-Za-z]+)"', path.read_text(encoding="utf-8")))
    assert named - set(RULES) == set()
    assert len(named) > 50


def documents() -> list[tuple[str, str, object]]:
    """Schema, what it is, and a document that people write by it."""
    yaml = YAML(typ="safe")
    manifests = ROOT / "deployment-manifests"
    found = [("spec.schema.json", path.name, yaml.load(path)) for path in sorted((manifests / "specs").glob("*.yaml"))]
    found.append(("fleet.schema.json", "fleet.yaml", yaml.load(manifests / "fleet.yaml")))
    for page in ("docs/fixed-address.md", "README.md"):
        for block in re.findall(r"```json\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.S):
            if "HostConfig" not in block:
                found.append(("module-desired.schema.json", page, json.loads(block)))
    site = {"externalServiceIPs": "10.0.0.1-10.0.0.9", "nodeIPs": ["10.0.1.1/32"], "pools": {"dmz": "10.0.0.1/32"}}
    desired = {"schemaVersion": "1.0", "site": site, "exposures": {"web": {"module": "web", "ports": ["8080:80", 81]}}}
    found.append(("module-desired.schema.json", "every form of a range", desired))
    return found


@pytest.mark.parametrize(("schema", "what", "document"), documents(), ids=lambda value: str(value)[:40])
def test_what_people_write_is_valid_by_the_schema_that_editors_use(schema: str, what: str, document: object) -> None:
    text = (ROOT / "deployment-manifests" / "schemas" / schema).read_text(encoding="utf-8")
    # Its import builds grammars for a second: not in every process that collects tests.
    from jsonschema import Draft202012Validator

    Draft202012Validator(json.loads(text)).validate(document)


@pytest.mark.parametrize("page", ["spec.md", "fleet.md", "contract.md"])
def test_every_field_that_people_write_has_a_meaning(page: str) -> None:
    written, _, _ = pages()[page].partition("# Reported properties")
    assert [line for line in written.splitlines() if line.endswith("|  |")] == []
