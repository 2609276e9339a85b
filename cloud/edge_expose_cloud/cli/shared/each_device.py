"""plan and apply for many single devices (`--device`, `--every-device`): shown and done one after the other."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, TypeVar

import typer

from edge_expose_cloud.cli.shared.files import read_source
from edge_expose_cloud.cli.shared.options import confirm
from edge_expose_cloud.cli.shared.output import Format, data, err, out, say, show_findings
from edge_expose_cloud.cli.shared.plan_output import say_danger, show_changes
from edge_expose_cloud.findings.finding import Finding, in_reading_order
from edge_expose_cloud.findings.problems import Refused
from edge_expose_cloud.hub.api import Hub, Json
from edge_expose_cloud.spec.inventory import Inventory
from edge_expose_cloud.spec.load import SpecReader
from edge_expose_cloud.status.wait import WaitResult
from edge_expose_cloud.usecases.each_device import (
    DeviceOutcome,
    DevicePlan,
    apply_each,
    chosen_devices,
    digest_of,
    load_each,
    plan_each,
)
from edge_expose_cloud.usecases.operator import Operator

T = TypeVar("T")

Devices = Annotated[
    list[str] | None,
    typer.Option(
        "--device",
        metavar="ID",
        help="Device, for a spec with target: {device: ${deviceId}}; repeat the option for several.",
    ),
]
Every = Annotated[bool, typer.Option("--every-device", help="Every device of the inventory, as if named by --device.")]


def with_progress(items: Iterable[T], total: int, what: str) -> Iterator[T]:
    """The items, with a progress bar on a terminal and a line every few seconds elsewhere."""
    if not sys.stderr.isatty():
        told = time.monotonic()
        for number, item in enumerate(items, 1):
            yield item
            if time.monotonic() - told > 5:
                told = time.monotonic()
                say(f"{what}: {number} of {total}")
        return
    from rich.progress import Progress

    with Progress(console=err().console, transient=True) as progress:
        task = progress.add_task(what, total=total)
        for item in items:
            yield item
            progress.advance(task)


def plans_of(
    hub: Hub, file: str, inventory: Inventory | None, named: Iterable[str], every: bool
) -> tuple[list[DevicePlan], list[DeviceOutcome]]:
    """The plan of each device chosen, and the devices that refused one. Every spec is read before the hub is asked."""
    devices = chosen_devices(inventory, named, every)
    if not devices:
        raise Refused("no device is chosen", "name one with --device, or fill the inventory")
    source = read_source(file)
    specs = list(load_each(SpecReader(source.document, inventory).read, devices))
    with source.locating():
        found = list(with_progress(plan_each(hub, specs, os.environ, inventory), len(devices), "planning"))
    refused = [item for item in found if isinstance(item, DeviceOutcome)]
    for item in refused:
        _say_problem(item)
    return [item for item in found if isinstance(item, DevicePlan)], refused


def _say_problem(outcome: DeviceOutcome) -> None:
    if outcome.problem is not None:
        say(f"✗ {outcome.device_id}: {outcome.problem.message}")


def show_each(plans: list[DevicePlan], output: Format, *, details: bool = False) -> None:
    """All plans, and one digest over them."""
    if output is not Format.TABLE:
        data(each_json(plans), output)
        return
    show_findings(_findings(plans), err())
    for item in plans:
        for note in item.plan.notes:
            say(f"{item.device_id}: {note}")
        if not item.plan.changes:
            continue
        out().print(f"Device {item.device_id}", markup=False)
        show_changes(item.plan, details=details)
        for danger in item.plan.dangers:
            say_danger(danger, item.device_id)
    changed = sum(1 for item in plans if item.plan.changes)
    out().print(f"{changed} of {len(plans)} devices change", markup=False)
    if changed:
        out().print(f"digest {digest_of(plans)}", soft_wrap=True)


def each_json(plans: list[DevicePlan]) -> Json:
    """The plans together, in the shape of one, and each by itself under `devices`."""
    dangers = [(item.device_id, danger) for item in plans for danger in item.plan.dangers]
    return {
        "digest": digest_of(plans),
        "changes": [change.to_json() for item in plans for change in item.plan.changes],
        "impact": [
            {**effect.to_json(), "text": f"{item.device_id}: {effect.text}"}
            for item in plans
            for effect in item.plan.impact
        ],
        "notes": [f"{item.device_id}: {note}" for item in plans for note in item.plan.notes],
        "dangers": [{**danger.to_json(), "what": f"{device}: {danger.what}"} for device, danger in dangers],
        "findings": [item.to_json() for item in _findings(plans)],
        "devices": [{"deviceId": item.device_id, **item.plan.to_json()} for item in plans],
    }


def _findings(plans: list[DevicePlan]) -> list[Finding]:
    """What was found in the spec for any device, once."""
    return in_reading_order(found for item in plans for found in item.plan.findings)


def do_each(
    hub: Hub, plans: list[DevicePlan], operator: Operator, allowed: Mapping[str, int], yes: bool
) -> list[DeviceOutcome]:
    """Applies all; says what each device got. Exit 1 at the end when one refused or failed."""
    changed = [item for item in plans if item.plan.changes or item.plan.lease]
    if any(item.plan.changes for item in changed):
        confirm(f"Apply this to {len(changed)} devices?", yes)
    outcomes = []
    for outcome in with_progress(apply_each(hub, changed, operator, allowed), len(changed), "applying"):
        outcomes.append(outcome)
        if outcome.problem is None:
            say(f"{outcome.device_id}: {outcome.done}")
        else:
            _say_problem(outcome)
    failed = [item for item in outcomes if item.problem is not None]
    left = len(changed) - len(outcomes)
    if failed:
        say(
            f"{len(outcomes) - len(failed)} of {len(changed)} devices done, {len(failed)} failed"
            + (f", {left} not tried" if left else "")
        )
        if failed[-1].problem is not None and failed[-1].problem.hint:
            say(f"    try: {failed[-1].problem.hint}; then run it again: devices that are done are left alone")
    return outcomes


def exit_code(outcomes: list[DeviceOutcome], waited: list[WaitResult]) -> None:
    """1 when a device failed, 3 when one is not converged."""
    if any(item.problem is not None for item in outcomes):
        raise typer.Exit(1)
    late = [item for item in waited if not item.done]
    if late:
        say(f"{len(late)} devices are not converged: {late[0].reason}")
        raise typer.Exit(3)
