"""What the module may not or cannot see is reported as unknown, and neither as Ready nor as gone."""

from __future__ import annotations

from typing import Any

from support.bench import Bench
from support.fake_cluster import FakeCluster

WEB: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}
ENDPOINTS = frozenset({("list", "endpointslices"), ("list", "endpoints")})


def ready(cluster: FakeCluster | None = None) -> Bench:
    bench = Bench(cluster or FakeCluster())
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": WEB, "off": {**WEB, "enabled": False}})
    bench.run()
    return bench


def test_endpoints_that_may_not_be_read_are_unknown_and_seen_as_soon_as_the_right_is_given() -> None:
    bench = ready(FakeCluster(denied=ENDPOINTS))
    assert bench.state("a") == ("Pending", "10.0.0.10", "EndpointsUnreadable")
    assert "endpoints" not in bench.exposure("a"), "a number would be a guess"
    assert "endpointslices.discovery.k8s.io in namespace edge1" in bench.exposure("a")["message"]
    bench.cluster.denied = frozenset()
    bench.run(1)
    assert bench.state("a") == ("Ready", "10.0.0.10", None)


def test_a_cluster_that_cannot_be_read_for_a_minute_makes_nothing_ready() -> None:
    bench = ready()
    bench.cluster.down = True
    bench.run(1)
    bench.later(seconds=59)
    bench.run(1)
    assert bench.state("a") == ("Ready", "10.0.0.10", None), "a short outage is no news"
    bench.later(seconds=2)
    report = bench.run(1)
    assert bench.state("a") == ("Pending", "10.0.0.10", "ClusterUnavailable"), "its address is kept"
    assert "since 2026-11-22T04:00:00Z" in bench.exposure("a")["message"]
    assert bench.state("off")[0] == "Disabled"
    assert report["summary"]["notReady"] == 1
    bench.cluster.down = False
    bench.run(1)
    assert bench.state("a") == ("Ready", "10.0.0.10", None)


def test_a_start_without_the_cluster_does_not_call_ready_what_nobody_sees() -> None:
    bench = ready()
    bench.cluster.down = True
    bench.restart(keep_disk=False)
    bench.run(1)
    assert bench.state("a")[0] == "Ready", "the last word in the twin"
    bench.later(seconds=61)
    report = bench.run(1)
    assert bench.state("a") == ("Pending", "10.0.0.10", "ClusterUnavailable")
    assert (report["summary"]["ready"], report["summary"]["notReady"], report["summary"]["disabled"]) == (0, 1, 1)
