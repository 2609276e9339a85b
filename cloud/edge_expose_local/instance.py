"""One local instance from outside: bring it up, look at it, move its world, take it down."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from edge_expose_local import control_client, settings, supervisor
from edge_expose_local.control_client import ControlError
from edge_expose_local.settings import BadSettings, LocalSettings
from edge_expose_local.simulated.listing import write_devices

UP_SECONDS: Final = 90.0
_MODULE_SECONDS: Final = 10.0
_POD_SECONDS: Final = 3.0
_STEADY_SECONDS: Final = 0.5
_FOLDERS: Final = ("hub", "cluster", "runtime", "simulated")
_FILES: Final = ("local.json", "local.tmp", "supervisor.*")
JsonObject = dict[str, Any]


class InstanceError(Exception):
    """Something could not be done; the text is fit for a person."""


@contextlib.contextmanager
def _ctrl_c_waits() -> Iterator[None]:
    """A Ctrl-C while a process is being started comes after it: until then nobody knows the process to end it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came:
        raise KeyboardInterrupt


class Instance:
    def __init__(self, state: Path) -> None:
        self.state = state

    # --- up and down ---

    def prepare(self, local: LocalSettings) -> LocalSettings:
        """Checks and stores the settings; an instance that was there keeps its ports and what is not given anew.

        Raises BadSettings for what cannot be, PortTaken, and InstanceError when one runs already; then nothing is
        stored.
        """
        local.check()
        try:
            self.state.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.state.chmod(0o700)
            held = None if self.running else supervisor.lock(self.state)
        except OSError as error:
            raise BadSettings(
                f"--state {self.state} cannot be a state folder: {error.strerror}; give a folder that you may write"
            ) from error
        if held is None:
            raise self._busy()
        try:
            local = local.with_ports()
            local.save(self.state)
        finally:
            os.close(held)
        return local

    def _busy(self) -> InstanceError:
        return InstanceError(f"an instance runs already with {self.state}; `edge-expose local down` ends it")

    def up_detached(self) -> None:
        """Starts the supervisor in the background and returns when everything serves. Raises InstanceError."""
        child: subprocess.Popen[bytes] | None = None
        try:
            with _ctrl_c_waits(), (self.state / "supervisor.log").open("ab") as log:
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "edge_expose_local.supervisor", "--state", str(self.state)],
                    cwd=self.state,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    env=supervisor.part_environment(),
                    start_new_session=True,
                )
            self._await_ready(child)
        except BaseException:
            # Also of a Ctrl-C: nothing is left behind that nobody waited for.
            if child is not None:
                child.terminate()
                child.wait(30.0)
            raise

    def _await_ready(self, child: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + UP_SECONDS
        while time.monotonic() < deadline:
            code = child.poll()
            if code == supervisor.BUSY:
                raise self._busy()
            told = self._supervisor()
            ours = told.get("pid") == child.pid
            if code is not None:
                reason = str(told.get("failed") or "") if ours else ""
                raise InstanceError(reason or f"it did not come up; see {self.state / 'supervisor.log'}")
            if ours and told.get("ready"):
                return
            time.sleep(0.05)
        raise InstanceError(f"it did not come up within {UP_SECONDS:.0f} s; see {self.state / 'supervisor.log'}")

    @property
    def running(self) -> bool:
        return supervisor.locked(self.state)

    def down(self, *, wipe: bool = False) -> bool:
        """Ends it and, if asked to, forgets everything; False when nothing ran."""
        ran = self.running
        if ran:
            pid = self._supervisor().get("pid")
            if not isinstance(pid, int):
                raise InstanceError(f"the supervisor of {self.state} has not said its pid yet; try again")
            os.kill(pid, signal.SIGTERM)
            deadline = time.monotonic() + 30.0
            while self.running:
                if time.monotonic() > deadline:
                    raise InstanceError(f"the supervisor (pid {pid}) did not end within 30 s")
                time.sleep(0.05)
        if wipe and self.state.is_dir():
            if not (self.state / "supervisor.lock").is_file() and any(self.state.iterdir()):
                raise InstanceError(f"{self.state} does not look like a state folder of ours: not wiped")
            self._wipe()
        return ran

    def _wipe(self) -> None:
        """Only what an instance makes: the folder is also where the command line keeps backups and the portal accounts
        of other hubs."""
        for name in _FOLDERS:
            shutil.rmtree(self.state / name, ignore_errors=True)
            (self.state / f"{name}.log").unlink(missing_ok=True)
        for pattern in _FILES:
            for file in self.state.glob(pattern):
                file.unlink(missing_ok=True)
        if not any(self.state.iterdir()):
            self.state.rmdir()

    # --- looking ---

    def _supervisor(self) -> JsonObject:
        return supervisor.read_status(self.state)

    def status(self) -> JsonObject:
        """`{"parts": [{"name", "pid", "ports", "state"}], "running", "unbound"}`; our module on `edge1` is `module`.

        `unbound` is what the data path cannot listen on: `[{"ip", "port", "protocol", "service", "error"}]`.
        """
        if not self.running:
            return {"parts": [], "running": False, "unbound": []}
        parts: list[JsonObject] = list(self._supervisor().get("parts", []))
        result: JsonObject = {"parts": parts, "running": True, "unbound": []}
        try:
            devices: JsonObject = control_client.call(self.state / "runtime", "GET", "/status")["devices"]
        except ControlError:
            devices = {}
        for device, entry in sorted(devices.items()):
            for name, module in sorted(entry["modules"].items()):
                parts.append(
                    {
                        "name": "module" if device == settings.DEVICE else f"module:{device}",
                        "pid": module["pid"],
                        "ports": {"http": module["http"]},
                        "state": module["state"],
                        "description": module["description"],
                        "restarts": module["restarts"],
                        "module": name,
                        "device": device,
                    }
                )
        if not any(part["name"] == "module" for part in parts):
            # An edgeAgent that has not read its twin since it started does not know yet what it runs.
            state = "not deployed" if devices.get(settings.DEVICE, {}).get("settled") else "starting"
            parts.append({"name": "module", "pid": None, "ports": {}, "state": state, "restarts": 0})
        if not self._settings().kubeconfig:
            with contextlib.suppress(ControlError):  # its part says so
                result["unbound"] = control_client.call(self.state / "cluster", "GET", "/status")["notBound"]
        return result

    def await_module(self) -> None:
        """Returns when our module on `edge1`, if one is deployed, runs or has failed more than once; or in 10 s."""
        deadline = time.monotonic() + _MODULE_SECONDS
        while time.monotonic() < deadline:
            module = next((part for part in self.status()["parts"] if part["name"] == "module"), None)
            if module is None or module["state"] in ("running", "stopped", "not deployed") or module["restarts"] > 1:
                return
            time.sleep(0.1)

    def environment(self) -> dict[str, str]:
        """What clients of this instance need, by name of the variable."""
        local = self._settings()
        if not self.running:
            raise InstanceError(f"no instance runs with {self.state}; `edge-expose local up` starts one")
        kubeconfig = local.kubeconfig or str(self.state / "cluster" / "kubeconfig")
        found = {
            "IOTHUB_CONNECTION_STRING": (self.state / "hub" / "connection-string").read_text(encoding="utf-8").strip(),
            "EDGE_EXPOSE_HUB_CA": str(self.state / "hub" / "ca.pem"),
            "KUBECONFIG": kubeconfig,
            "mqtt_proxy": f"http://{local.address}:{local.proxy_port}",
            "EDGE_EXPOSE_HUB_ADDRESS": f"{local.address}:{local.https_port}",
            "EDGE_EXPOSE_MQTT_ADDRESS": f"{local.address}:{local.mqtt_port}",
        }
        if not local.kubeconfig:
            found["EDGE_EXPOSE_DNS"] = f"{local.address}:{local.dns_port}"
        return found

    def policies(self) -> dict[str, str]:
        """The connection string of each shared access policy of the hub, to try what its rights allow."""
        return {str(name): str(text) for name, text in self.hub("GET", "/policies").items()}

    def _settings(self) -> LocalSettings:
        local = settings.load(self.state)
        if local is None:
            raise InstanceError(f"there is no instance at {self.state}; `edge-expose local up` makes one")
        return local

    # --- moving the world ---

    def cluster(self, method: str, path: str, body: Any = None) -> Any:
        return control_client.call(self.state / "cluster", method, path, body)

    def hub(self, method: str, path: str, body: Any = None) -> Any:
        return control_client.call(self.state / "hub", method, path, body)

    def run_pod(self, namespace: str, name: str, body: JsonObject) -> bool:
        """Runs a pod and looks at it for a moment; False when it runs but nothing listens in it yet.

        Raises InstanceError when it ends at once, ControlError when it is refused.
        """
        devices: JsonObject = control_client.call(self.state / "runtime", "GET", "/status")["devices"]
        of_a_device = any(entry["namespace"] == namespace for entry in devices.values())
        self.cluster("POST", "/pods", {**body, "namespace": namespace, "name": name, "createNamespace": of_a_device})
        begun = time.monotonic()
        steady = 0.0
        while time.monotonic() - begun < _POD_SECONDS:
            seen: JsonObject = self.cluster("GET", f"/pods?namespace={quote(namespace)}&name={quote(name)}")
            if ended := seen["ended"]:
                raise InstanceError(_pod_ended(f"{namespace}/{name}", ended, seen["log"]))
            if seen["ready"]:
                steady = steady or time.monotonic()
                # One that serves no TCP is ready as soon as it is there, also when it ends in the next instant.
                if body.get("protocol") != "UDP" or time.monotonic() - steady > _STEADY_SECONDS:
                    return True
            time.sleep(0.05)
        return False

    def set_pool(self, ranges: str) -> Any:
        """Raises BadSettings for what `up --pool` would refuse too."""
        local = self._settings()
        local.check_ranges(ranges)
        answer = self.cluster("POST", "/pool", {"ranges": ranges})
        # A restart of the cluster part must not bring the old range back.
        replace(local, pool=ranges).save(self.state)
        return answer

    def add_devices(self, ids: list[str]) -> dict[str, str]:
        """The namespace of each."""
        self.hub("POST", "/devices", {"ids": ids})
        answer = control_client.call(self.state / "runtime", "POST", "/devices", {"ids": ids})
        return {str(name): str(namespace) for name, namespace in answer["namespaces"].items()}

    def add_simulated(self, ids: list[str]) -> None:
        """Light devices: they connect and report, nothing runs on them. They come up in the background."""
        for start in range(0, len(ids), 500):
            self.hub("POST", "/devices", {"ids": ids[start : start + 500]})
        write_devices(self.state / "simulated", ids)

    def faults(self) -> JsonObject:
        """`{"known": {part: {name: help}}, "set": {part: [{"name", ...}]}}`. Raises ControlError without a part."""
        answers = {part: control_client.call(self.state / part, "GET", "/faults") for part in self._fault_parts()}
        return {kind: {part: answer[kind] for part, answer in answers.items()} for kind in ("known", "set")}

    def _fault_parts(self) -> tuple[str, ...]:
        return ("hub",) if self._settings().kubeconfig else ("hub", "cluster")

    def fault(self, name: str, options: JsonObject) -> Any:
        """The part's answer: `{"set": [...]}`, or what was done at once (`{"dropped": 2}`). Raises BadSettings."""
        faults: dict[str, dict[str, str]] = self.faults()["known"]
        part = next((part for part, known in faults.items() if name in known), None)
        if part is None:
            known = ", ".join(sorted(name for names in faults.values() for name in names))
            raise BadSettings(f"there is no fault {name!r}; known: {known}")
        return control_client.call(self.state / part, "POST", "/fault", {"name": name, **options})

    def clear_faults(self) -> None:
        for part in self._fault_parts():
            control_client.call(self.state / part, "DELETE", "/fault")


def _pod_ended(pod: str, ended: JsonObject, log: list[str]) -> str:
    lines = [f"pod {pod} does not run: {ended.get('message') or 'its command ended with ' + str(ended['exitCode'])}"]
    if log:
        lines += ["it wrote last:", *log]
    return "\n".join([*lines, "it is tried again until it is deleted"])
