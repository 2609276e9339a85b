"""`python -m edge_expose_local.simulated`: light devices of the local hub, until SIGTERM.

Which there are stands in `STATE/devices.json` and is read again when it changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import ssl
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge_expose_local import control_client
from edge_expose_local.control_server import ControlServer, Refusal
from edge_expose_local.runtime.link import HubLink
from edge_expose_local.simulated.device import LightDevice
from edge_expose_local.simulated.listing import FILE, read_devices

log = logging.getLogger("edge_expose_local.simulated")
AT_ONCE = 12
LOOK_SECONDS = 1.0


class Fleet:
    """All light devices of one process."""

    def __init__(self, state: Path, hub_state: Path) -> None:
        self._state = state
        self._hub_state = hub_state
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._ca = (hub_state / "ca.pem").read_text(encoding="utf-8")
        self._tls = ssl.create_default_context(cadata=self._ca)
        self._hub: dict[str, Any] | None = None  # its address and ports stay what they are
        self._devices: dict[str, LightDevice] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def follow(self) -> None:
        """Starts whatever devices.json names and is not there yet, for ever."""
        seen = 0
        while True:
            path = self._state / FILE
            stamp = path.stat().st_mtime_ns if path.is_file() else 0
            if stamp != seen:
                seen = stamp
                for device in read_devices(self._state):
                    if device not in self._devices:
                        self._start(device)
            await asyncio.sleep(LOOK_SECONDS)

    def _start(self, device: str) -> None:
        light = LightDevice(device, lambda module, changed: self._link(device, module, changed), self._gate)
        self._devices[device] = light
        self._tasks.append(asyncio.create_task(self._keep(light), name=device))

    async def _keep(self, light: LightDevice) -> None:
        while True:
            try:
                await light.run()
            except Exception as error:  # the hub is away: the device tries again, the others go on
                log.debug("%s: %s", light.device, error)
            await asyncio.sleep(2.0)

    async def _link(self, device: str, module: str, changed: Callable[[], None]) -> HubLink:
        if self._hub is None:
            self._hub = await asyncio.to_thread(control_client.call, self._hub_state, "GET", "/status")
        status: dict[str, Any] = self._hub or {}
        quoted = f"/device-env?device={quote(device, safe='')}&module={quote(module, safe='')}"
        answer = await asyncio.to_thread(control_client.call, self._hub_state, "GET", quoted)
        environment = {str(key): str(value) for key, value in answer.items()}
        return HubLink(environment, status["address"], status["ports"]["mqtt"], self._ca, changed, self._tls)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def handle(self, method: str, path: str, body: Any) -> Any:
        match method, path:
            case "GET", "/status":
                ready = sum(1 for device in self._devices.values() if device.ready)
                return {"devices": len(self._devices), "ready": ready}
            case _:
                raise Refusal(404, f"{method} {path} is not known")


async def run(arguments: argparse.Namespace) -> int:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(max_workers=AT_ONCE))
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    arguments.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    fleet = Fleet(arguments.state, arguments.hub_state)
    control = ControlServer(arguments.state, fleet.handle)
    await control.start()
    following = asyncio.create_task(fleet.follow())
    sys.stdout.write(json.dumps({"ready": True, "ports": {}}) + "\n")
    sys.stdout.flush()
    await stop.wait()
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)
    await fleet.stop()
    await control.stop()
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_expose_local.simulated", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--hub-state", type=Path, required=True)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    return asyncio.run(run(parser.parse_args()))


if __name__ == "__main__":
    raise SystemExit(main())
