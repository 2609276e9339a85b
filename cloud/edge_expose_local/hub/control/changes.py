"""What the control API changes: devices, authorities, settings, messages to inputs, an evaluation now."""

from __future__ import annotations

from typing import Any

from edge_expose_local.http.messages import Request
from edge_expose_local.hub.access import certificates
from edge_expose_local.hub.control.requests import ControlError, key_of, read_body, settings_view
from edge_expose_local.hub.deployments import configuration_service
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.hub import Hub
from edge_expose_local.hub.records.identities import TwinKey, valid_id
from edge_expose_local.hub.registry import identity_service as registry

JsonObject = dict[str, Any]


class Changes:
    def __init__(self, hub: Hub, devices: DeviceApi) -> None:
        self._hub = hub
        self._devices = devices

    async def add_devices(self, request: Request) -> JsonObject:
        body = read_body(request)
        ids, edge = body.get("ids"), body.get("edge", True)
        if not isinstance(ids, list):
            raise ControlError(400, "ids is not a list of device ids")
        if wrong := [item for item in ids if not (isinstance(item, str) and valid_id(item))]:
            rule = "1 to 128 of A-Z a-z 0-9 and - : . + % _ # * ? ! ( ) , = @ $ '"
            raise ControlError(400, f"{str(wrong[0])[:140]!r} cannot be a device id; one has {rule}")
        created: list[str] = []
        for device in dict.fromkeys(ids):
            if TwinKey(device) not in self._hub.state.identities:
                registry.create_identity(self._hub.state, TwinKey(device), {"capabilities": {"iotEdge": bool(edge)}})
                created.append(device)
        return {"created": created}

    async def add_certificate(self, request: Request) -> JsonObject:
        """The CA certificate of devices that sign in by `certificateAuthority`; in Azure the portal does this."""
        body = read_body(request)
        name, text = body.get("name"), body.get("certificate")
        if not isinstance(name, str) or not name or not isinstance(text, str):
            raise ControlError(400, "name and certificate (PEM) are needed")
        found = certificates.read_authority(text)
        if isinstance(found, str):
            raise ControlError(400, found)
        self._hub.set_authority(name, certificates.to_pem(found))
        return {"certificates": sorted(self._hub.authorities)}

    async def remove_certificate(self, request: Request) -> JsonObject:
        self._hub.set_authority(request.arg("name"), None)
        return {"certificates": sorted(self._hub.authorities)}

    async def evaluate(self, request: Request) -> JsonObject:
        configuration_service.evaluate(self._hub.state)
        return {"configurations": len(self._hub.state.configurations)}

    async def input(self, request: Request) -> JsonObject:
        body = read_body(request)
        key, name = key_of(self._hub, body, module_needed=True), body.get("input")
        properties = body.get("properties") or {}
        if not isinstance(name, str) or not name or not isinstance(properties, dict):
            raise ControlError(400, "input (a name), payload (text) and properties (a map) are needed")
        texts = {str(k): str(v) for k, v in properties.items()}
        if not self._devices.send_input(key, name, str(body.get("payload", "")).encode(), texts):
            raise ControlError(429, f"too many messages wait for {key}")
        return {"sent": True}

    async def settings(self, request: Request) -> JsonObject:
        settings = self._hub.state.settings
        for name, value in read_body(request).items():
            match name, value:
                case "siblings", "keep":
                    settings.siblings = "keep"
                case "siblings", "reset":
                    settings.siblings = "reset"
                case "twin-replies", ("strict" | "lax"):
                    settings.strict_replies = value == "strict"
                case "concurrent-jobs", int() if not isinstance(value, bool) and 1 <= value <= 10:
                    settings.concurrent_jobs = value
                case _:
                    known = "siblings=keep|reset, twin-replies=strict|lax, concurrent-jobs=1..10"
                    raise ControlError(400, f"setting {name}={value} is not known: {known}")
        self._hub.state.mark("settings", "all")
        return settings_view(self._hub)
