"""A device may report anything: it never hides another device, nor the part of its own report that makes sense."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.portal.live.fleet import with_module
from edge_expose_cloud.status.device import fleet_status
from edge_expose_cloud.status.fleet import not_converged, status_of
from edge_expose_contract.reported import Reported, parse_reported
from support.cloud import READY, applied_hub

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=12,
)
PARTS = [field.alias or name for name, field in Reported.model_fields.items()]
ENTRY = st.dictionaries(st.sampled_from(["state", "address", "endpoints", "since", "reason"]), JSON | st.just("Ready"))
REPORT = st.dictionaries(st.sampled_from(PARTS), JSON | st.dictionaries(st.text(max_size=4), JSON | ENTRY))


@given(REPORT | st.dictionaries(st.text(max_size=8), JSON))
def test_any_json_as_a_report_can_be_read_and_shown(reported: dict[str, Any]) -> None:
    parse_reported(reported)
    twin = Twin("d1", "edge-expose", "E1", {"schemaVersion": "1.0", "exposures": {}}, reported)
    assert status_of(twin).to_json()["deviceId"] == "d1"
    not_converged(twin)
    with_module(None, twin, 1.0)


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param({"pool": []}, id="a pool that is a list"),
        pytest.param({"summary": {"ready": "many"}}, id="a summary in words"),
        pytest.param({"warnings": None}, id="no list of warnings"),
        pytest.param({"lastDesiredStatus": "fine"}, id="a status that is a text"),
        pytest.param({"exposures": {**READY["exposures"], "x": {"state": "Ready", "endpoints": "y"}}}, id="endpoints"),
        pytest.param({"exposures": {**READY["exposures"], "x": {"state": "Odd"}}}, id="an unknown state"),
        pytest.param({"exposures": {**READY["exposures"], "x": 7}}, id="an exposure that is a number"),
    ],
)
def test_what_makes_sense_beside_it_stays(odd: dict[str, Any]) -> None:
    report = parse_reported({**READY, **odd})
    assert report.last_desired_version == 1
    assert set(report.exposures) == {"web-out", "db"}


def test_one_odd_device_does_not_hide_the_others() -> None:
    hub = applied_hub()
    hub.report("d1", "edge-expose", READY)
    hub.add_module("d2", "edge-expose", {"schemaVersion": "1.0", "exposures": {}}, {"exposures": None, "pool": []})
    assert [status.device_id for status in fleet_status(hub)] == ["d1", "d2"]
