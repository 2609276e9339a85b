"""Others that write, ask, copy and relabel: what is held stays."""

from __future__ import annotations

from typing import Any

import pytest

from support.exposed import addresses, bench_with, web


@pytest.mark.parametrize(
    ("metadata", "spec"),
    [
        pytest.param({"annotations": {"metallb.io/address-pool": "nope"}}, {}, id="a pool by annotation"),
        pytest.param({}, {"loadBalancerIP": "10.0.0.14"}, id="another free address"),
        pytest.param({"labels": {"net.azure-devices.edge.deviceid": "edge1"}}, {}, id="edgeAgent's label"),
    ],
)
def test_what_a_hand_wrote_is_taken_back_and_the_address_is_the_same(
    metadata: dict[str, Any], spec: dict[str, Any]
) -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    for _ in range(3):
        service = bench.cluster.services[("edge1", "b")]
        for part, values in metadata.items():
            service["metadata"].setdefault(part, {}).update(values)
        service["spec"].update(spec)
        bench.cluster.settle()
        bench.run(4)
        assert addresses(bench) == before
    service = bench.cluster.services[("edge1", "b")]
    assert "net.azure-devices.edge.deviceid" not in service["metadata"]["labels"]
    assert "metallb.io/address-pool" not in service["metadata"]["annotations"]


def lb(**spec: Any) -> dict[str, Any]:
    return {"type": "LoadBalancer", "ports": [{"port": 7000, "protocol": "TCP"}], **spec}


@pytest.mark.parametrize("pinned", [False, True])
def test_who_only_asks_for_an_address_does_not_get_it_from_who_holds_it(pinned: bool) -> None:
    bench = bench_with({"a": web(), "b": web(**({"address": "10.0.0.15"} if pinned else {}))})
    before = addresses(bench)
    bench.cluster.add_service("squat", lb(loadBalancerIP=before["b"]), namespace="default")
    bench.run(6)
    assert {name: bench.cluster.address_of(name) for name in before} == before
    assert bench.state("b") == ("Ready", before["b"], None)


def test_an_address_that_another_waits_for_is_not_chosen() -> None:
    bench = bench_with({"a": web()})
    bench.cluster.add_service("other", lb(loadBalancerIP="10.0.0.10"), namespace="default")
    bench.cluster.hidden.add("10.0.0.11")
    bench.cluster.add_service("waits", lb(loadBalancerIP="10.0.0.11"), namespace="default")
    bench.desire({"a": web(), "b": web()})
    bench.run()
    assert bench.cluster.address_of("b") == "10.0.0.12"


def test_a_service_that_was_relabelled_is_labelled_again_and_nothing_moves() -> None:
    bench = bench_with({"a": web(), "b": web()})
    before = addresses(bench)
    bench.cluster.services["edge1", "a"]["metadata"]["labels"]["edge-expose.io/exposure"] = "b"
    bench.run(4)
    assert addresses(bench) == before
    assert bench.cluster.services["edge1", "a"]["metadata"]["labels"]["edge-expose.io/exposure"] == "a"


def test_a_copy_of_our_service_goes_and_takes_no_address_along() -> None:
    bench = bench_with({"web": web()})
    before = addresses(bench)
    copied = bench.cluster.services["edge1", "web"]
    spec = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}
    notes = {key: value for key, value in copied["metadata"]["annotations"].items() if "loadBalancerIPs" not in key}
    bench.cluster.add_service("a-copy", spec, labels=dict(copied["metadata"]["labels"]), annotations=notes)
    assert bench.cluster.address_of("a-copy") != before["web"]
    bench.run(4)
    assert addresses(bench) == before


def test_a_service_that_lost_a_label_of_ours_can_be_taken_over_again() -> None:
    bench = bench_with({"a": web()})
    before = addresses(bench)
    bench.cluster.services["edge1", "a"]["metadata"]["labels"]["app.kubernetes.io/managed-by"] = "Helm"
    report = bench.run()
    assert report["exposures"]["a"]["reason"] == "ForeignService"
    assert "was ours" in report["exposures"]["a"]["message"]
    bench.desire({"a": web(adopt=True)})
    bench.run()
    assert bench.state("a") == ("Ready", before["a"], None)
