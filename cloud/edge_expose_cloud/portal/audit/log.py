"""One line for each change and each sign-in: who, what, to what, and how it ended. JSON lines, 0600, never a secret.

Each line holds the hash of the line before it, so that one that was changed, taken out or moved shows. The file is
set aside as `NAME.1` when it is full, and an older one given up: whoever may knock at the door may neither fill the
disk nor push out what others did, so refusals are written at a bounded rate.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import fcntl
import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from edge_expose_cloud.adapters.files import private_folder

MOST_BYTES: Final = 8 << 20
#: What `previous` holds in the first line of all.
NOTHING_BEFORE: Final = "0" * 64
REFUSALS_AT_ONCE: Final = 100
SECONDS_A_REFUSAL: Final = 60.0
_BLOCK: Final = 64 << 10


def line_hash(line: bytes) -> str:
    """What the next line holds as `previous`."""
    return hashlib.sha256(line).hexdigest()


class Audit:
    """Appends to a file, says the same on stderr, and gives each line to `copy`. Several processes may share a file."""

    def __init__(
        self,
        path: Path,
        most_bytes: int = MOST_BYTES,
        copy: Callable[[str], None] | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._older = older_of(path)
        self._most_bytes = most_bytes
        self._copy = copy
        self._now = now
        self._lock = threading.Lock()
        self._refusals = float(REFUSALS_AT_ONCE)
        self._refused_at = now()
        self._unwritten = 0

    def write(self, user: str, action: str, **what: str) -> None:
        with self._lock:
            self._append(user, action, what)

    def write_refusal(self, user: str, action: str, **what: str) -> None:
        """The same for what strangers can cause: a hundred lines at once, then one a minute; the rest are counted."""
        with self._lock:
            now = self._now()
            gained = (now - self._refused_at) / SECONDS_A_REFUSAL
            self._refusals, self._refused_at = min(float(REFUSALS_AT_ONCE), self._refusals + gained), now
            if self._refusals < 1:
                self._unwritten += 1
                return
            self._refusals -= 1
            self._append(user, action, what)

    def _append(self, user: str, action: str, what: dict[str, str]) -> None:
        entry = {
            "time": dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds"),
            "user": user,
            "action": action,
            **what,
        }
        if self._unwritten:
            entry["refusalsNotWritten"] = str(self._unwritten)
        private_folder(self._path.parent)
        entry["previous"] = NOTHING_BEFORE
        with self._locked(len(json.dumps(entry)) + 1) as handle:
            last = _last_line(handle) or next(_backwards(self._older), b"")
            entry["previous"] = line_hash(last) if last else NOTHING_BEFORE
            line = json.dumps(entry, ensure_ascii=True)
            _write_line(handle, line.encode() + b"\n")
        self._unwritten = 0
        sys.stderr.write(f"audit {line}\n")
        sys.stderr.flush()
        if self._copy is not None:
            self._copy(line)

    @contextlib.contextmanager
    def _locked(self, size: int) -> Iterator[int]:
        """The open file, ours alone, with room for so many bytes."""
        while True:
            handle = os.open(self._path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX)
                if self._is_current(handle) and not self._set_aside(handle, size):
                    yield handle
                    return
            finally:
                os.close(handle)

    def _is_current(self, handle: int) -> bool:
        """Another process may have set the file aside before we had it."""
        try:
            return os.fstat(handle).st_ino == self._path.stat().st_ino
        except FileNotFoundError:
            return False

    def _set_aside(self, handle: int, size: int) -> bool:
        filled = os.fstat(handle).st_size
        if filled == 0 or filled + size <= self._most_bytes:
            return False
        try:
            self._path.replace(self._older)
        except OSError:
            return False  # a folder that takes no other name is no reason to lose a line
        return True

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


def older_of(path: Path) -> Path:
    """Where a full log is set aside."""
    return path.with_name(f"{path.name}.1")


def _write_line(handle: int, line: bytes) -> None:
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        line = b"\n" + line  # a line that was cut off when the machine stopped stays one of its own
    os.write(handle, line)


def _last_line(handle: int) -> bytes:
    size, found = os.fstat(handle).st_size, b""
    while size > 0 and b"\n" not in found.rstrip(b"\n"):
        begin = max(0, size - _BLOCK)
        found, size = os.pread(handle, size - begin, begin) + found, begin
    return found.rstrip(b"\n").rpartition(b"\n")[2]


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
                yield from (line for line in reversed(lines) if line)
            if rest:
                yield rest
    except OSError:
        return
