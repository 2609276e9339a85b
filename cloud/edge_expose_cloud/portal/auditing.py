"""One line for each change and each sign-in: who, what, to what, and how it ended. JSON lines, 0600, never a secret."""

from __future__ import annotations

import datetime as dt
import json
import os
import sys
import threading
from pathlib import Path


class Audit:
    """Appends to a file and says the same on stderr."""

    def __init__(self, path: Path) -> None:
        self._path = path
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
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            handle = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(handle, line.encode() + b"\n")
            finally:
                os.close(handle)
        sys.stderr.write(f"audit {line}\n")
        sys.stderr.flush()

    def of_device(self, device_id: str, most: int = 50) -> list[dict[str, str]]:
        """The last entries about one device, newest first."""
        found: list[dict[str, str]] = []
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()[-5000:]
        except OSError:
            return []
        for line in reversed(lines):
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if isinstance(entry, dict) and entry.get("device") == device_id:
                found.append({str(key): str(value) for key, value in entry.items()})
                if len(found) >= most:
                    break
        return found
