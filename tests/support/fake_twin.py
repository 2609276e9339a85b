"""A twin in memory that behaves like the hub's: merge patches, versions, limits, and being away."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from edge_expose_contract.limits import twin_violations
from edge_expose_module.twinlink import MethodHandler, TwinSections, TwinUnavailable
from support.fake_cluster import merge


class FakeTwin:
    def __init__(self, desired: Mapping[str, Any] | None = None, reported: Mapping[str, Any] | None = None) -> None:
        self.desired: dict[str, Any] = copy.deepcopy(dict(desired or {}))
        self.reported: dict[str, Any] = copy.deepcopy(dict(reported or {}))
        self.version = 1
        self.away = False
        self.patches: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self._wake: Callable[[], None] = lambda: None

    @property
    def connected(self) -> bool:
        return not self.away

    def set_desired(self, desired: Mapping[str, Any]) -> None:
        self.desired = copy.deepcopy(dict(desired))
        self.version += 1
        self._wake()

    def patch_desired(self, patch: Mapping[str, Any]) -> None:
        merge(self.desired, patch)
        self.version += 1
        self._wake()

    async def start(self, wake: Callable[[], None], methods: MethodHandler) -> None:
        self._wake = wake

    async def read(self) -> TwinSections:
        self._reach()
        return TwinSections(copy.deepcopy(self.desired), copy.deepcopy(self.reported), self.version)

    async def report(self, patch: Mapping[str, Any]) -> None:
        self._reach()
        merged = merge(copy.deepcopy(self.reported), patch)
        if violations := twin_violations(merged):
            raise TwinUnavailable(f"the hub refuses the patch: {violations[0]}")
        self.patches.append(copy.deepcopy(dict(patch)))
        self.reported = merged

    async def send_event(self, event: Mapping[str, Any]) -> None:
        self._reach()
        self.events.append(dict(event))

    async def stop(self) -> None:
        pass

    def _reach(self) -> None:
        if self.away:
            raise TwinUnavailable("not connected to the hub")
