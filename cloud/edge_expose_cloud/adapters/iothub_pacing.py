"""How fast and how often the hub is called: inside the quotas of its tier, and again after a 429 or a server error."""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from edge_expose_cloud.adapters.pace_file import SharedWindow
from edge_expose_cloud.hub.api import HubProblem

Operation = Literal["IdentityRegistry", "TwinRead", "TwinUpdate", "Query", "Configuration", "Method"]

# Calls and seconds of one S1 unit (the service's quota page), less a tenth for other users of the hub.
S1_CALLS: dict[Operation, tuple[int, float]] = {
    "IdentityRegistry": (90, 60.0),
    "TwinRead": (90, 1.0),
    "TwinUpdate": (45, 1.0),
    "Query": (18, 60.0),
    "Configuration": (18, 60.0),
    "Method": (40, 1.0),
}


@dataclass(frozen=True, slots=True)
class Patience:
    """How a throttled or failing call is repeated. The hub sends no Retry-After; it asks for 10 seconds in words."""

    attempts: int = 5
    first_pause: float = 10.0
    longest_pause: float = 60.0
    server_error_pause: float = 1.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random

    def pause(self, attempt: int, problem: HubProblem) -> float:
        base = self.first_pause if problem is HubProblem.THROTTLED else self.server_error_pause
        full = min(self.longest_pause, base * 2**attempt)
        return float(full * (0.75 + 0.5 * self.jitter()))


_WORTH_TELLING = 5.0


@dataclass(slots=True)
class Pace:
    """Holds a call back until its quota has room, so that a long job never meets a 429 of its own making.

    `told(operation, seconds)` hears of pauses of five seconds and more. With `shared`, quotas of a minute are kept by
    all commands of this user together; other clients of the hub are not seen.
    """

    units: int = 1
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    told: Callable[[str, float], None] = lambda operation, seconds: None
    shared: SharedWindow | None = None
    counts: dict[str, int] = field(default_factory=dict)
    _recent: dict[str, deque[float]] = field(default_factory=dict)

    def wait(self, operation: Operation) -> None:
        """Returns when one more call of this kind is within the quota, and counts it."""
        calls, seconds = S1_CALLS[operation]
        # A minute's quota grows with the units; the quotas per second of S1 and S2 do so only from many units on.
        allowed = calls * self.units if seconds >= 60 else calls
        while pause := self._pause(operation, allowed, seconds):
            if pause >= _WORTH_TELLING:
                self.told(operation, pause)
            self.sleep(max(pause, 0.001))
        self.counts[operation] = self.counts.get(operation, 0) + 1

    def _pause(self, operation: Operation, allowed: int, seconds: float) -> float:
        """0 when a call may be made now, which is noted."""
        if self.shared is not None and seconds >= 60:
            return self.shared.take(operation, allowed, seconds)
        recent = self._recent.setdefault(operation, deque())
        now = self.clock()
        while recent and recent[0] <= now - seconds:
            recent.popleft()
        if len(recent) >= allowed:
            return max(recent[0] + seconds - now, 0.001)  # never 0, which would be a grant
        recent.append(now)
        return 0.0
