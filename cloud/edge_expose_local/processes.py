"""Child processes that die with us, their output kept in a bounded file."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import datetime
import os
import signal
import socket
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True)
LOG_LIMIT = 1024 * 1024


def die_with_parent() -> None:
    """For `preexec_fn`: the child is killed when the thread that started it ends."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def free_port(address: str, taken: set[int]) -> int:
    """Return a port number that is free for TCP and UDP alike."""
    for _ in range(50):
        with (
            socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp,
            socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
        ):
            tcp.bind((address, 0))
            port = int(tcp.getsockname()[1])
            if port in taken:
                continue
            try:
                udp.bind((address, port))
            except OSError:
                continue
            return port
    raise OSError("no port is free for TCP and UDP")


class Process:
    """One running command; its output goes to `log`, which is halved when it grows beyond LOG_LIMIT."""

    def __init__(self, child: asyncio.subprocess.Process, log: Path, *, stamped: bool = False) -> None:
        self._child = child
        self._stamped = stamped
        self._line_begins = True
        self._log = log
        self._copying = asyncio.ensure_future(self._copy())

    @classmethod
    async def start(
        cls,
        command: list[str],
        environment: dict[str, str],
        log: Path,
        folder: Path | None = None,
        *,
        stamped: bool = False,
    ) -> Process:
        """Start a command in `folder` (else in our own); raises OSError when it cannot be.

        `stamped` puts the time before each line of the log, in nanoseconds.
        """
        child = await asyncio.create_subprocess_exec(
            *command,
            env=environment,
            cwd=folder,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
        return cls(child, log, stamped=stamped)

    @property
    def pid(self) -> int:
        return self._child.pid

    async def _copy(self) -> None:
        stream = self._child.stdout
        assert stream is not None
        while data := await stream.read(65_536):
            with self._log.open("ab") as file:
                file.write(self._with_times(data) if self._stamped else data)
                size = file.tell()
            if size > LOG_LIMIT:
                kept = self._log.read_bytes()[-LOG_LIMIT // 2 :]
                self._log.write_bytes(kept[kept.find(b"\n") + 1 :])

    def _with_times(self, data: bytes) -> bytes:
        stamp = f"{datetime.datetime.now(datetime.UTC):%Y-%m-%dT%H:%M:%S.%f}000Z ".encode()
        result = b""
        for piece in data.splitlines(keepends=True):
            result += (stamp if self._line_begins else b"") + piece
            self._line_begins = piece.endswith(b"\n")
        return result

    async def wait(self) -> int:
        """Wait for the end; returns the exit code (negative: signal)."""
        code = await self._child.wait()
        self.signal(signal.SIGKILL)  # whatever it started and left behind in its process group
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1.0):
                await asyncio.shield(self._copying)
        self._copying.cancel()
        return code

    def signal(self, number: int) -> None:
        """Send a signal to the whole process group."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._child.pid, number)

    async def stop(self, grace: float) -> None:
        """End it: SIGTERM, and SIGKILL when it is still there after `grace` seconds."""
        self.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(grace):
                await self._child.wait()
        except TimeoutError:
            self.signal(signal.SIGKILL)
