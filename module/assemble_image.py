"""Puts what an image needs into one folder, and leaves out what is never imported. Both Dockerfiles run it.

    python3 assemble_image.py FOLDER PACKAGE [PACKAGE...] [--command NAME=MODULE]

`FOLDER` holds the installed requirements already; the packages are copied from the folders beside this file and in
`cloud/`. Standard library only.
"""

from __future__ import annotations

import argparse
import compileall
import shutil
import sys
import tomllib
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
UNUSED = (
    # Of the Kubernetes client we use connections and credentials, no generated API and no model: 99 of its 100 MB.
    "kubernetes/aio",
    "kubernetes/client/api",
    "kubernetes/client/apis",
    "kubernetes/client/models/v*",
    "kubernetes/client/models/[a-u]*",
    "kubernetes/e2e_test",
    # Tests that packages carry along, and scripts of packages, whose first line names the build machine's Python.
    "*/test",
    "*/tests",
    "bin",
)
"""Below the folder. The image's tests run everything without them."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("packages", nargs="+")
    parser.add_argument("--command", help="NAME=MODULE: a command that starts this module")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    for pattern in UNUSED:
        for path in folder.glob(pattern):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for package in arguments.packages:
        source = next(path for side in ("module", "cloud") if (path := CHECKOUT / side / package).is_dir())
        shutil.copytree(source, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    _say_the_version(folder)
    if arguments.command:
        name, _, module = arguments.command.partition("=")
        command = folder / "bin" / name
        command.parent.mkdir()
        start = f"import runpy\n\nrunpy.run_module({module!r}, run_name='__main__', alter_sys=True)\n"
        command.write_text(f"#!/usr/bin/env python3\n{start}")
        command.chmod(0o755)
    # The root file system of a container is read-only: what is compiled now need not be compiled at each start.
    if not compileall.compile_dir(folder, quiet=1, workers=0):
        sys.exit("something does not compile")


def _say_the_version(folder: Path) -> None:
    """What `importlib.metadata` reads: the packages are copied, not installed."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    about = folder / f"edge_expose-{project['version']}.dist-info"
    about.mkdir()
    (about / "METADATA").write_text(f"Metadata-Version: 2.4\nName: edge-expose\nVersion: {project['version']}\n")


if __name__ == "__main__":
    main()
