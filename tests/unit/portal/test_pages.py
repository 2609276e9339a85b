"""Every page answers, every action works as a plain form, and what is applied is what was shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from edge_expose_cloud.hub.api import Deployment, HubError, HubProblem, MethodResult
from edge_expose_cloud.hub.authorship import without_change
from edge_expose_contract.identity import MODULE_ID
from support.cloud import HELD_BACK, READY
from support.cloud import SHOP_FORM as NEW
from support.fake_hub import FakeHub

from .conftest import BASE, Form

PAGES = [
    "/devices",
    "/devices?q=d1&show=ready&tag=site%3Dnorth&page=1",
    "/fragments/fleet",
    "/devices/d1",
    "/devices/d1/fragments/state",
    "/devices/d1/exposures/web-out",
    "/devices/d1/exposures/web-out/fragment",
    "/devices/d1/exposures/web-out/checks",
    "/devices/d1/who-wins",
    "/devices/d1/history",
    "/devices/d1/twin",
    "/devices/d1/spec.yaml",
]
FORMS = [
    "/devices/d1/expose",
    "/devices/d1/expose?preset=rtsp&module=web&address=10.0.0.12",
    "/devices/d1/exposures/web-out/edit",
    "/devices/d1/network",
]


@pytest.mark.parametrize("path", PAGES)
def test_a_viewer_sees_the_page(vic, path) -> None:
    assert vic.get(path).status_code == 200


@pytest.mark.parametrize("path", FORMS)
def test_an_operator_gets_the_form_and_a_viewer_does_not(ada, vic, path) -> None:
    assert ada.get(path).status_code == 200
    assert vic.get(path).status_code == 403


@pytest.mark.parametrize("path", [*PAGES, *FORMS, "/events", "/api/devices", "/api/openapi.json"])
def test_nobody_sees_anything_without_signing_in(world, path) -> None:
    answer = world.browser().get(path)
    assert answer.status_code in (303, 401)
    assert "d1" not in answer.text


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


def test_expose_plan_apply_edit_disable_enable_and_remove(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    assert "Service d1/shop" in plan.text
    assert "shop" not in world.desired()["exposures"], "a plan sends nothing"
    done = ada.apply(plan)
    assert (done.status_code, done.headers["location"]) == (303, "/devices/d1/exposures/shop?follow=1")
    assert world.desired()["exposures"]["shop"] == {"module": "web", "ports": ["8443:443/tcp"], "address": "10.0.0.14"}

    form = ada.get("/devices/d1/exposures/shop/edit")
    edited = ada.fill(form, address_mode="auto", hostname="shop.x.example")
    ada.apply(edited)
    assert world.desired()["exposures"]["shop"] == {
        "module": "web",
        "ports": ["8443:443/tcp"],
        "hostname": "shop.x.example",
    }

    ada.apply(ada.change("/devices/d1/plan", kind="disable", name="shop"))
    assert world.desired()["exposures"]["shop"]["enabled"] is False
    ada.apply(ada.change("/devices/d1/plan", kind="enable", name="shop"))
    assert world.desired()["exposures"]["shop"].get("enabled", True) is True

    removal = ada.change("/devices/d1/plan", kind="remove", name="web-out")
    assert "10.0.0.11:8080/tcp stops answering" in removal.text
    ada.apply(removal)
    assert "web-out" not in world.desired()["exposures"]
    assert world.audit().count('"action": "expose"') == 2


def test_an_edit_keeps_every_port_as_it_is_written_however_many_there_are(world, ada) -> None:
    ports: list = [f"{9000 + number}:80" for number in range(40)] + [5432, "6000-6005/udp", {"port": 7000, "name": "x"}]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    plan = ada.fill(ada.get("/devices/d1/exposures/web-out/edit"), hostname="shop.x.example")
    assert "spec.ports" not in plan.text
    assert "stops answering" not in plan.text
    ada.apply(plan)
    assert world.desired()["exposures"]["web-out"]["ports"] == ports
    assert world.desired()["exposures"]["web-out"]["hostname"] == "shop.x.example"


def test_a_plan_names_the_one_port_of_many_that_an_edit_closes(world, ada) -> None:
    ports = [f"{9000 + number}:80/tcp" for number in range(40)]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    plan = ada.fill(ada.get("/devices/d1/exposures/web-out/edit"), out39="", in39="")
    assert "<td>9039:80/tcp, and 39 more that stay</td><td>and 39 more that stay</td>" in plan.text
    assert "10.0.0.11:9039/tcp stops answering" in plan.text
    assert plan.text.count("stops answering") == 1


def test_an_exposure_with_more_ports_than_a_form_holds_is_not_edited_in_one(world, ada) -> None:
    ports = [str(9000 + number) for number in range(301)]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    answer = ada.get("/devices/d1/exposures/web-out/edit")
    assert answer.status_code == 409
    assert "301 entries of ports" in answer.text


def test_a_removal_that_the_device_holds_back_is_confirmed_with_a_button(world, ada, vic) -> None:
    world.hub.report(
        "d1",
        "edge-expose",
        {**READY, "lastDesiredStatus": HELD_BACK, "pendingRemoval": {"count": 4, "token": "t0ken"}},
    )
    assert "Confirm the removal of 4 exposures" in ada.get("/devices/d1").text
    assert "Confirm the removal" not in vic.get("/devices/d1").text
    plan = ada.change("/devices/d1/plan", kind="release")
    assert "4 exposures that run now are removed" in plan.text
    assert ada.apply(plan).status_code == 409, "a box has to be ticked"
    assert "confirmRemoval" not in world.desired()
    ada.apply(plan, **{"allow-removals": "4"})
    assert world.desired()["confirmRemoval"] == "t0ken"
    assert '"action": "release"' in world.audit()


def test_history_brings_back_what_was_there(world, ada) -> None:
    before = without_change(world.desired())
    ada.apply(ada.change("/devices/d1/plan", kind="remove", name="web-out"))
    page = ada.get("/devices/d1/history").text
    assert "bring back web-out" in page
    name = next((world.folder / "backups").iterdir()).name
    ada.apply(ada.change("/devices/d1/plan", kind="revert", name=name))
    assert without_change(world.desired()) == before


def test_what_is_applied_says_who_did_it_and_why(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    assert "Why (optional)" in plan.text
    assert ada.apply(plan, note=" ticket 7 ").status_code == 303
    change = world.desired()["change"]
    assert (change["by"], change["note"]) == ("ada@portal", "ticket 7")


def test_a_note_that_is_too_long_sends_nothing_and_is_kept_in_the_form(world, ada) -> None:
    before = world.desired()
    refused = ada.apply(ada.change("/devices/d1/expose", **NEW), note="n" * 513)
    assert refused.status_code == 409
    assert "longer than 512 bytes" in refused.text
    assert "n" * 513 in refused.text
    assert world.desired() == before


def test_a_change_that_has_nothing_to_do_with_the_plan_does_not_make_it_stale(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"db": None}}, "*")
    assert ada.apply(plan).status_code == 303
    assert "shop" in world.desired()["exposures"]
    assert "db" not in world.desired()["exposures"]


def test_a_hub_that_moved_since_the_plan_gets_nothing(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    world.hub.patch_module_twin("d1", MODULE_ID, {"site": {"namespace": "elsewhere"}}, "*")
    refused = ada.apply(plan)
    assert refused.status_code == 409
    assert "the plan has changed since it was approved" in refused.text
    assert "shop" not in world.desired()["exposures"]
    assert ada.apply(type(refused)(200, text=refused.text)).status_code == 303, (
        "the new plan is shown and can be applied"
    )


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"address": "10.0.0.99"}, "10.0.0.99"),
        ({"address": "10.0.0.10"}, "edgehub"),
        ({"address": "10.0.0.1"}, "10.0.0.1"),
        ({"address": "not an ip"}, "is not an IP address"),
        ({"out0": "99999"}, "65535"),
        ({"out0": "", "in0": ""}, "no port is given"),
        ({"name": "Shop!"}, "Shop!"),
        ({"name": "db"}, "there is an exposure"),
        ({"module": ""}, "nothing to expose is chosen"),
        ({"allow_from": "10.1.0.1/16"}, "10.1.0.0/16"),
        ({"probe": "ping"}, "is not a probe"),
        ({"address": "10.0.0.11", "out0": "8080"}, "10.0.0.11"),
    ],
)
def test_what_the_command_line_would_refuse_is_refused_in_the_form_and_as_you_type(world, ada, fields, says) -> None:
    before = world.desired()
    answer = ada.change("/devices/d1/expose", **{**NEW, **fields})
    assert answer.status_code == 422
    assert says in answer.text.replace("&#34;", '"').replace("&#39;", "'")
    typed = ada.change("/devices/d1/check", **{**NEW, **fields})
    assert says in typed.text.replace("&#34;", '"').replace("&#39;", "'")
    assert world.desired() == before


def test_checking_as_you_type_costs_the_hub_little(world, ada) -> None:
    ada.change("/devices/d1/check", **NEW)
    before = len(world.hub.calls)
    for _ in range(10):
        assert "Service d1/shop" in ada.change("/devices/d1/check", **NEW).text
    assert len(world.hub.calls) == before, world.hub.calls[before:]


def test_ranges_are_planned_with_what_they_move_and_need_a_stronger_word(world, ada) -> None:
    fields = {"external": "10.0.0.15-10.0.0.20", "nodes": "10.0.0.1-10.0.0.2"}
    refused = ada.ranges(**fields)
    assert refused.status_code == 422, "web-out pins an address outside"
    plan = ada.ranges(
        external="10.0.0.10-10.0.0.30",
        nodes="10.0.0.1-10.0.0.2",
        who0="edgehub",
        reserved0="10.0.0.10",
    )
    ada.apply(plan)
    assert world.desired()["site"]["externalServiceIPs"] == "10.0.0.10-10.0.0.30"
    assert world.desired()["site"]["reserved"] == {"edgehub": "10.0.0.10"}


def test_a_range_that_loses_a_held_address_says_so_and_waits_for_the_word(world, ada) -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"address": None}}}, "*")
    fields = {"external": "10.0.0.15-10.0.0.20", "nodes": "10.0.0.1-10.0.0.2"}
    plan = ada.ranges(**fields)
    assert "web-out loses 10.0.0.11" in plan.text
    assert ada.apply(plan).status_code == 409
    assert ada.apply(ada.ranges(**fields), **{"allow-moves": "1"}).status_code == 303


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


def test_a_device_that_does_not_exist_and_a_hub_that_is_away_are_said_in_words(world, ada) -> None:
    missing = ada.get("/devices/nothing-here")
    assert missing.status_code == 404
    assert "is not registered" in missing.text
    for page in (missing, ada.get("/no/such/page")):
        assert "<title>Not found" in page.text
        assert "did not work" not in page.text

    def away(call: str) -> None:
        raise HubError(HubProblem.UNREACHABLE, "the hub cannot be reached")

    world.hub.before = away
    gone = ada.get("/devices/d1")
    assert gone.status_code == 502
    assert "the hub cannot be reached" in gone.text


@pytest.mark.parametrize("path", [path for path in [*PAGES, *FORMS] if "/d1" in path])
def test_every_page_of_a_device_that_does_not_exist_is_not_found(ada, path) -> None:
    answer = ada.get(path.replace("/d1", "/nothing-here"))
    assert answer.status_code == 404
    assert "is not registered" in answer.text


def test_the_spec_that_is_downloaded_holds_references_instead_of_values(world, ada) -> None:
    agent = world.hub.twins["d1", "$edgeAgent"]
    agent.desired["modules"]["web"]["env"] = {"TOKEN": {"value": "s3cret-value"}}
    agent.desired["runtime"]["settings"]["registryCredentials"] = {
        "acme": {"address": "r.example.com", "username": "acme", "password": "p4ssw0rd-value"}
    }
    text = ada.get("/devices/d1/spec.yaml").text
    assert "_TOKEN}" in text
    for path in PAGES:
        page = ada.get(path).text
        assert "s3cret-value" not in page, path
        assert "p4ssw0rd-value" not in page, path


def test_the_spec_that_is_downloaded_shows_nothing_of_what_it_only_keeps(world, ada) -> None:
    world.hub.add_module("d1", "left-over", {"apiKey": "hunter9"})
    text = ada.get("/devices/d1/spec.yaml").text
    assert "left-over" in text
    assert "hunter9" not in text


def test_the_first_page_is_small(world) -> None:
    import gzip
    import re

    browser = world.browser()
    page = browser.get("/sign-in")
    size = len(gzip.compress(page.content))
    for asset in re.findall(r'(?:href|src)="(/static/[^"]+)"', page.text):
        answer = browser.get(asset)
        assert answer.status_code == 200
        size += len(gzip.compress(answer.content))
    assert size < 40_000, f"{size} bytes"


def test_api_and_pages_speak_of_the_same_device(world, ada) -> None:
    body = ada.get("/api/devices/d1").json()
    assert body["status"]["exposures"]["web-out"]["address"] == "10.0.0.11"
    assert {cell["address"]: cell["kind"] for cell in body["addresses"]}["10.0.0.11"] == "pinned"
    headers = world.bearer()
    wanted = {"exposure": {"module": "web", "ports": ["9000:80"]}}
    shown = ada.client.put("/api/devices/d1/exposures/api-made?dryRun=true", json=wanted, headers=headers).json()
    assert "api-made" not in world.desired()["exposures"]
    done = ada.client.put(
        "/api/devices/d1/exposures/api-made", json={**wanted, "digest": shown["digest"]}, headers=headers
    )
    assert done.json()["applied"] is True
    assert world.desired()["exposures"]["api-made"] == {"module": "web", "ports": ["9000:80"]}
    assert ada.client.delete("/api/devices/d1/exposures/api-made", headers=headers).status_code == 200
    assert ada.client.delete("/api/devices/d1/exposures/api-made", headers=headers).status_code == 404
    bad = {"device": "d1", "name": "x", "exposure": {"module": "web", "ports": ["70000"]}}
    assert ada.client.post("/api/validate", json=bad, headers=headers).json()["violations"]
    assert json.loads(ada.get("/api/openapi.json").text)["paths"]["/api/devices/{device}"]


LATE = {"module": "web", "ports": ["9000:80"]}
UNMADE = {"state": "Blocked", "reason": "PoolExhausted", "message": "no address is free", "service": "d1/late"}


def test_a_service_that_was_never_made_is_neither_named_nor_removed(world, ada) -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"late": LATE}}, "*")
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": {**READY["exposures"], "late": UNMADE}})
    for path in ("/devices/d1", "/devices/d1/exposures/late"):
        text = ada.get(path).text
        assert "late.d1.svc.cluster.local" not in text
        assert "d1/late" not in text
    page = ada.get("/devices/d1").text
    assert 'class="hop svc broken"' in page
    assert "no Service" in page
    removal = ada.change("/devices/d1/plan", kind="remove", name="late")
    assert "Service d1/late" not in removal.text
    assert "no longer resolves" not in removal.text
    other = ada.change("/devices/d1/plan", kind="remove", name="db")
    assert "Service d1/late" not in other.text, "the plan of another exposure does not make it either"
    edited = ada.fill(ada.get("/devices/d1/exposures/late/edit"), address_mode="fixed", address="10.0.0.14")
    assert "Service d1/late</b> is created" in edited.text


def test_a_service_that_is_blocked_but_still_there_is_named(world, ada) -> None:
    still = {**UNMADE, "address": "10.0.0.12", "endpoints": 1}
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"late": LATE}}, "*")
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": {**READY["exposures"], "late": still}})
    assert "late.d1.svc.cluster.local" in ada.get("/devices/d1").text
    assert "Service d1/late" in ada.change("/devices/d1/plan", kind="remove", name="late").text


def test_another_preset_drops_nothing_that_was_typed(ada) -> None:
    page = ada.get("/devices/d1/expose?preset=web")
    typed = {**Form.of(page.text).fields, "name": "mine", "module": "web", "allow_from": "10.1.0.0/16", "out1": "9000"}
    answer = ada.post("/devices/d1/expose/preset", {**typed, "in1": "9000", "hostname": "x.example.com", "to": "rtsp"})
    assert answer.status_code == 200
    now = Form.of(answer.text).fields
    kept = {key: now[key] for key in ("name", "module", "allow_from", "hostname")}
    assert kept == {"name": "mine", "module": "web", "allow_from": "10.1.0.0/16", "hostname": "x.example.com"}
    assert (now["out0"], now["out1"]) == ("8080", "9000"), "rows that somebody changed stay as they are"
    assert now["probe"] == "", "the health check was the preset's"
    untouched = ada.post("/devices/d1/expose/preset", {**Form.of(page.text).fields, "to": "rtsp"})
    fresh = Form.of(untouched.text).fields
    assert (fresh["name"], fresh["out0"], fresh["proto1"]) == ("camera", "554", "UDP")


def test_a_plan_has_a_url_of_its_own_and_a_way_back_to_its_form(ada, world) -> None:
    asked = ada.client.post(
        "/devices/d1/expose",
        data={"csrf": ada.csrf, **NEW},
        headers={"Origin": BASE},
        follow_redirects=False,
    )
    place = asked.headers["location"]
    assert (asked.status_code, place.startswith("/devices/d1/plans/")) == (303, True)
    for _ in range(2):
        page = ada.get(place)
        assert (page.status_code, "What will happen on d1" in page.text) == (200, True)
    back = ada.change("/devices/d1/change", change=Form.of(page.text, "actions").fields["change"])
    assert Form.of(back.text).fields["name"] == NEW["name"]
    assert "patch_module_twin" not in world.hub.calls
    assert ada.get(place.replace("/d1/", "/d2/")).status_code == 404, "a plan is of one device"
    assert ada.get("/devices/d1/plans/nosuch").status_code == 404
    assert world.browser("vic", "viewer").get(place).status_code == 403


def test_who_wins_on_a_device_without_the_module_says_what_to_do(world, ada) -> None:
    world.hub.add_device("bare")
    page = ada.get("/devices/bare/who-wins")
    assert page.status_code == 200
    assert "edge-expose apply SPEC.yaml" in page.text
    assert 'href="/devices/bare/history"' in page.text
    assert ada.get("/devices/nothing-here/who-wins").status_code == 404


@pytest.mark.parametrize("path", [*PAGES, "/", "/sign-in", "/api/devices/d1", "/static/portal.js", "/devices/no"])
def test_head_answers_like_get_without_a_body(ada, path) -> None:
    get, head = ada.get(path), ada.client.head(path, follow_redirects=False)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")
    assert head.headers["content-security-policy"]


def test_head_never_opens_the_endless_stream(ada) -> None:
    assert ada.client.head("/events").status_code == 405


def test_an_error_stands_once_at_its_field_and_the_summary_leads_there(ada) -> None:
    page = ada.change("/devices/d1/expose", **{**NEW, "address": "10.0.0.99"}).text
    assert page.count("10.0.0.99 is outside") == 1
    assert '<a href="#address">External service IP</a>' in page
    assert "data-refused" in page
    hidden = {"address_mode": "auto", "probe": "ping", "open_for": "until", "expires": "soon"}
    page = ada.change("/devices/d1/expose", **{**NEW, **hidden}).text
    assert '<a href="#probe">Health check</a>' in page
    assert page.count("is not an RFC 3339 time") == 1, "what has no field on the screen is said in full"
    assert "<details open>" in page


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
