"""Where private keys lie that a plugin of the kubeconfig told, while we run: the official client writes them there.

The client's own clean-up never sees a process that is killed, so the folder has a fixed place and is emptied at start.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)
_ROOM_BYTES = 32 * 1024


def make(state_dir: Path) -> Path:
    """An empty folder for us alone in the state folder, or among temporary files while no disk takes it there."""
    folder = state_dir / "keys"
    remove(folder)
    try:
        state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
        room = folder / "room"
        room.write_bytes(bytes(_ROOM_BYTES))  # a full disk takes folders and no content
        room.unlink()
    except OSError as error:
        log.warning("no room for keys in %s (%s): they go among temporary files", folder, error)
        return Path(tempfile.mkdtemp(prefix="edge-expose-"))
    return folder


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
