"""What pages are shown of the hub: not read twice in a moment, and never older than the last change."""

from __future__ import annotations

from edge_expose_cloud.portal.live.reading_hub import ReadingHub
from support.cloud import applied_hub


def test_a_reading_that_was_under_way_when_something_changed_is_not_shown_as_the_newest() -> None:
    hub = applied_hub()
    reading = ReadingHub.of(hub)
    asked_before = reading.epoch("d1")
    old = hub.twins["d1", "edge-expose"]
    hub.patch_module_twin("d1", "edge-expose", {"exposures": {"db": None}}, "*")
    reading.forget("d1")
    reading.put(old, asked_before)
    twin = reading.module_twin("d1", "edge-expose")
    assert twin is not None
    assert "db" not in twin.desired["exposures"]


def test_a_page_that_read_while_something_changed_leaves_nothing_old_behind() -> None:
    hub = applied_hub()
    reading = ReadingHub.of(hub)

    def changed_meanwhile(call: str) -> None:
        if call == "module_twin":
            hub.before = None
            reading.forget("d1")

    hub.before = changed_meanwhile
    reading.module_twin("d1", "edge-expose")
    hub.patch_module_twin("d1", "edge-expose", {"exposures": {"db": None}}, "*")
    twin = reading.module_twin("d1", "edge-expose")
    assert twin is not None
    assert "db" not in twin.desired["exposures"]


def test_what_was_read_a_moment_ago_is_not_read_again() -> None:
    hub = applied_hub()
    calls: list[str] = []
    hub.before = calls.append
    reading = ReadingHub.of(hub)
    for _ in range(3):
        reading.module_twin("d1", "edge-expose")
    assert calls == ["module_twin"]
