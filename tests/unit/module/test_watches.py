"""Watches wake the loop for everything that may have changed, and end when they are told to and never else."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import SERVICES, Gone, Listing, Resource, Unavailable
from edge_expose_module.cluster.watches import Watches
from support.fake_cluster import FakeCluster
from support.waiting import eventually


class WatchedCluster(FakeCluster):
    """Answers each list with the next version and each watch with the next turn; then it is quiet."""

    def __init__(self, versions: list[str], turns: list[Callable[[], Iterator[str]]]) -> None:
        super().__init__()
        self.versions = versions
        self.turns = turns
        self.watched: list[str] = []

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        return Listing((), self.versions[min(len(self.watched), len(self.versions) - 1)])

    def watch(self, resource: Resource, namespace: str | None, version: str, stop: threading.Event) -> Iterator[str]:
        self.watched.append(version)
        if self.turns:
            return self.turns.pop(0)()
        stop.wait(60)
        return iter(())


def quiet() -> Iterator[str]:
    return iter(())


def gone() -> Iterator[str]:
    raise Gone("too old")


def away() -> Iterator[str]:
    raise Unavailable("broke")


def unforeseen() -> Iterator[str]:
    raise RuntimeError("nobody thought of this")


@pytest.mark.parametrize(
    ("versions", "turns", "wakes"),
    [
        pytest.param(["1"], [], 1, id="once for what came between the pass and the first list"),
        pytest.param(["1", "1", "1"], [quiet, quiet], 1, id="not for lists that show nothing new"),
        pytest.param(["1", "2", "2"], [quiet, quiet], 2, id="for what came between two watches"),
        pytest.param(["1"], [lambda: iter(["ADDED", "DELETED"])], 3, id="for every event"),
        pytest.param(["1"], [gone], 2, id="when its place was lost"),
        pytest.param(["1"], [away], 3, id="when the cluster goes away, and when it is back"),
        pytest.param(["1"], [unforeseen], 3, id="when something breaks that nobody foresaw, and it goes on"),
    ],
)
def test_a_watch_wakes(versions: list[str], turns: list[Callable[[], Iterator[str]]], wakes: int) -> None:
    rounds = len(turns) + 1
    cluster, woken = WatchedCluster(versions, list(turns)), list[int]()
    watches = Watches(cluster, lambda: woken.append(1))
    watches.ensure({(SERVICES, None)})
    eventually(lambda: len(cluster.watched) == rounds, 5.0, "the last watch is under way")
    watches.stop()
    assert len(woken) == wakes


class RefusesBrokenly(http.server.BaseHTTPRequestHandler):
    """Refuses with a body that ends too early."""

    def do_GET(self) -> None:
        self.send_response(503)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"half")

    def log_message(self, *_: object) -> None: ...


def test_a_refusal_that_breaks_off_is_unavailable_to_a_watch_as_to_any_call(tmp_path: Path) -> None:
    server = http.server.HTTPServer(("127.0.0.1", 0), RefusesBrokenly)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    kubeconfig = tmp_path / "kubeconfig"
    content = {
        "current-context": "c",
        "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": f"http://127.0.0.1:{server.server_port}"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
    }
    kubeconfig.write_text(yaml.safe_dump(content))
    api = KubernetesApi(kubeconfig, tmp_path / "keys")
    with pytest.raises(Unavailable):
        api.list(SERVICES, None)
    with pytest.raises(Unavailable):
        list(api.watch(SERVICES, None, "1", threading.Event()))
    server.shutdown()
    server.server_close()
