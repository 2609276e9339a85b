"""The pages of one list are one state with one resourceVersion, so that a watch from it misses nothing."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest


@pytest.fixture
def maps(cluster) -> str:
    """The path of five ConfigMaps a to e; a and e are labelled."""
    path = f"/api/v1/namespaces/{cluster.namespace()}/configmaps"
    # a real one has controllers that put a map of their own into each namespace
    for name in "abcde":
        labels = {"own": "yes", **({"edge": "yes"} if name in "ae" else {})}
        assert cluster.call("POST", path, {"metadata": {"name": name, "labels": labels}}).status == 201
    return path


def page(cluster: Any, path: str, query: str, token: str = "") -> tuple[list[str], dict[str, Any]]:
    more = f"&continue={quote(token)}" if token else ""
    answer = cluster.call("GET", f"{path}?labelSelector={quote('own=yes')}&{query}{more}")
    assert answer.status == 200, answer
    return [item["metadata"]["name"] for item in answer.body["items"]], answer.body["metadata"]


def change(cluster: Any, path: str) -> None:
    """One is gone, one is new and one is different."""
    assert cluster.call("DELETE", f"{path}/c").status == 200
    new = {"metadata": {"name": "cc", "labels": {"own": "yes"}}}
    assert cluster.call("POST", path, new).status == 201
    assert cluster.merge(f"{path}/d", {"data": {"x": "1"}}).status == 200


def test_what_changes_between_two_pages_is_not_seen_in_them(cluster, maps) -> None:
    names, first = page(cluster, maps, "limit=2")
    assert names == ["a", "b"]
    change(cluster, maps)
    names, second = page(cluster, maps, "limit=2", first["continue"])
    assert names == ["c", "d"]
    names, third = page(cluster, maps, "limit=2", second["continue"])
    assert names == ["e"]
    assert first["resourceVersion"] == second["resourceVersion"] == third["resourceVersion"]
    assert "continue" not in third


def test_a_watch_from_the_version_of_the_pages_tells_what_they_lack(cluster, maps) -> None:
    _, first = page(cluster, maps, "limit=2")
    change(cluster, maps)
    _, second = page(cluster, maps, "limit=9", first["continue"])
    told = cluster.watch_until(f"{maps}?watch=1&resourceVersion={second['resourceVersion']}", 3)
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in told] == [
        ("DELETED", "c"),
        ("ADDED", "cc"),
        ("MODIFIED", "d"),
    ]


def test_an_object_is_shown_as_it_was(cluster, maps) -> None:
    _, first = page(cluster, maps, "limit=3")
    change(cluster, maps)
    answer = cluster.call("GET", f"{maps}?limit=1&continue={first['continue']}")
    assert [item.get("data") for item in answer.body["items"]] == [None]


def test_one_state_can_be_asked_for_by_its_version(cluster, maps) -> None:
    before, meta = page(cluster, maps, "")
    change(cluster, maps)
    version = meta["resourceVersion"]
    exact = f"resourceVersion={version}&resourceVersionMatch=Exact"
    assert page(cluster, maps, exact)[0] == before
    assert page(cluster, maps, exact)[1]["resourceVersion"] == version
    assert page(cluster, maps, f"resourceVersion={version}&limit=3")[0] == before[:3]
    newest, meta = page(cluster, maps, f"resourceVersion={version}&resourceVersionMatch=NotOlderThan")
    assert sorted(newest) == ["a", "b", "cc", "d", "e"]  # 1.20 has no order in what it answers from its cache
    assert int(meta["resourceVersion"]) > int(version)


def test_a_selector_reaches_over_pages_and_hides_how_many_are_left(cluster, maps) -> None:
    edge = f"{maps}?labelSelector={quote('edge=yes')}&limit=1"
    first = cluster.call("GET", edge).body
    second = cluster.call("GET", f"{edge}&continue={first['metadata']['continue']}").body
    assert [i["metadata"]["name"] for i in first["items"] + second["items"]] == ["a", "e"]
    assert "remainingItemCount" not in first["metadata"]
    whole = cluster.call("GET", f"{maps}?limit=2").body
    assert whole["metadata"]["remainingItemCount"] == len(cluster.call("GET", maps).body["items"]) - 2


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("limit=x", 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        (
            "resourceVersionMatch=Exact",
            422,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
            "resourceVersionMatch is forbidden unless resourceVersion is provided",
        ),
        (
            "resourceVersion=0&resourceVersionMatch=Exact",
            422,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: '
            'resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
        ),
        (
            "resourceVersion=1&resourceVersionMatch=Odd",
            422,
            'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Unsupported value: "Odd": '
            'supported values: "Exact", "NotOlderThan", ""',
        ),
    ],
)
def test_options_that_make_no_sense_are_refused(cluster, maps, query: str, code: int, message: str) -> None:
    answer = cluster.call("GET", f"{maps}?{query}")
    assert (answer.status, answer.body["message"]) == (code, message)


def test_a_token_is_no_place_for_a_version_and_no_text_of_ones_own(cluster, maps) -> None:
    _, first = page(cluster, maps, "limit=2")
    both = cluster.call("GET", f"{maps}?continue={first['continue']}&resourceVersion={first['resourceVersion']}")
    assert (both.status, both.body["message"]) == (
        400,
        "specifying resource version is not allowed when using continue",
    )
    wrong = cluster.call("GET", f"{maps}?continue=xxx")
    assert wrong.status == 400
    assert wrong.body["message"].startswith("invalid continue token: continue key is not valid: ")
