"""The state of a device in one word: a table of what modules and the hub say, the worst of it first."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from edge_expose_cloud.hub.api import Twin
from edge_expose_cloud.plan.clients import is_open
from edge_expose_cloud.portal.live.fleet import Listing, Question, answer, with_module
from edge_expose_cloud.status.fleet import status_of
from edge_expose_cloud.status.health import counts_of, health_of, pool_of
from edge_expose_contract.identity import MODULE_ID
from support.cloud import HELD_BACK, NOW, READY

FULL = {**READY["pool"], "used": 10}
BLOCKED = {
    "web-out": {"state": "Blocked", "reason": "AddressTaken"},
    "api": {"state": "Blocked", "reason": "PortClash"},
}

DARK = {"a": {"state": "Pending", "reason": "NoReadyEndpoints", "message": "NoReadyEndpoints"}}
UNREADABLE = {
    **READY,
    "lastDesiredStatus": {"code": 500, "description": "the cluster cannot be read: ClusterUnreachable: timed out"},
    "cluster": {"api": "ClusterUnreachable: timed out"},
}


def twin(reported: dict[str, Any] | None = None, **fields: Any) -> Twin:
    said = READY if reported is None else reported
    return Twin(
        "d1", MODULE_ID, "E", reported=said, **{"desired_version": 1, "connection_state": "Connected", **fields}
    )


def metadata(text: str) -> dict[str, Any]:
    return {"$lastUpdated": text}


@pytest.mark.parametrize(
    ("found", "state", "why", "attention"),
    [
        pytest.param(twin(), "Ready", "", False, id="all is well"),
        pytest.param(
            twin({**READY, "lastDesiredStatus": {"code": 412, "description": "schema 2 is not known"}}),
            *("Refused", "schema 2 is not known (412)", True),
            id="a document that was refused is not Ready, whatever runs",
        ),
        pytest.param(
            twin({**READY, "lastDesiredStatus": HELD_BACK, "pendingRemoval": {"count": 4, "token": "t0ken"}}),
            *("Removal held back", "4 exposures stay until their removal is confirmed", True),
            id="a removal that waits for a word",
        ),
        pytest.param(
            twin({**READY, "cluster": {"api": "403 forbidden"}}),
            *("Cluster unreadable", "the module cannot access it: 403 forbidden", True),
            id="a cluster that cannot be read",
        ),
        pytest.param(
            twin({}), "Never reported", "the module has never reported", True, id="a module that says nothing"
        ),
        pytest.param(
            twin(connection_state="Disconnected", last_activity="2026-11-25T11:00:00Z"),
            *("Offline", "not connected to the hub; last seen 2026-11-25 11:00 UTC", True),
            id="away for an hour",
        ),
        pytest.param(
            twin(connection_state="Disconnected", last_activity="2026-11-25T11:55:00Z"),
            *("Offline", "not connected to the hub; last seen 2026-11-25 11:55 UTC", False),
            id="away for five minutes",
        ),
        pytest.param(
            twin(connection_state="Disconnected", last_activity="0001-01-01T00:00:00Z"),
            *("Offline", "not connected to the hub", True),
            id="never there",
        ),
        pytest.param(
            twin({**READY, "exposures": BLOCKED}),
            *("Blocked", "api: PortClash, and 1 more", True),
            id="exposures that are blocked",
        ),
        pytest.param(
            twin({**READY, "exposures": {**BLOCKED, "x": {"state": "Failed"}}, "pool": FULL}),
            *("Failed", "x", True),
            id="of several things the worst",
        ),
        pytest.param(
            twin({**READY, "pool": {**READY["pool"], "reason": "PoolMismatch"}}),
            *("Pool mismatch", "the declared range is not the load balancer's pool 10.0.0.10-10.0.0.20", True),
            id="a range that is not the pool",
        ),
        pytest.param(
            twin({**READY, "pool": FULL}), "Pool full", "all 10 external addresses are used", True, id="a full pool"
        ),
        pytest.param(
            twin({**READY, "pool": {**FULL, "used": 9}}),
            *("Nearly full", "9 of 10 external addresses are used", False),
            id="a pool that is nearly full",
        ),
        pytest.param(
            twin(desired_version=3, desired_metadata=metadata("2026-11-25T11:58:00Z")),
            *("Behind", "the module has seen version 1 of 3", True),
            id="behind for two minutes",
        ),
        pytest.param(
            twin(desired_version=3, desired_metadata=metadata("2026-11-25T11:59:50Z")),
            *("Behind", "the module has seen version 1 of 3", False),
            id="a document that was just written",
        ),
        pytest.param(
            twin({**READY, "exposures": {"a": {"state": "Pending", "reason": "NoEndpoints"}}}),
            *("Pending", "a: NoEndpoints", True),
            id="an exposure that waits",
        ),
        pytest.param(
            twin({**UNREADABLE, "exposures": DARK}),
            *("Cluster unreadable", "the module cannot access it: ClusterUnreachable: timed out", True),
            id="a cluster that is away is no fault of the document",
        ),
        pytest.param(
            twin({**READY, "lastDesiredStatus": {"code": 500, "description": "KeyError"}}),
            *("Refused", "KeyError (500)", True),
            id="a module that fails with a cluster that answers",
        ),
        pytest.param(
            twin({**READY, "exposures": DARK, "pool": {**FULL, "reason": "PoolMismatch"}}),
            *("Pending", "a: NoReadyEndpoints", True),
            id="an app that is dark stands above the pool",
        ),
        pytest.param(
            twin(
                {**READY, "exposures": DARK, "pool": FULL},
                **{"desired_version": 3, "connection_state": "Disconnected", "last_activity": "2026-11-25T11:55:00Z"},
            ),
            *("Pending", "a: NoReadyEndpoints; offline", True),
            id="an app that is dark on a device that has just gone",
        ),
        pytest.param(
            twin({**READY, "pool": {**FULL, "reason": "PoolMismatch"}}),
            *("Pool full", "all 10 external addresses are used", True),
            id="a full pool stands above a range that is not the pool",
        ),
        pytest.param(
            twin({**READY, "pool": FULL}, connection_state="Disconnected", last_activity="2026-11-25T11:55:00Z"),
            *("Pool full", "all 10 external addresses are used; offline", True),
            id="what is worse than being away says so too",
        ),
        pytest.param(
            twin({**READY, "cluster": {"api": "x" * 400}}, connection_state="Disconnected"),
            *("Cluster unreadable", f"the module cannot access it: {'x' * 161}…; offline", True),
            id="a long story leaves room for being away",
        ),
        pytest.param(
            twin({}, connection_state="Disconnected"),
            *("Never reported", "the module has never reported; offline", True),
            id="a module that says nothing and is away",
        ),
        pytest.param(
            twin({**READY, "exposures": {"a": {"state": "Disabled"}, "b": {"state": "Expired"}}}),
            *("Ready", "", False),
            id="what is off is no trouble",
        ),
    ],
)
def test_a_device_is_as_well_as_the_worst_of_it(found: Twin, state: str, why: str, attention: bool) -> None:
    health = health_of(found, NOW)
    assert (health.state, health.why, health.attention) == (state, why, attention)
    assert status_of(found, NOW).to_json()["health"] == {"state": state, "attention": attention, "why": why or None}


@pytest.mark.parametrize(
    "reported",
    [
        {"lastDesiredStatus": 5, "pool": [], "cluster": "x", "exposures": "y", "pendingRemoval": 1},
        {"lastDesiredVersion": "7", "exposures": {"a": 5, "b": {"state": []}, "": {"state": {}}}},
        {**READY, "lastDesiredStatus": {"code": "200\n\u202e", "description": ["\x1b[31m" * 400]}},
        {**READY, "pool": {"size": 1e308, "used": -1, "reserved": None, "reason": {"a": 1}}},
    ],
)
def test_whatever_a_device_reports_there_is_one_line_to_say(reported: dict[str, Any]) -> None:
    health = health_of(twin(reported, last_activity="soon", desired_metadata={"$lastUpdated": 5}), NOW)
    assert health.state
    assert len(health.why) <= 200
    assert health.why.isprintable()


def test_numbers_are_bounded_by_what_a_device_can_hold() -> None:
    boast = {**READY, "summary": {"ready": 10**9, "blocked": -5}, "pool": {"size": 3, "reserved": 1, "used": 10**9}}
    assert counts_of(boast) == {"ready": 2}
    assert pool_of(boast) == (2, 2)
    assert status_of(twin(boast), NOW).summary["ready"] == 2
    assert status_of(twin(boast), NOW).summary["blocked"] == 0


@pytest.mark.parametrize(
    ("exposure", "answer"),
    [
        ({}, True),
        ({"type": "ClusterIP"}, False),
        ({"enabled": False}, False),
        ({"allowFrom": ["10.0.0.0/8"]}, False),
        ({"allowFrom": "0.0.0.0/0"}, True),
        ({"allowFrom": ["0.0.0.0/1", "128.0.0.0/1"]}, True),
        ({"allowFrom": []}, True),
        ({"allowFrom": 5}, True),
    ],
)
def test_who_may_connect_is_known_of_any_document(exposure: dict[str, Any], answer: bool) -> None:
    assert is_open(exposure) is answer


def test_a_moment_without_a_zone_is_utc() -> None:
    assert health_of(twin(connection_state="Disconnected", last_activity="2026-11-25T11:00:00"), NOW).attention


@pytest.mark.parametrize("sort", ["", "state"])
def test_a_device_whose_app_is_dark_is_listed_above_those_with_a_pool_to_tidy_up(sort: str) -> None:
    mismatch = {**READY, "pool": {**READY["pool"], "reason": "PoolMismatch"}}
    said = {
        "a-fine": READY,
        "b-mismatch": mismatch,
        "c-full": {**READY, "pool": FULL},
        "d-dark": {**mismatch, "exposures": DARK},
        "e-blocked": {**mismatch, "exposures": BLOCKED},
    }
    rows = [with_module(None, replace(twin(body), device_id=name), NOW.timestamp()) for name, body in said.items()]
    listed = [row.device_id for row in answer(Listing(rows), Question(sort=sort)).rows]
    assert listed == ["e-blocked", "d-dark", "c-full", "b-mismatch", "a-fine"]


@pytest.mark.parametrize(
    ("found", "last_known"),
    [
        (twin(), False),
        (twin(connection_state=""), False),
        (twin(connection_state="Disconnected"), True),
        (twin(UNREADABLE), True),
    ],
)
def test_exposures_are_last_known_where_nobody_sees_them_now(found: Twin, last_known: bool) -> None:
    said = status_of(found, NOW).to_json()
    assert (said["lastKnown"], "last known state" in said["note"]) == (last_known, last_known)
