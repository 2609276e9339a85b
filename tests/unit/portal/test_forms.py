"""The forms: presets, the check as you type, mistakes beside their fields, ports as they were written."""

from __future__ import annotations

import pytest

from edge_expose_contract.identity import MODULE_ID
from support.cloud import SHOP_FORM as NEW

from .conftest import Form, world_of


def test_an_edit_keeps_every_port_as_it_is_written_however_many_there_are(world, ada) -> None:
    ports: list = [f"{9000 + number}:80" for number in range(40)] + [5432, "6000-6005/udp", {"port": 7000, "name": "x"}]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    plan = ada.fill(ada.get("/devices/d1/exposures/web-out/edit"), hostname="shop.x.example")
    assert "spec.ports" not in plan.text
    assert "stops answering" not in plan.text
    ada.apply(plan)
    assert world.desired()["exposures"]["web-out"]["ports"] == ports
    assert world.desired()["exposures"]["web-out"]["hostname"] == "shop.x.example"


def test_an_exposure_with_more_ports_than_a_form_holds_is_not_edited_in_one(world, ada) -> None:
    ports = [str(9000 + number) for number in range(301)]
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"ports": ports}}}, "*")
    answer = ada.get("/devices/d1/exposures/web-out/edit")
    assert answer.status_code == 409
    assert "301 port entries" in answer.text


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"address": "10.0.0.99"}, "10.0.0.99"),
        ({"address": "10.0.0.10"}, "edgehub"),
        ({"address": "10.0.0.1"}, "10.0.0.1"),
        ({"address": "not an ip"}, "is not an IP address"),
        ({"out0": "99999"}, "65535"),
        ({"out0": "", "in0": ""}, "no port is set"),
        ({"name": "Shop!"}, "Shop!"),
        ({"name": "db"}, "already exists"),
        ({"module": ""}, "no target is selected"),
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


def test_checking_as_you_type_costs_the_hub_little(world) -> None:
    world = world_of(world.hub, world.folder, clock=lambda: 0.0)
    ada = world.browser("ada")
    ada.change("/devices/d1/check", **NEW)
    before = len(world.hub.calls)
    for _ in range(10):
        assert "Service d1/shop" in ada.change("/devices/d1/check", **NEW).text
    assert len(world.hub.calls) == before, world.hub.calls[before:]


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
