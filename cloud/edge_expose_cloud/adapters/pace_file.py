"""The calls of the last minute that all commands of this user made to one hub: quotas count them together."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from edge_expose_cloud.adapters.files import private_folder


class SharedWindow:
    """A file beside the backups, locked for a moment at each call. Without a writable folder it grants everything."""

    def __init__(self, folder: Path, hub: str, clock: Callable[[], float] = time.time) -> None:
        self._path = folder / f"calls-{hashlib.sha256(hub.encode()).hexdigest()[:12]}.json"
        self._clock = clock

    def take(self, operation: str, allowed: int, seconds: float) -> float:
        """0 when a call may be made now, which is noted; else how many seconds to wait before asking again."""
        try:
            private_folder(self._path.parent)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            return 0.0
        with os.fdopen(handle, "r+", encoding="utf-8") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX)
            calls = _read(stream.read())
            now = self._clock()
            # A clock that was set back must not hold anybody for long.
            recent = sorted(moment for moment in calls.get(operation, []) if now - seconds < moment <= now)
            if len(recent) >= allowed:
                return max(recent[len(recent) - allowed] + seconds - now, 0.001)  # never 0, which would be a grant
            calls[operation] = [*recent, now]
            stream.seek(0)
            stream.truncate()
            json.dump(calls, stream)
        return 0.0


def _read(text: str) -> dict[str, list[float]]:
    """{} for anything that is not what we write: the file is a help, not a record."""
    try:
        content = json.loads(text)
        return {str(name): [float(moment) for moment in moments] for name, moments in content.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
