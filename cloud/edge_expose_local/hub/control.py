"""The control API on the unix socket: what a device owner, a scheduler and bad luck do. JSON in, JSON out."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from typing import Any

from edge_expose_local.http.server import Request, Response, json_response
from edge_expose_local.hub import faults as fault_rules
from edge_expose_local.hub.access import certificates
from edge_expose_local.hub.deployments import configuration_service
from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.device_api.workload import API_VERSION, workload_uri
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.hub import LOGICAL_NAME, Hub
from edge_expose_local.hub.records.identities import TwinKey, valid_id
from edge_expose_local.hub.registry import identity_service as registry
from edge_expose_local.hub.registry import twin_service

JsonObject = dict[str, Any]


class ControlError(Exception):
    """The request cannot be granted; the text says why."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class ControlApi:
    def __init__(self, hub: Hub, links: Links, devices: DeviceApi, drop_every: Callable[[float], None]) -> None:
        self._hub = hub
        self._links = links
        self._devices = devices
        self._drop_every = drop_every
        self._drop_seconds = 0.0
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Any]]] = {
            ("GET", "/status"): self._status,
            ("GET", "/device-env"): self._device_env,
            ("GET", "/device-connection-string"): self._device_connection_string,
            ("GET", "/modules"): self._modules,
            ("GET", "/policies"): self._policies,
            ("POST", "/devices"): self._add_devices,
            ("GET", "/certificates"): self._certificates,
            ("POST", "/certificates"): self._add_certificate,
            ("DELETE", "/certificates"): self._remove_certificate,
            ("GET", "/faults"): self._fault_list,
            ("POST", "/fault"): self._set_fault,
            ("DELETE", "/fault"): self._clear_faults,
            ("POST", "/settings"): self._settings,
            ("POST", "/evaluate"): self._evaluate,
            ("POST", "/input"): self._input,
            ("GET", "/telemetry"): self._telemetry,
            ("GET", "/counters"): self._counters,
        }

    async def handle(self, request: Request) -> Response | None:
        route = self._routes.get((request.method, request.path))
        if route is None:
            known = ", ".join(f"{method} {path}" for method, path in self._routes)
            return json_response(404, {"error": f"{request.method} {request.path} is not known; known are {known}"})
        try:
            return json_response(200, await route(request))
        except ControlError as error:
            return json_response(error.status, {"error": str(error)})
        except HubError as error:
            return json_response(error.status, {"error": error.explanation})
        finally:
            self._hub.commit()

    @staticmethod
    def _body(request: Request) -> JsonObject:
        try:
            body = request.json()
        except ValueError as error:
            raise ControlError(400, "the body is no JSON") from error
        if not isinstance(body, dict):
            raise ControlError(400, "the body is not an object")
        return body

    def _key(self, values: JsonObject, module_needed: bool = False) -> TwinKey:
        key = TwinKey(str(values.get("device", "")), values.get("module") or None)
        if module_needed and key.module is None:
            raise ControlError(400, "device and module are needed")
        if key not in self._hub.state.identities:
            raise ControlError(404, f"'{key}' is not registered")
        return key

    # -- reading ---------------------------------------------------------------------------------------------------

    async def _status(self, request: Request) -> JsonObject:
        state, ports = self._hub.state, self._hub.ports
        return {
            "pid": os.getpid(),
            "address": self._hub.address,
            "ports": {"https": ports.https, "mqtt": ports.mqtt, "proxy": ports.proxy, "workload": ports.workload},
            "devices": [device.device for device in state.devices()],
            "modules": sum(1 for key in state.identities if key.module is not None),
            "configurations": sorted(state.configurations),
            "connected": sorted(str(key) for key in self._links.live),
            "cloudOffline": sorted(state.offline),
            "faults": self._faults_in_force(),
            "settings": self._settings_view(),
        }

    async def _device_env(self, request: Request) -> JsonObject:
        """The exact environment of a module's process, as edgeAgent gives it (a device identity has none)."""
        key = self._key(dict(request.query), module_needed=True)
        hub = self._hub
        return {
            "IOTEDGE_IOTHUBHOSTNAME": LOGICAL_NAME,
            "IOTEDGE_GATEWAYHOSTNAME": LOGICAL_NAME,
            "IOTEDGE_DEVICEID": key.device,
            "IOTEDGE_MODULEID": str(key.module),
            "IOTEDGE_MODULEGENERATIONID": hub.state.identities[key].generation,
            "IOTEDGE_WORKLOADURI": workload_uri(hub, key),
            "IOTEDGE_APIVERSION": API_VERSION,
            "IOTEDGE_AUTHSCHEME": "sasToken",
            "mqtt_proxy": f"http://{hub.address}:{hub.ports.proxy}",
            "no_proxy": "",
        }

    async def _device_connection_string(self, request: Request) -> JsonObject:
        """For a device or module outside edge; `mqttProxy` leads to it where port 8883 is not this hub's."""
        key = self._key(dict(request.query))
        identity = self._hub.state.identities[key]
        parts = [f"HostName={LOGICAL_NAME}", f"DeviceId={key.device}"]
        parts += [f"ModuleId={key.module}"] if key.module is not None else []
        parts += [f"SharedAccessKey={identity.primary}"] if identity.primary else ["x509=true"]
        proxy = f"http://{self._hub.address}:{self._hub.ports.proxy}"
        return {"connectionString": ";".join(parts), "mqttProxy": proxy}

    async def _modules(self, request: Request) -> list[JsonObject]:
        key = self._key({"device": request.query.get("device", "")})
        return [
            {"module": item.module, "generation": item.generation, "managedBy": item.managed_by}
            for item in self._hub.state.modules_of(key.device)
        ]

    async def _policies(self, request: Request) -> JsonObject:
        """The connection string of each shared access policy; their rights are in `hub.RIGHTS`."""
        return {name: self._hub.connection_string(name) for name in self._hub.policies}

    async def _telemetry(self, request: Request) -> list[JsonObject]:
        wanted = {name: request.query[name] for name in ("device", "module", "output") if name in request.query}
        return [item for item in self._devices.telemetry if all(item[name] == value for name, value in wanted.items())]

    async def _counters(self, request: Request) -> JsonObject:
        return dict(self._hub.throttle.view())

    async def _fault_list(self, request: Request) -> JsonObject:
        return {"known": fault_rules.CATALOG, "set": self._faults_in_force()}

    def _faults_in_force(self) -> list[JsonObject]:
        """Those that wait for their turn, then the conditions that last."""
        lasting: list[JsonObject] = [{"name": "cloud-offline", "device": name} for name in self._hub.state.offline]
        if self._hub.throttle.enforced:
            lasting.append({"name": "throttle"})
        if self._drop_seconds > 0:
            lasting.append({"name": "drop-every", "seconds": self._drop_seconds})
        return self._hub.faults.view() + lasting

    # -- changing --------------------------------------------------------------------------------------------------

    async def _add_devices(self, request: Request) -> JsonObject:
        body = self._body(request)
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

    async def _certificates(self, request: Request) -> JsonObject:
        return dict(self._hub.authorities)

    async def _add_certificate(self, request: Request) -> JsonObject:
        """The CA certificate of devices that sign in by `certificateAuthority`; in Azure the portal does this."""
        body = self._body(request)
        name, text = body.get("name"), body.get("certificate")
        if not isinstance(name, str) or not name or not isinstance(text, str):
            raise ControlError(400, "name and certificate (PEM) are needed")
        found = certificates.read_authority(text)
        if isinstance(found, str):
            raise ControlError(400, found)
        self._hub.set_authority(name, certificates.to_pem(found))
        return {"certificates": sorted(self._hub.authorities)}

    async def _remove_certificate(self, request: Request) -> JsonObject:
        self._hub.set_authority(request.query.get("name", ""), None)
        return {"certificates": sorted(self._hub.authorities)}

    async def _evaluate(self, request: Request) -> JsonObject:
        configuration_service.evaluate(self._hub.state)
        return {"configurations": len(self._hub.state.configurations)}

    async def _input(self, request: Request) -> JsonObject:
        body = self._body(request)
        key, name = self._key(body, module_needed=True), body.get("input")
        properties = body.get("properties") or {}
        if not isinstance(name, str) or not name or not isinstance(properties, dict):
            raise ControlError(400, "input (a name), payload (text) and properties (a map) are needed")
        texts = {str(k): str(v) for k, v in properties.items()}
        if not self._devices.send_input(key, name, str(body.get("payload", "")).encode(), texts):
            raise ControlError(429, f"too many messages wait for {key}")
        return {"sent": True}

    def _settings_view(self) -> JsonObject:
        settings = self._hub.state.settings
        return {
            "siblings": settings.siblings,
            "twin-replies": "strict" if settings.strict_replies else "lax",
            "concurrent-jobs": settings.concurrent_jobs,
        }

    async def _settings(self, request: Request) -> JsonObject:
        settings = self._hub.state.settings
        for name, value in self._body(request).items():
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
        return self._settings_view()

    async def _clear_faults(self, request: Request) -> JsonObject:
        name = request.query.get("name")
        self._hub.faults.clear(name)
        if name in (None, "throttle"):
            self._hub.throttle.enforced = False
        if name in (None, "drop-every"):
            self._drop_seconds = 0.0
            self._drop_every(0)
        if name in (None, "cloud-offline"):
            for device in list(self._hub.state.offline):
                twin_service.come_online(self._hub.state, device)
        return {"set": self._faults_in_force()}

    async def _set_fault(self, request: Request) -> JsonObject:
        fault = fault_rules.check(self._body(request))
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
                twin_service.recreate_twin(self._hub.state, self._key(options))
            case "cloud-offline":
                self._cloud_offline(device, options.get("on", True))
            case "throttle":
                self._hub.throttle.enforced = options.get("on", True)
            case _:
                self._hub.faults.add(fault)
        return {"set": self._faults_in_force()}

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
