"""Bad luck on demand: what the control socket can switch on, and the counters that say what is left of it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

from .kinds.errors import ApiError, Document

CATALOG: dict[str, str] = {
    "api-status": "answer the next COUNT API calls (default 1) with CODE (400 to 599)",
    "api-hang": "hold every API call until the fault is taken back; on=false does so",
    "api-down": "refuse connections to the API for SECONDS",
    "drop-watches": "end all watches now",
    "gone": "answer the next COUNT watches (default 1) with 410 Gone, and end those that there are",
    "lb-stopped": "stop the load balancer; on=false starts it again",
    "kubelet-not-ready": "keep POD (its name, or NAMESPACE/NAME) from being ready; on=false lets it be",
}
# Options by fault, with what they hold; those of _NEEDED cannot be left out.
_OPTIONS: dict[str, dict[str, type | tuple[type, ...]]] = {
    "api-status": {"code": int, "count": int},
    "api-hang": {"on": bool},
    "api-down": {"seconds": (int, float)},
    "drop-watches": {},
    "gone": {"count": int},
    "lb-stopped": {"on": bool},
    "kubelet-not-ready": {"pod": str, "on": bool},
}
_NEEDED = {"api-status": "code", "api-down": "seconds", "kubelet-not-ready": "pod"}


def problem(name: str, options: Document) -> str | None:
    """What is wrong with a fault that somebody asks for, or None."""
    if name not in CATALOG:
        return f"fault '{name}' is not known; known are {', '.join(sorted(CATALOG))}"
    for key, value in options.items():
        kind = _OPTIONS[name].get(key)
        if kind is None or not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            return f"option '{key}' with the value {value!r} is not understood; {name}: {CATALOG[name]}"
    needed = _NEEDED.get(name)
    if needed is not None and needed not in options:
        return f"{name} needs {needed}=...: {CATALOG[name]}"
    if name == "api-status" and not 400 <= options["code"] <= 599:
        return "code must be 400 to 599"
    return None


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

    def view(self) -> list[Document]:
        """Return what is in force: name, options, and how often it will still happen where that is counted."""
        found: list[Document] = []
        if self.status_left > 0:
            found.append({"name": "api-status", "code": self.status_code, "remaining": self.status_left})
        if self.hang:
            found.append({"name": "api-hang"})
        if (seconds := round(self.api_down_until - time.monotonic(), 1)) > 0:
            found.append({"name": "api-down", "seconds": seconds})
        if self.gone > 0:
            found.append({"name": "gone", "remaining": self.gone})
        if self.lb_stopped:
            found.append({"name": "lb-stopped"})
        return found + [{"name": "kubelet-not-ready", "pod": pod} for pod in sorted(self.not_ready)]

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
