"""Starts hub, cluster and runtime, and brings back whichever dies; ends them all when it ends.

`python -m edge_expose_local.supervisor --state S` reads S/local.json; S/supervisor.json says when all of it serves.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import fcntl
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from edge_expose_local import control_client, settings
from edge_expose_local.damage import Damaged
from edge_expose_local.processes import die_with_parent
from edge_expose_local.settings import DEVICE, LocalSettings

log = logging.getLogger("edge_expose_local.supervisor")
READY_SECONDS: Final = 60.0
START_ATTEMPTS: Final = 3
_BAD_ARGUMENTS: Final = 2
_TOLD_LINES: Final = 10
_PAUSES: Final = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY_SECONDS: Final = 20.0
# Exit code of a supervisor whose state folder another one serves already.
BUSY: Final = 75
_LOCK_SECONDS: Final = 2.0


@dataclass(slots=True)
class Part:
    """One child process. `ready` is set while it serves."""

    name: str
    arguments: list[str]
    state: str = "starting"
    pid: int | None = None
    ports: dict[str, int] = field(default_factory=dict)
    restarts: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    gave_up: asyncio.Event = field(default_factory=asyncio.Event)


class PartFailed(Exception):
    """A part does not come up; the text says which, and what it said last."""


class Supervisor:
    """`changed` is called whenever a part's state changes."""

    def __init__(self, state: Path, local: LocalSettings, changed: Callable[[list[Part]], None]) -> None:
        self._state = state
        self._changed = changed
        self.parts = parts_of(state, local)
        self._tasks: list[asyncio.Task[None]] = []
        self._children: dict[str, asyncio.subprocess.Process] = {}

    async def start(self) -> None:
        """Returns when every part serves, started in order since the later need the earlier. Raises PartFailed."""
        for part in self.parts:
            log_file = self._log_file(part)
            begin = log_file.stat().st_size if log_file.exists() else 0
            self._tasks.append(asyncio.create_task(self._keep(part), name=part.name))
            waits = [asyncio.create_task(event.wait()) for event in (part.ready, part.gave_up)]
            await asyncio.wait(waits, timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED)
            for wait in waits:
                wait.cancel()
            if not part.ready.is_set():
                raise PartFailed(_why(part, log_file, begin))
            if part.name == "hub":
                await asyncio.to_thread(control_client.call, self._state / "hub", "POST", "/devices", {"ids": [DEVICE]})
        self._tasks.append(asyncio.create_task(self._keep_simulated(), name="simulated"))

    def _log_file(self, part: Part) -> Path:
        return self._state / f"{part.name}.log"

    async def _keep_simulated(self) -> None:
        """Light devices are a part of their own from the moment that there are any."""
        folder = self._state / "simulated"
        while not (folder / "devices.json").is_file():  # noqa: ASYNC110 (a file has no event)
            await asyncio.sleep(1.0)
        part = Part("simulated", ["--state", str(folder), "--hub-state", str(self._state / "hub")])
        self.parts.append(part)
        await self._keep(part)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        # The runtime first: its modules say goodbye while the hub is there.
        for part in reversed(self.parts):
            await self._end(part.name)

    async def _end(self, name: str) -> None:
        child = self._children.get(name)
        if child is None or child.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            child.terminate()
            try:
                async with asyncio.timeout(8.0):
                    await child.wait()
            except TimeoutError:
                child.kill()
                await child.wait()

    async def _keep(self, part: Part) -> None:
        failures = 0
        while True:
            started = time.monotonic()
            code = await self._run(part)
            part.ready.clear()
            part.state, part.pid = "restarting", None
            part.restarts += 1
            if code == _BAD_ARGUMENTS or part.restarts >= START_ATTEMPTS:
                part.gave_up.set()  # only looked at until it has served once
            failures = 1 if time.monotonic() - started > _STEADY_SECONDS else failures + 1
            log.warning("%s ended with %s: starting it again", part.name, code)
            self._changed(self.parts)
            await asyncio.sleep(_PAUSES[min(failures, len(_PAUSES)) - 1])

    async def _run(self, part: Part) -> int:
        with self._log_file(part).open("ab") as log_file:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # what lies in the folder where `up` ran is none of our modules
                "-m",
                f"edge_expose_local.{part.name}",
                *part.arguments,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=log_file,
                cwd=self._state,
                env=part_environment(),
                preexec_fn=die_with_parent,
            )
        self._children[part.name] = child
        part.pid = child.pid
        assert child.stdout is not None
        line = await child.stdout.readline()
        with contextlib.suppress(ValueError):
            said: dict[str, Any] = json.loads(line)
            part.ports = {str(name): int(port) for name, port in (said.get("ports") or {}).items()}
            part.state = "running"
            part.ready.set()
            self._changed(self.parts)
        return await child.wait()


def _why(part: Part, log_file: Path, begin: int) -> str:
    """One line that says what failed, then what the part wrote since `begin`, its last lines only."""
    ended = "ended at once" if part.restarts == 1 else f"ended {part.restarts} times"
    how = ended if part.gave_up.is_set() else f"did not serve within {READY_SECONDS:.0f} s"
    try:
        with log_file.open("rb") as file:
            file.seek(begin)
            lines = file.read().decode(errors="replace").splitlines()[-_TOLD_LINES:]
    except OSError:
        lines = []
    return "\n".join([f"the part {part.name} does not come up: it {how}; its log is {log_file}", *lines])


def part_environment() -> dict[str, str]:
    """What a part needs of ours, and nothing that points it elsewhere (proxies, CA bundles, kubeconfigs)."""
    kept = ("PATH", "PYTHONPATH", "HOME", "LANG", "TMPDIR", "XDG_STATE_HOME")
    found = {name: os.environ[name] for name in kept if name in os.environ}
    if path := found.pop("PYTHONPATH", ""):
        # Parts have another current folder, and an empty entry would mean just that folder.
        found["PYTHONPATH"] = os.pathsep.join(os.path.abspath(entry) for entry in path.split(os.pathsep) if entry)
    return {**found, "PYTHONUNBUFFERED": "1"}


def parts_of(state: Path, local: LocalSettings) -> list[Part]:
    """Hub, then cluster (unless a real one is used), then runtime."""
    beyond = ["--allow-non-loopback"] if local.allow_non_loopback else []
    hub = Part(
        "hub",
        [
            *("--state", str(state / "hub"), "--address", local.address),
            *("--https-port", str(local.https_port), "--mqtt-port", str(local.mqtt_port)),
            *("--proxy-port", str(local.proxy_port), "--workload-port", str(local.workload_port), *beyond),
        ],
    )
    cluster = Part(
        "cluster",
        [
            *("--state", str(state / "cluster"), "--address", local.address),
            *("--kube-port", str(local.kube_port), "--dns-port", str(local.dns_port)),
            *("--pool", local.pool, "--service-cidr", local.service_cidr, "--profile", local.profile, *beyond),
        ],
    )
    kubeconfig = local.kubeconfig or str(state / "cluster" / "kubeconfig")
    outside = ["--external-cluster"] if local.kubeconfig else []
    runtime = Part(
        "runtime",
        [
            *("--state", str(state / "runtime"), "--hub-state", str(state / "hub")),
            *("--kubeconfig", kubeconfig, "--device", DEVICE, *outside),
        ],
    )
    return [hub, runtime] if local.kubeconfig else [hub, cluster, runtime]


def lock(state: Path) -> int | None:
    """The instance's lock, or None when another supervisor holds it. Raises OSError when the folder is not ours."""
    descriptor = os.open(state / "supervisor.lock", os.O_CREAT | os.O_RDWR, 0o600)
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return descriptor
        except BlockingIOError:
            # Whoever only looks (`locked`) or stores settings has it for an instant.
            if time.monotonic() > deadline:
                os.close(descriptor)
                return None
            time.sleep(0.02)


def locked(state: Path) -> bool:
    """Whether a supervisor holds the lock. Looks with a shared lock, so that two who look do not see each other."""
    try:
        descriptor = os.open(state / "supervisor.lock", os.O_RDWR)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def read_status(state: Path) -> dict[str, Any]:
    """What a supervisor wrote last, maybe one that was killed: `pid` says which. `{}` when there is nothing."""
    try:
        content = json.loads((state / "supervisor.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def write_status(state: Path, parts: list[Part], ready: bool, failed: str = "") -> None:
    content = {
        **({"failed": failed} if failed else {}),
        "pid": os.getpid(),
        "ready": ready,
        "parts": [
            {"name": part.name, "pid": part.pid, "ports": part.ports, "state": part.state, "restarts": part.restarts}
            for part in parts
        ],
    }
    temporary = state / "supervisor.tmp"
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(state / "supervisor.json")


async def supervise(state: Path, local: LocalSettings, on_ready: Callable[[], None] = lambda: None) -> int:
    """Runs until SIGTERM or SIGINT. 1 when a part does not come up; supervisor.json then says why (`failed`)."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    ready, failed = False, ""
    supervisor = Supervisor(state, local, lambda parts: write_status(state, parts, ready))
    # In place of what a killed supervisor may have left: nobody may take its word that all of it serves.
    write_status(state, supervisor.parts, ready)
    starting = asyncio.create_task(supervisor.start())
    stopping = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not starting.done():
            starting.cancel()
            return 0
        if error := starting.exception():
            failed = str(error) if isinstance(error, PartFailed) else f"it did not come up: {error!r}"
            log.error("%s", failed)
            return 1
        ready = True
        write_status(state, supervisor.parts, ready)
        # In a thread: it looks at the parts, which this loop goes on keeping.
        telling = asyncio.create_task(asyncio.to_thread(on_ready))
        await stopping
        await asyncio.wait({telling})
        return 0
    finally:
        await supervisor.stop()
        if failed:
            write_status(state, [], False, failed)
        else:
            (state / "supervisor.json").unlink(missing_ok=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m edge_expose_local.supervisor", description=__doc__)
    parser.add_argument("--state", type=Path, required=True)
    state: Path = parser.parse_args().state.absolute()
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    held = lock(state)
    if held is None:
        log.error("another supervisor runs with %s", state)
        return BUSY
    try:
        local = settings.load(state)  # under the lock: nobody stores others meanwhile
    except Damaged as error:
        log.error("%s", error)
        return 2
    if local is None:
        log.error("%s holds no local.json", state)
        return 2
    return asyncio.run(supervise(state, local))


if __name__ == "__main__":
    raise SystemExit(main())
