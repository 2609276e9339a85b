"""`make mutation`: does some test fail when allocation, moves, planning or what is known of load balancers is changed?

Prints the mutants that survive.

mutmut wants sources under `src/`, so the run happens in a copy laid out that way.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "module" / "edge_expose_module"
CONFIG = """
[project]
name = "mutants"
version = "0"

[tool.pytest.ini_options]
pythonpath = ["src", "tests"]
addopts = "-p no:cacheprovider --hypothesis-profile=ci"
markers = ["local", "testbed", "network"]

[tool.mutmut]
source_paths = ["src"]
only_mutate = [{paths}]
pytest_add_cli_args_test_selection = [
  "tests/unit/module",
  "tests/scenarios",
  # It reads the sources where a checkout has them.
  "--deselect=tests/unit/module/test_values_of_reasons.py::test_most_reasons_are_seen_by_these_tests",
]
also_copy = ["tests"]
"""
FILES = (
    "allocation/allocate.py",
    "allocation/claims.py",
    "allocation/rejected_addresses.py",
    "allocation/address_space.py",
    "services/moves.py",
    "services/plan.py",
    *sorted(f"load_balancers/{file.name}" for file in (PACKAGE / "load_balancers").glob("[!_]*.py")),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--file", choices=FILES, action="append", help="only this file")
    parser.add_argument("--children", type=int, default=2, help="mutants tried side by side")
    parser.add_argument("--show", type=int, default=200, help="how many survivors to show")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="edge-expose-mutation-") as name:
        folder = Path(name)
        for package in ("edge_expose_contract", "edge_expose_module"):
            shutil.copytree(ROOT / "module" / package, folder / "src" / package)
        for part in ("unit/module", "scenarios", "support", "agreements/recorded"):
            shutil.copytree(ROOT / "tests" / part, folder / "tests" / part)
        wanted = arguments.file or FILES
        paths = ", ".join(f'"src/edge_expose_module/{file}"' for file in wanted)
        (folder / "pyproject.toml").write_text(CONFIG.format(paths=paths))
        mutmut = [sys.executable, "-m", "mutmut"]
        done = subprocess.run([*mutmut, "run", "--max-children", str(arguments.children)], cwd=folder, check=False)
        if done.returncode:
            print("the run ended early (see above): nothing was measured")
            return 1
        told = subprocess.run([*mutmut, "results"], cwd=folder, capture_output=True, text=True, check=False)
        results = told.stdout.splitlines()
        survivors = [line.split(":")[0].strip() for line in results if "survived" in line or "no tests" in line]
        for mutant in survivors[: arguments.show]:
            shown = subprocess.run([*mutmut, "show", mutant], cwd=folder, capture_output=True, text=True, check=False)
            print(mutant.rpartition(".")[2])
            print("\n".join(line for line in shown.stdout.splitlines() if _is_change(line)))
        print(f"{len(survivors)} mutants survived in {', '.join(wanted)}")
    return 0


def _is_change(line: str) -> bool:
    return line.startswith(("+", "-")) and not line.startswith(("+++", "---"))


if __name__ == "__main__":
    sys.exit(main())
