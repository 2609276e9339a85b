"""Who does what use cases do: for labels, leases and backups."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Operator:
    """Who applies, and the clock; `save_backup(name, text)` keeps a file and gives its place.

    `pid` and `is_alive` let the next run take over the lease of a run of the same operator that died.
    """

    name: str
    now: Callable[[], dt.datetime]
    save_backup: Callable[[str, str], str] | None = None
    pid: int = 0
    is_alive: Callable[[int], bool] = lambda pid: True
