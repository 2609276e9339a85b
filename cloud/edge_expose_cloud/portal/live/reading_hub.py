"""The hub as pages see it: what was read a moment ago is not read again, so that typing and reloading cost no quota.

Only reads pass; changes go to the real hub. `at` of what is shown stands on every page.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

from edge_expose_cloud.hub.api import Deployment, Hub, HubError, HubProblem, MethodResult, Twin
from edge_expose_cloud.portal.live.hub_health import Health
from edge_expose_cloud.portal.live.module_answers import PATIENCE_SECONDS, ModuleAnswers, Said
from edge_expose_cloud.portal.live.readings import Key, Readings
from edge_expose_contract.identity import MODULE_ID

T = TypeVar("T")
TWIN_SECONDS: Final = 2.0
LIST_SECONDS: Final = 30.0
ANSWER_SECONDS: Final = 8.0
LOOKING: Final = frozenset({"status", "explain", "topology", "history"})
DEPLOYMENTS: Final = ("deployments",)


class ReadingHub:
    """Fulfils `Hub` for reading; every write is refused. Safe to use from several threads."""

    def __init__(self, hub: Hub, readings: Readings, answers: ModuleAnswers) -> None:
        self._hub = hub
        self._readings = readings
        self._answers = answers

    @classmethod
    def of(cls, hub: Hub, now: Callable[[], float] = time.monotonic) -> ReadingHub:
        """With nothing read yet."""
        readings = Readings(now)
        return cls(hub, readings, ModuleAnswers(hub, readings))

    @property
    def health(self) -> Health:
        return self._readings.health

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
        last = self._readings.last(DEPLOYMENTS)
        if last is None:
            return self._get(DEPLOYMENTS, LIST_SECONDS, self._hub.deployments, [])
        if self._readings.now() - last.read > LIST_SECONDS and not self.health.down:
            self._readings.renew(DEPLOYMENTS, self._hub.deployments)
        found: list[Deployment] = last.value
        return found

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
        return self._answers.said(device_id, module_id, method, ask=ask)

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

    # -- how old it is --

    def epoch(self, device_id: str) -> int:
        """How often the device was forgotten: what was asked for before the last time is old when it comes."""
        return self._readings.epoch(device_id)

    def put(self, twin: Twin, epoch: int) -> None:
        """A module twin that somebody has just read, who asked for it in this `epoch`."""
        self._readings.keep(_module_key(twin), twin, epoch)

    def remember(self, twin: Twin) -> None:
        """A module twin from a query, whose answers lag behind: for when nothing better can be had."""
        self._readings.keep_for_want_of_better(_module_key(twin), twin)

    def forget(self, device_id: str) -> None:
        """The next look at this device's twins is a fresh one; the last one stays for when there can be none."""
        self._readings.forget(device_id)

    def read_at(self, device_id: str, module_id: str) -> float:
        """Unix seconds of the reading that pages show now."""
        last = self._readings.last(("module", device_id, module_id))
        return last.at if last is not None else time.time()

    def _get(self, key: Key, seconds: float, read: Callable[[], T], missing: T) -> T:
        """`missing` stands in for what was never read, where the last known is enough."""
        try:
            return self._readings.within(key, seconds, read, ANSWER_SECONDS)
        except TimeoutError:
            raise self._unanswered() from None

    def _unanswered(self) -> HubError:
        error = HubError(HubProblem.UNREACHABLE, f"no answer for {ANSWER_SECONDS:.0f} seconds")
        self.health.failed(error)
        return error

    # -- the same readings for other ends --

    def for_change(self) -> ReadingForChange:
        """For plans that are applied."""
        return ReadingForChange(self._hub, self._readings, self._answers)

    def last_known(self) -> LastKnown:
        """For one page that only shows."""
        return LastKnown(self._hub, self._readings, self._answers)


class ReadingForChange(ReadingHub):
    """Reads the deployments anew each time.

    A deployment that was created a moment ago already sets keys of the twin, so a listing that a page may still show
    is too old to decide who owns a key.
    """

    def deployments(self) -> list[Deployment]:
        try:
            return self._readings.anew(DEPLOYMENTS, self._hub.deployments, ANSWER_SECONDS)
        except TimeoutError:
            raise self._unanswered() from None


class LastKnown(ReadingHub):
    """While the hub does not answer, what was read last. Never for planning: a plan needs what is there now.

    A device that the poller has read is shown even when the rest of it never was: its tags, system modules and
    deployments then count as none. One that nobody has read raises HubError as before. The page waits for the hub a
    moment at most; `late` says that the hub took longer, so that something shown is old.
    """

    def __init__(self, hub: Hub, readings: Readings, answers: ModuleAnswers) -> None:
        super().__init__(hub, readings, answers)
        self._until = time.monotonic() + PATIENCE_SECONDS
        self.late = False

    def _get(self, key: Key, seconds: float, read: Callable[[], T], missing: T) -> T:
        last = self._readings.last(key)
        held = last is not None or key == DEPLOYMENTS
        held = held or (key[-1] != MODULE_ID and self._readings.last(("module", key[1], MODULE_ID)) is not None)
        if not held:
            return super()._get(key, seconds, read, missing)
        if not self.health.down:
            try:
                return self._readings.within(key, seconds, read, max(0.0, self._until - time.monotonic()))
            except TimeoutError:
                self.late = True
            except HubError as error:
                if not error.is_transient:
                    raise
        value: T = last.value if last is not None else missing
        return value


def _module_key(twin: Twin) -> Key:
    return ("module", twin.device_id, twin.module_id or "")
