"""Whose labels count: a copy of our labels, made by a tenant where this module makes no Services, is nobody of ours."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_module.cluster.homes import Homes
from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.state.memory import Memory
from support.bench import OWNER, Bench
from support.fake_cluster import FakeCluster

WEB: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}
NO_WRITES_IN_EVIL = frozenset((f"{verb} evil", "services") for verb in ("create", "patch", "delete"))


def labels(exposure: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": OWNER,
        "edge-expose.io/exposure": exposure,
    }


def look_alike(bench: Bench, exposure: str, namespace: str = "evil", name: str = "copy", **spec: Any) -> None:
    bench.cluster.add_service(name, {"ports": [{"port": 80}], **spec}, namespace=namespace, labels=labels(exposure))


@pytest.fixture
def bench() -> Bench:
    cluster = FakeCluster(denied=NO_WRITES_IN_EVIL)
    for namespace in ("edge1", "team-a", "team-b"):
        cluster.add_pod("w", {"app": "ws"}, namespace)
    bench = Bench(cluster)
    bench.desire({"a": WEB, "b": {**WEB, "ports": [81]}})
    bench.run()
    return bench


def test_a_look_alike_elsewhere_changes_nothing_of_a_healthy_exposure(bench: Bench) -> None:
    before = dict(bench.exposure("a"))
    look_alike(bench, "a", type="LoadBalancer")
    held = bench.cluster.address_of("copy", "evil")
    assert held, "it holds an address of the pool"
    bench.run()
    assert bench.exposure("a") == before
    assert not any("evil" in where for _, _, where in bench.cluster.writes)
    assert bench.twin.reported["summary"]["ready"] == 2
    (warning,) = bench.twin.reported["warnings"]
    assert "evil/copy" in warning


def test_an_exposure_is_made_again_beside_its_look_alike(bench: Bench) -> None:
    _, address, _ = bench.state("a")
    look_alike(bench, "a", type="LoadBalancer")
    del bench.cluster.services[("edge1", "a")]
    bench.run()
    assert bench.state("a") == ("Ready", address, None)


def test_look_alikes_elsewhere_do_not_trip_the_removal_guard(bench: Bench) -> None:
    for number in range(9):
        look_alike(bench, f"x{number}", name=f"copy{number}")
    bench.desire({"a": WEB})
    report = bench.run()
    assert report["lastDesiredStatus"]["code"] == 200
    assert "pendingRemoval" not in report
    assert set(report["exposures"]) == {"a"}
    assert ("edge1", "b") not in bench.cluster.services


def test_the_topology_calls_no_look_alike_ours(bench: Bench) -> None:
    look_alike(bench, "a", type="LoadBalancer")
    bench.run()
    observed = bench.controller.result.observed
    assert observed is not None
    assert {service.key for service in observed.ours(OWNER)} == {("edge1", "a"), ("edge1", "b")}


def test_an_exposure_of_one_team_is_not_to_be_had_from_the_namespace_of_another(bench: Bench) -> None:
    document = {"a": {**WEB, "namespace": "team-a"}, "b": {**WEB, "ports": [81], "namespace": "team-b"}}
    bench.desire(document)
    bench.run(5)
    before = dict(bench.exposure("b"))
    assert before["state"] == "Ready"
    look_alike(bench, "b", "team-a", "stranger", type="LoadBalancer")
    bench.run()
    assert bench.exposure("b") == before
    assert ("team-a", "stranger") in bench.cluster.services, "it is not ours to remove"


def test_what_no_document_ever_named_is_left_alone_in_our_own_namespace_too(bench: Bench) -> None:
    for number in range(4):
        look_alike(bench, f"x{number}", "edge1", f"x{number}-svc")
    bench.desire({"a": WEB})
    report = bench.run()
    assert report["lastDesiredStatus"]["code"] == 200
    assert ("edge1", "x0-svc") in bench.cluster.services
    assert ("edge1", "b") not in bench.cluster.services


def test_a_copy_of_an_exposure_in_its_own_namespace_still_goes(bench: Bench) -> None:
    look_alike(bench, "a", "edge1")
    bench.run()
    assert ("edge1", "copy") not in bench.cluster.services


def test_a_changed_exposure_label_is_put_back(bench: Bench) -> None:
    bench.cluster.services[("edge1", "a")]["metadata"]["labels"]["edge-expose.io/exposure"] = "nobody"
    bench.run()
    assert bench.cluster.services[("edge1", "a")]["metadata"]["labels"]["edge-expose.io/exposure"] == "a"
    assert bench.state("a")[0] == "Ready"


@pytest.mark.parametrize("kill", ["nothing", "kill", "new disk"])
def test_a_withdrawn_exposure_of_another_namespace_goes(bench: Bench, kill: str) -> None:
    bench.desire({"a": WEB, "b": {**WEB, "ports": [81], "namespace": "team-a"}})
    bench.run(5)
    assert ("team-a", "b") in bench.cluster.services
    if kill != "nothing":
        bench.restart(keep_disk=kill == "kill")
    bench.desire({"a": WEB})
    bench.run()
    assert ("team-a", "b") not in bench.cluster.services
    assert not bench.controller._keeper.memory.homes.get("b"), "and is forgotten then"


def test_a_move_to_another_site_namespace_keeps_address_and_leaves_nothing_behind(bench: Bench) -> None:
    _, address, _ = bench.state("a")
    bench.restart()
    bench.desire({"a": WEB}, site={"namespace": "team-a"})
    bench.run(6)
    assert bench.state("a") == ("Ready", address, None)
    assert {key for key in bench.cluster.services if key[0] != "evil"} == {("team-a", "a")}


def test_a_namespace_that_cannot_be_read_for_a_while_is_not_forgotten(bench: Bench) -> None:
    bench.desire({"a": WEB, "b": {**WEB, "ports": [81], "namespace": "team-a"}})
    bench.run(5)
    bench.cluster.denied = frozenset({("list None", "services"), ("list team-a", "services")})
    bench.desire({"a": WEB})
    bench.run()
    assert bench.controller._keeper.memory.homes["b"] == ("team-a",)
    bench.cluster.denied = frozenset()
    bench.later(minutes=10)
    bench.restart()
    bench.run()
    assert ("team-a", "b") not in bench.cluster.services


def test_an_endpoint_slice_with_our_labels_is_no_more_ours_than_a_service(bench: Bench) -> None:
    body = {
        "kind": "EndpointSlice",
        "metadata": {"name": "copy", "namespace": "edge1", "labels": labels("unheard-of")},
        "endpoints": [],
    }
    bench.cluster.companions[("EndpointSlice", "edge1", "copy")] = body
    bench.run()
    assert ("EndpointSlice", "edge1", "copy") in bench.cluster.companions


def test_a_state_file_of_an_older_release_believes_labels_where_this_module_works() -> None:
    service = ObservedService.of({"metadata": {"name": "b", "namespace": "team-a", "labels": labels("b")}})
    older = Homes(frozenset({"edge1"}), {"a": frozenset({"team-a"})})
    assert older.has(service)
    assert not Homes(frozenset({"edge1"}), {"a": frozenset({"team-a"})}, complete=True).has(service)
    assert not Memory.from_json({"format": 1}).knows_homes


def test_a_report_of_an_older_release_says_nothing_of_where_we_work() -> None:
    reported = {"exposures": {"x": {"state": "Blocked", "service": "evil/copy"}}}
    assert Memory(document={}).learn_reported(reported).homes == {}
    assert Memory().learn_reported(reported).homes == {"x": ("evil",)}
