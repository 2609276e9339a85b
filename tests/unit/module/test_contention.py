"""Two writers on one field: repairs become rarer, and the report says who the other one is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.cluster.state import Observed
from edge_expose_module.services.contention import FORGET_SECONDS, LONGEST_PAUSE, TOLD_AFTER, Contention
from edge_expose_module.services.plan import Change, Plan, Verb, changed_fields
from support.bench import Bench

KEY = ("n", "web")
BODY = {"metadata": {"resourceVersion": "7", "annotations": {"x/y": "1"}}, "spec": {"selector": {"app": "w"}}}


def plan(*names: str, verb: Verb = Verb.PATCH) -> Plan:
    return Plan(tuple(Change(verb, "Service", "n", name, name, "differs", BODY) for name in names))


def world(*managed: dict[str, Any]) -> Observed:
    body = {"metadata": {"name": "web", "namespace": "n", "managedFields": list(managed)}, "spec": {}}
    return Observed(services={KEY: ObservedService.of(body)})


def managed(manager: str, time: str, **fields: Any) -> dict[str, Any]:
    return {"manager": manager, "time": time, "fieldsV1": {"f:spec": fields}}


class Fight:
    """Somebody changes the Service all the time, and every pass wants to repair it."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.writes: list[float] = []
        self.contention = Contention(lambda: self.now)

    def run(self, seconds: float, observed: Observed | None = None) -> None:
        end = self.now + seconds
        while self.now < end:
            if self.contention.allow(plan("web"), {KEY}, observed or world()).changes:
                self.writes.append(self.now)
            self.now += 0.01


def test_after_ten_repairs_there_is_at_most_one_in_ten_seconds() -> None:
    fight = Fight()
    fight.run(120.0)
    first_ten, later = fight.writes[:TOLD_AFTER], fight.writes[TOLD_AFTER:]
    assert first_ten[-1] - first_ten[0] < 5.0, "the first ones come soon"
    gaps = [b - a for a, b in pairwise(fight.writes)]
    assert all(b >= a - 0.02 for a, b in pairwise(gaps)), "the pause only grows"
    assert all(b - a >= LONGEST_PAUSE - 0.02 for a, b in pairwise(later))


def test_a_service_that_was_left_alone_is_repaired_at_once_again() -> None:
    fight = Fight()
    fight.run(20.0)
    fight.now += FORGET_SECONDS
    before = len(fight.writes)
    fight.run(0.05)
    assert len(fight.writes) > before
    assert fight.contention.warnings == ()


def test_a_change_that_the_document_wants_never_waits_and_others_are_not_held_up() -> None:
    fight = Fight()
    fight.run(30.0)
    allowed = fight.contention.allow(plan("web", "other"), {KEY}, world())
    assert [change.name for change in allowed.changes] == ["other"]
    assert 0 < (fight.contention.due_in() or 0) <= LONGEST_PAUSE
    assert fight.contention.allow(plan("web"), set(), world()).changes, "wanted by a new document"
    assert fight.contention.due_in() is None


def test_the_warning_names_the_field_and_the_other_manager() -> None:
    observed = world(
        managed("edge-expose", "2026-11-22T05:00:00Z", **{"f:selector": {}}),
        managed("kubectl-edit", "2026-11-22T04:00:00Z", **{"f:selector": {}}),
        managed("autoscaler", "2026-11-22T06:00:00Z", **{"f:ports": {}}),
    )
    fight = Fight()
    fight.run(1.0, observed)
    assert fight.contention.warnings == (), "a few repairs are everyday life"
    fight.run(30.0, observed)
    (warning,) = fight.contention.warnings
    assert "Service n/web" in warning
    assert "spec.selector" in warning
    assert "kubectl-edit" in warning
    assert "autoscaler" not in warning


def test_fields_are_named_without_what_every_patch_carries() -> None:
    assert changed_fields(BODY) == ("metadata.annotations[x/y]", "spec.selector")


def test_what_we_make_anew_ourselves_is_no_repair() -> None:
    """A class can only be had by a new Service: it is there again in the next pass, however often that is wished."""
    bench = Bench()
    web: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}
    for turn in range(2 * TOLD_AFTER):
        bench.desire({"web": {**web, **({"loadBalancerClass": "example.com/other"} if turn % 2 else {})}})
        bench.run(2)
        assert ("edge1", "web") in bench.cluster.services, f"after {turn} turns"
    assert not bench.twin.reported.get("warnings")


def test_what_the_cluster_refuses_again_and_again_is_no_second_writer() -> None:
    """Each pass says so, and none says that all is well because it did not try."""
    bench = Bench()
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"web": {"selector": ["app=ws"], "ports": [80]}})
    bench.run()
    bench.cluster.refuse("webhook-denied-silently", verb="patch", only="web", webhook="w")
    bench.desire({"web": {"selector": ["app=ws"], "ports": [81]}})
    for tried in range(2 * TOLD_AFTER):
        bench.run(1)
        assert bench.state("web")[::2] == ("Blocked", "PolicyDenied"), f"after {tried} passes"
    assert not bench.twin.reported.get("warnings")
    bench.cluster.allow()
    bench.run()
    assert bench.state("web")[::2] == ("Ready", None)
