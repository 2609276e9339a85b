"""What passes ask of the API server: nothing while nothing happens, and no more than an edit needs."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from edge_expose_contract.identity import LABEL_OWNER
from edge_expose_module.cluster.api import SERVICES, Listing, Resource
from support.bench import Bench
from support.fake_cluster import FakeCluster
from support.waiting import eventually

WEB = {"selector": ["app=w"], "ports": ["80:8080"]}


class CountingCluster(FakeCluster):
    """Counts what is asked, by verb and plural; watches are no question."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.asked: Counter[str] = Counter()

    def version(self) -> str:
        self.asked["version"] += 1
        return super().version()

    def resources(self, group: str) -> frozenset[str]:
        self.asked["resources"] += 1
        return super().resources(group)

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        self.asked[f"list {resource.plural}"] += 1
        return super().list(resource, namespace, labels=labels, fields=fields)

    def get(self, resource: Resource, namespace: str, name: str) -> Mapping[str, Any]:
        self.asked[f"get {resource.plural}"] += 1
        return super().get(resource, namespace, name)

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked[f"create {resource.plural}"] += 1
        return super().create(resource, namespace, body)

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        self.asked[f"patch {resource.plural}"] += 1
        return super().patch(resource, namespace, name, body)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self.asked[f"delete {resource.plural}"] += 1
        super().delete(resource, namespace, name, uid)


class Watched(Bench):
    """Three exposures that are Ready, and all that passes read is kept up by watches."""

    def __init__(self) -> None:
        self.counting = CountingCluster()
        super().__init__(self.counting, watched=True)
        self.cluster.add_pod("p", {"app": "w"})
        self.desire(dict.fromkeys("abc", WEB))
        self.run()
        eventually(lambda: not self.asked_by_a_pass(), 10.0, "a pass asks for nothing")
        assert [self.state(name)[0] for name in "abc"] == ["Ready"] * 3

    def asked_by_a_pass(self, *, wake: bool = False) -> dict[str, int]:
        before = Counter(self.counting.asked)
        if wake:
            self.controller.wake_for_twin()
        asyncio.run(self.controller.reconcile())
        return dict(self.counting.asked - before)


@pytest.fixture
def bench() -> Iterator[Watched]:
    found = Watched()
    yield found
    found.stop()


def test_a_first_pass_reads_everything_once_and_writes_each_service_once() -> None:
    """No watch keeps anything up yet: what was read before the writes stands, with what they were answered. Services
    and endpoints are read once more, for what they got meanwhile."""
    counting = CountingCluster()
    bench = Bench(counting)
    bench.desire(dict.fromkeys("abc", WEB))
    bench.run(passes=1)
    reads = {what: count for what, count in counting.asked.items() if not what.startswith("create")}
    assert counting.asked["create services"] == 3
    assert {what: count for what, count in reads.items() if count > 1} == {
        "list services": 2,
        "list endpointslices": 2,
    }
    assert "list events" not in reads
    assert bench.exposure("b")["address"] == "10.0.0.11"


def test_who_asks_for_another_address_is_looked_at_again_at_once(bench: Watched) -> None:
    bench.desire({**dict.fromkeys("abc", WEB), "b": {**WEB, "address": "10.0.0.17"}})
    bench.run()
    assert bench.state("b") == ("Ready", "10.0.0.17", None)


def test_a_pass_in_which_nothing_happened_asks_for_nothing(bench: Watched) -> None:
    for wake in (False, True, False):
        assert bench.asked_by_a_pass(wake=wake) == {}


def test_an_edit_that_moves_no_address_is_one_write(bench: Watched) -> None:
    bench.desire({**dict.fromkeys("abc", WEB), "b": {**WEB, "ports": ["81:8080"]}})
    assert bench.asked_by_a_pass(wake=True) == {"patch services": 1}
    assert bench.state("b") == ("Ready", "10.0.0.11", None)


def test_before_an_exposure_is_withdrawn_services_and_pools_are_read(bench: Watched) -> None:
    bench.desire(dict.fromkeys("ab", WEB))
    asked = bench.asked_by_a_pass(wake=True)
    assert asked["delete services"] == 1
    assert asked["list services"] == 2, "before, and to see that it is gone"
    assert asked["list ipaddresspools"] == 1
    assert "list pods" not in asked


def test_nothing_is_removed_for_what_a_watch_did_not_show(bench: Watched) -> None:
    """Somebody made the Service their own, and the watch has not told yet: the pass sees it before it deletes."""
    bench.cluster.objects.mute(SERVICES)
    bench.cluster.patch(SERVICES, "edge1", "c", {"metadata": {"labels": {LABEL_OWNER: None}}})
    bench.desire(dict.fromkeys("ab", WEB))
    bench.run()
    assert bench.cluster.address_of("c") == "10.0.0.12"


def test_an_address_that_was_taken_unseen_moves_nobody(bench: Watched) -> None:
    bench.cluster.objects.mute(SERVICES)
    theirs = {"type": "LoadBalancer", "loadBalancerIP": "10.0.0.15", "ports": [{"port": 80}]}
    bench.cluster.add_service("theirs", theirs)
    assert bench.cluster.address_of("theirs") == "10.0.0.15"
    bench.desire({**dict.fromkeys("abc", WEB), "b": {**WEB, "address": "10.0.0.15"}})
    bench.run()
    assert bench.state("b") == ("Blocked", "10.0.0.11", "AddressTaken")
    assert bench.cluster.address_of("b") == "10.0.0.11"


def test_drift_that_a_watch_shows_is_repaired(bench: Watched) -> None:
    bench.cluster.patch(SERVICES, "edge1", "a", {"spec": {"sessionAffinity": "ClientIP"}})
    eventually(lambda: bench.asked_by_a_pass().get("patch services"), 10.0, "it is put back")
    assert bench.cluster.services[("edge1", "a")]["spec"]["sessionAffinity"] == "None"


def test_what_the_cluster_does_is_seen_while_the_same_pass_would_be_spared(bench: Watched) -> None:
    bench.cluster.delete(SERVICES, "edge1", "c", "")
    eventually(lambda: bench.asked_by_a_pass().get("create services"), 10.0, "it is made again")
    bench.run()
    assert bench.state("c") == ("Ready", "10.0.0.12", None)
