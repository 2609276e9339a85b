"""What the module asks of its twin. Implemented in `adapters/` and by fakes in tests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class TwinUnavailable(Exception):
    """The hub cannot be reached or does not answer now; going on without it is normal."""


@dataclass(frozen=True, slots=True)
class TwinSections:
    """Both sections without `$` keys, and the version of the desired one."""

    desired: Mapping[str, Any]
    reported: Mapping[str, Any]
    version: int


MethodHandler = Callable[[str, Any], Awaitable[tuple[int, Any]]]


class TwinLink(Protocol):
    """`wake` is called from any thread when something may have changed."""

    @property
    def connected(self) -> bool: ...

    async def start(self, wake: Callable[[], None], methods: MethodHandler) -> None:
        """Begins to connect and stays at it; returns at once."""

    async def read(self) -> TwinSections:
        """The whole twin, within a deadline. Raises TwinUnavailable."""

    async def report(self, patch: Mapping[str, Any]) -> None:
        """Sends a reported patch, within a deadline. Raises TwinUnavailable."""

    async def send_event(self, event: Mapping[str, Any]) -> None:
        """Telemetry on output `events`; lost when the hub is away."""

    def give_way(self) -> None:
        """Another process has this identity, and it is the one that acts: it shall have the connection."""

    async def stop(self) -> None: ...
