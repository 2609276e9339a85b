"""What is read from memory, what from the API, and when."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from edge_expose_module.cluster.api import (
    ENDPOINT_SLICES,
    EVENTS,
    SERVICES,
    SILENT_SECONDS,
    Denied,
    Listing,
    NotFound,
    Resource,
    WatchEvent,
)
from edge_expose_module.cluster.cached_cluster import ABSENT_SECONDS, CachedCluster
from edge_expose_module.load_balancers.metallb import GROUP, POOLS
from support.fake_cluster import FakeCluster

WEB = {"type": "LoadBalancer", "ports": [{"port": 80, "protocol": "TCP"}]}
OPEN = WatchEvent("BOOKMARK", {"metadata": {}})


class CountingCluster(FakeCluster):
    """Counts what is asked of the API."""

    def __init__(self, **more: Any) -> None:
        super().__init__(**more)
        self.asked: Counter[str] = Counter()

    def version(self) -> str:
        self.asked["version"] += 1
        return super().version()

    def resources(self, group: str) -> frozenset[str]:
        self.asked[group] += 1
        return super().resources(group)

    def list(self, resource: Resource, namespace: str | None, *, labels: str = "", fields: str = "") -> Listing:
        self.asked[resource.plural] += 1
        return super().list(resource, namespace, labels=labels, fields=fields)


class World:
    def __init__(self) -> None:
        self.now = 1000.0
        self.cluster = CountingCluster()
        self.cached = CachedCluster(self.cluster, lambda: self.now)

    def names(self) -> list[str]:
        return [item["metadata"]["name"] for item in self.cached.list(SERVICES, None).items]

    def hear(self, event: WatchEvent = OPEN, resource: Resource = SERVICES) -> bool:
        return self.cached.follow(resource, None, event)

    @property
    def lists(self) -> int:
        return self.cluster.asked["services"]


@pytest.fixture
def world() -> World:
    found = World()
    found.cluster.add_service("a", WEB)
    return found


def test_without_a_watch_every_read_asks_the_api(world: World) -> None:
    assert [world.names(), world.names()] == [["a"], ["a"]]
    assert world.lists == 2


def test_once_the_watch_of_a_list_is_accepted_it_is_read_from_memory(world: World) -> None:
    world.names()
    world.hear()
    world.cluster.add_service("unheard", WEB)
    assert world.names() == ["a"]
    assert world.cached.get(SERVICES, "edge1", "a")["metadata"]["name"] == "a"
    with pytest.raises(NotFound):
        world.cached.get(SERVICES, "edge1", "unheard")
    assert world.lists == 1


def test_a_watch_that_is_heard_of_before_anything_was_listed_counts_for_nothing(world: World) -> None:
    world.hear()
    assert world.names() == ["a"]
    assert world.lists == 1


def test_what_we_write_is_there_at_once(world: World) -> None:
    world.names()
    world.hear()
    made = world.cached.create(SERVICES, "edge1", {"metadata": {"name": "b"}, "spec": dict(WEB)})
    world.cached.patch(SERVICES, "edge1", "a", {"metadata": {"labels": {"x": "y"}}})
    assert world.names() == ["a", "b"]
    assert world.cached.get(SERVICES, "edge1", "a")["metadata"]["labels"] == {"x": "y"}
    assert world.lists == 1
    assert not world.hear(WatchEvent("ADDED", made)), "the watch tells nothing new of it"


def test_after_a_deletion_the_api_is_asked(world: World) -> None:
    world.names()
    world.hear()
    world.cached.delete(SERVICES, "edge1", "a", "")
    assert world.names() == []


@pytest.mark.parametrize(
    "seconds",
    [pytest.param(SILENT_SECONDS, id="silent"), pytest.param(300.0, id="due to be listed again")],
)
def test_a_watch_is_not_believed_for_ever(world: World, seconds: float) -> None:
    world.names()
    world.hear()
    world.cluster.add_service("missed", WEB)
    while seconds > SILENT_SECONDS:
        seconds -= 60
        world.now += 60
        world.hear()
    world.now += seconds
    assert world.names() == ["a", "missed"]


def test_a_watch_that_breaks_is_not_believed_at_all(world: World) -> None:
    world.names()
    world.hear()
    world.cluster.add_service("missed", WEB)
    world.cached.lost(SERVICES, None)
    assert world.cached.place(SERVICES, None) == ""
    assert world.names() == ["a", "missed"]
    world.names()
    assert world.lists == 3, "until another one is accepted"


def test_an_event_that_cannot_be_put_in_order_ends_belief_at_once(world: World) -> None:
    world.names()
    world.hear()
    assert world.hear(WatchEvent("MODIFIED", {"metadata": {"name": "a", "namespace": "edge1"}}))
    assert world.names() == ["a"], "from the API, and not what is left in memory"
    assert world.lists == 2


def test_a_right_that_is_lost_shows_at_the_next_list(world: World) -> None:
    world.names()
    world.hear()
    world.cluster.denied = frozenset({("list", "services")})
    world.cached.lost(SERVICES, None)
    with pytest.raises(Denied):
        world.names()


def test_before_an_address_is_given_up_services_and_pools_are_read_and_endpoints_are_not(world: World) -> None:
    scopes = ((SERVICES, None), (POOLS, None), (ENDPOINT_SLICES, "edge1"))
    for resource, namespace in scopes:
        world.cached.list(resource, namespace)
        world.cached.follow(resource, namespace, OPEN)
    assert not world.cached.refresh(), "all of it came from the API"
    for resource, namespace in scopes:
        world.cached.list(resource, namespace)
        world.cached.list(resource, namespace)
    assert world.cached.refresh()
    before = Counter(world.cluster.asked)
    for resource, namespace in scopes * 2:
        world.cached.list(resource, namespace)
    assert dict(world.cluster.asked - before) == {"services": 1, "ipaddresspools": 1}


def test_what_was_read_from_memory_is_known_although_the_watch_broke_since(world: World) -> None:
    world.names()
    world.hear()
    world.cached.start_reading()
    world.names()
    world.cached.lost(SERVICES, None)
    assert world.cached.refresh()
    world.cached.start_reading()
    world.names()
    assert not world.cached.refresh()


def test_events_are_read_each_time(world: World) -> None:
    for _ in range(2):
        world.cached.list(EVENTS, "edge1")
        world.cached.follow(EVENTS, "edge1", OPEN)
    assert world.cluster.asked["events"] == 2
    assert (EVENTS, "edge1") not in world.cached.take_used()


def test_what_the_server_says_of_itself_is_believed_while_a_watch_lives(world: World) -> None:
    for _ in range(2):
        world.cached.start_reading()
        world.cached.version()
        world.cached.version()
    assert world.cluster.asked["version"] == 2
    world.names()
    world.hear()
    for _ in range(3):
        world.cached.start_reading()
        assert world.cached.version() == "v1.36.3"
        assert "ipaddresspools" in world.cached.resources(GROUP)
    assert (world.cluster.asked["version"], world.cluster.asked[GROUP]) == (2, 1)
    world.cached.lost(SERVICES, None)
    world.cluster.git_version = "v1.37.0"
    assert world.cached.version() == "v1.37.0"


def test_a_group_that_is_not_served_is_asked_for_again_soon(world: World) -> None:
    world.names()
    world.hear()
    other = "/apis/other.example.com/v1"
    for _ in range(2):
        assert world.cached.resources(other) == frozenset()
    world.now += ABSENT_SECONDS
    world.cached.resources(other)
    assert world.cluster.asked[other] == 2


def test_the_scopes_that_were_read_are_the_ones_to_watch(world: World) -> None:
    world.names()
    world.cached.list(POOLS, None)
    assert world.cached.take_used() == {(SERVICES, None), (POOLS, None)}
    world.names()
    assert world.cached.take_used() == {(SERVICES, None)}


def test_after_writes_what_was_read_before_stands_with_their_answers(world: World) -> None:
    """No watch keeps it up yet, and one that is slow would be too late."""
    world.cached.start_reading()
    assert world.names() == ["a"]
    world.cached.create(SERVICES, "edge1", {"metadata": {"name": "c"}, "spec": WEB})
    world.cluster.add_service("b", WEB)
    world.cached.go_on_reading()
    assert world.names() == ["a", "c"]
    assert world.cluster.asked["services"] == 1
    world.cached.start_reading()
    assert world.names() == ["a", "b", "c"]


def test_after_a_deletion_it_is_read_what_is_left(world: World) -> None:
    """It may wait for a finalizer, and hold its address until then."""
    world.cluster.add_finalizer("a", "theirs/hold")
    world.cached.start_reading()
    world.names()
    world.cached.delete(SERVICES, "edge1", "a", "")
    world.cached.go_on_reading()
    (left,) = world.cached.list(SERVICES, None).items
    assert left["metadata"]["deletionTimestamp"]
    assert world.cluster.asked["services"] == 2
