"""The import rules of pyproject.toml, and what a module installed alone needs."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PURE = (
    "edge_expose_contract",
    *(
        f"edge_expose_module/{name}"
        for name in ("allocation", "cluster", "desired", "load_balancers", "services", "state", "status")
    ),
)


def run(code: str) -> str:
    path = os.pathsep.join([str(ROOT / "module"), str(ROOT / "cloud")])
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": path, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("package", "barred"),
    [
        ("edge_expose_contract.parsing", ("edge_expose_module", "edge_expose_cloud", "kubernetes", "azure", "yaml")),
        (
            "edge_expose_module.__main__",
            ("edge_expose_cloud", "edge_expose_local", "typer", "rich", "azure.iot.hub", "uamqp"),
        ),
        ("edge_expose_cloud.cli", ("edge_expose_local", "edge_expose_module", "azure", "kubernetes", "fastapi")),
        (
            "edge_expose_local.instance",
            ("edge_expose_contract", "edge_expose_module", "edge_expose_cloud", "kubernetes"),
        ),
    ],
)
def test_importing_a_package_loads_nothing_it_must_not(package: str, barred: tuple[str, ...]) -> None:
    loaded = run(f"import sys, {package}; print('\\n'.join(sys.modules))").split()
    found = [name for name in loaded if any(name == word or name.startswith(word + ".") for word in barred)]
    assert found == []


def test_pure_files_open_and_print_nothing() -> None:
    """Which of them may import what is said in pyproject.toml; the built-in functions need no import."""
    for folder in PURE:
        for file in (ROOT / "module" / folder).rglob("*.py"):
            calls = [node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
            names = {func.id for func in calls if isinstance(func, ast.Name)}
            assert not names & {"open", "print", "input"}, file


def test_third_party_clients_are_imported_in_adapters_only() -> None:
    clients = ("azure.", "kubernetes", "requests", "prometheus_client", "urllib3", "msrest")
    for file in [*(ROOT / "module").rglob("*.py"), *(ROOT / "cloud" / "edge_expose_cloud").rglob("*.py")]:
        if "adapters" in file.parts:
            continue
        for line in file.read_text().splitlines():
            words = line.split()
            if len(words) > 1 and words[0] in ("import", "from"):
                assert not words[1].startswith(clients), f"{file.relative_to(ROOT)}: {line.strip()}"
