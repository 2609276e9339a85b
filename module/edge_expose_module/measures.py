"""What a pass leaves in figures. Implemented in `adapters/` and by fakes in tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from edge_expose_module.reconcile import PassPlan
from edge_expose_module.services.outcome import Outcome


class Measures(Protocol):
    def record_pass(
        self, seconds: float, outcome: str, pass_plan: PassPlan | None, failures: Mapping[str, Outcome]
    ) -> None: ...

    def record_state(self, report: Mapping[str, Any], hub: bool, cluster: bool, latencies: Mapping[str, float]) -> None:
        """`latencies` are milliseconds of the last probe, of exposures that answered it."""
