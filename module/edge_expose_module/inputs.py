"""Everything a pass looks at before it decides. Values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from edge_expose_contract.parsing import DesiredDocument
from edge_expose_module.memory import Memory
from edge_expose_module.observing import Observed
from edge_expose_module.rails.model import Guards


@dataclass(frozen=True, slots=True)
class Inputs:
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
