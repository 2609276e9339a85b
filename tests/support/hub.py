"""Starts a local hub as a real process for a test, and talks to its control socket."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import requests

from support.lots import own
from support.waiting import PATIENCE

ROOT = Path(__file__).resolve().parents[2]


def child_environment(**extra: str) -> dict[str, str]:
    """An environment of its own for a child process: no proxies, no CA bundles of the machine."""
    path = os.pathsep.join([str(ROOT / "module"), str(ROOT / "cloud")])
    return {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": path, **extra}


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class RunningHub:
    """One hub process; `restart` keeps its ports, as its supervisor would."""

    def __init__(self, state: Path, address: str = "127.0.0.1", **ports: int) -> None:
        self.state = state
        self.address = address
        self.ports = {
            **dict(zip(("https", "mqtt", "proxy", "workload"), own().ports(4, address), strict=True)),
            **ports,
        }
        self.process: subprocess.Popen[str] | None = None
        self.start()

    def start(self) -> None:
        arguments = [sys.executable, "-m", "edge_expose_local.hub", "--state", str(self.state)]
        arguments += ["--address", self.address]
        for name, port in self.ports.items():
            arguments += [f"--{name}-port", str(port)]
        log = (self.state.parent / "hub.log").open("a")
        with log:
            self.process = subprocess.Popen(
                arguments, stdout=subprocess.PIPE, stderr=log, text=True, env=child_environment()
            )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the hub did not start: " + (self.state.parent / "hub.log").read_text()[-2000:])
        ready = json.loads(line)
        assert ready["ready"] is True
        self.ports = ready["ports"]

    @property
    def connection_string(self) -> str:
        return (self.state / "connection-string").read_text()

    @property
    def ca(self) -> Path:
        return self.state / "ca.pem"

    def control(self, method: str, path: str, body: Any = None, expect: int = 200) -> Any:
        """One call on the control socket; asserts the status and returns the JSON."""
        connection = _UnixConnection((self.state / "control.path").read_text())
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            answer = connection.getresponse()
            text = answer.read().decode()
            assert answer.status == expect, text
            return json.loads(text)
        finally:
            connection.close()

    def fault(self, name: str, **options: Any) -> Any:
        return self.control("POST", "/fault", {"name": name, **options})

    def device_env(self, device: str, module: str) -> dict[str, str]:
        env: dict[str, str] = self.control("GET", f"/device-env?device={device}&module={module}")
        return env

    def device_connection_string(self, device: str) -> str:
        text: str = self.control("GET", f"/device-connection-string?device={device}")["connectionString"]
        return text

    def _end(self, number: signal.Signals, seconds: float) -> int:
        assert self.process is not None
        assert self.process.stdout is not None
        self.process.send_signal(number)
        code = self.process.wait(seconds)
        self.process.stdout.close()
        return code

    def stop(self) -> int:
        """SIGTERM; returns the exit code. Harmless when the process is gone."""
        if self.process is None or self.process.poll() is not None:
            return 0
        return self._end(signal.SIGTERM, PATIENCE)

    def kill(self) -> None:
        self._end(signal.SIGKILL, PATIENCE)

    def restart(self) -> None:
        self.start()


def start_hub(folder: Path, address: str = "127.0.0.1", **ports: int) -> RunningHub:
    """A new hub whose state lives in `folder`/hub; the caller stops it. Ports that are not named are free ones."""
    return RunningHub(folder / "hub", address, **ports)


def sas_token(resource: str, key: str, policy: str | None = None, seconds: int = 3600) -> str:
    """A shared access signature, made here and not by the code under test."""
    encoded, expiry = quote_plus(resource), int(time.time()) + seconds
    raw = hmac.new(base64.b64decode(key), f"{encoded}\n{expiry}".encode(), hashlib.sha256).digest()
    token = f"SharedAccessSignature sr={encoded}&sig={quote(base64.b64encode(raw), safe='')}&se={expiry}"
    return token + (f"&skn={policy}" if policy else "")


Call = Callable[..., requests.Response]


def caller(hub: RunningHub, policy: str = "iothubowner", key: str | None = None) -> Call:
    """A function (method, path, body, api-version, **headers) that makes one signed call to the service API."""
    return caller_of(hub.connection_string, hub.ca, policy, key)


def caller_of(connection_string: str, ca: Path, policy: str = "iothubowner", key: str | None = None) -> Call:
    """The same for a hub that is known by its connection string and its CA only."""
    fields = dict(part.split("=", 1) for part in connection_string.split(";"))
    session = requests.Session()
    session.trust_env = False
    session.verify = str(ca)

    def call(
        method: str, path: str, body: Any = None, version: str = "2021-04-12", **headers: str
    ) -> requests.Response:
        token = sas_token(fields["HostName"], key or fields["SharedAccessKey"], policy)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        url = f"https://{fields['HostName']}{path}{'&' if '?' in path else '?'}api-version={version}"
        return session.request(method, url, json=body, headers={"Authorization": token, **names}, timeout=60)

    return call
