"""Everything a pass looks at before it decides. Values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.cluster.state import Observed
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.state.memory import Memory


@dataclass(frozen=True, slots=True)
class PassInputs:
    """Document, memory, cluster, rails and clock of one pass."""

    document: DesiredDocument
    memory: Memory
    observed: Observed
    guards: Guards
    owner: str
    own_namespace: str
    now: datetime
    confirmations: tuple[str, ...] = ()

    @property
    def former_owners(self) -> frozenset[str]:
        return self.guards.take_over or frozenset()
