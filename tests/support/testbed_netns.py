"""Makes and removes network namespaces. They are recorded first, so that a later run can clear up after a crash.

Records lie in /run/edge-expose-testbed, one file for each run; only namespaces named there are ever removed.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from support.testbed_namespaces import NETNS_FOLDER, inside
from support.waiting import PATIENCE

_RECORDS: Final = Path("/run/edge-expose-testbed")
_ETC: Final = Path("/etc/netns")
_TOOLS: Final = ("ip", "nft", "iptables", "conntrack", "bridge")


class CommandFailed(AssertionError):
    """An `ip` or other command of ours failed."""


def run(*command: str) -> str:
    """Output of a command; raises CommandFailed."""
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    if done.returncode:
        raise CommandFailed(f"{' '.join(command)}: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def why_no_namespaces() -> str:
    """Why network namespaces cannot be used here; empty when they can."""
    if os.geteuid() != 0:
        return "network namespaces need root: run the tests as root to include them"
    absent = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if absent:
        return f"{', '.join(absent)} missing: apt install iproute2 nftables iptables conntrack"
    probe = f"eex{secrets.token_hex(3)}-probe"
    try:
        run("ip", "netns", "add", probe)
        run("ip", "netns", "del", probe)
    except (CommandFailed, OSError) as error:
        return f"network namespaces do not work here: {error}"
    return ""


class Namespaces:
    """All network namespaces of one run, under a random prefix; `remove_all` takes every one of them away."""

    def __init__(self) -> None:
        clear_crashed()
        self.prefix = f"eex{secrets.token_hex(3)}"
        self._names: list[str] = []
        _RECORDS.mkdir(mode=0o700, exist_ok=True)
        self._record = _RECORDS / f"{self.prefix}.json"

    def add(self, short: str, resolver: str = "") -> str:
        """Makes a namespace with its loopback up and returns its full name; `resolver` becomes its resolv.conf."""
        name = f"{self.prefix}-{short}"
        self._names.append(name)
        self._write()
        if resolver:
            folder = _ETC / name
            folder.mkdir(parents=True)
            (folder / "resolv.conf").write_text(resolver)
        run("ip", "netns", "add", name)
        run("ip", "-n", name, "link", "set", "lo", "up")
        return name

    def remove(self, name: str) -> None:
        _remove(name)
        self._names.remove(name)
        self._write()

    def remove_all(self) -> None:
        for name in list(self._names):
            self.remove(name)
        self._record.unlink(missing_ok=True)

    def _write(self) -> None:
        unfinished = self._record.with_suffix(".tmp")
        unfinished.write_text(json.dumps({"pid": os.getpid(), "began": _began(os.getpid()), "names": self._names}))
        unfinished.replace(self._record)


def sysctl(namespace: str, **values: str) -> None:
    """Sets net.* values of a namespace; underscores twice stand for dots."""
    with inside(namespace):
        for key, value in values.items():
            Path("/proc/sys/net", *key.split("__")).write_text(value)


def clear_crashed() -> None:
    """Removes what runs left behind that are no more."""
    for record in _RECORDS.glob("*.json") if _RECORDS.is_dir() else ():
        try:
            content = json.loads(record.read_text())
        except FileNotFoundError:
            continue  # another process of this run has cleared it
        if _began(content["pid"]) == content["began"]:
            continue  # its run is still at work
        for name in content["names"]:
            _remove(name)
        record.unlink(missing_ok=True)


def _remove(name: str) -> None:
    if (NETNS_FOLDER / name).exists():
        try:
            run("ip", "netns", "del", name)
        except CommandFailed:
            # Two processes may clear what one crashed run left.
            if (NETNS_FOLDER / name).exists():
                raise
    shutil.rmtree(_ETC / name, ignore_errors=True)


def _began(pid: int) -> str:
    """When a process was started, in the kernel's ticks; '' when it is not there."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def connect(one: str, port_one: str, other: str, port_other: str) -> None:
    """A cable between two namespaces."""
    run("ip", "link", "add", port_one, "netns", one, "type", "veth", "peer", "name", port_other, "netns", other)


def set_address(namespace: str, port: str, addresses: Sequence[str]) -> None:
    for address in addresses:
        run("ip", "-n", namespace, "addr", "add", address, "dev", port)
    run("ip", "-n", namespace, "link", "set", port, "up")
