"""What the control API tells: the hub's state, and what clients need to reach it."""

from __future__ import annotations

import os
from typing import Any

from edge_expose_local.http.messages import Request
from edge_expose_local.hub.control.fault_switches import FaultSwitches
from edge_expose_local.hub.control.requests import key_of, settings_view
from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.device_api.workload import API_VERSION, workload_uri
from edge_expose_local.hub.hub import LOGICAL_NAME, Hub

JsonObject = dict[str, Any]


def _asked(request: Request) -> JsonObject:
    return {name: request.arg(name) for name in ("device", "module")}


class Views:
    def __init__(self, hub: Hub, links: Links, devices: DeviceApi, faults: FaultSwitches) -> None:
        self._hub = hub
        self._links = links
        self._devices = devices
        self._faults = faults

    async def status(self, request: Request) -> JsonObject:
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
            "faults": self._faults.in_force(),
            "settings": settings_view(self._hub),
        }

    async def device_env(self, request: Request) -> JsonObject:
        """The exact environment of a module's process, as edgeAgent gives it (a device identity has none)."""
        key = key_of(self._hub, _asked(request), module_needed=True)
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

    async def device_connection_string(self, request: Request) -> JsonObject:
        """For a device or module outside edge; `mqttProxy` leads to it where port 8883 is not this hub's."""
        key = key_of(self._hub, _asked(request))
        identity = self._hub.state.identities[key]
        parts = [f"HostName={LOGICAL_NAME}", f"DeviceId={key.device}"]
        parts += [f"ModuleId={key.module}"] if key.module is not None else []
        parts += [f"SharedAccessKey={identity.primary}"] if identity.primary else ["x509=true"]
        proxy = f"http://{self._hub.address}:{self._hub.ports.proxy}"
        return {"connectionString": ";".join(parts), "mqttProxy": proxy}

    async def modules(self, request: Request) -> list[JsonObject]:
        key = key_of(self._hub, {"device": request.arg("device")})
        return [
            {"module": item.module, "generation": item.generation, "managedBy": item.managed_by}
            for item in self._hub.state.modules_of(key.device)
        ]

    async def policies(self, request: Request) -> JsonObject:
        """The connection string of each shared access policy; their rights are in `hub.RIGHTS`."""
        return {name: self._hub.connection_string(name) for name in self._hub.policies}

    async def telemetry(self, request: Request) -> list[JsonObject]:
        wanted = {name: request.arg(name) for name in ("device", "module", "output") if name in request.query}
        return [item for item in self._devices.telemetry if all(item[name] == value for name, value in wanted.items())]

    async def counters(self, request: Request) -> JsonObject:
        return dict(self._hub.throttle.view())

    async def certificates(self, request: Request) -> JsonObject:
        return dict(self._hub.authorities)
