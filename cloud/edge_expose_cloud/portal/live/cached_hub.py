"""The hub as pages see it: what was read a moment ago is not read again, so that typing and reloading cost no quota.

Only reads pass; changes go to the real hub. `at` of what is shown stands on every page.
"""

from __future__ import annotations

import contextlib
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem, MethodResult, Twin
from edge_expose_cloud.portal.live.hub_health import Health

T = TypeVar("T")
TWIN_SECONDS: Final = 2.0
LIST_SECONDS: Final = 30.0
MOST_KEPT: Final = 2000
METHOD_SECONDS: Final = 5
TOPOLOGY_SECONDS: Final = 1.0
PATIENCE_SECONDS: Final = 0.7
MOST_ASKED: Final = 16
ANSWER_SECONDS: Final = 8.0
UNANSWERED_SECONDS: Final = 60.0
LOOKING: Final = frozenset({"status", "explain", "topology", "history"})


@dataclass(frozen=True, slots=True)
class Said:
    """What a module answers to a method; where it does not answer `now`, what it answered last, None for never."""

    payload: Any
    now: bool


NOTHING_SAID: Final = Said(None, now=True)


class ReadingHub:
    """Fulfils `Hub` for reading; every write is refused. Safe to use from several threads."""

    def __init__(self, hub: Hub, now: Callable[[], float] = time.monotonic) -> None:
        self._hub = hub
        self._now = now
        self.health = Health(now)
        self._kept: dict[tuple[str, ...], tuple[Any, float, float]] = {}
        self._epochs: dict[str, int] = {}
        self._lock = threading.Lock()
        self._listing: Future[None] | None = None
        self._asked: dict[tuple[str, str], Future[Any]] = {}
        self._reads: dict[tuple[tuple[str, ...], int | None], Future[Any]] = {}
        self._workers = ThreadPoolExecutor(6, "reading")
        self._readers = ThreadPoolExecutor(16, "hub")

    @property
    def host(self) -> str:
        return self._hub.host

    def device_twin(self, device_id: str) -> Twin | None:
        missing: Twin | None = Twin(device_id, None, "")
        return self._get(("device", device_id), TWIN_SECONDS, lambda: self._hub.device_twin(device_id), missing)

    def module_twin(self, device_id: str, module_id: str) -> Twin | None:
        key = ("module", device_id, module_id)
        return self._get(key, TWIN_SECONDS, lambda: self._hub.module_twin(device_id, module_id), None)

    def module_twins(self, module_id: str) -> list[Twin]:
        return self._hub.module_twins(module_id)

    def module_twins_page(self, module_id: str, token: str | None) -> tuple[list[Twin], str | None]:
        return self._hub.module_twins_page(module_id, token)

    def edge_devices_page(self, token: str | None) -> tuple[list[Twin], str | None]:
        return self._hub.edge_devices_page(token)

    def each_module_twin(self, module_id: str) -> Iterator[Twin]:
        return self._hub.each_module_twin(module_id)

    def unconverged(self, module_id: str, limit: int) -> list[Twin]:
        return self._hub.unconverged(module_id, limit)

    def count_unconverged(self, module_id: str) -> int:
        return self._hub.count_unconverged(module_id)

    def targeted_devices(self, deployment_ids: Iterable[str]) -> list[str]:
        return self._hub.targeted_devices(deployment_ids)

    def devices_matching(self, condition: str) -> list[str]:
        return self._hub.devices_matching(condition)

    def module_ids(self, device_id: str) -> list[str]:
        return self._get(("ids", device_id), LIST_SECONDS, lambda: self._hub.module_ids(device_id), [])

    def deployments(self) -> list[Deployment]:
        """Half a minute old at most, or older while the hub has no room for another call: pages never wait for it."""
        kept = self._kept.get(("deployments",))
        if kept is None:
            return self._get(("deployments",), LIST_SECONDS, self._hub.deployments, [])
        if self._now() - kept[1] > LIST_SECONDS and not self.health.down:
            with self._lock:
                if self._listing is None or self._listing.done():
                    self._listing = self._workers.submit(self._list)
        found: list[Deployment] = kept[0]
        return found

    def _list(self) -> None:
        with contextlib.suppress(HubError):
            self._keep(("deployments",), self._hub.deployments())

    def invoke(self, device_id: str, module_id: str, method: str, payload: Any, timeout: int = 30) -> MethodResult:
        """Direct methods that only look."""
        if method not in LOOKING:
            raise HubError(HubProblem.FORBIDDEN, f"{method} is not for pages")
        if method == "topology":
            # Who holds addresses is worth knowing even when it is old.
            said = self.said(device_id, module_id, method)
            return MethodResult(504 if said.payload is None else 200, said.payload)
        return self._hub.invoke(device_id, module_id, method, payload, timeout)

    def said(self, device_id: str, module_id: str, method: str, *, ask: bool = True) -> Said:
        """What the module answers to a method without parameters, else what it answered last; without `ask` that."""
        answer = self._answer(device_id, module_id, method) if ask else None
        if answer is not None:
            return Said(answer, now=True)
        kept = self._kept.get((f"last {method}", device_id))
        return Said(kept[0] if kept is not None else None, now=False)

    def _answer(self, device_id: str, module_id: str, method: str) -> Any:
        """None when it has not answered.

        Asked beside the page, which waits a moment at most: a link that has just died answers after many seconds.
        """
        key = (method, device_id)
        with self._lock:
            kept = self._kept.get(key)
            age = self._now() - kept[1] if kept is not None else None
            lasts = UNANSWERED_SECONDS if kept is not None and kept[0] is None else TOPOLOGY_SECONDS
            fresh = age is not None and age <= lasts
            asked = self._asked.get(key)
            if not fresh and asked is None and len(self._asked) < MOST_ASKED and not self.health.down:
                asked = self._asked[key] = self._workers.submit(self._ask, device_id, module_id, method)
        if not fresh and asked is not None:
            try:
                return asked.result(PATIENCE_SECONDS)
            except TimeoutError:
                pass
        return kept[0] if kept is not None else None

    def _ask(self, device_id: str, module_id: str, method: str) -> Any:
        payload: Any = None
        try:
            result = self._hub.invoke(device_id, module_id, method, {}, METHOD_SECONDS)
            payload = result.payload if result.status == 200 else None
        except HubError:
            payload = None
        finally:
            self._keep((method, device_id), payload)
            if payload is not None:
                self._keep((f"last {method}", device_id), payload)
            with self._lock:
                self._asked.pop((method, device_id), None)
        return payload

    # -- writes do not belong here --

    def patch_module_twin(self, device_id: str, module_id: str, desired: Mapping[str, Any], etag: str) -> Twin:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    def patch_device_tags(self, device_id: str, tags: Mapping[str, Any], etag: str) -> Twin:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    def apply_content(
        self, device_id: str, modules_content: Mapping[str, Any], ready: Callable[[], None] = lambda: None
    ) -> None:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    def create_deployment(self, deployment: Deployment) -> Deployment:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    def update_deployment(self, deployment: Deployment) -> Deployment:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    def delete_deployment(self, deployment_id: str) -> None:
        raise HubError(HubProblem.FORBIDDEN, "pages only read")

    # -- keeping --

    def epoch(self, device_id: str) -> int:
        """How often the device was forgotten: what was asked for before the last time is old when it comes."""
        with self._lock:
            return self._epochs.get(device_id, 0)

    def put(self, twin: Twin, epoch: int) -> None:
        """A module twin that somebody has just read, who asked for it in this `epoch`."""
        self._keep(("module", twin.device_id, twin.module_id or ""), twin, epoch)

    def remember(self, twin: Twin) -> None:
        """A module twin from a query, whose answers lag behind: for when nothing better can be had."""
        key = ("module", twin.device_id, twin.module_id or "")
        with self._lock:
            if key not in self._kept and len(self._kept) < MOST_KEPT // 2:
                self._kept[key] = (twin, -math.inf, time.time())

    def forget(self, device_id: str) -> None:
        """The next look at this device's twins is a fresh one; the last one stays for when there can be none."""
        with self._lock:
            self._epochs[device_id] = self._epochs.get(device_id, 0) + 1
            for key in [key for key in self._kept if device_id in key[1:2]]:
                self._kept[key] = (self._kept[key][0], -math.inf, self._kept[key][2])

    def read_at(self, device_id: str, module_id: str) -> float:
        """Unix seconds of the reading that pages show now."""
        kept = self._kept.get(("module", device_id, module_id))
        return kept[2] if kept is not None else time.time()

    def _get(self, key: tuple[str, ...], seconds: float, read: Callable[[], T], missing: T) -> T:
        """`missing` stands in for what was never read, where the last known is enough."""
        try:
            return self._within(key, seconds, read, ANSWER_SECONDS)
        except TimeoutError:
            raise self._unanswered() from None

    def _unanswered(self) -> HubError:
        error = HubError(HubProblem.UNREACHABLE, f"no answer for {ANSWER_SECONDS:.0f} seconds")
        self.health.failed(error)
        return error

    def _within(self, key: tuple[str, ...], seconds: float, read: Callable[[], T], patience: float) -> T:
        """What is kept and no older than `seconds`, else what the hub answers; TimeoutError when it takes longer.

        It is asked once at a time for the same thing, beside the page: a call that hangs goes on, and what it brings is
        kept for the next page.
        """
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None and self._now() - kept[1] <= seconds:
                value: T = kept[0]
                return value
            epoch = self._epochs.get(key[1], 0) if len(key) > 1 else None
            asked = self._reads.get((key, epoch))
            if asked is None:
                asked = self._reads[key, epoch] = self._readers.submit(self._read, key, epoch, read)
        found: T = asked.result(patience)
        return found

    def _read(self, key: tuple[str, ...], epoch: int | None, read: Callable[[], T]) -> T:
        try:
            fresh = read()
        except HubError as error:
            # A listing that is throttled says nothing of the twins; the poller tells when those are.
            if error.is_transient and error.problem is not HubProblem.THROTTLED:
                self.health.failed(error)
            raise
        finally:
            with self._lock:
                self._reads.pop((key, epoch), None)
        self._keep(key, fresh, epoch)
        return fresh

    def _keep(self, key: tuple[str, ...], value: object, epoch: int | None = None) -> None:
        with self._lock:
            late = epoch is not None and epoch != self._epochs.get(key[1], 0)
            if late and key in self._kept:
                return  # what is kept is as old, or newer
            self._kept[key] = (value, -math.inf if late else self._now(), time.time())
            if len(self._kept) > MOST_KEPT:
                for old in sorted(self._kept.keys() - {("deployments",)}, key=lambda one: self._kept[one][1])[:500]:
                    del self._kept[old]


class ReadingForChange(ReadingHub):
    """Shares everything with the reading hub it is made of, and reads the deployments anew each time.

    For plans that are applied: a deployment that was created a moment ago already sets keys of the twin, so a listing
    that a page may still show is too old to decide who owns a key.
    """

    __slots__ = ()

    def __init__(self, of: ReadingHub) -> None:
        self.__dict__ = of.__dict__

    def deployments(self) -> list[Deployment]:
        """Never joins a listing that is under way: it may have begun before the deployment was created."""
        reading = self._readers.submit(self._read, ("deployments",), None, self._hub.deployments)
        try:
            return reading.result(ANSWER_SECONDS)
        except TimeoutError:
            raise self._unanswered() from None
