"""Watches keep the cache up, wake the loop for what is news to it, and end when they are told to and never else."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import SERVICES, Denied, Gone, Listing, Resource, Unavailable, WatchEvent
from edge_expose_module.cluster.cached_cluster import CachedCluster
from edge_expose_module.cluster.watches import Watches
from support.fake_cluster import FakeCluster
from support.waiting import eventually

OPEN = WatchEvent("BOOKMARK", {"metadata": {}})


def news(version: int, kind: str = "MODIFIED") -> WatchEvent:
    return WatchEvent(kind, {"metadata": {"namespace": "n", "name": "a", "resourceVersion": str(version)}})


class WatchedCluster(FakeCluster):
    """Answers each list with the next version and each watch with the next turn; then it is quiet."""

    def __init__(self, versions: list[str], turns: list[Callable[[], Iterator[WatchEvent]]]) -> None:
        super().__init__()
        self.versions = versions
        self.turns = turns
        self.watched: list[str] = []
        self.listed = 0

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        self.listed += 1
        return Listing((), self.versions[min(self.listed, len(self.versions)) - 1])

    def watch(
        self, resource: Resource, namespace: str | None, version: str, stop: threading.Event
    ) -> Iterator[WatchEvent]:
        self.watched.append(version)
        if self.turns:
            yield from self.turns.pop(0)()
            return
        yield OPEN
        stop.wait(60)


def heard(*events: WatchEvent) -> Callable[[], Iterator[WatchEvent]]:
    return lambda: iter((OPEN, *events))


def broken(error: Exception, *events: WatchEvent) -> Callable[[], Iterator[WatchEvent]]:
    def turn() -> Iterator[WatchEvent]:
        yield from events
        raise error

    return turn


@pytest.mark.parametrize(
    ("versions", "turns", "wakes", "watched"),
    [
        pytest.param(["1"], [], 0, ["1"], id="not for a watch that begins where the pass listed"),
        pytest.param(["1"], [heard(), heard()], 0, ["1", "1", "1"], id="not when it goes on after its time is over"),
        pytest.param(["1"], [heard(news(2), news(3, "DELETED"))], 2, ["1", "1"], id="for every event"),
        pytest.param(["1"], [heard(news(2), news(2))], 1, ["1", "1"], id="not for an event that comes again"),
        pytest.param(["1", "7"], [broken(Gone("too old"))], 2, ["1", "7"], id="when its place was lost and found"),
        pytest.param(["1", "7"], [broken(Unavailable("broke"), OPEN)], 2, ["1", "7"], id="when it breaks and is back"),
        pytest.param(
            ["1", "7", "9"],
            [broken(Unavailable("broke"), OPEN), broken(Unavailable("again"), OPEN)],
            4,
            ["1", "7", "9"],
            id="each time it breaks and is back",
        ),
        pytest.param(["1", "7"], [heard(WatchEvent("ADDED", {}))], 3, ["1", "7"], id="for what has no place in order"),
        pytest.param(["1", "7"], [broken(RuntimeError("unforeseen"))], 2, ["1", "7"], id="when nobody foresaw it"),
    ],
)
def test_a_watch_wakes(
    versions: list[str], turns: list[Callable[[], Iterator[WatchEvent]]], wakes: int, watched: list[str]
) -> None:
    cluster, woken = WatchedCluster(versions, list(turns)), list[int]()
    cached = CachedCluster(cluster)
    cached.list(SERVICES, None)  # as the pass does that starts the watch
    watches = Watches(cached, lambda: woken.append(1))
    watches.ensure({(SERVICES, None)})
    eventually(lambda: len(cluster.watched) == len(watched), 5.0, "the last watch is under way")
    eventually(lambda: len(woken) >= wakes, 5.0, "all wakes came")
    watches.stop()
    assert (len(woken), cluster.watched) == (wakes, watched)


def test_a_watch_that_may_not_be_made_leaves_the_reads_to_the_passes() -> None:
    cluster = WatchedCluster(["1"], [broken(Denied("no"))])
    cached, woken = CachedCluster(cluster), threading.Event()
    cached.list(SERVICES, None)
    watches = Watches(cached, woken.set)
    watches.ensure({(SERVICES, None)})
    assert woken.wait(5.0)
    for _ in range(3):
        cached.list(SERVICES, None)
    assert cluster.listed == 4
    watches.stop()


def test_what_nobody_reads_any_more_is_neither_watched_nor_kept() -> None:
    cluster = WatchedCluster(["1"], [])
    cached = CachedCluster(cluster)
    watches = Watches(cached, lambda: None)
    cached.list(SERVICES, None)
    watches.ensure(cached.take_used())
    eventually(lambda: cluster.watched == ["1"], 5.0, "it is watched")
    watches.ensure(cached.take_used())
    assert cached.place(SERVICES, None) == ""
    cached.list(SERVICES, None)
    assert cluster.listed == 2


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
