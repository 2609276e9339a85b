"""What flaps is told now and then, the last state always, and nobody else waits for it."""

from __future__ import annotations

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from edge_expose_module.status.damping import FREE_CHANGES, PAUSE_SECONDS, WINDOW_SECONDS, Damping
from support.bench import Bench
from support.fake_cluster import FakeCluster


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def turn(damping: Damping[int], clock: Clock, times: int, seconds: float = 1.0) -> list[int]:
    """What is told of one name whose value is new every `seconds`."""
    told = []
    for number in range(times):
        told.append(damping.pace({"web": number})["web"])
        clock.now += seconds
    return told


def test_the_first_changes_are_told_at_once_and_then_one_in_five_seconds() -> None:
    clock = Clock()
    told = turn(Damping(clock), clock, 15)
    assert told == [0, 1, 2, 3, 3, 3, 3, 3, 8, 8, 8, 8, 8, 13, 13]


def test_changes_far_apart_are_never_held() -> None:
    clock = Clock()
    assert turn(Damping(clock), clock, 10, WINDOW_SECONDS / FREE_CHANGES) == list(range(10))


def test_the_last_value_arrives_once_the_pause_is_over() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    turn(damping, clock, 6)
    assert damping.pace({"web": 99}) == {"web": 3}
    due = damping.due_in()
    assert due is not None
    assert 0 < due <= PAUSE_SECONDS
    clock.now += due
    assert damping.pace({"web": 99}) == {"web": 99}
    assert damping.due_in() is None


def test_what_is_back_where_it_was_has_nothing_to_tell() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    turn(damping, clock, 4)
    damping.pace({"web": 8})
    assert damping.due_in() is not None
    damping.pace({"web": 3})
    assert damping.due_in() is None


def test_others_are_told_at_once() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    for number in range(8):
        told = damping.pace({"web": number, "db": number // 4})
        assert told["db"] == number // 4
        clock.now += 1.0
    assert told["web"] < 7


def test_a_new_wish_is_no_flapping() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    turn(damping, clock, 6)
    assert damping.pace({"web": 70}, anew={"web"}) == {"web": 70}
    assert turn(damping, clock, 4) == [0, 1, 2, 2], "the changes before it do not count"


def test_what_is_gone_is_forgotten() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    turn(damping, clock, 6)
    assert damping.pace({}) == {}
    assert damping.due_in() is None
    assert damping.pace({"web": 7}) == {"web": 7}


def test_a_wait_is_never_so_short_that_the_loop_spins() -> None:
    clock = Clock()
    damping = Damping[int](clock)
    turn(damping, clock, 4, 0.0)
    damping.pace({"web": 9})
    clock.now += PAUSE_SECONDS
    due = damping.due_in()
    assert due is not None
    assert due > 0


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0.0, 20.0)), max_size=60))
def test_whatever_comes_no_more_is_told_than_allowed_and_the_last_is_never_lost(steps: list[tuple[int, float]]) -> None:
    clock = Clock()
    damping = Damping[int](clock)
    told: list[tuple[float, int]] = []
    value = 0
    for value, seconds in steps:
        found = damping.pace({"web": value})["web"]
        if not told or told[-1][1] != found:
            told.append((clock.now, found))
        clock.now += seconds
    changes = [moment for moment, _ in told[1:]]
    for first, fourth in zip(changes, changes[FREE_CHANGES:], strict=False):
        assert fourth - first >= PAUSE_SECONDS
    clock.now += PAUSE_SECONDS
    assert damping.pace({"web": value}) == {"web": value}


WEB = {"web": {"module": "site", "ports": ["80"]}, "db": {"module": "base", "ports": ["81"]}}
MODULES = {"web": "site", "db": "base"}
POD = "net.azure-devices.edge.module"


def ready() -> Bench:
    bench = Bench(FakeCluster())
    for name in ("web", "db"):
        bench.cluster.add_pod(name, {POD: MODULES[name]})
    bench.desire(WEB)
    bench.run()
    bench.later(seconds=WINDOW_SECONDS)
    bench.twin.events.clear()
    bench.twin.patches.clear()
    return bench


def turn_pod(bench: Bench, name: str) -> None:
    if ("edge1", name) in bench.cluster.pods:
        del bench.cluster.pods[("edge1", name)]
    else:
        bench.cluster.add_pod(name, {POD: MODULES[name]})
    bench.run(1)


def test_a_pod_that_flaps_costs_few_reports_and_messages() -> None:
    bench = ready()
    for _ in range(60):
        turn_pod(bench, "web")
        bench.later(seconds=0.5)
    assert len(bench.twin.patches) == len(bench.twin.events) <= FREE_CHANGES + 30 / PAUSE_SECONDS


def test_the_loop_wakes_when_the_pause_is_over_and_then_the_last_state_arrives() -> None:
    bench = ready()
    for _ in range(5):
        turn_pod(bench, "web")
    assert bench.controller.result.statuses["web"].state == "Pending"
    assert bench.state("web")[0] == "Pending", "the third"
    turn_pod(bench, "web")
    assert bench.controller.result.statuses["web"].state == "Ready"
    assert bench.state("web")[0] == "Pending", "and held since"
    pause = asyncio.run(bench.controller.reconcile())
    assert pause <= PAUSE_SECONDS
    bench.later(seconds=pause)
    bench.run(1)
    assert bench.state("web")[0] == "Ready"
    assert bench.twin.events[-1]["to"] == "Ready"
    assert asyncio.run(bench.controller.reconcile()) > PAUSE_SECONDS, "nothing waits any more"


def test_the_summary_agrees_with_the_states_told() -> None:
    bench = ready()
    for _ in range(6):
        turn_pod(bench, "web")
    assert bench.state("web")[0] == "Pending"
    assert bench.twin.reported["summary"]["notReady"] == 1


def test_an_exposure_beside_one_that_flaps_is_told_at_once() -> None:
    bench = ready()
    for _ in range(8):
        turn_pod(bench, "web")
    turn_pod(bench, "db")
    assert bench.state("db")[0] == "Pending"


def test_a_document_is_answered_at_once_also_of_an_exposure_that_flaps() -> None:
    bench = ready()
    for _ in range(8):
        turn_pod(bench, "web")
    bench.desire(WEB | {"web": {**WEB["web"], "enabled": False}})
    bench.run(1)
    assert bench.state("web")[0] == "Disabled"
