"""Ports of one shared address change hands without anybody losing the address on the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from edge_expose_module.cluster.api import Resource
from edge_expose_module.desired.rails.model import Guards
from support.bench import Bench
from support.fake_cluster import FakeCluster

HELD = "10.0.0.12"


class Watched(FakeCluster):
    """Sees the load balancer's answer to each write: who is without an address then."""

    def __init__(self) -> None:
        super().__init__()
        self.lost: list[str] = []

    def patch(self, resource: Resource, namespace: str, name: str, body: Mapping[str, Any]) -> Mapping[str, Any]:
        answer = super().patch(resource, namespace, name, body)
        self.lost.extend(f"{key[1]} after {name}" for key in self.services if self.address_of(key[1]) is None)
        return answer


def group(**ports: list[int]) -> dict[str, Any]:
    return {
        name: {"selector": ["app=ws"], "ports": list(numbers), "share": "k", "address": HELD}
        for name, numbers in ports.items()
    }


def world(**ports: list[int]) -> Bench:
    found = Bench(Watched())
    found.cluster.add_pod("w", {"app": "ws"})
    found.desire(group(**ports))
    found.run()
    assert {found.cluster.address_of(name) for name in ports} == {HELD}
    return found


def published(found: Bench, *names: str) -> list[list[int]]:
    services = found.cluster.services
    return [[port["port"] for port in services[("edge1", name)]["spec"]["ports"]] for name in names]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param({"a": [80], "b": [81]}, {"a": [81], "b": [82]}, id="the-first-takes"),
        pytest.param({"a": [81], "b": [80]}, {"a": [82], "b": [81]}, id="the-second-takes"),
        pytest.param({"a": [80], "b": [81]}, {"a": [81], "b": [80]}, id="exchange"),
        pytest.param({"a": [80, 90], "b": [81]}, {"a": [81, 90], "b": [80]}, id="exchange-of-some"),
        pytest.param({"a": [80], "b": [81], "c": [82]}, {"a": [81], "b": [82], "c": [80]}, id="ring"),
        pytest.param({"a": [80], "b": [81], "c": [82]}, {"a": [81], "b": [82], "c": [83]}, id="chain"),
    ],
)
def test_ports_change_hands(before: dict[str, list[int]], after: dict[str, list[int]]) -> None:
    found = world(**before)
    found.desire(group(**after))
    found.run(4)
    assert published(found, *after) == list(after.values())
    assert found.cluster.lost == []
    assert {found.state(name) for name in after} == {("Ready", HELD, None)}


def test_the_port_of_one_that_leaves_is_taken_once_it_has_left() -> None:
    found = world(a=[80], b=[81])
    found.desire({**group(a=[81]), "b": {**group(b=[80])["b"], "address": "10.0.0.15", "share": "other"}})
    found.run(6)
    assert found.cluster.lost == []
    assert [found.cluster.address_of(name) for name in ("a", "b")] == [HELD, "10.0.0.15"]
    assert published(found, "a", "b") == [[81], [80]]


def test_one_that_may_not_give_is_waited_for_and_nothing_is_lost() -> None:
    found = world(a=[80], b=[81])
    found.cluster.refuse("webhook-denied-silently", verb="patch", only="b", webhook="w")
    found.desire(group(a=[81], b=[82]))
    found.run(6)
    assert published(found, "a", "b") == [[80], [81]]
    assert found.cluster.lost == []
    assert found.state("a") == ("Pending", HELD, "PortTaken")
    message = found.exposure("a")["message"]
    assert message == (
        f"port 81/tcp on shared address {HELD} is held by Service edge1/b; it is taken over as soon as that one gives "
        "it up"
    )
    found.cluster.allow()
    found.run(3)
    assert published(found, "a", "b") == [[81], [82]]
    assert found.state("a") == ("Ready", HELD, None)


def test_a_restart_in_the_middle_of_an_exchange_ends_it() -> None:
    found = world(a=[80], b=[81])
    found.desire(group(a=[81], b=[80]))
    found.run(1)
    assert published(found, "a", "b") == [[65535], [81]]
    (entry,) = found.cluster.services[("edge1", "a")]["spec"]["ports"]
    assert entry["targetPort"] == "edge-no-port", "no pod answers on it"
    found.restart()
    found.run(4)
    assert published(found, "a", "b") == [[81], [80]]
    assert found.cluster.lost == []


def test_what_is_published_meanwhile_is_inside_the_guard_rails() -> None:
    found = Bench(Watched(), guards=Guards(ports=((80, 82),)))
    found.desire(group(a=[80], b=[81]))
    found.run()
    found.desire(group(a=[81], b=[80]))
    found.run(1)
    assert published(found, "a") == [[82]]
    found.run(4)
    assert published(found, "a", "b") == [[81], [80]]


def test_an_exchange_that_takes_several_passes_is_no_quarrel_with_another_writer() -> None:
    found = world(a=[80], b=[81])
    for number in range(30):
        found.desire(group(a=[80 + number % 2], b=[81 - number % 2]))
        found.run(4)
    assert published(found, "a", "b") == [[81], [80]]
    assert not found.twin.reported.get("warnings")
