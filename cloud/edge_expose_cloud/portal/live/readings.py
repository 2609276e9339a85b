"""What was read of the hub, and when: one reading for everybody who asks for the same thing."""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_cloud.portal.live.hub_health import Health

T = TypeVar("T")
Key = tuple[str, ...]
"""What was read, then the device it is of, if any, then what else tells it from others."""

MOST_KEPT: Final = 2000


@dataclass(frozen=True, slots=True)
class Reading:
    """`read` is on the clock of the readings, minus infinity where it counts as old; `at` are Unix seconds."""

    value: Any
    read: float
    at: float


class Readings:
    """Safe to use from several threads. What is old or forgotten stays, for when nothing better can be had."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self.now = now
        self.health = Health(now)
        self._kept: dict[Key, Reading] = {}
        self._epochs: dict[str, int] = {}
        self._lock = threading.Lock()
        self._under_way: dict[tuple[Key, int | None], Future[Any]] = {}
        self._renewing: dict[Key, Future[None]] = {}
        self._readers = ThreadPoolExecutor(16, "hub")

    def last(self, key: Key) -> Reading | None:
        """However old."""
        return self._kept.get(key)

    def keep(self, key: Key, value: object, epoch: int | None = None) -> None:
        """`epoch` is the device's when it was asked for; None is for what no change of a device makes old."""
        with self._lock:
            late = epoch is not None and epoch != self._epochs.get(key[1], 0)
            if late and key in self._kept:
                return  # what is kept is as old, or newer
            self._kept[key] = Reading(value, -math.inf if late else self.now(), time.time())
            if len(self._kept) > MOST_KEPT:
                # Every page shows the deployments.
                there = sorted(self._kept.keys() - {("deployments",)}, key=lambda each: self._kept[each].read)
                for old in there[: MOST_KEPT // 4]:
                    del self._kept[old]

    def keep_for_want_of_better(self, key: Key, value: object) -> None:
        """As old from the start, and only where there is nothing yet."""
        with self._lock:
            if key not in self._kept and len(self._kept) < MOST_KEPT // 2:
                self._kept[key] = Reading(value, -math.inf, time.time())

    def epoch(self, device_id: str) -> int:
        """How often the device was forgotten: what was asked for before the last time is old when it comes."""
        with self._lock:
            return self._epochs.get(device_id, 0)

    def forget(self, device_id: str) -> None:
        """What was read of this device is old."""
        with self._lock:
            self._epochs[device_id] = self._epochs.get(device_id, 0) + 1
            for key in [key for key in self._kept if device_id in key[1:2]]:
                self._kept[key] = Reading(self._kept[key].value, -math.inf, self._kept[key].at)

    def within(self, key: Key, seconds: float, read: Callable[[], T], patience: float) -> T:
        """What is kept and no older than `seconds`, else what the hub answers; TimeoutError when it takes longer.

        It is asked once at a time for the same thing, beside the page: a call that hangs goes on, and what it brings is
        kept for the next page.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self.now() - kept.read <= seconds:
                value: T = kept.value
                return value
            epoch = self._epochs.get(key[1], 0) if len(key) > 1 else None
            asked = self._under_way.get((key, epoch))
            if asked is None:
                asked = self._under_way[key, epoch] = self._readers.submit(self._read, key, epoch, read)
        found: T = asked.result(patience)
        return found

    def anew(self, key: Key, read: Callable[[], T], patience: float) -> T:
        """Never joins a reading that is under way, which may have begun before a change; TimeoutError as above."""
        return self._readers.submit(self._read, key, None, read).result(patience)

    def renew(self, key: Key, read: Callable[[], object]) -> None:
        """Reads beside everybody, who go on with what is kept; a failure leaves that."""

        def renewed() -> None:
            with contextlib.suppress(HubError):
                self.keep(key, read())

        with self._lock:
            under_way = self._renewing.get(key)
            if under_way is None or under_way.done():
                self._renewing[key] = self._readers.submit(renewed)

    def _read(self, key: Key, epoch: int | None, read: Callable[[], T]) -> T:
        try:
            fresh = read()
        except HubError as error:
            # A listing that is throttled says nothing of the twins; the poller tells when those are.
            if error.is_transient and error.problem is not HubProblem.THROTTLED:
                self.health.failed(error)
            raise
        finally:
            with self._lock:
                self._under_way.pop((key, epoch), None)
        self.keep(key, fresh, epoch)
        return fresh
