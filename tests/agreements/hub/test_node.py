"""The unmodified Azure IoT SDKs for Node.js (azure-iothub, azure-iot-device) against the hub: node/suite.js.

They are installed once into the cache folder; without Node.js, or where npm cannot install them, the tests are skipped.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from support.hub import start_hub
from support.lots import own

SUITE = Path(__file__).parent / "node"
CHECKS = [
    "devices: create, get, update, list, delete",
    "devices: in bulk, and statistics",
    "modules: create, get, list, remove",
    "twins: update, a stale etag, replace",
    "queries: pages of twins, groups, and a bad one",
    "configurations: create, update, list, remove, and set modules",
    "jobs: a twin update, cancelled ones, the list",
    "a device over MQTT",
    "a device over MQTT by WebSocket, through a proxy",
    "a module over MQTT",
    "a method of a device that is away",
]


def packages() -> Path:
    """The folder of the installed SDKs, named by what is asked for."""
    if not shutil.which("node") or not shutil.which("npm"):
        pytest.skip("Node.js is not installed")
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "edge-expose"
    text = (SUITE / "package.json").read_bytes()
    folder = cache / f"node-sdks-{hashlib.sha256(text).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be at it
        if not (folder / "complete").exists():
            (folder / "package.json").write_bytes(text)
            command = ["npm", "install", "--no-audit", "--no-fund", "--no-package-lock", "--ignore-scripts"]
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
            if done.returncode:
                pytest.skip(f"npm cannot install the SDKs: {done.stderr[-300:]}")
            (folder / "complete").touch()
    return folder


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str | None]:
    """What each check said. The hub has the ports that the SDK cannot change, on an address of its own."""
    folder = packages()
    address = f"{own().base}.200"
    with socket.socket() as probe:
        try:
            probe.bind((address, 443))
        except PermissionError:
            pytest.skip("the SDK wants port 443, which needs a right here")
    hub = start_hub(tmp_path_factory.mktemp("node-hub"), address, https=443, mqtt=8883)
    assert hub.connection_string.startswith(f"HostName={address};")
    try:
        done = subprocess.run(
            ["node", str(SUITE / "suite.js"), hub.connection_string, address, f"http://{address}:{hub.ports['proxy']}"],
            env={
                "PATH": os.environ["PATH"],
                "NODE_PATH": str(folder / "node_modules"),
                "NODE_EXTRA_CA_CERTS": str(hub.ca),
            },
            capture_output=True,
            text=True,
            timeout=110,
        )
    finally:
        hub.stop()
    assert done.returncode == 0, done.stderr
    return dict(json.loads(line) for line in done.stdout.splitlines())


@pytest.mark.parametrize("check", CHECKS)
def test_node_sdk(outcome: dict[str, str | None], check: str) -> None:
    assert sorted(outcome) == sorted(CHECKS)
    assert outcome[check] is None, outcome[check]
