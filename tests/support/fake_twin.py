"""A twin in memory that behaves like the hub's: merge patches, versions, limits, methods, and being away.

`agreements/hub/test_twin_link.py` holds it to the module's adapter on a hub.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from edge_expose_contract.limits import twin_violations
from edge_expose_module.desired.twin import MethodHandler, TwinSections, TwinUnavailable
from support.fake_cluster import merge


class FakeTwin:
    def __init__(self, desired: Mapping[str, Any] | None = None, reported: Mapping[str, Any] | None = None) -> None:
        self.desired: dict[str, Any] = copy.deepcopy(dict(desired or {}))
        self.reported: dict[str, Any] = copy.deepcopy(dict(reported or {}))
        self.version = 1
        self._away = False
        self.patches: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.gave_way = 0
        """How often the connection was left to another process."""
        self._wake: Callable[[], None] = lambda: None
        self._methods: MethodHandler | None = None

    @property
    def connected(self) -> bool:
        return not self._away

    @property
    def away(self) -> bool:
        return self._away

    @away.setter
    def away(self, away: bool) -> None:
        self._away = away
        if not away:
            self._wake()

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
        self._methods = methods
        wake()

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

    async def call(self, name: str, payload: Any) -> tuple[int, Any]:
        """A direct method, as somebody in the cloud calls it."""
        assert self._methods is not None, "the module has not started"
        try:
            return await self._methods(name, payload)
        except Exception as error:
            return 500, {"error": f"unexpected {type(error).__name__}; the module's log has more"}

    def give_way(self) -> None:
        self.gave_way += 1

    async def stop(self) -> None:
        pass

    def _reach(self) -> None:
        if self._away:
            raise TwinUnavailable("not connected to the hub")
