"""An address that the map shows as taken is not accepted: while typing, in the plan, and through the API."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_expose_cloud.hub.api import MethodResult
from edge_expose_cloud.plan.conflicts import taken_findings
from edge_expose_contract.addressing import parse_address
from edge_expose_contract.identity import MODULE_ID
from edge_expose_contract.models import Exposure
from support.cloud import READY
from support.cloud import SHOP_FORM as FIELDS

LEGACY = {"services": [{"service": "edge2/web", "ours": False, "external": ["10.0.0.14"]}]}


@pytest.fixture
def foreign(world) -> Any:
    """10.0.0.14 is held by edge2/web, which the module names when it is asked."""
    world.hub.twins["d1", MODULE_ID] = replace(world.hub.twins["d1", MODULE_ID], connection_state="Connected")
    world.hub.methods["d1", MODULE_ID, "topology"] = lambda _: MethodResult(200, LEGACY)
    return world


def test_a_foreign_address_is_refused_in_the_form_as_you_type_and_through_the_api(foreign, ada) -> None:
    says = "10.0.0.14 is held by the Service edge2/web, which is not ours"
    typed = ada.change("/devices/d1/check", **FIELDS)
    assert says in typed.text
    assert 'data-place="address"' in typed.text
    posted = ada.change("/devices/d1/expose", **FIELDS)
    assert (posted.status_code, says in posted.text) == (422, True)
    headers = foreign.bearer()
    body = {"exposure": {"module": "web", "ports": ["8443:443"], "address": "10.0.0.14"}}
    for query in ("?dryRun=true", ""):
        answer = ada.client.put(f"/api/devices/d1/exposures/shop{query}", json=body, headers=headers)
        assert answer.status_code == 422
        assert answer.json()["violations"][0]["rule"] == "AddressTaken"
    checked = ada.client.post("/api/validate", json={"device": "d1", "name": "shop", **body}, headers=headers)
    assert checked.json()["violations"][0]["rule"] == "AddressTaken"
    assert "shop" not in foreign.desired()["exposures"]


def test_what_the_device_said_last_counts_while_it_is_offline(foreign, ada) -> None:
    assert "edge2/web" in ada.get("/devices/d1").text
    foreign.hub.twins["d1", MODULE_ID] = replace(foreign.hub.twins["d1", MODULE_ID], connection_state="Disconnected")
    foreign.portal.reading.forget("d1")
    assert "edge2/web" in ada.get("/devices/d1").text, "the map still names its holder"
    assert "edge2/web" in ada.change("/devices/d1/check", **FIELDS).text


def made(**fields: Any) -> Exposure:
    return Exposure.model_validate({"module": "m", "ports": [80], **fields})


HELD = {"auto": (parse_address("10.0.0.12"),), "me": (parse_address("10.0.0.13"),)}
FOREIGN = {parse_address("10.0.0.14"): "edge2/web", parse_address("10.0.0.15"): "somebody else"}


@pytest.mark.parametrize(
    ("mine", "other", "severities"),
    [
        pytest.param({"address": "10.0.0.12"}, {}, ["error"], id="held by an exposure that chose it"),
        pytest.param({"address": "10.0.0.12", "share": "k"}, {"share": "k"}, [], id="shared with it"),
        pytest.param({"address": "10.0.0.12", "share": "k"}, {"share": "j"}, ["error"], id="another share key"),
        pytest.param({"address": "10.0.0.12"}, {"enabled": False}, [], id="held by one that is being withdrawn"),
        pytest.param({"address": "10.0.0.12"}, {"address": "10.0.0.19"}, [], id="held by one that moves away"),
        pytest.param({"address": "10.0.0.13"}, {}, [], id="held by itself"),
        pytest.param({"address": "10.0.0.14"}, {}, ["error"], id="held by a foreign Service"),
        pytest.param({"address": "10.0.0.14", "share": "k"}, {}, ["warning"], id="a key the foreign one may have"),
        pytest.param({"address": "10.0.0.14", "adopt": True}, {}, ["error"], id="adopting a Service of another name"),
        pytest.param({"address": "10.0.0.15"}, {}, ["error"], id="held by somebody without a name"),
        pytest.param({"address": "10.0.0.16"}, {}, [], id="free"),
        pytest.param({"address": "10.0.0.14", "enabled": False}, {}, [], id="not wanted now"),
        pytest.param({}, {}, [], id="automatic"),
    ],
)
def test_who_stands_in_the_way(mine, other, severities) -> None:
    found = taken_findings("me", made(**mine), {"auto": made(**other)}, HELD, FOREIGN)
    assert [item.severity for item in found] == severities


def test_adopting_the_service_that_holds_the_address_is_fine() -> None:
    wish = made(address="10.0.0.14", adopt=True)
    assert taken_findings("web", wish, {}, {}, FOREIGN) == []


def test_an_exposure_that_is_blocked_by_somebody_may_be_edited(world, ada) -> None:
    world.hub.patch_module_twin("d1", MODULE_ID, {"exposures": {"web-out": {"address": "10.0.0.14"}}}, "*")
    blocked = {"web-out": {"state": "Blocked", "reason": "AddressTaken"}}
    world.hub.report("d1", MODULE_ID, {**READY, "exposures": blocked})
    assert ada.fill(ada.get("/devices/d1/exposures/web-out/edit"), out0="8081").status_code == 200
    assert ada.change("/devices/d1/expose", **{**FIELDS, "name": "other"}).status_code == 422
