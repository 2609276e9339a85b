"""Where private keys lie that a plugin of the kubeconfig told, while we run: the official client writes them there.

The client's own clean-up never sees a process that is killed, so the folder has a fixed place and is emptied at start.
"""

from __future__ import annotations

import logging
import os
import shutil
import tempfile
from pathlib import Path

log = logging.getLogger(__name__)
_ROOM_BYTES = 32 * 1024


class NoRoom(Exception):
    """Neither folder can be written; the text names both."""


def make(state_dir: Path) -> Path:
    """An empty folder for us alone in the state folder, or among temporary files while no disk takes it there.

    Raises NoRoom.
    """
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
        return _temporary(state_dir)
    return folder


def _temporary(state_dir: Path) -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="edge-expose-"))
    except OSError as error:
        told = f"neither {state_dir} nor the folder of temporary files can be written ({error.strerror})"
        raise NoRoom(f"{told}: mount a volume at {state_dir}, writable for uid {os.getuid()}") from error


def remove(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
