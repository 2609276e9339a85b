"""What a command loads and reads before it does anything: counts that depend on no machine's speed."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_expose_cloud.spec.text.plain_yaml import HAS_LIBYAML
from support.big_fleet import write_inventory, write_spec
from support.cloud_runs import counted

SPEC = str(Path(__file__).resolve().parents[3] / "deployment-manifests" / "specs" / "two-tier.yaml")

ROWS = [
    pytest.param(
        ("--help",), ("pydantic", "rich", "ruamel", "yaml", "jsonschema", "edge_expose_contract"), 330, id="--help"
    ),
    pytest.param(
        ("validate", "--help"),
        (
            "rich",
            "ruamel",
            "jsonschema",
            "edge_expose_cloud.hub",
            "edge_expose_cloud.spec",
            "edge_expose_cloud.manifest",
        ),
        600,
        id="help of one command",
    ),
    pytest.param(
        ("validate", SPEC),
        (
            *("rich", "ruamel", "jsonschema", "referencing", "cryptography", "azure"),
            *("edge_expose_contract.reported", "edge_expose_cloud.plan.device", "edge_expose_cloud.usecases"),
        ),
        600,
        id="validate",
    ),
]


@pytest.mark.parametrize(("arguments", "barred", "most"), ROWS)
def test_a_command_loads_only_what_it_needs(
    arguments: tuple[str, ...], barred: tuple[str, ...], most: int, tmp_path: Path
) -> None:
    found = counted(str(tmp_path / "counts.json"), *arguments)
    if not HAS_LIBYAML:
        barred = tuple(name for name in barred if name != "ruamel")
    assert [name for name in barred if found.loaded(name)] == []
    assert len(found.modules) <= most


def test_a_fleet_is_planned_from_one_reading_of_each_file(tmp_path: Path) -> None:
    spec, inventory = write_spec(tmp_path / "s.yaml", 7), write_inventory(tmp_path / "f.yaml", 30)
    found = counted(str(tmp_path / "counts.json"), "ranges", str(spec), "--fleet", str(inventory), "--every-device")
    assert found.calls["read_plain_yaml"] == 2
    assert found.calls.get("read_any_yaml", 0) == (0 if HAS_LIBYAML else 2)
    assert found.calls["parse_exposure"] == 7
    assert found.calls["predicted_services"] == 2  # before and after, once for all devices
    assert found.calls["read"] == 30
