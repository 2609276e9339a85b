"""One light device: two links to the hub, and a loop that answers whatever desired properties say."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from edge_expose_local.control_client import ControlError
from edge_expose_local.runtime.link import HubLink, LinkError
from edge_expose_local.simulated.reports import agent_report, module_report

log = logging.getLogger(__name__)
JsonObject = dict[str, Any]
MODULE = "edge-expose"
_RESYNC_SECONDS = 300.0

# (module, what to call when its desired properties changed) -> its link. ControlError while there is no identity.
MakeLink = Callable[[str, Callable[[], None]], Awaitable[HubLink]]


class LightDevice:
    """`gate` bounds how many devices of the process connect at once: TLS handshakes are the cost of a fleet."""

    def __init__(self, device: str, make_link: MakeLink, gate: asyncio.Semaphore) -> None:
        self.device = device
        self.ready = False
        self._make_link = make_link
        self._gate = gate
        self._awake = asyncio.Event()
        self._links: dict[str, HubLink] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._reported: dict[str, int] = {}

    async def run(self) -> None:
        try:
            await self._open("$edgeAgent")
            while True:
                again = _RESYNC_SECONDS
                try:
                    await self._pass()
                except (LinkError, ControlError, OSError) as error:
                    log.debug("%s: %s", self.device, error)
                    again = 2.0 + 3.0 * random.random()  # noqa: S311 (spread over time, no secret)
                try:
                    async with asyncio.timeout(again):
                        await self._awake.wait()
                except TimeoutError:
                    pass
                self._awake.clear()
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _open(self, module: str) -> None:
        async with self._gate:
            link = await self._make_link(module, self._awake.set)
            task = asyncio.create_task(link.keep())
            self._links[module] = link
            self._tasks.append(task)
            for _ in range(100):
                if link.connected:
                    return
                await asyncio.sleep(0.05)

    async def _pass(self) -> None:
        desired = await self._answer("$edgeAgent", agent_report)
        modules = desired.get("modules")
        if isinstance(modules, dict) and MODULE in modules:
            if MODULE not in self._links:
                await self._open(MODULE)
            await self._answer(MODULE, lambda document: module_report(self.device, document))
            self.ready = True

    async def _answer(self, module: str, compose: Callable[[Mapping[str, Any]], JsonObject]) -> JsonObject:
        link = self._links[module]
        twin = await link.twin()
        desired: JsonObject = twin.get("desired") or {}
        version = int(desired.get("$version", 0))
        if self._reported.get(module) != version:
            old: JsonObject = twin.get("reported") or {}
            report = compose(desired)
            gone = {name: None for name in (old.get("exposures") or {}) if name not in report.get("exposures", {})}
            if gone:
                report["exposures"] = {**report.get("exposures", {}), **gone}
            await link.report(report)
            self._reported[module] = version
        return desired
