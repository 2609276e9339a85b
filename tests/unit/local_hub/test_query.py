"""The query subset: what is found, what is projected, and what the refusals name."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge_expose_local.hub.query import evaluation as query
from edge_expose_local.hub.query import parser as query_parser
from edge_expose_local.hub.query import syntax

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
        "parentScopes": ["scope-1"],
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
    "a name with its collection in front": ("devices.deviceId = 'edge1' AND devices.tags.floor = 1", ["edge1"]),
    "the names of the hub's own properties in any case": (
        "DeviceID IN ['edge1'] AND CONNECTIONSTATE = 'Connected'",
        ["edge1"],
    ),
    "names below tags keep their case": ("tags.Site = 'north'", []),
    "array_contains": ("array_contains(parentScopes, 'scope-1')", ["it's"]),
    "array_contains of a value that is not in it": ("array_contains(parentScopes, 'scope-2')", []),
    "not array_contains needs the array": ("NOT array_contains(parentScopes, 'scope-2')", ["it's"]),
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
    "top limits the rows of the answer, not what is counted": ("SELECT TOP 1 COUNT() AS n FROM devices", [{"n": 3}]),
    "groups with a count": (
        "SELECT tags.site AS site, COUNT() AS n FROM devices GROUP BY tags.site",
        [{"site": "north", "n": 1}, {"site": "south", "n": 1}, {"n": 1}],
    ),
    "groups by two properties": (
        "SELECT tags.site, tags.floor FROM devices WHERE is_defined(tags.floor) GROUP BY tags.site, tags.floor",
        [{"site": "north", "floor": 1}, {"site": "south", "floor": 2}],
    ),
    "aggregates without groups": (
        "SELECT AVG(tags.floor) AS a, SUM(tags.floor) AS s, MIN(tags.floor) AS m, MAX(tags.floor) AS x FROM devices",
        [{"a": 1.5, "s": 3, "m": 1, "x": 2}],
    ),
    "an aggregate of no numbers is left out": ("SELECT SUM(tags.site) AS s, COUNT() AS n FROM devices", [{"n": 3}]),
    "a column with its collection in front": (
        "SELECT devices.deviceId FROM devices WHERE tags.floor = 1",
        [{"deviceId": "edge1"}],
    ),
}


@pytest.mark.parametrize(
    ("source", "text"),
    {
        "devices.modules": "moduleId = 'm' AND devices.deviceId = 'd' AND devices.modules.moduleId = 'm'",
        "devices.jobs": "devices.jobs.jobId = 'j' AND devices.jobs.deviceId = 'd'",
    }.items(),
)
def test_names_of_other_collections(source: str, text: str) -> None:
    rows = [{"deviceId": "d", "moduleId": "m", "jobId": "j"}, {"deviceId": "d", "moduleId": "x", "jobId": "x"}]
    parsed = query_parser.parse_query(f"SELECT * FROM {source} WHERE {text}")
    assert parsed.source == source
    assert query.run(parsed, rows) == rows[:1]


@pytest.mark.parametrize(("text", "rows"), PROJECTIONS.values(), ids=PROJECTIONS.keys())
def test_projections(text: str, rows: list[dict[str, Any]]) -> None:
    assert query.run(query_parser.parse_query(text), ROWS) == rows


def test_star_gives_whole_documents() -> None:
    assert query.run(query_parser.parse_query("SELECT * FROM devices"), ROWS) == ROWS


REFUSED = {
    "nothing": ("", "SELECT"),
    "another source": ("SELECT * FROM jobs", "jobs"),
    "columns of devices.jobs": ("SELECT jobId FROM devices.jobs", "SELECT * only"),
    "a count of devices.jobs": ("SELECT COUNT() FROM devices.jobs", "SELECT * only"),
    "group by": ("SELECT tags.site, COUNT() FROM devices", "GROUP BY"),
    "groups of modules": ("SELECT moduleId, COUNT() FROM devices.modules GROUP BY moduleId", "device twins only"),
    "groups of whole documents": ("SELECT * FROM devices GROUP BY tags.site", "list of columns"),
    "a column that is not grouped": ("SELECT deviceId, COUNT() FROM devices GROUP BY tags.site", "deviceId"),
    "an unknown column": ("SELECT nonsense FROM devices", "'nonsense' is no property of devices"),
    "an unknown column below properties": ("SELECT properties.wished FROM devices", "properties.wished"),
    "a module's column of a device": ("SELECT moduleId FROM devices", "moduleId"),
    "an unknown property to group by": ("SELECT COUNT() FROM devices GROUP BY nonsense", "nonsense"),
    "an unknown property to add up": ("SELECT SUM(nonsense) FROM devices", "nonsense"),
    "no collection": ("SELECT deviceId", "expected FROM"),
    "more text than a query may have": (
        "SELECT * FROM devices WHERE deviceId = '" + "x" * 8192 + "'",
        "8192 are allowed",
    ),
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
    with pytest.raises(syntax.QueryError, match=re.escape(word)):
        query_parser.parse_query(text)


@pytest.mark.parametrize(
    "text",
    [
        "*",
        "tags.site = 'north'",
        "tags.a != 1 AND tags.b <> 2 OR NOT (properties.reported.c >= 3 AND deviceId = 'x')",
        "IS_DEFINED(tags.site) AND tags.site='123'",
        "FROM devices.modules WHERE moduleId = 'm'",
    ],
)
def test_target_conditions(text: str) -> None:
    query_parser.parse_condition(text)


@pytest.mark.parametrize("text", ["deviceId IN ['a', 'b']", "NOT tags.a NIN ['b']", "tags.a = 1 OR (tags.b in ['c'])"])
def test_target_conditions_refuse_in_although_queries_and_jobs_take_it(text: str) -> None:
    with pytest.raises(syntax.QueryError, match="IN and NIN"):
        query_parser.parse_condition(text)
    query_parser.parse_query(f"SELECT * FROM devices WHERE {text}")
    query_parser.parse_where(text)
