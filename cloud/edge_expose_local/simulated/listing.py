"""The file that says which light devices there are: written by the command line, followed by the process."""

from __future__ import annotations

import json
from pathlib import Path

FILE = "devices.json"


def read_devices(state: Path) -> list[str]:
    """The ids in devices.json; [] when there is none."""
    try:
        content = json.loads((state / "devices.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return [str(item) for item in content] if isinstance(content, list) else []


def write_devices(state: Path, ids: list[str]) -> None:
    """Adds devices to devices.json; the running process takes them up within a second or two."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    temporary = state / "devices.tmp"
    temporary.write_text(json.dumps(sorted({*read_devices(state), *ids})), encoding="utf-8")
    temporary.replace(state / "devices.json")
