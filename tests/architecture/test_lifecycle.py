"""The page about running it knows every alert, and names files and rules as they are."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "operations" / "lifecycle.md").read_text(encoding="utf-8")
TROUBLE = (ROOT / "docs" / "operations" / "troubleshooting.md").read_text(encoding="utf-8")


def anchor(heading: str) -> str:
    return re.sub(r"[^a-z0-9 -]", "", heading.lower()).replace(" ", "-")


def test_each_alert_has_a_row_and_no_other() -> None:
    rules = yaml.safe_load((ROOT / "deployment-manifests" / "monitoring" / "alerts.yaml").read_text())
    alerts = {rule["alert"] for group in rules["groups"] for rule in group["rules"] if "alert" in rule}
    assert set(re.findall(r"^\| `(EdgeExpose\w+)` \|", TEXT, re.M)) == alerts


def test_an_alert_leads_to_a_symptom_that_is_there() -> None:
    anchors = {anchor(heading) for heading in re.findall(r"^#+ (.*)$", TROUBLE, re.M)}
    named = re.findall(r"troubleshooting\.md#([a-z0-9-]+)", TEXT)
    assert len(named) > 5
    assert [name for name in named if name not in anchors] == []


def test_files_that_are_to_be_backed_up_are_those_that_are_written() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "cloud" / "edge_expose_cloud").rglob("*.py"))
    for name in ("portal-users.json", "portal-audit.jsonl"):
        assert f'"{name}"' in source
        assert f"`{name}`" in TEXT
