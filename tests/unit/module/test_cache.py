"""Whatever order lists, events, replays and answers come in, the cache ends at the newest form of every object."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_expose_module.cluster.api import PODS, SERVICES, Listing, WatchEvent
from edge_expose_module.cluster.cache import Cache

Body = dict[str, Any]


def service(name: str, version: object, **more: Any) -> Body:
    return {"metadata": {"namespace": "n", "name": name, "resourceVersion": str(version), **more}}


def event(kind: str, name: str, version: object, **more: Any) -> WatchEvent:
    return WatchEvent(kind, service(name, version, **more))


def filled(*bodies: Body, at: object = 10) -> Cache:
    cache = Cache(SERVICES)
    cache.replace(Listing(bodies, str(at)))
    return cache


def shown(cache: Cache) -> dict[str, str]:
    return {item["metadata"]["name"]: item["metadata"]["resourceVersion"] for item in cache.items}


def test_events_and_answers_move_an_object_forward_only() -> None:
    cache = filled(service("a", 5))
    assert cache.put(service("a", 12)), "the answer to a write"
    assert not cache.follow(event("MODIFIED", "a", 11)), "an event from before it"
    assert not cache.follow(event("MODIFIED", "a", 12)), "the event of the write itself"
    assert shown(cache) == {"a": "12"}
    assert cache.follow(event("MODIFIED", "a", 13))
    assert not cache.put(service("a", 12)), "an answer that comes late"
    assert shown(cache) == {"a": "13"}


def test_what_is_deleted_comes_back_only_when_it_is_made_again() -> None:
    cache = filled(service("a", 5))
    assert cache.follow(event("DELETED", "a", 11))
    assert not cache.follow(event("MODIFIED", "a", 9)), "a replay"
    assert not cache.put(service("a", 11))
    assert shown(cache) == {}
    assert cache.follow(event("ADDED", "a", 12))
    assert not cache.follow(event("DELETED", "a", 11)), "the end of the one before"
    assert shown(cache) == {"a": "12"}


def test_a_list_ends_what_it_leaves_out_and_keeps_what_is_newer_than_it() -> None:
    cache = filled(service("a", 5), service("b", 6))
    cache.put(service("new", 25))
    cache.follow(event("MODIFIED", "b", 24))
    cache.follow(event("DELETED", "gone", 23))
    cache.replace(Listing((service("b", 6), service("gone", 15)), "20"))
    assert shown(cache) == {"b": "24", "new": "25"}
    assert not cache.follow(event("ADDED", "a", 5)), "a replay of what the list shows as gone"


def test_a_bookmark_and_a_list_say_where_a_watch_goes_on_and_events_do_not() -> None:
    cache = filled(at=10)
    cache.follow(event("ADDED", "b", 14))
    assert cache.version == "10", "one with a lower version may still be under way"
    cache.follow(WatchEvent("BOOKMARK", {"metadata": {"resourceVersion": "20"}}))
    assert cache.version == "20"


@pytest.mark.parametrize("body", [{}, {"metadata": {}}, service("a", "not-a-number"), {"metadata": {"name": "a"}}])
@pytest.mark.parametrize("kind", ["ADDED", "DELETED"])
def test_what_cannot_be_put_in_order_is_listed_anew(kind: str, body: Body) -> None:
    cache = filled(service("a", 5))
    assert cache.follow(WatchEvent(kind, body))
    assert cache.version == ""
    cache.replace(Listing((service("a", "x"), service("b", "y")), "z"))
    assert shown(cache) == {"a": "x", "b": "y"}


def test_a_cluster_that_was_restored_from_a_backup_is_taken_as_it_is() -> None:
    cache = filled(service("a", 500), at=900)
    cache.replace(Listing((service("b", 3),), "40"), later=True)
    assert shown(cache) == {"b": "3"}
    assert cache.follow(event("ADDED", "a", 41))


def test_of_pods_only_the_labels_are_kept_and_only_they_are_news() -> None:
    cache = Cache(PODS)
    pod = {**service("p", 3, labels={"app": "w"}, annotations={"long": "text"}), "status": {"phase": "Running"}}
    cache.replace(Listing((pod,), "10"))
    assert cache.items == (service("p", 3, labels={"app": "w"}),)
    assert not cache.follow(event("MODIFIED", "p", 11, labels={"app": "w"})), "a heartbeat"
    assert cache.follow(event("MODIFIED", "p", 12, labels={"app": "other"}))


def test_objects_come_in_the_order_in_which_the_api_server_lists_them() -> None:
    cache = filled(service("b", 5))
    cache.follow(event("ADDED", "a", 11))
    assert list(shown(cache)) == ["a", "b"]


class History:
    """Everything that ever happened to three objects, and what the API server would say of it at any time."""

    def __init__(self, moves: list[tuple[str, bool]]) -> None:
        self.events: list[WatchEvent] = []
        self.states: list[dict[str, Body]] = [{}]
        for version, (name, deletes) in enumerate(moves, 1):
            state = dict(self.states[-1])
            if deletes and name in state:
                del state[name]
                self.events.append(event("DELETED", name, version))
            else:
                kind = "MODIFIED" if name in state else "ADDED"
                state[name] = service(name, version)
                self.events.append(WatchEvent(kind, state[name]))
            self.states.append(state)

    def listing(self, version: int) -> Listing:
        return Listing(tuple(self.states[version].values()), str(version))


@given(st.data(), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=25))
def test_any_interleaving_ends_at_the_newest_objects(data: st.DataObject, moves: list[tuple[str, bool]]) -> None:
    """A list of any age first; then every event after it in any order, each once or again, with older lists and the
    answers to writes in between."""
    history = History(moves)
    versions = st.integers(0, len(moves))
    start = data.draw(versions, "first list")
    cache = Cache(SERVICES)
    cache.replace(history.listing(start))
    replayed = data.draw(st.lists(versions, max_size=6), "replayed")
    steps: list[tuple[str, int]] = [("event", v) for v in range(start + 1, len(moves) + 1)]
    steps += [("event", v) for v in replayed if v]
    steps += [("list", v) for v in data.draw(st.lists(versions, max_size=3), "lists")]
    for what, version in data.draw(st.permutations(steps), "order"):
        if what == "list":
            cache.replace(history.listing(version))
            continue
        one = history.events[version - 1]
        cache.follow(one)
        if one.kind != "DELETED":
            cache.put(one.body)
    newest = {name: body["metadata"]["resourceVersion"] for name, body in history.states[-1].items()}
    assert shown(cache) == newest


@given(st.data(), st.lists(st.tuples(st.sampled_from("abc"), st.booleans()), min_size=1, max_size=25))
def test_nothing_ever_goes_back(data: st.DataObject, moves: list[tuple[str, bool]]) -> None:
    """At no time is an object older than one that was seen of its name before."""
    history = History(moves)
    cache, seen = Cache(SERVICES), dict[str, int]()
    cache.replace(history.listing(0))
    for version in data.draw(st.lists(st.integers(1, len(moves)), max_size=40)):
        if data.draw(st.booleans()):
            cache.replace(history.listing(version))
        else:
            cache.follow(history.events[version - 1])
        for name, text in shown(cache).items():
            assert int(text) >= seen.get(name, 0)
            seen[name] = int(text)
