"""The local cluster as a user meets it: kubectl, curl through the forwarder, names, and being killed."""

from __future__ import annotations

import json
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from support import testbed_binaries
from support.cluster import ClusterProcess, clean_environment, start_cluster
from support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.local
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterProcess]:
    process = start_cluster(tmp_path_factory.mktemp("path"))
    yield process
    assert process.stop() == 0


def kubectl(cluster: ClusterProcess, *arguments: str, stdin: Any = None) -> str:
    program = testbed_binaries.kubectl()
    if program is None:
        pytest.skip("there is no kubectl: install one, or run `make testbed`")
    command = [program, "--kubeconfig", str(cluster.kubeconfig), *arguments]
    text = None if stdin is None else json.dumps(stdin)
    done = subprocess.run(
        command, input=text, capture_output=True, text=True, timeout=PATIENCE, env=clean_environment()
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def fetch(url: str) -> tuple[int, str]:
    try:
        with _OPENER.open(url, timeout=3) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


def service(name: str, app: str, ip: str, **spec: Any) -> dict[str, Any]:
    ports = [{"name": "http", "port": 18080, "targetPort": 80}]
    body = {"type": "LoadBalancer", "loadBalancerIP": ip, "selector": {"app": app}, "ports": ports, **spec}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": body}


def echo(cluster: ClusterProcess, name: str, app: str) -> None:
    cluster.control("POST", "/pods", {"namespace": "default", "name": name, "labels": {"app": app}, "port": 80})


def answering(ip: str) -> Any:
    status, text = fetch(f"http://{ip}:18080/")
    return json.loads(text) if status == 200 else None


def test_kubectl_applies_and_a_pod_answers_through_its_external_address(cluster: ClusterProcess) -> None:
    echo(cluster, "e1", "echo")
    body = service("echo", "echo", cluster.address(15))
    assert "created" in kubectl(cluster, "apply", "-f", "-", stdin=body)
    assert "unchanged" in kubectl(cluster, "apply", "-f", "-", stdin=body)
    assert eventually(lambda: answering(cluster.address(15)))["pod"] == "e1"
    assert cluster.address(15) in kubectl(cluster, "get", "svc", "echo")
    assert "Assigned IP" in kubectl(cluster, "describe", "svc", "echo")
    assert kubectl(cluster, "auth", "can-i", "create", "services").strip() == "yes"
    assert "created" in kubectl(cluster, "create", "ns", "by-kubectl")


def test_a_replaced_pod_has_a_new_address_and_the_service_keeps_its_own(cluster: ClusterProcess) -> None:
    echo(cluster, "r1", "replaced")
    kubectl(cluster, "apply", "-f", "-", stdin=service("replaced", "replaced", cluster.address(16)))
    eventually(lambda: answering(cluster.address(16)))
    moved = cluster.control("POST", "/pods/replace", {"namespace": "default", "name": "r1"})
    assert moved["podIP"] != moved["before"]
    assert eventually(lambda: answering(cluster.address(16)))["pod"] == "r1"


def test_a_replaced_pod_keeps_the_annotations_by_which_its_maker_knows_it(cluster: ClusterProcess) -> None:
    echo(cluster, "k1", "kept")
    kubectl(cluster, "annotate", "pod", "k1", "example.com/made-from=a1")
    cluster.control("POST", "/pods/replace", {"namespace": "default", "name": "k1"})
    annotations = json.loads(kubectl(cluster, "get", "pod", "k1", "-o", "json"))["metadata"]["annotations"]
    assert annotations["example.com/made-from"] == "a1"


def test_sources_that_are_not_allowed_are_cut_off(cluster: ClusterProcess) -> None:
    echo(cluster, "s1", "limited")
    kubectl(
        cluster,
        "apply",
        "-f",
        "-",
        stdin=service("limited", "limited", cluster.address(17), loadBalancerSourceRanges=["127.5.0.0/16"]),
    )

    def ask(source: str) -> bytes:
        with socket.socket() as sock:
            sock.settimeout(3)
            sock.bind((source, 0))
            try:
                sock.connect((cluster.address(17), 18080))
                sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                return sock.recv(4096)
            except OSError:
                return b""

    eventually(lambda: ask("127.5.0.1").startswith(b"HTTP/1.1 200"))
    assert ask("127.0.0.1") == b""


def test_a_client_with_affinity_stays_with_one_pod_and_others_are_spread(cluster: ClusterProcess) -> None:
    for name in ("a1", "a2", "a3"):
        echo(cluster, name, "many")
    kubectl(cluster, "apply", "-f", "-", stdin=service("many", "many", cluster.address(18)))
    eventually(lambda: len({(answering(cluster.address(18)) or {}).get("pod", "") for _ in range(9)} - {""}) == 3)
    kubectl(cluster, "patch", "svc", "many", "--type=merge", "-p", '{"spec":{"sessionAffinity":"ClientIP"}}')
    eventually(lambda: len({answering(cluster.address(18))["pod"] for _ in range(9)}) == 1)


def test_udp_is_carried_both_ways(cluster: ClusterProcess) -> None:
    echo(cluster, "u1", "udp")
    ports = [{"name": "u", "port": 18053, "targetPort": 80, "protocol": "UDP"}]
    kubectl(cluster, "apply", "-f", "-", stdin=service("udp", "udp", cluster.address(19), ports=ports))

    def ask() -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.settimeout(0.3)
            try:
                sock.connect((cluster.address(19), 18053))
                sock.send(b"hello")
                return sock.recv(100)
            except OSError:
                return b""

    eventually(lambda: ask() == b"u1 127.0.0.1 hello")


def test_the_web_sample_finds_its_database_by_name(cluster: ClusterProcess) -> None:
    db = {
        "namespace": "default",
        "name": "db-0",
        "labels": {"app": "db"},
        "port": 5432,
        "image": "edge-expose/sample-db:1",
    }
    web = {
        "namespace": "default",
        "name": "web-0",
        "labels": {"app": "web"},
        "port": 80,
        "image": "edge-expose/sample-web:1",
        "env": {"DATABASE": "db"},
    }
    cluster.control("POST", "/pods", web)
    kubectl(cluster, "apply", "-f", "-", stdin=service("web", "web", cluster.address(20)))
    _, page = eventually(lambda: (r := fetch(f"http://{cluster.base}.20:18080/"))[0] == 503 and r)
    assert "cannot be reached" in page
    cluster.control("POST", "/pods", db)
    ports = [{"name": "sql", "port": 5432}]
    kubectl(cluster, "apply", "-f", "-", stdin=service("db", "db", "", type="ClusterIP", ports=ports))
    _status, page = eventually(lambda: (r := fetch(f"http://{cluster.base}.20:18080/"))[0] == 200 and r)
    assert "Hello from the database" in page


def test_an_address_that_cannot_be_bound_is_said(cluster: ClusterProcess) -> None:
    with socket.socket() as taken:
        taken.bind((cluster.address(14), 18080))
        taken.listen()
        kubectl(cluster, "apply", "-f", "-", stdin=service("taken", "taken", cluster.address(14)))
        eventually(lambda: any(f["ip"] == cluster.address(14) for f in cluster.control("GET", "/status")["notBound"]))
        assert "CannotBind" in kubectl(cluster, "get", "events")


def test_an_endpoint_that_does_not_answer_is_called_what_it_is(cluster: ClusterProcess) -> None:
    """A pod that listens on another port is not called a stranger."""
    echo(cluster, "o1", "other")
    ports = [{"name": "http", "port": 18080, "targetPort": 81}]
    kubectl(cluster, "apply", "-f", "-", stdin=service("other", "other", cluster.address(13), ports=ports))
    told = "which does not listen on 81 but on 80"

    def said() -> bool:
        fetch(f"http://{cluster.base}.13:18080/")
        return told in kubectl(cluster, "describe", "svc", "other")

    eventually(said)
    assert "no pod of this cluster" not in kubectl(cluster, "describe", "svc", "other")


def test_garbage_connections_do_no_harm(cluster: ClusterProcess) -> None:
    for i in range(300):
        with socket.create_connection(("127.0.0.1", cluster.ports["kube" if i % 2 else "dns"])) as sock:
            sock.sendall(b"\x16\x03\xff garbage \r\n\r\n" * 3)
    assert kubectl(cluster, "get", "ns", "default")


def test_a_killed_cluster_goes_on_where_it_was(cluster: ClusterProcess) -> None:
    before = json.loads(kubectl(cluster, "get", "svc", "echo", "-o", "json"))
    ip = json.loads(kubectl(cluster, "get", "pod", "e1", "-o", "json"))["status"]["podIP"]
    cluster.restart()
    after = json.loads(kubectl(cluster, "get", "svc", "echo", "-o", "json"))
    assert after["spec"] == before["spec"]
    assert after["status"] == before["status"]
    eventually(lambda: answering(cluster.address(15)))
    assert json.loads(kubectl(cluster, "get", "pod", "e1", "-o", "json"))["status"]["podIP"] == ip


def connects(ip: str, port: int) -> str:
    """What a client of TCP sees: `connected`, or that it is refused."""
    try:
        socket.create_connection((ip, port), timeout=3).close()
    except ConnectionRefusedError:
        return "refused"
    return "connected"


def test_nobody_is_connected_where_no_pod_listens(cluster: ClusterProcess) -> None:
    ip = cluster.address(12)
    ports = [{"name": "http", "port": 18080, "targetPort": 80}, {"name": "deaf", "port": 18081, "targetPort": 81}]
    kubectl(cluster, "apply", "-f", "-", stdin=service("quiet", "quiet", ip, ports=ports))
    eventually(lambda: ip in kubectl(cluster, "get", "svc", "quiet"), what="the address")
    assert [connects(ip, port) for port in (18080, 18081)] == ["refused", "refused"]
    image = "edge-expose/echo:1"
    declared = [{"containerPort": 80}, {"containerPort": 81}]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "quiet", "labels": {"app": "quiet"}},
        "spec": {"containers": [{"name": "c", "image": image, "ports": declared}], "terminationGracePeriodSeconds": 1},
    }
    kubectl(cluster, "apply", "-f", "-", stdin=pod)
    assert eventually(lambda: answering(ip))["pod"] == "quiet"
    assert connects(ip, 18081) == "refused"  # declared, but its process listens on the first port alone
    kubectl(cluster, "delete", "pod", "quiet", "--wait=true")
    eventually(lambda: connects(ip, 18080) == "refused", what="refused again")
    again = {**pod, "metadata": {**pod["metadata"], "name": "quiet2"}}
    kubectl(cluster, "apply", "-f", "-", stdin=again)
    assert eventually(lambda: answering(ip))["pod"] == "quiet2"


def test_the_api_answers_at_its_service_where_its_port_can_be_bound(cluster: ClusterProcess) -> None:
    ip = json.loads(kubectl(cluster, "get", "svc", "kubernetes", "-o", "json"))["spec"]["clusterIP"]
    bound = [entry for entry in cluster.control("GET", "/status")["listeners"] if entry["ip"] == ip]
    if not bound:
        pytest.skip("port 443 cannot be bound here")
    assert kubectl(cluster, "--server", f"https://{ip}:443", "get", "--raw", "/readyz") == "ok"


def test_kubectl_reads_the_log_of_the_container_before_and_the_times_of_lines(cluster: ClusterProcess) -> None:
    words = "import sys, time; print('first words'); sys.exit(0 if sys.argv[1:] else 3)"
    container = {"name": "c", "image": "any/any:1", "command": ["python3", "-c", words]}
    body = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "talks"},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
    }
    kubectl(cluster, "apply", "-f", "-", stdin=body)
    restarts = "{.status.containerStatuses[0].restartCount}"
    eventually(
        lambda: kubectl(cluster, "get", "pod", "talks", "-o", f"jsonpath={restarts}") not in ("", "0", "1"),
        what="a restart",
    )
    assert kubectl(cluster, "logs", "talks", "--previous") == "first words\n"
    stamp, _, line = kubectl(cluster, "logs", "talks", "--previous", "--timestamps").partition(" ")
    assert line == "first words\n"
    assert stamp.endswith("Z")
    assert "T" in stamp
    kubectl(cluster, "delete", "pod", "talks")
