"""What a release consists of says one version, and its lock files hold what pyproject.toml asks for."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from support.cluster import ROOT

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
#: extra -> lock files, the first of which holds what the extra names
LOCKS = {"module": "module/requirements.txt", "portal": "cloud/requirements.txt"}


def test_chart_and_package_have_one_version() -> None:
    chart = yaml.safe_load((ROOT / "deployment-manifests/kubernetes/helm/edge-expose/Chart.yaml").read_text())
    assert chart["version"] == chart["appVersion"] == PROJECT["version"]


def test_pipelines_install_this_version() -> None:
    for file in (ROOT / "deployment-manifests" / "ci").iterdir():
        assert set(re.findall(r"edge-expose\[cloud\]==([0-9.]+)", file.read_text())) == {PROJECT["version"]}


@pytest.mark.parametrize("extra", LOCKS)
def test_the_lock_file_has_what_the_extra_asks_for_and_a_hash_of_each(extra: str) -> None:
    """Renew it by `make lock`."""
    text = (ROOT / LOCKS[extra]).read_text()
    entries = re.findall(
        r"(?m)^([A-Za-z0-9_.-]+)==([^ ;\\]+)[^\n]*\\\n((?:    --hash=sha256:[0-9a-f]{64}[ \\]*\n)+)", text
    )
    pins = {canonicalize_name(name): Version(version) for name, version, _ in entries}
    assert len(pins) == len(re.findall(r"(?m)^\S+==", text)), "a package without a hash"
    for requirement in wanted(extra):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, requirement


def wanted(extra: str) -> list[Requirement]:
    found = [Requirement(text) for text in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"][extra]]]
    own = [requirement for requirement in found if requirement.name == PROJECT["name"]]
    return [r for r in found if r not in own] + [r for o in own for name in o.extras for r in wanted(name)]


@pytest.mark.parametrize("file", sorted((ROOT / "deployment-manifests").glob("specs/*.yaml")), ids=lambda f: f.stem)
def test_an_editor_finds_the_schema_of_a_spec_and_agrees_with_it(file: Path) -> None:
    """The first line is what the YAML language server reads (VS Code and others)."""
    found = re.match(r"# yaml-language-server: \$schema=(\S+)\n", file.read_text())
    assert found is not None
    schema = json.loads((file.parent / found[1]).read_text())
    # Its import builds grammars for a second: not in every process that collects tests.
    import jsonschema

    jsonschema.validate(yaml.safe_load(file.read_text()), schema)
