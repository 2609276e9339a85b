"""The module's side of a Kubernetes API: what each answer becomes, and watches that wake and end.

Held of the real adapter on every cluster, and of the fake that the module's own tests run on.
"""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from edge_expose_module.adapters.kubernetes_api import KubernetesApi
from edge_expose_module.cluster.api import (
    CONFIG_MAPS,
    SERVICES,
    Cluster,
    Conflict,
    Gone,
    NotFound,
    Rejected,
    Unauthorized,
    Unavailable,
)
from support.fake_cluster import FakeCluster
from support.waiting import PATIENCE

BODY = {"metadata": {"name": "one", "labels": {"a": "b"}}, "spec": {"ports": [{"name": "a", "port": 80}]}}
NONE = "11111111-2222-3333-4444-555555555555"


def names(api: Cluster, namespace: str | None) -> list[str]:
    return [item["metadata"]["name"] for item in api.list(SERVICES, namespace).items]


class AnyCluster:
    """What holds of each; a subclass brings the fixtures `api`, and `ns` and `other`: empty namespaces."""

    def test_the_version_and_the_resources_of_a_group(self, api: Cluster) -> None:
        assert api.version().startswith("v1.")
        assert "services" in api.resources("/api/v1")
        assert api.resources("/apis/none.example.com/v1") == frozenset()
        assert ("ipaddresspools" in api.resources("/apis/metallb.io/v1beta1")) is api.version().startswith("v1.36")

    def test_what_is_made_is_read_in_its_namespace_and_in_all(self, api: Cluster, ns: str) -> None:
        api.create(SERVICES, ns, BODY)
        found = api.get(SERVICES, ns, "one")
        assert (found["metadata"]["namespace"], found["spec"]["type"]) == (ns, "ClusterIP")
        assert names(api, ns) == ["one"]
        assert "one" in names(api, None)
        assert names(api, f"{ns}-none") == []

    def test_refusals_become_errors_of_ours(self, api: Cluster, ns: str) -> None:
        api.create(SERVICES, ns, BODY)
        with pytest.raises(Conflict):
            api.create(SERVICES, ns, BODY)
        with pytest.raises(NotFound):
            api.get(SERVICES, ns, "none")
        with pytest.raises(NotFound):
            api.patch(SERVICES, ns, "none", {"metadata": {"labels": {"a": "c"}}})
        with pytest.raises(NotFound):
            api.delete(SERVICES, ns, "none", "")
        with pytest.raises(NotFound):
            api.create(SERVICES, f"{ns}-none", BODY)
        with pytest.raises(Rejected):
            api.create(SERVICES, ns, {"metadata": {"name": "two"}, "spec": {"ports": [{"port": 0}]}})
        with pytest.raises(Rejected):
            api.create(SERVICES, ns, {"metadata": {"name": "two"}, "spec": {"ports": []}})
        with pytest.raises(Conflict):
            api.patch(SERVICES, ns, "one", {"metadata": {"resourceVersion": "1", "labels": {"a": "b"}}})
        with pytest.raises(Conflict):
            api.delete(SERVICES, ns, "one", NONE)
        assert names(api, ns) == ["one"]

    def test_a_rehearsal_is_refused_like_a_creation_and_leaves_nothing(self, api: Cluster, ns: str) -> None:
        api.rehearse(SERVICES, ns, BODY)
        assert names(api, ns) == []
        with pytest.raises(NotFound):
            api.rehearse(SERVICES, f"{ns}-none", BODY)
        refused = {**BODY, "spec": {"ports": []}}
        with pytest.raises(Rejected):
            api.rehearse(SERVICES, ns, refused)
        api.create(SERVICES, ns, BODY)
        api.rehearse(SERVICES, ns, BODY)
        with pytest.raises(Rejected):
            api.rehearse(SERVICES, ns, refused)
        assert names(api, ns) == ["one"]

    def test_a_merge_patch_of_the_version_read_sets_and_removes(self, api: Cluster, ns: str) -> None:
        api.create(SERVICES, ns, BODY)
        before = api.get(SERVICES, ns, "one")["metadata"]
        change = {"metadata": {"resourceVersion": before["resourceVersion"], "labels": {"a": None, "c": "d"}}}
        api.patch(SERVICES, ns, "one", change)
        after = api.get(SERVICES, ns, "one")["metadata"]
        assert after["labels"] == {"c": "d"}
        assert after["uid"] == before["uid"]
        assert int(after["resourceVersion"]) > int(before["resourceVersion"])
        with pytest.raises(Conflict):
            api.patch(SERVICES, ns, "one", change)

    def test_a_rehearsal_of_a_patch_is_refused_like_the_patch_and_changes_nothing(self, api: Cluster, ns: str) -> None:
        with pytest.raises(NotFound):
            api.rehearse_patch(SERVICES, ns, "one", {"metadata": {"labels": {"c": "d"}}})
        api.create(SERVICES, ns, BODY)
        before = api.get(SERVICES, ns, "one")
        change = {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"], "labels": {"c": "d"}}}
        api.rehearse_patch(SERVICES, ns, "one", change)
        with pytest.raises(Rejected):
            api.rehearse_patch(SERVICES, ns, "one", {"spec": {"ports": []}})
        assert api.get(SERVICES, ns, "one") == before
        api.patch(SERVICES, ns, "one", change)
        with pytest.raises(Conflict):
            api.rehearse_patch(SERVICES, ns, "one", change)

    def test_a_delete_with_the_right_uid_is_done_on_every_version(self, api: Cluster, ns: str) -> None:
        api.create(SERVICES, ns, BODY)
        api.delete(SERVICES, ns, "one", api.get(SERVICES, ns, "one")["metadata"]["uid"])
        with pytest.raises(NotFound):
            api.get(SERVICES, ns, "one")

    def test_what_has_a_finalizer_is_deleted_only_when_that_is_taken_off(self, api: Cluster, ns: str) -> None:
        api.create(SERVICES, ns, {**BODY, "metadata": {**BODY["metadata"], "finalizers": ["example.com/wait"]}})
        api.delete(SERVICES, ns, "one", "")
        there = api.get(SERVICES, ns, "one")["metadata"]
        assert there["deletionTimestamp"]
        api.delete(SERVICES, ns, "one", there["uid"])
        api.patch(SERVICES, ns, "one", {"metadata": {"labels": {"a": "c"}}})
        assert api.get(SERVICES, ns, "one")["metadata"]["labels"] == {"a": "c"}
        api.patch(SERVICES, ns, "one", {"metadata": {"finalizers": None}})
        with pytest.raises(NotFound):
            api.get(SERVICES, ns, "one")

    def test_a_watch_wakes_for_its_namespace_and_ends_when_it_is_told_to(
        self, api: Cluster, ns: str, other: str
    ) -> None:
        version = api.list(SERVICES, ns).version
        stop, seen = threading.Event(), []

        def follow() -> None:
            for event in api.watch(SERVICES, ns, version, stop):
                if event.kind != "BOOKMARK":
                    seen.append(event.kind)
                if len(seen) == 3:
                    return

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        api.create(SERVICES, other, BODY)
        api.create(SERVICES, ns, BODY)
        api.delete(SERVICES, other, "one", "")
        api.patch(SERVICES, ns, "one", {"metadata": {"labels": {"a": "c"}}})
        api.delete(SERVICES, ns, "one", "")
        follower.join(10)
        assert seen == ["ADDED", "MODIFIED", "DELETED"]


class TestFake(AnyCluster):
    @pytest.fixture(params=["v1.36.3", "v1.20.15"])
    def api(self, request: pytest.FixtureRequest) -> FakeCluster:
        version = str(request.param)
        return FakeCluster(git_version=version, dialect="crd" if version.startswith("v1.36") else "configmap")

    @pytest.fixture
    def ns(self) -> str:
        return "edge1"

    @pytest.fixture
    def other(self) -> str:
        return "default"


class TestAdapter(AnyCluster):
    @pytest.fixture
    def api(self, cluster, tmp_path: Path) -> KubernetesApi:
        return KubernetesApi(cluster.kubeconfig, tmp_path / "keys")

    @pytest.fixture
    def ns(self, cluster) -> str:
        return str(cluster.namespace())

    @pytest.fixture
    def other(self, cluster) -> str:
        return str(cluster.namespace())

    def test_a_wrong_token_is_unauthorized(self, cluster, ns: str, tmp_path: Path) -> None:
        wrong = tmp_path / "wrong"
        wrong.write_text(cluster.kubeconfig.read_text().replace(cluster.token, "wrong"))
        with pytest.raises(Unauthorized):
            KubernetesApi(wrong, tmp_path / "keys").list(SERVICES, ns)

    def test_a_family_that_the_cluster_has_not_is_refused_before_anything_goes(
        self, cluster, api: KubernetesApi, ns: str
    ) -> None:
        if cluster.profile != "1.36":
            pytest.skip("only on 1.36: before 1.21 one family is all there is")
        api.create(SERVICES, ns, BODY)
        six = {"ipFamilies": ["IPv6"], "ipFamilyPolicy": "SingleStack"}
        with pytest.raises(Rejected):
            api.rehearse(SERVICES, ns, {**BODY, "spec": {**BODY["spec"], **six}})

    def test_lists_are_read_to_their_end(self, cluster, api: KubernetesApi, ns: str) -> None:
        path = f"/api/v1/namespaces/{ns}/configmaps"
        for number in range(520):
            assert cluster.call("POST", path, {"metadata": {"name": f"c{number}", "labels": {"n": "1"}}}).status == 201
        found = api.list(CONFIG_MAPS, ns, labels="n=1")
        assert len({item["metadata"]["name"] for item in found.items}) == 520
        assert int(found.version) > 0

    def test_a_watch_from_before_a_restart_is_gone_and_a_server_that_is_away_is_unavailable(
        self, cluster, api: KubernetesApi, ns: str
    ) -> None:
        version = api.list(SERVICES, ns).version
        broken: list[BaseException] = []
        watching = threading.Event()

        def follow() -> None:
            try:
                for _ in api.watch(SERVICES, ns, version, threading.Event()):
                    watching.set()
            except Unavailable as error:
                broken.append(error)

        follower = threading.Thread(target=follow, daemon=True)
        follower.start()
        assert cluster.balancer(ns, "seen").status == 201
        assert watching.wait(PATIENCE)
        cluster.restart()
        follower.join(10)
        assert not follower.is_alive()
        with pytest.raises(Gone):
            list(api.watch(SERVICES, None, "1", threading.Event()))
        assert api.version()
