"""port-forward and Deployments of the local cluster, by clients of others: kubectl and the Python client."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.stream import portforward

from support import testbed_binaries
from support.cluster import ClusterProcess, clean_environment, start_cluster
from support.testbed_api import Api
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.local
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcess]:
    process = start_cluster(tmp_path_factory.mktemp("forward"))
    process.control("POST", "/pods", {"namespace": "default", "name": "e1", "labels": {"app": "e"}, "port": 8080})
    api = Api(process.kubeconfig)

    def ready() -> bool:
        conditions = api.get("/api/v1/namespaces/default/pods/e1")["status"].get("conditions", [])
        return ("Ready", "True") in [(c["type"], c["status"]) for c in conditions]

    eventually(ready, what="the pod is ready")
    yield process
    assert process.stop() == 0


class Forwarding:
    """A running `kubectl port-forward`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        assert process.stdout is not None
        found = re.search(r"127\.0\.0\.1:(\d+) ->", process.stdout.readline())
        self.errors: list[str] = []
        self._reader = threading.Thread(target=lambda: self.errors.extend(process.stderr or []), daemon=True)
        self._reader.start()
        assert found, self.errors
        self.port = int(found[1])

    def fetch(self, body: bytes | None = None) -> Any:
        with _OPENER.open(f"http://127.0.0.1:{self.port}/", data=body, timeout=10) as response:
            return json.loads(response.read())


@contextmanager
def forwarding(cluster: ClusterProcess, target: str, ports: str, **environment: str) -> Iterator[Forwarding]:
    program = testbed_binaries.kubectl()
    if program is None:
        pytest.skip("there is no kubectl: install one, or run `make testbed`")
    command = [
        program,
        "--kubeconfig",
        str(cluster.kubeconfig),
        "port-forward",
        "--address",
        "127.0.0.1",
        target,
        ports,
    ]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env={**clean_environment(), **environment})
    try:
        yield Forwarding(process)
    finally:
        process.kill()
        process.wait(10)
        for stream in (process.stdout, process.stderr):
            assert stream is not None
            stream.close()


@pytest.mark.parametrize("websockets", ["true", "false"])
def test_kubectl_forwards_to_a_pod(cluster: ClusterProcess, websockets: str) -> None:
    """Over SPDY in a WebSocket, as it does today, and over SPDY alone, as it did before."""
    with forwarding(cluster, "pod/e1", ":8080", KUBECTL_PORT_FORWARD_WEBSOCKETS=websockets) as forward:
        assert forward.fetch()["pod"] == "e1"
        assert [forward.fetch()["pod"] for _ in range(20)] == ["e1"] * 20
        threads = [threading.Thread(target=forward.fetch) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        assert forward.fetch()["pod"] == "e1"


def test_a_port_that_nobody_listens_on_is_told(cluster: ClusterProcess) -> None:
    with forwarding(cluster, "pod/e1", ":81") as forward:
        with pytest.raises(OSError):
            forward.fetch()
        eventually(lambda: "error forwarding port 81 to pod" in "".join(forward.errors), what="the error")


def test_kubectl_runs_a_deployment_and_forwards_to_its_service(cluster: ClusterProcess) -> None:
    program = testbed_binaries.kubectl()
    if program is None:
        pytest.skip("there is no kubectl: install one, or run `make testbed`")

    def run(*arguments: str) -> str:
        command = [program, "--kubeconfig", str(cluster.kubeconfig), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment())
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("create", "deployment", "web", "--image=edge-expose/echo:1", "--port=8080", "--replicas=2")
    assert "successfully rolled out" in run("rollout", "status", "deployment/web", f"--timeout={PATIENCE / 2:.0f}s")
    run("expose", "deployment", "web", "--port=80", "--target-port=8080")
    with forwarding(cluster, "service/web", ":80") as forward:
        assert forward.fetch()["pod"].startswith("web-")
    with forwarding(cluster, "deployment/web", ":8080") as forward:
        assert forward.fetch()["pod"].startswith("web-")
    assert "echo" in run("get", "deployment", "web", "-o", "wide")
    run("delete", "deployment", "web")
    eventually(
        lambda: (
            "No resources found" in run("get", "pods", "-l", "app=web")
            or not run("get", "pods", "-l", "app=web", "-o", "name")
        ),
        what="no pods",
    )


def test_the_python_client_forwards(cluster: ClusterProcess) -> None:
    api = client.CoreV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
    forward = portforward(api.connect_get_namespaced_pod_portforward, "e1", "default", ports="8080")
    sock = forward.socket(8080)
    sock.setblocking(True)
    sock.sendall(b"GET / HTTP/1.1\r\nHost: e1\r\nConnection: close\r\n\r\n")
    answer = b""
    while chunk := sock.recv(4096):
        answer += chunk
    sock.close()
    assert answer.startswith(b"HTTP/1.")
    assert b'"e1"' in answer
    assert forward.error(8080) is None
