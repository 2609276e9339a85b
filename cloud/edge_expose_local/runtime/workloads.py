"""Where modules run: ours as a process beside the cluster, the others as pods that the cluster's kubelet starts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from edge_expose_local.device_names import namespace_of
from edge_expose_local.processes import Process
from edge_expose_local.runtime.kube import Kube, KubeError
from edge_expose_local.runtime.manifest import Module, container_ports

log = logging.getLogger(__name__)
JsonObject = dict[str, Any]
OWN_IMAGE_PREFIX = "edge-expose/module:"
HASH_ANNOTATION = "edge-expose.io/local-module-hash"
MODULE_LABEL = "net.azure-devices.edge.module"
DEVICE_LABEL = "net.azure-devices.edge.deviceid"
# What the images say they listen on (EXPOSE), for modules whose createOptions say nothing.
EXPOSED_BY_IMAGE = {
    "edge-expose/sample-web:1": [(80, "TCP")],
    "edge-expose/sample-db:1": [(5432, "TCP")],
    "edge-expose/echo:1": [(8080, "TCP"), (8080, "UDP")],
}
_BACKOFF_SECONDS = (0.2, 1.0, 2.0, 5.0, 10.0, 30.0)
_STEADY_SECONDS = 30.0


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@dataclass(slots=True)
class RunState:
    """What is reported of a module."""

    runtime_status: str = "unknown"
    description: str = ""
    pid: int | None = None
    exit_code: int = 0
    restarts: int = 0
    last_start: str | None = None
    last_exit: str | None = None


@dataclass(slots=True)
class OwnProcess:
    """Our module as a child process, restarted by its policy with growing pauses; ends with us."""

    module: Module
    environment: Callable[[], Mapping[str, str]]
    log_file: Path
    changed: Callable[[], None]
    state: RunState = field(default_factory=RunState)
    _keeper: asyncio.Task[None] | None = None
    _process: Process | None = None

    async def start(self) -> None:
        self._keeper = asyncio.create_task(self._keep(), name=f"module {self.module.name}")

    async def stop(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._process is not None:
            await self._process.stop(3.0)
        self.state.runtime_status, self.state.pid = "stopped", None

    async def _keep(self) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            try:
                environment = await asyncio.to_thread(self.environment)
                self._process = await Process.start(
                    [sys.executable, "-P", "-m", "edge_expose_module"],
                    dict(environment),
                    self.log_file,
                    self.log_file.parent,
                )
            except Exception as error:  # no token, no cluster, no hub yet: tried again
                self._tell("backoff", f"cannot start: {error}")
                await asyncio.sleep(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS) - 1)])
                failures += 1
                continue
            self.state.pid = self._process.pid
            self.state.last_start = now()
            self._tell("running", f"pid {self._process.pid}")
            code = await self._process.wait()
            self.state.pid, self.state.exit_code, self.state.last_exit = None, code, now()
            policy = self.module.restart_policy
            if policy == "never" or (policy == "on-failure" and code == 0):
                self._tell("stopped" if code == 0 else "failed", f"ended with {code}; its log is {self.log_file}")
                return
            failures = 0 if time.monotonic() - started > _STEADY_SECONDS else failures + 1
            self.state.restarts += 1
            self._tell("backoff", f"ended with {code}; its log is {self.log_file}")
            await asyncio.sleep(_BACKOFF_SECONDS[min(failures, len(_BACKOFF_SECONDS)) - 1 if failures else 0])

    def _tell(self, status: str, description: str) -> None:
        self.state.runtime_status, self.state.description = status, description
        log.info("module %s: %s (%s)", self.module.name, status, description)
        self.changed()


def own_environment(base: Mapping[str, str], module: Module, extra: Mapping[str, str]) -> dict[str, str]:
    """The manifest's variables, then what the runtime sets, and nothing of this machine but how to find Python."""
    kept = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {**kept, "PYTHONUNBUFFERED": "1", **extra, **module.env, **base}


def pod_hash(module: Module) -> str:
    """Changes whenever the module must be created anew."""
    facts = [module.image, module.create_options_text, sorted(module.env.items()), module.restart_policy]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def pod_body(module: Module, device: str, namespace: str) -> JsonObject:
    """The pod that edgeAgent's Deployment would make of a module, without the sidecar."""
    name = module.object_name
    options = module.create_options
    listened = container_ports(options) or EXPOSED_BY_IMAGE.get(module.image, [])
    ports = [{"containerPort": number, "protocol": protocol} for number, protocol in listened]
    container: JsonObject = {
        "name": name,
        "image": module.image,
        "env": [{"name": key, "value": value} for key, value in sorted(module.env.items())],
    }
    if ports:
        container["ports"] = ports
    if options.get("Entrypoint"):
        container["command"] = list(options["Entrypoint"])
    if options.get("Cmd"):
        container["args"] = list(options["Cmd"])
    policies = {"always": "Always", "on-unhealthy": "Always", "on-failure": "OnFailure", "never": "Never"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": f"{name}-{pod_hash(module)[:8]}",
            "namespace": namespace,
            "labels": {MODULE_LABEL: name, DEVICE_LABEL: namespace_of(device)},
            "annotations": {HASH_ANNOTATION: pod_hash(module), "net.azure-devices.edge.original-moduleid": module.name},
        },
        "spec": {"containers": [container], "restartPolicy": policies[module.restart_policy]},
    }


class Pods:
    """The pods of one device. Blocking; call in threads."""

    def __init__(self, kube: Kube, device: str, namespace: str) -> None:
        self._kube = kube
        self._device = device
        self._namespace = namespace

    def sync(self, modules: list[Module]) -> dict[str, RunState]:
        """Makes the pods equal the modules; returns what is seen of each. Raises KubeError."""
        path = f"/api/v1/namespaces/{self._namespace}/pods"
        selector = f"{DEVICE_LABEL}%3D{namespace_of(self._device)}"
        pods = self._kube.call("GET", f"{path}?labelSelector={selector}").get("items", [])
        wanted = {module.object_name: module for module in modules if module.status == "running"}
        living: dict[str, JsonObject] = {}
        for pod in pods:
            meta = pod["metadata"]
            name = (meta.get("labels") or {}).get(MODULE_LABEL, "")
            module = wanted.get(name)
            same = module is not None and (meta.get("annotations") or {}).get(HASH_ANNOTATION) == pod_hash(module)
            if meta.get("deletionTimestamp"):
                continue
            if not same or name in living:
                self._delete(path, meta["name"])
            else:
                living[name] = pod
        for name, module in wanted.items():
            if name not in living:
                try:
                    living[name] = self._kube.call("POST", path, pod_body(module, self._device, self._namespace))
                except KubeError as error:
                    if error.status != 409:  # the old pod of that name is still going
                        raise
        return {module.name: _seen(module, living.get(module.object_name)) for module in modules}

    def look(self, modules: list[Module]) -> dict[str, RunState]:
        """What is seen of the modules on a cluster where workloads are somebody else's. Raises KubeError."""
        found: dict[str, RunState] = {}
        for module in modules:
            selector = f"{MODULE_LABEL}%3D{module.object_name}"
            items = self._kube.call("GET", f"/api/v1/namespaces/{self._namespace}/pods?labelSelector={selector}")
            pods = items.get("items", [])
            found[module.name] = _seen(module, pods[0] if pods else None)
        return found

    def _delete(self, path: str, name: str) -> None:
        try:
            self._kube.call("DELETE", f"{path}/{name}")
        except KubeError as error:
            if error.status != 404:
                raise


def _seen(module: Module, pod: JsonObject | None) -> RunState:
    if module.status == "stopped":
        return RunState("stopped")
    if pod is None:
        return RunState("failed", "no pod")
    status = pod.get("status") or {}
    phase = str(status.get("phase", "Pending"))
    containers = status.get("containerStatuses") or [{}]
    restarts = int(containers[0].get("restartCount", 0))
    runtime = {"Running": "running", "Succeeded": "stopped", "Failed": "failed"}.get(phase, "backoff")
    return RunState(
        runtime, f"pod {pod['metadata']['name']} is {phase}", restarts=restarts, last_start=status.get("startTime")
    )
