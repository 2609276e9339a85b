"""What modules answer to methods that only look, asked beside the page."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Final

from edge_expose_cloud.hub.api import Hub, HubError
from edge_expose_cloud.portal.live.readings import Readings

METHOD_SECONDS: Final = 5
ANSWER_LASTS: Final = 1.0
SILENCE_LASTS: Final = 60.0
PATIENCE_SECONDS: Final = 0.7
MOST_ASKED: Final = 16


@dataclass(frozen=True, slots=True)
class Said:
    """What a module answers to a method; where it does not answer `now`, what it answered last, None for never."""

    payload: Any
    now: bool


NOTHING_SAID: Final = Said(None, now=True)


class ModuleAnswers:
    """Safe to use from several threads."""

    def __init__(self, hub: Hub, readings: Readings) -> None:
        self._hub = hub
        self._readings = readings
        self._lock = threading.Lock()
        self._asked: dict[tuple[str, str], Future[Any]] = {}
        self._workers = ThreadPoolExecutor(6, "asking")

    def said(self, device_id: str, module_id: str, method: str, *, ask: bool = True) -> Said:
        """The answer to a method without parameters, else what was answered last; without `ask` that."""
        answer = self._answer(device_id, module_id, method) if ask else None
        if answer is not None:
            return Said(answer, now=True)
        last = self._readings.last((f"last {method}", device_id))
        return Said(last.value if last is not None else None, now=False)

    def _answer(self, device_id: str, module_id: str, method: str) -> Any:
        """None when it has not answered.

        The page waits a moment at most: a link that has just died answers after many seconds.
        """
        key = (method, device_id)
        with self._lock:
            last = self._readings.last(key)
            lasts = SILENCE_LASTS if last is not None and last.value is None else ANSWER_LASTS
            fresh = last is not None and self._readings.now() - last.read <= lasts
            asked = self._asked.get(key)
            if not fresh and asked is None and len(self._asked) < MOST_ASKED and not self._readings.health.down:
                asked = self._asked[key] = self._workers.submit(self._ask, device_id, module_id, method)
        if not fresh and asked is not None:
            try:
                return asked.result(PATIENCE_SECONDS)
            except TimeoutError:
                pass
        return last.value if last is not None else None

    def _ask(self, device_id: str, module_id: str, method: str) -> Any:
        payload: Any = None
        try:
            with contextlib.suppress(HubError):
                result = self._hub.invoke(device_id, module_id, method, {}, METHOD_SECONDS)
                payload = result.payload if result.status == 200 else None
        finally:
            self._readings.keep((method, device_id), payload)
            if payload is not None:
                self._readings.keep((f"last {method}", device_id), payload)
            with self._lock:
                self._asked.pop((method, device_id), None)
        return payload
