"""What is reported: the smallest patch to it, and what goes first when it does not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_contract.limits import SECTION_BYTES, section_size, twin_violations
from edge_expose_contract.merging import merge_patch
from edge_expose_module.status.report import shorten
from support.bench import Bench
from support.fake_cluster import FakeCluster

JSON = st.recursive(
    st.booleans() | st.integers(0, 3) | st.text(max_size=2),
    lambda x: st.dictionaries(st.sampled_from("abc"), x, max_size=3) | st.lists(x, max_size=2),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=4)


def merge(target: dict[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """RFC 7396, as the hub applies it."""
    result = dict(target)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict):
            inner = result.get(key)
            result[key] = merge(inner if isinstance(inner, dict) else {}, value)
        else:
            result[key] = value
    return result


@given(OBJECTS, OBJECTS)
def test_the_patch_between_two_reports_leads_from_one_to_the_other(old: dict[str, Any], new: dict[str, Any]) -> None:
    patched = merge(old, merge_patch(old, new))
    assert json.dumps(patched, sort_keys=True) == json.dumps(new, sort_keys=True)
    assert merge_patch(new, new) == {}


ENTRY = {
    "state": "Blocked",
    "address": "10.128.44.241",
    "service": "edge-device-namespace-1/a-name-of-some-length",
    "endpoints": 3,
    "reason": "SelectorMatchesNothing",
    "message": "m" * 300,
    "values": ["app=some-workload", "edge-device-namespace-1"],
    "since": "2026-11-22T04:00:00Z",
    "probe": "failing",
}


def report_of(count: int, **more: Any) -> dict[str, Any]:
    exposures = {f"{number:03}-{'n' * 47}": dict(ENTRY) for number in range(count)}
    return {"lastDesiredVersion": 7, "summary": {"blocked": count}, "exposures": exposures, **more}


def fields(report: Mapping[str, Any]) -> set[str]:
    return {field for entry in report["exposures"].values() for field in entry}


def test_a_report_that_fits_is_sent_as_it_is() -> None:
    report = report_of(20, warnings=["a", "b"])
    assert shorten(report) == report


@pytest.mark.parametrize(
    ("count", "gone"),
    [
        pytest.param(56, [], id="warnings are enough"),
        pytest.param(60, ["values"], id="then values go"),
        pytest.param(100, ["values", "message"], id="then messages"),
        pytest.param(160, ["values", "message", "since"], id="then since"),
        pytest.param(180, ["values", "message", "since", "endpoints"], id="then endpoints"),
        pytest.param(195, ["values", "message", "since", "endpoints", "probe"], id="then probe"),
        pytest.param(245, ["values", "message", "since", "endpoints", "probe", "service"], id="then service"),
    ],
)
def test_what_goes_when_a_report_does_not_fit(count: int, gone: list[str]) -> None:
    warned = ["the module's own trouble", *("w" * 200 for _ in range(9))]
    shorter = shorten(report_of(count, warnings=warned))
    assert section_size(shorter) <= SECTION_BYTES
    assert shorter["shortened"] is True
    assert shorter["warnings"] == warned[:1]
    assert len(shorter["exposures"]) == count
    assert fields(shorter) == ENTRY.keys() - set(gone)


def test_of_whom_is_told_is_told_where_and_why() -> None:
    shorter = shorten(report_of(400))
    assert 250 < len(shorter["exposures"]) < 400
    assert fields(shorter) == {"state", "address", "reason"}


def test_of_more_exposures_than_fit_those_with_an_address_are_told_and_the_rest_is_counted() -> None:
    report = report_of(500, warnings=["the module's own trouble"])
    for number, name in enumerate(sorted(report["exposures"])):
        if number % 2 == 0:
            report["exposures"][name] = {"state": "Pending"}
    shorter = shorten(report)
    kept = shorter["exposures"]
    assert SECTION_BYTES - 100 < section_size(shorter) <= SECTION_BYTES
    assert all(name in kept for name, entry in report["exposures"].items() if "address" in entry)
    assert len(kept) > 260, "and as many as fit"
    assert shorter["warnings"] == [
        f"{500 - len(kept)} of 500 exposures have no room in this report",
        "the module's own trouble",
    ]
    assert shorter["summary"] == {"blocked": 500}
    assert shorter["lastDesiredVersion"] == 7


def test_the_same_goes_for_any_measure() -> None:
    shorter = shorten(report_of(500), 20_000, lambda value: len(json.dumps(value)))
    assert 19_000 < len(json.dumps(shorter)) <= 20_000


@pytest.mark.parametrize(
    ("count", "length", "more"),
    [
        pytest.param(200, 48, {}, id="200 exposures with long names that wait"),
        pytest.param(500, 48, {}, id="more names than a twin can report"),
        pytest.param(254, 4, {"unknown-" + "k" * 900 + str(n): 1 for n in range(10)}, id="ten long warnings"),
    ],
)
def test_a_report_arrives_however_much_there_is_to_tell(count: int, length: int, more: dict[str, Any]) -> None:
    bench = Bench(FakeCluster("10.0.0.1-10.0.0.254"))
    wishes = {f"{'x' * length}{number:03}": {"module": "w", "ports": ["80"]} for number in range(count)}
    bench.desire(wishes, **more)
    reported = bench.run(2)
    assert twin_violations(dict(reported)) == []
    assert reported["lastDesiredVersion"] == 2
    assert reported["summary"]["notReady"] == count
    patches = len(bench.twin.patches)
    bench.run(1)
    assert len(bench.twin.patches) == patches, "what was shortened is not sent again"
    message = bench.controller.result.report["exposures"][min(wishes)]["message"]
    assert "no pod" in message, "the method `status` has it in full"


def test_an_exposure_that_has_no_room_in_the_report_is_not_announced_as_gone() -> None:
    bench = Bench(FakeCluster("10.0.0.1-10.0.0.2"))
    wish = {"module": "w", "ports": ["80"], "type": "ClusterIP"}
    later = {f"{'x' * 48}{number:03}": wish for number in range(250)}
    bench.desire(later)
    bench.run(2)
    assert len(bench.twin.reported["exposures"]) == 250
    bench.twin.events.clear()
    bench.desire({f"{'a' * 48}{number:03}": wish for number in range(250)} | later)
    reported = bench.run(2)
    assert len(reported["exposures"]) < 500, "some have no room, and come into it later without any news of theirs"
    assert {event["exposure"][0] for event in bench.twin.events} == {"a"}
    bench.desire({})
    assert bench.run(2)["exposures"] != {}, "held back"
    bench.twin.patch_desired({"confirmRemoval": bench.twin.reported["pendingRemoval"]["token"]})
    bench.run(3)
    assert bench.twin.reported["exposures"] == {}
    assert {event["to"] for event in bench.twin.events if event["exposure"] in later} == {None}
