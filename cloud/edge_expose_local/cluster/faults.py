"""Bad luck on demand: what the control socket can switch on, and the counters that say what is left of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from .errors import ApiError, Document


@dataclass(slots=True)
class Faults:
    """The faults in force. `api_down_until` is monotonic seconds."""

    status_code: int = 0
    status_left: int = 0
    hang: bool = False
    api_down_until: float = 0.0
    gone: int = 0
    lb_stopped: bool = False
    not_ready: set[str] = field(default_factory=set)
    released: asyncio.Event = field(default_factory=asyncio.Event)

    def document(self) -> Document:
        """Return what is in force, for GET /faults."""
        return {
            "api-status": {"code": self.status_code, "left": self.status_left} if self.status_left else None,
            "api-hang": self.hang,
            "api-down": max(0.0, round(self.api_down_until - time.monotonic(), 1)),
            "gone": self.gone,
            "lb-stopped": self.lb_stopped,
            "kubelet-not-ready": sorted(self.not_ready),
        }

    def clear(self) -> None:
        """End everything."""
        self.status_code = self.status_left = self.gone = 0
        self.hang = self.lb_stopped = False
        self.api_down_until = 0.0
        self.not_ready.clear()
        self.released.set()

    async def before_request(self) -> None:
        """Hang or fail a request when a fault says so."""
        while self.hang:
            self.released.clear()
            await self.released.wait()
        if self.status_left > 0:
            self.status_left -= 1
            reasons = {
                409: "Conflict",
                429: "TooManyRequests",
                500: "InternalError",
                503: "ServiceUnavailable",
                504: "Timeout",
                401: "Unauthorized",
                403: "Forbidden",
            }
            details: Document | None = {"retryAfterSeconds": 1} if self.status_code in (429, 503) else None
            reason = reasons.get(self.status_code, "")
            raise ApiError(self.status_code, reason, f"injected failure {self.status_code}", details)
