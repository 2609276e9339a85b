"""edgeAgent for one device: reads its twin, makes the modules run, reports what became of them. Level-triggered."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from edge_expose_local.device_names import namespace_of
from edge_expose_local.runtime import rights
from edge_expose_local.runtime.kube import Kube, KubeError
from edge_expose_local.runtime.link import HubLink, LinkError
from edge_expose_local.runtime.manifest import Module, Refused, read_manifest
from edge_expose_local.runtime.workloads import OWN_IMAGE_PREFIX, OwnProcess, Pods, RunState, own_environment

log = logging.getLogger(__name__)
JsonObject = dict[str, Any]
RESYNC_SECONDS = 5.0
VERSION = "0.1.0-local"


class EdgeAgent:
    """`own` are our modules that run here. `environment_of` asks the hub for the environment of a module; it blocks."""

    def __init__(
        self,
        device: str,
        link: HubLink,
        edge_hub: HubLink,
        environment_of: Callable[[str], Mapping[str, str]],
        kubeconfig: Path,
        external_cluster: bool,
        folder: Path,
        http_port: int,
    ) -> None:
        self.device = device
        self._link = link
        self._edge_hub = edge_hub
        self._environment_of = environment_of
        self._kubeconfig = kubeconfig
        self._external = external_cluster
        self._folder = folder
        self._http_port = http_port
        self.awake = asyncio.Event()
        self.own: dict[str, OwnProcess] = {}
        self.settled = False
        """Whether `own` stands for a twin that was read since the start."""
        self._modules: list[Module] = []
        self._system: JsonObject = {}
        self._version = 0
        self._status: JsonObject = {"code": 417, "description": "no deployment yet"}
        self._states: dict[str, RunState] = {}
        self._reported: JsonObject | None = None
        self._account = ""
        """uid of the account whose token the module has."""

    async def run(self) -> None:
        links = [asyncio.create_task(link.keep()) for link in (self._link, self._edge_hub)]
        try:
            while True:
                try:
                    await self._pass()
                except (LinkError, KubeError) as error:
                    log.info("device %s: %s", self.device, error)
                try:
                    async with asyncio.timeout(RESYNC_SECONDS):
                        await self.awake.wait()
                except TimeoutError:
                    pass
                self.awake.clear()
        finally:
            for task in links:
                task.cancel()
            await asyncio.gather(*links, return_exceptions=True)
            await asyncio.gather(*(process.stop() for process in self.own.values()))

    async def _pass(self) -> None:
        if self._link.connected:
            twin = await self._link.twin()
            self._read(twin.get("desired") or {})
            if self._reported is None:
                self._reported = {k: v for k, v in (twin.get("reported") or {}).items() if not k.startswith("$")}
        await self._run_modules()
        await self._report()

    def _read(self, desired: JsonObject) -> None:
        self._version = int(desired.get("$version", 0))
        try:
            self._modules, self._system = read_manifest(desired)
            self._status = {"code": 200, "description": ""}
        except Refused as error:
            self._status = {"code": error.code, "description": str(error)}

    async def _run_modules(self) -> None:
        ours = [module for module in self._modules if module.image.startswith(OWN_IMAGE_PREFIX)]
        others = [module for module in self._modules if not module.image.startswith(OWN_IMAGE_PREFIX)]
        await self._run_own(ours)
        self.settled = self.settled or self._reported is not None
        kube = Kube(self._kubeconfig)
        namespace = kube.namespace or "default" if self._external else namespace_of(self.device)
        pods = Pods(kube, self.device, namespace)
        if not self._external:
            await asyncio.to_thread(self._keep_rights, kube, namespace)
        seen = await asyncio.to_thread(pods.look if self._external else pods.sync, others)
        self._states = {**seen, **{name: process.state for name, process in self.own.items()}}

    def _keep_rights(self, kube: Kube, namespace: str) -> None:
        """Grant what is missing; a running module gets a new token when its account is another one. Blocks."""
        account = rights.grant(kube, namespace)
        if self._account and account != self._account:
            rights.write_kubeconfig(kube, namespace, self._folder / "kubeconfig")
            self._account = account

    async def _run_own(self, wanted: list[Module]) -> None:
        targets = {module.name: module for module in wanted if module.status == "running"}
        for name in set(self.own) - set(targets):
            await self.own.pop(name).stop()
        for name, module in targets.items():
            current = self.own.get(name)
            if current is not None and current.module == module:
                continue
            if current is not None:
                await current.stop()
            log_file = self._folder / f"{name}.log"
            process = OwnProcess(module, lambda module=module: self._own_environment(module), log_file, self.awake.set)  # type: ignore[misc]
            self.own[name] = process
            await process.start()

    def _own_environment(self, module: Module) -> Mapping[str, str]:
        """Blocks; raises KubeError or the control client's error."""
        base = self._environment_of(module.name)
        state = self._folder / "state" / module.name
        state.mkdir(mode=0o700, parents=True, exist_ok=True)
        kubeconfig = self._kubeconfig
        extra = {"EDGE_EXPOSE_STATE_DIR": str(state), "EDGE_EXPOSE_HTTP_ADDRESS": f"127.0.0.1:{self._http_port}"}
        if not self._external:
            kube = Kube(self._kubeconfig)
            namespace = namespace_of(self.device)
            account = rights.grant(kube, namespace)
            kubeconfig = self._folder / "kubeconfig"
            rights.write_kubeconfig(kube, namespace, kubeconfig)
            self._account = account
            extra["EDGE_EXPOSE_NAMESPACE"] = namespace
        return own_environment(base, module, {**extra, "KUBECONFIG": str(kubeconfig)})

    async def _report(self) -> None:
        if not self._link.connected or self._reported is None:
            return
        report = self._compose()
        patch = merge_patch(self._reported, report)
        if patch:
            await self._link.report(patch)
            self._reported = report
        if self._edge_hub.connected:
            await self._report_edge_hub()

    async def _report_edge_hub(self) -> None:
        twin = await self._edge_hub.twin()
        version = int((twin.get("desired") or {}).get("$version", 0))
        wanted: JsonObject = {
            "schemaVersion": "1.0",
            "version": {"version": VERSION, "build": "", "commit": ""},
            "lastDesiredVersion": version,
            "lastDesiredStatus": {"code": 200, "description": ""},
        }
        reported = {k: v for k, v in (twin.get("reported") or {}).items() if k in wanted}
        patch = merge_patch(reported, wanted)
        if patch:
            await self._edge_hub.report(patch)

    def _compose(self) -> JsonObject:
        modules = {module.name: _module_report(module, self._states.get(module.name)) for module in self._modules}
        system = {}
        for name, raw in self._system.items():
            entry = raw if isinstance(raw, dict) else {}
            system[name] = {
                "type": "docker",
                "settings": entry.get("settings") or {},
                "runtimeStatus": "running",
                "exitCode": 0,
            }
        return {
            "schemaVersion": "1.0",
            "version": {"version": VERSION, "build": "", "commit": ""},
            "lastDesiredVersion": self._version,
            "lastDesiredStatus": self._status,
            "runtime": {"platform": {"os": "linux", "architecture": "x86_64", "version": VERSION}, "type": "docker"},
            "systemModules": system,
            "modules": modules,
        }


def _module_report(module: Module, state: RunState | None) -> JsonObject:
    state = state or RunState()
    report: JsonObject = {
        "type": "docker",
        "status": module.status,
        "restartPolicy": module.restart_policy,
        "imagePullPolicy": module.image_pull_policy,
        "settings": {"image": module.image},
        "runtimeStatus": state.runtime_status,
        "statusDescription": state.description,
        "exitCode": state.exit_code,
        "restartCount": state.restarts,
    }
    if module.version:
        report["version"] = module.version
    if state.last_start:
        report["lastStartTimeUtc"] = state.last_start
    if state.last_exit:
        report["lastExitTimeUtc"] = state.last_exit
    return report


def merge_patch(old: Mapping[str, Any], new: Mapping[str, Any]) -> JsonObject:
    """The JSON merge patch from one document to the other."""
    patch: JsonObject = {key: None for key in old if key not in new}
    for key, value in new.items():
        before = old.get(key)
        if isinstance(value, dict) and isinstance(before, dict):
            inner = merge_patch(before, value)
            if inner:
                patch[key] = inner
        elif key not in old or before != value:
            patch[key] = value
    return patch
