"""Faults of the local cluster: what is asked for is checked, what is in force is listed."""

from __future__ import annotations

import time
from typing import Any

import pytest

from edge_expose_local.cluster.faults import CATALOG, Faults, problem

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("api-status", {"code": 503}),
    ("api-status", {"code": 429, "count": 3}),
    ("api-hang", {}),
    ("api-hang", {"on": False}),
    ("api-down", {"seconds": 0.5}),
    ("drop-watches", {}),
    ("gone", {"count": 2}),
    ("lb-stopped", {"on": True}),
    ("kubelet-not-ready", {"pod": "edge1/web"}),
]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("nonsense", {}, "known are api-down"),
    ("api-status", {}, "needs code="),
    ("api-status", {"code": 200}, "400 to 599"),
    ("api-status", {"code": "503"}, "'503'"),
    ("api-status", {"code": 503, "count": True}, "'count'"),
    ("api-down", {}, "needs seconds="),
    ("api-hang", {"on": "no"}, "'on'"),
    ("kubelet-not-ready", {"on": True}, "needs pod="),
    ("drop-watches", {"colour": 1}, "'colour'"),
]


@pytest.mark.parametrize(("name", "options"), GOOD)
def test_what_the_catalog_describes_is_taken(name: str, options: dict[str, Any]) -> None:
    assert problem(name, options) is None


@pytest.mark.parametrize(("name", "options", "told"), BAD)
def test_what_cannot_be_is_told(name: str, options: dict[str, Any], told: str) -> None:
    assert told in (problem(name, options) or "")


def test_what_is_in_force_is_listed_and_nothing_else() -> None:
    faults = Faults()
    assert faults.view() == []
    faults.status_code, faults.status_left, faults.gone, faults.hang, faults.lb_stopped = 503, 2, 1, True, True
    faults.api_down_until = time.monotonic() + 100
    faults.not_ready.add("web")
    view = faults.view()
    assert {item["name"] for item in view} == set(CATALOG) - {"drop-watches"}
    assert {"name": "api-status", "code": 503, "remaining": 2} in view
    assert {"name": "kubelet-not-ready", "pod": "web"} in view
    faults.clear()
    assert faults.view() == []
