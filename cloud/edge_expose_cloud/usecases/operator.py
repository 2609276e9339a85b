"""Who does what use cases do: for labels, leases and backups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from edge_expose_cloud.hub.api import Json
from edge_expose_contract.models import AUTHOR_BYTES, NOTE_BYTES


@dataclass(frozen=True, slots=True)
class Operator:
    """Who applies, and the clock; `save_backup(name, text)` keeps a file and gives its place.

    `pid` and `is_alive` let the next run take over the lease of a run of the same operator that died. `note` says why,
    in the documents that are written and beside deployments.
    """

    name: str
    now: Callable[[], dt.datetime]
    save_backup: Callable[[str, str], str] | None = None
    pid: int = 0
    is_alive: Callable[[int], bool] = lambda pid: True
    note: str = ""

    def change(self) -> Json:
        """What a document says of its writer: all three fields, so that a merge leaves nothing of the one before."""
        return {
            "by": _cut(self.name, AUTHOR_BYTES),
            "at": self.now().astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "note": _cut(self.note, NOTE_BYTES),
        }


def is_too_long(note: str) -> bool:
    """Whether a document has no room for it."""
    return len(note.encode(errors="replace")) > NOTE_BYTES


def _cut(text: str, limit: int) -> str:
    return text.encode(errors="replace")[:limit].decode(errors="ignore")
