"""The controller on fakes: change the world, run passes, look at the outcome."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from edge_expose_contract.identity import owner_id
from edge_expose_contract.models import Exposure
from edge_expose_module.controller import Controller, Identity
from edge_expose_module.desired.rails.model import Guards
from edge_expose_module.state.memory import Memory
from edge_expose_module.status.probes import ProbeResult
from support.fake_cluster import FakeCluster
from support.fake_twin import FakeTwin

OWNER = owner_id("hub.test", "edge1")


class MemoryStore:
    """The state file without a disk; it goes through JSON all the same."""

    def __init__(self) -> None:
        self.content: dict[str, Any] | None = None
        self.full = False

    def load(self) -> Memory:
        return Memory.from_json(self.content)

    def save(self, memory: Memory) -> str:
        if self.full:
            return "the module's state file cannot be written: No space left on device"
        self.content = memory.to_json()
        return ""


def nobody_answers(_: Exposure, address: str) -> ProbeResult:
    return ProbeResult(address, False, None, "silent", 0.0)


class NoMeasures:
    def record_pass(self, *_: object) -> None: ...

    def record_state(self, *_: object) -> None: ...


class NoWatches:
    """Passes are run by hand."""

    def ensure(self, wanted: object) -> None: ...

    def stop(self) -> None: ...


class Bench:
    def __init__(
        self,
        cluster: FakeCluster | None = None,
        twin: FakeTwin | None = None,
        guards: Guards | None = None,
        store: MemoryStore | None = None,
        *,
        watched: bool = False,
    ) -> None:
        """`watched` means that watches keep the cluster's objects up, as in the real process."""
        self.watched = watched
        self.cluster = cluster or FakeCluster()
        self.twin = twin or FakeTwin()
        self.guards = guards or Guards()
        self.store = store or MemoryStore()
        self.time = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
        self.passed = 0.0
        """Seconds on the monotonic clock, which a wall clock that is set back does not move."""
        self.controller = self._new()

    def stop(self) -> None:
        """Ends what a watched one started."""
        self.controller.stop()
        asyncio.run(self.controller.run(None))

    def _new(self) -> Controller:
        return Controller(
            Identity(OWNER, "1.0.0", "edge1"),
            self.cluster,
            self.twin,
            self.store,
            self.guards,
            NoMeasures(),
            nobody_answers,
            now=lambda: self.time,
            clock=lambda: self.passed,
            watches=None if self.watched else NoWatches(),
        )

    def restart(self, *, keep_disk: bool = True) -> None:
        """The module is killed and started again, on its own disk or on an empty one."""
        if not keep_disk:
            self.store = MemoryStore()
        self.controller = self._new()

    def later(self, **delta: float) -> None:
        step = timedelta(**delta)
        self.time += step
        self.passed += max(0.0, step.total_seconds())

    def desire(self, exposures: Mapping[str, Any], **more: Any) -> None:
        self.twin.set_desired({"schemaVersion": "1.0", "exposures": dict(exposures), **more})

    def run(self, passes: int = 3) -> Mapping[str, Any]:
        """Passes until quiet; returns the reported section."""

        async def go() -> None:
            for _ in range(passes):
                self.controller.wake_for_twin()
                await self.controller.reconcile()

        asyncio.run(go())
        return self.twin.reported

    def exposure(self, name: str) -> Mapping[str, Any]:
        return self.twin.reported["exposures"][name]

    def state(self, name: str) -> tuple[str, str | None, str | None]:
        """State, address, reason."""
        entry = self.exposure(name)
        return entry["state"], entry.get("address"), entry.get("reason")
