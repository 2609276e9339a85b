"""The service controller of Kubernetes, with the small cloud of tests/cluster/go behind it.

It answers by events, puts a finalizer on each Service and keeps the address that a refused Service had.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from support.testbed_api import Api
from support.testbed_binaries import PROFILES
from support.testbed_plane import http_get
from support.testbed_processes import Launcher, Program
from support.waiting import eventually

FINALIZER: Final = "service.kubernetes.io/load-balancer-cleanup"
NODE: Final = "node1"


class ServiceController:
    """The cloud's range is a file that is read at each request."""

    def __init__(self, api: Api, kubeconfig: Path, launcher: Launcher, ports: tuple[int, int]) -> None:
        self._api = api
        self._kubeconfig = kubeconfig
        self._launcher = launcher
        self._port = ports[0]
        self._range = launcher.folder / "range"
        self.controller: Program | None = None

    def furnish(self, ranges: Sequence[str]) -> None:
        """The range, and a node: a cloud's load balancer leads to nodes, and the controller warns where it has none."""
        self.put_node()
        self.set_pool(*ranges)

    def put_node(self) -> None:
        made = {"metadata": {"name": NODE}, "spec": {"providerID": f"edge-expose-tests://{NODE}"}}
        self._api.create("/api/v1/nodes", made, exists_ok=True)
        ready: dict[str, Any] = {"type": "Ready", "status": "True", "reason": "KubeletReady"}
        self._api.merge(f"/api/v1/nodes/{NODE}/status", {"status": {"conditions": [ready]}})

    def delete_node(self) -> None:
        self._api.delete(f"/api/v1/nodes/{NODE}")

    def set_pool(self, *ranges: str) -> None:
        """What the cloud gives out: one range, FIRST-LAST."""
        (text,) = ranges
        self._range.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self._range.with_suffix(".new")
        unfinished.write_text(text)
        unfinished.replace(self._range)

    def start(self) -> None:
        command: list[str | Path] = [PROFILES["1.36"].path("service-controller"), "--kubeconfig", self._kubeconfig]
        command += ["--authentication-kubeconfig", self._kubeconfig, "--authorization-kubeconfig", self._kubeconfig]
        command += ["--authentication-skip-lookup", "--leader-elect=false", "--bind-address=127.0.0.1"]
        command += ["--secure-port", str(self._port), "--cert-dir", self._launcher.folder, "--webhook-secure-port=0"]
        command += ["--cloud-provider", "tests", "--range-file", self._range]
        self.controller = self._launcher.start("service-controller", command)
        self.controller.wait_ready(lambda: http_get(None, self._port, "/healthz", tls=True) == b"ok")

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()

    def kill(self) -> None:
        if self.controller is not None:
            self.controller.kill()

    def wait_released(self) -> None:
        """Until no Service waits for its finalizer to be taken off."""
        eventually(
            lambda: not any("deletionTimestamp" in s["metadata"] for s in self._api.items("/api/v1/services")),
            what="no Service is being deleted",
        )
