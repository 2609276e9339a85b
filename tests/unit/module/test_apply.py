"""Which writes wait for which: what frees comes before what takes, and the rest is done side by side."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_module.cluster.api import Resource, Unavailable
from edge_expose_module.cluster.service import DECLARED_ANNOTATION
from edge_expose_module.services.apply import apply
from edge_expose_module.services.outcome import Failure
from edge_expose_module.services.plan import Change, Plan, Verb

ASKS = {DECLARED_ANNOTATION: '{"addresses": ["10.0.0.1"]}'}


class MeetingCluster:
    """Each write waits for so many others to be under way at the same time; what never meets anybody is told."""

    def __init__(self, meeting: int = 1) -> None:
        self.meeting = threading.Barrier(meeting)
        self.done: list[str] = []
        self.under_way = 0
        self.most_under_way = 0
        self.fails: set[str] = set()
        self._lock = threading.Lock()

    def create(self, resource: Resource, namespace: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._write("create", body["metadata"]["name"])

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        return self._write("patch", name)

    def delete(self, resource: Resource, namespace: str, name: str, uid: str) -> None:
        self._write("delete", name)

    def _write(self, verb: str, name: str) -> Mapping[str, Any]:
        with self._lock:
            self.under_way += 1
            self.most_under_way = max(self.most_under_way, self.under_way)
        self.meeting.wait(5)
        with self._lock:
            self.under_way -= 1
            self.done.append(f"{verb} {name}")
        if name in self.fails:
            raise Unavailable("the Kubernetes API did not answer")
        return {}


def change(verb: Verb, name: str, *, exposure: str = "", kind: str = "Service", **more: Any) -> Change:
    metadata = {"name": name, "namespace": "n", "annotations": more.get("annotations", ASKS)}
    bodies = {Verb.DELETE: None, Verb.CREATE: {"metadata": metadata}, Verb.PATCH: more.get("body", {})}
    return Change(verb, kind, "n", name, exposure or name, "a test", bodies[verb])


def run(cluster: MeetingCluster, *changes: Change, writers: int = 4) -> dict[str, Failure]:
    ordered = tuple(sorted(changes, key=Change.sort_key))
    return {name: found.failure for name, found in apply(cluster, Plan(ordered), writers).items()}  # type: ignore[arg-type]


@pytest.mark.parametrize("verb", list(Verb))
def test_what_different_exposures_do_is_under_way_at_the_same_time(verb: Verb) -> None:
    cluster = MeetingCluster(4)
    assert run(cluster, *(change(verb, name) for name in "abcd")) == {}
    assert len(cluster.done) == 4


def test_deletions_come_before_changes_and_those_before_what_is_new() -> None:
    cluster = MeetingCluster()
    verbs = [Verb.CREATE, Verb.PATCH, Verb.DELETE]
    run(cluster, *(change(verb, f"{verb}{n}") for n in range(5) for verb in verbs))
    assert [what.split()[0] for what in cluster.done] == ["delete"] * 5 + ["patch"] * 5 + ["create"] * 5


def test_the_writes_of_one_exposure_are_made_in_order() -> None:
    cluster = MeetingCluster()
    names = ["a-1", "a-2", "a-3", "a-4"]
    run(cluster, *(change(Verb.CREATE, name, exposure="a") for name in names))
    assert cluster.done == [f"create {name}" for name in names]
    assert cluster.most_under_way == 1


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            [change(Verb.PATCH, n, body={"metadata": {"annotations": {"x": "y"}}}) for n in "abcd"], id="other requests"
        ),
        pytest.param([change(Verb.PATCH, n, body={"spec": {"loadBalancerIP": "1.2.3.4"}}) for n in "abcd"], id="pins"),
        pytest.param([change(Verb.CREATE, n, annotations={}) for n in "abcd"], id="the load balancer chooses"),
    ],
)
def test_who_may_give_up_or_take_an_address_goes_one_after_the_other(changes: list[Change]) -> None:
    cluster = MeetingCluster()
    run(cluster, *changes)
    assert [what.split()[1] for what in cluster.done] == list("abcd")
    assert cluster.most_under_way == 1


def test_one_that_fails_stops_no_other() -> None:
    cluster = MeetingCluster()
    cluster.fails = {"b"}
    assert run(cluster, *(change(Verb.CREATE, name) for name in "abcd")) == {"b": Failure.TRANSIENT}
    assert len(cluster.done) == 4
