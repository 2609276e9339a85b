"""When a pass would find what the one before found: nothing it works from has changed, and no clock runs. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from edge_expose_contract.identity import State
from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.cluster.state import Observed
from edge_expose_module.reconcile import PassPlan
from edge_expose_module.state.memory import Memory
from edge_expose_module.status.assess import RESTING, Status


@dataclass(frozen=True, slots=True)
class Settled:
    """What the last pass worked from, and what the twin has of it. `revision` is the cluster's, `until` the next time
    that something expires."""

    document: DesiredDocument
    memory: Memory
    reported: Mapping[str, Any] | None
    probes: Mapping[str, bool]
    revision: int
    until: datetime | None

    def holds(
        self,
        document: DesiredDocument | None,
        memory: Memory,
        reported: Mapping[str, Any] | None,
        probes: Mapping[str, bool],
        now: datetime,
    ) -> bool:
        """By identity: whatever was read anew may be something else."""
        is_same = document is self.document and memory is self.memory and reported is self.reported
        return is_same and probes == self.probes and (self.until is None or now < self.until)


def is_at_rest(plan: PassPlan, observed: Observed, statuses: Mapping[str, Status], memory: Memory) -> bool:
    """Whether nothing waits for an answer, for a right or for a time: only then may a pass be spared."""
    return (
        not plan.plan.changes
        and not plan.unproven
        and not memory.rejected
        and not observed.denied
        and not observed.load_balancer.pool_error
        and all(status.state is State.READY or status.state in RESTING for status in statuses.values())
    )
