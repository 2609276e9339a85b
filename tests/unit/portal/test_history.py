"""The history page: what the module tells, now or last, and what was applied with its plan in words."""

from __future__ import annotations

from dataclasses import replace

from edge_expose_cloud.hub.api import HubError, HubProblem, MethodResult
from edge_expose_contract.identity import MODULE_ID
from support.cloud import SHOP_FORM as NEW

CHANGES = [
    {"number": 2, "time": "2026-11-25T12:00:00Z", "exposure": "web-out", "state": "Ready", "address": "10.0.0.11"},
    {
        "number": 1,
        "time": "2026-11-25T11:00:00Z",
        "exposure": "old",
        "state": "Ready",
        "address": "10.0.0.11",
        "change": {"by": "ci@runner", "note": "release 7"},
    },
]


def connected(world) -> None:
    twin = world.hub.twins["d1", MODULE_ID]
    world.hub.twins["d1", MODULE_ID] = replace(twin, connection_state="Connected")
    world.hub.methods["d1", MODULE_ID, "history"] = lambda asked: MethodResult(200, {"changes": CHANGES, "more": 0})
    world.portal.reading.forget("d1")


def test_what_the_device_tells_is_shown_by_exposure_and_by_address(world, ada) -> None:
    connected(world)
    page = ada.get("/devices/d1/history").text
    assert "ci@runner: release 7" in page
    assert "Address history" in page
    assert "ci@runner" not in ada.get("/devices/d1/history?exposure=web-out").text
    assert "old" in ada.get("/devices/d1/history?address=10.0.0.11").text
    assert "ci@runner" not in ada.get("/devices/d1/history?address=10.0.0.19").text


def test_of_a_device_that_is_away_the_last_copy_is_shown_as_such(world, ada) -> None:
    assert "has not reported its history" in ada.get("/devices/d1/history").text
    connected(world)
    ada.get("/devices/d1/history")
    twin = world.hub.twins["d1", MODULE_ID]
    world.hub.twins["d1", MODULE_ID] = replace(twin, connection_state="Disconnected")
    world.portal.reading.forget("d1")

    def away(asked: object) -> MethodResult:
        raise HubError(HubProblem.OFFLINE, "it is not connected")

    world.hub.methods["d1", MODULE_ID, "history"] = away
    page = ada.get("/devices/d1/history").text
    assert "this is its last known history" in page
    assert "ci@runner: release 7" in page


def test_every_apply_stands_there_with_its_plan_in_words(world, ada) -> None:
    ada.apply(ada.change("/devices/d1/expose", **NEW), note="for the shop floor")
    page = ada.get("/devices/d1/history").text
    assert "is created: reachable from outside, 8443→443/tcp, at 10.0.0.14" in page
    assert "shop is open to everyone who reaches the device at 10.0.0.14" in page
    assert "for the shop floor" in page
