"""Wheel and source distribution, and environments they are installed into, by uv.

What they depend on is fetched once, by `make images`, into a cache of our own; tests then work without any network.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from support.cluster import ROOT

EXTRAS: Final = ("module", "cloud", "portal", "cloud,local")


def pythons() -> list[str]:
    """This Python, and each other supported one that pyenv has."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for folder in sorted(Path.home().glob(".pyenv/versions/3.*")):
        name = re.match(r"3\.(11|12|13)\b", folder.name)
        if name is not None and (folder / "bin" / "python").exists():
            found.setdefault(name[0], str(folder / "bin" / "python"))
    return list(found.values())


def run(*command: str, state: str = "/nowhere") -> subprocess.CompletedProcess[str]:
    """A command in an environment that names no hub, no cluster and no state but this folder."""
    left_out = ("KUBECONFIG", "PYTHONPATH", "IOTHUB_CONNECTION_STRING")
    environment = {key: value for key, value in os.environ.items() if key not in left_out}
    environment |= {"EDGE_EXPOSE_STATE_DIR": state, "XDG_STATE_HOME": state, "UV_CACHE_DIR": str(_cache())}
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, timeout=300, check=False)


def build(folder: Path, *, offline: bool = True) -> None:
    """Both distributions of this checkout, into a folder."""
    _uv("build", "--quiet", "--out-dir", str(folder), str(ROOT), offline=offline)


def install(environment: Path, python: str, requirement: str, *, offline: bool = True) -> None:
    """A new environment with a requirement and what it depends on."""
    _uv("venv", "--quiet", "--python", python, str(environment), offline=offline)
    to = ("--python", str(environment / "bin" / "python"))
    _uv("pip", "install", "--quiet", *to, requirement, offline=offline)


def fetched() -> bool:
    return _mark().exists()


def fetch() -> None:
    """Does once, with the network, what the tests do without."""
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), offline=False)
        (wheel,) = Path(folder).glob("*.whl")
        for place, (python, extra) in enumerate((p, e) for p in pythons() for e in EXTRAS):
            install(Path(folder) / str(place), python, f"{wheel}[{extra}]", offline=False)
    _mark().touch()


def _uv(*arguments: str, offline: bool) -> None:
    done = run(str(Path(sys.executable).parent / "uv"), *(["--offline"] if offline else []), *arguments)
    if done.returncode:
        raise AssertionError(done.stderr)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "edge-expose" / "uv"


def _mark() -> Path:
    wanted = (ROOT / "pyproject.toml").read_text() + " ".join(pythons())
    return _cache() / f"fetched-{hashlib.sha256(wanted.encode()).hexdigest()[:12]}"
