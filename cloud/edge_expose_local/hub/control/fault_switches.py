"""Failure injection over the control API: which faults are set, and the conditions that last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from edge_expose_local.http.messages import Request
from edge_expose_local.hub import faults as fault_rules
from edge_expose_local.hub.control.requests import ControlError, key_of, read_body
from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.registry import twin_service

JsonObject = dict[str, Any]


class FaultSwitches:
    def __init__(self, hub: Hub, links: Links, drop_every: Callable[[float], None]) -> None:
        self._hub = hub
        self._links = links
        self._drop_every = drop_every
        self._drop_seconds = 0.0

    async def known_and_set(self, request: Request) -> JsonObject:
        return {"known": fault_rules.CATALOG, "set": self.in_force()}

    def in_force(self) -> list[JsonObject]:
        """Those that wait for their turn, then the conditions that last."""
        lasting: list[JsonObject] = [{"name": "cloud-offline", "device": name} for name in self._hub.state.offline]
        if self._hub.throttle.enforced:
            lasting.append({"name": "throttle"})
        if self._drop_seconds > 0:
            lasting.append({"name": "drop-every", "seconds": self._drop_seconds})
        return self._hub.faults.view() + lasting

    async def clear(self, request: Request) -> JsonObject:
        name = request.arg("name") or None
        self._hub.faults.clear(name)
        if name in (None, "throttle"):
            self._hub.throttle.enforced = False
        if name in (None, "drop-every"):
            self._drop_seconds = 0.0
            self._drop_every(0)
        if name in (None, "cloud-offline"):
            for device in list(self._hub.state.offline):
                twin_service.come_online(self._hub.state, device)
        return {"set": self.in_force()}

    async def set(self, request: Request) -> JsonObject:
        fault = fault_rules.check(read_body(request))
        if isinstance(fault, str):
            raise ControlError(400, fault)
        options = fault.options
        device, module = options.get("device"), options.get("module")
        match fault.name:
            case "drop-connections":
                return {"dropped": self._links.close(device, module)}
            case "forget-sessions":
                return {"forgotten": self._forget_sessions(device, module)}
            case "drop-every":
                self._drop_seconds = fault.number("seconds", 5)
                self._drop_every(self._drop_seconds)
            case "version-back":
                twin_service.recreate_twin(self._hub.state, key_of(self._hub, options))
            case "cloud-offline":
                self._cloud_offline(device, options.get("on", True))
            case "throttle":
                self._hub.throttle.enforced = options.get("on", True)
            case _:
                self._hub.faults.add(fault)
        return {"set": self.in_force()}

    def _cloud_offline(self, device: str | None, on: bool) -> None:
        if device is None:
            raise ControlError(400, "cloud-offline needs a device")
        if on:
            twin_service.go_offline(self._hub.state, device)
        else:
            twin_service.come_online(self._hub.state, device)

    def _forget_sessions(self, device: str | None, module: str | None) -> int:
        state = self._hub.state
        chosen = [key for key in state.sessions if device in (None, key.device) and module in (None, key.module)]
        self._links.close(device, module)
        for key in chosen:
            del state.sessions[key]
            self._links.forget(key)
            state.mark("session", key)
        return len(chosen)
