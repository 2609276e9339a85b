"""The real MetalLB controller: its objects and its process. The speaker belongs to the network form."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import yaml

from support.testbed_api import Api, ApiRefused
from support.testbed_binaries import PROFILES
from support.testbed_plane import http_get
from support.testbed_processes import Launcher, Program
from support.waiting import eventually

NAMESPACE: Final = "metallb-system"
POOL: Final = "default"
_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_OBJECTS: Final = f"/apis/metallb.io/v1beta1/namespaces/{NAMESPACE}"
_CONFIG: Final = f"/api/v1/namespaces/{NAMESPACE}/configmaps"
_TAKES_IN: Final = "ServiceReconciler - reprocessAll"


class MetalLb:
    """`ports` are those of metrics and health."""

    def __init__(self, profile: str, api: Api, kubeconfig: Path, launcher: Launcher, ports: tuple[int, int]) -> None:
        self.profile = profile
        self._api = api
        self._kubeconfig = kubeconfig
        self._launcher = launcher
        self._ports = ports
        self._network = api.network_namespace
        self.controller: Program | None = None

    @property
    def metrics_port(self) -> int:
        return self._ports[0]

    def furnish(self, ranges: Sequence[str]) -> None:
        """Namespace, CRDs, a pool and its advertisement; what is there already stays."""
        api = self._api
        api.create("/api/v1/namespaces", {"metadata": {"name": NAMESPACE}}, exists_ok=True)
        # From 0.16 on the controller looks its own pod up.
        run_pod(api, NAMESPACE, "controller-0", "127.0.0.1", {"app": "metallb", "component": "controller"}, host=True)
        if self.profile == "1.20":
            api.create(_CONFIG, {"metadata": {"name": "config"}, "data": {"config": _config(ranges)}}, exists_ok=True)
            return
        self._define()
        head = {"apiVersion": "metallb.io/v1beta1", "metadata": {"name": POOL}}
        pool = {**head, "kind": "IPAddressPool", "spec": {"addresses": list(ranges)}}
        eventually(lambda: self._made("ipaddresspools", pool), what="the pool is accepted")
        advertisement = {**head, "kind": "L2Advertisement", "spec": {"ipAddressPools": [POOL]}}
        eventually(lambda: self._made("l2advertisements", advertisement), what="the advertisement is accepted")

    def set_pool(self, *ranges: str) -> None:
        """What the device owner does on the Compute network page."""
        if self.profile == "1.20":
            self._api.merge(f"{_CONFIG}/config", {"data": {"config": _config(ranges)}})
        else:
            self._api.merge(f"{_OBJECTS}/ipaddresspools/{POOL}", {"spec": {"addresses": list(ranges)}})

    def wait_released(self) -> None:
        """Until no address is in use."""
        self.wait_in_use(lambda: 0)

    def wait_in_use(self, count: Callable[[], int]) -> None:
        """Until so many addresses are: an address of a deleted Service is held for a moment, the next Service would get
        another one, and 0.10 refuses for good a pool that does not cover it. The metric is the allocator's own count;
        what 0.16 writes into the status of its pools was seen to count an address for good that no Service had."""
        metric = "metallb_allocator_addresses_in_use_total"
        eventually(lambda: self._metric(metric) == count(), what="what is in use by the allocator's count and by ours")

    def wait_taking_in(self) -> None:
        """Until a controller that was just started begins to take in the Services it finds."""
        eventually(lambda: any(_TAKES_IN in line for line in self._said()), what="MetalLB begins to take in Services")

    def wait_taken_in(self) -> None:
        """Until it has. Before that 0.16 does not hear of a Service that is deleted, and keeps its address until one of
        that name is deleted again. 0.10 was not seen to."""
        if self.profile != "1.20":
            eventually(lambda: _has_taken_in(self._said()), what="MetalLB has taken in the Services it found")

    def _said(self) -> list[str]:
        return self.controller.said() if self.controller is not None else []

    def wait_pool_taken(self) -> None:
        """Until the controller works with the pool as written; 0.10 shows neither that nor which one it has, only
        whether it refused it."""
        if self.profile == "1.20":
            time.sleep(0.3)
            eventually(lambda: self._metric("metallb_k8s_client_config_loaded_bool") == 1, what="pool loaded")

    def _metric(self, name: str) -> float:
        """The sum over its labels. 0.16 asks the API server whose token it is that wants to see them."""
        tls = self.profile != "1.20"
        page = http_get(self._network, self._ports[0], "/metrics", tls=tls, token=self._api.token if tls else None)
        if not page:
            raise ConnectionError("the controller shows no metrics")
        lines = page.decode().splitlines()
        values = [line.rpartition(" ")[2] for line in lines if line.startswith((f"{name}{{", f"{name} "))]
        return sum(map(float, values))

    def start(self) -> None:
        """A controller that is ready; whether it has taken in the Services there are is another question."""
        metrics, health = self._ports
        controller = self.launch()
        if self.profile == "1.20":
            controller.wait_ready(lambda: bool(http_get(self._network, metrics, "/metrics")))
        else:
            controller.wait_ready(lambda: bool(http_get(self._network, health, "/readyz")))

    def launch(self) -> Program:
        path = PROFILES[self.profile].path("controller")
        metrics, health = self._ports
        if self.profile == "1.20":
            command: list[str | Path] = [
                path,
                "-kubeconfig",
                self._kubeconfig,
                "-namespace",
                NAMESPACE,
                "-port",
                str(metrics),
            ]
            self.controller = self._launcher.start("metallb-controller", command)
            return self.controller
        command = [path, "--kubeconfig", self._kubeconfig, "--namespace", NAMESPACE, "--webhook-mode", "disabled"]
        command += ["--port", str(metrics), "--health-probe-port", str(health)]
        environment = {"METALLB_POD_NAME": "controller-0", "METALLB_NAMESPACE": NAMESPACE}
        self.controller = self._launcher.start("metallb-controller", command, environment)
        return self.controller

    def stop(self) -> None:
        if self.controller is not None:
            self.controller.stop()

    def kill(self) -> None:
        if self.controller is not None:
            self.controller.kill()

    def _define(self) -> None:
        names = []
        for file in sorted((PROFILES["1.36"].metallb.folder / "crds").glob("*.yaml")):
            for document in yaml.safe_load_all(file.read_text()):
                if document:
                    self._api.create(_CRDS, document, exists_ok=True)
                    names.append(document["metadata"]["name"])
        eventually(lambda: all(_established(self._api.get(f"{_CRDS}/{name}")) for name in names), what="the CRDs")

    def _made(self, plural: str, body: dict[str, Any]) -> bool:
        try:
            self._api.create(f"{_OBJECTS}/{plural}", body, exists_ok=True)
        except ApiRefused as refused:
            if refused.status != 404:  # the new resource is not served yet
                raise
            return False
        return True


def _has_taken_in(lines: Sequence[str]) -> bool:
    """Whether it went once over all Services without a reason to go over them again."""
    again = False
    for line in lines:
        if _TAKES_IN in line and "start reconcile" in line:
            again = False
        elif _TAKES_IN in line and "force service reload" in line:
            again = True
        elif _TAKES_IN in line and "end reconcile" in line and not again:
            return True
    return False


def _established(definition: dict[str, Any]) -> bool:
    conditions = (definition.get("status") or {}).get("conditions") or []
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)


def _config(ranges: Sequence[str]) -> str:
    pool = {"name": POOL, "protocol": "layer2", "addresses": list(ranges)}
    return yaml.safe_dump({"address-pools": [pool]})


def run_pod(
    api: Api,
    namespace: str,
    name: str,
    ip: str,
    labels: dict[str, str],
    *,
    node: str = "node1",
    ports: Sequence[dict[str, Any]] = (),
    host: bool = False,
) -> None:
    """The Pod object of something that runs already: there is no kubelet, so its status is written here."""
    container = {"name": "main", "image": "none", "ports": list(ports)}
    spec = {
        "nodeName": node,
        "hostNetwork": host,
        "terminationGracePeriodSeconds": 0,
        "containers": [container],
    }
    pods = f"/api/v1/namespaces/{namespace}/pods"
    api.create(pods, {"metadata": {"name": name, "labels": labels}, "spec": spec}, exists_ok=True)
    set_ready(api, namespace, name, ip)


def set_ready(api: Api, namespace: str, name: str, ip: str, *, ready: bool = True) -> None:
    """Writes the status that a kubelet would write."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    states = {"Ready": ready, "ContainersReady": ready, "Initialized": True, "PodScheduled": True}
    conditions = [{"type": kind, "status": str(value), "lastTransitionTime": now} for kind, value in states.items()]
    running = {"name": "main", "ready": ready, "restartCount": 0, "image": "none", "imageID": ""}
    status = {
        "phase": "Running",
        "podIP": ip,
        "podIPs": [{"ip": ip}],
        "startTime": now,
        "conditions": conditions,
        "containerStatuses": [{**running, "state": {"running": {"startedAt": now}}}],
    }
    api.merge(f"/api/v1/namespaces/{namespace}/pods/{name}/status", {"status": status})
