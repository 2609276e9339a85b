"""The routes of the control API. Every call ends with a commit, so that memory and disk do not differ."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from edge_expose_local.http.messages import Request, Response, json_response
from edge_expose_local.hub.control.changes import Changes
from edge_expose_local.hub.control.fault_switches import FaultSwitches
from edge_expose_local.hub.control.requests import ControlError
from edge_expose_local.hub.control.views import Views
from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.errors import HubError
from edge_expose_local.hub.hub import Hub


class ControlApi:
    def __init__(self, hub: Hub, links: Links, devices: DeviceApi, drop_every: Callable[[float], None]) -> None:
        self._hub = hub
        faults = FaultSwitches(hub, links, drop_every)
        views, changes = Views(hub, links, devices, faults), Changes(hub, devices)
        self._routes: dict[tuple[str, str], Callable[[Request], Awaitable[Any]]] = {
            ("GET", "/status"): views.status,
            ("GET", "/device-env"): views.device_env,
            ("GET", "/device-connection-string"): views.device_connection_string,
            ("GET", "/modules"): views.modules,
            ("GET", "/policies"): views.policies,
            ("GET", "/telemetry"): views.telemetry,
            ("GET", "/counters"): views.counters,
            ("GET", "/certificates"): views.certificates,
            ("POST", "/certificates"): changes.add_certificate,
            ("DELETE", "/certificates"): changes.remove_certificate,
            ("POST", "/devices"): changes.add_devices,
            ("POST", "/settings"): changes.settings,
            ("POST", "/evaluate"): changes.evaluate,
            ("POST", "/input"): changes.input,
            ("GET", "/faults"): faults.known_and_set,
            ("POST", "/fault"): faults.set,
            ("DELETE", "/fault"): faults.clear,
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
