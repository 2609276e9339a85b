"""One line for each change and each sign-in: who, what, to what, and how it ended. JSON lines, 0600, never a secret.

The file is set aside as `NAME.1` when it is full, and an older one given up: whoever may knock at the door may not fill
the disk.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from edge_expose_cloud.adapters.files import private_folder

MOST_BYTES: Final = 8 << 20
_BLOCK: Final = 64 << 10


class Audit:
    """Appends to a file and says the same on stderr."""

    def __init__(self, path: Path, most_bytes: int = MOST_BYTES) -> None:
        self._path = path
        self._older = path.with_name(f"{path.name}.1")
        self._most_bytes = most_bytes
        self._lock = threading.Lock()

    def write(self, user: str, action: str, **what: str) -> None:
        entry = {
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "user": user,
            "action": action,
            **what,
        }
        line = json.dumps(entry, ensure_ascii=True)
        with self._lock:
            private_folder(self._path.parent)
            self._make_room(len(line) + 1)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode() + b"\n")
            finally:
                os.close(handle)
        sys.stderr.write(f"audit {line}\n")
        sys.stderr.flush()

    def _make_room(self, size: int) -> None:
        # A folder that takes no other name is no reason to lose a line.
        with contextlib.suppress(OSError):
            if self._path.stat().st_size + size > self._most_bytes:
                self._path.replace(self._older)

    def of_device(self, device_id: str, most: int = 50) -> list[dict[str, str]]:
        """The last entries about one device, newest first."""
        found: list[dict[str, str]] = []
        named = json.dumps(device_id).encode()
        for path in (self._path, self._older):
            for line in _backwards(path):
                # Nearly all lines are about others: they need not be parsed.
                entry = _entry(line) if named in line else {}
                if entry.get("device") == device_id:
                    found.append(entry)
                    if len(found) >= most:
                        return found
        return found


def _entry(line: bytes) -> dict[str, str]:
    try:
        entry = json.loads(line)
    except ValueError:
        return {}
    return {str(key): str(value) for key, value in entry.items()} if isinstance(entry, dict) else {}


def _backwards(path: Path) -> Iterator[bytes]:
    """The lines of a file from its end, read in blocks; none when it cannot be read."""
    try:
        with path.open("rb") as stream:
            left, rest = stream.seek(0, os.SEEK_END), b""
            while left > 0:
                size = min(_BLOCK, left)
                left -= size
                stream.seek(left)
                rest, *lines = (stream.read(size) + rest).split(b"\n")
                yield from reversed(lines)
            yield rest
    except OSError:
        return
