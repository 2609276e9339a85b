"""The module's Kubernetes adapter: what each answer of an API server becomes, and watches that wake and end."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.clusterapi import (
    CONFIG_MAPS,
    SERVICES,
    Conflict,
    Gone,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)

BODY = {"metadata": {"name": "one"}, "spec": {"ports": [{"name": "a", "port": 80}]}}


@pytest.fixture
def api(cluster, tmp_path: Path) -> KubernetesApi:
    return KubernetesApi(cluster.kubeconfig, tmp_path / "keys")


def test_the_version_and_the_resources_of_a_group(cluster, api) -> None:
    assert api.version().startswith("v1.36" if cluster.profile == "1.36" else "v1.20")
    assert "services" in api.resources("/api/v1")
    assert api.resources("/apis/none.example.com/v1") == frozenset()
    assert ("ipaddresspools" in api.resources("/apis/metallb.io/v1beta1")) is (cluster.profile == "1.36")


def test_refusals_become_errors_of_ours(cluster, api, tmp_path: Path) -> None:
    ns = cluster.namespace()
    api.create(SERVICES, ns, BODY)
    with pytest.raises(Conflict):
        api.create(SERVICES, ns, BODY)
    with pytest.raises(NotFound):
        api.get(SERVICES, ns, "none")
    with pytest.raises(NotFound):
        api.create(SERVICES, f"{ns}-none", BODY)
    with pytest.raises(Rejected):
        api.create(SERVICES, ns, {"metadata": {"name": "two"}, "spec": {"ports": [{"port": 0}]}})
    with pytest.raises(Conflict):
        api.patch(SERVICES, ns, "one", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        api.delete(SERVICES, ns, "one", "11111111-2222-3333-4444-555555555555")
    wrong = tmp_path / "wrong"
    wrong.write_text(cluster.kubeconfig.read_text().replace(cluster.token, "wrong"))
    with pytest.raises(Unauthorized):
        KubernetesApi(wrong, tmp_path / "keys").list(SERVICES, ns)


def test_lists_are_read_to_their_end(cluster, api) -> None:
    ns = cluster.namespace()
    path = f"/api/v1/namespaces/{ns}/configmaps"
    for number in range(520):
        assert cluster.call("POST", path, {"metadata": {"name": f"c{number}", "labels": {"n": "1"}}}).status == 201
    found = api.list(CONFIG_MAPS, ns, labels="n=1")
    assert len({item["metadata"]["name"] for item in found.items}) == 520
    assert int(found.version) > 0


def test_a_delete_with_the_right_uid_is_done_on_every_version(cluster, api) -> None:
    ns = cluster.namespace()
    api.create(SERVICES, ns, BODY)
    api.delete(SERVICES, ns, "one", api.get(SERVICES, ns, "one")["metadata"]["uid"])
    with pytest.raises(NotFound):
        api.get(SERVICES, ns, "one")


def test_a_watch_wakes_and_ends_when_it_is_told_to(cluster, api) -> None:
    ns = cluster.namespace()
    version = api.list(SERVICES, ns).version
    stop, seen = threading.Event(), []

    def follow() -> None:
        for kind in api.watch(SERVICES, ns, version, stop):
            seen.append(kind)
            if len(seen) == 3:
                return

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    api.create(SERVICES, ns, BODY)
    api.patch(SERVICES, ns, "one", {"metadata": {"labels": {"a": "b"}}})
    api.delete(SERVICES, ns, "one", "")
    follower.join(10)
    assert seen == ["ADDED", "MODIFIED", "DELETED"]


def test_a_watch_from_before_a_restart_is_gone_and_a_server_that_is_away_is_unavailable(cluster, api) -> None:
    ns = cluster.namespace()
    version = api.list(SERVICES, ns).version
    broken: list[BaseException] = []

    def follow() -> None:
        try:
            for _ in api.watch(SERVICES, ns, version, threading.Event()):
                pass
        except Unavailable as error:
            broken.append(error)

    follower = threading.Thread(target=follow, daemon=True)
    follower.start()
    time.sleep(0.5)
    cluster.restart()
    follower.join(10)
    assert not follower.is_alive()
    with pytest.raises(Gone):
        list(api.watch(SERVICES, None, "1", threading.Event()))
    assert api.version()
