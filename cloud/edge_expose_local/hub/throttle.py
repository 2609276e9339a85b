"""Counts calls per operation class, and refuses them beyond the quotas of an S1 hub when that is switched on. Pure."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from edge_expose_local.hub.errors import HubError

# Operation class -> (calls, seconds) of one S1 unit.
S1_QUOTAS: dict[str, tuple[int, int]] = {
    "IdentityRegistry": (100, 60),
    "TwinRead": (100, 1),
    "TwinUpdate": (50, 1),
    "Query": (20, 60),
    "Configuration": (20, 60),
    "Jobs": (100, 60),
    "Method": (100, 1),
    "Connection": (100, 1),
}
KEPT_MINUTES = 60


@dataclass(slots=True)
class Throttle:
    enforced: bool = False
    _recent: dict[str, deque[float]] = field(default_factory=dict)
    _minutes: dict[int, dict[str, int]] = field(default_factory=dict)
    _totals: dict[str, int] = field(default_factory=dict)

    def allow(self, operation: str, now: float) -> bool:
        """Counts one call; False when it is over the quota and quotas are enforced."""
        calls, seconds = S1_QUOTAS[operation]
        recent = self._recent.setdefault(operation, deque())
        while recent and recent[0] <= now - seconds:
            recent.popleft()
        minute = self._minutes.setdefault(int(now // 60) * 60, {})
        minute[operation] = minute.get(operation, 0) + 1
        self._totals[operation] = self._totals.get(operation, 0) + 1
        for old in sorted(self._minutes)[:-KEPT_MINUTES]:
            del self._minutes[old]
        if self.enforced and len(recent) >= calls:
            return False
        if len(recent) < calls:  # beyond the quota nothing more is learned from more entries
            recent.append(now)
        return True

    def check(self, operation: str, now: float) -> None:
        """Counts one call. Raises HubError 429, without Retry-After and closing the connection, as the service does."""
        if not self.allow(operation, now):
            text = f"The request has been throttled. Wait 10 seconds and try again. Operation type: {operation}"
            raise HubError(429, "ThrottlingException", text, 429001, close=True)

    def view(self) -> dict[str, object]:
        """Calls per class: in total, and per minute (keyed by its start in Unix seconds)."""
        return {
            "total": dict(self._totals),
            "minutes": {str(start): dict(counts) for start, counts in self._minutes.items()},
        }
