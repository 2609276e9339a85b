"""Failure injection: which faults are set, for how many times, and for whom. Pure; the servers ask `take`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

JsonObject = dict[str, Any]

# Options of every counted fault: count (default 1, -1 for ever); device, module where an identity is concerned;
# path (a prefix) and method for HTTP.
CATALOG: dict[str, str] = {
    "http-status": "answer the next COUNT calls with STATUS; also path, method, retry_after, after_apply, body",
    "http-hang": "hold the next COUNT calls for SECONDS (default 120), then close without an answer; also path, method",
    "http-empty": "answer the next COUNT calls with 200 and an empty body; also path, method",
    "http-garbage": "answer the next COUNT calls with 200 and a body that is no JSON; also path, method",
    "connack": "answer the next COUNT MQTT CONNECTs with CODE (3 transient, 5 final for the SDK)",
    "connect-silent": "leave the next COUNT MQTT CONNECTs without an answer",
    "drop-connections": "close all MQTT links now (or those of DEVICE, MODULE)",
    "drop-every": "close all MQTT links every SECONDS",
    "refuse-connections": "close the next COUNT MQTT connections before CONNECT is read (-1: until cleared)",
    "withhold-twin-reply": "acknowledge the next COUNT twin requests, never reply; drop=true closes the link instead",
    "twin-status": "answer the next COUNT twin requests with STATUS (default 429)",
    "twin-delay": "answer the next COUNT twin requests after SECONDS",
    "empty-twin": "answer the next COUNT twin GETs with empty desired and reported properties, as edgeHub may do",
    "no-version": "leave $version out of the next COUNT twin replies and desired patches",
    "duplicate-patches": "send the next COUNT desired patches twice",
    "reorder-patches": "hold the next COUNT desired patches back until another one went out",
    "lose-patches": "do not send the next COUNT desired patches",
    "full-document": "send the whole desired document in place of the next COUNT desired patches",
    "version-back": "start the twin of DEVICE, MODULE again at version 1 with the same content",
    "forget-sessions": "drop all MQTT links and every stored subscription (or those of DEVICE, MODULE)",
    "suback-missing": "do not answer the next COUNT SUBSCRIBEs",
    "suback-refuse": "answer the next COUNT SUBSCRIBEs with 0x80",
    "sign-fail": "answer the next COUNT sign calls of the workload API with STATUS (default 500)",
    "sign-slow": "answer the next COUNT sign calls after SECONDS (default 5)",
    "trust-bundle-fail": "answer the next COUNT trust bundle calls with STATUS (default 500)",
    "cloud-offline": "cut DEVICE off from the cloud, its modules stay connected to edgeHub; on=false brings it back",
    "throttle": "enforce the quotas of an S1 hub; on=false stops it",
}
_NUMBERS = {"count", "status", "seconds", "code", "retry_after"}
_TEXTS = {"device", "module", "path", "method", "body"}
_SWITCHES = {"on", "drop", "after_apply"}


@dataclass(slots=True)
class Fault:
    name: str
    options: JsonObject
    remaining: int

    def number(self, name: str, default: float) -> float:
        return float(self.options.get(name, default))

    def fits(self, facts: dict[str, str]) -> bool:
        for name in ("device", "module", "method"):
            if name in self.options and facts.get(name) != self.options[name]:
                return False
        return "path" not in self.options or facts.get("path", "").startswith(self.options["path"])


def check(body: Any) -> Fault | str:
    """A fault from a control request, or what is wrong with it."""
    if not isinstance(body, dict) or not isinstance(body.get("name"), str):
        return "a fault needs a name"
    name, options = body["name"], {key: value for key, value in body.items() if key != "name"}
    if name not in CATALOG:
        return f"fault '{name}' is not known; known are {', '.join(sorted(CATALOG))}"
    for key, value in options.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not (
            (key in _NUMBERS and is_number)
            or (key in _TEXTS and isinstance(value, str))
            or (key in _SWITCHES and isinstance(value, bool))
        ):
            return f"option '{key}' with the value {value!r} is not understood"
    if "method" in options:
        options["method"] = options["method"].upper()
    return Fault(name, options, int(options.get("count", 1)))


class Faults:
    """The faults that are set. A counted fault leaves when it is used up."""

    def __init__(self) -> None:
        self._set: list[Fault] = []

    def add(self, fault: Fault) -> None:
        if fault.remaining != 0:
            self._set.append(fault)

    def clear(self, name: str | None = None) -> None:
        self._set = [fault for fault in self._set if name is not None and fault.name != name]

    def take(self, name: str, **facts: str) -> Fault | None:
        """The first fault of that name that fits the facts, counted down; None when there is none."""
        for fault in self._set:
            if fault.name == name and fault.fits(facts):
                if fault.remaining > 0:
                    fault.remaining -= 1
                    if fault.remaining == 0:
                        self._set.remove(fault)
                return fault
        return None

    def view(self) -> list[JsonObject]:
        return [{"name": fault.name, **fault.options, "remaining": fault.remaining} for fault in self._set]
