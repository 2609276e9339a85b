"""From a twin patch to the Service that changed, beside the hops it is made of: part of `make bench`.

In one run on the local stand-in, in turns: the twin of a module that only listens is patched, and its handler called
(the hub's hop); a Service is patched over a connection that stays open (one API write); the twin of our module is
patched, and a watch tells of its Service. No address moves. Medians.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from azure.iot.device import IoTHubModuleClient
from azure.iot.hub import IoTHubRegistryManager
from azure.iot.hub.models import Twin, TwinProperties

from support.local import Local
from support.testbed_api import Api
from support.waiting import eventually

DEVICE = "edge1"
LISTENER = "listener"
EXPOSURES = 10
SERVICES = f"/api/v1/namespaces/{DEVICE}/services"
_PATIENCE = 20.0
_REST = 0.2
"""Our module hears of the write too, and is at rest again after this."""


@dataclass(frozen=True, slots=True)
class Spans:
    """Medians in seconds."""

    hub_hop: float
    api_write: float
    twin_to_service: float

    @property
    def ratio(self) -> float:
        return self.twin_to_service / (self.hub_hop + self.api_write)


def measure(folder: Path, rounds: int = 30) -> Spans:
    local = Local(folder)
    try:
        return _measured(local, rounds)
    finally:
        local.stop()


def _measured(local: Local, rounds: int) -> Spans:
    exposures = {f"e{n}": {"module": "idle", "ports": ["80:8080"]} for n in range(EXPOSURES)}
    local.deploy(exposures, {"idle": {"image": "edge-expose/echo:1"}})
    for name in exposures:
        local.wait_for(name, "Ready")
    given = local.instance.environment()
    hub = IoTHubRegistryManager.from_connection_string(given["IOTHUB_CONNECTION_STRING"])
    hub.protocol.config.connection.verify = given["EDGE_EXPOSE_HUB_CA"]
    listener, services = _Listener(local, hub), _Services(Path(given["KUBECONFIG"]))
    found: dict[str, list[float]] = {"hub": [], "write": [], "module": []}
    for number in range(rounds):
        port = 1000 + number
        start = time.perf_counter()
        _patch(hub, LISTENER, {"number": port})
        found["hub"].append(listener.wait_for(port) - start)
        start = time.perf_counter()
        services.write("e1", {"metadata": {"annotations": {"bench": str(port)}}})
        found["write"].append(time.perf_counter() - start)
        time.sleep(_REST)
        start = time.perf_counter()
        _patch(hub, "edge-expose", {"exposures": {"e0": {"ports": [f"{port}:8080"]}}})
        found["module"].append(services.wait_for("e0", port) - start)
        # The report of this edit is no part of the next one.
        version = hub.get_module_twin(DEVICE, "edge-expose").properties.desired["$version"]
        eventually(lambda version=version: _reported_version(hub) == version, _PATIENCE, "the edit is reported")
    listener.stop()
    return Spans(*(statistics.median(found[name]) for name in ("hub", "write", "module")))


def _patch(hub: IoTHubRegistryManager, module: str, desired: dict[str, Any]) -> None:
    hub.update_module_twin(DEVICE, module, Twin(properties=TwinProperties(desired=desired)), "*")


def _reported_version(hub: IoTHubRegistryManager) -> int:
    reported = hub.get_module_twin(DEVICE, "edge-expose").properties.reported
    return int(reported.get("lastDesiredVersion") or 0)


class _Moments:
    """When each number was seen first."""

    def __init__(self) -> None:
        self._seen: dict[int, float] = {}
        self._changed = threading.Condition()

    def note(self, number: int) -> None:
        now = time.perf_counter()
        with self._changed:
            self._seen.setdefault(number, now)
            self._changed.notify_all()

    def wait_for(self, number: int) -> float:
        with self._changed:
            if not self._changed.wait_for(lambda: number in self._seen, _PATIENCE):
                raise SystemExit(f"{number} was not seen in {_PATIENCE:.0f} s")
            return self._seen[number]


class _Listener:
    """A module that only listens, by the unmodified client."""

    def __init__(self, local: Local, hub: IoTHubRegistryManager) -> None:
        self._moments = _Moments()
        given = local.instance.environment()
        hub.create_module_with_sas(DEVICE, LISTENER, "", None, None)
        text = local.instance.hub("GET", f"/device-connection-string?device={DEVICE}&module={LISTENER}")
        os.environ |= {"mqtt_proxy": given["mqtt_proxy"], "no_proxy": ""}
        self._client = IoTHubModuleClient.create_from_connection_string(
            text["connectionString"],
            server_verification_cert=Path(given["EDGE_EXPOSE_HUB_CA"]).read_text(),
        )
        self._client.connect()
        self._client.get_twin()
        self._client.on_twin_desired_properties_patch_received = lambda patch: self._moments.note(patch["number"])

    def wait_for(self, number: int) -> float:
        return self._moments.wait_for(number)

    def stop(self) -> None:
        self._client.shutdown()


class _Services:
    """Writes over one connection, and watches over another."""

    def __init__(self, kubeconfig: Path) -> None:
        self._api = Api(kubeconfig)
        self._connection = self._api.connection()
        self._moments: dict[str, _Moments] = {}
        version = json.loads(self._api.raw("GET", SERVICES)[1])["metadata"]["resourceVersion"]
        watching = self._api.connection()
        watching.timeout = 600
        watching.request("GET", f"{SERVICES}?watch=true&resourceVersion={version}", headers=self._headers())
        threading.Thread(target=self._follow, args=(watching.getresponse(),), daemon=True).start()

    def write(self, name: str, patch: dict[str, Any]) -> None:
        headers = self._headers() | {"Content-Type": "application/merge-patch+json"}
        self._connection.request("PATCH", f"{SERVICES}/{name}", json.dumps(patch), headers)
        response = self._connection.getresponse()
        response.read()
        assert response.status == 200, response.status

    def wait_for(self, name: str, port: int) -> float:
        return self._moments.setdefault(name, _Moments()).wait_for(port)

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self._api.token}"}

    def _follow(self, response: http.client.HTTPResponse) -> None:
        for line in response:
            body = json.loads(line)["object"]
            if "spec" in body:
                moments = self._moments.setdefault(body["metadata"]["name"], _Moments())
                moments.note(body["spec"]["ports"][0]["port"])
