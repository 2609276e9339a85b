"""Files that only their owner may read, and where a part's control socket lives."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

MAX_SOCKET_PATH = 100


def write_private(path: Path, data: bytes) -> None:
    """Atomically, synced, readable by the owner only."""
    temporary = path.with_name(path.name + ".new")
    descriptor = os.open(temporary, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(temporary, path)


def control_path(folder: Path) -> Path:
    """Where the control socket lives: in the state folder, or in a fresh private one when that path is too long."""
    path = folder / "control.sock"
    if len(os.fsencode(path)) > MAX_SOCKET_PATH:
        path = Path(tempfile.mkdtemp(prefix="edge-expose-")) / "control.sock"
    path.unlink(missing_ok=True)
    write_private(folder / "control.path", str(path).encode())
    return path
