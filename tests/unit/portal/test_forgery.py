"""Requests that nobody of ours sent: foreign sites and hosts, the wrong role, tampered plans."""

from __future__ import annotations

import pytest

from edge_expose_cloud.portal.forms.changes import ChangeRequest
from edge_expose_cloud.portal.http.guards import Hosts

from .conftest import PASSWORD

REMOVE = ChangeRequest("remove", "d1", "web-out").to_text()


CHANGES = [
    ("/devices/d1/expose", {"name": "evil", "module": "web", "out0": "1", "in0": "1"}),
    ("/devices/d1/check", {"name": "evil", "module": "web", "out0": "1", "in0": "1"}),
    ("/devices/d1/plan", {"kind": "remove", "name": "web-out"}),
    ("/devices/d1/network", {"external": "10.0.0.10-10.0.0.99"}),
    (
        "/devices/d1/apply",
        {"change": REMOVE, "digest": "0" * 64},
    ),
    ("/sign-out", {}),
]


OPERATORS = [change for change in CHANGES if change[0] != "/sign-out"]


@pytest.mark.parametrize(("path", "fields"), CHANGES)
def test_without_this_sessions_token_nothing_is_done(world, ada, path, fields) -> None:
    before = world.desired()
    other = world.browser("ada").csrf
    for token in ("", "x", other):
        answer = ada.post(path, {**fields, "csrf": token})
        assert answer.status_code == 403, token
    assert world.desired() == before
    assert ada.get("/devices").status_code == 200, "still signed in"


@pytest.mark.parametrize(
    ("path", "fields"), [*CHANGES, ("/sign-in", {"name": "ada", "password": PASSWORD}), ("/link", {})]
)
@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:9999", "http://localhost.evil.example:8480"]
)
def test_a_post_from_another_site_is_refused_even_with_the_token(ada, path, fields, origin) -> None:
    answer = ada.post(path, {**fields, "csrf": ada.csrf}, headers={"Origin": origin})
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers


def test_a_cross_site_post_without_origin_is_refused(ada) -> None:
    answer = ada.client.post("/sign-out", data={"csrf": ada.csrf}, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403


@pytest.mark.parametrize(("path", "fields"), OPERATORS)
def test_a_viewer_changes_nothing_whatever_it_posts(world, vic, path, fields) -> None:
    before = world.desired()
    answer = vic.change(path, **fields)
    assert answer.status_code == 403
    assert "your role is viewer" in answer.text
    assert world.desired() == before


def test_a_role_in_a_form_or_a_cookie_means_nothing(world, vic) -> None:
    answer = vic.change("/devices/d1/plan", kind="remove", name="web-out", role="operator", session="operator")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:8480",
        "",
        "127.0.0.1.evil.example",
        "[::1",
        "evil.example@127.0.0.1",
        "evil@localhost:8480",
        "127.0.0.1/evil.example",
        "127.0.0.1:8480/x",
        "localhost?x",
        "localhost#x",
        "localhost:",
        "local host",
        "localhost:8480:8480",
        "127.0.0.1,evil.example",
    ],
)
def test_a_name_that_is_not_ours_opens_nothing(ada, host) -> None:
    assert ada.get("/devices", headers={"Host": host}).status_code in (400, 421)


@pytest.mark.parametrize("host", ["LOCALHOST", "LocalHost:8480", "localhost.", "127.0.0.1:1"])
def test_a_name_of_ours_is_known_however_it_is_written(ada, host) -> None:
    assert ada.get("/devices", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("told", ["Portal.Example", "PORTAL.EXAMPLE", "portal.example."])
def test_a_host_name_may_be_told_in_any_case(told) -> None:
    hosts = Hosts(["10.0.0.1", "FD00::1", told])
    assert hosts.knows("portal.example:443")
    assert hosts.knows("Portal.example")
    assert hosts.knows("[fd00::1]:8480")
    assert not hosts.knows("example")


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", '{"kind":"rm"}', '{"kind":"ranges","name":1,"fields":{}}', "[" * 20_000, "nul"]
)
def test_a_plan_that_was_tampered_with_is_refused(world, ada, text) -> None:
    before = world.desired()
    answer = ada.change("/devices/d1/apply", change=text, digest="0" * 64)
    assert answer.status_code == 409
    assert world.desired() == before


def test_an_apply_without_the_digest_of_a_plan_that_was_shown_is_refused(world, ada) -> None:
    for digest in ("", "0" * 64):
        assert ada.change("/devices/d1/apply", change=REMOVE, digest=digest).status_code == 409
    assert "web-out" in world.desired()["exposures"]
