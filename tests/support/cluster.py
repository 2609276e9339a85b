"""Starts the local cluster as a real process for tests: `start_cluster(...)` gives a handle to it."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from support.lots import claim

ROOT = Path(__file__).resolve().parents[2]


def clean_environment() -> dict[str, str]:
    """Return an environment for child processes: nothing of the machine's but where programs are."""
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": os.environ.get("HOME", "/tmp"),
        "LANG": "C.UTF-8",
        "PYTHONPATH": f"{ROOT / 'module'}:{ROOT / 'cloud'}",
        "PYTHONDONTWRITEBYTECODE": "1",
    }


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=60)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class ClusterProcess:
    """One running cluster. `ports` are kube and dns."""

    state: Path
    arguments: list[str]
    profile: str
    pool: str
    ports: dict[str, int] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.state / "kubeconfig"

    @property
    def base(self) -> str:
        """First three octets of the addresses of its first pool."""
        return self.pool.split("-")[0].rpartition(".")[0]

    def address(self, number: int) -> str:
        """One of them."""
        return f"{self.base}.{number}"

    @property
    def pid(self) -> int:
        """The process id."""
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start and wait for the ready line; ports stay the same over restarts."""
        command = [sys.executable, "-m", "edge_expose_local.cluster", "--state", str(self.state), *self.arguments]
        command += ["--kube-port", str(self.ports.get("kube", 0)), "--dns-port", str(self.ports.get("dns", 0))]
        errors = (self.state.parent / f"{self.state.name}.log").open("ab")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, env=clean_environment())
        errors.close()
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 20)
        line = self.process.stdout.readline() if ready else b""
        if not line:
            self.kill()
            log = (self.state.parent / f"{self.state.name}.log").read_text()
            raise AssertionError(f"the cluster did not start: {log[-2000:]}")
        self.ports = json.loads(line)["ports"]

    def control(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request to the control socket; raises AssertionError for an answer that is no 200."""
        status, answer = self.control_status(method, path, body)
        assert status == 200, answer
        return answer

    def control_status(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Send one request to the control socket and return status and answer."""
        connection = _UnixConnection((self.state / "control.path").read_text())
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            return response.status, json.loads(response.read())
        finally:
            connection.close()

    def stop(self) -> int:
        """SIGTERM; returns the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code

    def failures(self) -> list[str]:
        """What its controllers say of passes that failed; they try again, so that nothing else tells of them."""
        log = (self.state.parent / f"{self.state.name}.log").read_text()
        return [part[-1500:] for part in log.split(" a pass failed")[1:]]

    def kill(self) -> None:
        """SIGKILL."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        if self.process.stdout is not None:
            self.process.stdout.close()

    def restart(self) -> None:
        """Kill without warning and start again with the same arguments."""
        self.kill()
        self.start()


def start_cluster(folder: Path, profile: str = "1.36") -> ClusterProcess:
    """Start a cluster whose state lies in `folder`/cluster, on a lot of its own."""
    lot = claim()
    arguments = ["--profile", profile, "--pool", lot.pool, "--service-cidr", lot.service_cidr]
    kube, dns = lot.ports(2)
    cluster = ClusterProcess(folder / "cluster", arguments, profile, lot.pool, {"kube": kube, "dns": dns})
    cluster.start()
    return cluster
