"""Two people and one form, a form and its plan, and a hub that fails: nothing that was typed is lost or undone."""

from __future__ import annotations

import html
import re

import pytest

from edge_expose_cloud.hub.api import HubError, HubProblem
from edge_expose_contract.identity import MODULE_ID
from support.cloud import SHOP_FORM as NEW

from .conftest import Form

EDIT = "/devices/d1/exposures/web-out/edit"
CHANGED = "Someone else changed this in the meantime"


def patch(world, exposure: dict | None, name: str = "web-out") -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {name: exposure}}, "*")


def change_this(browser, plan):
    """Presses the plan's other button."""
    action = re.search(r'formaction="([^"]+)"', plan.text)
    wish = re.search(r'name="change" value="([^"]*)"', plan.text)
    return browser.change(action[1], change=html.unescape(wish[1]))


def fields_of_page(page) -> dict[str, str]:
    return {key: value for key, value in Form.of(page.text).fields.items() if key not in ("csrf", "base")}


def test_the_second_of_two_editors_is_asked_to_look_again_and_undoes_nothing(world, ada) -> None:
    bob = world.browser("bob")
    mine, theirs = ada.get(EDIT), bob.get(EDIT)
    bob.apply(bob.fill(theirs, allow_from="10.1.0.0/16", hostname="bobs.x.example"))
    again = ada.fill(mine, hostname="adas.x.example", out1="9443", in1="443")
    assert again.status_code == 409
    assert CHANGED in again.text
    assert "was made by <b>bob</b>" in again.text
    assert '<th scope="row">allowFrom</th><td>–</td><td>10.1.0.0/16</td>' in again.text
    ada.apply(ada.fill(again))
    assert world.desired()["exposures"]["web-out"] == {
        "module": "web",
        "ports": ["8080:80", "9443:443/tcp"],
        "address": "10.0.0.11",
        "allowFrom": ["10.1.0.0/16"],
        "hostname": "adas.x.example",
    }


def test_a_change_between_plan_and_apply_leads_to_the_form_again(world, ada) -> None:
    plan = ada.fill(ada.get(EDIT), hostname="adas.x.example")
    patch(world, {"allowFrom": ["10.1.0.0/16"]})
    again = ada.client.post(
        "/devices/d1/apply", data=hidden(ada, plan), headers={"Origin": "http://127.0.0.1:8480"}, follow_redirects=False
    )
    assert again.status_code == 409
    assert CHANGED in again.text
    assert fields_of_page(again)["hostname"] == "adas.x.example"
    assert fields_of_page(again)["allow_from"] == "10.1.0.0/16"
    assert "hostname" not in world.desired()["exposures"]["web-out"]


def hidden(browser, plan) -> dict[str, str]:
    found = re.findall(r'<input type="hidden" name="(change|digest)" value="([^"]*)"', plan.text)
    return {"csrf": browser.csrf, **{key: html.unescape(value) for key, value in found}}


def test_an_exposure_that_was_removed_meanwhile_is_said_so_and_may_be_made_anew(world, ada) -> None:
    form = ada.get(EDIT)
    patch(world, None)
    again = ada.fill(form, hostname="adas.x.example")
    assert again.status_code == 409
    assert CHANGED in again.text
    assert "Expose an app" in again.text
    ada.apply(ada.fill(again))
    assert world.desired()["exposures"]["web-out"]["hostname"] == "adas.x.example"


def test_a_name_that_somebody_took_between_plan_and_apply_is_not_overwritten(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    patch(world, {"module": "database", "ports": [1]}, "shop")
    answer = ada.change("/devices/d1/apply", **hidden(ada, plan))
    assert answer.status_code == 422
    assert "already exists" in answer.text
    assert fields_of_page(answer)["out0"] == "8443"
    assert world.desired()["exposures"]["shop"] == {"module": "database", "ports": [1]}


def test_an_exposure_that_is_no_longer_valid_is_left_to_a_look_of_its_own(world, ada) -> None:
    form = ada.get(EDIT)
    patch(world, {"ports": "nonsense"})
    again = ada.fill(form, hostname="adas.x.example")
    assert again.status_code == 409
    assert "nonsense" in again.text


def test_ranges_that_two_people_change_are_merged_key_by_key(world, ada) -> None:
    form = ada.get("/devices/d1/network")
    reserved = {"reserved": {"camera": "10.0.0.19"}, "nodeIPs": "10.0.0.1-10.0.0.3"}
    world.hub.patch_module_twin("d1", MODULE_ID, {"site": reserved}, "*")
    again = ada.fill(form, external="10.0.0.10-10.0.0.30", who1="door", reserved1="10.0.0.18")
    assert again.status_code == 409
    assert CHANGED in again.text
    ada.apply(ada.fill(again))
    assert world.desired()["site"] == {
        "externalServiceIPs": "10.0.0.10-10.0.0.30",
        "nodeIPs": "10.0.0.1-10.0.0.3",
        "reserved": {"edgehub": "10.0.0.10", "camera": "10.0.0.19", "door": "10.0.0.18"},
    }


def test_a_change_of_another_exposure_asks_nobody_to_look_again(world, ada) -> None:
    form = ada.get(EDIT)
    patch(world, {"hostname": "db.x.example"}, "db")
    assert ada.fill(form, out0="8081").status_code == 200


@pytest.mark.parametrize("base", ["[]", "{", "nul", '"x"', "[" * 20_000])
def test_a_base_that_was_tampered_with_is_refused(ada, base) -> None:
    for path in (EDIT, "/devices/d1/network"):
        assert ada.fill(ada.get(path), base=base).status_code == 409


def test_a_plan_leads_back_to_the_form_as_it_was_filled(world, ada) -> None:
    typed = {"name": "shop", "module": "web", "out0": "8443", "in0": "443", "hostname": "shop.x.example"}
    plan = ada.fill(ada.get("/devices/d1/expose"), **typed)
    assert 'class="button quiet" href="/devices/d1">Cancel' in plan.text, "there is no page of it yet"
    form = change_this(ada, plan)
    assert form.status_code == 200
    assert {key: fields_of_page(form)[key] for key in typed} == typed
    ada.apply(ada.fill(form, out0="9443"))
    assert world.desired()["exposures"]["shop"]["ports"] == ["9443:443/tcp"]


def test_a_plan_of_ranges_leads_back_to_its_form_and_a_removal_has_none(ada) -> None:
    plan = ada.fill(ada.get("/devices/d1/network"), external="10.0.0.10-10.0.0.30")
    assert fields_of_page(change_this(ada, plan))["external"] == "10.0.0.10-10.0.0.30"
    removal = ada.change("/devices/d1/plan", kind="remove", name="web-out")
    assert "Back to the form" not in removal.text
    assert ada.change("/devices/d1/change", **hidden(ada, removal)).status_code == 409


def fails(world, *calls: str) -> None:
    def away(call: str) -> None:
        if not calls or call in calls:
            raise HubError(HubProblem.UNAVAILABLE, "the hub answered 503")

    world.hub.before = away


@pytest.mark.parametrize("calls", [(), ("patch_module_twin",)], ids=["nothing works", "it may be read only"])
def test_a_plan_that_the_hub_fails_is_kept_and_tried_again(world, ada, calls) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    token = hidden(ada, plan)
    fails(world, *calls)
    kept = ada.post("/devices/d1/apply", token)
    assert kept.status_code == 502
    assert "the hub answered 503" in kept.text
    assert "Service d1/shop" in kept.text
    assert "Try again" in kept.text
    world.hub.before = None
    world.portal.reading.health.worked()
    assert ada.post("/devices/d1/apply", hidden(ada, kept)).status_code == 303
    assert "shop" in world.desired()["exposures"]


def test_while_the_hub_fails_only_the_plan_that_was_shown_is_kept(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    fields = {**hidden(ada, plan), "digest": "0" * 64}
    fails(world)
    answer = ada.post("/devices/d1/apply", fields)
    assert answer.status_code == 502
    assert "Service d1/shop" not in answer.text


@pytest.mark.parametrize("path", ["/devices/d1/expose", "/devices/d1/network"])
def test_a_form_that_the_hub_fails_is_kept_as_it_was_typed(world, ada, path) -> None:
    page, typed = ada.get(path), {**NEW, "name": "typed", "external": "10.0.0.10-10.0.0.31"}
    fails(world)
    answer = ada.fill(page, **typed)
    assert answer.status_code == 502
    assert "the hub answered 503" in answer.text
    assert {"typed", "10.0.0.10-10.0.0.31"} & set(fields_of_page(answer).values())
