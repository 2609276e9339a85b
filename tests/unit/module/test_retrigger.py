"""A Service that waits for its address is touched, neither at once nor all the time."""

from __future__ import annotations

from edge_expose_module.cluster.cached_cluster import CachedCluster
from edge_expose_module.cluster.homes import Homes
from edge_expose_module.cluster.observer import Observer
from edge_expose_module.load_balancers.metallb import MetalLB
from edge_expose_module.retrigger import ANNOTATION, Retrigger
from support.bench import OWNER, Bench


def test_a_service_that_waits_is_touched_now_and_then_and_a_held_one_never() -> None:
    bench = Bench()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": {"selector": ["app=ws"], "ports": [80]}, "b": {"selector": ["app=ws"], "ports": [80]}})
    bench.run()
    bench.cluster.services[("edge1", "a")]["status"] = {"loadBalancer": {}}
    decided = bench.controller.result.plan
    assert decided is not None
    observed = Observer(CachedCluster(bench.cluster), OWNER).observe(Homes(frozenset({"edge1"})))
    clock = [0.0]
    retrigger = Retrigger(bench.cluster, lambda: clock[0])
    assert retrigger.touch(decided, observed, OWNER) == []
    clock[0] = MetalLB().retrigger_seconds[0]
    assert retrigger.touch(decided, observed, OWNER) == [("edge1", "a")]
    assert ANNOTATION in bench.cluster.services[("edge1", "a")]["metadata"]["annotations"]
    assert bench.cluster.address_of("a") == "10.0.0.10", "the load balancer looked again"
    clock[0] += 1
    assert retrigger.touch(decided, observed, OWNER) == []


def test_a_claim_that_waits_is_touched_too() -> None:
    bench = Bench()
    bench.desire({"a": {"selector": ["app=ws"], "ports": [80], "address": "10.0.0.12"}})
    bench.run()
    bench.desire({"a": {"selector": ["app=ws"], "ports": [80], "address": "10.0.0.15"}})
    bench.run(1)
    bench.cluster.services[("edge1", "a-claim")]["status"] = {"loadBalancer": {}}
    decided = bench.controller.result.plan
    assert decided is not None
    observed = Observer(CachedCluster(bench.cluster), OWNER).observe(Homes(frozenset({"edge1"})))
    clock = [0.0]
    retrigger = Retrigger(bench.cluster, lambda: clock[0])
    assert retrigger.touch(decided, observed, OWNER) == []
    clock[0] = MetalLB().retrigger_seconds[0]
    assert retrigger.touch(decided, observed, OWNER) == [("edge1", "a-claim")]
    assert bench.cluster.address_of("a-claim") == "10.0.0.15"
