"""Each change goes by a plan at a URL of its own, and what is applied is what was shown."""

from __future__ import annotations

from edge_expose_cloud.hub.authorship import without_change
from edge_expose_contract.identity import MODULE_ID
from support.cloud import HELD_BACK, READY
from support.cloud import SHOP_FORM as NEW

from .conftest import BASE, Form


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


def test_a_plan_names_the_one_port_of_many_that_an_edit_closes(world, ada) -> None:
    ports = [f"{9000 + number}:80/tcp" for number in range(40)]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    plan = ada.fill(ada.get("/devices/d1/exposures/web-out/edit"), out39="", in39="")
    assert "<td>9039:80/tcp, and 39 more that stay</td><td>and 39 more that stay</td>" in plan.text
    assert "10.0.0.11:9039/tcp stops answering" in plan.text
    assert plan.text.count("stops answering") == 1


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
    assert "add web-out" in page
    name = next((world.folder / "backups").iterdir()).name
    ada.apply(ada.change("/devices/d1/plan", kind="revert", name=name))
    assert without_change(world.desired()) == before


def test_what_is_applied_says_who_did_it_and_why(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    assert "Note (optional)" in plan.text
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
