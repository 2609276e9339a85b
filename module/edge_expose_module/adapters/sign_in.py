"""How the module signs in at its hub: as the edge runtime says, or straight by a connection string of its identity.

The client's own reading of a connection string (`create_from_edge_environment`, 2.14) is for debugging behind an edge
gateway: it demands a gateway and a file with its CA. Here both are optional, so that a Deployment talks to IoT Hub.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from azure.iot.device.aio import IoTHubModuleClient

from edge_expose_contract.identity import MODULE_ID
from edge_expose_module.settings import BadSettings

CONNECTION_STRING: Final = "EdgeHubConnectionString"
CA_FILE: Final = "EdgeModuleCACertificateFile"
_RUNTIME: Final = ("IOTEDGE_IOTHUBHOSTNAME", "IOTEDGE_DEVICEID")
_PARTS: Final = ("HostName", "DeviceId", "ModuleId", "SharedAccessKey")
_HINT: Final = "take the connection string of the module identity, not the device's or the hub's"


@dataclass(frozen=True, slots=True)
class SignIn:
    """Who we are at which hub. `connection_string` is empty where the edge runtime signs for us; `ca` names the file
    with the certificates that the hub or gateway is trusted by, None for those of the system."""

    hub: str
    device: str
    module: str
    connection_string: str = ""
    ca: Path | None = None

    def new_client(self, sas_ttl: int, retry_seconds: int) -> Any:
        """A client that is not connected yet. Blocks: the runtime is asked, or the CA read anew."""
        options: dict[str, Any] = {"sastoken_ttl": sas_ttl, "connection_retry_interval": retry_seconds}
        if not self.connection_string:
            return IoTHubModuleClient.create_from_edge_environment(**options)
        if self.ca is not None:
            options["server_verification_cert"] = self.ca.read_text(encoding="ascii")
        return IoTHubModuleClient.create_from_connection_string(self.connection_string, **options)


def read_sign_in(environment: Mapping[str, str]) -> SignIn:
    """The edge runtime's word comes first. Raises BadSettings, which never quotes a connection string."""
    text = environment.get(CONNECTION_STRING, "").strip()
    if _RUNTIME[0] in environment or not text:
        return _of_runtime(environment)
    parts = dict(part.strip().partition("=")[::2] for part in text.split(";") if part.strip())
    problems = [f"{CONNECTION_STRING} has no {name}; {_HINT}" for name in _PARTS if not parts.get(name)]
    ca = environment.get(CA_FILE, "").strip()
    if ca:
        try:
            Path(ca).read_text(encoding="ascii")
        except (OSError, ValueError) as error:
            problems.append(f"{CA_FILE}={ca}: this file cannot be read ({type(error).__name__}); name a PEM file")
    if problems:
        raise BadSettings(problems)
    return SignIn(parts["HostName"], parts["DeviceId"], parts["ModuleId"], text, Path(ca) if ca else None)


def _of_runtime(environment: Mapping[str, str]) -> SignIn:
    missing = [name for name in _RUNTIME if not environment.get(name)]
    if missing:
        told = f"{' and '.join(missing)} not set, and no {CONNECTION_STRING}: which module of which hub is this?"
        raise BadSettings([f"{told} edgeAgent sets the former; elsewhere set the latter"])
    hub, device = (environment[name] for name in _RUNTIME)
    return SignIn(hub, device, environment.get("IOTEDGE_MODULEID", MODULE_ID))
