"""Failure injection and throttling: counting down, fitting, windows; and the table in the README."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import edge_expose_local.hub
from edge_expose_local.hub import faults
from edge_expose_local.hub.faults import Fault, Faults
from edge_expose_local.hub.throttle import Throttle


def add(**body: Any) -> Faults:
    fault, found = faults.check(body), Faults()
    assert isinstance(fault, Fault), fault
    found.add(fault)
    return found


def test_fault_is_used_up_after_its_count() -> None:
    found = add(name="connack", count=2, code=3)
    assert [found.take("connack") is not None for _ in range(3)] == [True, True, False]
    assert found.view() == []


def test_fault_for_ever_stays_until_cleared() -> None:
    found = add(name="connack", count=-1)
    assert all(found.take("connack") for _ in range(50))
    found.clear("http-status")
    assert found.take("connack")
    found.clear()
    assert found.take("connack") is None


def test_fault_of_zero_times_is_none() -> None:
    assert add(name="connack", count=0).view() == []


FITS: dict[str, tuple[dict[str, Any], dict[str, str], bool]] = {
    "no conditions fit all": ({}, {"path": "/x", "method": "GET"}, True),
    "a path prefix": ({"path": "/twins/"}, {"path": "/twins/edge1", "method": "GET"}, True),
    "another path": ({"path": "/twins/"}, {"path": "/devices", "method": "GET"}, False),
    "a method in lower case": ({"method": "patch"}, {"path": "/x", "method": "PATCH"}, True),
    "another module of the device": ({"device": "d", "module": "a"}, {"device": "d", "module": "b"}, False),
}


@pytest.mark.parametrize(("options", "facts", "fits"), FITS.values(), ids=FITS.keys())
def test_fault_fits(options: dict[str, Any], facts: dict[str, str], fits: bool) -> None:
    assert (add(name="http-status", **options).take("http-status", **facts) is not None) is fits


@pytest.mark.parametrize(
    "body", [[], {}, {"name": "x"}, {"name": "connack", "count": "2"}, {"name": "throttle", "on": 1}]
)
def test_bad_fault_is_explained(body: Any) -> None:
    assert isinstance(faults.check(body), str)


def test_readme_lists_every_fault() -> None:
    text = (Path(edge_expose_local.hub.__file__).parent / "README.md").read_text()
    assert [name for name, help_text in faults.CATALOG.items() if f"| `{name}` | {help_text} |" not in text] == []


def test_quota_holds_per_window_and_only_when_enforced() -> None:
    throttle = Throttle()
    assert all(throttle.allow("Query", 1000.0) for _ in range(30))
    throttle.enforced = True
    assert not throttle.allow("Query", 1059.9)
    assert throttle.allow("Query", 1060.1)
    assert throttle.allow("TwinRead", 1060.1)
    assert throttle.view()["total"] == {"Query": 32, "TwinRead": 1}
    assert throttle.view()["minutes"] == {"960": {"Query": 30}, "1020": {"Query": 2, "TwinRead": 1}}
