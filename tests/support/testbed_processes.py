"""Starts the real programs: on this machine's loopback or inside a network namespace; they end with the test run."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def _die_with_parent() -> None:
    """In the child, before exec: the kernel kills it when the test run ends, however that happens."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class ProgramDied(AssertionError):
    """A program ended or did not become ready; the text holds the end of its log."""


@dataclass
class Program:
    """One running program and its log file."""

    name: str
    log: Path
    process: subprocess.Popen[bytes]
    started: float = field(default_factory=time.monotonic)
    ready_after: float = 0.0
    """Seconds from start to the first positive readiness check."""
    log_from: int = 0
    """Where its own part of the log file begins, in bytes."""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def wait_ready(self, check: Callable[[], bool], seconds: float = 60.0) -> None:
        """Raises ProgramDied."""
        ends = self.started + seconds
        while not _quietly(check):
            if not self.alive:
                raise ProgramDied(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            if time.monotonic() > ends:
                raise ProgramDied(f"{self.name} is not ready after {seconds:.0f} s:\n{self.tail()}")
            time.sleep(0.03)
        self.ready_after = time.monotonic() - self.started

    def said(self) -> list[str]:
        """What it has logged, by line."""
        with self.log.open("rb") as words:
            words.seek(self.log_from)
            return words.read().decode(errors="replace").splitlines()

    def tail(self, size: int = 3000) -> str:
        return self.log.read_text(errors="replace")[-size:]

    def stop(self, seconds: float = 5.0) -> None:
        """SIGTERM, then SIGKILL."""
        if self.alive:
            self.process.terminate()
            try:
                self.process.wait(seconds)
            except subprocess.TimeoutExpired:
                self.kill()

    def kill(self) -> None:
        """SIGKILL, at once."""
        if self.alive:
            self.process.kill()
        self.process.wait(10)

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def memory(self) -> int:
        """Resident MiB now."""
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) // 1024
        return 0


@dataclass(frozen=True, slots=True)
class Launcher:
    """Starts programs with a clean environment; `prefix` is put before their command (such as `ip netns exec N`)."""

    folder: Path
    prefix: tuple[str, ...] = ()

    def start(self, name: str, command: Sequence[str | Path], environment: Mapping[str, str] | None = None) -> Program:
        """Starts a program whose log goes to `folder`/NAME.log (appended)."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log = self.folder / f"{name}.log"
        with log.open("ab") as output:
            before = output.tell()
            process = subprocess.Popen(
                [*self.prefix, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**clean_environment(), **(environment or {})},
                cwd=self.folder,
                preexec_fn=_die_with_parent,
            )
        return Program(name, log, process, log_from=before)


def clean_environment() -> dict[str, str]:
    """No proxies, no CA bundles, no KUBECONFIG and no ETCD_* of the machine."""
    path = os.environ.get("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
    # Go collects garbage at four times its memory instead of at twice: a machine that tests has more memory than time.
    return {"PATH": path, "HOME": "/nonexistent", "LANG": "C.UTF-8", "GOGC": "300"}


def _quietly(check: Callable[[], bool]) -> bool:
    try:
        return check()
    except (OSError, ValueError):
        return False
