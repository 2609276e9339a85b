"""Markup from twins and devices, odd paths, and the headers that every answer carries."""

from __future__ import annotations

import re

import pytest

from edge_expose_contract.identity import MODULE_ID

EVIL = "\"><script>alert(1)</script><img src=x onerror=alert(2)>'{{7*7}}"


def evil_world(world) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    for key in ("module", "selector", "hostname", "share"):
        twin.desired["exposures"]["web-out"][key] = EVIL
    twin.desired["exposures"]["evil"] = {"module": EVIL, "ports": [EVIL], "address": EVIL}
    twin.desired[EVIL] = EVIL
    twin.desired["site"]["reserved"] = {EVIL: "10.0.0.12"}
    world.hub.twins["d1", None].tags[EVIL] = EVIL
    agent = world.hub.twins["d1", "$edgeAgent"]
    agent.desired["modules"][EVIL] = {"settings": {"image": EVIL, "createOptions": "{}"}}
    agent.reported["modules"] = {EVIL: {"runtimeStatus": EVIL}, "web": {"runtimeStatus": EVIL}}
    report = {
        "lastDesiredVersion": 1,
        "lastDesiredStatus": {"code": 400, "description": EVIL},
        "cluster": {"version": EVIL, "loadBalancer": EVIL, "api": EVIL},
        "pool": {"ranges": EVIL, "size": 3, "reason": EVIL},
        "warnings": [EVIL],
        "exposures": {
            name: {
                "state": "Blocked",
                "address": EVIL,
                "service": f"{EVIL}/{EVIL}",
                "since": EVIL,
                "reason": EVIL,
                "message": EVIL,
            }
            for name in ("web-out", "evil", EVIL)
        },
    }
    world.hub.report("d1", MODULE_ID, report)


@pytest.mark.parametrize(
    "path",
    [
        "/devices",
        f"/devices?q={EVIL}&tag={EVIL}&show={EVIL}",
        "/devices/d1",
        "/devices/d1/exposures/web-out",
        "/devices/d1/exposures/evil",
        "/devices/d1/exposures/" + "%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E",
        "/devices/d1/ownership",
        "/devices/d1/history",
        "/devices/d1/twin",
        "/devices/d1/network",
        f"/devices/d1/expose?module={EVIL}&address={EVIL}&preset={EVIL}",
        f"/sign-in?next={EVIL}",
        f"/devices/{EVIL.replace('/', '')}",
    ],
)
def test_markup_from_twins_and_addresses_stays_text(world, ada, path) -> None:
    evil_world(world)
    text = ada.get(path).text
    assert "<script>alert" not in text
    assert not re.search(r"<img[^>]*onerror", text)
    assert "javascript:" not in text
    assert not re.search(r'href="(?!/|http://|https://|rtsp://|#main)', text)
    assert "&#39;49" not in text


def test_what_the_device_says_when_asked_stays_text_too(world, ada) -> None:
    from edge_expose_cloud.hub.api import MethodResult

    checks = [{"check": EVIL, "ok": True, "found": EVIL}, {"check": [EVIL], "ok": EVIL, "found": {"a": EVIL}}, EVIL]
    answers = [{"exposures": {"web-out": {"checks": checks}}}, {"error": EVIL}, EVIL, {"exposures": EVIL}, None]
    for payload in answers:
        world.hub.invoke = lambda *_, payload=payload, **__: MethodResult(200, payload)
        answer = ada.get("/devices/d1/exposures/web-out/checks")
        assert answer.status_code == 200
        assert "<script>" not in answer.text


def test_an_address_that_is_no_address_is_never_a_link(world, ada) -> None:
    report = {"exposures": {"web-out": {"state": "Ready", "address": "evil.example/x?", "service": "d1/web-out"}}}
    world.hub.report("d1", MODULE_ID, report)
    text = ada.get("/devices/d1").text
    assert "evil.example" in text
    assert 'href="http://evil.example' not in text


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2f..%2fapp.py",
        "/static/....//app.py",
        "/static//etc/passwd",
        "/devices/..%2f..%2fetc%2fpasswd",
        "/devices/d1/../../etc/passwd",
        "/devices/%2e%2e/spec.yaml",
    ],
)
def test_no_path_leads_out(ada, path) -> None:
    answer = ada.get(path)
    assert answer.status_code in (303, 404)
    assert "root:" not in answer.text
    assert "import" not in answer.text


@pytest.mark.parametrize(
    "name", ["../../users.json", "d1-../users.json", "/etc/passwd", "users.json", "d1-20260101T000000000000Z.json"]
)
def test_a_backup_that_is_none_is_never_read(world, ada, name) -> None:
    answer = ada.change("/devices/d1/plan", kind="revert", name=name)
    assert answer.status_code == 409
    assert "argon2" not in answer.text


@pytest.mark.parametrize(
    "path", ["/sign-in", "/devices", "/devices/d1", "/static/style.css", "/nothing", "/api/devices/x"]
)
def test_every_answer_carries_the_strict_headers(ada, path) -> None:
    headers = ada.get(path).headers
    policy = headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == ("public, max-age=3600" if path.startswith("/static") else "no-store")


@pytest.mark.parametrize("path", ["/devices/d1", "/api/devices/d1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_mistake_of_ours_is_answered_with_the_strict_headers_and_no_detail(world, ada, caplog, path, method) -> None:
    def broken(call: str) -> None:
        raise ZeroDivisionError("hidden detail")

    world.hub.before = broken
    answer = ada.client.request(method, path)
    assert answer.status_code == 500
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert "hidden detail" not in answer.text
    assert "hidden detail" in caplog.text
    assert world.browser().get("/sign-in").status_code == 200


@pytest.mark.parametrize(
    "path", ["/devices", "/devices/d1", "/devices/d1/expose", "/devices/d1/exposures/web-out", "/sign-in"]
)
def test_no_page_has_inline_script_or_style(ada, path) -> None:
    text = ada.get(path).text
    assert not re.search(r"<script(?![^>]*\bsrc=)[^>]*>", text)
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=", text)
