"""The port mapper as a small process beside the hub, so that it outlives a kill of the hub.

A device SDK takes a proxy that refuses the connection for a final error and never reconnects; with the mapper still
there it sees a lost link and tries again. The mapper ends with the hub's orderly end, or when no hub has held the
lock of the state folder for a while.

Run as `python -m edge_expose_local.hub.transport.proxy_process FOLDER ADDRESS FD`: FD is the listening socket, and
the lock on FOLDER/proxy.lock is inherited too and held while the mapper lives. The ports to lead
to stand in FOLDER/proxy.json, which the hub writes at each start.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from edge_expose_local.hub.transport.proxy import Proxy

ORPHAN_SECONDS = 30.0
CHECK_SECONDS = 1.0


def try_lock(path: Path) -> int | None:
    """An exclusive lock on a file as a descriptor to keep, or None when somebody else holds it."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def living_mapper(folder: Path) -> tuple[int, str] | None:
    """(process id, `address:port`) of the mapper that lives for this state folder, or None."""
    descriptor = try_lock(folder / "proxy.lock")
    if descriptor is not None:
        os.close(descriptor)
        return None
    pid, _, place = (folder / "proxy.lock").read_text().partition(" ")
    return (int(pid), place) if pid.isdigit() and place else None


def end_mapper(folder: Path) -> None:
    """Asks the living mapper to end and waits up to two seconds for it."""
    living = living_mapper(folder)
    if living is None:
        return
    with contextlib.suppress(ProcessLookupError):
        os.kill(living[0], signal.SIGTERM)
    end = time.monotonic() + 2
    while living_mapper(folder) is not None and time.monotonic() < end:
        time.sleep(0.01)


def start_mapper(folder: Path, address: str, listening: socket.socket) -> subprocess.Popen[bytes]:
    """Hands the listening socket and the lock to a new mapper process. Raises OSError while another one lives.

    The lock is taken here and inherited, so that there is no moment in which a living mapper does not hold it.
    """
    lock = try_lock(folder / "proxy.lock")
    if lock is None:
        raise OSError("another port mapper lives for this state folder")
    place, descriptors = f"{address}:{listening.getsockname()[1]}", (listening.fileno(), lock)
    try:
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(folder), address, str(listening.fileno())],
            pass_fds=descriptors,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{process.pid} {place}".encode(), 0)
    finally:
        listening.close()
        os.close(lock)
    return process


async def _until_orphaned(folder: Path) -> None:
    """Returns when no hub has held the lock for a while, or the state folder is gone."""
    seen = time.monotonic()
    while time.monotonic() - seen < ORPHAN_SECONDS and folder.exists():
        await asyncio.sleep(CHECK_SECONDS)
        descriptor: int | None = None
        with contextlib.suppress(OSError):
            descriptor = try_lock(folder / "lock")
        if descriptor is None:
            seen = time.monotonic()
        else:
            os.close(descriptor)


async def run(folder: Path, address: str, descriptor: int) -> None:
    listening = socket.socket(fileno=descriptor)

    def target(port: int) -> tuple[str, int] | None:
        ports = json.loads((folder / "proxy.json").read_text())
        return (address, ports[str(port)]) if str(port) in ports else None

    proxy = Proxy(target)
    server = await asyncio.start_server(proxy.connection, sock=listening)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    waiting = [asyncio.create_task(stop.wait()), asyncio.create_task(_until_orphaned(folder))]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
    server.close()
    proxy.close()


if __name__ == "__main__":
    asyncio.run(run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
