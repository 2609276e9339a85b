"""The cache behind watches that are delayed, kept back, reordered and replayed ends at what the API lists."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import PODS, SERVICES, Conflict, Listing, NotFound, Resource
from edge_expose_module.cluster.cached_cluster import CachedCluster
from edge_expose_module.cluster.watches import Watches
from support.waiting import eventually
from support.watch_proxy import MODES, WatchProxy, shuffled

PORTS = {"ports": [{"name": "a", "port": 80}]}


class CountingApi(KubernetesApi):
    lists = 0

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        self.lists += 1
        return super().list(resource, namespace, labels=labels, fields=fields)


@pytest.mark.parametrize("seed", [1, 2])
def test_whatever_watches_do_the_cache_ends_at_what_the_api_lists(cluster, tmp_path: Path, seed: int) -> None:
    namespace, dice = cluster.namespace(), random.Random(seed)
    proxy = WatchProxy(cluster.kubeconfig, seed)
    api = CountingApi(proxy.write_kubeconfig(tmp_path / "proxied"), tmp_path / "keys")
    direct = KubernetesApi(cluster.kubeconfig, tmp_path / "keys")
    cached = CachedCluster(api)
    watches = Watches(cached, lambda: None)

    def versions(listing: Listing) -> dict[str, str]:
        return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in listing.items}

    cached.list(SERVICES, namespace)
    watches.ensure({(SERVICES, namespace)})

    def is_followed() -> bool:
        before = api.lists
        cached.list(SERVICES, namespace)
        return api.lists == before

    eventually(is_followed, what="the watch is accepted")
    before, there = api.lists, set[str]()
    for number in range(60):
        if number % 6 == 0:
            proxy.mode = dice.choice(MODES)
        writer, name = dice.choice([cached, direct]), f"s{dice.randrange(6)}"
        try:
            if name not in there:
                writer.create(SERVICES, namespace, {"metadata": {"name": name}, "spec": PORTS})
                there.add(name)
            elif dice.random() < 0.3:
                direct.delete(SERVICES, namespace, name, "")
                there.discard(name)
            else:
                writer.patch(SERVICES, namespace, name, {"metadata": {"labels": {"n": str(number)}}})
        except (Conflict, NotFound):  # on real servers something may be on its way
            pass
    proxy.mode = "plain"
    same = lambda: versions(cached.list(SERVICES, namespace)) == versions(direct.list(SERVICES, namespace))  # noqa: E731
    eventually(same, what="the cache shows what the API lists")
    assert api.lists == before, "from watches and answers alone"
    watches.stop()
    proxy.close()


def test_of_pods_the_metadata_alone_is_read(cluster, tmp_path: Path) -> None:
    namespace = cluster.namespace()
    cluster.run_pod(namespace, "w1", {"app": "w"})
    api = KubernetesApi(cluster.kubeconfig, tmp_path / "keys")
    items = api.list(PODS, namespace).items
    assert [item["metadata"]["labels"]["app"] for item in items] == ["w"]
    assert all("spec" not in item and "status" not in item for item in items)


def test_the_proxy_keeps_the_order_of_one_object_and_passes_no_bookmark() -> None:
    lines = [
        f'{{"type": "{kind}", "object": {{"metadata": {{"name": "{name}", "resourceVersion": "{n}"}}}}}}'.encode()
        for n, (kind, name) in enumerate([("ADDED", n) for n in "aabbab"] + [("BOOKMARK", "-")] + [("ADDED", "a")] * 2)
    ]
    orders = [shuffled(list(lines), random.Random(seed)) for seed in range(20)]
    for order in orders:
        assert sorted(order) == sorted(lines)
        assert [line for line in order if b'"a"' in line] == [line for line in lines if b'"a"' in line]
        assert order.index(lines[6]) == 6
    assert len({tuple(order) for order in orders}) > 5
