"""What the last pass found, for direct methods, probes and health checks. A value; the controller replaces it whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from edge_expose_module.blocks import Block
from edge_expose_module.cluster.service import Key
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.status.assess import Status
from edge_expose_module.status.probes import Target


@dataclass(frozen=True, slots=True)
class PassResult:
    """`report` is whole, however much of it has room in the twin."""

    report: Mapping[str, Any] = field(default_factory=dict)
    statuses: Mapping[str, Status] = field(default_factory=dict)
    plan: PassPlan | None = None
    observed: Observed | None = None
    cluster_error: str = ""
    unreadable_since: datetime | None = None
    """When the cluster was first found unreadable; None while it answers."""
    outage: Block | None = None
    """What is said of every exposure once that has lasted."""
    warnings: tuple[str, ...] = ()
    unchanged: frozenset[Key] = frozenset()
    """Services of which the cluster did not take a change, though nobody else wrote."""
    read_only: str = ""
    """Why this process writes nothing to the cluster; empty when it does."""

    def target(self, name: str) -> Target | None:
        """Where an exposure can be asked from outside; None while it has no external address."""
        wanted = self.plan.resolved.exposures.get(name) if self.plan is not None else None
        status = self.statuses.get(name)
        if wanted is None or status is None or status.address is None:
            return None
        return Target(wanted.exposure, status.address.split(",")[0])

    def to_probe(self) -> dict[str, Target]:
        """Those that want to be asked again and again."""
        exposures = self.plan.resolved.exposures if self.plan is not None else {}
        wanted = [name for name, wanted in exposures.items() if wanted.exposure.probe is not None]
        return {name: target for name in wanted if (target := self.target(name)) is not None}
