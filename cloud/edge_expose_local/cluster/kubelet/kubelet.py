"""A small kubelet: pods whose image or command is known run as real processes; others are only recorded.

A pod keeps its address for as long as it exists; the address is only an identity. The process listens on a free
loopback port per container port, and `place` tells the forwarder which.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
import ipaddress
import os
import sys
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

from edge_expose_local.processes import Process, free_port

from ...http.messages import Request, Response
from ..faults import Faults
from ..kinds.errors import ApiError, Document, bad_request
from ..objects.prepare import now
from ..objects.recorder import Recorder
from ..objects.registry import Registry
from ..store.store import Store
from .images import command_of
from .logs import Lines, options_of, select, shown
from .port_forward import forward

NODE = "edge-node"
WATCHED = frozenset({"pods"})
_MAX_BACKOFF = 30.0
_TEXT = {"Content-Type": "text/plain"}


@dataclass(slots=True)
class _Running:
    uid: str
    ip: str
    task: asyncio.Task[None] | None = None
    ports: dict[int, int] = field(default_factory=dict)
    """container port -> loopback port"""
    listening: set[int] = field(default_factory=set)
    """Container ports on which TCP connections are accepted."""
    restarts: dict[str, int] = field(default_factory=dict)
    state: dict[str, Document] = field(default_factory=dict)
    last: dict[str, Document] = field(default_factory=dict)
    """How each container ended last."""
    ready: dict[str, bool] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)
    stopping: bool = False


class Kubelet:
    """Runs the pods of the store."""

    def __init__(
        self,
        registry: Registry,
        folder: Path,
        address: str,
        pod_cidr: str,
        faults: Faults,
        environment: Callable[[str], dict[str, str]],
    ) -> None:
        self._registry = registry
        self._store = registry.store
        self._folder = folder
        self._address = address
        self._network = ipaddress.IPv4Network(pod_cidr)
        self._faults = faults
        self._environment = environment
        self._recorder = Recorder(registry.store, "kubelet", NODE)
        self._pods: dict[tuple[str, str], _Running] = {}
        self.moved: Callable[[], None] = lambda: None
        """Called when a pod's loopback ports changed."""
        folder.mkdir(mode=0o700, exist_ok=True)

    def place(self, ip: str, port: int, protocol: str = "") -> tuple[str, int] | None:
        """Return where a pod's port really is, or None when no pod of ours has it or, for TCP, listens on it."""
        for running in self._pods.values():
            if running.ip == ip:
                found = running.ports.get(port)
                deaf = protocol == "TCP" and port not in running.listening
                return (self._address, found) if found and not deaf else None
        return None

    def work(self) -> None:
        """Start new pods, end deleted ones."""
        present: set[tuple[str, str]] = set()
        for pod in self._store.all("pods"):
            meta = pod["metadata"]
            key = (meta["namespace"], meta["name"])
            present.add(key)
            running = self._pods.get(key)
            if running is not None and running.uid != meta["uid"]:
                self._begin_stop(key, running, 0.0, remove=False)
                running = None
            if running is None and "deletionTimestamp" not in meta:
                self._adopt(key, pod)
            elif running is not None and "deletionTimestamp" in meta and not running.stopping:
                self._begin_stop(key, running, float(meta.get("deletionGracePeriodSeconds") or 0), remove=True)
            elif running is None and "deletionTimestamp" in meta and not meta.get("finalizers"):
                self._remove(key, meta["uid"])
        for key in list(self._pods):
            if key not in present:
                self._begin_stop(key, self._pods[key], 0.0, remove=False)

    def _adopt(self, key: tuple[str, str], pod: Document) -> None:
        if pod["spec"].get("nodeName", NODE) != NODE:
            return  # another kubelet's
        containers = pod["spec"].get("containers") or []
        commands = {c["name"]: command_of(c) for c in containers}
        if any(command is None for command in commands.values()):
            if not pod.get("status", {}).get("conditions") and not pod.get("status", {}).get("containerStatuses"):
                self._record_only(pod)
            return
        if pod.get("status", {}).get("phase") in ("Succeeded", "Failed"):
            return
        held = pod.get("status", {}).get("podIP") or self._next_ip()
        running = _Running(pod["metadata"]["uid"], held)
        self._pods[key] = running
        running.task = asyncio.ensure_future(self._run(key, running, pod))

    def _record_only(self, pod: Document) -> None:
        status = copy.deepcopy(pod.get("status") or {})
        status["phase"] = "Pending"
        status["containerStatuses"] = [
            {
                "name": c["name"],
                "image": c.get("image", ""),
                "imageID": "",
                "ready": False,
                "started": False,
                "restartCount": 0,
                "state": {
                    "waiting": {"reason": "ImageNotRunnable", "message": "this stand-in has no command for the image"}
                },
            }
            for c in pod["spec"].get("containers") or []
        ]
        self._store.put("pods", {**pod, "status": status})

    def _next_ip(self) -> str:
        taken = {p.get("status", {}).get("podIP") for p in self._store.all("pods")} | {
            r.ip for r in self._pods.values()
        }
        first, last = int(self._network.network_address) + 2, int(self._network.broadcast_address) - 1
        pointer = int(self._store.fact("pod-ip", str(first - 1)))
        for _ in range(last - first):
            pointer = first if pointer >= last else pointer + 1
            candidate = str(ipaddress.IPv4Address(pointer))
            if candidate not in taken:
                self._store.set_fact("pod-ip", str(pointer))
                return candidate
        raise RuntimeError("no pod address is free")

    # -- running ------------------------------------------------------------------------------------

    async def _run(self, key: tuple[str, str], running: _Running, pod: Document) -> None:
        running.state = {c["name"]: {"waiting": {"reason": "ContainerCreating"}} for c in pod["spec"]["containers"]}
        kept = {s["name"]: s.get("restartCount", 0) for s in pod.get("status", {}).get("containerStatuses") or []}
        running.restarts = {c["name"]: int(kept.get(c["name"], 0)) for c in pod["spec"]["containers"]}
        self._report(key, running)
        try:
            async with asyncio.TaskGroup() as group:
                for container in pod["spec"]["containers"]:
                    group.create_task(self._container(key, running, pod, container))
        except* Exception as errors:
            for error in errors.exceptions:
                print(f"kubelet: {key[0]}/{key[1]}: {error!r}", file=sys.stderr, flush=True)

    async def _container(self, key: tuple[str, str], running: _Running, pod: Document, container: Document) -> None:
        name, policy = container["name"], pod["spec"].get("restartPolicy", "Always")
        backoff = 0.5
        while not running.stopping:
            environment = self._container_environment(key, running, pod, container)
            command = command_of(container)
            assert command is not None
            log = self._log(pod["metadata"]["uid"], name)
            if log.exists():
                log.replace(_previous(log))
            try:
                folder = Path(container["workingDir"]) if container.get("workingDir") else None
                process = await Process.start(command, environment, log, folder, stamped=True)
            except OSError as error:
                failed = f'failed to start container "{name}": {error}'
                self._recorder.event(pod, "Warning", "Failed", f"Error: {failed}")
                code = 128
            else:
                failed = ""
                self._recorder.event(pod, "Normal", "Started", f"Started container {name}")
                running.processes[name] = process
                running.state[name] = {"running": {"startedAt": now()}}
                self._report(key, running)
                self.moved()
                probing = asyncio.ensure_future(self._probe(key, running, container))
                begun = asyncio.get_running_loop().time()
                code = await process.wait()
                probing.cancel()
                running.processes.pop(name, None)
                for port in container.get("ports") or []:
                    self._heard(running, int(port["containerPort"]), hears=False)
                if asyncio.get_running_loop().time() - begun > 10:
                    backoff = 0.5
            running.ready[name] = False
            if running.stopping:
                return
            again = policy == "Always" or (policy == "OnFailure" and code != 0)
            ended = {"exitCode": code, "reason": "Completed" if code == 0 else "Error", "finishedAt": now()}
            if failed:
                ended |= {"reason": "StartError", "message": failed}
            if not again:
                running.state[name] = {"terminated": ended}
                self._report(key, running)
                return
            running.restarts[name] += 1
            running.last[name] = {"terminated": ended}
            running.state[name] = {
                "waiting": {
                    "reason": "CrashLoopBackOff",
                    "message": f"back-off {backoff:g}s restarting failed container={name}",
                }
            }
            self._report(key, running)
            self._recorder.event(pod, "Warning", "BackOff", f"Back-off restarting failed container {name}")
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _MAX_BACKOFF)

    def _container_environment(
        self, key: tuple[str, str], running: _Running, pod: Document, container: Document
    ) -> dict[str, str]:
        namespace, pod_name = key
        environment = {
            "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
            "HOME": os.environ.get("HOME", "/"),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "HOSTNAME": pod_name,
            "EDGE_EXPOSE_POD_IP": running.ip,
            **self._environment(namespace),
        }
        taken = {port for other in self._pods.values() for port in other.ports.values()}
        for i, declared in enumerate(container.get("ports") or []):
            number = int(declared["containerPort"])
            if f"EDGE_EXPOSE_LISTEN_{number}" in environment:
                continue  # declared for TCP and for UDP: one number serves both
            running.ports[number] = free_port(self._address, taken)
            taken.add(running.ports[number])
            where = f"{self._address}:{running.ports[number]}"
            environment.setdefault(f"EDGE_EXPOSE_LISTEN_{number}", where)
            if i == 0:
                environment["EDGE_EXPOSE_LISTEN"] = where
        for entry in container.get("env") or []:
            value = entry.get("value")
            source = ((entry.get("valueFrom") or {}).get("fieldRef") or {}).get("fieldPath")
            if source:
                known = {"metadata.name": pod_name, "metadata.namespace": namespace, "status.podIP": running.ip}
                value = known.get(source, "")
            environment[entry["name"]] = str(value or "")
        return environment

    async def _probe(self, key: tuple[str, str], running: _Running, container: Document) -> None:
        """Keep readiness true while the first TCP port accepts connections; without one, running is ready.

        All TCP ports are tried, so that nothing is forwarded to one on which nobody listens.
        """
        name = container["name"]
        tcp = [p for p in container.get("ports") or [] if p.get("protocol", "TCP") == "TCP"]
        wait = 0.05
        while True:
            good = True
            for number in dict.fromkeys(int(port["containerPort"]) for port in tcp):
                hears = await _accepts(self._address, running.ports[number])
                self._heard(running, number, hears=hears)
                good = good and (hears or number != int(tcp[0]["containerPort"]))
            good = good and f"{key[0]}/{key[1]}" not in self._faults.not_ready and key[1] not in self._faults.not_ready
            if good != running.ready.get(name, False):
                running.ready[name] = good
                self._report(key, running)
            await asyncio.sleep(wait)
            wait = 1.0 if good else min(wait * 1.5, 1.0)

    def _heard(self, running: _Running, number: int, *, hears: bool) -> None:
        if hears != (number in running.listening):
            (running.listening.add if hears else running.listening.discard)(number)
            self.moved()

    def _report(self, key: tuple[str, str], running: _Running) -> None:
        pod = self._store.get("pods", *key)
        if pod is None or pod["metadata"]["uid"] != running.uid:
            return
        containers = pod["spec"]["containers"]
        states = [running.state.get(c["name"], {}) for c in containers]
        ended = [s["terminated"]["exitCode"] for s in states if "terminated" in s]
        if len(ended) == len(containers):
            phase = "Succeeded" if not any(ended) else "Failed"
        else:
            phase = (
                "Running"
                if any("running" in s or "terminated" in s for s in states) or any(running.restarts.values())
                else "Pending"
            )
        ready = all(running.ready.get(c["name"], False) for c in containers)
        old = pod.get("status", {})
        times = {c["type"]: c for c in old.get("conditions") or []}
        conditions = []
        for kind, value in (
            ("PodScheduled", True),
            ("Initialized", True),
            ("ContainersReady", ready),
            ("Ready", ready),
        ):
            text = "True" if value else "False"
            known = times.get(kind)
            since = known["lastTransitionTime"] if known and known["status"] == text else now()
            conditions.append({"type": kind, "status": text, "lastTransitionTime": since})
        status = {
            "phase": phase,
            "conditions": conditions,
            "hostIP": self._address,
            "podIP": running.ip,
            "podIPs": [{"ip": running.ip}],
            "startTime": old.get("startTime") or now(),
            "qosClass": old.get("qosClass", "BestEffort"),
            "containerStatuses": [
                {
                    "name": c["name"],
                    "image": c.get("image", ""),
                    "imageID": "",
                    "containerID": f"process://{running.uid}/{c['name']}",
                    "ready": running.ready.get(c["name"], False),
                    "started": "running" in running.state.get(c["name"], {}),
                    "restartCount": running.restarts.get(c["name"], 0),
                    "state": running.state.get(c["name"], {}),
                    "lastState": running.last.get(c["name"], {}),
                }
                for c in containers
            ],
        }
        spec = {**pod["spec"], "nodeName": NODE}
        if status != old or spec != pod["spec"]:
            self._store.put("pods", {**pod, "spec": spec, "status": status})

    # -- ending -------------------------------------------------------------------------------------

    def _begin_stop(self, key: tuple[str, str], running: _Running, grace: float, *, remove: bool) -> None:
        running.stopping = True
        running.ready.clear()
        if self._pods.get(key) is running and not remove:
            del self._pods[key]
        asyncio.ensure_future(self._stop(key, running, grace, remove=remove))  # noqa: RUF006 - ends by itself

    async def _stop(self, key: tuple[str, str], running: _Running, grace: float, *, remove: bool) -> None:
        if running.task is not None and not running.processes:
            running.task.cancel()
        for process in list(running.processes.values()):
            await process.stop(grace)
        if running.task is not None:
            await asyncio.wait({running.task}, timeout=3.0)
            running.task.cancel()
        if remove:
            if self._pods.get(key) is running:
                del self._pods[key]
            self._remove(key, running.uid)
        for path in self._folder.glob(f"{running.uid}.*.log"):
            path.unlink(missing_ok=True)
        self.moved()

    def _remove(self, key: tuple[str, str], uid: str) -> None:
        pod = self._store.get("pods", *key)
        if pod is not None and pod["metadata"]["uid"] == uid:
            with contextlib.suppress(ApiError):
                self._registry.delete(self._registry.resource("pods"), *key, {"gracePeriodSeconds": 0})

    async def close(self) -> None:
        """End all processes (at most about two seconds)."""
        stopping = []
        for running in self._pods.values():
            running.stopping = True
            stopping += [process.stop(1.0) for process in running.processes.values()]
        await asyncio.gather(*stopping, return_exceptions=True)

    # -- logs ---------------------------------------------------------------------------------------

    def _log(self, uid: str, container: str) -> Path:
        return self._folder / f"{uid}.{container}.log"

    def tail(self, pod: Document, lines: int) -> list[str]:
        """The last lines that the first container of a pod wrote."""
        path = self._log(pod["metadata"]["uid"], pod["spec"]["containers"][0]["name"])
        data = b"".join(file.read_bytes() for file in (_previous(path), path) if file.exists())
        found = [shown(line, timestamps=False) for line in data.splitlines()]
        return [line.decode(errors="replace") for line in found[-lines:]]

    async def port_forward(self, namespace: str, name: str, request: Request) -> Response:
        """Answer pods/portforward: the connection is handed to the ports of the pod's processes."""
        pod = self._store.get("pods", namespace, name)
        assert pod is not None
        running = self._pods.get((namespace, name))
        if running is None:
            hosted = pod["spec"].get("nodeName")
            why = "is not run by this stand-in" if hosted else "does not have a host assigned"
            raise bad_request(f"pod {name} {why}")
        return forward(request, lambda port: self.place(running.ip, port), f"{name}_{namespace}")

    async def logs(self, namespace: str, name: str, request: Request) -> Response:
        """Answer pods/log."""
        pod = self._store.get("pods", namespace, name)
        assert pod is not None
        options = options_of(request, name)
        names = [c["name"] for c in pod["spec"]["containers"]]
        container = request.arg("container") or names[0]
        if container not in names:
            raise bad_request(f"container {container} is not valid for pod {name}")
        path = self._log(pod["metadata"]["uid"], container)
        if options.previous:
            path = _previous(path)
            if not path.exists():
                raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        data = path.read_bytes() if path.exists() else b""
        answer = select(data, options)
        if not options.follow or options.previous:
            return Response(200, answer, _TEXT)
        lines = Lines(timestamps=options.timestamps)
        stream = _follow(path, len(data), answer, lines, self._store, (namespace, name))
        return Response(200, headers=_TEXT, stream=stream)


def _previous(log: Path) -> Path:
    return log.with_suffix(".previous.log")


async def _follow(
    path: Path, position: int, first: bytes, lines: Lines, store: Store, key: tuple[str, str]
) -> AsyncGenerator[bytes, None]:
    yield first
    while True:
        await asyncio.sleep(0.2)
        if not path.exists():
            if store.get("pods", *key) is None:
                return
            position = 0
            continue
        size = path.stat().st_size
        if size < position:
            position = 0
        if size > position:
            with path.open("rb") as file:
                file.seek(position)
                data = file.read()
            position += len(data)
            yield lines.feed(data)


async def _accepts(address: str, port: int) -> bool:
    try:
        async with asyncio.timeout(1.0):
            _, writer = await asyncio.open_connection(address, port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
