"""Figures of the portal for its health port: what the fleet page says, and the requests that were answered."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from edge_expose_cloud.adapters.health_port import Figure
from edge_expose_cloud.portal.auth.sessions import Sessions
from edge_expose_cloud.portal.live.events import Events
from edge_expose_cloud.portal.live.fleet import SHOWN
from edge_expose_cloud.portal.live.poller import Poller

# A stream lasts as long as its page is open.
_STREAMS: Final = "/events"


def figures(poller: Poller, sessions: Sessions, events: Events) -> Iterator[Figure]:
    totals = poller.listing().totals
    devices = {name or "all": totals.devices.get(name, 0) for name in SHOWN}
    yield Figure("devices", "Devices by tile of the fleet page", devices, "shown")
    yield Figure("exposures", "Exposures of all devices", totals.counts, "state")
    yield Figure("addresses", "Addresses of all pools", {"used": totals.used, "available": totals.available}, "use")
    yield Figure("hub_up", "1 while IoT Hub answers", {"": float(not poller.problem)})
    yield Figure("hub_queries", "Queries sent to IoT Hub since the start", {"": poller.queries})
    yield Figure("sessions", "People and links signed in", {"": len(sessions.live())})
    yield Figure("streams", "Open pages that follow changes", {"": events.count()})


class Requests:
    """ASGI: tells of each answer its status and how many seconds it took."""

    def __init__(self, app: ASGIApp, answered: Callable[[int, float], None]) -> None:
        self._app = app
        self._answered = answered

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] == _STREAMS:
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, counted)
        finally:
            self._answered(status, time.perf_counter() - started)
