"""Reads and writes backups: atomic, readable by their owner only."""

from __future__ import annotations

import contextlib
import os
import tempfile
from pathlib import Path

from edge_expose_cloud.adapters.sealing import OPEN, KeyFileError, Seal
from edge_expose_cloud.adapters.texts import read_text
from edge_expose_cloud.plan.backups import KEPT, Backup, content_of, hub_of, parse_name

# How a file begins that is text of another encoding; the longer marks come first.


class LocalFileError(Exception):
    """A file of ours cannot be written on this machine."""


def write_private(folder: Path, name: str, text: str) -> Path:
    """Writes `folder/name` (0600, folder 0700), complete or not at all. Raises LocalFileError."""
    try:
        return _write_private(folder, name, text)
    except OSError as error:
        raise LocalFileError(f"{folder / name} cannot be written: {error.strerror or error}") from error


def private_folder(folder: Path) -> None:
    """Makes the folder and whatever is missing above it, for its owner only: `mkdir` gives that mode to the last alone.

    The state folder is closed as well when somebody made it open to all (an older version, `mkdir -p`).
    """
    for missing in [path for path in (*reversed(folder.parents), folder) if not path.exists()]:
        with contextlib.suppress(FileExistsError):
            missing.mkdir(mode=0o700)
    state = state_folder(dict(os.environ))
    if state in (folder, *folder.parents) and state.stat().st_uid == os.getuid() and state.stat().st_mode & 0o077:
        state.chmod(0o700)


def _write_private(folder: Path, name: str, text: str) -> Path:
    private_folder(folder)
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
    found = []
    for path in folder.glob("*.json") if folder.is_dir() else ():
        parsed = parse_name(path.name)
        if parsed is not None and parsed[0] == device_id:
            found.append((parsed[1], path))
    return [path for _, path in sorted(found, reverse=True)]


def read_backups(folder: Path, device_id: str, hub: str, seal: Seal = OPEN) -> list[Backup]:
    """The same with their contents, as many as are kept; a file that cannot be read is passed over, and so is one of a
    device of that name in another hub than `hub` (its host name). Raises KeyFileError when the newest stays sealed:
    what lies below it would be taken for the newest. Older ones that stay sealed are passed over."""
    found: list[Backup] = []
    for path in backups_of(folder, device_id)[:KEPT]:
        parsed, text = parse_name(path.name), read_text(str(path))
        try:
            text = seal.open(text) if isinstance(text, str) else text
        except KeyFileError as error:
            if found:
                continue
            raise KeyFileError(f"{path.name}: {error}") from None
        content = content_of(text) if isinstance(text, str) else None
        named = hub_of(text) if isinstance(text, str) else ""
        if parsed is not None and content is not None and named in ("", hub):
            found.append(Backup(path.name, parsed[1], content, named))
    return found


def write_backup(folder: Path, name: str, text: str, seal: Seal = OPEN) -> Path:
    """Writes a backup as `write_private` does, and removes those of the same device that are too many."""
    written = write_private(folder, name, seal.close(text))
    parsed = parse_name(name)
    for path in backups_of(folder, parsed[0])[KEPT:] if parsed is not None else ():
        if path != written:
            with contextlib.suppress(OSError):
                path.unlink()
    return written


def state_folder(environment: dict[str, str]) -> Path:
    """`$XDG_STATE_HOME/edge-expose`, or below the home folder."""
    base = environment.get("XDG_STATE_HOME") or str(
        Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    )
    return Path(base) / "edge-expose"
