"""Reads specs and manifests, and writes backups: atomic, readable by their owner only."""

from __future__ import annotations

import os
import re
import sys
import tempfile
from pathlib import Path

from edge_expose_cloud.findings import Finding, finding
from edge_expose_cloud.usecases.applying import backup_stem


def read_text(path: str) -> str | Finding:
    """The text of a file, `-` for stdin; or the finding that says why not."""
    try:
        if path == "-":
            return sys.stdin.read()
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        return finding("FileUnreadable", "", f"{path} is not UTF-8 text (byte {error.start})").at(path, 0)
    except OSError as error:
        return finding("FileUnreadable", "", f"{path}: {error.strerror or error}").at(path, 0)


class LocalFileError(Exception):
    """A file of ours cannot be written on this machine."""


def write_private(folder: Path, name: str, text: str) -> Path:
    """Writes `folder/name` (0600, folder 0700), complete or not at all. Raises LocalFileError."""
    try:
        return _write_private(folder, name, text)
    except OSError as error:
        raise LocalFileError(f"{folder / name} cannot be written: {error.strerror or error}") from error


def _write_private(folder: Path, name: str, text: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    handle, temporary = tempfile.mkstemp(dir=folder, prefix=f".{name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        target = folder / name
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return target


def backups_of(folder: Path, device_id: str) -> list[Path]:
    """The backups of a device, newest first."""
    pattern = re.compile(re.escape(backup_stem(device_id)) + r"-\d{8}T\d{12}Z\.json")
    found = [path for path in folder.glob("*.json") if pattern.fullmatch(path.name)] if folder.is_dir() else []
    return sorted(found, key=lambda path: path.name, reverse=True)


def state_folder(environment: dict[str, str]) -> Path:
    """`$XDG_STATE_HOME/edge-expose`, or below the home folder."""
    base = environment.get("XDG_STATE_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(base) / "edge-expose"
