"""What `--wait` shows at a terminal."""

from __future__ import annotations

import io
from dataclasses import replace

from rich.console import Console

from edge_expose_cloud.cli.shared.follow import picture
from edge_expose_cloud.status.fleet import DeviceStatus, status_of
from edge_expose_cloud.status.wait import WaitResult
from support.cloud import READY, applied_hub


def shown(result: WaitResult) -> str:
    stream = io.StringIO()
    Console(width=120, file=stream).print(picture(result, 12.3))
    return stream.getvalue()


def device(name: str, **changes: object) -> DeviceStatus:
    hub = applied_hub()
    hub.report("d1", "edge-expose", {**READY, **changes})
    twin = hub.module_twin("d1", "edge-expose")
    assert twin is not None
    found = status_of(twin)
    return replace(found, device_id=name)


def test_a_few_devices_are_shown_with_their_exposures_and_what_is_waited_for() -> None:
    text = shown(WaitResult(False, "d1: exposure [web] is Pending", (device("d1"),)))
    for word in ("Device d1", "web-out", "10.0.0.11", "waiting for 12 s: d1: exposure [web] is Pending"):
        assert word in text


def test_of_many_devices_those_that_are_not_done_come_first_and_the_rest_is_counted() -> None:
    late = {"ready": 1, "pending": 1, "blocked": 0, "failed": 0, "notReady": 1}
    devices = (*(device(f"a{number:02}") for number in range(29)), device("z", summary=late))
    lines = shown(WaitResult(False, "z: not yet", devices)).splitlines()
    assert lines[1].split() == ["z", "●", "Ready", "1", "◌", "Pending", "1"]
    assert lines[2].split() == ["a00", "●", "Ready", "2"]
    assert lines[21].strip() == "and 10 more"


def test_before_anything_is_known_only_the_reason_is_shown() -> None:
    assert shown(WaitResult(False, "the condition matches no device yet")).split("\n")[0].endswith("no device yet")
