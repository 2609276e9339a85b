"""What the pages of one device show: exposures, map, owners, twin, connection tests."""

from __future__ import annotations

from dataclasses import replace

import pytest

from edge_expose_cloud.hub.api import Deployment, MethodResult
from edge_expose_contract.identity import MODULE_ID
from support.cloud import READY
from support.fake_hub import FakeHub


def test_the_device_page_says_what_is_there(ada) -> None:
    text = ada.get("/devices/d1").text
    for part in (
        "web-out",
        "10.0.0.11:8080",
        "db.d1.svc.cluster.local",
        "reserved for somebody else (edgehub)",
        "a/web:1",
    ):
        assert part in text
    assert 'href="http://10.0.0.11:8080/"' not in text, "nobody said that it speaks HTTP"
    assert "not tested" in text


def owned(hub: FakeHub) -> None:
    content = {
        "modulesContent": {MODULE_ID: {"properties.desired.exposures.web-out": {"module": "web", "ports": [80]}}}
    }
    hub.create_deployment(Deployment("north-layer", content, "tags.site='north'", 10))
    hub.target("north-layer", "d1")


def test_what_a_deployment_owns_is_shown_with_its_owner_and_not_editable(world, ada) -> None:
    form = ada.get("/devices/d1/exposures/web-out/edit")
    owned(world.hub)
    world.portal.reading._kept.clear()
    page = ada.get("/devices/d1/exposures/web-out").text
    assert "north-layer" in page
    assert "/edit" not in page
    assert 'value="remove"' not in page
    for answer in (
        ada.get("/devices/d1/exposures/web-out/edit"),
        ada.change("/devices/d1/plan", kind="remove", name="web-out"),
        ada.fill(form, out0="8081"),
    ):
        assert answer.status_code == 409
        assert "north-layer" in answer.text
    wins = ada.get("/devices/d1/who-wins").text
    assert "will be overwritten" in wins


def test_the_spec_that_is_downloaded_shows_nothing_of_what_it_only_keeps(world, ada) -> None:
    world.hub.add_module("d1", "left-over", {"apiKey": "hunter9"})
    text = ada.get("/devices/d1/spec.yaml").text
    assert "left-over" in text
    assert "hunter9" not in text


def test_who_wins_on_a_device_without_the_module_says_what_to_do(world, ada) -> None:
    world.hub.add_device("bare")
    page = ada.get("/devices/bare/who-wins")
    assert page.status_code == 200
    assert "edge-expose apply SPEC.yaml" in page.text
    assert 'href="/devices/bare/history"' in page.text
    assert ada.get("/devices/nothing-here/who-wins").status_code == 404


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        ({"reason": "PoolMismatch"}, "The copy changes nothing on the device"),
        ({"reason": "PoolInvalid", "message": "two pools overlap"}, "configuration on the device is broken: two pools"),
        ({"reason": "SomethingNew", "message": "said by a newer module"}, "said by a newer module"),
    ],
)
def test_a_reason_of_the_pool_comes_with_a_sentence(world, ada, pool, says) -> None:
    world.hub.report("d1", MODULE_ID, {**READY, "pool": {**READY["pool"], **pool}})
    assert says in ada.get("/devices/d1").text


def test_the_map_of_a_device_that_is_not_connected_is_last_known(world, ada) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    for state, stale in (("Disconnected", True), ("Connected", False)):
        world.hub.twins["d1", MODULE_ID] = replace(twin, connection_state=state)
        world.portal.reading.forget("d1")
        page = ada.get("/devices/d1").text
        assert ("The map is as last known: the device is not connected" in page) is stale
        assert ("free when last known: expose" in page) is stale
        assert ("as last known: the device" in ada.get("/devices/d1/expose").text) is stale


def many_exposures(world, count: int) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    names = [f"app-{number:03d}" for number in range(count)]
    declared = {name: {"module": "web", "ports": [f"{8000 + number}:80"]} for number, name in enumerate(names)}
    said = {name: {"state": "Ready", "address": f"10.0.1.{number % 250}"} for number, name in enumerate(names)}
    said["app-150"] = {"state": "Blocked", "reason": "AddressTaken"}
    desired = {**twin.desired, "exposures": declared}
    reported = {**twin.reported, "exposures": said}
    world.hub.twins["d1", MODULE_ID] = replace(twin, desired=desired, reported=reported)


def test_many_exposures_come_in_pages_and_are_found_and_sorted(world, ada) -> None:
    many_exposures(world, 200)
    first = ada.get("/devices/d1").text
    assert ("200 exposures, page 1 of 4" in first, "app-049" in first, ">app-050<" in first) == (True, True, False)
    assert ">app-199<" in ada.get("/devices/d1?page=4").text
    found = ada.get("/devices/d1?q=addresstaken").text
    assert (">app-150<" in found, ">app-000<" in found) == (True, False)
    by_state = ada.get("/devices/d1?sort=state").text
    assert by_state.index(">app-150<") < by_state.index(">app-000<")
    assert "No exposure matches" in ada.get("/devices/d1?q=nothing-like-it").text


def test_a_long_run_of_free_addresses_is_drawn_as_one(world, ada) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    pool = {"ranges": "10.0.0.10-10.0.0.200", "size": 191, "used": 1, "reserved": 1, "free": 189}
    world.hub.twins["d1", MODULE_ID] = replace(twin, reported={**twin.reported, "pool": pool})
    text = ada.get("/devices/d1").text
    assert "10.0.0.13 to 10.0.0.200: 188 free addresses" in text
    assert text.count('class="cell free"') == 1


def test_values_of_annotations_are_hidden_on_the_raw_twin(world, ada) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    exposures = {"web-out": {**twin.desired["exposures"]["web-out"], "annotations": ["example.com/key=s3cret-value"]}}
    world.hub.twins["d1", MODULE_ID] = replace(twin, desired={**twin.desired, "exposures": exposures})
    text = ada.get("/devices/d1/twin").text
    assert "example.com/key=***" in text
    assert "s3cret-value" not in text


def test_a_connection_test_has_its_answer_at_a_url_that_may_be_loaded_again(world, vic) -> None:
    found = {"probes": {"web-out": {"target": "10.0.0.11:8080", "ok": True, "milliseconds": 3, "detail": ""}}}
    world.hub.methods["d1", MODULE_ID, "probe"] = lambda asked: MethodResult(200, found)
    page = vic.change("/devices/d1/exposures/web-out/test")
    assert "Connection test from the device: 10.0.0.11:8080 answers in 3 ms" in page.text
    assert "Connection test" not in vic.get("/devices/d1/exposures/web-out/fragment").text, "live updates leave it"
    assert "Connection test" not in vic.get("/devices/d1/exposures/web-out?tested=nosuch").text
