"""What the pages of one device show: exposures, map, owners, twin, connection tests."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from edge_expose_cloud.hub.api import Deployment, MethodResult
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.reason_table import REASON_TABLE
from support.cloud import READY, SHOP_FORM
from support.fake_hub import FakeHub


def test_the_device_page_says_what_is_there(ada) -> None:
    text = ada.get("/devices/d1").text
    for part in (
        "web-out",
        "10.0.0.11:8080",
        "db.d1.svc.cluster.local",
        "reserved (edgehub)",
        "a/web:1",
    ):
        assert part in text
    assert 'href="http://10.0.0.11:8080/"' not in text, "nobody said that it speaks HTTP"
    assert "not tested" in text


def owned(hub: FakeHub, *names: str) -> None:
    keys = [f"properties.desired.exposures.{name}" for name in names or ("web-out",)]
    content = {"modulesContent": {MODULE_ID: {key: {"module": "web", "ports": [80]} for key in keys}}}
    hub.create_deployment(Deployment("north-layer", content, "tags.site='north'", 10))
    hub.target("north-layer", "d1")


def test_what_a_deployment_owns_is_shown_with_its_owner_and_not_editable(world, ada) -> None:
    form = ada.get("/devices/d1/exposures/web-out/edit")
    owned(world.hub)
    world.portal.for_change.deployments()  # as the next plan would read them
    world.portal.reading.forget("d1")
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
    wins = ada.get("/devices/d1/ownership").text
    assert "will be overwritten" in wins


@pytest.mark.parametrize("kind", ["remove", "disable"])
def test_a_deployment_that_is_newer_than_the_page_is_asked_before_a_change(world, ada, kind) -> None:
    """Pages may show the list of deployments from memory; a plan and its application may not."""
    form, early = ada.get("/devices/d1/exposures/web-out/edit"), ada.change("/devices/d1/plan", kind=kind, name="db")
    ada.get("/devices/d1/ownership")
    before = world.desired()
    owned(world.hub, "web-out", "db")
    program = {"headers": world.bearer()}
    path = "/api/devices/d1/exposures/web-out"
    body = {"exposure": {"module": "web", "ports": ["8081:80"]}}
    for answer in (
        ada.change("/devices/d1/plan", kind=kind, name="web-out"),
        ada.fill(form, out0="8081"),
        ada.apply(early),
        ada.client.put(path, json=body, **program),
        ada.client.put(f"{path}?dryRun=true", json=body, **program),
        ada.client.delete(path, **program),
    ):
        assert (answer.status_code, "north-layer" in answer.text) == (409, True), answer.text[:2000]
    assert world.desired() == before


def test_the_spec_that_is_downloaded_shows_nothing_of_what_it_only_keeps(world, ada) -> None:
    world.hub.add_module("d1", "left-over", {"apiKey": "hunter9"})
    text = ada.get("/devices/d1/spec.yaml").text
    assert "left-over" in text
    assert "hunter9" not in text


def test_ownership_on_a_device_without_the_module_says_what_to_do(world, ada) -> None:
    world.hub.add_device("bare")
    page = ada.get("/devices/bare/ownership")
    assert page.status_code == 200
    assert "edge-expose apply SPEC.yaml" in page.text
    assert 'href="/devices/bare/history"' in page.text
    assert ada.get("/devices/nothing-here/ownership").status_code == 404


@pytest.mark.parametrize(
    ("pool", "says"),
    [
        ({"reason": "PoolMismatch"}, "It is only a copy and changes nothing on the device"),
        ({"reason": "PoolInvalid", "message": "two pools overlap"}, "rejects its configuration: two pools"),
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
        assert ("because the device is not connected" in page) is stale
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


def folded(text: str) -> tuple[str, str]:
    """(what a page shows at once, what is folded away as codes)."""
    fold = re.compile(r'<details class="codes">.*?</details>', re.DOTALL)
    return fold.sub("", text), " ".join(fold.findall(text))


def test_why_an_exposure_is_blocked_is_said_in_words_and_its_code_is_folded(world, ada) -> None:
    late = {"state": "Blocked", "reason": "PoolExhausted", "service": "d1/web-out", "since": "2026-11-22T04:00:00Z"}
    for said, says in ((late, "The pool"), ({**late, "message": "no address of 3 is free"}, "no address of 3 is free")):
        world.hub.report("d1", MODULE_ID, {**READY, "exposures": {"web-out": said}})
        world.portal.reading.forget("d1")
        for path in ("/devices/d1", "/devices/d1/exposures/web-out"):
            shown, codes = folded(ada.get(path).text)
            assert "PoolExhausted" not in shown, path
            assert "PoolExhausted" in codes or path == "/devices/d1"
        assert REASON_TABLE["PoolExhausted"].meaning.rstrip(".") in shown or says in shown


def test_a_reason_of_a_newer_module_that_says_nothing_else_is_shown(world, ada) -> None:
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": {"web-out": {"state": "Blocked", "reason": "BrandNew"}}})
    assert "BrandNew" in folded(ada.get("/devices/d1").text)[0]


def test_a_document_that_the_device_did_not_accept_is_said_in_words_and_its_code_is_folded(world, ada) -> None:
    status = {"code": 412, "description": "schemaVersion 2.0 is not supported"}
    world.hub.report("d1", MODULE_ID, {**READY, "lastDesiredStatus": status})
    text = ada.get("/devices/d1").text
    assert "The device did not accept its desired properties: schemaVersion 2.0 is not supported" in text
    assert '<details class="codes"><summary>Details</summary>Status code 412' in text


def test_a_mistake_in_a_form_names_its_rule_in_the_details_only(ada) -> None:
    shown, codes = folded(ada.change("/devices/d1/check", **{**SHOP_FORM, "address": "10.0.0.99"}).text)
    assert ("AddressOutsideRange" in codes, "AddressOutsideRange" in shown) == (True, False)


def test_a_cluster_that_cannot_be_read_is_named_and_its_exposures_are_last_known(world, ada) -> None:
    failed = {"code": 500, "description": "the cluster cannot be read: timed out"}
    world.hub.report("d1", MODULE_ID, {**READY, "lastDesiredStatus": failed, "cluster": {"api": "timed out"}})
    world.portal.reading.forget("d1")
    text = ada.get("/devices/d1").text
    assert "Cluster unreadable" in text
    assert "last known: Ready" in text
    assert "did not accept" not in text
    assert "last known: Ready" in ada.get("/devices/d1/exposures/web-out").text


@pytest.mark.parametrize("state", ["Ready", "Pending"])
def test_an_exposure_inside_the_cluster_whose_removal_is_held_back_is_not_drawn_as_broken(world, ada, state) -> None:
    held = {"state": state, "service": "d1/old", "endpoints": 1, "reason": "RemovalHeldBack"}
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": {**READY["exposures"], "old": held}})
    world.portal.reading.forget("d1")
    text = ada.get("/devices/d1").text
    assert "d1/old" in text or "old.d1" in text
    assert "hop lb broken" not in text
    assert ("no address" in text) is (state == "Pending")


def test_a_restore_that_is_refused_names_each_deployment_and_leads_back_to_the_device(world, ada) -> None:
    for name, keys in (("layer-a", ("db",)), ("layer-b", ("web-out",))):
        content = {f"properties.desired.exposures.{key}": {"module": "web", "ports": [80]} for key in keys}
        world.hub.create_deployment(Deployment(name, {"modulesContent": {MODULE_ID: content}}, "*", 10))
    ada.apply(ada.change("/devices/d1/plan", kind="remove", name="web-out"))
    ada.apply(ada.change("/devices/d1/plan", kind="remove", name="db"))
    name = min((world.folder / "backups").iterdir()).name
    world.hub.target("layer-a", "d1")
    world.hub.target("layer-b", "d1")
    answer = ada.change("/devices/d1/plan", kind="revert", name=name)
    assert answer.status_code == 409
    assert "exposures.db is set by the deployment layer-a; exposures.web-out is set by the deployment layer-b" in (
        answer.text
    )
    assert 'href="/devices/d1"' in answer.text
