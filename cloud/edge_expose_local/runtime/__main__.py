"""`python -m edge_expose_local.runtime`: an edge runtime for each device of the local hub, until SIGTERM."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import socket
import sys
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge_expose_local import control_client
from edge_expose_local.control_server import ControlServer, Refusal
from edge_expose_local.device_names import namespace_of
from edge_expose_local.runtime.agent import EdgeAgent
from edge_expose_local.runtime.link import HubLink

log = logging.getLogger("edge_expose_local.runtime")
JsonObject = dict[str, Any]


class Runtime:
    """The agents of all devices; which there are is kept on disk, with the port of each module's health page."""

    def __init__(self, state: Path, hub_state: Path, kubeconfig: Path, external: bool) -> None:
        self._state = state
        self._hub_state = hub_state
        self._kubeconfig = kubeconfig
        self._external = external
        self._agents: dict[str, EdgeAgent] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def start(self, devices: list[str]) -> None:
        known = self._load()
        for device in [*known, *devices]:
            await self.add(device)

    async def add(self, device: str) -> None:
        if device in self._agents:
            return
        ports = self._load()
        port = ports.get(device) or _free_port()
        self._save({**ports, device: port})
        status = await asyncio.to_thread(control_client.call, self._hub_state, "GET", "/status")
        ca = (self._hub_state / "ca.pem").read_text(encoding="utf-8")
        folder = self._state / namespace_of(device)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        awake: list[EdgeAgent] = []

        def wake() -> None:
            for agent in awake:
                agent.awake.set()

        links = []
        for module, call in (("$edgeAgent", wake), ("$edgeHub", wake)):
            environment = await asyncio.to_thread(self._environment, device, module)
            links.append(HubLink(environment, status["address"], status["ports"]["mqtt"], ca, call))
        agent = EdgeAgent(
            device,
            links[0],
            links[1],
            lambda module: self._environment(device, module),
            self._kubeconfig,
            self._external,
            folder,
            port,
        )
        awake.append(agent)
        self._agents[device] = agent
        self._tasks[device] = asyncio.create_task(agent.run(), name=f"agent {device}")

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    # --- control ---

    async def handle(self, method: str, path: str, body: Any) -> Any:
        match method, path:
            case "GET", "/status":
                return {"devices": {name: self._told(name, agent) for name, agent in self._agents.items()}}
            case "POST", "/devices":
                ids = body.get("ids") if isinstance(body, dict) else None
                if not isinstance(ids, list) or not all(isinstance(item, str) for item in ids):
                    raise Refusal(400, "ids is not a list of device ids")
                for device in ids:
                    await self.add(device)
                return {"devices": sorted(self._agents), "namespaces": {name: namespace_of(name) for name in ids}}
            case _:
                raise Refusal(404, f"{method} {path} is not known")

    def _told(self, device: str, agent: EdgeAgent) -> JsonObject:
        port = self._load().get(device)
        return {
            "namespace": namespace_of(device),
            "settled": agent.settled,
            "modules": {
                name: {
                    "pid": process.state.pid,
                    "state": "starting" if process.state.runtime_status == "unknown" else process.state.runtime_status,
                    "description": process.state.description,
                    "restarts": process.state.restarts,
                    "http": port,
                }
                for name, process in agent.own.items()
            },
        }

    def _environment(self, device: str, module: str) -> dict[str, str]:
        quoted = f"/device-env?device={quote(device, safe='')}&module={quote(module, safe='')}"
        answer = control_client.call(self._hub_state, "GET", quoted)
        return {str(key): str(value) for key, value in answer.items()}

    def _load(self) -> dict[str, int]:
        try:
            content = json.loads((self._state / "devices.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return {str(name): int(port) for name, port in content.items()}

    def _save(self, devices: dict[str, int]) -> None:
        temporary = self._state / "devices.tmp"
        temporary.write_text(json.dumps(devices), encoding="utf-8")
        temporary.replace(self._state / "devices.json")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


async def run(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    arguments.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    runtime = Runtime(arguments.state, arguments.hub_state, arguments.kubeconfig, arguments.external_cluster)
    control = ControlServer(arguments.state, runtime.handle)
    await control.start()
    await runtime.start(arguments.device)
    sys.stdout.write(json.dumps({"ready": True, "ports": {}}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    await runtime.stop()
    await control.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_expose_local.runtime", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--hub-state", type=Path, required=True)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--external-cluster", action="store_true", help="workloads are somebody else's: start none")
    parser.add_argument("--device", action="append", default=[], help="a device to run; may be given several times")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
