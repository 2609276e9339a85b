"""The fake MetalLB is held to the recordings of the real one, by the same situations."""

from __future__ import annotations

from itertools import islice
from threading import Event
from typing import Any

import pytest

from edge_expose_module.cluster.api import CONFIG_MAPS, EVENTS, SERVICES, ClusterError, Conflict, Refused, Resource
from edge_expose_module.load_balancers.metallb import CONFIGURATION_STATES, POOLS
from support import recorded
from support.fake_bed import FakeBed
from support.fake_cluster import FakeCluster
from support.fake_pools import FakePool
from support.situations.table import METALLB, load

TABLE = {key: row for key, row in load().items() if row.component is METALLB and not row.needs}
#: situations of configurations: the fake is told which one is rejected, it does not judge any itself
TOLD = {key for key, row in TABLE.items() if row.run.__module__.endswith("configurations")}
PLAYED = [
    pytest.param(profile, key, id=f"{profile}-{key}")
    for key, row in TABLE.items()
    for profile in row.profiles
    if key not in TOLD
]
WEB: dict[str, Any] = {"type": "LoadBalancer", "ports": [{"port": 80}]}


@pytest.mark.parametrize(("profile", "key"), PLAYED)
def test_the_fake_answers_as_recorded(profile: str, key: str) -> None:
    row = TABLE[key]
    found = {"given": row.given, **row.run(FakeBed(profile)).template()}
    assert found == recorded.read(METALLB[profile])["answers"][key]


def test_a_rejected_configuration_is_shown_and_the_old_one_is_in_force() -> None:
    cluster = FakeCluster("10.0.0.10-10.0.0.20")
    pools = {"a": FakePool.of("10.0.9.0/24"), "b": FakePool.of("10.0.9.8/30")}
    values = {"pool": "a", "other": "b", "cidr": "10.0.9.0/24", "other_cidr": "10.0.9.8/30"}
    cluster.reject_pools(pools, "pools-overlap", **values)
    assert [item["metadata"]["name"] for item in cluster.list(POOLS, "metallb-system").items] == ["a", "b"]
    (state,) = cluster.list(CONFIGURATION_STATES, "metallb-system").items
    assert state["status"]["result"] == "Invalid"
    assert 'CIDR "10.0.9.8/30" in pool "b" overlaps' in state["status"]["errorSummary"]
    cluster.add_service("web", WEB)
    assert cluster.address_of("web") == "10.0.0.10"
    cluster.set_pool("10.0.9.1-10.0.9.2")
    assert cluster.list(CONFIGURATION_STATES, "metallb-system").items[0]["status"]["result"] == "Valid"
    assert cluster.address_of("web") == "10.0.9.1"


def test_the_old_version_does_not_take_a_pool_that_leaves_out_what_is_held() -> None:
    cluster = FakeCluster("10.0.0.10-10.0.0.20", git_version="v1.20.15", dialect="configmap")
    cluster.add_service("web", WEB)
    cluster.set_pool("10.0.0.15-10.0.0.30")
    assert "10.0.0.15-10.0.0.30" in cluster.get(CONFIG_MAPS, "metallb-system", "config")["data"]["config"]
    assert cluster.address_of("web") == "10.0.0.10"
    cluster.add_service("late", {**WEB, "loadBalancerIP": "10.0.0.30"})
    assert cluster.address_of("late") is None


def test_refusals_on_demand_have_the_body_that_was_recorded_and_end() -> None:
    cluster = FakeCluster()
    body = {"metadata": {"name": "web"}, "spec": WEB}
    cluster.refuse("quota-of-load-balancers", quota="few", times=1)
    with pytest.raises(Refused, match=r"exceeded quota: few, requested: services\.loadbalancers=1"):
        cluster.create(SERVICES, "edge1", body)
    cluster.create(SERVICES, "edge1", body)
    cluster.refuse("node-port-range-full", verb="patch")
    with pytest.raises(ClusterError, match="range is full"):
        cluster.patch(SERVICES, "edge1", "web", {"metadata": {"labels": {"a": "b"}}})
    cluster.allow()
    cluster.patch(SERVICES, "edge1", "web", {"metadata": {"labels": {"a": "b"}}})
    with pytest.raises(Conflict):
        cluster.create(SERVICES, "edge1", body)


def test_a_service_with_a_finalizer_hangs_with_its_address_until_it_is_released() -> None:
    cluster = FakeCluster("10.0.0.10-10.0.0.10")
    cluster.add_service("web", WEB)
    cluster.add_finalizer("web", "service.kubernetes.io/load-balancer-cleanup")
    cluster.delete(SERVICES, "edge1", "web", "")
    there = cluster.get(SERVICES, "edge1", "web")
    assert there["metadata"]["deletionTimestamp"]
    cluster.add_service("next", WEB)
    assert (cluster.address_of("web"), cluster.address_of("next")) == ("10.0.0.10", None)
    cluster.release("web")
    assert (cluster.address_of("web"), cluster.address_of("next")) == (None, "10.0.0.10")


def test_whoever_watches_is_told_of_pools_events_and_deletions_that_wait() -> None:
    cluster = FakeCluster()
    cluster.add_service("web", WEB)
    cluster.add_finalizer("web", "example.com/wait")
    start = cluster.list(SERVICES, None).version
    cluster.delete(SERVICES, "edge1", "web", "")
    cluster.release("web")
    cluster.set_pool("10.0.0.1-10.0.0.9")
    cluster.add_service("late", WEB)

    def heard(resource: Resource, namespace: str, count: int = 1) -> list[str]:
        events = islice(cluster.watch(resource, namespace, start, Event()), 1 + count)
        return [event.kind for event in events]

    assert heard(SERVICES, "edge1", 3) == ["BOOKMARK", "MODIFIED", "DELETED", "ADDED"]
    assert heard(POOLS, "metallb-system") == ["BOOKMARK", "MODIFIED"]
    assert heard(CONFIGURATION_STATES, "metallb-system") == ["BOOKMARK", "MODIFIED"]
    assert heard(EVENTS, "edge1") == ["BOOKMARK", "ADDED"]
