"""Wheel and source distribution, installed clean into every Python here, from packages that `make images` fetched.

Each extra does its work alone, and a command whose extra is missing says so.
"""

from __future__ import annotations

import json
import re
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

from support import packages
from support.cluster import ROOT

#: what each extra starts: command, exit code, words
STARTS = {
    "module": (["edge-expose-module"], 2, "no KUBECONFIG is set"),
    "cloud": (["edge-expose", "validate", str(ROOT / "deployment-manifests/specs/two-tier.yaml")], 0, ""),
    "portal": (["edge-expose", "portal"], 2, "IOTHUB_CONNECTION_STRING"),
    "cloud,local": (["edge-expose", "local", "status"], 1, "edge-expose local up"),
}
LACKS = {
    "module": (["edge-expose", "plan", "x.yaml"], "without its extra `cloud`"),
    "cloud": (["edge-expose", "portal"], "without its extra `portal`"),
    "portal": (["edge-expose", "local", "up"], "without its extra `local`"),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not packages.fetched():
        pytest.skip("the packages of the extras are not fetched: make images")
    folder = tmp_path_factory.mktemp("dist")
    packages.build(folder)
    return folder


def test_the_wheel_carries_packages_with_their_data_and_nothing_else(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    packages = {"edge_expose_contract", "edge_expose_module", "edge_expose_cloud", "edge_expose_local"}
    assert tops == {*packages, "edge_expose-1.0.0.dist-info"}
    for suffix in (".html", ".css", ".js", ".svg"):
        assert any(name.startswith("edge_expose_cloud/portal/") and name.endswith(suffix) for name in names), suffix
    shipped = {
        str(path.relative_to(ROOT / side)) for side in ("module", "cloud") for path in (ROOT / side).rglob("*.py")
    }
    assert {name for name in names if name.endswith(".py")} == {
        name for name in shipped if name.split("/")[0] in packages
    }


def test_the_source_distribution_holds_what_the_checkout_holds(built: Path) -> None:
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as members:
        names = {name.split("/", 1)[1] for name in members.getnames() if "/" in name}
    for needed in ("pyproject.toml", "README.md", "LICENSE", "Makefile", "module/Dockerfile", "tests/conftest.py"):
        assert needed in names


@pytest.mark.parametrize(
    "python", packages.pythons(), ids=lambda path: "-".join(re.findall(r"3\.\d+\.\d+", path)) or "this"
)
@pytest.mark.parametrize("extra", STARTS)
def test_each_extra_installs_clean_and_starts(built: Path, tmp_path: Path, extra: str, python: str) -> None:
    (file,) = built.glob("*.tar.gz" if extra == "module" else "*.whl")
    packages.install(tmp_path / "venv", python, f"{file}[{extra}]")
    command, code, words = STARTS[extra]
    done = packages.run(str(tmp_path / "venv/bin" / command[0]), *command[1:], state=str(tmp_path / "state"))
    assert done.returncode == code, done.stdout + done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    if extra in LACKS:
        command, words = LACKS[extra]
        done = packages.run(str(tmp_path / "venv/bin" / command[0]), *command[1:], state=str(tmp_path / "state"))
        assert done.returncode == 1
        assert words in done.stderr
        assert "Traceback" not in done.stderr


@pytest.mark.parametrize("file", ["module/requirements.txt", "cloud/requirements.txt"])
def test_the_bill_of_materials_names_each_locked_package(file: str, tmp_path: Path) -> None:
    tool = Path(sys.executable).parent / "cyclonedx-py"
    out = tmp_path / "bom.json"
    done = packages.run(str(tool), "requirements", str(ROOT / file), "--output-file", str(out))
    assert done.returncode == 0, done.stderr
    found = {item["name"]: item["version"] for item in json.loads(out.read_text())["components"]}
    assert found == dict(re.findall(r"(?m)^([a-z0-9.-]+)==([^ ;\\]+)", (ROOT / file).read_text()))
