"""Asks exposures with a `probe` again and again, and remembers what was found: latency, and when it last answered."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_contract.models import Exposure

log = logging.getLogger(__name__)
EVERY_SECONDS: Final = 15.0
AT_ONCE: Final = 8
"""Targets asked at a time: a silent one takes seconds, and a thread."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """What one probe found; `time` is seconds since the epoch, `milliseconds` None when nothing answered."""

    target: str
    ok: bool
    milliseconds: float | None
    detail: str
    time: float


Ask = Callable[[Exposure, str], ProbeResult]
"""Blocking, with a deadline of its own."""


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


async def ask_all(targets: Mapping[str, Target], ask: Ask, within: float | None = None) -> dict[str, ProbeResult]:
    """Asks every target, some at a time; whatever goes wrong with one is what was found of that one, also that nobody
    came to ask it `within` so many seconds."""
    # Those of `asyncio.to_thread` are for the passes: silent targets would keep all of them.
    threads = ThreadPoolExecutor(AT_ONCE, "probe")
    loop = asyncio.get_running_loop()

    async def ask_one(target: Target) -> ProbeResult:
        try:
            return await loop.run_in_executor(threads, ask, target.exposure, target.address)
        except Exception as error:
            log.exception("probe of %s", target.address)
            return ProbeResult(target.address, False, None, type(error).__name__, time.time())

    asked = {name: asyncio.create_task(ask_one(target)) for name, target in targets.items()}
    try:
        if asked:
            await asyncio.wait(asked.values(), timeout=within)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
    found = {}
    for name, task in asked.items():
        if task.done():
            found[name] = task.result()
        else:
            task.cancel()
            found[name] = ProbeResult(targets[name].address, False, None, "no time was left to ask it", time.time())
    return found


class Prober:
    """`targets` tells what to ask now; `changed` is called when an answer turns from good to bad or back."""

    def __init__(
        self,
        targets: Callable[[], Mapping[str, Target]],
        ask: Ask,
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
        for name, found in (await ask_all(targets, self._ask)).items():
            before = self.results.get(name)
            seen = found.time if found.ok else (before.last_seen if before is not None else None)
            self.results[name] = Probed(found.ok, found.milliseconds, found.detail, seen)
            if before is None or before.ok != found.ok:
                log.info("probe of %s at %s: %s", name, found.target, found.detail)
                self._changed()
