"""Asks exposures with a `probe` again and again, and remembers what was found: latency, and when it last answered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from edge_expose_contract.models import Exposure

log = logging.getLogger(__name__)
EVERY_SECONDS: Final = 15.0


class ProbeResult(Protocol):
    """What one probe found; `time` is seconds since the epoch, `milliseconds` None when nothing answered."""

    @property
    def ok(self) -> bool: ...

    @property
    def milliseconds(self) -> float | None: ...

    @property
    def detail(self) -> str: ...

    @property
    def time(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Target:
    exposure: Exposure
    address: str


@dataclass(frozen=True, slots=True)
class Probed:
    """`last_seen` is when it last answered, None if never."""

    ok: bool
    milliseconds: float | None
    detail: str
    last_seen: float | None

    def to_json(self) -> dict[str, Any]:
        return {"ok": self.ok, "milliseconds": self.milliseconds, "detail": self.detail, "lastSeen": self.last_seen}


class Prober:
    """`targets` tells what to ask now; `changed` is called when an answer turns from good to bad or back."""

    def __init__(
        self,
        targets: Callable[[], Mapping[str, Target]],
        ask: Callable[[Exposure, str], ProbeResult],
        changed: Callable[[], None],
        every: float = EVERY_SECONDS,
    ) -> None:
        self._targets = targets
        self._ask = ask
        self._changed = changed
        self._every = every
        self.results: dict[str, Probed] = {}

    async def run(self) -> None:
        while True:
            await self.round()
            await asyncio.sleep(self._every if self._targets() else 1.0)

    async def round(self) -> None:
        """Asks every target once; those that are gone are forgotten."""
        targets = dict(self._targets())
        self.results = {name: result for name, result in self.results.items() if name in targets}
        for name, target in targets.items():
            found = await asyncio.to_thread(self._ask, target.exposure, target.address)
            before = self.results.get(name)
            seen = found.time if found.ok else (before.last_seen if before is not None else None)
            self.results[name] = Probed(found.ok, found.milliseconds, found.detail, seen)
            if before is None or before.ok != found.ok:
                log.info("probe of %s at %s: %s", name, target.address, found.detail)
                self._changed()
