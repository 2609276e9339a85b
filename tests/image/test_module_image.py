"""The module's image, in a container as a kubelet makes one: it does its work, holds no more than it needs, and whoever
gets into it can do nothing beside."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from azure.iot.hub import IoTHubRegistryManager

from support.container import reported, shipped_module
from support.hub import RunningHub, start_hub
from support.images import ROOT, Image, Started, why_no_image
from support.testbed_loopback import RealCluster, real_cluster
from support.waiting import eventually

pytestmark = [
    pytest.mark.testbed,
    pytest.mark.skipif(bool(why_no_image("module")), reason=why_no_image("module")),
]
OURS: Final = "opt/edge-expose"
#: MiB of our layer, compiled files included; 33 when this was written
BUDGET: Final = 40
#: what a stranger who runs code in the container finds out
ATTACK: Final = """
import json, os, socket
def tried(what, *arguments):
    try:
        what(*arguments)
        return "done"
    except Exception as error:
        return type(error).__name__ + " " + (os.strerror(error.errno) if getattr(error, "errno", None) else str(error))
status = dict(line.split(":\\t", 1) for line in open("/proc/self/status").read().splitlines() if ":\\t" in line)
def write(path):
    with open(path, "w"):
        pass
print(json.dumps({
    "uid": os.getuid(), "gid": os.getgid(), "groups": os.getgroups(),
    "capabilities": status["CapEff"], "bounding": status["CapBnd"], "privileges": status["NoNewPrivs"],
    "root": tried(write, "/x"), "code": tried(write, "/opt/edge-expose/edge_expose_module/x.py"),
    "etc": tried(write, "/etc/passwd"), "dev": tried(write, "/dev/x"),
    "raw": tried(socket.socket, socket.AF_INET, socket.SOCK_RAW, 1),
    "uid0": tried(os.setuid, 0), "mount": tried(os.chroot, "/"),
    "state": tried(write, "/var/lib/edge-expose/x"),
}))
"""


@pytest.fixture(scope="module")
def image() -> Image:
    return Image("module")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealCluster]:
    with real_cluster("1.36", tmp_path_factory.mktemp("cluster"), "127.143.0.10-127.143.0.12") as real:
        yield real


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    running = start_hub(tmp_path_factory.mktemp("hub"))
    yield running
    running.stop()


def pins(file: str) -> dict[str, str]:
    """Package -> version of a lock file, but for what its markers leave out here."""
    found = re.findall(r"(?m)^([a-z0-9.-]+)==([^ ;\\]+)( ;.*(?:win32|PyPy).*)?", (ROOT / file).read_text())
    return {name: version for name, version, elsewhere in found if not elsewhere}


def test_it_holds_contract_and_module_and_the_locked_packages_alone(image: Image) -> None:
    ours = image.root / OURS
    assert {path.name for path in ours.glob("edge_expose_*") if path.is_dir()} == {
        "edge_expose_contract",
        "edge_expose_module",
    }
    installed = {}
    for about in ours.glob("*.dist-info"):
        name, version = re.findall(r"(?m)^(?:Name|Version): (.*)$", (about / "METADATA").read_text())[:2]
        first = re.sub(r"[-_.]+", "-", version if version[0].isalpha() else name).lower()
        installed[first] = name if version[0].isalpha() else version
    installed.pop("edge-expose")
    assert installed == pins("module/requirements.txt")


def test_it_stays_inside_its_budget(image: Image) -> None:
    size = sum(path.lstat().st_size for path in (image.root / OURS).rglob("*")) / 2**20
    assert size <= BUDGET, f"{size:.1f} MiB"


@pytest.mark.parametrize(
    ("writable", "words"),
    [
        (["/var/lib/edge-expose"], "no KUBECONFIG is set"),
        ([], "mount a volume at /var/lib/edge-expose, writable for uid 10001"),
    ],
)
def test_it_tells_what_it_misses(image: Image, tmp_path: Path, writable: list[str], words: str) -> None:
    state = tmp_path / "state"
    state.mkdir()
    container = Started(image, tmp_path, mounts=dict.fromkeys(writable, state))
    try:
        assert container.process.wait(60) == 2
        assert words in container.log.read_text()
        assert "Traceback" not in container.log.read_text()
    finally:
        container.end()


def test_whoever_gets_in_can_write_the_state_and_nothing_else(image: Image, tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    container = Started(
        image,
        tmp_path,
        entry_point=["python3", "-c", ATTACK],
        mounts={"/var/lib/edge-expose": state},
    )
    try:
        assert container.process.wait(60) == 0, container.log.read_text()
        found = json.loads(container.log.read_text())
    finally:
        container.end()
    assert (found["uid"], found["gid"]) == (10001, 10001)
    assert set(found["groups"]) <= {10001}
    assert (int(found["capabilities"], 16), int(found["bounding"], 16), found["privileges"]) == (0, 0, "1")
    assert found["root"] == found["code"] == found["etc"] == "OSError Read-only file system"
    assert found["dev"].startswith("PermissionError")
    assert found["raw"] == found["uid0"] == found["mount"] == "PermissionError Operation not permitted"
    assert found["state"] == "done"


def test_the_deployment_runs_it_on_a_hub_and_a_real_cluster(
    image: Image, cluster: RealCluster, hub: RunningHub, tmp_path: Path
) -> None:
    """Shipped Deployment, shipped rights, shipped image: an address that MetalLB gave, health, metrics, a quick end."""
    namespace = "edge1"
    manager = IoTHubRegistryManager.from_connection_string(hub.connection_string)
    manager.protocol.config.connection.verify = str(hub.ca)
    made = shipped_module(_Handle(cluster), hub, manager, namespace, tmp_path)
    pod = made.pod
    container = Started(image, tmp_path, pod.spec.get("args", []), environment=pod.environment, mounts=dict(pod.mounts))
    try:
        entry = eventually(
            lambda: reported(manager, namespace, container.process, container.log).get("web"), what="a report"
        )
        assert entry["address"] == cluster.api.address(namespace, "web")
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(
            f"http://127.0.0.1:{made.port}/metrics", timeout=10
        ) as answer:
            assert b"edge_expose_" in answer.read()
        container.signal("TERM")
        assert container.process.wait(30) == 0
        assert (tmp_path / "state" / "state.json").exists()
        assert made.key not in container.log.read_text()
    finally:
        container.end()


class _Handle:
    """What `apply_all` asks of a cluster."""

    def __init__(self, cluster: RealCluster) -> None:
        self._api = cluster.api
        self.kubeconfig = cluster.kubeconfig

    def call(self, method: str, path: str, body: Any = None) -> Any:
        status, text = self._api.raw(method, path, body)
        return _Answer(status, json.loads(text) if text else None)


class _Answer:
    def __init__(self, status: int, body: Any) -> None:
        self.status = status
        self.body = body
