"""A portal as a process of its own, over a hub that does not answer, and what it costs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.waiting import eventually

HUB = "HostName=hub.invalid;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5"
PASSWORD = "correct horse battery"


@dataclass(frozen=True)
class Process:
    child: subprocess.Popen[bytes]
    url: str
    link: str
    log: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def peak_megabytes(self) -> float:
        """The most memory it has ever had."""
        status = Path(f"/proc/{self.child.pid}/status").read_text()
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        assert found, status
        return int(found[1]) / 1024


@contextlib.contextmanager
def portal(
    folder: Path, *arguments: str, users: tuple[str, ...] = (), listen: str = "127.0.0.1:0"
) -> Iterator[Process]:
    """Serves, on a free port of loopback unless told; `users` are operators."""
    log = folder / "log"
    environment = {**os.environ, "XDG_STATE_HOME": str(folder), "IOTHUB_CONNECTION_STRING": HUB}
    command = [sys.executable, "-m", "edge_expose_cloud", "portal"]
    for name in users:
        adding = [*command, "adduser", name, "--role", "operator", "--password-stdin"]
        subprocess.run(adding, env=environment, input=PASSWORD.encode(), check=True, capture_output=True, timeout=60)
    with log.open("wb") as stream:
        child = subprocess.Popen(
            [*command, "--listen", listen, "--one-time-link", *arguments],
            env=environment,
            stdout=stream,
            stderr=stream,
        )
    try:
        link = eventually(lambda: re.search(r"sign in once at (https?://[^/]+)/link/(\S+)", log.read_text()))
        yield Process(child, link[1], link[2], log)
    finally:
        child.kill()
        child.wait(10)
