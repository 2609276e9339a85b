"""What the last pass saw, for direct methods, probes and health checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge_expose_module.blocks import Block
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import Decided
from edge_expose_module.status.assess import Status
from edge_expose_module.status.probes import Target


@dataclass(slots=True)
class View:
    """`report` is whole, however much of it has room in the twin."""

    report: dict[str, Any] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    decided: Decided | None = None
    observed: Observed | None = None
    passes: int = 0
    started: float | None = None
    """When the pass under way began, on the monotonic clock; None between passes."""
    cluster_error: str = ""
    unreadable_since: datetime | None = None
    """When the cluster was first found unreadable; None while it answers."""
    outage: Block | None = None
    """What is said of every exposure once that has lasted."""
    warnings: tuple[str, ...] = ()
    rail_warnings: tuple[str, ...] = ()
    read_only: str = ""
    """Why this process writes nothing to the cluster; empty when it does."""
    """Of the guard rails."""

    def target(self, name: str) -> Target | None:
        """Where an exposure can be asked from outside; None while it has no external address."""
        wish = self.decided.wishes.wishes.get(name) if self.decided is not None else None
        status = self.statuses.get(name)
        if wish is None or status is None or status.address is None:
            return None
        return Target(wish.exposure, status.address.split(",")[0])

    def to_probe(self) -> dict[str, Target]:
        """Those that want to be asked again and again."""
        wishes = self.decided.wishes.wishes if self.decided is not None else {}
        wanted = [name for name, wish in wishes.items() if wish.exposure.probe is not None]
        return {name: target for name in wanted if (target := self.target(name)) is not None}
