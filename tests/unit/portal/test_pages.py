"""Every page answers whom it should, as GET and as HEAD, and nobody else; the API tells the same."""

from __future__ import annotations

import json

import pytest

from edge_expose_cloud.hub.api import HubError, HubProblem

PAGES = [
    "/devices",
    "/devices?q=d1&show=ready&tag=site%3Dnorth&page=1",
    "/fragments/fleet",
    "/devices/d1",
    "/devices/d1/fragments/state",
    "/devices/d1/exposures/web-out",
    "/devices/d1/exposures/web-out/fragment",
    "/devices/d1/exposures/web-out/checks",
    "/devices/d1/ownership",
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


def test_a_device_that_does_not_exist_and_a_hub_that_is_away_are_said_in_words(world, ada) -> None:
    missing = ada.get("/devices/nothing-here")
    assert missing.status_code == 404
    assert "is not registered" in missing.text
    for page in (missing, ada.get("/no/such/page")):
        assert "<title>Not found" in page.text
        assert "Not possible" not in page.text

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


@pytest.mark.parametrize("path", [*PAGES, "/", "/sign-in", "/api/devices/d1", "/static/portal.js", "/devices/no"])
def test_head_answers_like_get_without_a_body(ada, path) -> None:
    get, head = ada.get(path), ada.client.head(path, follow_redirects=False)
    assert (head.status_code, head.content) == (get.status_code, b"")
    assert head.headers.get("content-type") == get.headers.get("content-type")
    assert head.headers["content-security-policy"]


def test_head_never_opens_the_endless_stream(ada) -> None:
    assert ada.client.head("/events").status_code == 405
