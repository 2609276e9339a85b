"""A hub with a fleet of light devices, as real processes, for tests and runs of the cloud side."""

from __future__ import annotations

import json
import signal
import subprocess
import sys

from edge_expose_cloud.adapters.iothub import Credentials, IotHub, Pace, Patience
from edge_expose_local.simulated.listing import write_devices
from support.hub import RunningHub, caller, child_environment


class LightFleet:
    """The process of the light devices beside a running hub; `add` makes them in the hub, with one tag `site`."""

    def __init__(self, hub: RunningHub) -> None:
        self._hub = hub
        self._state = hub.state.parent / "simulated"
        self._process: subprocess.Popen[str] | None = None
        self._log = (hub.state.parent / "simulated.log").open("ab")

    def add(self, ids: list[str], site: str) -> None:
        make_devices(self._hub, ids, site)
        write_devices(self._state, ids)
        if self._process is None:
            command = [sys.executable, "-m", "edge_expose_local.simulated"]
            self._process = subprocess.Popen(
                [*command, "--state", str(self._state), "--hub-state", str(self._hub.state)],
                env=child_environment(),
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
            )
            assert self._process.stdout is not None
            assert json.loads(self._process.stdout.readline())["ready"]

    def stop(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)
            assert self._process.wait(20) == 0
            assert self._process.stdout is not None
            self._process.stdout.close()
        self._log.close()


def make_devices(hub: RunningHub, ids: list[str], site: str) -> None:
    call = caller(hub)
    for start in range(0, len(ids), 500):
        hub.control("POST", "/devices", {"ids": ids[start : start + 500]})
    for device in ids:
        assert call("PATCH", f"/twins/{device}", {"tags": {"site": site}}).status_code == 200


def connected(hub: RunningHub, pace: Pace | None = None, patience: Patience | None = None) -> IotHub:
    credentials = Credentials(connection_string=hub.connection_string, ca_file=str(hub.ca))
    return IotHub(credentials, patience or Patience(first_pause=0.2, longest_pause=1), pace)


def spec_text(name: str, site: str, port: int = 80, more: str = "") -> str:
    return f"""
schemaVersion: "1.0"
name: {name}
target: {{condition: "tags.site='{site}'", priority: 10}}
modules: {{web: {{image: "a/web:1"}}}}
exposures:
  shop: {{module: web, ports: ["{port}:80"]}}
{more}"""
