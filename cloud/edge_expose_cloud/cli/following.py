"""`--wait`: follows a target to Ready, with a table that is kept up at a terminal, and with lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

from rich.console import Group, RenderableType
from rich.live import Live
from rich.markup import escape
from rich.spinner import Spinner

from edge_expose_cloud.cli.output import err, exposures_table, say, state_text, table
from edge_expose_cloud.fleet_status import DeviceStatus
from edge_expose_cloud.hub import Hub
from edge_expose_cloud.spec import Spec
from edge_expose_cloud.usecases.waiting import Clock, WaitResult, wait_until_ready

_TABLES = 3  # devices that get a table of their own; of more, each is one row
_ROWS = 20


def follow(
    hub: Hub, spec: Spec, timeout: float, reached: Callable[[list[str]], None] = lambda devices: None
) -> WaitResult:
    """Waits until everything is Ready or `timeout` seconds are over."""
    clock = Clock(time.monotonic, time.sleep)
    if not sys.stderr.isatty():
        return wait_until_ready(hub, spec, timeout, clock, _Lines(), reached)
    begun = time.monotonic()
    with Live(console=err(), transient=True, refresh_per_second=8) as live:

        def show(now: WaitResult) -> None:
            live.update(picture(now, time.monotonic() - begun))

        return wait_until_ready(hub, spec, timeout, clock, show, reached)


class _Lines:
    """A line whenever the reason changes."""

    def __init__(self) -> None:
        self._said = ""

    def __call__(self, now: WaitResult) -> None:
        if now.reason and now.reason != self._said:
            self._said = now.reason
            say(f"waiting: {now.reason}")


def picture(now: WaitResult, seconds: float) -> RenderableType:
    """What is shown after one look."""
    head = Spinner("dots", text=f"waiting for {seconds:.0f} s: {escape(now.reason)}")
    if len(now.devices) <= _TABLES:
        return Group(*(exposures_table(item.exposures, device=item.device_id) for item in now.devices), head)
    return Group(_roll_up(now.devices), head)


def _roll_up(devices: tuple[DeviceStatus, ...]) -> RenderableType:
    """The devices that are not done come first."""
    rows = []
    for item in sorted(devices, key=lambda one: (not _waits(one), one.device_id)):
        summary = item.summary or {}
        states = [
            f"{state_text(state)} {summary[key]}"
            for key, state in (("ready", "Ready"), ("pending", "Pending"), ("blocked", "Blocked"), ("failed", "Failed"))
            if summary.get(key)
        ]
        rows.append((escape(item.device_id), "  ".join(states) or "-"))
    more = len(rows) - _ROWS
    shown = rows[:_ROWS] + ([(f"and {more} more", "")] if more > 0 else [])
    return table(("DEVICE", "EXPOSURES"), shown)


def _waits(item: DeviceStatus) -> bool:
    return bool((item.summary or {}).get("notReady")) or not item.exposures
