"""Nothing that somebody typed is lost: not by the end of a session, not by a restart of the portal."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest

from support.cloud import SHOP_FORM as NEW

from .conftest import PASSWORD, Form

EDIT = "/devices/d1/exposures/web-out/edit"
RANGES = {"external": "10.0.0.10-10.0.0.30", "nodes": "10.0.0.1-10.0.0.2", "who0": "edgehub", "reserved0": "10.0.0.10"}


def sign_in(browser: Any, page: Any, name: str = "ada", password: str = PASSWORD) -> Any:
    """Fills in the sign-in page and goes on to where it leads."""
    hidden = dict(re.findall(r'<input type="hidden" name="(next|typed)" value="([^"]*)"', page.text))
    fields = {key: html.unescape(value) for key, value in hidden.items()}
    return browser.post("/sign-in", {**fields, "name": name, "password": password})


def end_session(world: Any, browser: Any) -> None:
    world.portal.sessions.end(browser.client.cookies[world.portal.cookie])


def typed_fields(page: Any) -> dict[str, str]:
    return {key: value for key, value in Form.of(page.text).fields.items() if key != "csrf"}


@pytest.mark.parametrize(
    ("form", "typed"),
    [
        pytest.param("/devices/d1/expose", NEW, id="a new exposure"),
        pytest.param(EDIT, {"hostname": "shop.x.example", "out1": "9443", "in1": "443"}, id="an edit"),
        pytest.param("/devices/d1/network", RANGES, id="the ranges"),
    ],
)
def test_a_form_that_is_sent_after_the_session_ended_is_there_after_signing_in(world, ada, form, typed) -> None:
    before, page = world.desired(), ada.get(form)
    end_session(world, ada)
    ended = ada.fill(page, **typed)
    assert ended.status_code == 401
    assert "what you typed is kept" in ended.text
    wrong = sign_in(ada, ended, password="wrong")
    assert wrong.status_code == 403
    again = sign_in(ada, wrong)
    assert again.status_code == 200, again.text
    assert {key: typed_fields(again)[key] for key in typed} == typed
    assert world.desired() == before, "it is shown, not done"
    plan = ada.fill(again)
    assert ada.apply(plan).status_code == 303, "an edit still knows what it was opened on"
    assert world.desired() != before


def test_a_preset_that_is_pressed_after_the_session_ended_keeps_what_was_typed(world, ada) -> None:
    fields = Form.of(ada.get("/devices/d1/expose").text).fields
    end_session(world, ada)
    ended = ada.post("/devices/d1/expose/preset", {**fields, "name": "mine", "to": "mqtt"})
    assert typed_fields(sign_in(ada, ended))["name"] == "mine"


def test_a_plan_that_is_applied_after_the_session_ended_is_shown_with_its_note(world, ada) -> None:
    plan = ada.change("/devices/d1/expose", **NEW)
    end_session(world, ada)
    ended = ada.fill(plan, "actions", note="ticket 7")
    assert ended.status_code == 401
    again = sign_in(ada, ended)
    assert "What will happen on d1" in again.text
    assert Form.of(again.text, "actions").fields["note"] == "ticket 7"
    assert "shop" not in world.desired()["exposures"]
    ada.fill(again, "actions")
    assert world.desired()["change"]["note"] == "ticket 7"


def test_a_button_that_is_pressed_after_the_session_ended_leads_to_its_plan(world, ada) -> None:
    fields = {"csrf": ada.csrf, "kind": "remove", "name": "web-out"}
    end_session(world, ada)
    assert "Remove web-out" in sign_in(ada, ada.post("/devices/d1/plan", fields)).text


def test_what_was_typed_is_only_shown_to_somebody_who_may_change_things(world, ada) -> None:
    page = ada.get("/devices/d1/expose")
    end_session(world, ada)
    answer = sign_in(ada, ada.fill(page, **NEW), "vic")
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_passwords_do_not_travel_through_the_sign_in_page(world) -> None:
    stranger = world.browser()
    answer = stranger.post("/account/password", {"current": "s3cret", "new": "s3cret2", "again": "s3cret2"})
    assert answer.status_code == 401
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(("size", "travels"), [(15_000, True), (100_000, False)])
def test_a_stranger_gets_no_answer_that_is_much_larger_than_a_sign_in_page(world, size, travels) -> None:
    answer = world.browser().post("/devices/d1/expose", {"name": "n" * size})
    assert answer.status_code == 401
    assert ("n" * size in answer.text) is travels
    assert len(answer.text) < size + 4000 if travels else len(answer.text) < 4000


def test_a_form_with_as_many_rows_of_ports_as_it_holds_travels(world, ada) -> None:
    page = ada.get("/devices/d1/expose")
    rows = {f"{kind}{row}": f"{9000 + row}-{9000 + row}" for row in range(299) for kind in ("out", "in")}
    end_session(world, ada)
    ended = ada.fill(page, **NEW, **{key: text for key, text in rows.items() if key not in NEW})
    assert typed_fields(sign_in(ada, ended))["out298"] == "9298-9298"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "{",
        "[]",
        '"x"',
        json.dumps({"page": "expose"}),
        json.dumps({"page": "expose", "device": 7, "fields": {}}),
        json.dumps({"page": "expose", "device": "d1", "fields": "x"}),
        json.dumps({"page": "//evil.example", "device": "d1", "fields": {}}),
        json.dumps({"page": "plan", "device": "d1", "fields": {"change": "{"}}),
        json.dumps({"page": "button", "device": "d1", "fields": {"kind": "rm"}}),
        json.dumps({"page": "network", "device": "d1", "fields": {"base": "[]"}}),
    ],
)
def test_what_no_page_of_ours_sends_leads_to_the_fleet(world, typed) -> None:
    browser = world.browser()
    answer = browser.post("/sign-in", {"name": "ada", "password": PASSWORD, "next": "/", "typed": typed})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def test_a_form_of_the_session_before_is_shown_again_with_the_token_of_this_one(world, ada) -> None:
    page = ada.get("/devices/d1/expose")
    end_session(world, ada)
    ada.client.cookies.set(world.portal.cookie, world.portal.sessions.start("ada", "operator"))
    refused = ada.fill(page, **NEW)
    assert refused.status_code == 403
    place = re.search(r'<a class="button primary" href="([^"]+)">Show what I typed', refused.text)
    assert place, refused.text
    assert typed_fields(ada.get(place[1]))["name"] == NEW["name"]


def test_a_plan_that_a_restart_lost_says_so_and_is_made_again_with_its_note(world, ada) -> None:
    asked = ada.client.post(
        "/devices/d1/expose",
        data={"csrf": ada.csrf, **NEW},
        headers={"Origin": "http://127.0.0.1:8480"},
        follow_redirects=False,
    )
    place = asked.headers["location"]
    held = Form.of(ada.get(place).text, "actions").fields
    later = world.restarted().browser("ada")
    lost = later.get(place)
    assert lost.status_code == 404
    assert "This plan is no longer kept" in lost.text
    assert "Nothing was sent" in lost.text
    assert "what you typed is still there" in lost.text, "for a browser without script"
    sent = {key: value for key, value in held.items() if key != "csrf"}
    again = later.change("/devices/d1/plans", **{**sent, "note": "ticket 7", "page": "apply"})
    assert Form.of(again.text, "actions").fields["note"] == "ticket 7"
    assert typed_fields(later.change("/devices/d1/change", **sent))["name"] == NEW["name"]


@pytest.mark.parametrize(
    ("form", "page", "typed"), [("expose", "expose", NEW), ("network", "network", RANGES)], ids=["expose", "network"]
)
def test_a_draft_that_a_restart_lost_says_so_and_is_brought_back(world, ada, form, page, typed) -> None:
    lost = ada.get("/devices/d1/drafts/nosuch")
    assert (lost.status_code, "This form is no longer kept" in lost.text) == (404, True)
    fields = {**Form.of(ada.get(f"/devices/d1/{form}").text).fields, **typed}
    again = ada.change("/devices/d1/drafts", **{**fields, "page": page, "csrf": ada.csrf})
    assert {key: typed_fields(again)[key] for key in typed} == typed


def test_a_plan_whose_form_has_a_mistake_by_now_is_that_form(world, ada) -> None:
    """Somebody took the name meanwhile: the plan's URL shows the form with what is wrong, not a page of trouble."""
    asked = ada.client.post(
        "/devices/d1/expose",
        data={"csrf": ada.csrf, **NEW},
        headers={"Origin": "http://127.0.0.1:8480"},
        follow_redirects=False,
    )
    world.browser("bob").apply(world.browser("bob").change("/devices/d1/expose", **{**NEW, "out0": "9999"}))
    again = ada.get(asked.headers["location"])
    assert (again.status_code, typed_fields(again)["out0"]) == (422, NEW["out0"])


def test_a_disabled_exposure_has_a_plan_that_says_what_it_does(world, ada) -> None:
    ada.apply(ada.change("/devices/d1/plan", kind="disable", name="web-out"))
    edited = ada.fill(ada.get(EDIT), hostname="shop.x.example")
    assert "web-out is disabled and has no Service: the change takes effect when it is enabled" in edited.text
    typed = ada.change("/devices/d1/check", **{**Form.of(ada.get(EDIT).text).fields, "hostname": "x.example"})
    assert "takes effect when it is enabled" in typed.text
    removal = ada.change("/devices/d1/plan", kind="remove", name="web-out")
    assert "only its declaration is removed" in removal.text
