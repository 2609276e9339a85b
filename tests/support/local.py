"""A whole local instance for a test: hub, cluster, runtime and, once deployed, our module; on addresses of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edge_expose_local.instance import Instance
from edge_expose_local.settings import LocalSettings
from support.hub import caller_of
from support.lots import claim
from support.testbed_binaries import kubectl
from support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
ALLOW = ("--allow", "removals=9", "--allow", "modules=9", "--allow", "moves=9")
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def http_get(url: str, timeout: float = 3.0) -> str:
    """Raises OSError (also for error answers)."""
    with _OPENER.open(url, timeout=timeout) as response:
        return str(response.read().decode())


_PORTS = ("https_port", "mqtt_port", "proxy_port", "workload_port", "kube_port", "dns_port")


class Local:
    """On a lot of its own, or, for one that looks the same each time, on addresses with the second number `block`."""

    def __init__(self, folder: Path, block: int | None = None, **settings: Any) -> None:
        self.folder = folder
        self.instance = Instance(folder / "s")
        given: dict[str, Any]
        if block is None:
            lot = claim()
            given = {"pool": lot.pool, "service_cidr": lot.service_cidr, **dict(zip(_PORTS, lot.ports(6), strict=True))}
            self.block = lot.block
        else:
            given = {"pool": f"127.{block}.0.10-127.{block}.0.20", "service_cidr": f"127.{block + 1}.0.0/16"}
            self.block = block
        self.instance.prepare(LocalSettings(**{**given, **settings}))
        self.instance.up_detached()

    def address(self, number: int) -> str:
        return f"127.{self.block}.0.{number}"

    @property
    def environment(self) -> dict[str, str]:
        path = os.pathsep.join([str(ROOT / "module"), str(ROOT / "cloud")])
        kept = {"PATH": os.environ["PATH"], "HOME": str(self.folder), "PYTHONPATH": path, "COLUMNS": "160"}
        return {**kept, **self.instance.environment()}

    # --- the command line ---

    def run(
        self, *arguments: str, expect: int | None = 0, stdin: str | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "edge_expose_cloud", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if expect is not None:
            assert done.returncode == expect, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def kubectl(self, *arguments: str, check: bool = True, stdin: str | None = None) -> str:
        done = subprocess.run(
            [kubectl() or "kubectl", *arguments],
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0 or not check, f"kubectl {arguments}: {done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    # --- the device ---

    def deploy(self, exposures: Mapping[str, Any], modules: Mapping[str, Any] | None = None, **network: Any) -> None:
        """Applies a spec with these exposures to edge1 and does not wait."""
        spec = {
            "schemaVersion": "1.0",
            "name": "test",
            "target": {"device": "edge1"},
            "modules": modules or {"webserver": {"image": "edge-expose/sample-web:1", "env": {"DATABASE": "db"}}},
            "exposures": dict(exposures),
        }
        if network:
            spec["network"] = network
        self.run("apply", "-", "--yes", *ALLOW, stdin=json.dumps(spec))

    def status(self, device: str = "edge1") -> dict[str, Any]:
        found = json.loads(self.run("status", device, "-o", "json").stdout)
        return dict(found["devices"][0]["exposures"])

    def reported(self, device: str = "edge1") -> dict[str, Any]:
        """Exposures as the module's twin has them."""
        given = self.instance.environment()
        call = caller_of(given["IOTHUB_CONNECTION_STRING"], Path(given["EDGE_EXPOSE_HUB_CA"]))
        answer = call("GET", f"/twins/{device}/modules/edge-expose")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["properties"]["reported"].get("exposures") or {})

    def wait_for(self, name: str, state: str, address: str | None = None) -> dict[str, Any]:
        def good(entry: Mapping[str, Any] | None) -> bool:
            return entry is not None and entry["state"] == state and address in (None, entry.get("address"))

        def look() -> dict[str, Any] | None:
            # The twin first: the command line takes a second of a processor to start.
            if not good(self.reported().get(name)):
                return None
            entry = self.status().get(name)
            return dict(entry) if good(entry) and entry is not None else None

        try:
            return dict(eventually(look, what=f"{name} {state} {address or ''}"))
        except AssertionError as error:
            raise AssertionError(f"{error}; status {self.status()}") from None

    def part(self, name: str) -> dict[str, Any]:
        parts = self.instance.status()["parts"]
        return dict(next(part for part in parts if part["name"] == name))

    def kill(self, name: str) -> int:
        """kill -9 of one part; returns the pid that died."""
        pid = int(self.part(name)["pid"])
        os.kill(pid, signal.SIGKILL)
        return pid

    def wait_back(self, name: str, old: int) -> None:
        eventually(
            lambda: self.part(name)["pid"] not in (None, old) and self.part(name)["state"] == "running",
            what=f"{name} is back",
        )

    def stop(self) -> None:
        self.instance.down(wipe=False)


def garbage(address: str, port: int, count: int) -> None:
    """Bytes that are no protocol, sent to one TCP port over `count` connections."""
    samples = [b"\x00" * 64, b"GET / HTTP/1.1\r\n\r\n", os.urandom(200), b"\x16\x03\x01\x00\xff" + os.urandom(40), b""]
    for number in range(count):
        try:
            with socket.create_connection((address, port), 2.0) as link:
                link.sendall(samples[number % len(samples)])
        except OSError:
            continue  # closed on us: its right
