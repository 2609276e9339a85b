"""The hub is called inside its quotas: no window of any length holds more calls than S1 allows."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge_expose_cloud.adapters.iothub_pacing import S1_CALLS, Operation, Pace
from edge_expose_cloud.adapters.pace_file import SharedWindow

QUOTAS = {"IdentityRegistry": 100, "TwinRead": 6000, "TwinUpdate": 3000, "Query": 20, "Configuration": 20}


class Time:
    def __init__(self) -> None:
        self.now = 1000.0
        self.slept = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def paced(units: int = 1) -> tuple[Pace, Time, list[tuple[str, float]]]:
    time, told = Time(), []
    return Pace(units, time, time.sleep, lambda operation, seconds: told.append((operation, seconds))), time, told


@pytest.mark.parametrize("operation", sorted(S1_CALLS))
def test_no_window_holds_more_than_the_quota(operation: Operation) -> None:
    pace, time, _ = paced()
    calls, seconds = S1_CALLS[operation]
    moments = []
    for _ in range(calls * 3 + 1):
        pace.wait(operation)
        moments.append(time.now)
        time.now += seconds / calls / 10  # ten times too fast
    for first in moments:
        assert sum(1 for moment in moments if first <= moment < first + seconds - 1e-6) <= calls
    assert calls * 60 / seconds <= QUOTAS.get(operation, 6000)
    assert pace.counts == {operation: calls * 3 + 1}


def test_calls_that_are_slow_enough_are_never_held() -> None:
    pace, time, told = paced()
    for _ in range(50):
        pace.wait("Query")
        time.now += 4
    assert (time.slept, told) == (0.0, [])


def test_a_long_pause_is_told_once_with_what_it_waits_for() -> None:
    pace, _, told = paced()
    for _ in range(19):
        pace.wait("Query")
    assert told == [("Query", 60.0)]


def test_one_kind_of_call_does_not_hold_another() -> None:
    pace, time, _ = paced()
    for _ in range(18):
        pace.wait("Query")
    pace.wait("TwinRead")
    assert time.slept == 0


def test_two_units_have_twice_the_quota_of_a_minute() -> None:
    pace, time, _ = paced(units=2)
    for _ in range(36):
        pace.wait("Query")
    assert time.slept == 0
    pace.wait("Query")
    assert time.slept > 0


def test_commands_that_follow_each_other_keep_the_quota_together(tmp_path: Path) -> None:
    time = Time()
    moments = []
    for _ in range(4):  # four commands, 11 queries each
        pace = Pace(1, time, time.sleep, shared=SharedWindow(tmp_path, "hub", time))
        for _ in range(11):
            pace.wait("Query")
            moments.append(time.now)
            time.now += 0.1
    for first in moments:
        assert sum(1 for moment in moments if first <= moment < first + 60 - 1e-6) <= 18


def test_two_hubs_do_not_hold_each_other(tmp_path: Path) -> None:
    time = Time()
    for hub in ("one", "two"):
        pace = Pace(1, time, time.sleep, shared=SharedWindow(tmp_path, hub, time))
        for _ in range(18):
            pace.wait("Query")
    assert time.slept == 0


@pytest.mark.parametrize("text", ["", "no json", "[]", '{"Query": ["x"]}', '{"Query": [99999999999]}'])
def test_a_file_of_any_content_holds_nobody(tmp_path: Path, text: str) -> None:
    window = SharedWindow(tmp_path, "hub", lambda: 1000.0)
    assert window.take("Query", 18, 60) == 0
    (path,) = tmp_path.glob("calls-*.json")
    path.write_text(text)
    assert window.take("Query", 18, 60) == 0


def test_without_a_folder_to_write_to_calls_go_on() -> None:
    assert SharedWindow(Path("/proc/nowhere"), "hub").take("Query", 1, 60) == 0
