"""`--wait`: follows a target to Ready, with a table that is kept up at a terminal, and with lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from typing import Annotated

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner

from edge_expose_cloud.cli.shared.carry_out import done_json
from edge_expose_cloud.cli.shared.options import seconds
from edge_expose_cloud.cli.shared.output import (
    Format,
    data,
    err,
    escape,
    exposures_table,
    out,
    say,
    state_text,
    table,
    url_lines,
)
from edge_expose_cloud.hub.api import Hub
from edge_expose_cloud.plan.model import Plan
from edge_expose_cloud.spec.model import Spec
from edge_expose_cloud.status.fleet import DeviceStatus
from edge_expose_cloud.status.wait import Clock, WaitResult, wait_for_exposures, wait_until_ready

Wait = Annotated[bool, typer.Option("--wait", help="Wait until every exposure is Ready; exit 3 on timeout.")]
Timeout = Annotated[
    float, typer.Option("--timeout", metavar="SECONDS", callback=seconds, help="Time limit of --wait; at most a day.")
]

_TABLES = 3  # devices that get a table of their own; of more, each is one row
_ROWS = 20


def follow(
    hub: Hub, spec: Spec, timeout: float, reached: Callable[[list[str]], None] = lambda devices: None
) -> WaitResult:
    """Waits until everything is Ready or `timeout` seconds are over."""
    return _shown(lambda clock, looked: wait_until_ready(hub, spec, timeout, clock, looked, reached))


def follow_exposures(hub: Hub, device: str, names: Collection[str], timeout: float) -> WaitResult:
    """The same for these exposures of one device."""
    return _shown(lambda clock, looked: wait_for_exposures(hub, device, names, timeout, clock, looked))


def _shown(wait: Callable[[Clock, Callable[[WaitResult], None]], WaitResult]) -> WaitResult:
    clock = Clock(time.monotonic, time.sleep)
    if not sys.stderr.isatty():
        return wait(clock, _Lines())
    begun = time.monotonic()
    with Live(console=err().console, transient=True, refresh_per_second=8) as live:

        def show(now: WaitResult) -> None:
            live.update(picture(now, time.monotonic() - begun))

        return wait(clock, show)


def report(made: Plan, done: str, result: WaitResult | None, timeout: float, output: Format) -> None:
    """What was done, and what became of it when it was waited for; ends with 3 when it did not become Ready."""
    if output is not Format.TABLE:
        body = done_json(made, done)
        if result is not None:
            body |= {
                "converged": result.done,
                "reason": result.reason,
                "devices": [status.to_json() for status in result.devices],
            }
        data(body, output)
    elif result is not None:
        _report_devices(result.devices)
    if result is not None and not result.done:
        say(f"not converged{'' if result.held_back else f' after {timeout:g} s'}: {result.reason}")
        raise typer.Exit(3)


def _report_devices(devices: tuple[DeviceStatus, ...]) -> None:
    if len(devices) > 10:
        say(f"{len(devices)} devices; edge-expose status shows each")
        return
    for status in devices:
        out().print(exposures_table(status.exposures, device=status.device_id))
        for line in url_lines(status.exposures):
            out().print(line, markup=False, soft_wrap=True)


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
