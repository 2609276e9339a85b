"""Two processes of one identity: the one that started later writes, and no newer document is undone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from edge_expose_module.cluster.service import ObservedService
from edge_expose_module.services.instances import ANNOTATION, Instance, stamp_of
from support.bench import OWNER, Bench, MemoryStore
from support.fake_cluster import FakeCluster
from support.fake_twin import FakeTwin

START = datetime(2026, 11, 22, 4, 0, tzinfo=UTC)
WEB: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}


def world(*notes: str) -> tuple[ObservedService, ...]:
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": "o",
        "edge-expose.io/exposure": "a",
    }
    return tuple(
        ObservedService.of(
            {"metadata": {"name": f"s{n}", "namespace": "n", "labels": labels, "annotations": {ANNOTATION: note}}}
        )
        for n, note in enumerate(notes)
    )


def stamp(seconds: float, version: int = 1) -> str:
    return f"{(START + timedelta(seconds=seconds)).strftime('%Y-%m-%dT%H:%M:%S.%fZ')} {version}"


def test_a_later_start_that_appears_makes_us_read_only_for_good() -> None:
    instance = Instance(START)
    instance.look(world())
    assert not instance.why_read_only(world(), 1, from_disk=False)
    instance.look(world(stamp(5)))
    assert "only reads" in instance.why_read_only(world(), 1, from_disk=False)
    instance.look(world())
    assert instance.rival == stamp(5).split()[0]


def test_what_was_written_before_our_start_makes_nobody_a_rival_even_with_a_clock_that_went_back() -> None:
    instance = Instance(START - timedelta(days=400))
    instance.look(world(stamp(5)))
    instance.look(world(stamp(5), stamp(3)))
    assert not instance.rival
    assert instance.stamp > stamp(5).split()[0], "and an elder that still runs sees that we are later"


@pytest.mark.parametrize(("note", "found"), [("", ("", 0)), ("x 1", ("", 0)), (stamp(0), (stamp(0).split()[0], 1))])
def test_stamps_that_make_no_sense_are_none(note: str, found: tuple[str, int]) -> None:
    (service,) = world(note)
    assert stamp_of(service) == found


def test_a_document_from_the_disk_does_not_undo_what_a_newer_one_made() -> None:
    observed = world(stamp(-60, version=9))
    for from_disk, version, lives, writes in (
        (True, 8, (), False),
        (True, 9, (), True),
        (False, 1, (), True),  # the identity was made again: its versions begin anew
        (True, 8, (stamp(-60).split()[0],), True),  # we wrote it ourselves
    ):
        instance = Instance(START, lives)
        instance.look(observed)
        assert bool(instance.why_read_only(observed, version, from_disk=from_disk)) is not writes


def test_who_started_later_and_missed_a_document_does_not_undo_what_the_elder_made_of_it() -> None:
    instance = Instance(START)
    instance.look(world(stamp(-60, version=1)))
    newer = world(stamp(-60, version=1), stamp(-60, version=2))
    instance.look(newer)
    assert "document version 2" in instance.why_read_only(newer, 1, from_disk=False)
    assert not instance.why_read_only(newer, 2, from_disk=False), "once it has read it"


class Pair:
    """Two processes on one cluster; the twin belongs to whoever connected last."""

    def __init__(self) -> None:
        self.cluster = FakeCluster()
        self.cluster.add_pod("w", {"app": "ws"})
        self.elder = Bench(self.cluster)
        self.elder.desire({"a": WEB})
        self.elder.run()
        twin = FakeTwin()
        self.younger = Bench(self.cluster, twin, store=MemoryStore())
        self.younger.time += timedelta(seconds=10)
        self.younger.restart()
        self.younger.desire({"a": WEB})
        self.younger.run()


def test_a_stamp_causes_no_write() -> None:
    pair = Pair()
    writes = len(pair.cluster.writes)
    pair.younger.run()
    pair.elder.run()
    assert len(pair.cluster.writes) == writes, "nothing to do, nothing to stamp"
    (note,) = {s["metadata"]["annotations"][ANNOTATION] for s in pair.cluster.services.values()}
    assert note.startswith("2026-11-22T04:00:00")


def test_the_elder_with_its_old_document_undoes_nothing_and_says_so() -> None:
    pair = Pair()
    pair.elder.twin.away = True
    pair.younger.desire({"a": WEB, "new": {**WEB, "ports": [81]}})
    pair.younger.run()
    writes = len(pair.cluster.writes)
    pair.elder.run(6)
    pair.younger.run(6)
    assert len(pair.cluster.writes) == writes
    assert pair.cluster.address_of("new")
    pair.elder.twin.away = False
    report = pair.elder.run(1)
    assert "only reads" in report["warnings"][0]
    assert OWNER in {s["metadata"]["labels"]["edge-expose.io/owner"] for s in pair.cluster.services.values()}


def test_the_elder_says_that_it_only_reads_and_leaves_the_connection_to_the_younger() -> None:
    pair = Pair()
    pair.younger.desire({"a": WEB, "new": {**WEB, "ports": [81]}})
    pair.younger.run()
    pair.elder.twin.away = True
    pair.elder.run()
    assert pair.elder.twin.gave_way == 0, "not before it was told"
    pair.elder.twin.away = False
    report = pair.elder.run(1)
    assert "only reads" in report["warnings"][0]
    assert pair.elder.twin.gave_way == 1
    pair.younger.run(3)
    assert pair.younger.twin.gave_way == 0


def test_a_look_alike_in_a_namespace_of_somebody_else_stops_nobody() -> None:
    """Labels and stamps can be copied by whoever may write Services in a namespace of their own."""
    pair = Pair()
    original = pair.cluster.services[("edge1", "a")]["metadata"]
    stamp_of_tomorrow = "2099-01-01T00:00:00.000000Z 99"
    annotations = {ANNOTATION: stamp_of_tomorrow}
    pair.cluster.add_service(
        "copy", {"ports": [{"port": 80}]}, namespace="evil", labels=dict(original["labels"]), annotations=annotations
    )
    pair.younger.desire({"a": WEB, "more": {**WEB, "ports": [82]}})
    report = pair.younger.run(3)
    assert pair.cluster.address_of("more")
    assert not any("only reads" in text for text in report.get("warnings", []))
