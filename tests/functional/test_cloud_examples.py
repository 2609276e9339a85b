"""Every example of every help text is run as it stands there, against a whole local instance."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import typer

from edge_expose_cloud.cli import app
from edge_expose_local.instance import Instance
from edge_expose_local.settings import LocalSettings
from support.lots import own

pytestmark = pytest.mark.local
ROOT = Path(__file__).resolve().parents[2]
LOT = own()
# What another test runs, or what a test cannot: command -> why.
ELSEWHERE = {
    "local demo": "make demo ONCE=1 runs it; it uses the default addresses",
    "portal": "it serves until Ctrl-C; the browser tests run it",
}
# In the order in which a person might type them: (beginning of the example, exit code). The rest runs in between.
FIRST = ["validate", "init", "local up", "local env", "local status", "plan", "apply"]
LAST = ["unexpose", "local pod delete", "local fault", "local pool set", "local down"]
EXPECTED = {"plan": 3}
# A command that goes on until Ctrl-C is told to stop.
ADDED = {"watch": " --count 1"}


def examples() -> dict[str, str]:
    """Command (`local pod run`) -> its example."""
    found: dict[str, str] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        names = command.list_commands(click.Context(command)) if hasattr(command, "list_commands") else []
        for name in names:
            walk(command.get_command(click.Context(command), name), (*path, name))
        text = " ".join((command.help or "").split())
        example = re.search(r"Example: (.*)$", text)
        if example and not names:
            found[" ".join(path)] = example[1]
        elif not names:
            raise AssertionError(f"{' '.join(path)} has no example")

    walk(typer.main.get_command(app), ())
    return found


def elsewhere(command: str) -> bool:
    return any(command == name or command.startswith(f"{name} ") for name in ELSEWHERE)


def in_order(commands: list[str]) -> list[str]:
    middle = [name for name in commands if name not in FIRST and name not in LAST]
    return [*FIRST, *middle, *LAST]


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder with the files that the examples name, `edge-expose` on the PATH, and addresses of this test's own."""
    folder = tmp_path_factory.mktemp("examples")
    spec = (
        (ROOT / "deployment-manifests" / "specs" / "two-tier.yaml").read_text().replace("127.77.", f"127.{LOT.block}.")
    )
    (folder / "two-tier.yaml").write_text(spec)
    shutil.copy(ROOT / "deployment-manifests" / "rendered" / "two-tier.json", folder / "deployment.json")
    tool = folder / "bin" / "edge-expose"
    tool.parent.mkdir()
    tool.write_text(f'#!/bin/sh\nexec {sys.executable} -m edge_expose_cloud "$@"\n')
    tool.chmod(0o755)
    state = folder / "xdg" / "edge-expose"
    instance = Instance(state)
    instance.prepare(LocalSettings(pool=LOT.pool, service_cidr=LOT.service_cidr))
    environment = {
        "PATH": f"{tool.parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": f"{ROOT / 'module'}{os.pathsep}{ROOT / 'cloud'}",
        "XDG_STATE_HOME": str(folder / "xdg"),
        "HOME": str(folder),
    }
    yield folder, environment
    if instance.running:
        instance.down(wipe=True)


def test_every_example_runs_as_it_stands(shell: tuple[Path, dict[str, str]]) -> None:
    folder, environment = shell
    known = {name: text for name, text in examples().items() if not elsewhere(name)}
    assert set(FIRST) | set(LAST) <= set(known)
    for command in in_order(list(known)):
        line = known[command] + ADDED.get(command, "")
        # What `local env` prints is taken over, as its example does.
        needs_hub = "local env" if not command.startswith("local") else ""
        script = f'eval "$(edge-expose local env)"\n{line}' if needs_hub and running(command) else line
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == EXPECTED.get(command, 0), f"{line}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        assert not any(line != line.rstrip() for line in done.stdout.splitlines()), "blanks at the end of a line"
        if command == "apply":
            assert f"web: http://{LOT.base}.15:8080" in done.stdout.splitlines()
            again = f'eval "$(edge-expose local env)"; {known["plan"]}'
            nothing = subprocess.run(
                ["bash", "-c", again], cwd=folder, env=environment, capture_output=True, check=False
            )
            assert nothing.returncode == 0, f"a plan after apply has changes: {nothing.stdout!r}"
    assert (folder / "app.yaml").is_file()
    assert "exposures" in (folder / "edge1.yaml").read_text()
    left = {file.name for file in (folder / "xdg" / "edge-expose").iterdir()}
    assert "backups" in left, "local down --wipe takes no backup along"
    assert not left & {"hub", "cluster", "runtime", "local.json", "supervisor.log"}, "local down --wipe"


def running(command: str) -> bool:
    return command not in ("validate", "init")
