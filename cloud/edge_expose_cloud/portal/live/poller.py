"""The one poller behind all open pages.

IoT Hub pushes nothing and answers few queries a minute, but many twin reads a second. So: the fleet is swept page by
page within a budget of queries; devices that somebody looks at are read twin by twin, open ones every second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from edge_expose_cloud.hub.api import Hub, HubError, HubProblem, Twin
from edge_expose_cloud.portal.live.events import Event, Events
from edge_expose_cloud.portal.live.fleet import Listing, Row, with_device, with_module
from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from edge_expose_contract.identity import MODULE_ID

log = logging.getLogger(__name__)
OPEN_SECONDS: Final = 1.0
VISIBLE_SECONDS: Final = 5.0
PROBE_SECONDS: Final = 3.0
SLOW_SECONDS: Final = 8.0
EAGER_SECONDS: Final = 0.3
EAGER_FOR: Final = 10.0
LEASE_SECONDS: Final = 30.0
TICK_SECONDS: Final = 0.1
READS_PER_TICK: Final = 6
SWEEP_PAUSE: Final = 20.0
LISTING_SECONDS: Final = 0.5
FLEET_TOPIC: Final = "fleet"


def device_topic(device_id: str) -> str:
    return f"device:{device_id}"


class Budget:
    """`per_minute` tokens that fill up evenly; a full bucket serves a fresh start."""

    def __init__(self, per_minute: float, now: Callable[[], float] = time.monotonic) -> None:
        self._rate = per_minute / 60.0
        self._most = max(1.0, per_minute)
        self._now = now
        self._tokens = self._most
        self._at = now()

    def take(self) -> float:
        """0 when one was taken, else seconds until there is one."""
        now = self._now()
        self._tokens = min(self._most, self._tokens + (now - self._at) * self._rate)
        self._at = now
        if self._tokens >= 1.0:
            self._tokens -= 1.0
            return 0.0
        return (1.0 - self._tokens) / self._rate


class Poller:
    """`rows` is everything known of the fleet."""

    def __init__(self, hub: Hub, reading: ReadingHub, events: Events, queries_per_minute: float) -> None:
        self._hub = hub
        self._reading = reading
        self._events = events
        self._budget = Budget(queries_per_minute)
        self._visible: dict[str, float] = {}
        self._read: dict[str, float] = {}
        self._eager: dict[str, float] = {}
        self.rows: dict[str, Row] = {}
        self._health = reading.health
        self._told = ""
        self._probed = 0.0
        self.sweeps = 0
        self.swept_at = 0.0
        self.queries = 0
        self._last_fleet_event = 0.0
        self._listed_at = 0.0
        self._listing = Listing()
        self._version = self._listed_version = 0

    @property
    def problem(self) -> str:
        """What keeps the hub from answering, "" when nothing does."""
        return self._health.problem

    def listing(self) -> Listing:
        """All rows; made anew where one has changed, and twice a second at most, since every page asks."""
        now, version = time.monotonic(), self._version
        if version != self._listed_version and (now - self._listed_at > LISTING_SECONDS or not self._listed_version):
            self._listed_at, self._listed_version = now, version
            self._listing = Listing(self.rows.copy().values())
        return self._listing

    # -- what pages tell, from threads of their own --

    def show(self, devices: Iterable[str]) -> None:
        """These stand on a page now: they are kept fresh for a while."""
        until = time.monotonic() + LEASE_SECONDS
        for device in devices:
            self._visible[device] = until

    def poke(self, device: str) -> None:
        """It was just changed: look at once, and often until the device has had time to answer."""
        self._read.pop(device, None)
        self._eager[device] = time.monotonic() + EAGER_FOR

    # -- the loops --

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._sweep_forever())
            group.create_task(self._look_forever())

    async def _sweep_forever(self) -> None:
        pause = 1.0
        while True:
            try:
                await self._sweep()
                pause = 1.0
                await asyncio.sleep(SWEEP_PAUSE)
            except HubError as error:
                # Queries are few: while twins are read, a throttled one leaves what is looked at as fresh as before.
                if error.problem is not HubProblem.THROTTLED or not self._read:
                    self._failed(error)
                await asyncio.sleep(pause)
                pause = min(30.0, pause * 2)

    async def _sweep(self) -> None:
        """Modules and devices alternately, so that the first pages of both are there at once."""
        started = time.time()
        modules: str | None = None
        devices: str | None = None
        more_modules = more_devices = True
        while more_modules or more_devices:
            if more_modules:
                twins, modules = await self._query(lambda token=modules: self._hub.module_twins_page(MODULE_ID, token))  # type: ignore[misc]
                more_modules = modules is not None
                self._take(twins, with_module)
            if more_devices:
                twins, devices = await self._query(lambda token=devices: self._hub.edge_devices_page(token))  # type: ignore[misc]
                more_devices = devices is not None
                self._take(twins, with_device)
            self._fleet_changed()
        for device, row in list(self.rows.items()):
            if row.at < started and device not in self._visible:
                # Not met in a whole sweep: unregistered, or without our module since.
                del self.rows[device]
                self._version += 1
        self.sweeps += 1
        self.swept_at = time.time()
        self._fleet_changed(force=True)

    async def _query(self, call: Callable[[], tuple[list[Twin], str | None]]) -> tuple[list[Twin], str | None]:
        await self._afford()
        self.queries += 1
        found = await asyncio.to_thread(call)
        self._worked()
        return found

    async def _afford(self) -> None:
        wait = self._budget.take()
        if wait:
            await asyncio.sleep(wait)
            await self._afford()

    def _take(self, twins: Iterable[Twin], into: Callable[[Row | None, Twin, float], Row]) -> None:
        at = time.time()
        for twin in twins:
            row = into(self.rows.get(twin.device_id), twin, at)
            if twin.module_id == MODULE_ID:
                self._reading.remember(twin)
            self.rows[twin.device_id] = row if row.module else replace(row, at=at)
            self._version += 1

    async def _look_forever(self) -> None:
        while True:
            self._tell_health()
            due = self._due()
            if due:
                await asyncio.gather(*(self._look(device) for device in due))
            await asyncio.sleep(TICK_SECONDS)

    def _due(self) -> list[str]:
        """Devices to read now, the longest unread first."""
        now = time.monotonic()
        for device, until in list(self._visible.items()):
            if until < now:
                self._visible.pop(device, None)
        topics = self._events.topics()
        opened = {topic.removeprefix("device:") for topic in topics if topic.startswith("device:")}
        wanted = dict.fromkeys(list(self._visible), VISIBLE_SECONDS) if FLEET_TOPIC in topics else {}
        wanted |= dict.fromkeys(opened, OPEN_SECONDS)
        eager = {device for device, until in list(self._eager.items()) if until > now}
        wanted |= dict.fromkeys(eager & opened, EAGER_SECONDS)
        late = [(self._read.get(device, 0.0), device) for device, every in wanted.items()]
        due = [device for read, device in sorted(late) if now - read >= wanted[device]]
        for device in list(self._read):
            if device not in wanted:
                self._read.pop(device, None)
                self._eager.pop(device, None)
        if not self.problem:
            return due[:READS_PER_TICK]
        # One device is enough to learn that the hub is back; all of them would only add to its load.
        if not due or now - self._probed < PROBE_SECONDS:
            return []
        self._probed = now
        return due[:1]

    async def _look(self, device: str) -> None:
        self._read[device] = time.monotonic()
        epoch = self._reading.epoch(device)
        try:
            twin = await self._read_twin(device)
        except HubError as error:
            self._failed(error)
            return
        self._worked()
        if twin is None:
            return
        self._reading.put(twin, epoch)
        before = self.rows.get(device)
        row = with_module(before, twin, time.time())
        self.rows[device] = row
        self._version += 1
        if before is None or before.stamp != row.stamp:
            self._events.send(Event("changed", device_topic(device)))
            self._fleet_changed(force=True)
        else:
            self._events.send(Event("seen", device_topic(device)))

    async def _read_twin(self, device: str) -> Twin | None:
        """A hub that only hangs fails after minutes: pages are told long before, and are told again while it hangs."""
        reading = asyncio.ensure_future(asyncio.to_thread(self._hub.module_twin, device, MODULE_ID))
        while not (await asyncio.wait({reading}, timeout=SLOW_SECONDS))[0]:
            self._failed(HubError(HubProblem.UNREACHABLE, f"no answer for {SLOW_SECONDS:.0f} seconds"))
        return reading.result()

    # -- telling --

    def _fleet_changed(self, force: bool = False) -> None:
        now = time.monotonic()
        if force or now - self._last_fleet_event > 1.0:
            self._last_fleet_event = now
            self._events.send(Event("changed", FLEET_TOPIC))

    def _failed(self, error: HubError) -> None:
        self._health.failed(error)
        self._tell_health()

    def _worked(self) -> None:
        self._health.worked()
        self._tell_health()

    def _tell_health(self) -> None:
        """Pages find the hub failing as well, in threads of their own: they are told of it from here."""
        if self.problem == self._told:
            return
        self._told = self.problem
        if self._told:
            log.warning("hub: %s", self._told)
        else:
            log.info("hub: it answers again")
        self._tell_all()

    def _tell_all(self) -> None:
        for topic in self._events.topics():
            self._events.send(Event("changed", topic))
