"""The query subset: what is found, what is projected, and what the refusals name."""

from __future__ import annotations

from typing import Any

import pytest

from edge_expose_local.hub.query import evaluation as query
from edge_expose_local.hub.query import parser as query_parser

ROWS: list[dict[str, Any]] = [
    {
        "deviceId": "edge1",
        "tags": {"site": "north", "floor": 1, "a-b": "x"},
        "capabilities": {"iotEdge": True},
        "connectionState": "Connected",
        "configurations": {"web-1": {"status": "Applied"}},
        "properties": {"desired": {"$version": 3}, "reported": {"lastDesiredVersion": 3, "n": 2.5, "nothing": None}},
    },
    {
        "deviceId": "it's",
        "tags": {"site": "south", "floor": 2},
        "capabilities": {"iotEdge": False},
        "connectionState": "Disconnected",
        "properties": {"desired": {"$version": 4}, "reported": {"lastDesiredVersion": 3}},
    },
    {"deviceId": "bare", "tags": {}, "properties": {"desired": {}, "reported": {}}},
]

CONDITIONS = {
    "equality of texts": ("tags.site = 'north'", ["edge1"]),
    "inequality needs the property": ("tags.site != 'north'", ["it's"]),
    "the other sign for it": ("tags.site <> 'north'", ["it's"]),
    "order of numbers": ("tags.floor >= 2", ["it's"]),
    "order of texts": ("tags.site > 'north'", ["it's"]),
    "a text is no number": ("tags.floor = '1'", []),
    "a boolean": ("capabilities.iotEdge = true", ["edge1"]),
    "keywords in any case": (
        "CAPABILITIES.x = 1 or capabilities.iotEdge = TRUE And not tags.site = 'south'",
        ["edge1"],
    ),
    "and binds more than or": ("tags.site = 'south' OR tags.site = 'north' AND tags.floor = 9", ["it's"]),
    "parentheses": ("(tags.site = 'south' OR tags.site = 'north') AND tags.floor = 1", ["edge1"]),
    "not of an absent property stays unknown": ("NOT tags.site = 'north'", ["it's"]),
    "is_defined": ("NOT is_defined(tags.site)", ["bare"]),
    "in": ("tags.site IN ['north', 'east']", ["edge1"]),
    "nin": ("tags.site NIN ['north', 'east']", ["it's"]),
    "a doubled quote": ("deviceId = 'it''s'", ["it's"]),
    "two properties against each other": (
        "properties.desired.$version = properties.reported.lastDesiredVersion",
        ["edge1"],
    ),
    "the status of a configuration": ("configurations.[[web-1]].status = 'Applied'", ["edge1"]),
    "a name with a hyphen": ("tags.a-b = 'x'", ["edge1"]),
    "a name in brackets": ("tags['site'] = 'south'", ["it's"]),
    "null": ("properties.reported.nothing = null", ["edge1"]),
    "a fraction": ("properties.reported.n < 2.6", ["edge1"]),
    "the literal first": ("'north' = tags.site", ["edge1"]),
    "startswith": ("startswith(deviceId, 'ed')", ["edge1"]),
    "an unknown property is no error": ("tags.nowhere.deep = 1", []),
}


@pytest.mark.parametrize(("where", "found"), CONDITIONS.values(), ids=CONDITIONS.keys())
def test_conditions(where: str, found: list[str]) -> None:
    parsed = query_parser.parse_query(f"SELECT deviceId FROM devices WHERE {where}")
    assert [row["deviceId"] for row in query.run(parsed, ROWS)] == found


PROJECTIONS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "columns by their last step": (
        "select deviceId, tags.site from devices where tags.floor = 1",
        [{"deviceId": "edge1", "site": "north"}],
    ),
    "an alias": ("select deviceId as id from devices where tags.floor = 1", [{"id": "edge1"}]),
    "absent columns are left out": (
        "select deviceId, tags.site from devices where deviceId='bare'",
        [{"deviceId": "bare"}],
    ),
    "a count with a name": ("SELECT COUNT() AS n FROM devices", [{"n": 3}]),
    "a count of nothing": ("SELECT COUNT() AS n FROM devices WHERE tags.floor = 7", [{"n": 0}]),
    "top": ("SELECT TOP 1 deviceId FROM devices", [{"deviceId": "edge1"}]),
}


@pytest.mark.parametrize(("text", "rows"), PROJECTIONS.values(), ids=PROJECTIONS.keys())
def test_projections(text: str, rows: list[dict[str, Any]]) -> None:
    assert query.run(query_parser.parse_query(text), ROWS) == rows


def test_star_gives_whole_documents() -> None:
    assert query.run(query_parser.parse_query("SELECT * FROM devices"), ROWS) == ROWS


REFUSED = {
    "nothing": ("", "SELECT"),
    "another source": ("SELECT * FROM jobs", "jobs"),
    "devices.jobs": ("SELECT * FROM devices.jobs", "devices.jobs"),
    "group by": ("SELECT tags.site, COUNT() FROM devices", "GROUP BY"),
    "an unknown function": ("SELECT * FROM devices WHERE lower(deviceId) = 'x'", "lower"),
    "a half comparison": ("SELECT * FROM devices WHERE tags.site =", "end of the query"),
    "no comparison": ("SELECT * FROM devices WHERE tags.site", "comparison"),
    "an open parenthesis": ("SELECT * FROM devices WHERE (tags.a = 1", "expected ')'"),
    "an open quote": ("SELECT * FROM devices WHERE tags.a = 'x", "not understood"),
    "rest after the end": ("SELECT * FROM devices WHERE tags.a = 1 ORDER BY tags.a", "ORDER"),
    "is_defined with two arguments": ("SELECT * FROM devices WHERE is_defined(a, b)", "1 argument"),
    "endless nesting": ("SELECT * FROM devices WHERE " + "(" * 500 + "a = 1" + ")" * 500, "nests deeper"),
}


@pytest.mark.parametrize(("text", "word"), REFUSED.values(), ids=REFUSED.keys())
def test_refusals_name_what_was_not_understood(text: str, word: str) -> None:
    with pytest.raises(query_parser.QueryError, match=word.replace("(", r"\(").replace(")", r"\)")):
        query_parser.parse_query(text)
