"""Values that change again and again: after a few changes each is told once in a while, and the last one always.

Each name is paced for itself, so that one that flaps delays no other. No I/O but the clock it is given.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

FREE_CHANGES: Final = 3
"""So many changes within the window are told at once."""
WINDOW_SECONDS: Final = 60.0
PAUSE_SECONDS: Final = 5.0
_LEAST_WAIT: Final = 0.05


@dataclass(frozen=True, slots=True)
class _Told(Generic[T]):
    """The value told last, and when changes were told within the window."""

    value: T
    times: tuple[float, ...] = ()


class Damping(Generic[T]):
    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._told: dict[str, _Told[T]] = {}
        self._due: float | None = None

    def pace(self, values: Mapping[str, T], anew: Collection[str] = ()) -> dict[str, T]:
        """What may be told now of each name: its value, or the one before while that has to wait. The changes before
        do not count for names of `anew`: somebody asked for something else, which is no flapping."""
        now = self._clock()
        self._due = None
        self._told = {name: self._next(name, value, now, name in anew) for name, value in values.items()}
        return {name: told.value for name, told in self._told.items()}

    def due_in(self) -> float | None:
        """Seconds until a value that waits may be told; None when none waits."""
        return None if self._due is None else max(_LEAST_WAIT, self._due - self._clock())

    def _next(self, name: str, value: T, now: float, anew: bool) -> _Told[T]:
        before = self._told.get(name)
        if before is None or anew:
            return _Told(value)
        if value == before.value:
            return before
        times = tuple(moment for moment in before.times if now - moment < WINDOW_SECONDS)
        due = times[-1] + PAUSE_SECONDS if len(times) >= FREE_CHANGES else now
        if now < due:
            self._due = due if self._due is None else min(due, self._due)
            return before
        return _Told(value, (*times, now))
