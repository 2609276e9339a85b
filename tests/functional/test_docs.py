"""The commands of the guides, run as they stand there: each `sh` block of a page, from top to bottom, in one shell."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_expose_local.instance import Instance
from support.testbed_binaries import kubectl

pytestmark = pytest.mark.local
ROOT = Path(__file__).resolve().parents[2]
# A command may end with `# exit N`; it then ends with N, else with 0.
_EXIT = re.compile(r"# exit (\d)\b")


def blocks(page: Path) -> Iterator[str]:
    yield from re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.M | re.S)


def commands(block: str) -> Iterator[str]:
    """Each with its here-document and its continued lines."""
    lines = iter(block.splitlines())
    for line in lines:
        command = [line]
        if here := re.search(r"<<'(\w+)'", line):
            for more in lines:
                command.append(more)
                if more == here[1]:
                    break
        while command[-1].endswith("\\"):
            command.append(next(lines))
        if line.strip():
            yield "\n".join(command)


def script(page: Path) -> str:
    parts = []
    for command in (command for block in blocks(page) for command in commands(block)):
        wanted = found[1] if (found := _EXIT.search(command)) else "0"
        shown = command.splitlines()[0].replace("'", "'\\''")
        parts.append(
            f"printf '$ %s\\n' '{shown}'\n{command}\ncode=$?\n"
            f'[ $code = {wanted} ] || {{ echo "exit $code, not {wanted}"; exit 99; }}\n'
        )
    assert parts, f"{page} has no command"
    return "".join(parts)


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder that looks like a checkout, and a state folder of its own."""
    program = kubectl()
    if program is None:
        pytest.skip("the guide uses kubectl: put it on the PATH, or run `make testbed`")
    (tmp_path / "deployment-manifests").symlink_to(ROOT / "deployment-manifests")
    tools = tmp_path / ".venv" / "bin"
    tools.mkdir(parents=True)
    (tools / "activate").write_text(f'PATH="{tools}:$PATH"\n')
    for name, words in {"edge-expose": "-m edge_expose_cloud ", "python": ""}.items():
        (tools / name).write_text(f'#!/bin/sh\nexec {sys.executable} {words}"$@"\n')
        (tools / name).chmod(0o755)
    (tools / "kubectl").symlink_to(shutil.which(str(program)) or program)
    environment = {
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'module'}{os.pathsep}{ROOT / 'cloud'}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "HOME": str(tmp_path),
        "COLUMNS": "160",
    }
    yield tmp_path, environment
    instance = Instance(tmp_path / "state" / "edge-expose")
    if instance.running:
        instance.down(wipe=True)


#: What every how-to page takes for granted: a device with an app and a database on it.
READY = """\
edge-expose local up --detach
eval "$(edge-expose local env)"
edge-expose apply deployment-manifests/specs/two-tier.yaml --yes --wait
"""


def ends_well(commands_of: str, shell: tuple[Path, dict[str, str]]) -> None:
    folder, environment = shell
    done = subprocess.run(
        ["bash", "-c", commands_of],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-6000:]
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize("page", ["tutorial", "guide/local", "guide/cloud"])
def test_a_guide_runs_as_it_stands(page: str, shell: tuple[Path, dict[str, str]]) -> None:
    ends_well(script(ROOT / "docs" / f"{page}.md"), shell)


def test_the_how_to_pages_run_as_they_stand(shell: tuple[Path, dict[str, str]]) -> None:
    """One after the other on one device: a page leaves nothing behind that another one stumbles over."""
    pages = sorted((ROOT / "docs" / "how-to").glob("*.md"))
    ends_well(f"set -e\n{READY}set +e\n" + "".join(f"echo {page.name}\n{script(page)}" for page in pages), shell)
