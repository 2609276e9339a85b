"""Which container images this kubelet can run, and as what."""

from __future__ import annotations

import sys
from pathlib import Path

_SAMPLES = Path(__file__).resolve().parents[2] / "samples"

IMAGES: dict[str, list[str]] = {
    "edge-expose/sample-web:1": [sys.executable, str(_SAMPLES / "web.py")],
    "edge-expose/sample-db:1": [sys.executable, str(_SAMPLES / "db.py")],
    "edge-expose/echo:1": [sys.executable, str(_SAMPLES / "echo.py")],
}


def command_of(container: dict[str, object]) -> list[str] | None:
    """Return the command line of a container: its own `command` (with `args`), or the table's; None when neither."""
    args = [str(arg) for arg in container.get("args") or []]  # type: ignore[attr-defined]
    command = [str(part) for part in container.get("command") or []]  # type: ignore[attr-defined]
    if command:
        return command + args
    known = IMAGES.get(str(container.get("image", "")))
    return known + args if known else None
