"""Where a part's control socket lives, and how it comes and goes: only the owner of the state folder can open it."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import tempfile
from pathlib import Path

from edge_expose_local.private_files import write_private
from edge_expose_local.sockets import private_unix_socket

MAX_PATH = 100  # unix(7): a socket's path has room for 108 bytes


def open_control_socket(folder: Path) -> socket.socket:
    """Listen in the state folder, or in a private temporary folder when that path is too long for a socket.

    `control.path` in the state folder names the socket. The temporary folder of a part that was killed is used again.
    """
    path = folder / "control.sock"
    if len(os.fsencode(path)) > MAX_PATH:
        left = _named(folder)
        if left is None or not _is_private(left.parent):
            left = Path(tempfile.mkdtemp(prefix="edge-expose-")) / "control.sock"
        path = left
    path.unlink(missing_ok=True)
    write_private(folder / "control.path", str(path).encode())
    return private_unix_socket(path)


def remove_control_socket(folder: Path) -> None:
    """Remove what `open_control_socket` made; it need not be there."""
    path = _named(folder)
    if path is None:
        return
    path.unlink(missing_ok=True)
    if path.parent != folder:
        with contextlib.suppress(OSError):
            path.parent.rmdir()
    (folder / "control.path").unlink(missing_ok=True)


def _named(folder: Path) -> Path | None:
    try:
        return Path((folder / "control.path").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def _is_private(folder: Path) -> bool:
    """Temporary folders are swept, and then anybody can make one of that name."""
    try:
        status = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o077
