"""The JSON API: what is applied is what was shown, and every refusal has the right status and says what."""

from __future__ import annotations

import json
from typing import Any

import pytest

from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.portal.api import _change
from edge_expose_cloud.portal.forms.changes import ChangeRequest
from edge_expose_contract.identity import MODULE_ID
from support.cloud import HELD_BACK, READY

WANTED: dict[str, Any] = {"exposure": {"module": "web", "ports": ["9000:80"]}}
PATH = "/api/devices/d1/exposures/api-made"


@pytest.fixture
def api(world):
    client = world.browser().client
    client.headers.update(world.bearer())
    return client


@pytest.mark.parametrize(
    ("query", "body", "status"),
    [
        pytest.param("?digest=abc", None, 409, id="a digest of the query that is not the plan's"),
        pytest.param("", "abc", 409, id="a digest of the body that is not the plan's"),
        pytest.param("?digest=", None, 409, id="an empty digest of the query"),
        pytest.param("?digest={good}", "abc", 409, id="a right one and a wrong one"),
        pytest.param("?digest={good}", None, 200, id="the plan's digest in the query"),
        pytest.param("?digest={good}", "{good}", 200, id="the plan's digest in both"),
    ],
)
def test_a_digest_counts_wherever_it_stands(world, api, query, body, status) -> None:
    good = api.put(f"{PATH}?dryRun=true", json=WANTED).json()["digest"]
    wanted = WANTED if body is None else {**WANTED, "digest": body.format(good=good)}
    assert api.put(PATH + query.format(good=good), json=wanted).status_code == status
    assert ("api-made" in world.desired()["exposures"]) is (status == 200)


def test_a_note_goes_with_the_change(world, api) -> None:
    assert api.put(PATH, json={**WANTED, "note": "why-made"}).status_code == 200
    assert world.desired()["change"]["note"] == "why-made"
    assert api.delete(f"{PATH}?note=why-gone").status_code == 200
    assert world.desired()["change"] == {**world.desired()["change"], "by": "ada@portal", "note": "why-gone"}
    assert api.put(PATH, json={**WANTED, "note": "n" * 513}).status_code == 409


@pytest.mark.parametrize("query", ["", "?dryRun=true"])
def test_what_is_not_there_is_404(api, query) -> None:
    for path in (PATH, "/api/devices/nobody/exposures/x"):
        assert api.delete(path + query).status_code == 404
    assert api.get(PATH).status_code == 404


def test_a_body_that_cannot_be_read_is_answered_with_the_names_of_its_fields(api) -> None:
    answer = api.put(PATH, json={"exposures": {}, "digst": "x"})
    assert answer.status_code == 422
    hint = answer.json()["hint"]
    assert "body.exposure: Field required" in hint
    assert "body.digst: Extra inputs are not permitted" in hint
    assert "query.page" in api.get("/api/devices?page=0").json()["hint"]


HALF = "\ud800"


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"exposure": {"module": HALF, "ports": [80]}}, id="a value"),
        pytest.param({"exposure": {HALF: 1}}, id="a key"),
        pytest.param({**WANTED, HALF: 1}, id="a field that there is not"),
        pytest.param({**WANTED, "digest": HALF}, id="the digest"),
    ],
)
def test_half_a_surrogate_pair_is_refused_and_leaves_the_history_readable(world, api, ada, body) -> None:
    headers = {"Content-Type": "application/json"}
    answer = api.put(PATH, content=json.dumps(body), headers=headers)
    assert answer.status_code == 422
    assert "not text" in answer.json()["hint"]
    checked = json.dumps({"device": "d1", "name": "x", **body})
    assert api.post("/api/validate", content=checked, headers=headers).status_code == 422
    assert api.post("/api/validate", content=checked).status_code == 422, "no word of what it is"
    assert ada.get("/devices/d1/history").status_code == 200
    assert "api-made" not in world.desired()["exposures"]


def test_a_wish_with_half_a_surrogate_pair_is_refused(world, ada) -> None:
    wish = ChangeRequest("expose", "d1", "shop", {"module": HALF, "ports": [80]}).to_text()
    for path in ("apply", "change"):
        assert ada.change(f"/devices/d1/{path}", change=wish, digest="0" * 64).status_code == 409


def test_a_history_that_holds_half_a_surrogate_pair_already_is_shown(world, ada) -> None:
    world.portal.audit.write("ada", "expose", device="d1", exposure="x", result="refused", why=HALF)
    assert "\\ud800" in ada.get("/devices/d1/history").text


def test_a_danger_is_confirmed_by_its_kind_and_count(world) -> None:
    pending = {"lastDesiredStatus": HELD_BACK, "pendingRemoval": {"count": 4, "token": "t0ken"}}
    world.hub.report("d1", MODULE_ID, {**READY, **pending})
    session = world.portal.sessions.find(world.portal.sessions.start("ada", "operator"))
    wish = ChangeRequest("release", "d1")
    for allowed in ({}, {"removals": 3}, {"moves": 4}):
        with pytest.raises(Refused, match="4 exposures"):
            _change(world.portal, session, wish, None, False, allowed)
    assert _change(world.portal, session, wish, None, False, {"removals": 4})["applied"]


def test_the_body_of_a_put_may_confirm_dangers(world, api) -> None:
    assert api.put(PATH, json={**WANTED, "allow": {"removals": "many"}}).status_code == 422
    assert api.put(PATH, json={**WANTED, "allow": {"removals": 3}}).status_code == 200
