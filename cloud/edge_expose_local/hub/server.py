"""Puts the hub together: listeners, control socket, periodic evaluation, an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from edge_expose_local.control_socket import open_control_socket, remove_control_socket
from edge_expose_local.http.server import HttpServer
from edge_expose_local.hub.access.certs import device_context, server_context
from edge_expose_local.hub.control.api import ControlApi
from edge_expose_local.hub.deployments import configuration_service
from edge_expose_local.hub.device_api.links import Links
from edge_expose_local.hub.device_api.messages import DeviceApi
from edge_expose_local.hub.device_api.mqtt_server import MqttServer
from edge_expose_local.hub.device_api.websocket_door import WebSocketDoor
from edge_expose_local.hub.device_api.workload import WorkloadApi
from edge_expose_local.hub.hub import LOGICAL_NAME, Hub, Ports
from edge_expose_local.hub.jobs.runner import JobRunner
from edge_expose_local.hub.service_api.job_operations import JobOperations
from edge_expose_local.hub.service_api.operations import Operations
from edge_expose_local.hub.service_api.rest import ServiceApi
from edge_expose_local.hub.transport.proxy_process import end_mapper, living_mapper, start_mapper, try_lock
from edge_expose_local.private_files import write_private
from edge_expose_local.sockets import tcp_socket

EVALUATION_SECONDS = 300.0
MAPPER_CHECK_SECONDS = 1.0
log = logging.getLogger("edge_expose_local.hub")


@dataclass(frozen=True, slots=True)
class Arguments:
    state: Path
    address: str
    ports: Ports


def lock(folder: Path) -> int:
    """Keeps a second hub off the same state folder until this process ends. Raises OSError when one runs already."""
    for _ in range(20):  # an orphaned mapper looks at this lock now and then, for an instant
        descriptor = try_lock(folder / "lock")
        if descriptor is not None:
            return descriptor
        time.sleep(0.02)
    raise OSError(f"another hub runs with the state folder {folder}")


class Server:
    """One running hub. `start` returns the ports, `stop` ends everything."""

    def __init__(self, arguments: Arguments) -> None:
        folder = arguments.state
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        self._arguments = arguments
        self._lock = lock(folder)
        self._hub = Hub.open(folder, arguments.address)
        links = Links()
        devices = DeviceApi(self._hub, links)
        self._tls = server_context(folder, [LOGICAL_NAME, "localhost", "127.0.0.1", arguments.address])
        self._links = links
        self._jobs = JobRunner(self._hub, devices)
        self._mqtt = MqttServer(self._hub, links, devices, device_context(folder))
        service = ServiceApi(self._hub, Operations(self._hub, devices), JobOperations(self._hub, self._jobs))
        self._rest = HttpServer(WebSocketDoor(self._mqtt, service.handle).handle)
        self._workload = HttpServer(WorkloadApi(self._hub).handle)
        self._control = HttpServer(ControlApi(self._hub, links, devices, self._set_drop_every).handle)
        self._mapper: subprocess.Popen[bytes] | None = None
        self._mqtt_listener: asyncio.Server | None = None
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def _start_mapper(self, wanted: int) -> int:
        """Uses the mapper that outlived a killed hub if it has the wanted port, else starts one; returns its port."""
        folder, address, ports = self._hub.folder, self._hub.address, self._hub.ports
        write_private(folder / "proxy.json", json.dumps({"8883": ports.mqtt, "443": ports.https}).encode())
        living = living_mapper(folder)
        if living is not None and living[1] == f"{address}:{wanted}":
            return wanted
        end_mapper(folder)
        listening = tcp_socket(address, wanted)
        port: int = listening.getsockname()[1]
        self._mapper = start_mapper(folder, address, listening)
        return port

    async def start(self) -> Ports:
        """Loads before it listens, so that nobody is refused for want of data. Raises OSError for a taken port."""
        hub, wanted = self._hub, self._arguments.ports
        hub.commit()
        sockets = [tcp_socket(hub.address, port) for port in (wanted.https, wanted.mqtt, wanted.workload)]
        https, mqtt, workload = sockets
        hub.ports.https, hub.ports.mqtt, hub.ports.workload = (sock.getsockname()[1] for sock in sockets)
        hub.ports.proxy = self._start_mapper(wanted.proxy)
        write_private(hub.folder / "connection-string", hub.connection_string().encode())
        await self._rest.listen(https, self._tls)
        await self._workload.listen(workload)
        self._mqtt_listener = await asyncio.start_server(self._mqtt.connection, sock=mqtt)
        await self._control.listen(open_control_socket(hub.folder))
        self._tasks["mapper"] = asyncio.create_task(self._keep_mapper())
        self._tasks["jobs"] = asyncio.create_task(self._jobs.run())
        self._tasks["evaluate"] = asyncio.create_task(self._evaluate_periodically())
        return hub.ports

    async def stop(self) -> None:
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        if self._mqtt_listener is not None:
            self._mqtt_listener.close()
        self._mqtt.close()
        await asyncio.gather(self._rest.close(), self._workload.close(), self._control.close())
        if self._mapper is not None:
            self._mapper.terminate()
            self._mapper.wait()
        end_mapper(self._hub.folder)  # one that outlived an earlier hub
        self._hub.commit()
        self._hub.store.close()
        remove_control_socket(self._hub.folder)
        os.close(self._lock)

    async def _evaluate_periodically(self) -> None:
        while True:
            await asyncio.sleep(EVALUATION_SECONDS)
            configuration_service.evaluate(self._hub.state)
            self._hub.commit()

    async def _keep_mapper(self) -> None:
        """Starts the mapper again on its port when it has died."""
        while True:
            await asyncio.sleep(MAPPER_CHECK_SECONDS)
            died = self._mapper.poll() is not None if self._mapper else living_mapper(self._hub.folder) is None
            if died:
                log.warning("the port mapper has died; starting it again")
                with contextlib.suppress(OSError):  # the port may be taken for the moment: next time
                    self._start_mapper(self._hub.ports.proxy)

    def _set_drop_every(self, seconds: float) -> None:
        if (old := self._tasks.pop("drop", None)) is not None:
            old.cancel()
        if seconds > 0:
            self._tasks["drop"] = asyncio.create_task(self._drop(max(seconds, 0.1)))

    async def _drop(self, seconds: float) -> None:
        while True:
            await asyncio.sleep(seconds)
            self._links.close()
