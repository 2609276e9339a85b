"""A plan in words: the same lines for the table, the pull request comment and the page; paths only in the details."""

from __future__ import annotations

import re
from typing import Any

import pytest

from edge_expose_cloud.plan.model import Change, Danger, Impact, Plan, twin_change
from edge_expose_cloud.plan.render import lines_of, markdown_of


def service(**spec: Any) -> dict[str, Any]:
    body = {"type": "LoadBalancer", "ports": [{"port": 8080, "targetPort": 80, "protocol": "TCP"}], **spec}
    return {"metadata": {"name": "web", "namespace": "shop"}, "spec": body}


def change(kind: Any, before: Any, after: Any, name: str = "web") -> Change:
    action: Any = "create" if before is None else "delete" if after is None else "update"
    return Change(action, kind, "shop" if kind == "Service" else None, name, before, after)


ROWS: dict[str, tuple[Change, str]] = {
    "a Service that is made": (
        change("Service", None, service()),
        "is created: reachable from outside, 8080→80/tcp, at an address that the device chooses",
    ),
    "a Service that goes": (
        change("Service", service(loadBalancerIP="10.0.0.9"), None),
        "is removed: reachable from outside, 8080→80/tcp, at 10.0.0.9",
    ),
    "an address that changes": (
        change("Service", service(loadBalancerIP="10.0.0.9"), service(loadBalancerIP="10.0.0.8")),
        "changes: external address 10.0.0.9 → 10.0.0.8",
    ),
    "ports that change": (
        change("Service", service(), service(ports=[{"port": 90, "targetPort": 80, "protocol": "TCP"}])),
        "changes: ports 8080→80/tcp → 90→80/tcp",
    ),
    "clients that are restricted": (
        change("Service", service(), service(loadBalancerSourceRanges=["10.1.0.0/16"])),
        "changes: clients that may connect everyone → 10.1.0.0/16",
    ),
    "an annotation is no word for people": (
        change("Service", service(), {**service(), "metadata": {"annotations": {"example.com/x": "1"}}}),
        "changes: selector, labels or annotations",
    ),
    "a document with an exposure and other ranges": (
        twin_change("d1", "edge-expose", {"site": {"a": 1}}, {"site": {"a": 2}, "exposures": {"web": {}}}),
        "is written: exposures web, ranges",
    ),
    "a manifest with new modules": (
        change("Manifest", {"$edgeAgent": {"modules": {}}}, {"$edgeAgent": {"modules": {"a": {}, "b": {}}}}, "d1"),
        "is written: modules a, b",
    ),
    "a deployment that is retired": (
        change("Deployment", {"retired": False}, {"retired": True}, "north-1"),
        "is retired, and kept for rollback",
    ),
    "a deployment for other devices": (
        change("Deployment", {"targetCondition": "tags.a=1"}, {"targetCondition": "tags.a=2"}, "north-1"),
        "changes: target condition tags.a=1 → tags.a=2",
    ),
}


@pytest.mark.parametrize("row", ROWS)
def test_a_change_is_told(row: str) -> None:
    made, sentence = ROWS[row]
    assert lines_of(Plan("device d1", (made,), None))[0].says == sentence


def test_a_comment_says_what_changes_what_people_notice_and_which_word_is_needed() -> None:
    plan = Plan(
        "device d1",
        (change("Service", service(), None),),
        None,
        dangers=(Danger("removals", 3, "3 Services would be removed: a, b, c"),),
        impact=(Impact("stops", "web", "10.0.0.9:8080/tcp stops answering for everyone", "10.0.0.9"),),
        notes=("new on this device: web",),
    )
    text = markdown_of(plan)
    assert "- `−` **Service shop/web** is removed: reachable from outside" in text
    assert "#### What people notice\n\n- 10.0.0.9:8080/tcp stops answering for everyone" in text
    assert "`--allow removals=3`" in text
    assert plan.digest in text
    assert "metadata." not in text


def test_a_comment_shows_text_from_outside_as_it_is() -> None:
    hostile = "web](http://evil) <img src=x> | `code`\n# head"
    plan = Plan("device d1", (change("Service", None, service(), hostile),), None)
    line = next(line for line in markdown_of(plan).splitlines() if line.startswith("- `+`"))
    assert not re.search(r"(?<!\\)[\[\]<>|`#]", line.removeprefix("- `+` ").replace("**", ""))
