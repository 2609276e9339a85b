"""No text that a tenant can write into the cluster ends a pass, however it nests, repeats or counts."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import pytest

from edge_expose_module.cluster.foreign_text import Unreadable, json_object, number, yaml_content
from edge_expose_module.cluster.service import DECLARED_ANNOTATION, MOST_ADDRESSES, ObservedService, parse_known
from edge_expose_module.cluster.state import Capabilities
from edge_expose_module.load_balancers.metallb_pools import from_config_map
from edge_expose_module.services.instances import ANNOTATION, stamp_of
from support.bench import OWNER, Bench
from support.fake_cluster import FakeCluster

WEB: dict[str, Any] = {"selector": ["app=ws"], "ports": [80]}
DEEP = "[" * 100_000
LAUGHS = "\n".join(f"{a}: &{a} [{', '.join(['*' + b] * 9)}]" for b, a in pairwise("abcdefghi"))
BAD_NOTES = {
    "deep": DEEP,
    "deep in a list": '{"labels": [' + "[" * 900 + "]" * 900 + "]}",
    "a number of 5000 digits": '{"labels": [' + "9" * 5000 + "]}",
    "no object": '"labels"',
    "a text for a list": '{"labels": "app", "annotations": 7}',
    "too long": '{"labels": ["' + "x" * 300_000 + '"]}',
    "half a character": '{"addresses": ["\\ud800"]}',
}


@pytest.mark.parametrize("note", BAD_NOTES.values(), ids=BAD_NOTES.keys())
def test_a_note_that_makes_no_sense_stops_nothing_and_is_written_anew(note: str) -> None:
    bench = Bench(FakeCluster())
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": WEB, "b": {**WEB, "ports": [81]}})
    bench.run()
    annotations = bench.cluster.services[("edge1", "a")]["metadata"]["annotations"]
    good = annotations[DECLARED_ANNOTATION]
    annotations[DECLARED_ANNOTATION] = note
    bench.run()
    assert bench.twin.reported["lastDesiredStatus"]["code"] == 200
    assert bench.state("a")[0] == bench.state("b")[0] == "Ready"
    assert bench.cluster.services[("edge1", "a")]["metadata"]["annotations"][DECLARED_ANNOTATION] == good


@pytest.mark.parametrize(
    "note",
    [
        "9999-12-31T23:59:59.999999Z 1",
        "2026-11-22T04:00:00.000000Z ²",
        f"2026-11-22T04:00:00.000000Z {'9' * 5000}",
        "２０２６-11-22T04:00:00.000000Z 1",
        DEEP,
    ],
)
def test_a_stamp_that_makes_no_sense_stops_nobody(note: str) -> None:
    bench = Bench(FakeCluster())
    labels = {
        "app.kubernetes.io/managed-by": "edge-expose",
        "edge-expose.io/owner": OWNER,
        "edge-expose.io/exposure": "a",
    }
    spec = {"type": "LoadBalancer", "ports": [{"port": 80}]}
    bench.cluster.add_service("a", spec, labels=labels, annotations={ANNOTATION: note})
    bench.cluster.add_pod("w", {"app": "ws"})
    bench.desire({"a": WEB})
    bench.run()
    assert bench.state("a")[0] == "Ready"
    observed = ObservedService.of({"metadata": {"name": "a", "annotations": {ANNOTATION: note}}})
    assert stamp_of(observed)[1] == 0


@pytest.mark.parametrize(
    "text",
    [
        DEEP,
        "a: " * 5000,
        "address-pools: 2026-99-99",
        "? [a]\n: b",
        "address-pools: !!int x",
        f"a: &a [x]\n{LAUGHS}\naddress-pools: [{{name: *i, protocol: layer2, addresses: [*i]}}]",
        "address-pools: &a [*a]",
        "x" * 300_000,
        "address-pools: [{name: a, protocol: [layer2], addresses: [10.0.0.1/32]}]",
        "address-pools: [{name: a, protocol: layer2, addresses: [[10.0.0.1/32]]}]",
    ],
    ids=lambda text: text[:24],
)
def test_a_config_map_that_cannot_be_read_is_a_broken_configuration(text: str) -> None:
    start = time.process_time()
    found = from_config_map({"metadata": {"name": "config"}, "data": {"config": text}})
    assert found.error
    assert len(found.error) < 500
    assert not found.pools
    assert time.process_time() - start < 10


def test_yaml_may_use_aliases_as_long_as_they_stand_for_little() -> None:
    assert yaml_content("a: &a [1]\nb: *a") == {"a": [1], "b": [1]}
    with pytest.raises(Unreadable, match="nests"):
        yaml_content(DEEP)


def test_what_is_no_object_is_an_empty_one() -> None:
    assert json_object("[1]") == json_object("{") == json_object(DEEP) == {}
    assert json_object('{"a": 1}') == {"a": 1}


def test_a_number_is_written_in_ascii_digits() -> None:
    assert number("7") == 7
    assert [number(text) for text in ("", "²", "٣", "-1", "1_0", "9" * 16)] == [None] * 6


def test_a_version_of_the_api_that_makes_no_sense_counts_as_a_new_one() -> None:
    assert Capabilities.of("v1.²0+").minor == 0
    assert Capabilities.of(f"v1.{'9' * 5000}").minor == 36
    assert Capabilities.of("v1.20.15").minor == 20


def test_of_a_list_of_addresses_only_the_first_are_looked_at() -> None:
    many = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]
    assert len(parse_known(many)) == MOST_ADDRESSES
    assert parse_known(["1" * 1000, "10.0.0.1"]) == parse_known(["10.0.0.1"])


def test_a_long_message_of_somebody_else_takes_no_time() -> None:
    bench = Bench(FakeCluster())
    bench.cluster.hidden = {f"10.0.0.{number}" for number in range(10, 21)}
    bench.desire({"a": {**WEB, "address": "10.0.0.15"}})
    bench.run()
    (event,) = bench.cluster.events
    event["message"] = "a" * 1_000_000
    event["count"] = 9
    start = time.process_time()
    bench.run()
    assert time.process_time() - start < 5
    assert bench.twin.reported["lastDesiredStatus"]["code"] == 200
