"""A hub as a process of its own, with what clients need to reach it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import urlencode

from edge_expose_local import control_client

JsonObject = dict[str, Any]
STOP_SECONDS = 20.0


class HubProcess:
    """A context manager; `state` is a folder for everything the hub keeps, and a restart on it goes on from there.

    Ports are free ones unless told. Give `https_port=443` and `mqtt_port=8883` on an address such as 127.0.0.9 to
    clients whose ports cannot be changed.
    """

    def __init__(self, state: Path, address: str = "127.0.0.1", https_port: int = 0, mqtt_port: int = 0) -> None:
        self.state = state
        self._arguments = ["--address", address, "--https-port", str(https_port), "--mqtt-port", str(mqtt_port)]
        self._process: subprocess.Popen[str] | None = None
        self._address = address
        self.ports: dict[str, int] = {}

    def __enter__(self) -> HubProcess:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when it serves. Raises RuntimeError with the end of its log when it does not."""
        self.state.parent.mkdir(parents=True, exist_ok=True)
        log = self.state.parent / f"{self.state.name}.log"
        command = [sys.executable, "-m", "edge_expose_local.hub", "--state", str(self.state), *self._arguments]
        with log.open("a") as file:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            raise RuntimeError(f"the local hub did not start: {log.read_text()[-1000:]}")
        self.ports = json.loads(line)["ports"]

    def stop(self) -> None:
        """Ends the hub in an orderly way; harmless when it is gone."""
        if self._process is not None:
            assert self._process.stdout is not None
            self._process.terminate()
            self._process.wait(STOP_SECONDS)
            self._process.stdout.close()
            self._process = None

    @property
    def connection_string(self) -> str:
        """Of the policy `iothubowner`, for service clients."""
        return (self.state / "connection-string").read_text()

    @property
    def ca(self) -> Path:
        """The PEM file of the authority behind the hub's certificate."""
        return self.state / "ca.pem"

    @property
    def proxy(self) -> str:
        """The port mapper: an HTTP proxy that leads every name with port 8883 or 443 to this hub."""
        return f"http://{self._address}:{self.ports['proxy']}"

    @property
    def environment(self) -> dict[str, str]:
        """For a process with unmodified SDKs: service clients find the CA, device clients find the hub."""
        ca = str(self.ca)
        names = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")
        return {**dict.fromkeys(names, ca), "mqtt_proxy": self.proxy, "no_proxy": "127.0.0.1,localhost"}

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """One call on the control socket (README.md lists them). Raises control_client.ControlError."""
        return control_client.call(self.state, method, path, body)

    def add_devices(self, *ids: str, edge: bool = False) -> None:
        """Registers devices that are not there yet."""
        self.call("POST", "/devices", {"ids": list(ids), "edge": edge})

    def device_connection_string(self, device: str, module: str | None = None) -> str:
        """For device clients that run outside edge."""
        names = {"device": device} if module is None else {"device": device, "module": module}
        return str(self.call("GET", f"/device-connection-string?{urlencode(names)}")["connectionString"])

    def module_environment(self, device: str, module: str) -> dict[str, str]:
        """What edgeAgent gives a module: for `IoTHubModuleClient.create_from_edge_environment`."""
        found: dict[str, str] = self.call("GET", f"/device-env?{urlencode({'device': device, 'module': module})}")
        return found

    def fault(self, name: str, **options: Any) -> JsonObject:
        """Sets a fault (README.md lists them)."""
        answer: JsonObject = self.call("POST", "/fault", {"name": name, **options})
        return answer

    def clear_faults(self) -> None:
        self.call("DELETE", "/fault")
