"""A device on the network form: the local hub outside, our module in a pod, and the cloud side's command line.

The module reaches the API server as every pod does (its ServiceAccount's files, 10.96.0.1) and the hub through the
node; it has exactly the shipped rights.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from support.hub import RunningHub, caller
from support.testbed_machines import APPS, OUTSIDE, Pod
from support.testbed_module import path_of, shipped
from support.testbed_namespaces import inside
from support.testbed_network import NetworkCluster
from support.testbed_plane import SERVICE_API
from support.testbed_processes import Launcher, Program, clean_environment
from support.waiting import eventually

ROOT: Final = Path(__file__).resolve().parents[2]
DEVICE: Final = "edge1"
MODULE: Final = "edge-expose"
_PATHS: Final = {"PYTHONPATH": f"{ROOT / 'module'}:{ROOT / 'cloud'}", "PYTHONUNBUFFERED": "1"}


class OutsideHub(RunningHub):
    """The local hub in the outside world, on an address of the LAN."""

    def __init__(self, state: Path, launcher: Launcher) -> None:
        self._launcher = launcher
        self.program: Program | None = None
        super().__init__(state)

    def start(self) -> None:
        command = [sys.executable, "-m", "edge_expose_local.hub", "--state", str(self.state)]
        command += ["--address", OUTSIDE[0], "--allow-non-loopback"]
        for name, port in self.ports.items():
            command += [f"--{name}-port", str(port)]
        log = self._launcher.folder / "hub.log"
        before = log.stat().st_size if log.exists() else 0
        self.program = self._launcher.start("hub", command, _PATHS)
        program = self.program
        program.wait_ready(lambda: b'"ready"' in log.read_bytes()[before:])
        lines = log.read_bytes()[before:].decode().splitlines()
        self.ports = json.loads(next(line for line in lines if line.startswith('{"ready"')))["ports"]

    def stop(self) -> int:
        if self.program is not None:
            self.program.stop()
        return 0

    def kill(self) -> None:
        if self.program is not None:
            self.program.kill()


class Site:
    """Hub and module of one device whose cluster runs in network namespaces."""

    def __init__(self, cluster: NetworkCluster, folder: Path) -> None:
        self.cluster = cluster
        self.folder = folder
        self._launcher = cluster.machines.launcher(cluster.outside)
        self.hub = OutsideHub(folder / "hub", self._launcher)
        self.hub.control("POST", "/devices", {"ids": [DEVICE]})
        self._account = folder / "account"
        self._state = folder / "module-state"
        self.module_pod: Pod | None = None

    # --- the device ---

    def grant(self) -> None:
        """Applies the shipped rights, and puts the account's files where the pod mounts them from."""
        for document in shipped("rbac.yaml", APPS):
            self.cluster.api.create(path_of(document, named=False), document, exists_ok=True)
        self._account.mkdir(mode=0o700, exist_ok=True)
        plane = self.cluster.plane
        files = {"ca.crt": plane.pki.ca.read_text(), "namespace": APPS}
        for name, text in {**files, "token": plane.account_token(APPS, MODULE)}.items():
            unfinished = self._account / f".{name}"
            unfinished.write_text(text)
            unfinished.replace(self._account / name)

    def start_module(self) -> None:
        """As edgeAgent would: in a pod, with the environment that the hub's runtime gives."""
        if self.module_pod is None:
            self.module_pod = self.cluster.machines.add_pod("module", self.cluster.node)
            self.cluster.pods["module"] = self.module_pod
        self._state.mkdir(mode=0o700, exist_ok=True)
        environment = {
            **_PATHS,
            **self.hub.device_env(DEVICE, MODULE),
            "KUBERNETES_SERVICE_HOST": SERVICE_API,
            "KUBERNETES_SERVICE_PORT": "443",
            "EDGE_EXPOSE_STATE_DIR": str(self._state),
            "EDGE_EXPOSE_MAX_REMOVAL_PERCENT": "100",
        }
        self.module_pod.start([sys.executable, "-m", "edge_expose_module"], environment, self._account)

    @property
    def module(self) -> Program:
        assert self.module_pod is not None
        assert self.module_pod.program is not None
        return self.module_pod.program

    def restart_module(self, how: signal.Signals = signal.SIGKILL) -> None:
        self.module.signal(how)
        self.module.process.wait(10)
        self.start_module()

    def forget_state(self) -> None:
        """The module's own disk is lost."""
        shutil.rmtree(self._state)

    # --- the cloud side ---

    def run(self, *arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command line, on an operator's machine in the outside world."""
        done = subprocess.run(
            [*self._launcher.prefix, sys.executable, "-m", "edge_expose_cloud", *arguments],
            env={
                **clean_environment(),
                **_PATHS,
                "HOME": str(self.folder),
                "XDG_STATE_HOME": str(self.folder / "operator"),
                "IOTHUB_CONNECTION_STRING": self.hub.connection_string,
                "EDGE_EXPOSE_HUB_CA": str(self.hub.ca),
                "COLUMNS": "200",
            },
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{arguments}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def deploy(self, exposures: Mapping[str, Any], *, wait: bool = False) -> None:
        """Applies a spec; the workload modules are the pods of the test."""
        spec = {
            "schemaVersion": "1.0",
            "name": "bed",
            "target": {"device": DEVICE},
            "modules": {
                "webserver": {"image": "edge-expose/sample-web:1", "env": {"DATABASE": "db"}},
                "database": {"image": "edge-expose/sample-db:1"},
            },
            "exposures": dict(exposures),
        }
        allow = [word for kind in ("removals", "modules", "moves") for word in ("--allow", f"{kind}=99")]
        waiting = ["--wait", "--timeout", "60"] if wait else []
        self.run("apply", "-", "--yes", *allow, *waiting, stdin=json.dumps(spec))

    def twin(self) -> dict[str, Any]:
        """Desired and reported properties of the module."""
        return dict(self._call("GET", f"/twins/{DEVICE}/modules/{MODULE}")["properties"])

    def desire(self, exposures: Mapping[str, Any]) -> None:
        """Edits the module twin by hand so that it holds exactly these exposures."""
        old = self.twin()["desired"].get("exposures") or {}
        patch: dict[str, Any] = {name: None for name in old if name not in exposures}
        for name, exposure in exposures.items():
            gone = {key: None for key in old.get(name) or {} if key not in exposure}
            patch[name] = {**gone, **exposure}
        self._call("PATCH", f"/twins/{DEVICE}/modules/{MODULE}", {"properties": {"desired": {"exposures": patch}}})

    def reported(self) -> dict[str, Any]:
        return dict(self.twin()["reported"])

    def exposure(self, name: str) -> dict[str, Any]:
        return dict((self.reported().get("exposures") or {}).get(name) or {})

    def until(
        self,
        name: str,
        state: str = "Ready",
        address: str | None = None,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """Waits for what the module reports of an exposure."""

        def look() -> dict[str, Any] | None:
            entry = self.exposure(name)
            good = entry.get("state") == state and address in (None, entry.get("address"))
            return entry if good and reason in (None, entry.get("reason")) else None

        return self.waiting(look, f"{name} {state} {address or ''} {reason or ''}")

    def waiting(self, look: Callable[[], Any], what: str) -> Any:
        """`eventually`, with what the module reports and logs when it fails."""
        try:
            return eventually(look, what=what)
        except AssertionError as error:
            log = self.module.tail(1500) if self.module_pod is not None else "not started"
            told = f"reported {json.dumps(self.reported())[:1500]}\nservices {self.cluster.describe()}"
            raise AssertionError(f"{error}\n{told}\nmodule {log}") from None

    def _call(self, method: str, path: str, body: Any = None) -> Any:
        with inside(self.cluster.outside):
            answer = caller(self.hub)(method, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def stop(self) -> None:
        if self.module_pod is not None and self.module_pod.program is not None:
            self.module_pod.program.kill()
        self.hub.kill()
