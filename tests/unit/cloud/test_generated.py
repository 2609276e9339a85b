"""Committed files that are generated are the ones the code generates now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edge_expose_cloud.findings import RULES
from edge_expose_cloud.goldens import rendered
from edge_expose_cloud.reference import pages
from edge_expose_cloud.schemas import cloud_schemas
from edge_expose_contract.schema import schema_text

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", sorted(cloud_schemas()))
def test_schema_is_current(name: str) -> None:
    path = ROOT / "deployment-manifests" / "schemas" / name
    assert path.read_text(encoding="utf-8") == schema_text(cloud_schemas()[name]), (
        "run: python -m edge_expose_cloud.schemas --write"
    )


@pytest.mark.parametrize("name", sorted(pages()))
def test_reference_page_is_current(name: str) -> None:
    path = ROOT / "docs" / "reference" / name
    assert path.read_text(encoding="utf-8") == pages()[name], "run: python -m edge_expose_cloud.reference --write"


def test_every_sample_has_its_rendered_manifest() -> None:
    folder = ROOT / "deployment-manifests" / "rendered"
    now = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert now == rendered(ROOT / "deployment-manifests" / "specs"), "run: python -m edge_expose_cloud.goldens --write"


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
