"""The state file: one JSON document, replaced atomically, readable by us alone."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path

from edge_expose_module.state.memory import Memory

log = logging.getLogger(__name__)


class StateFile:
    """A file that cannot be read is set aside, never trusted; one that cannot be written is said, and we go on."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "state.json"
        self._written: str | None = None

    def load(self) -> Memory:
        try:
            text = self._path.read_text(encoding="utf-8")
            content = json.loads(text)
        except FileNotFoundError:
            return Memory()
        except (OSError, ValueError, RecursionError) as error:
            log.error(
                "state file %s cannot be read (%s): set aside, starting from the twin and the cluster",
                self._path,
                error,
            )
            self._set_aside()
            return Memory()
        self._written = text
        return Memory.from_json(content)

    def save(self, memory: Memory) -> str:
        text = json.dumps(memory.to_json(), sort_keys=True, separators=(",", ":"))
        if text == self._written:
            return ""
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            temporary = self._path.with_suffix(".tmp")
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._path)
            self._written = text
        except OSError as error:
            log.error("state file %s cannot be written (%s)", self._path, error)
            return f"the module's state file cannot be written: {error.strerror or type(error).__name__}"
        return ""

    def _set_aside(self) -> None:
        try:
            self._path.replace(self._path.with_suffix(".corrupt"))
        except OSError:
            log.warning("state file %s cannot be set aside", self._path)
